# SPDX-License-Identifier: MIT
# Part of the Makefile: the long versions of the tests of the mount.

.PHONY: mount-long
test-long: mount-long
mount-long: deps
	+@$(again) all test-programs
	@B=$(abspath $(B)) VD_KILL_ROUNDS=100 VD_MOUNT_CYCLES=1000 VD_TEST_TIMEOUT=14400 \
		tests/run mount/kill mount/leaks

# A part of vdfuse by itself.
$(B)/tests/mount/test_latency_threads.o: cpp = $(cpp_test) -Ivdfuse
$(B)/tests/mount/test_latency_threads: $(B)/vdfuse/latency.o
$(B)/tests/mount/test_latency_threads: libs += $(B)/vdfuse/latency.o
