# SPDX-License-Identifier: MIT
# Fuzzing: part of the Makefile. Three builds of the same sources: with the tests (replays the
# corpora), with libFuzzer (clang), and with clang's coverage.

FUZZ_CC ?= clang-14
FUZZ_SECONDS ?= 60
# Names of targets: make fuzz FUZZ="log image"
FUZZ ?= $(fuzz_names)

fuzz_names := $(sort $(patsubst tests/fuzz/target_%.c,%,$(wildcard tests/fuzz/target_*.c)))
fuzz_src := $(filter-out tests/fuzz/fuzz_main.c tests/fuzz/fuzz_replay.c,$(wildcard tests/fuzz/*.c))
fuzz_obj := $(fuzz_src:%.c=$(B)/%.o)
# Of the tests' support, only what needs no cmocka.
fuzz_support := $(addprefix $(B)/tests/support/,store.o vhdxgen.o model.o record.o stamp.o guestgen.o guestgen_fat.o)
fuzz_programs := $(fuzz_names:%=$(B)/fuzz-%)
fuzz_make = $(MAKE) --no-print-directory $(jobs) CC=$(FUZZ_CC) CFLAGS='-O1 -g' B=$(abspath $(B))/$(1)

.PHONY: fuzz fuzz-deps fuzz-programs fuzz-planted coverage corpus

# The replay of the corpora is one of the unit tests, so that it runs under the sanitizers too.
$(B)/tests/unit/test_fuzz_corpus: $(fuzz_obj)
$(B)/tests/unit/test_fuzz_corpus: support_obj += $(fuzz_obj)

$(B)/fuzz_replay: $(B)/tests/fuzz/fuzz_replay.o $(fuzz_obj) $(fuzz_support) $(control_obj) $(all_libs)
	$(call say,LINK)
	$(q)$(CC) $(flags) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(tool_libs) $(meta_libs) $(libs)

# The support is ours to trust: what it does need not be watched, and is to be quick.
$(B)/tests/support/%.o: override CFLAGS += $(if $(findstring fuzzer,$(SAN)),-O2 -fno-sanitize=all)

# Only in a build with SAN=fuzzer-no-link,...
$(B)/tests/fuzz/main_%.o: tests/fuzz/fuzz_main.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(q)$(CC) $(cpp_test) $(CPPFLAGS) $(flags) $(CFLAGS) -DFUZZ_TARGET=$* -MMD -MP -c -o $@ $<
$(fuzz_programs): $(B)/fuzz-%: $(B)/tests/fuzz/main_%.o $(fuzz_obj) $(fuzz_support) $(control_obj) $(all_libs)
	$(call say,LINK)
	$(q)$(CC) $(flags) -fsanitize=fuzzer $(CFLAGS) $(LDFLAGS) -o $@ $^ $(tool_libs) $(meta_libs) $(libs)
fuzz-programs: $(fuzz_programs)

-include $(fuzz_obj:.o=.d) $(wildcard $(B)/tests/fuzz/main_*.d)

fuzz-deps: deps
	@tests/deps clang-14 libclang-rt-14-dev llvm-14

## fuzz: run each fuzz target for FUZZ_SECONDS (60); FUZZ="log image" only these
fuzz: fuzz-deps
	+@$(call fuzz_make,fuzz) SAN=fuzzer-no-link,address,undefined fuzz-programs
	@B=$(abspath $(B)) FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/fuzz.sh $(FUZZ)

## fuzz-planted: prove that planted bugs in the decoders are found, each within a minute
fuzz-planted: fuzz-deps
	+@$(call fuzz_make,fuzz-planted) SAN=fuzzer-no-link,address,undefined CPPFLAGS=-DVD_SABOTAGE \
		fuzz-programs
	@B=$(abspath $(B)) tests/fuzz/planted.sh

test-long: fuzz-planted coverage

## coverage: lines of the decoders that the corpora reach; fails below 90 % (VHDX) and 80 % (metadata, guests)
coverage: fuzz-deps
	+@$(call fuzz_make,coverage) CFLAGS='-O0 -g' LDFLAGS=-fprofile-instr-generate \
		CPPFLAGS='-fprofile-instr-generate -fcoverage-mapping' $(abspath $(B))/coverage/fuzz_replay
	@B=$(abspath $(B)) tests/fuzz/coverage.sh
