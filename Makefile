# SPDX-License-Identifier: MIT
# libvdisk: `make help` lists what can be made.
VERSION := 0.1.0
SOVERSION := 0
B ?= build
CC ?= gcc
CFLAGS ?= -O2 -g
WARN = -Wall -Wextra -Werror -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
override CPPFLAGS += -D_GNU_SOURCE -Ilibvdisk/include -Ilibvdisk -DVD_VERSION='"$(VERSION)"'
override CFLAGS += -std=gnu11 $(WARN) -fvisibility=hidden -fPIC -pthread -MMD -MP
LIBS = -luuid -pthread

CORE_SRC := $(sort $(wildcard libvdisk/base/*.c libvdisk/io/*.c libvdisk/format/*.c \
	libvdisk/format/*/*.c libvdisk/disk/*.c))
CORE_OBJ := $(CORE_SRC:%.c=$(B)/%.o)

all: $(B)/libvdisk.a

$(B)/libvdisk.a: $(CORE_OBJ)
	@rm -f $@
	ar rcs $@ $^

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

-include $(CORE_OBJ:.o=.d)
