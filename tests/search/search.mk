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
