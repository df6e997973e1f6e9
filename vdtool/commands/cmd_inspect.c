/* SPDX-License-Identifier: MIT */
/* vdtool inspect: what an image says of itself. Takes no lock, reads no payload. */
#include <inttypes.h>
#include <string.h>

#include <vdisk/sys/io.h>

#include "image.h"
#include "metadata.h"
#include "output.h"

/** All that is shown of one image. */
struct view {
	const char *path;
	struct vd_image *image;
	struct vd_disk *disk; /* of it, with those of its parents that can be opened */
	struct vd_disk_info info;
	uint64_t file_size, allocated;
	char holder[256];
	struct vd_parent_hint hint;
	struct vd_error parent_err; /* why there are no parents */
	struct vd_block_counts blocks;
	bool has_blocks;
};

static bool has_ids(const struct view *view)
{
	return strcmp(view->info.format, VD_FORMAT_RAW) != 0;
}

static int look(struct view *view, const struct tool_args *args, struct vd_error *err)
{
	int rc = tool_open_for(&view->image, view->path, VD_PURPOSE_INSPECT, args,
			       VD_OPEN_TRY_PARENTS, NULL, err);
	struct vd_io *io;

	if (rc)
		return rc;
	view->disk = vd_image_disk(view->image);
	view->info.size = sizeof(view->info);
	vd_disk_get_info(view->disk, &view->info);
	io = vd_disk_io(view->disk);
	rc = vd_io_length(io, &view->file_size, err);
	if (!rc)
		rc = vd_io_allocated(io, &view->allocated, err);
	if (!rc && args->is_set[OPT_BLOCKS] && view->info.block_size) {
		rc = vd_disk_count_blocks(view->disk, &view->blocks, err);
		view->has_blocks = rc == 0;
	}
	vd_io_holder(io, view->holder, sizeof(view->holder));
	if (rc || !view->info.has_parent)
		return rc;
	vd_disk_get_parent_error(view->disk, &view->parent_err);
	return vd_disk_get_parent_hint(view->disk, &view->hint, err);
}

static void print_line(const char *name, const char *text)
{
	printf("  %-9s ", name);
	tool_print_safe(stdout, text);
	putchar('\n');
}

static void print_ids(const struct view *view)
{
	char uuid[TOOL_UUID_TEXT];

	if (!has_ids(view))
		return;
	print_line("disk id", tool_uuid_format(view->info.disk_id, uuid));
	print_line("data id", tool_uuid_format(view->info.data_write_id, uuid));
	print_line("file id", tool_uuid_format(view->info.file_write_id, uuid));
	if (view->info.creator[0])
		print_line("creator", view->info.creator);
}

static void print_parents(const struct view *view)
{
	const char *name = "parent";

	if (!view->info.has_parent)
		return;
	for (const struct vd_disk *p = vd_disk_parent(view->disk); p; p = vd_disk_parent(p)) {
		struct vd_disk_info info = {.size = sizeof(info)};
		char text[128];

		vd_disk_get_info(p, &info);
		tool_image_describe(&info, text, sizeof(text));
		printf("  %-9s ", name);
		tool_print_safe(stdout, vd_disk_path(p));
		printf("  (%s)\n", text);
		name = "";
	}
	if (vd_disk_parent(view->disk))
		return;
	print_line("parent", view->hint.relative_path[0] ? view->hint.relative_path
			     : view->hint.volume_path[0] ? view->hint.volume_path
							 : view->hint.absolute_win32_path);
	printf("  %-9s can't be opened: ", "");
	tool_print_safe(stdout, view->parent_err.text);
	putchar('\n');
}

static void print_blocks(const struct vd_block_counts *n)
{
	printf("  %-9s %" PRIu64 " in all: %" PRIu64 " present, %" PRIu64 " partial, %" PRIu64
	       " zero, %" PRIu64 " unmapped, %" PRIu64 " undefined, %" PRIu64 " not present\n",
	       "blocks", n->n_blocks, n->n_present, n->n_partial, n->n_zero, n->n_unmapped,
	       n->n_undefined, n->n_not_present);
}

/** Items of the metadata region that nobody here knows: not the system's, not ours. */
static uint32_t count_unknown(const struct view *view)
{
	struct vd_meta *meta = vd_image_meta(view->image);
	struct vd_meta_info info = {.size = sizeof(info)};
	uint32_t n = view->info.n_unknown_items;
	const struct vd_record *r;

	vd_meta_get_info(meta, &info);
	if (info.place != VD_META_ITEMS)
		return n;
	for (size_t i = 0; (r = vd_meta_record(meta, i)); i++) {
		if (r->type != VD_RECORD_FOREIGN)
			n -= r->n_parts < n ? r->n_parts : n;
	}
	return n;
}

static void print_view(const struct view *view)
{
	uint32_t n_unknown = count_unknown(view);
	const struct vd_disk_info *info = &view->info;
	char text[128], bytes[TOOL_SIZE_TEXT];

	tool_image_describe(info, text, sizeof(text));
	tool_print_safe(stdout, view->path);
	printf("   %s, %s on disk", text, tool_size_format(view->allocated, bytes));
	if (info->block_size)
		printf(", %s blocks", tool_size_format(info->block_size, bytes));
	if (has_ids(view))
		fputs(info->has_dirty_log ? ", dirty log" : ", clean", stdout);
	if (view->holder[0]) {
		fputs(", in use by ", stdout);
		tool_print_safe(stdout, view->holder);
	}
	putchar('\n');
	tool_summary_print(vd_image_meta(view->image));
	if (has_ids(view))
		printf("  %-9s %" PRIu32 " logical, %" PRIu32 " physical\n", "sectors",
		       info->logical_sector_size, info->physical_sector_size);
	print_ids(view);
	print_parents(view);
	if (view->has_blocks)
		print_blocks(&view->blocks);
	if (n_unknown || info->n_unknown_regions)
		printf("  %-9s %" PRIu32 " metadata items, %" PRIu32 " regions (carried along)\n",
		       "unknown", n_unknown, info->n_unknown_regions);
	if (info->n_bytes_beyond_end)
		printf("  %-9s the file lacks %s that its blocks claim; they read as zero\n",
		       "warning", tool_size_format(info->n_bytes_beyond_end, bytes));
}

