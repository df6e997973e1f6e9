/* SPDX-License-Identifier: MIT */
/*
 * Each operation on metadata, with its first, second, third ... request for memory, read, write and
 * sync failing: the right code with words, nothing leaks, what is stored stays whole, and without
 * the fault the same works. What only reads has libxml2's requests for memory fail, too; not what
 * validates: libxml2 2.9 itself crashes then.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vdisk/image.h>

#include "base/alloc.h"
#include "fault.h"
#include "metabox.h"

#define BIG   1200000u /* two parts */
#define SMALL 3000u

struct job {
	struct store *store;
	struct fault fault;
	struct vd_io *io;
	struct metabox box;
};

static struct store *base;

/* Of libxml2, whose headers are for libvdisk/xml/ only. */
extern int xmlMemSetup(void (*release)(void *p), void *(*alloc)(size_t size),
		       void *(*resize)(void *p, size_t size), char *(*copy)(const char *text));
extern void xmlResetLastError(void);

static bool is_xml_counted;

static void xml_release(void *p)
{
	if (is_xml_counted)
		vd_free(p);
	else
		free(p);
}

static void *xml_alloc(size_t size)
{
	return is_xml_counted ? vd_malloc(size) : malloc(size);
}

static void *xml_resize(void *p, size_t size)
{
	return is_xml_counted ? vd_realloc(p, size) : realloc(p, size);
}

static char *xml_copy(const char *text)
{
	return is_xml_counted ? vd_strdup(text) : strdup(text);
}

static const char content[] =
    "<content xmlns=\"urn:libvdisk:content:1\"><title>New</title><author>A</author></content>";
static const char domain[] =
    "<domain><memory unit='GiB'>2</memory><vcpu>2</vcpu><devices><interface type='bridge'>"
    "<source bridge='br0'/></interface></devices></domain>";

static int open_box(struct job *job, struct metabox *box, uint32_t flags)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_meta_opts meta = VD_META_OPTS_INIT;
	int rc;

	opts.flags = flags;
	meta.flags = flags & VD_OPEN_WRITE ? VD_META_WRITE : 0;
	rc = vd_disk_open_io(&box->disk, job->io, &opts, &box->err);
	if (!rc)
		rc = vd_meta_open(&box->meta, box->disk, &meta, &box->err);
	if (rc) {
		vd_disk_close(box->disk, NULL);
		box->disk = NULL;
	}
	return rc;
}

static int drop_value(void *user, const char *field, const char *value)
{
	(void)user;
	(void)field;
	(void)value;
	return 0;
}

static int drop_bytes(void *user, const void *buf, size_t len, struct vd_error *err)
{
	(void)user;
	(void)buf;
	(void)len;
	(void)err;
	return 0;
}

/* ---- the operations */

static int do_open(struct job *job)
{
	struct metabox look = {0};
	int rc = open_box(job, &look, VD_OPEN_LOOK);

	job->box.err = look.err;
	vd_meta_close(look.meta);
	if (look.disk)
		vd_disk_close(look.disk, NULL);
	return rc;
}

static int do_facts(struct job *job)
{
	const struct vd_fact *facts;
	size_t n;
	int rc = vd_meta_get_facts(job->box.meta, false, &facts, &n, &job->box.err);

	return rc ? rc : vd_meta_get_facts(job->box.meta, true, &facts, &n, &job->box.err);
}

static int do_get(struct job *job)
{
	char *bytes = NULL;
	size_t len;
	int rc = vd_meta_get_document(job->box.meta, "tags", &bytes, &len, &job->box.err);

	vd_meta_free(bytes);
	if (!rc)
		rc = vd_meta_get_field(job->box.meta, "title", drop_value, NULL, &job->box.err);
	return rc;
}

static int do_history(struct job *job)
{
	return vd_meta_read_history(job->box.meta, NULL, NULL, NULL, &job->box.err);
}

static int do_extract(struct job *job)
{
	return vd_meta_extract(job->box.meta, "big", drop_bytes, NULL, &job->box.err);
}

static int do_validate(struct job *job)
{
	return vd_meta_validate("content", content, sizeof(content) - 1, NULL, NULL, &job->box.err);
}

static int do_set_field(struct job *job)
{
	return vd_meta_set_field(job->box.meta, "title", VD_FIELD_SET, "Other", &job->box.err);
}

static int do_new_field(struct job *job)
{
	return vd_meta_set_field(job->box.meta, "hardware.memory", VD_FIELD_SET, "2G",
				 &job->box.err);
}

static int do_set_document(struct job *job)
{
	return vd_meta_set_document(job->box.meta, "content", content, sizeof(content) - 1,
				    &job->box.err);
}

