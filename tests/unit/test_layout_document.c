/* SPDX-License-Identifier: MIT */
/* Layouts as JSON: what is taken, and that nothing is taken that isn't understood as a whole. The
 * words of refusals and hostile documents: tests/compact/layout.sh, target_layout_document. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "layout_document.h"

#define IDS                                                                                        \
	"\"disk_id\":\"00112233-4455-6677-8899-aAbBcCdDeEfF\","                                    \
	"\"data_write_id\":\"10112233-4455-6677-8899-aabbccddeeff\","                              \
	"\"generation\":\"20112233-4455-6677-8899-aabbccddeeff\","
#define HEAD "{\"vdisk_layout\":1," IDS "\"sector_size\":512,\"virtual_size\":1048576,\"extents\":"

static struct vd_error err;

static int parse(struct layout_document *doc, const char *text)
{
	err = (struct vd_error)VD_ERROR_INIT;
	return layout_document_parse(doc, text, strlen(text), &err);
}

static void a_document_is_taken(void **state)
{
	struct layout_document doc;

	(void)state;
	assert_int_equal(parse(&doc, HEAD "[{\"start\":0,\"length\":8},"
					  "{\"start\":2040,\"length\":8}]}"),
			 0);
	assert_int_equal(doc.n_extents, 2);
	assert_int_equal(doc.extents[0].length, 4096);
	assert_int_equal(doc.extents[1].start, 2040 * 512);
	assert_int_equal(doc.disk_id[15], 0xff);
	assert_int_equal(doc.data_write_id[0], 0x10);
	assert_int_equal(doc.generation[0], 0x20);
	layout_document_free(&doc);
	/* Neighbours may touch. */
	assert_int_equal(parse(&doc, HEAD "[{\"start\":0,\"length\":8},"
					  "{\"length\":2040,\"start\":8}]}"),
			 0);
	layout_document_free(&doc);
}

static void its_own_head_is_taken(void **state)
{
	struct vd_disk_info info = {.size = sizeof(info),
				    .virtual_size = 1 << 20,
				    .logical_sector_size = 4096,
				    .disk_id = {1, 2, 3},
				    .data_write_id = {4, 5},
				    .file_write_id = {6}};
	json_t *object = json_object();
	struct layout_document doc;
	uint8_t id[16];
	char *text;

	(void)state;
	layout_document_at_rest(&info, id);
	layout_document_head(object, &info, id);
	json_object_set_new(object, "extents", json_pack("[{s:i, s:i}]", "start", 3, "length", 4));
	text = json_dumps(object, 0);
	assert_int_equal(parse(&doc, text), 0);
	assert_int_equal(doc.extents[0].start, 3 * 4096);
	assert_int_equal(layout_document_is_of(&doc, &info, &err), 0);
	assert_int_equal(layout_document_is_present(&doc, &info, &err), 0);
	info.file_write_id[15] = 1;
	assert_int_equal(layout_document_is_present(&doc, &info, &err), VD_EBUSY);
	info.file_write_id[15] = 0;
	info.has_dirty_log = true;
	assert_int_equal(layout_document_is_present(&doc, &info, &err), VD_EBUSY);
	info.has_dirty_log = false;
	info.data_write_id[0] = 0;
	assert_int_equal(layout_document_is_present(&doc, &info, &err), VD_EBUSY);
	/* What an image in use shows as well says nothing about what was written since. */
	info.data_write_id[0] = 4;
	memcpy(doc.generation, info.file_write_id, 16);
	assert_int_equal(layout_document_is_present(&doc, &info, &err), VD_EINVAL);
	assert_non_null(strstr(err.text, "ctl"));
	info.disk_id[0] = 0;
	assert_int_equal(layout_document_is_of(&doc, &info, &err), VD_EINVAL);
	layout_document_free(&doc);
	json_decref(object);
	free(text);
}

static void what_isnt_understood_is_refused(void **state)
{
	static const char *const wrong[] = {
	    "",
	    "{}",
	    "[]",
	    "null",
	    "7",
	    HEAD "[]}",
	    HEAD "{}}",
	    HEAD "null}",
	    HEAD "[7]}",
	    HEAD "[{}]}",
	    HEAD "[{\"start\":0}]}",
	    HEAD "[{\"start\":0,\"length\":0}]}",
	    HEAD "[{\"start\":0,\"length\":-8}]}",
	    HEAD "[{\"start\":-1,\"length\":8}]}",
	    HEAD "[{\"start\":\"0\",\"length\":8}]}",
	    HEAD "[{\"start\":0,\"length\":8.0}]}",
	    HEAD "[{\"start\":0,\"length\":2049}]}",
	    HEAD "[{\"start\":2048,\"length\":1}]}",
	    HEAD "[{\"start\":9223372036854775807,\"length\":9223372036854775807}]}",
	    HEAD "[{\"start\":0,\"length\":8},{\"start\":7,\"length\":8}]}",
	    HEAD "[{\"start\":8,\"length\":8},{\"start\":0,\"length\":8}]}",
	    HEAD "[{\"start\":0,\"length\":8,\"free\":true}]}",
	    HEAD "[{\"start\":0,\"length\":8}],\"more\":1}",
	    HEAD "[{\"start\":0,\"length\":8}]} x",
	    HEAD "[{\"start\":0,\"length\":8}]",
	    HEAD "[{\"start\":0,\"start\":8,\"length\":8}]}",
	    "{\"vdisk_layout\":true," IDS "\"sector_size\":512,\"virtual_size\":1048576,"
	    "\"extents\":[{\"start\":0,\"length\":8}]}",
	    "{\"vdisk_layout\":1," IDS "\"sector_size\":0,\"virtual_size\":1048576,"
	    "\"extents\":[{\"start\":0,\"length\":8}]}",
	    "{\"vdisk_layout\":1," IDS "\"sector_size\":1000,\"virtual_size\":1048576,"
	    "\"extents\":[{\"start\":0,\"length\":8}]}",
	    "{\"vdisk_layout\":1,\"sector_size\":512,\"virtual_size\":1048576,"
	    "\"extents\":[{\"start\":0,\"length\":8}]}",
	};
	struct layout_document doc;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (parse(&doc, wrong[i]) != VD_EINVAL)
			fail_msg("taken: %s", wrong[i]);
		assert_non_null(strstr(err.text, "layout: "));
		assert_null(doc.extents);
	}
}

/* As many as can be, and one more. */
static void their_number_is_bounded(void **state)
{
	size_t room = 64u * LAYOUT_EXTENTS_MAX, len;
	char *text = malloc(room);

	(void)state;
	for (unsigned more = 0; more < 2; more++) {
		struct layout_document doc;

		len = (size_t)snprintf(text, room,
				       "{\"vdisk_layout\":1," IDS "\"sector_size\":512,"
				       "\"virtual_size\":1073741824,\"extents\":[");
		for (unsigned i = 0; i < LAYOUT_EXTENTS_MAX + more; i++)
			len +=
			    (size_t)snprintf(text + len, room - len,
					     "%s{\"start\":%u,\"length\":1}", i ? "," : "", 2 * i);
		len += (size_t)snprintf(text + len, room - len, "]}");
		assert_int_equal(layout_document_parse(&doc, text, len, &err),
				 more ? VD_EINVAL : 0);
		if (!more) {
			assert_int_equal(doc.n_extents, LAYOUT_EXTENTS_MAX);
			layout_document_free(&doc);
		}
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_document_is_taken),
	    cmocka_unit_test(its_own_head_is_taken),
	    cmocka_unit_test(what_isnt_understood_is_refused),
	    cmocka_unit_test(their_number_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
