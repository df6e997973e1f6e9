# SPDX-License-Identifier: MIT
# Part of the Makefile: programs of this room that have parts of their own. The third evaluator takes
# nothing of the library's.
corpus_obj := $(patsubst %.c,$(B)/%.o,$(wildcard tests/search/corpus/*.c))
naive_obj := $(patsubst %.c,$(B)/%.o,$(wildcard tests/search/third/*.c))
$(B)/tests/search/generate_images: $(corpus_obj)
$(B)/tests/search/generate_images: private libs := $(corpus_obj) $(meta_lib) $(lib) $(meta_libs) $(libs)
$(B)/tests/search/naive $(B)/tests/search/random_query: $(naive_obj)
$(B)/tests/search/naive $(B)/tests/search/random_query: private libs := $(naive_obj) -lutf8proc $(libs)
-include $(corpus_obj:.o=.d) $(naive_obj:.o=.d)

# The long versions: 20,000 random queries, all golden sets of the catalog.
.PHONY: search-long
test-long: search-long
search-long: deps
	+@$(again) all test-programs
	@B=$(abspath $(B)) VD_LONG=1 VD_TEST_TIMEOUT=14400 tests/run search/random_queries search/golden_catalog
