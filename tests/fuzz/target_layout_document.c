/* SPDX-License-Identifier: MIT */
/*
 * A layout for `compact --layout`, by which space is dropped. Input: the document.
 * Property: what is taken is in order, within the disk and not empty, and the same document made of
 * what was understood is understood the same; a refusal has words and leaves nothing behind.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "layout_document.h"

static void check_extents(const struct layout_document *doc)
{
	uint64_t end = 0;

	FUZZ_CHECK(doc->n_extents && doc->n_extents <= LAYOUT_EXTENTS_MAX, "%zu extents",
		   doc->n_extents);
	for (size_t i = 0; i < doc->n_extents; i++) {
		const struct vd_compact_extent *e = &doc->extents[i];

		FUZZ_CHECK(e->length && e->start >= end, "extent %zu", i);
		FUZZ_CHECK(e->start <= doc->virtual_size &&
			       e->length <= doc->virtual_size - e->start,
			   "extent %zu lies outside", i);
		FUZZ_CHECK(e->start % doc->sector_size == 0 && e->length % doc->sector_size == 0,
			   "extent %zu isn't of sectors", i);
		end = e->start + e->length;
	}
}

static void check_again(const struct layout_document *doc)
{
	struct vd_disk_info info = {.size = sizeof(info), .virtual_size = doc->virtual_size};
	json_t *object = json_object(), *list = json_array();
	struct vd_error err = VD_ERROR_INIT;
	struct layout_document again;
	uint8_t id[16];
	char *text;

	info.logical_sector_size = (uint32_t)doc->sector_size;
	memcpy(info.disk_id, doc->disk_id, 16);
	memcpy(info.data_write_id, doc->data_write_id, 16);
	memcpy(info.file_write_id, doc->generation, 16);
	layout_document_at_rest(&info, id);
	layout_document_head(object, &info, id);
	for (size_t i = 0; i < doc->n_extents; i++)
		json_array_append_new(
		    list,
		    json_pack("{s:I, s:I}", "start",
			      (json_int_t)(doc->extents[i].start / doc->sector_size), "length",
			      (json_int_t)(doc->extents[i].length / doc->sector_size)));
	json_object_set_new(object, "extents", list);
	text = json_dumps(object, JSON_COMPACT);
	FUZZ_CHECK(text && !layout_document_parse(&again, text, strlen(text), &err), "%s",
		   err.text);
	FUZZ_CHECK(again.n_extents == doc->n_extents &&
		       !memcmp(again.extents, doc->extents, doc->n_extents * sizeof(*doc->extents)),
		   "other extents");
	FUZZ_CHECK(!layout_document_is_of(&again, &info, &err) &&
		       !layout_document_is_present(&again, &info, &err),
		   "%s", err.text);
	layout_document_free(&again);
	json_decref(object);
	free(text);
}

static void run(const uint8_t *data, size_t size)
{
	struct vd_error err = VD_ERROR_INIT;
	struct layout_document doc;
	int rc = layout_document_parse(&doc, (const char *)data, size, &err);

	if (rc) {
		FUZZ_CHECK(err.code == rc && err.text[0] && !doc.extents,
			   "a refusal without words");
		return;
	}
	fuzz_deep();
	check_extents(&doc);
	check_again(&doc);
	layout_document_free(&doc);
}

static void seed_text(const char *name, const char *text)
{
	fuzz_seed(name, text, strlen(text));
}

#define IDS                                                                                        \
	"\"disk_id\":\"00112233-4455-6677-8899-aabbccddeeff\","                                    \
	"\"data_write_id\":\"10112233-4455-6677-8899-aabbccddeeff\","                              \
	"\"generation\":\"20112233-4455-6677-8899-aabbccddeeff\","
#define HEAD(sector)                                                                               \
	"{\"vdisk_layout\":1," IDS "\"sector_size\":" sector ",\"virtual_size\":1048576,"          \
	"\"extents\":["

static void seed(void)
{
	seed_text("one", HEAD("512") "{\"start\":0,\"length\":8}]}");
	seed_text("two", HEAD("4096") "{\"start\":1,\"length\":8},{\"start\":200,\"length\":56}]}");
	seed_text("touch", HEAD("512") "{\"start\":0,\"length\":8},{\"start\":8,\"length\":8}]}");
	seed_text("over", HEAD("512") "{\"start\":0,\"length\":8},{\"start\":7,\"length\":8}]}");
	seed_text("outside", HEAD("512") "{\"start\":2047,\"length\":2}]}");
	seed_text("huge", HEAD("4096") "{\"start\":9223372036854775807,\"length\":1}]}");
	seed_text("empty", HEAD("512") "]}");
	seed_text("deep", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[");
	seed_text("twice", "{\"vdisk_layout\":1,\"vdisk_layout\":1}");
}

const struct fuzz_target fuzz_layout_document = {
    .name = "layout_document", .run = run, .seed = seed, .max_memory = 0};
