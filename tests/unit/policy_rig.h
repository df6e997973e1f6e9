/* SPDX-License-Identifier: MIT */
/* Images and rules for the tests of vd_image_open under a policy. */
#ifndef TEST_POLICY_RIG_H
#define TEST_POLICY_RIG_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <vdisk/image.h>

#include "metabox.h"
#include "scratch.h"

#define REASON "ticket 42"
#define SITE(effect)                                                                               \
	"<rule id=\"site\" actions=\"*\" effect=\"" effect "\"><reason>ours</reason></rule>"

/** An image and the rules for it. */
struct row {
	const char *what;
	const char *field, *value; /* that the image has, or NULL */
	const char *document;      /* the same, whole */
	const char *rules;         /* of the site; NULL: it has none */
	bool is_damaged;
	const char *denied; /* actions */
	const char *rule;   /* that denies them */
	const char *says;   /* the denial, if not that rule */
};

/* ---- files ---- */

/** A file. Images that are open are long, with a hole as their end. */
struct bytes {
	uint8_t *p; /* `used` of them; behind that there are zeros */
	size_t used, len;
};

/** Where the hole at the end begins. */
static inline size_t find_end(int fd)
{
	off_t at = 0, end = 0;

	while ((at = lseek(fd, at, SEEK_DATA)) >= 0)
		at = end = lseek(fd, at, SEEK_HOLE);
	return (size_t)end;
}

static inline struct bytes slurp(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct bytes b = {NULL, 0, 0};
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	b.len = (size_t)st.st_size;
	b.used = find_end(fd);
	b.p = malloc(b.used + 1);
	assert_non_null(b.p);
	assert_int_equal(pread(fd, b.p, b.used, 0), b.used);
	close(fd);
	return b;
}

static inline void put(const char *path, struct bytes b)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, b.p, b.used, 0), b.used);
	assert_int_equal(ftruncate(fd, (off_t)b.len), 0);
	assert_int_equal(close(fd), 0);
}

static inline void assert_same(const char *path, struct bytes b, const char *what,
			       const char *action)
{
	struct bytes now = slurp(path);
	size_t used = now.used < b.used ? now.used : b.used;

	if (now.len != b.len || now.used != b.used || memcmp(now.p, b.p, used) != 0)
		fail_msg("%s: %s was denied or only reads, and the file has changed", what, action);
	free(now.p);
}

static inline struct vd_policy *load(const char *rules)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_policy *policy = NULL;

	scratch_run("rm -rf '%s'", scratch_path("rules"));
	if (rules) {
		FILE *f;

		mkdir(scratch_path("rules"), 0700);
		f = fopen(scratch_path("rules/10.xml"), "w");
		assert_non_null(f);
		fprintf(f, "<policy xmlns=\"urn:libvdisk:policy:1\">%s</policy>", rules);
		fclose(f);
	}
	if (vd_policy_load(&policy, scratch_path("rules"), &err))
		fail_msg("%s", err.text);
	return policy;
}

/** An image with what the row wants, as a crash leaves it: its log has to be replayed. */
static inline struct bytes make_image(const struct row *row)
{
	struct vd_error err = VD_ERROR_INIT;
	struct metabox box;
	struct bytes b;

	metabox_create(&box, "made.vhdx", "vhdx");
	metabox_set(&box, "title", "an image");
	metabox_log(&box, "made");
	if (row->field)
		metabox_set(&box, row->field, row->value);
	if (row->document &&
	    vd_meta_set_document(box.meta, NULL, row->document, strlen(row->document), &err))
		fail_msg("%s", err.text);
	metabox_commit(&box);
	if (row->is_damaged) {
		struct vd_item item;
		uint8_t *bytes = metabox_item(&box, "validity", &item);

		bytes[item.length - 1] ^= 1;
		metabox_put_item(&box, "validity", bytes, item.length, item.flags);
		free(bytes);
	}
	if (vd_disk_write(box.disk, "guest", 5, 12345, &err) || vd_disk_flush(box.disk, &err))
		fail_msg("%s", err.text);
	b = slurp(box.path);
	metabox_close(&box);
	return b;
}

static inline bool has_dirty_log(const char *path)
{
	struct vd_disk_info info = {.size = sizeof(info)};
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_disk *disk;

	opts.flags = VD_OPEN_LOOK;
	assert_int_equal(vd_disk_open(&disk, path, &opts, NULL), 0);
	vd_disk_get_info(disk, &info);
	vd_disk_close(disk, NULL);
	return info.has_dirty_log;
}

/* ---- what is heard ---- */

struct heard {
	unsigned n;
	bool is_allowed, is_overridden, is_recorded;
	char rule[64];
};

static inline void hear(void *user, const struct vd_decision *decision, bool is_overridden,
			bool is_recorded)
{
	struct heard *heard = user;

	heard->n++;
	heard->is_allowed = decision->is_allowed;
	heard->is_overridden = is_overridden;
	heard->is_recorded = is_recorded;
	snprintf(heard->rule, sizeof(heard->rule), "%s", decision->rule);
}

struct history {
	unsigned n_overrides;
	char parameters[256];
};

static int keep_entry(void *user, const struct vd_history_entry *entry)
{
	struct history *h = user;

	if (strcmp(entry->op.operation, "override") == 0) {
		h->n_overrides++;
		snprintf(h->parameters, sizeof(h->parameters), "%s", entry->op.parameters);
	}
	return 0;
}

/** As others see it now. */
static inline struct history read_history(const char *path)
{
	struct history h = {0};
	struct vd_image *image;

	assert_int_equal(vd_image_open(&image, path, VD_PURPOSE_INSPECT, NULL, NULL, NULL), 0);
	vd_meta_read_history(vd_image_meta(image), keep_entry, &h, NULL, NULL);
	vd_image_close(image, NULL);
	return h;
}

#endif
