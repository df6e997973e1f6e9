/* SPDX-License-Identifier: MIT */
/* vdtool catalog sync, status, prune: an index of many images, for search --catalog. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "catalog/catalog_sync.h"
#include "image.h"
#include "metadata.h"
#include "output.h"
#include "tempfile.h"

/** --catalog must be given. */
static int open_catalog(const struct tool_args *args, enum catalog_mode mode,
			struct catalog_store **store)
{
	struct vd_error err = VD_ERROR_INIT;

	*store = NULL;
	if (!args->is_set[OPT_CATALOG])
		return tool_usage(args->command, "--catalog FILE is missing");
	if (catalog_open(store, args->text[OPT_CATALOG], mode, &err))
		return tool_fail(args->text[OPT_CATALOG], &err);
	return TOOL_DONE;
}

/** An object about the catalog, not about an image. */
static json_t *object_of_catalog(const struct tool_args *args)
{
	json_t *object = tool_json_object(NULL);

	json_object_del(object, "path");
	tool_json_set_path(object, "catalog", args->text[OPT_CATALOG]);
	return object;
}

/* ---- sync ---- */

static void print_count(uint64_t n, const char *what)
{
	if (n)
		printf(", %" PRIu64 " %s", n, what);
}

static void print_sync(const struct sync_counts *c, double seconds)
{
	printf("%" PRIu64 " image%s: %" PRIu64 " unchanged", c->n_images,
	       c->n_images == 1 ? "" : "s", c->n_unchanged);
	print_count(c->n_new, "new");
	print_count(c->n_changed, "changed");
	print_count(c->n_moved, "moved");
	print_count(c->n_vanished, "vanished");
	print_count(c->n_away, "away");
	print_count(c->n_in_motion, "in motion");
	print_count(c->n_unreadable, "unreadable");
	printf("  [%.1f s]\n", seconds);
}

static void put_sync(const struct tool_args *args, const struct sync_counts *c, double seconds)
{
	json_t *object = object_of_catalog(args);

	tool_json_set_number(object, "images", c->n_images);
	tool_json_set_number(object, "unchanged", c->n_unchanged);
	tool_json_set_number(object, "new", c->n_new);
	tool_json_set_number(object, "changed", c->n_changed);
	tool_json_set_number(object, "moved", c->n_moved);
	tool_json_set_number(object, "vanished", c->n_vanished);
	tool_json_set_number(object, "away", c->n_away);
	tool_json_set_number(object, "in_motion", c->n_in_motion);
	tool_json_set_number(object, "unreadable", c->n_unreadable);
	json_object_set_new(object, "seconds", json_real(seconds));
	tool_json_put(object);
}

int cmd_catalog_sync(const struct tool_args *args)
{
	struct catalog_store *store;
	struct sync_counts counts = {0};
	double start = tool_now();
	int exit_code = open_catalog(args, CATALOG_MAKE, &store);

	if (exit_code)
		return exit_code;
	tool_signals_defer();
	exit_code = catalog_sync(args, store, &counts);
	catalog_close(store);
	if (tool_json_is_on())
		put_sync(args, &counts, tool_now() - start);
	else
		print_sync(&counts, tool_now() - start);
	return exit_code;
}

/* ---- status ---- */

static int put_root(void *user, const struct catalog_root *root, struct vd_error *err)
{
	json_t *object = tool_json_object(root->path);
	char text[TOOL_TIME_TEXT];

	(void)err;
	tool_json_set_text(object, "synced", tool_time_format(root->synced, text));
	json_object_set_new(object, "complete", json_boolean(root->is_complete));
	tool_json_set_number(object, "images", root->n_images);
	json_array_append_new(user, object);
	return 0;
}

static int put_unreadable(void *user, const struct catalog_image *image, struct vd_error *err)
{
	json_t *object = tool_json_object(image->path);

	(void)err;
	tool_json_set_text(object, "error", image->error);
	json_array_append_new(user, object);
	return 0;
}

static int put_status(const struct tool_args *args, struct catalog_store *store,
		      const struct catalog_counts *counts, struct vd_error *err)
{
	json_t *object = object_of_catalog(args), *roots = json_array(), *unreadable = json_array();
	int rc = store->ops->each_root(store, put_root, roots, err);

	if (!rc)
		rc = store->ops->each_unreadable(store, put_unreadable, unreadable, err);
	tool_json_set_number(object, "images", counts->n_images);
	tool_json_set_number(object, "with_file_index", counts->n_indexed);
	tool_json_set_number(object, "values", counts->n_values);
	tool_json_set_number(object, "paths", counts->n_paths);
	tool_json_set_number(object, "bytes", counts->bytes);
	json_object_set_new(object, "folders", roots);
	json_object_set_new(object, "unreadable", unreadable);
	if (rc)
		json_decref(object);
	else
		tool_json_put(object);
	return rc;
}

static int print_root(void *user, const struct catalog_root *root, struct vd_error *err)
{
	char text[TOOL_TIME_TEXT];

	(void)user;
	(void)err;
	printf("  %s  %8" PRIu64 " images  ", tool_time_format(root->synced, text), root->n_images);
	tool_print_safe(stdout, root->path);
	puts(root->is_complete ? "" : "  (not all of it)");
	return 0;
}

