# SPDX-License-Identifier: MIT
## bench: the speed rows against the peers that are installed, as one table (a few minutes)
.PHONY: bench
bench: deps
	+@$(again) all $(B)/tests/bench/bench_core $(B)/tests/bench/bench_queue $(B)/tests/bench/bench_meta $(B)/tests/bench/copies
	@B=$(abspath $(B)) tests/bench/run
