# SPDX-License-Identifier: MIT
# A test that lets something happen between two looks at an image, and lets facts not be told.
$(B)/tests/unit/test_image_asked: LDFLAGS += -Wl,--wrap=vd_disk_open -Wl,--wrap=vd_meta_get_facts \
	-Wl,--wrap=vd_host_collect