static void set_id(json_t *object, const char *key, const struct view *view, const uint8_t id[16])
{
	char uuid[TOOL_UUID_TEXT];

	tool_json_set_text(object, key, has_ids(view) ? tool_uuid_format(id, uuid) : NULL);
}

static void set_if_there(json_t *object, const char *key, const char *text)
{
	tool_json_set_text(object, key, text[0] ? text : NULL);
}

static json_t *parent_to_json(const struct view *view)
{
	const struct vd_disk *first = vd_disk_parent(view->disk);
	json_t *parent, *chain;

	if (!view->info.has_parent)
		return json_null();
	parent = tool_json_object(first ? vd_disk_path(first) : NULL);
	if (!first)
		json_object_set_new(parent, "path", json_null());
	set_if_there(parent, "linkage", view->hint.linkage);
	set_if_there(parent, "linkage2", view->hint.linkage2);
	set_if_there(parent, "relative_path", view->hint.relative_path);
	set_if_there(parent, "volume_path", view->hint.volume_path);
	set_if_there(parent, "absolute_win32_path", view->hint.absolute_win32_path);
	chain = json_array();
	for (const struct vd_disk *p = first; p; p = vd_disk_parent(p)) {
		struct vd_disk_info info = {.size = sizeof(info)};
		json_t *link = tool_json_object(vd_disk_path(p));
		char uuid[TOOL_UUID_TEXT];

		vd_disk_get_info(p, &info);
		tool_json_set_text(link, "format", info.format);
		tool_json_set_text(link, "type", vd_disk_type_name(info.type));
		tool_json_set_number(link, "virtual_size", info.virtual_size);
		tool_json_set_text(link, "data_write_id",
				   tool_uuid_format(info.data_write_id, uuid));
		json_array_append_new(chain, link);
	}
	json_object_set_new(parent, "chain", chain);
	if (!first)
		tool_json_set_error(parent, &view->parent_err);
	return parent;
}

static void put_view(const struct view *view)
{
	const struct vd_disk_info *info = &view->info;
	json_t *object = tool_json_object(view->path);

	tool_json_set_text(object, "format", info->format);
	tool_json_set_text(object, "type", vd_disk_type_name(info->type));
	tool_json_set_number(object, "virtual_size", info->virtual_size);
	tool_json_set_number(object, "file_size", view->file_size);
	tool_json_set_number(object, "allocated_size", view->allocated);
	tool_json_set_number(object, "block_size",
			     info->block_size ? info->block_size : VD_NO_OFFSET);
	tool_json_set_number(object, "logical_sector_size", info->logical_sector_size);
	tool_json_set_number(object, "physical_sector_size", info->physical_sector_size);
	set_id(object, "disk_id", view, info->disk_id);
	set_id(object, "data_write_id", view, info->data_write_id);
	set_id(object, "file_write_id", view, info->file_write_id);
	set_if_there(object, "creator", info->creator);
	json_object_set_new(object, "parent", parent_to_json(view));
	json_object_set_new(object, "dirty_log", json_boolean(info->has_dirty_log));
	set_if_there(object, "in_use", view->holder);
	json_object_set_new(object, "metadata", tool_summary_to_json(vd_image_meta(view->image)));
	tool_json_set_number(object, "unknown_items", count_unknown(view));
	tool_json_set_number(object, "unknown_regions", info->n_unknown_regions);
	tool_json_set_number(object, "bytes_beyond_end", info->n_bytes_beyond_end);
	if (view->has_blocks) {
		json_t *blocks = json_object();

		tool_json_set_number(blocks, "total", view->blocks.n_blocks);
		tool_json_set_number(blocks, "present", view->blocks.n_present);
		tool_json_set_number(blocks, "partial", view->blocks.n_partial);
		tool_json_set_number(blocks, "zero", view->blocks.n_zero);
		tool_json_set_number(blocks, "unmapped", view->blocks.n_unmapped);
		tool_json_set_number(blocks, "undefined", view->blocks.n_undefined);
		tool_json_set_number(blocks, "not_present", view->blocks.n_not_present);
		json_object_set_new(object, "blocks", blocks);
	}
	tool_json_put(object);
}

static int inspect(const char *path, const struct tool_args *args)
{
	struct vd_error err = VD_ERROR_INIT;
	struct view view = {.path = path, .parent_err = VD_ERROR_INIT};
	int exit_code = TOOL_DONE;

	if (look(&view, args, &err)) {
		tool_json_put_error(path, &err);
		exit_code = tool_fail(path, &err);
	} else if (tool_json_is_on()) {
		put_view(&view);
	} else {
		print_view(&view);
	}
	vd_image_close(view.image, NULL);
	return exit_code;
}

int cmd_inspect(const struct tool_args *args)
{
	int exit_code = TOOL_DONE;

	for (int i = 0; i < args->n_operands; i++)
		exit_code = tool_exit_worse(exit_code, inspect(args->operands[i], args));
	return exit_code;
}
