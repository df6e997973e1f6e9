/* SPDX-License-Identifier: MIT */
/*
 * How a disk is divided, and what stands where. Which table counts is decided as a guest would: a
 * boot sector that belongs to a file system hides any table; an MBR that doesn't announce a GPT
 * hides it.
 */
#include "guest/partition_table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "guest/guest_probe.h"

/* What the caller gets, in one block of memory. */
struct layout_box {
	struct vd_layout layout;
	char problem[sizeof(((struct partition_table *)0)->problem)];
	struct vd_partition partitions[];
};

const char *vd_scheme_name(enum vd_scheme scheme)
{
	static const char *const names[] = {"none", "mbr", "gpt", "hybrid"};

	return (size_t)scheme < sizeof(names) / sizeof(names[0]) ? names[scheme] : "unknown";
}

void partition_problem(struct partition_table *table, const char *fmt, ...)
{
	size_t room = sizeof(table->problem) - table->n_problem;
	va_list ap;
	int n = 0;

	if (table->n_problem && room > 2) {
		memcpy(table->problem + table->n_problem, "; ", 3);
		n = 2;
	}
	va_start(ap, fmt);
	n += vsnprintf(table->problem + table->n_problem + n, room - (size_t)n, fmt, ap);
	va_end(ap);
	if ((size_t)n < room)
		table->n_problem += (size_t)n;
	else /* no room: rather nothing than half a sentence */
		table->problem[table->n_problem] = '\0';
}

struct vd_partition *partition_add(struct partition_table *table, uint32_t number, uint64_t first,
				   uint64_t count)
{
	uint64_t n_sectors = table->disk.length / table->sector_size;
	struct vd_partition *p;

	if (first >= n_sectors) {
		partition_problem(table, "partition %u begins beyond the end of the disk", number);
		return NULL;
	}
	if (count > n_sectors - first) {
		partition_problem(table, "partition %u ends beyond the end of the disk", number);
		count = n_sectors - first;
	}
	if (table->layout.n_partitions == VD_GUEST_MAX_PARTITIONS) {
		partition_problem(table, "partition %u and later ones were left out", number);
		return NULL;
	}
	p = &table->partitions[table->layout.n_partitions++];
	memset(p, 0, sizeof(*p));
	p->number = number;
	p->start = first * table->sector_size;
	p->length = count * table->sector_size;
	p->filesystem.used = VD_UNKNOWN;
	return p;
}

static int by_start(const void *a, const void *b)
{
	const struct vd_partition *p = a, *q = b;

	if (p->start != q->start)
		return p->start < q->start ? -1 : 1;
	return p->number < q->number ? -1 : p->number > q->number;
}

/* Data in two partitions at once. Sorted by start; what contains logical ones doesn't count. */
static void check_overlaps(struct partition_table *table)
{
	const struct vd_partition *last = NULL;

	for (size_t i = 0; i < table->layout.n_partitions; i++) {
		const struct vd_partition *p = &table->partitions[i];

		if (table->is_container[p->number <= 4 ? p->number : 0])
			continue;
		if (last && p->start < last->start + last->length) {
			partition_problem(table, "partitions %u and %u overlap", last->number,
					  p->number);
			return;
		}
		if (!last || p->start + p->length > last->start + last->length)
			last = p;
	}
}

static int whole_disk(struct partition_table *table, struct vd_error *err)
{
	struct vd_partition *p = &table->partitions[0];

	table->layout.scheme = VD_SCHEME_NONE;
	table->layout.n_partitions = 1;
	memset(p, 0, sizeof(*p));
	p->length = table->disk.length;
	return vd_probe_view(&table->disk, &p->filesystem, err);
}

/* A GPT in sectors of the disk, or else of the other usual size: an image of another disk. */
static int read_gpt(struct partition_table *table, bool is_announced, bool *is_found,
		    struct vd_error *err)
{
	uint32_t own = table->disk.sector_size, other = own == 4096 ? 512 : 4096;
	int ret = gpt_read(table, own, is_announced, is_found, err);

