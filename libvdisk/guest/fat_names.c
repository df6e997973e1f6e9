/* SPDX-License-Identifier: MIT */
/* Entries of FAT's folders. */
#include "guest/fat_names.h"

#include <string.h>

#include "guest/guest_bytes.h"

/* Code page 437 from 0x80 on: what short names are in when nothing else is known. */
static const uint16_t code_page_437[128] = {
    0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef,
    0x00ee, 0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9,
    0x00ff, 0x00d6, 0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa,
    0x00f1, 0x00d1, 0x00aa, 0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb,
    0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557,
    0x255d, 0x255c, 0x255b, 0x2510, 0x2514, 0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f,
    0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559,
    0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580,
    0x03b1, 0x00df, 0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4,
    0x221e, 0x03c6, 0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248,
    0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0,
};

static size_t put_short(char *text, size_t size, size_t n, const uint8_t *p, size_t len,
			bool is_lower)
{
	while (len && p[len - 1] == ' ')
		len--;
	for (size_t i = 0; i < len; i++) {
		uint32_t c = p[i] < 0x80 ? p[i] : code_page_437[p[i] - 0x80];

		if (is_lower && c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		n = vd_guest_text_put(text, size, n, c == '/' ? 0 : c);
	}
	return n;
}

static void short_name(char *text, size_t size, const struct fat_ondisk_entry *entry,
		       uint8_t name_case)
{
	uint8_t name[11];
	size_t n, n_base;

	text[0] = '\0';
	memcpy(name, entry->name, sizeof(name));
	if (name[0] == 0x05) /* stands for 0xe5, which means "deleted" */
		name[0] = 0xe5;
	n_base = put_short(text, size, 0, name, 8, name_case & FAT_CASE_BASE);
	n = vd_guest_text_put(text, size, n_base, '.');
	if (put_short(text, size, n, name + 8, 3, name_case & FAT_CASE_EXT) == n)
		text[n_base] = '\0';
}

static uint8_t short_checksum(const struct fat_ondisk_entry *entry)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < sizeof(entry->name); i++)
		sum = (uint8_t)((sum >> 1 | sum << 7) + entry->name[i]);
	return sum;
}

bool fat_entry_is_item(const struct fat_ondisk_entry *entry)
{
	return entry->name[0] && entry->name[0] != 0xe5 && entry->name[0] != '.' &&
	       entry->name[0] != ' ' && !(entry->attr & FAT_ATTR_LABEL);
}

uint32_t fat_entry_cluster(const struct fat_volume *volume, const struct fat_ondisk_entry *entry)
{
	uint32_t high = volume->geo.bits == 32 ? vd_get16(entry->cluster_high) : 0;

	return high << 16 | vd_get16(entry->cluster_low);
}

void fat_folder_init(struct fat_folder *folder, struct fat_volume *volume, uint32_t cluster)
{
	memset(folder, 0, sizeof(*folder));
	folder->volume = volume;
	folder->is_fixed = !cluster && volume->geo.bits != 32;
	fat_chain_init(&folder->chain, cluster ? cluster : volume->geo.root_cluster, false,
		       UINT64_MAX);
}

/* The piece of the folder that the next entry lies in; VD_ENOENT behind the end. */
static int load_piece(struct fat_folder *folder, struct vd_error *err)
{
	const struct fat_geometry *geo = &folder->volume->geo;
	int ret;

	if (folder->is_fixed) {
		if (folder->at >= geo->root_len)
			return VD_ENOENT;
		folder->piece_at = geo->root + folder->at;
	} else {
		if (folder->at >= FAT_MAX_FOLDER)
			return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
					    "the folder that begins with cluster %u has more than "
					    "%u entries, all that a FAT allows",
					    folder->chain.first, FAT_MAX_FOLDER / 32);
		ret = fat_chain_seek(folder->volume, &folder->chain, folder->at, err);
		if (ret)
			return ret;
		folder->piece_at =
		    fat_cluster_at(geo, folder->chain.cluster) + folder->at % geo->cluster_size;
	}
	return vd_guest_view_read(&folder->volume->view, folder->piece, sizeof(folder->piece),
				  folder->piece_at, "folder", err);
}

/* A part of a long name; the last part comes first. */
static void take_long(struct fat_folder *folder, const struct fat_ondisk_long *part)
{
	unsigned int number = part->number & ~FAT_LONG_LAST;
	uint8_t *to;

	if (part->number & FAT_LONG_LAST && number >= 1 && number <= 20) {
		folder->n_parts = folder->n_missing = number;
		folder->checksum = part->checksum;
	} else if (!folder->n_missing || number != folder->n_missing ||
		   part->checksum != folder->checksum) {
		folder->n_parts = 0;
	}
	if (!folder->n_parts || !number) {
		folder->n_parts = folder->n_missing = 0;
		return;
	}
	to = folder->units + (number - 1) * 2 * (size_t)FAT_LONG_UNITS;
	memcpy(to, part->units_1, 10);
	memcpy(to + 10, part->units_2, 12);
	memcpy(to + 22, part->units_3, 4);
	folder->n_missing = number - 1;
}

static void name_item(struct fat_folder *folder, struct fat_item *item)
{
	const struct fat_ondisk_entry *entry = &item->entry;
	bool is_long =
	    folder->n_parts && !folder->n_missing && folder->checksum == short_checksum(entry);

	short_name(item->alias, sizeof(item->alias), entry, 0);
	if (is_long)
		vd_guest_text_utf16(item->name, sizeof(item->name), folder->units,
				    folder->n_parts * 2 * (size_t)FAT_LONG_UNITS, false);
	if (!is_long || !fat_is_good_name(item->name))
		short_name(item->name, sizeof(item->name), entry, entry->name_case);
}

int fat_folder_next(struct fat_folder *folder, struct fat_item *item, struct vd_error *err)
{
	for (;;) {
		uint32_t within = (uint32_t)(folder->at % sizeof(folder->piece));

		if (!within) {
			int ret = load_piece(folder, err);

			if (ret)
				return ret;
		}
		/* Where a fixed folder ends within a sector. */
		if (folder->is_fixed && folder->at >= folder->volume->geo.root_len)
			return VD_ENOENT;
		memcpy(&item->entry, folder->piece + within, sizeof(item->entry));
		item->at = folder->piece_at + within;
		folder->at += sizeof(item->entry);
		if (!item->entry.name[0]) {
			folder->at -= sizeof(item->entry);
			return VD_ENOENT;
		}
		if (item->entry.name[0] != 0xe5 && (item->entry.attr & 0x3f) == FAT_ATTR_LONG) {
			struct fat_ondisk_long part;

			memcpy(&part, &item->entry, sizeof(part));
			take_long(folder, &part);
			continue;
		}
		if (fat_entry_is_item(&item->entry)) {
			name_item(folder, item);
			folder->n_parts = 0;
			return 0;
		}
		folder->n_parts = 0;
	}
}
