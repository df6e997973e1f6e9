# SPDX-License-Identifier: MIT
# Part of the Makefile: the tripwire is a file system of its own.
$(B)/tests/meta/tripwire.o: cpp = $(cpp_test) $(fuse_cflags)
$(B)/tests/meta/tripwire: libs += -lfuse3
