# SPDX-License-Identifier: MIT
# Part of the Makefile: the long versions of the tests of compaction, and of power cuts above the core.

.PHONY: compact-long
test-long: compact-long
compact-long: deps
	+@$(again) all test-programs
	@B=$(abspath $(B)) VD_CRASH_STATES=20000 VD_TEST_TIMEOUT=14400 \
		tests/run fault/test_items_crash fault/test_moves_crash fault/test_meta_crash
	@B=$(abspath $(B)) VD_LONG=1 VD_KILL_ROUNDS=100 VD_TEST_TIMEOUT=14400 \
		tests/run compact/online compact/killed compact/under_filesystems compact/free_random
