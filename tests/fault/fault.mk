# SPDX-License-Identifier: MIT
# Sabotage: part of the Makefile. The tests that have to notice, built with -DVD_SABOTAGE.

sabotage_programs := $(addprefix tests/,fault/test_crash fault/test_failing_calls fault/test_full_host \
	fault/test_items_crash fault/test_items_steps fault/test_meetings fault/test_moves_steps \
	fault/test_steps unit/test_threads_pins \
	unit/test_vhdx_items unit/test_vhdx_items_others unit/test_vhdx_move unit/test_vhdx_replay)
sabotage_races := tests/unit/test_threads

.PHONY: sabotage sabotage-programs
variant-programs: sabotage-programs
sabotage-programs:
	@$(MAKE) --no-print-directory B=$(B)/sabotage CPPFLAGS=-DVD_SABOTAGE CFLAGS='-O1 -g' \
		$(sabotage_programs:%=$(B)/sabotage/%)
	@$(MAKE) --no-print-directory B=$(B)/sabotage-tsan CPPFLAGS=-DVD_SABOTAGE SAN=thread \
		CFLAGS='-O1 -g' $(sabotage_races:%=$(B)/sabotage-tsan/%)

## sabotage: leave out one step of the write path at a time; fails if the tests miss one
sabotage: deps
	+@$(again) sabotage-programs
	@B=$(abspath $(B)) tests/run fault/sabotage
test-long: sabotage
