/* SPDX-License-Identifier: MIT */
/* Sets of numbers, packed lists, and the literal parts of patterns; see catalog.h. */
#include <stdlib.h>
#include <string.h>

#include "catalog.h"

bool catalog_bits_set(struct catalog_bits *bits, int64_t n)
{
	size_t at = (size_t)n / 64;

	if (n < 0 || n >= CATALOG_BITS_MAX)
		return false;
	if (at >= bits->n_words) {
		size_t room = at + at / 2 + 16;
		uint64_t *words = realloc(bits->words, room * sizeof(*words));

		if (!words)
			return false;
		memset(words + bits->n_words, 0, (room - bits->n_words) * sizeof(*words));
		bits->words = words;
		bits->n_words = room;
	}
	bits->words[at] |= UINT64_C(1) << (n % 64);
	return true;
}

bool catalog_bits_has(const struct catalog_bits *bits, int64_t n)
{
	size_t at = (size_t)n / 64;

	return n >= 0 && at < bits->n_words && bits->words[at] >> (n % 64) & 1;
}

int64_t catalog_bits_next(const struct catalog_bits *bits, int64_t n)
{
	size_t at;
	uint64_t word;

	if (n < 0)
		n = 0;
	at = (size_t)n / 64;
	if (at >= bits->n_words)
		return -1;
	word = bits->words[at] & UINT64_MAX << (n % 64);
	while (!word) {
		if (++at >= bits->n_words)
			return -1;
		word = bits->words[at];
	}
	return (int64_t)(at * 64) + __builtin_ctzll(word);
}

uint64_t catalog_bits_count(const struct catalog_bits *bits)
{
	uint64_t n = 0;

	for (size_t i = 0; i < bits->n_words; i++)
		n += (uint64_t)__builtin_popcountll(bits->words[i]);
	return n;
}

bool catalog_bits_unite(struct catalog_bits *bits, const struct catalog_bits *more)
{
	if (more->n_words > bits->n_words) {
		uint64_t *words = realloc(bits->words, more->n_words * sizeof(*words));

		if (!words)
			return false;
		memset(words + bits->n_words, 0, (more->n_words - bits->n_words) * sizeof(*words));
		bits->words = words;
		bits->n_words = more->n_words;
	}
	for (size_t i = 0; i < more->n_words; i++)
		bits->words[i] |= more->words[i];
	return true;
}

void catalog_bits_intersect(struct catalog_bits *bits, const struct catalog_bits *other)
{
	for (size_t i = 0; i < bits->n_words; i++)
		bits->words[i] &= i < other->n_words ? other->words[i] : 0;
}

void catalog_bits_free(struct catalog_bits *bits)
{
	free(bits->words);
	*bits = (struct catalog_bits){NULL, 0};
}

/* ---- packing ---- */

static bool make_room(struct catalog_pack *pack, size_t len)
{
	size_t room;
	uint8_t *bytes;

	if (pack->has_failed)
		return false;
	if (pack->room - pack->len >= len)
		return true;
	room = pack->room * 2 + len + 256;
	bytes = realloc(pack->bytes, room);
	if (!bytes) {
		pack->has_failed = true;
		return false;
	}
	pack->bytes = bytes;
	pack->room = room;
	return true;
}

/* Seven bits a byte, the lowest first; the last byte has no eighth bit. */
void catalog_pack_number(struct catalog_pack *pack, uint64_t n)
{
	if (!make_room(pack, 10))
		return;
	for (; n >= 0x80; n >>= 7)
		pack->bytes[pack->len++] = (uint8_t)(n | 0x80);
	pack->bytes[pack->len++] = (uint8_t)n;
}

/* The lowest bit is the sign: small steps in both directions are short. */
void catalog_pack_step(struct catalog_pack *pack, int64_t from, int64_t to)
{
	uint64_t step = (uint64_t)to - (uint64_t)from;

	catalog_pack_number(pack, to >= from ? step << 1 : ((~step + 1) << 1) - 1);
}