static int do_attach(struct job *job)
{
	return metabox_attach(&job->box, "configuration", "new", SMALL, 9, &job->box.err);
}

static int do_refer(struct job *job)
{
	struct vd_reference ref = {.name = "state", .uri = "memory.bin", .length = 5};

	/* A retry finds it there if it did what it was to do. */
	return vd_meta_refer(job->box.meta, "state", &ref, &job->box.err);
}

static int do_take_libvirt(struct job *job)
{
	return vd_meta_take_libvirt(job->box.meta, domain, sizeof(domain) - 1, NULL, &job->box.err);
}

static int do_log(struct job *job)
{
	struct vd_operation op = {.operation = "one more"};

	return vd_meta_log(job->box.meta, &op, &job->box.err);
}

static int do_remove(struct job *job)
{
	return vd_meta_remove(job->box.meta, "attachment:big", &job->box.err);
}

static int do_strip(struct job *job)
{
	return vd_meta_strip(job->box.meta, &job->box.err);
}

static int do_revert(struct job *job)
{
	return vd_meta_revert(job->box.meta, &job->box.err);
}

static void change(struct job *job)
{
	metabox_add(&job->box, "tag", "new");
	assert_int_equal(do_set_document(job), 0);
	assert_int_equal(do_attach(job), 0);
	metabox_log(&job->box, "two");
}

static int do_commit(struct job *job)
{
	return vd_meta_commit(job->box.meta, &job->box.err);
}

static const struct operation {
	const char *name;
	int (*run)(struct job *job);
	bool is_commit; /* of changes that were made before */
	bool is_xml;    /* libxml2's requests fail, too */
} operations[] = {
    {"metadata: open", do_open, false, true},
    {"metadata: facts", do_facts, false, true},
    {"metadata: get", do_get, false, true},
    {"metadata: history", do_history, false, false},
    {"metadata: extract", do_extract, false, false},
    {"metadata: validate", do_validate, false, false},
    {"metadata: set a field", do_set_field, false, false},
    {"metadata: set a new field", do_new_field, false, false},
    {"metadata: set a document", do_set_document, false, false},
    {"metadata: attach", do_attach, false, false},
    {"metadata: refer", do_refer, false, false},
    {"metadata: libvirt", do_take_libvirt, false, false},
    {"metadata: log", do_log, false, false},
    {"metadata: remove", do_remove, false, false},
    {"metadata: strip", do_strip, false, false},
    {"metadata: revert", do_revert, true, false},
    {"metadata: commit", do_commit, true, false},
};

/* ---- a fault, and what is left */

/* All as it was, or with all that was committed. */
static bool is_changed(struct job *job, bool is_closed)
{
	struct vd_meta_info info = {.size = sizeof(info)};
	struct metabox look = {0};
	uint64_t n_broken;
	bool is_new;

	if (open_box(job, &look, VD_OPEN_LOOK))
		fail_msg("afterwards: %s", look.err.text);
	is_new = strcmp(metabox_get(&look, "title"), "New|") == 0;
	assert_string_equal(metabox_get(&look, "tag"),
			    is_new ? "web|env=prod|new|" : "web|env=prod|");
	assert_int_equal(!!metabox_record(&look, VD_RECORD_ATTACHMENT, "new"), is_new);
	if (is_new)
		assert_true(metabox_holds(&look, "new", SMALL, 9));
	else
		assert_string_equal(metabox_get(&look, "title"), "Old|");
	assert_true(!is_closed || metabox_holds(&look, "big", BIG, 5));
	vd_meta_get_info(look.meta, &info);
	assert_int_equal(info.n_damaged, 0);
	assert_int_equal(info.n_history, is_new ? 2 : 1);
	assert_false(info.has_stale_facts);
	assert_int_equal(vd_meta_read_history(look.meta, NULL, NULL, &n_broken, &look.err), 0);
	assert_int_equal(n_broken, 0);
	vd_meta_close(look.meta);
	vd_disk_close(look.disk, NULL);
	return is_new;
}

static bool is_right_code(int rc, enum fault_call call)
{
	if (call == FAULT_N_CALLS)
		return rc == VD_ENOMEM;
	return rc == VD_EIO || (call == FAULT_SYNC && rc == VD_EPOISONED);
}