static int print_unreadable(void *user, const struct catalog_image *image, struct vd_error *err)
{
	(void)user;
	(void)err;
	fputs("  unreadable: ", stdout);
	tool_print_safe(stdout, image->path);
	fputs(": ", stdout);
	tool_print_safe(stdout, image->error);
	putchar('\n');
	return 0;
}

static int print_status(const struct tool_args *args, struct catalog_store *store,
			const struct catalog_counts *counts, struct vd_error *err)
{
	char size[TOOL_SIZE_TEXT];
	int rc;

	tool_print_safe(stdout, args->text[OPT_CATALOG]);
	printf("   %" PRIu64 " images (%" PRIu64 " unreadable), %" PRIu64
	       " with a file index; %" PRIu64 " values, %" PRIu64 " paths of files; %s\n",
	       counts->n_images, counts->n_unreadable, counts->n_indexed, counts->n_values,
	       counts->n_paths, tool_size_format(counts->bytes, size));
	rc = store->ops->each_root(store, print_root, NULL, err);
	return rc ? rc : store->ops->each_unreadable(store, print_unreadable, NULL, err);
}

int cmd_catalog_status(const struct tool_args *args)
{
	struct catalog_store *store;
	struct catalog_counts counts = {0};
	struct vd_error err = VD_ERROR_INIT;
	int exit_code = open_catalog(args, CATALOG_READ, &store), rc;

	if (exit_code)
		return exit_code;
	rc = store->ops->begin_reading(store, &err);
	if (!rc)
		rc = store->ops->count(store, &counts, &err);
	if (!rc)
		rc = (tool_json_is_on() ? put_status : print_status)(args, store, &counts, &err);
	if (!rc)
		rc = store->ops->end_reading(store, &err);
	catalog_close(store);
	return rc ? tool_fail(args->text[OPT_CATALOG], &err) : TOOL_DONE;
}

/* ---- prune ---- */

struct pruning {
	struct catalog_bits gone;
	uint64_t n;
};

static bool is_gone(const char *path)
{
	struct stat st;

	return lstat(path, &st) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

static int look_for_gone(void *user, const struct catalog_image *image, struct vd_error *err)
{
	struct pruning *pruning = user;

	if (!is_gone(image->path))
		return 0;
	pruning->n++;
	return catalog_bits_set(&pruning->gone, image->id)
		   ? 0
		   : vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
}

static int find_lost_root(void *user, const struct catalog_root *root, struct vd_error *err)
{
	char **lost = user;

	(void)err;
	if (!is_gone(root->path))
		return 0;
	*lost = strdup(root->path);
	return 1;
}

static int drop_lost_roots(struct catalog_store *store, struct vd_error *err)
{
	char *lost = NULL;
	int rc;

	while ((rc = store->ops->each_root(store, find_lost_root, &lost, err)) == 1 && lost) {
		rc = store->ops->drop_root(store, lost, err);
		free(lost);
		lost = NULL;
		if (rc)
			break;
	}
	return rc;
}

static int prune(struct catalog_store *store, struct pruning *pruning, struct vd_error *err)
{
	int rc = store->ops->begin(store, err);

	if (rc)
		return rc;
	rc = store->ops->each_image(store, NULL, look_for_gone, pruning, err);
	for (int64_t id = catalog_bits_next(&pruning->gone, 0); !rc && id >= 0;
	     id = catalog_bits_next(&pruning->gone, id + 1))
		rc = store->ops->drop(store, id, err);
	if (!rc)
		rc = drop_lost_roots(store, err);
	if (rc)
		store->ops->rollback(store);
	else
		rc = store->ops->commit(store, err);
	return rc ? rc : store->ops->clean(store, err);
}

static void put_prune(const struct tool_args *args, const struct pruning *pruning, uint64_t before,
		      uint64_t after)
{
	json_t *object = object_of_catalog(args);

	tool_json_set_number(object, "dropped", pruning->n);
	tool_json_set_number(object, "bytes_before", before);
	tool_json_set_number(object, "bytes", after);
	tool_json_put(object);
}

int cmd_catalog_prune(const struct tool_args *args)
{
	struct catalog_store *store;
	struct catalog_counts before = {0}, after = {0};
	struct pruning pruning = {{NULL, 0}, 0};
	struct vd_error err = VD_ERROR_INIT;
	char was[TOOL_SIZE_TEXT], is[TOOL_SIZE_TEXT];
	int exit_code = open_catalog(args, CATALOG_WRITE, &store), rc;

	if (exit_code)
		return exit_code;
	rc = store->ops->count(store, &before, &err);
	if (!rc)
		rc = prune(store, &pruning, &err);
	if (!rc)
		rc = store->ops->count(store, &after, &err);
	catalog_close(store);
	catalog_bits_free(&pruning.gone);
	if (rc)
		return tool_fail(args->text[OPT_CATALOG], &err);
	if (tool_json_is_on())
		put_prune(args, &pruning, before.bytes, after.bytes);
	else
		printf("%" PRIu64 " images dropped, %s -> %s\n", pruning.n,
		       tool_size_format(before.bytes, was), tool_size_format(after.bytes, is));
	return TOOL_DONE;
}
