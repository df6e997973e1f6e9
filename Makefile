# SPDX-License-Identifier: MIT
# libvdisk: `make help` lists what can be made. Everything made lands beneath $(B).

# The one place of the version. The first number is the SONAME: names are only ever added to
# libvdisk/libvdisk.map; whoever removes or changes one raises it (HACKING.md, "The ABI").
VERSION := 0.1.0
SOVERSION := $(firstword $(subst ., ,$(VERSION)))

B ?= build
ifeq ($(origin CC),default)
CC := gcc
endif
AR ?= ar
CFLAGS ?= -O2 -g
# SAN=address,undefined or SAN=thread: an instrumented build (give it a B of its own).
SAN ?=
# V=1 shows whole command lines.
V ?=
WARN := -Wall -Wextra -Werror -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes

prefix ?= /usr/local
bindir ?= $(prefix)/bin
libdir ?= $(prefix)/lib
includedir ?= $(prefix)/include
mandir ?= $(prefix)/share/man
completiondir ?= $(prefix)/share/bash-completion/completions
schemadir ?= $(prefix)/share/vdisk/metadata-schema
DESTDIR ?=

sanitize := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
flags := -std=gnu11 -D_GNU_SOURCE -pthread -fPIC -fvisibility=hidden $(WARN) $(sanitize)
# URING=no builds without io_uring: queues then use threads only. So does a missing liburing-dev.
uring := $(if $(filter no,$(URING)),,$(shell echo "#include <liburing.h>" | $(CC) -E -x c - >/dev/null 2>&1 && echo yes))

# The library sees its rooms, the tools only what the public headers say, tests see everything.
cpp_lib := -Ilibvdisk/include -Ilibvdisk -DVD_VERSION='"$(VERSION)"' $(if $(uring),-DVD_HAVE_URING)
cpp_tool := -Ilibvdisk/include -Icontrol -DVD_VERSION='"$(VERSION)"'
cpp_test := -Ilibvdisk/include -Ilibvdisk -Icontrol -Icompactor -Itests/support -DVD_VERSION='"$(VERSION)"' $(if $(uring),-DVD_HAVE_URING)
# What libvdisk itself needs, what libvdisk-meta adds, and what the tools add to both.
libs := -luuid$(if $(uring), -luring)
meta_libs := -lxml2 -lz -lsodium -lutf8proc -lext2fs -lcom_err
tool_libs := -ljansson -lsqlite3
# Asked when it is used, not before: `make deps` may have to install it.
xml_cflags = $(shell pkg-config --cflags libxml-2.0 2>/dev/null)
fuse_cflags = $(shell pkg-config --cflags fuse3 2>/dev/null)
q := $(if $(V),,@)
say = @$(if $(V),true,echo "  $(1)	$(patsubst $(B)/%,%,$@)")

