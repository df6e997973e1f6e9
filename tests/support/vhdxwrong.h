/* SPDX-License-Identifier: MIT */
/*
 * Wrong VHDX images, each with one thing wrong and with right checksums, so that what is tested is
 * the rule and not the checksum. The valid twin of each is the same image without the change.
 */
#ifndef TEST_VHDXWRONG_H
#define TEST_VHDXWRONG_H

#include <stdbool.h>

#include <vdisk/disk.h>

#include "vhdxgen.h"

struct vhdx_wrong {
	const char *name;
	bool is_child; /* starts from vhdxgen_init_child */
	void (*change)(struct vhdxgen *g);
	int code;         /* what decoding it must answer; 0: readers cope with it */
	const char *text; /* part of the error's text, or NULL */
	const char *rule; /* the finding of vhdx_check */
	enum vd_severity severity;
	uint64_t offset; /* in the file, that it names */
};

extern const struct vhdx_wrong vhdx_wrongs[];
extern const size_t n_vhdx_wrongs;

/** Make it, or its valid twin. */
void vhdx_wrong_make(const struct vhdx_wrong *wrong, bool is_twin, struct vhdxgen *g);

#endif