void catalog_pack_bytes(struct catalog_pack *pack, const void *bytes, size_t len)
{
	if (!make_room(pack, len) || !len)
		return;
	memcpy(pack->bytes + pack->len, bytes, len);
	pack->len += len;
}

uint64_t catalog_unpack_number(struct catalog_unpack *unpack)
{
	uint64_t n = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte;

		if (unpack->at == unpack->end)
			break;
		byte = *unpack->at++;
		n |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return n;
	}
	unpack->is_wrong = true;
	unpack->at = unpack->end;
	return 0;
}

int64_t catalog_unpack_step(struct catalog_unpack *unpack, int64_t from)
{
	uint64_t step = catalog_unpack_number(unpack);

	return step & 1 ? (int64_t)((uint64_t)from - ((step + 1) >> 1))
			: (int64_t)((uint64_t)from + (step >> 1));
}

/* ---- what a key must hold ---- */

struct text_maker {
	struct catalog_texts *texts;
	size_t len;     /* of texts->room */
	size_t start;   /* of the piece that is being made */
	size_t n_chars; /* of it */
};

static void add_char(struct text_maker *maker, const char *bytes, size_t len)
{
	if (maker->len + len + 1 > sizeof(maker->texts->room))
		return;
	memcpy(maker->texts->room + maker->len, bytes, len);
	maker->len += len;
	maker->n_chars++;
}

/* Shorter pieces can't be looked up. */
static void end_piece(struct text_maker *maker)
{
	struct catalog_texts *texts = maker->texts;

	if (maker->n_chars >= 3 && texts->n < CATALOG_TEXTS_MAX &&
	    maker->len < sizeof(texts->room)) {
		texts->at[texts->n++] = texts->room + maker->start;
		texts->room[maker->len++] = '\0';
	} else {
		maker->len = maker->start;
	}
	maker->start = maker->len;
	maker->n_chars = 0;
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static size_t char_len(const char *s)
{
	size_t n = 1;

	while (((unsigned char)s[n] & 0xc0) == 0x80)
		n++;
	return n;
}

void catalog_texts_of_words(struct catalog_texts *texts, const char *key)
{
	struct text_maker maker = {.texts = texts};

	texts->n = 0;
	while (*key) {
		size_t n = char_len(key);

		/* A space that isn't ASCII may be one to the evaluator: it ends a piece too. */
		if (is_space(*key) || (unsigned char)*key >= 0x80)
			end_piece(&maker);
		else
			add_char(&maker, key, n);
		key += n;
	}
	end_piece(&maker);
}

/* Past a "[...]"; where it doesn't end, the evaluator says so. */
static const char *skip_set(const char *s)
{
	s++;
	if (*s == '!' || *s == '^')
		s++;
	if (*s == ']')
		s++;
	while (*s && *s != ']')
		s += *s == '\\' && s[1] ? 2 : 1;
	return *s ? s + 1 : s;
}

/* Only ASCII: other characters may be folded together with their neighbours. */
void catalog_texts_of_glob(struct catalog_texts *texts, const char *pattern)
{
	struct text_maker maker = {.texts = texts};

	texts->n = 0;
	while (*pattern) {
		char c = *pattern;

		if (c == '[') {
			end_piece(&maker);
			pattern = skip_set(pattern);
			continue;
		}
		if (c == '\\' && pattern[1])
			c = *++pattern;
		else if (c == '*' || c == '?')
			c = ' ';
		/* Two stars and a slash also fit nothing. */
		if (c == ' ' && pattern[1] == '/')
			pattern++;
		if ((unsigned char)c >= 0x80 && maker.n_chars) {
			maker.n_chars--;
			maker.len--;
		}
		if ((unsigned char)c >= 0x80 || is_space(c)) {
			end_piece(&maker);
		} else {
			c = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
			add_char(&maker, &c, 1);
		}
		pattern++;
	}
	end_piece(&maker);
}
