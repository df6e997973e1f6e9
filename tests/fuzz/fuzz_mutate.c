/* SPDX-License-Identifier: MIT */
/*
 * Mutation by records: inputs of most targets are a head and records of equal size, and a byte
 * inserted in the middle would only turn all that follow into noise.
 */
#include <string.h>

#include "fuzz.h"
#include "stamp.h"

/* Limits of the format, and numbers on both sides of what is computed with. */
static const uint64_t interesting[] = {0,
				       1,
				       2,
				       3,
				       4,
				       5,
				       6,
				       7,
				       8,
				       16,
				       20,
				       32,
				       64,
				       127,
				       128,
				       255,
				       256,
				       511,
				       512,
				       1023,
				       1024,
				       1025,
				       2047,
				       2048,
				       4095,
				       4096,
				       4097,
				       65535,
				       65536,
				       65537,
				       131072,
				       196608,
				       262144,
				       0xfffff,
				       0x100000,
				       0x100001,
				       0x200000,
				       0x300000,
				       0x400000,
				       0x600000,
				       0x700000,
				       0x800000,
				       0x7fffffff,
				       0x80000000,
				       0xffffffff,
				       0x100000000,
				       (uint64_t)64 << 40,
				       (uint64_t)128 << 40,
				       INT64_MAX,
				       (uint64_t)1 << 63,
				       UINT64_MAX - 0xfffff,
				       UINT64_MAX - 4095,
				       UINT64_MAX};

static void change_number(uint8_t *record, size_t size, uint64_t *random)
{
	static const size_t widths[] = {1, 1, 2, 4, 8};
	size_t width = widths[rnd_below(random, 5)], at;
	uint64_t value;

	if (width > size)
		width = 1;
	at = (size_t)rnd_below(random, size / width) * width;
	value = fuzz_get(record + at, width);
	switch (rnd_below(random, 5)) {
	case 0:
		value =
		    interesting[rnd_below(random, sizeof(interesting) / sizeof(interesting[0]))];
		break;
	case 1:
		value += rnd_below(random, 9) - 4;
		break;
	case 2:
		value ^= (uint64_t)1 << rnd_below(random, 8 * width);
		break;
	case 3:
		value = rnd(random);
		break;
	default:
		value += (uint64_t)1 << rnd_below(random, 8 * width);
		break;
	}
	fuzz_put(record + at, value, width);
}

static size_t insert(uint8_t *data, size_t size, size_t max, size_t at, const uint8_t *record,
		     size_t n)
{
	if (size + n > max)
		return size;
	memmove(data + at + n, data + at, size - at);
	memcpy(data + at, record, n);
	return size + n;
}

size_t fuzz_mutate(const struct fuzz_target *target, uint8_t *data, size_t size, size_t max,
		   unsigned int seed)
{
	uint64_t random = seed;
	size_t n = target->record, n_records, at;
	uint8_t record[64] = {0};

	if (size < target->head || size < n) {
		size = target->head + n < max ? target->head + n : max;
		memset(data, 0, size);
	}
	n_records = (size - target->head) / n;
	if (!n_records || rnd_below(&random, 16) == 0) {
		if (target->head)
			change_number(data, target->head, &random);
		return size;
	}
	at = target->head + (size_t)rnd_below(&random, n_records) * n;
	switch (rnd_below(&random, 8)) {
	case 0: /* a new one */
		for (size_t i = 0; i < n; i++)
			record[i] = (uint8_t)rnd(&random);
		return insert(data, size, max, at, record, n);
	case 1: /* one like another */
		memcpy(record, data + at, n);
		change_number(record, n, &random);
		return insert(data, size, max,
			      target->head + (size_t)rnd_below(&random, n_records + 1) * n, record,
			      n);
	case 2:
		memmove(data + at, data + at + n, size - at - n);
		return size - n;
	case 3: /* exchange two */ {
		size_t other = target->head + (size_t)rnd_below(&random, n_records) * n;

		memcpy(record, data + at, n);
		memmove(data + at, data + other, n);
		memcpy(data + other, record, n);
		return size;
	}
	default:
		change_number(data + at, n, &random);
		return size;
	}
}