	if (ret || *is_found)
		return ret;
	ret = gpt_read(table, other, is_announced, is_found, err);
	if (!ret && *is_found)
		partition_problem(table,
				  "the GPT was made for sectors of %u bytes, the disk's have %u",
				  other, own);
	return ret;
}

static int read_tables(struct partition_table *table, struct vd_error *err)
{
	bool is_boot_sector, is_found = false, is_hybrid, is_announced;
	struct mbr_ondisk mbr = {.code = {0}};
	int ret;

	if (!vd_guest_view_has(&table->disk, 0, sizeof(mbr)))
		return whole_disk(table, err);
	ret = vd_guest_view_read(&table->disk, &mbr, sizeof(mbr), 0, "MBR", err);
	if (!ret)
		ret = vd_probe_is_boot_sector(&table->disk, &is_boot_sector, err);
	if (ret)
		return ret;
	is_announced = mbr_is_protective(&mbr, &is_hybrid);
	if (is_boot_sector && !is_announced)
		return whole_disk(table, err);
	if (is_announced || mbr_is_empty(&mbr) || !mbr_is_plausible(&mbr)) {
		ret = read_gpt(table, is_announced, &is_found, err);
		if (ret)
			return ret;
		if (is_found && !is_announced)
			partition_problem(table, "no protective MBR announces the GPT");
		if (is_found && is_announced && is_hybrid)
			table->layout.scheme = VD_SCHEME_HYBRID;
		if (is_found)
			return 0;
		if (is_announced)
			partition_problem(table, "the MBR announces a GPT, of which no header can "
						 "be used");
	}
	if (!mbr_is_plausible(&mbr))
		return whole_disk(table, err);
	if (mbr_is_empty(&mbr)) {
		/* A table for partitions to come, unless it is only the mark. */
		ret = whole_disk(table, err);
		if (ret || table->partitions[0].filesystem.type[0] || !vd_get32(mbr.signature))
			return ret;
		table->layout.n_partitions = 0;
	}
	return mbr_read(table, &mbr, err);
}

static int probe_all(struct partition_table *table, struct vd_error *err)
{
	int ret = 0;

	for (size_t i = 0; i < table->layout.n_partitions && !ret; i++) {
		struct vd_partition *p = &table->partitions[i];

		if (!table->is_container[p->number <= 4 ? p->number : 0])
			ret = vd_guest_probe(table->disk.disk, p->start, p->length, &p->filesystem,
					     err);
	}
	return ret;
}

int vd_guest_read_layout(struct vd_layout **out, struct vd_disk *disk, struct vd_error *err)
{
	VD_AUTO_FREE struct partition_table *table = vd_calloc(1, sizeof(*table));
	struct layout_box *box;
	size_t n;
	int ret;

	if (!table)
		return vd_no_memory(err, sizeof(*table), "a disk's layout");
	ret = vd_guest_view_init(&table->disk, disk, 0, vd_disk_size(disk), err);
	if (ret)
		return ret;
	table->sector_size = table->disk.sector_size;
	ret = read_tables(table, err);
	n = table->layout.n_partitions;
	if (!ret && table->layout.scheme != VD_SCHEME_NONE) {
		qsort(table->partitions, n, sizeof(table->partitions[0]), by_start);
		check_overlaps(table);
		ret = probe_all(table, err);
	}
	if (ret)
		return ret;
	box = vd_malloc(sizeof(*box) + n * sizeof(box->partitions[0]));
	if (!box)
		return vd_no_memory(err, sizeof(*box) + n * sizeof(box->partitions[0]),
				    "a disk's layout");
	box->layout = table->layout;
	memcpy(box->problem, table->problem, sizeof(box->problem));
	memcpy(box->partitions, table->partitions, n * sizeof(box->partitions[0]));
	box->layout.problem = table->n_problem ? box->problem : NULL;
	box->layout.partitions = box->partitions;
	*out = &box->layout;
	return 0;
}

void vd_layout_free(struct vd_layout *layout)
{
	vd_free(layout);
}
