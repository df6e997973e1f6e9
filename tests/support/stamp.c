/* SPDX-License-Identifier: MIT */
/* Stamped data: see stamp.h. */
#include "stamp.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WORDS (STAMP_SECTOR / 8)
#define MAGIC 0x31504d4154534456u /* "VDSTAMP1" */

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

uint64_t rnd(uint64_t *state)
{
	return mix(*state += 0x9e3779b97f4a7c15u);
}

uint64_t rnd_below(uint64_t *state, uint64_t n)
{
	return rnd(state) % n;
}

static void fill_sector(uint64_t w[WORDS], uint64_t lba, uint64_t generation, uint64_t seed)
{
	uint64_t base = mix(mix(mix(lba) + generation) + seed);

	w[0] = MAGIC;
	w[1] = lba;
	w[2] = generation;
	w[3] = seed;
	for (unsigned i = 4; i < WORDS; i++)
		w[i] = base + i * 0x9e3779b97f4a7c15u;
}

void stamp_fill(void *buf, size_t len, uint64_t offset, uint64_t generation, uint64_t seed)
{
	uint64_t words[WORDS];

	if (!generation) {
		memset(buf, 0, len);
		return;
	}
	for (size_t at = 0; at < len; at += STAMP_SECTOR) {
		fill_sector(words, (offset + at) / STAMP_SECTOR, generation, seed);
		memcpy((uint8_t *)buf + at, words, STAMP_SECTOR);
	}
}

static bool is_zero(const void *sector)
{
	static const uint8_t zeros[STAMP_SECTOR];

	return !memcmp(sector, zeros, STAMP_SECTOR);
}

enum stamp_kind stamp_read(const void *sector, struct stamp *found)
{
	uint64_t words[WORDS], want[WORDS];

	memcpy(words, sector, sizeof(words));
	if (words[0] != MAGIC)
		return is_zero(sector) ? STAMP_ZERO : STAMP_BROKEN;
	fill_sector(want, words[1], words[2], words[3]);
	if (memcmp(words, want, sizeof(words)) != 0)
		return STAMP_BROKEN;
	*found = (struct stamp){words[1], words[2], words[3]};
	return STAMP_WHOLE;
}

bool stamp_is(const void *sector, uint64_t lba, uint64_t generation, uint64_t seed)
{
	uint64_t words[WORDS], want;

	if (!generation)
		return is_zero(sector);
	memcpy(words, sector, sizeof(words));
	want = mix(mix(mix(lba) + generation) + seed);
	if (words[0] != MAGIC || words[1] != lba || words[2] != generation || words[3] != seed)
		return false;
	for (unsigned i = 4; i < WORDS; i++)
		if (words[i] != want + i * 0x9e3779b97f4a7c15u)
			return false;
	return true;
}

char *stamp_describe(const void *sector, uint64_t lba, char *text, size_t size)
{
	const uint8_t *b = sector;
	struct stamp found;

	switch (stamp_read(sector, &found)) {
	case STAMP_ZERO:
		snprintf(text, size, "LBA %" PRIu64 " holds zeros", lba);
		break;
	case STAMP_WHOLE:
		snprintf(text, size,
			 "LBA %" PRIu64 " holds LBA %" PRIu64 " of generation %" PRIu64
			 ", seed %" PRIu64,
			 lba, found.lba, found.generation, found.seed);
		break;
	case STAMP_BROKEN:
		snprintf(text, size,
			 "LBA %" PRIu64 " holds bytes of no whole stamp (%02x %02x %02x %02x ... "
			 "%02x %02x)",
			 lba, b[0], b[1], b[2], b[3], b[510], b[511]);
		break;
	}
	return text;
}

bool stamp_verify(const void *buf, size_t len, uint64_t offset, uint64_t generation, uint64_t seed,
		  char *text, size_t size)
{
	for (size_t at = 0; at < len; at += STAMP_SECTOR) {
		const uint8_t *sector = (const uint8_t *)buf + at;
		uint64_t lba = (offset + at) / STAMP_SECTOR;
		char what[160];

		if (stamp_is(sector, lba, generation, seed))
			continue;
		snprintf(text, size, "%s, not generation %" PRIu64 ", seed %" PRIu64,
			 stamp_describe(sector, lba, what, sizeof(what)), generation, seed);
		return false;
	}
	return true;
}
