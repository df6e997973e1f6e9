/* SPDX-License-Identifier: MIT */
#include "vhdxgen.h"

#include <stdlib.h>
#include <string.h>

uint32_t gen_crc32c(const uint8_t *bytes, size_t len)
{
	static uint32_t table[256];
	uint32_t c = ~0u;

	if (!table[1])
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t t = i;

			for (int bit = 0; bit < 8; bit++)
				t = t & 1 ? t >> 1 ^ 0x82f63b78u : t >> 1;
			table[i] = t;
		}
	for (size_t i = 0; i < len; i++)
		c = c >> 8 ^ table[(c ^ bytes[i]) & 0xff];
	return ~c;
}

static void put(uint8_t *at, uint64_t value, int n_bytes)
{
	for (int i = 0; i < n_bytes; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static uint8_t hex_byte(const char *text)
{
	char two[3] = {text[0], text[1], '\0'};

	return (uint8_t)strtoul(two, NULL, 16);
}

void gen_guid(const char *text, uint8_t bytes[16])
{
	/* Where the pairs of digits of the text go. */
	static const int place[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

	for (int i = 0; i < 16; i++) {
		bytes[place[i]] = hex_byte(text);
		text += 2;
		if (*text == '-')
			text++;
	}
}

void vhdxgen_init(struct vhdxgen *g)
{
	memset(g, 0, sizeof(*g));
	memcpy(g->signature, "vhdxfile", 8);
	g->creator = "vhdxgen";
	for (int i = 0; i < 2; i++) {
		g->header[i] = (struct gen_header){
		    .signature = "head",
		    .seq = (uint64_t)(7 + i),
		    .file_write_id = "f0000000-0001-4002-8003-000000000004",
		    .data_write_id = "d0000000-0001-4002-8003-000000000004",
		    .log_id = GEN_NIL,
		    .version = 1,
		    .log_len = 1 << 20,
		    .log_off = GEN_MIB,
		};
		memcpy(g->regions[i].signature, "regi", 4);
	}
	vhdxgen_add_region(g, GEN_BAT, 3 * GEN_MIB, 1 << 20, 1);
	vhdxgen_add_region(g, GEN_METADATA, 2 * GEN_MIB, 1 << 20, 1);
	g->bat_off = 3 * GEN_MIB;
	g->metadata_off = 2 * GEN_MIB;
	memcpy(g->metadata_signature, "metadata", 8);
	vhdxgen_add_item(g, GEN_PARAMS, 65536, 8, 4);
	vhdxgen_add_item(g, GEN_SIZE, 65544, 8, 6);
	vhdxgen_add_item(g, GEN_DISK_ID, 65552, 16, 6);
	vhdxgen_add_item(g, GEN_LOGICAL, 65568, 4, 6);
	vhdxgen_add_item(g, GEN_PHYSICAL, 65572, 4, 6);
	g->block_size = 2 << 20;
	g->virtual_size = 64 * GEN_MIB;
	g->disk_id = "c0000000-0001-4002-8003-000000000004";
	g->logical_sector_size = 512;
	g->physical_sector_size = 4096;
	vhdxgen_add_bat(g, 0, 4 * GEN_MIB | 6);
	vhdxgen_add_bat(g, 5, 6 * GEN_MIB | 6);
	g->file_len = 8 * GEN_MIB;
}

void vhdxgen_init_child(struct vhdxgen *g)
{
	vhdxgen_init(g);
	g->params_flags = 2;
	g->bat[1].entry = 6 * GEN_MIB | 7;
	/* 2 MiB blocks of 512-byte sectors: 2,048 of them to a bitmap. */
	vhdxgen_add_bat(g, 2048, 8 * GEN_MIB | 6);
	vhdxgen_poke(g, 8 * GEN_MIB + 5 * 512, 0x0f);
	g->file_len = 9 * GEN_MIB;
	g->locator_type = GEN_LOC_TYPE;
	g->pair[0].key = "parent_linkage";
	g->pair[0].value = "{d0000000-0001-4002-8003-000000000004}";
	g->pair[1].key = "relative_path";
	g->pair[1].value = ".\\base.vhdx";
	g->n_pairs = 2;
	vhdxgen_add_item(g, GEN_LOCATOR, 69632, 1024, 4);
}

struct gen_item *vhdxgen_item(struct vhdxgen *g, const char *id)
{
	for (uint32_t i = 0; i < g->n_items; i++)
		if (strcmp(g->item[i].id, id) == 0)
			return &g->item[i];
	return NULL;
}

struct gen_item *vhdxgen_add_item(struct vhdxgen *g, const char *id, uint32_t off, uint32_t len,
				  uint32_t flags)
{
	struct gen_item *item = &g->item[g->n_items++];

	*item = (struct gen_item){.id = id, .off = off, .len = len, .flags = flags};
	return item;
}

void vhdxgen_add_region(struct vhdxgen *g, const char *id, uint64_t off, uint32_t len,
			uint32_t flags)
{
	for (int i = 0; i < 2; i++)
		g->regions[i].at[g->regions[i].n++] = (struct gen_region){id, off, len, flags};
}

void vhdxgen_add_bat(struct vhdxgen *g, uint64_t index, uint64_t entry)
{
	g->bat[g->n_bat++] = (struct gen_bat){index, entry};
}

void vhdxgen_poke(struct vhdxgen *g, uint64_t off, uint8_t byte)
{
	g->poke[g->n_pokes++] = (struct gen_poke){off, byte};
}

/* ASCII as UTF-16LE. */
static size_t put_text(uint8_t *at, const char *text)
{
	size_t n = 0;

	for (; text && *text; text++, n += 2)
		put(at + n, (uint8_t)*text, 2);
	return n;
}

static void emit_header(const struct gen_header *h, struct store *store, uint64_t off)
{
	uint8_t bytes[4096] = {0};

	memcpy(bytes, h->signature, 4);
	put(bytes + 8, h->seq, 8);
	gen_guid(h->file_write_id, bytes + 16);
	gen_guid(h->data_write_id, bytes + 32);
	gen_guid(h->log_id, bytes + 48);
	put(bytes + 64, h->log_version, 2);
	put(bytes + 66, h->version, 2);
	put(bytes + 68, h->log_len, 4);
	put(bytes + 72, h->log_off, 8);
	bytes[4095] = h->reserved;
	put(bytes + 4, gen_crc32c(bytes, sizeof(bytes)) ^ h->is_bad, 4);
	store_write(store, bytes, sizeof(bytes), off);
}

static void emit_regions(const struct gen_regions *r, struct store *store, uint64_t off)
{
	static uint8_t bytes[65536];

	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, r->signature, 4);
	put(bytes + 8, r->n + r->n_extra, 4);
	put(bytes + 12, r->reserved, 4);
	bytes[65535] = r->space;
	for (uint32_t i = 0; i < r->n; i++) {
		uint8_t *entry = bytes + 16 + (size_t)32 * i;

		gen_guid(r->at[i].id, entry);
		put(entry + 16, r->at[i].off, 8);
		put(entry + 24, r->at[i].len, 4);
		put(entry + 28, r->at[i].flags, 4);
	}
	put(bytes + 4, gen_crc32c(bytes, sizeof(bytes)) ^ r->is_bad, 4);
	store_write(store, bytes, sizeof(bytes), off);
}

static void fill_locator(const struct vhdxgen *g, uint8_t *bytes)
{
	size_t end = 20 + (size_t)12 * g->n_pairs;

	gen_guid(g->locator_type, bytes);
	put(bytes + 16, g->locator_reserved, 2);
	put(bytes + 18, g->n_pairs + g->n_extra_pairs, 2);
	for (uint32_t i = 0; i < g->n_pairs; i++) {
		const struct gen_pair *pair = &g->pair[i];
		uint8_t *entry = bytes + 20 + (size_t)12 * i;
		size_t key_len = put_text(bytes + end, pair->key), value_len;
		uint8_t *value = bytes + end + key_len;

		value_len = put_text(value, pair->value);
		if (pair->has_nul)
			put(value + value_len - 2, 0, 2);
		if (pair->is_surrogate)
			put(value + value_len - 2, 0xd800, 2);
		put(entry, pair->key_off ? pair->key_off : end, 4);
		put(entry + 4, pair->value_off ? pair->value_off : end + key_len, 4);
		put(entry + 8,
		    pair->key_len ? pair->key_len + (pair->key_len == GEN_EMPTY) : key_len, 2);
		put(entry + 10,
		    pair->value_len ? pair->value_len + (pair->value_len == GEN_EMPTY) : value_len,
		    2);
		end += key_len + value_len;
	}
}

static void fill_item(const struct vhdxgen *g, const struct gen_item *item, uint8_t *bytes)
{
	if (strcmp(item->id, GEN_PARAMS) == 0) {
		put(bytes, g->block_size, 4);
		put(bytes + 4, g->params_flags, 4);
	} else if (strcmp(item->id, GEN_SIZE) == 0) {
		put(bytes, g->virtual_size, 8);
	} else if (strcmp(item->id, GEN_DISK_ID) == 0) {
		gen_guid(g->disk_id, bytes);
	} else if (strcmp(item->id, GEN_LOGICAL) == 0) {
		put(bytes, g->logical_sector_size, 4);
	} else if (strcmp(item->id, GEN_PHYSICAL) == 0) {
		put(bytes, g->physical_sector_size, 4);
	} else if (strcmp(item->id, GEN_LOCATOR) == 0) {
		fill_locator(g, bytes);
	} else {
		memset(bytes, item->fill, item->len);
	}
}

static void emit_metadata(const struct vhdxgen *g, struct store *store)
{
	static uint8_t table[65536];

	memset(table, 0, sizeof(table));
	memcpy(table, g->metadata_signature, 8);
	put(table + 8, g->metadata_reserved, 2);
	put(table + 10, g->n_items + g->n_extra_items, 2);
	for (uint32_t i = 0; i < g->n_items; i++) {
		const struct gen_item *item = &g->item[i];
		uint8_t *entry = table + 32 + (size_t)32 * i, *content;

		gen_guid(item->id, entry);
		put(entry + 16, item->off, 4);
		put(entry + 20, item->len, 4);
		put(entry + 24, item->flags, 4);
		put(entry + 28, item->reserved, 4);
		/* A length that lies needs no content of that length; room for a whole locator. */
		if (!item->len || item->len > GEN_MIB || item->off < 65536 ||
		    item->off + (uint64_t)item->len > GEN_MIB)
			continue;
		content = calloc(1, item->len + (size_t)65536);
		if (!content)
			abort();
		fill_item(g, item, content);
		store_write(store, content, item->len, g->metadata_off + item->off);
		free(content);
	}
	store_write(store, table, sizeof(table), g->metadata_off);
}

static uint32_t n_data(const struct gen_entry *entry)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < entry->n_descs; i++)
		n += !entry->descs[i].is_zero;
	return n;
}

