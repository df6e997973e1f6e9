# SPDX-License-Identifier: MIT
# The schemas of the metadata: part of the Makefile. Their text and the tables of their elements and
# fields become part of libvdisk-meta.so, by a program that runs while building.

BUILD_CC ?= gcc

# In the order in which people meet them.
categories := content hardware host validity rights patches network tags configuration state history
schemas := $(categories:%=metadata-schema/%.xsd)

$(B)/metadata-schema/schema_tables: metadata-schema/schema_tables.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,BUILD)
	$(q)$(BUILD_CC) -std=gnu11 -D_GNU_SOURCE -O1 $(WARN) $(xml_cflags) -o $@ $< -lxml2

$(B)/metadata-schema/tables.inc: $(B)/metadata-schema/schema_tables $(schemas) metadata-schema/types.xsd
	$(call say,SCHEMA)
	$(q)$< $(schemas) > $@

$(B)/libvdisk/xml/vocabulary.o: $(B)/metadata-schema/tables.inc
$(B)/libvdisk/xml/vocabulary.o: cpp = $(cpp_lib) -I$(B)

# These ask libxml2 themselves what it was asked.
$(B)/tests/unit/test_doc_hostile.o: cpp = $(cpp_test) $(xml_cflags)
