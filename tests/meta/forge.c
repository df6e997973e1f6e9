/* SPDX-License-Identifier: MIT */
/*
 * What somebody can do to the metadata of a VHDX who computes all digests anew; written from
 * docs/metadata-format.md alone. Texts keep their length; records that are deflated are refused.
 *
 *   forge document IMAGE KEY OLD NEW   text of a document
 *   forge facts IMAGE OLD NEW          texts of the facts, and of their directory
 *   forge group IMAGE VALUE N          group of the first fact that has this value
 *   forge digest IMAGE NAME            a bit of the digest that the directory has of a record
 *   forge length IMAGE N               number of the history's last entry, as the facts tell it
 *   forge entry IMAGE N OFFSET         a bit of entry N (from 1); only the envelope is made anew
 *   forge cut IMAGE N                  the last N entries go; only the envelope is made anew
 *   forge history IMAGE OLD NEW [N]    text of entries, N of them cut off: chain and facts anew
 */
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include <vdisk/disk.h>
#include <vdisk/item.h>

#define SPACE     "bfdfeaad-6dde-40f2-af3c-a2b2e53c68ba"
#define HEAD      152u /* of an envelope, without its texts */
#define FACTS     64u  /* head of the facts */
#define DIR_ENTRY 72u
#define FACT      16u
#define ENTRY     112u /* of the history, with its digest */

struct box {
	struct vd_disk *disk;
	struct vd_item item;
	uint8_t *bytes; /* of the item */
	uint32_t head;  /* bytes of it before the record */
};

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "forge: %s: %s\n", what, why);
	exit(1);
}

static uint64_t get(const uint8_t *p, unsigned n)
{
	uint64_t value = 0;

	while (n--)
		value = value << 8 | p[n];
	return value;
}

static void put(uint8_t *p, unsigned n, uint64_t value)
{
	for (unsigned i = 0; i < n; i++, value >>= 8)
		p[i] = (uint8_t)value;
}

static void load(struct box *box, struct vd_disk *disk, const char *key)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_item *items;
	uuid_t space, id;
	size_t n;

	memset(box, 0, sizeof(*box));
	box->disk = disk;
	uuid_parse(SPACE, space);
	uuid_generate_sha1(id, space, key, strlen(key));
	if (vd_disk_list_items(disk, &items, &n, &err))
		die(key, err.text);
	for (size_t i = 0; i < n; i++)
		if (!memcmp(items[i].id, id, 16))
			box->item = items[i];
	vd_items_free(items);
	if (box->item.length < HEAD)
		die(key, "there is no such record");
	box->bytes = malloc(box->item.length + 1);
	if (!box->bytes || vd_disk_read_item(disk, id, box->bytes, box->item.length, 0, &err))
		die(key, err.text);
	box->head = (uint32_t)get(box->bytes + 10, 2);
	if (box->bytes[13] || get(box->bytes + 20, 4) != 1 || box->head > box->item.length)
		die(key, "deflated, or in parts");
}

static uint8_t *raw(const struct box *box)
{
	return box->bytes + box->head;
}

static size_t raw_len(const struct box *box)
{
	return box->item.length - box->head;
}

/* Lengths and digests of the envelope, then into the image. */
static void store(struct box *box)
{
	struct vd_item_change change = {.flags = box->item.flags};
	struct vd_error err = VD_ERROR_INIT;
	crypto_generichash_state state;
	uint8_t *b = box->bytes;

	put(b + 24, 8, raw_len(box));
	put(b + 32, 8, raw_len(box));
	put(b + 40, 8, raw_len(box));
	crypto_generichash(b + 48, 32, raw(box), raw_len(box), NULL, 0);
	memcpy(b + 80, b + 48, 32);
	crypto_generichash_init(&state, NULL, 0, 32);
	crypto_generichash_update(&state, b, 120);
	crypto_generichash_update(&state, b + HEAD, box->head - HEAD);
	crypto_generichash_final(&state, b + 120, 32);
	memcpy(change.id, box->item.id, 16);
	change.length = box->item.length;
	change.data = b;
	if (vd_disk_change_items(box->disk, &change, 1, &err))
		die("change", err.text);
	free(b);
}

/* Each OLD in a stretch becomes NEW. Texts of the facts end with a NUL, which is asked for too. */
static void replace(uint8_t *p, size_t len, const char *old, const char *new, bool is_whole)
{
	size_t size = strlen(old), n = 0;

	if (size != strlen(new))
		die(new, "has another length");
	for (size_t i = 0; i + size + is_whole <= len; i++) {
		if (memcmp(p + i, old, size + is_whole) != 0 || (is_whole && i && p[i - 1] != '\0'))
			continue;
		memcpy(p + i, new, size);
		n++;
	}
	if (!n)
		die(old, "isn't there");
}

/* ---- facts ---- */

static uint8_t *directory(const struct box *facts, size_t i)
{
	return raw(facts) + FACTS + i * DIR_ENTRY;
}

static const char *text(const struct box *facts, const uint8_t *place)
{
	uint64_t n_texts = get(raw(facts) + 16, 4);

	return (const char *)raw(facts) + raw_len(facts) - n_texts + get(place, 4);
}