static size_t descs_size(const struct gen_entry *entry)
{
	return (64 + (size_t)32 * entry->n_descs + 4095) / 4096 * 4096;
}

size_t gen_entry_size(const struct gen_entry *entry)
{
	return descs_size(entry) + (size_t)4096 * n_data(entry);
}

static void fill_desc(const struct gen_desc *desc, uint64_t seq, uint64_t data_seq, uint8_t *at,
		      uint8_t **data)
{
	uint8_t page[4096];

	put(at + 16, desc->off, 8);
	put(at + 24, desc->seq ? desc->seq : seq, 8);
	if (desc->is_zero) {
		memcpy(at, "zero", 4);
		put(at + 4, desc->reserved, 4);
		put(at + 8, desc->len, 8);
		return;
	}
	memset(page, desc->fill, sizeof(page));
	if (desc->page)
		memcpy(page, desc->page, sizeof(page));
	memcpy(at, "desc", 4);
	memcpy(at + 4, page + 4092, 4);
	memcpy(at + 8, page, 8);
	memcpy(*data, "data", 4);
	put(*data + 4, data_seq >> 32, 4);
	memcpy(*data + 8, page + 8, 4084);
	put(*data + 4092, data_seq, 4);
	*data += 4096;
}

void gen_entry_emit(const struct gen_entry *entry, const char *log_id, struct store *store,
		    uint64_t log_off, uint32_t log_len)
{
	size_t size = gen_entry_size(entry);
	uint8_t *bytes = calloc(1, size + entry->n_extra_bytes), *data;
	uint64_t data_seq = entry->data_seq ? entry->data_seq : entry->seq;

	if (!bytes)
		abort();
	data = bytes + descs_size(entry);
	memcpy(bytes, entry->signature[0] ? entry->signature : "loge", 4);
	put(bytes + 8, size + entry->n_extra_bytes, 4);
	put(bytes + 12, entry->tail, 4);
	put(bytes + 16, entry->seq, 8);
	put(bytes + 24, entry->n_descs + entry->n_extra_descs, 4);
	put(bytes + 28, entry->reserved, 4);
	gen_guid(entry->log_id ? entry->log_id : log_id, bytes + 32);
	put(bytes + 48, entry->flushed_off, 8);
	put(bytes + 56, entry->last_off, 8);
	for (uint32_t i = 0; i < entry->n_descs; i++)
		fill_desc(&entry->descs[i], entry->seq, data_seq, bytes + 64 + (size_t)32 * i,
			  &data);
	size += entry->n_extra_bytes;
	put(bytes + 4, gen_crc32c(bytes, size) ^ entry->is_bad, 4);
	for (size_t done = 0, run; done < size; done += run) {
		size_t at = (entry->at + done) % log_len;

		run = size - done < log_len - at ? size - done : log_len - at;
		store_write(store, bytes + done, run, log_off + at);
	}
	free(bytes);
}

void vhdxgen_emit(const struct vhdxgen *g, struct store *store)
{
	uint8_t ident[520] = {0};

	store_truncate(store, g->file_len);
	memcpy(ident, g->signature, 8);
	put_text(ident + 8, g->creator);
	store_write(store, ident, sizeof(ident), 0);
	emit_header(&g->header[0], store, 65536);
	emit_header(&g->header[1], store, 131072);
	emit_regions(&g->regions[0], store, 196608);
	emit_regions(&g->regions[1], store, 262144);
	emit_metadata(g, store);
	for (uint32_t i = 0; i < g->n_bat; i++) {
		uint8_t entry[8];

		put(entry, g->bat[i].entry, 8);
		store_write(store, entry, sizeof(entry), g->bat_off + 8 * g->bat[i].index);
	}
	for (uint32_t i = 0; i < g->n_entries; i++)
		gen_entry_emit(&g->entries[i], g->header[0].log_id, store, g->header[0].log_off,
			       g->header[0].log_len);
	for (uint32_t i = 0; i < g->n_pokes; i++)
		store_write(store, &g->poke[i].byte, 1, g->poke[i].off);
	/* Writes behind the end made the file longer. */
	store_truncate(store, g->file_len);
}