/* The n-th call fails. False: there is no n-th call. */
static bool strike(const struct operation *op, enum fault_call call, uint64_t n)
{
	size_t blocks = fault_memory_blocks();
	bool is_hit, is_memory = call == FAULT_N_CALLS, is_commit = op->run == do_commit;
	struct job job = {.store = store_new(base)};
	int rc;

	job.fault.store = job.store;
	fault_disarm(&job.fault);
	job.io = fault_io(&job.fault);
	assert_int_equal(open_box(&job, &job.box, VD_OPEN_WRITE), 0);
	if (op->is_commit)
		change(&job);
	if (is_memory)
		fault_memory_fail(n, false);
	else
		fault_arm(&job.fault, call, n, EIO);
	rc = op->run(&job);
	is_hit = is_memory ? fault_memory_hits() > 0 : job.fault.n_hit > 0;
	fault_memory_fail(0, false);
	fault_disarm(&job.fault);
	if (rc && !is_hit)
		fail_msg("%s: fails without a fault: %s", op->name, job.box.err.text);
	if (rc && (!is_right_code(rc, call) || job.box.err.code != rc || !job.box.err.text[0]))
		fail_msg("%s: %s %" PRIu64 " fails: the answer is %d (%s)", op->name,
			 fault_call_name(call), n, rc, job.box.err.text);
	if (!is_changed(&job, false) && is_commit && !rc)
		fail_msg("%s: %s %" PRIu64 " fails: nothing is stored, but the answer is 0",
			 op->name, fault_call_name(call), n);
	/* Once more, without the fault. */
	if (rc && call != FAULT_SYNC && (rc = op->run(&job)))
		fail_msg("%s: %s %" PRIu64 " failed once, again without a fault: %d, %s", op->name,
			 fault_call_name(call), n, rc, job.box.err.text);
	vd_meta_close(job.box.meta);
	vd_disk_close(job.box.disk, NULL);
	/* A sync that fails leaves open what is on the disk; it is whole all the same. */
	if (is_changed(&job, true) != (is_commit && !rc) && !(rc && call == FAULT_SYNC))
		fail_msg("%s: %s %" PRIu64 ": closed, and not what was told", op->name,
			 fault_call_name(call), n);
	vd_io_close(job.io);
	store_free(job.store);
	xmlResetLastError(); /* it keeps the last text */
	if (fault_memory_blocks() != blocks)
		fail_msg("%s: %s %" PRIu64 ": %zu blocks of memory are never given back", op->name,
			 fault_call_name(call), n, fault_memory_blocks() - blocks);
	return is_hit;
}

static void test_operation(void **state)
{
	static const enum fault_call calls[] = {FAULT_READ, FAULT_WRITE, FAULT_SYNC, FAULT_N_CALLS};
	const struct operation *op = *state;
	unsigned points[FAULT_N_CALLS + 1] = {0}, all = 0;

	xmlResetLastError();
	is_xml_counted = op->is_xml;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		unsigned *n = &points[calls[i]];

		while (strike(op, calls[i], *n + 1))
			assert_true(++*n < 5000);
		all += *n;
	}
	is_xml_counted = false;
	print_message("count: injection points, %s %u\n", op->name, all);
	fault_hold_minimum(op->name, points, points[FAULT_N_CALLS]);
}

static int make_base(void **state)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct job job = {.store = store_new(NULL)};

	(void)state;
	fault_memory_watch();
	xmlMemSetup(xml_release, xml_alloc, xml_resize, xml_copy);
	base = job.store;
	job.fault.store = base;
	fault_disarm(&job.fault);
	job.io = fault_io(&job.fault);
	create.virtual_size = 64 << 20;
	create.log_size = 1 << 20;
	assert_int_equal(vd_disk_create_io(job.io, &create, NULL), 0);
	assert_int_equal(open_box(&job, &job.box, VD_OPEN_WRITE), 0);
	metabox_add(&job.box, "tag", "web");
	metabox_add(&job.box, "tag", "env=prod");
	metabox_set(&job.box, "title", "Old");
	assert_int_equal(metabox_attach(&job.box, NULL, "big", BIG, 5, NULL), 0);
	metabox_log(&job.box, "one");
	metabox_commit(&job.box);
	vd_meta_close(job.box.meta);
	assert_int_equal(vd_disk_close(job.box.disk, NULL), 0);
	vd_io_close(job.io);
	return 0;
}

static int free_base(void **state)
{
	(void)state;
	store_free(base);
	return 0;
}

#define N_OPERATIONS (sizeof(operations) / sizeof(operations[0]))

int main(int argc, char **argv)
{
	struct CMUnitTest tests[N_OPERATIONS];
	size_t n = 0;

	for (size_t i = 0; i < N_OPERATIONS; i++)
		if (argc < 2 || strstr(operations[i].name, argv[1]))
			tests[n++] = (struct CMUnitTest){operations[i].name, test_operation, NULL,
							 NULL, (void *)(uintptr_t)&operations[i]};
	return _cmocka_run_group_tests("metadata, failing calls", tests, n, make_base, free_base);
}