lib_src := $(sort $(wildcard libvdisk/base/*.c libvdisk/io/*.c libvdisk/format/*.c \
	libvdisk/format/*/*.c libvdisk/disk/*.c))
meta_src := $(sort $(foreach room,xml meta guest host query policy image,$(wildcard libvdisk/$(room)/*.c)))
compact_src := $(sort $(wildcard compactor/*.c))
# The protocol of the control channel: vdtool speaks it, vdfuse answers.
control_src := $(sort $(wildcard control/*.c))
tool_src := $(sort $(wildcard vdtool/*.c vdtool/*/*.c))
fuse_src := $(sort $(wildcard vdfuse/*.c))
support_src := $(sort $(wildcard tests/support/*.c))
# test_*.c are cmocka programs that tests/run runs; other programs serve the shell tests. Rooms with
# rules of their own bring a *.mk (included below).
test_src := $(sort $(wildcard tests/*/test_*.c))
helper_src := $(sort $(filter-out $(test_src),$(foreach room,unit fault cli interop bench mount compact meta search policy,\
	$(wildcard tests/$(room)/*.c))))
unit_src := $(filter tests/unit/%,$(test_src))
thread_src := $(foreach f,$(test_src),$(if $(findstring thread,$(f)),$(f)))

lib_obj := $(lib_src:%.c=$(B)/%.o)
meta_obj := $(meta_src:%.c=$(B)/%.o)
compact_obj := $(compact_src:%.c=$(B)/%.o)
control_obj := $(control_src:%.c=$(B)/%.o)
tool_obj := $(tool_src:%.c=$(B)/%.o)
fuse_obj := $(fuse_src:%.c=$(B)/%.o)
support_obj := $(support_src:%.c=$(B)/%.o)
tests := $(test_src:%.c=$(B)/%)
helpers := $(helper_src:%.c=$(B)/%)

lib := $(B)/libvdisk.a
so_real := libvdisk.so.$(VERSION)
soname := libvdisk.so.$(SOVERSION)
so := $(B)/libvdisk.so
meta_lib := $(if $(meta_src),$(B)/libvdisk-meta.a)
meta_so := $(if $(meta_src),$(B)/libvdisk-meta.so)
compact_lib := $(if $(compact_src),$(B)/libvdisk-compact.a)
compact_so := $(if $(compact_src),$(B)/libvdisk-compact.so)
so_names := libvdisk $(if $(meta_src),libvdisk-meta) $(if $(compact_src),libvdisk-compact)
# Each archive before those that it needs.
all_libs := $(compact_lib) $(meta_lib) $(lib)
tool := $(if $(tool_src),$(B)/vdtool/vdtool)
fuse := $(if $(fuse_src),$(B)/vdfuse/vdfuse)
# -j as the machine has processors, unless the caller chose.
jobs = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))
again = $(MAKE) --no-print-directory $(jobs)

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all help deps demo test test-long sanitizers test-programs variant-programs docs \
	install uninstall check-layers check-format check-house format readme-check counts-begin FORCE

## all: the libraries (static and shared), vdtool and vdfuse
all: $(all_libs) $(so) $(meta_so) $(compact_so) $(tool) $(fuse)

## help: this list
help:
	@sed -n 's/^## \([a-z-]*\): /\1\t/p' $(filter-out %.d,$(MAKEFILE_LIST)) | \
		awk -F'\t' '{ printf "  make %-13s %s\n", $$1, $$2 }'

## deps: install what is missing to build and test (as root; otherwise says how)
deps:
	@tests/deps

$(B)/%.o: cpp = $(cpp_lib)
$(B)/libvdisk/xml/%.o: cpp = $(cpp_lib) $(xml_cflags)
$(B)/compactor/%.o: cpp = $(cpp_tool)
$(B)/control/%.o: cpp = $(cpp_tool)
$(B)/vdtool/%.o: cpp = $(cpp_tool) -Ivdtool
$(B)/vdfuse/%.o: cpp = $(cpp_tool) $(fuse_cflags)
$(B)/tests/%.o: cpp = $(cpp_test)
$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(q)$(CC) $(cpp) $(CPPFLAGS) $(flags) $(CFLAGS) -MMD -MP -c -o $@ $<

# Another compiler or other flags make everything anew.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(VERSION) $(cpp_test) $(CPPFLAGS) $(flags) $(CFLAGS)' | cmp -s - $@ || \
		echo '$(CC) $(VERSION) $(cpp_test) $(CPPFLAGS) $(flags) $(CFLAGS)' > $@

$(lib): $(lib_obj)
$(meta_lib): $(meta_obj)
$(compact_lib): $(compact_obj)
$(all_libs):
	@rm -f $@
	$(call say,AR)
	$(q)$(AR) rcs $@ $^

$(B)/$(so_real): $(lib_obj) libvdisk/libvdisk.map
	$(call say,LINK)
	$(q)$(CC) $(flags) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,$(soname) -Wl,-z,defs \
		-Wl,-z,relro,-z,now -Wl,--version-script=libvdisk/libvdisk.map -o $@ $(lib_obj) $(libs)

$(so): $(B)/$(so_real)
	@ln -sf $(so_real) $(B)/$(soname)
	@ln -sf $(soname) $@

# The libraries above the core are built alike: NAME, objects, what they are linked with.
define upper_library
$(B)/libvdisk-$(1).so.$(VERSION): $(2) libvdisk/libvdisk-$(1).map $(so)
	$$(call say,LINK)
	$$(q)$$(CC) $$(flags) $$(CFLAGS) $$(LDFLAGS) -shared -Wl,-soname,libvdisk-$(1).so.$(SOVERSION) \
		-Wl,-z,defs -Wl,-z,relro,-z,now -Wl,--as-needed \
		-Wl,--version-script=libvdisk/libvdisk-$(1).map -o $$@ $(2) -L$(B) $(3) -lvdisk
$(B)/libvdisk-$(1).so: $(B)/libvdisk-$(1).so.$(VERSION)
	@ln -sf libvdisk-$(1).so.$(VERSION) $(B)/libvdisk-$(1).so.$(SOVERSION)
	@ln -sf libvdisk-$(1).so.$(SOVERSION) $$@
endef
$(eval $(call upper_library,meta,$(meta_obj),$(meta_libs)))
$(eval $(call upper_library,compact,$(compact_obj),-lvdisk-meta))
$(B)/libvdisk-compact.so.$(VERSION): $(meta_so)

$(B)/vdtool/vdtool: $(tool_obj) $(control_obj) $(all_libs)
	$(call say,LINK)
	$(q)$(CC) $(flags) $(CFLAGS) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(tool_libs) $(meta_libs) $(libs)

$(B)/vdfuse/vdfuse: $(fuse_obj) $(control_obj) $(all_libs)
	$(call say,LINK)
	$(q)$(CC) $(flags) $(CFLAGS) $(LDFLAGS) -Wl,--as-needed -o $@ $^ -lfuse3 $(tool_libs) $(meta_libs) $(libs)

# The peer library that this one reads with.
$(B)/tests/interop/vhdi_cat: libs += -lvhdi
$(tests) $(helpers): $(B)/%: $(B)/%.o $(support_obj) $(control_obj) $(all_libs)
	$(call say,LINK)
	$(q)$(CC) $(flags) $(CFLAGS) $(LDFLAGS) -Wl,--as-needed -o $@ $< $(support_obj) $(control_obj) $(all_libs) \
		-lcmocka $(tool_libs) $(meta_libs) $(libs)

-include $(lib_obj:.o=.d) $(meta_obj:.o=.d) $(compact_obj:.o=.d) $(control_obj:.o=.d) \
	$(tool_obj:.o=.d) $(fuse_obj:.o=.d) $(support_obj:.o=.d) $(tests:=.d) $(helpers:=.d)
include $(wildcard metadata-schema/*.mk libvdisk/*/*.mk control/*.mk vdtool/*.mk vdfuse/*.mk compactor/*.mk tests/*/*.mk)

## demo: a file system becomes a VHDX and back, images answer questions, one shrinks while it is used
demo: deps
	+@$(again) all $(B)/tests/interop/vhdi_cat
	@B=$(abspath $(B)) tests/demo.sh
	@B=$(abspath $(B)) tests/demo_search.sh
	@B=$(abspath $(B)) tests/demo_online.sh

## test: build and run everything; `make test T=NAME` only what NAME names
test: deps
	+@$(again) all test-programs $(if $(T),,variant-programs)
	@B=$(abspath $(B)) tests/run $(if $(T),$(T),--sanitized)

## test-long: 100,000 power cuts, 20 minutes of random lives, kill -9 a hundred times, 20,000 random queries, fuzzing, coverage
# Its parts stand in the *.mk of the rooms; what each has counted comes in one table at the end.
test-long: export VD_COUNTS = $(abspath $(B))/counts
test-long: deps counts-begin
	+@$(again) all test-programs
	@B=$(abspath $(B)) VD_CRASH_STATES=100000 VD_LIFECYCLE_SECONDS=1200 VD_TEST_TIMEOUT=14400 \
		tests/run fault/test_crash fault/test_lifecycle fault/test_failing_calls
	@echo; cat $(B)/counts
counts-begin:
	@mkdir -p $(B) && : > $(B)/counts
ifneq ($(filter test-long,$(MAKECMDGOALS)),)
.NOTPARALLEL: # one run of the tests at a time
endif

## sanitizers: only the sanitizer runs: unit tests under ASan and UBSan, threaded ones under TSan
sanitizers: deps
	+@$(again) variant-programs
	@B=$(abspath $(B)) tests/run $(if $(T),$(T:%=asan/%) $(T:%=tsan/%),asan/ tsan/)

test-programs: $(tests) $(helpers)
# One after the other: each uses all processors.
variant-programs:
	@$(MAKE) --no-print-directory B=$(B)/asan SAN=address,undefined CFLAGS='-O1 -g' \
		$(unit_src:%.c=$(B)/asan/%)
	@$(MAKE) --no-print-directory B=$(B)/tsan SAN=thread CFLAGS='-O1 -g' \
		$(thread_src:%.c=$(B)/tsan/%)

## docs: write the pages that vdtool generates (docs/man/vdtool.1)
docs: $(tool)
	$(tool) --generate man > $(B)/vdtool.1.new
	mv $(B)/vdtool.1.new docs/man/vdtool.1

## check-layers: includes point downward only; system calls, memory and output stay in their rooms
check-layers:
	@tests/house/check-layers .

## check-format: every C file is as clang-format would have it (`make format` makes it so)
check-format:
	@clang-format-14 --dry-run -Werror $$(find libvdisk compactor control vdtool vdfuse tests -name '*.[ch]')

format:
	clang-format-14 -i $$(find libvdisk compactor control vdtool vdfuse tests -name '*.[ch]')

## readme-check: run the README's tour again and compare, numbers masked
readme-check: deps
	+@$(again) all $(B)/tests/interop/vhdi_cat
	@B=$(abspath $(B)) tests/readme-check

## install: into $(DESTDIR)$(prefix), by default /usr/local
install: all
	install -d $(addprefix $(DESTDIR),$(bindir) $(libdir)/pkgconfig $(includedir)/vdisk/sys \
		$(mandir)/man1 $(mandir)/man3 $(completiondir) $(schemadir))
	install -m 644 libvdisk/include/vdisk/*.h $(DESTDIR)$(includedir)/vdisk
	install -m 644 libvdisk/include/vdisk/sys/*.h $(DESTDIR)$(includedir)/vdisk/sys
	install -m 644 $(all_libs) $(DESTDIR)$(libdir)
	$(foreach name,$(so_names),install -m 755 $(B)/$(name).so.$(VERSION) $(DESTDIR)$(libdir) && \
		ln -sf $(name).so.$(VERSION) $(DESTDIR)$(libdir)/$(name).so.$(SOVERSION) && \
		ln -sf $(name).so.$(SOVERSION) $(DESTDIR)$(libdir)/$(name).so && \
		sed -e "s|@prefix@|$(prefix)|" -e "s|@libdir@|$(libdir)|" -e "s|@VERSION@|$(VERSION)|g" \
		-e "s|@includedir@|$(includedir)|" -e "s|@URING@|$(if $(uring), -luring)|" \
		libvdisk/$(name).pc.in > $(DESTDIR)$(libdir)/pkgconfig/$(name).pc &&) true
	install -m 644 metadata-schema/*.xsd $(DESTDIR)$(schemadir)
	install -m 755 $(tool) $(fuse) $(DESTDIR)$(bindir)
	install -m 644 docs/man/*.1 $(DESTDIR)$(mandir)/man1
	install -m 644 docs/man/*.3 $(DESTDIR)$(mandir)/man3
	$(tool) --generate completion > $(DESTDIR)$(completiondir)/vdtool
	$(if $(DESTDIR),,ldconfig || true)

## uninstall: take away what install put there
uninstall:
	rm -rf $(DESTDIR)$(includedir)/vdisk $(DESTDIR)$(schemadir)
	rm -f $(foreach name,$(so_names),$(addprefix $(DESTDIR)$(libdir)/,$(name).a $(name).so \
		$(name).so.$(SOVERSION) $(name).so.$(VERSION) pkgconfig/$(name).pc)) \
		$(addprefix $(DESTDIR)$(bindir)/,vdtool vdfuse) \
		$(addprefix $(DESTDIR)$(mandir)/,$(patsubst docs/man/%,man1/%,$(wildcard docs/man/*.1)) \
		$(patsubst docs/man/%,man3/%,$(wildcard docs/man/*.3))) $(DESTDIR)$(completiondir)/vdtool