static uint8_t *find_in_directory(const struct box *facts, const char *name)
{
	for (size_t i = 0; i < get(raw(facts) + 8, 4); i++) {
		uint8_t *e = directory(facts, i);

		if (!strcmp(text(facts, e + 56), name) || !strcmp(text(facts, e + 60), name))
			return e;
	}
	die(name, "isn't in the directory");
}

static void set_group(struct box *facts, const char *value, uint32_t group)
{
	uint8_t *fact = directory(facts, get(raw(facts) + 8, 4));

	for (size_t i = 0; i < get(raw(facts) + 12, 4); i++, fact += FACT) {
		if (!strcmp(text(facts, fact + 4), value)) {
			put(fact + 12, 4, group);
			return;
		}
	}
	die(value, "isn't a fact");
}

/* ---- history ---- */

static uint8_t *find_entry(const struct box *history, unsigned long number)
{
	uint8_t *at = raw(history), *end = at + raw_len(history);

	for (; end - at >= ENTRY; at += get(at, 4))
		if (get(at + 8, 8) == number)
			return at;
	die("entry", "there is no such one");
}

static uint64_t last_number(const struct box *history)
{
	uint8_t *at = raw(history), *end = at + raw_len(history);
	uint64_t number = 0;

	for (; end - at >= ENTRY; at += get(at, 4))
		number = get(at + 8, 8);
	return number;
}

static void cut(struct box *history, unsigned long n)
{
	uint64_t last = last_number(history);

	if (n)
		history->item.length =
		    (uint32_t)(find_entry(history, last - n + 1) - history->bytes);
}

/* Link by link; then what the facts tell of it. */
static void make_anew(struct box *history, struct box *facts)
{
	uint8_t *at = raw(history), *end = at + raw_len(history), link[32];
	uint8_t *e = find_in_directory(facts, "history");

	memcpy(link, at + 32, 32);
	for (; end - at >= ENTRY; at += get(at, 4)) {
		size_t n = get(at, 4);

		memcpy(at + 32, link, 32);
		crypto_generichash(link, 32, at, n - 32, NULL, 0);
		memcpy(at + n - 32, link, 32);
	}
	put(raw(facts) + 24, 8, last_number(history));
	memcpy(raw(facts) + 32, link, 32);
	put(e + 8, 8, raw_len(history));
	put(e + 16, 8, history->item.length);
	crypto_generichash(e + 24, 32, raw(history), raw_len(history), NULL, 0);
}

static void forge_facts(struct vd_disk *disk, const char *verb, char **arg)
{
	struct box facts;

	load(&facts, disk, "facts");
	if (!strcmp(verb, "facts"))
		replace(raw(&facts), raw_len(&facts), arg[0], arg[1], true);
	else if (!strcmp(verb, "group"))
		set_group(&facts, arg[0], (uint32_t)atoi(arg[1]));
	else if (!strcmp(verb, "digest"))
		find_in_directory(&facts, arg[0])[24] ^= 1;
	else if (!strcmp(verb, "length"))
		put(raw(&facts) + 24, 8, strtoull(arg[0], NULL, 10));
	else
		die(verb, "not known");
	store(&facts);
}

static void forge_history(struct vd_disk *disk, const char *verb, char **arg)
{
	struct box history, facts;

	load(&history, disk, "history");
	if (!strcmp(verb, "entry")) {
		uint8_t *at = find_entry(&history, strtoul(arg[0], NULL, 10));
		long offset = atol(arg[1]);

		at[offset < 0 ? (long)get(at, 4) + offset : offset] ^= 0x10;
	} else if (!strcmp(verb, "cut")) {
		cut(&history, strtoul(arg[0], NULL, 10));
	} else {
		load(&facts, disk, "facts");
		replace(raw(&history), raw_len(&history), arg[0], arg[1], false);
		cut(&history, arg[2] ? strtoul(arg[2], NULL, 10) : 0);
		make_anew(&history, &facts);
		store(&facts);
	}
	store(&history);
}

static void forge_document(struct vd_disk *disk, char **arg)
{
	struct box document;

	load(&document, disk, arg[0]);
	replace(raw(&document), raw_len(&document), arg[1], arg[2], false);
	store(&document);
}

int main(int argc, char **argv)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	const char *verb = argc > 3 ? argv[1] : "";
	struct vd_disk *disk;
	/* Operands that are missing end the program by a message, not by a fault. */
	char *arg[4] = {"", "", NULL, NULL};

	for (int i = 3; i < argc && i < 7; i++)
		arg[i - 3] = argv[i];
	opts.flags = VD_OPEN_NO_PARENTS | VD_OPEN_WRITE;
	if (argc < 4 || vd_disk_open(&disk, argv[2], &opts, &err))
		die(argc < 4 ? "operands" : argv[2], argc < 4 ? "too few" : err.text);
	if (!strcmp(verb, "document") && arg[2])
		forge_document(disk, arg);
	else if (!strcmp(verb, "entry") || !strcmp(verb, "cut") || !strcmp(verb, "history"))
		forge_history(disk, verb, arg);
	else
		forge_facts(disk, verb, arg);
	if (vd_disk_close(disk, &err))
		die("close", err.text);
	return 0;
}
