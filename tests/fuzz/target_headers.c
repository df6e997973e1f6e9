/* SPDX-License-Identifier: MIT */
/*
 * Both headers. Input: flags, then the 80 meaningful bytes of each header, then reserved bytes.
 * Property: what is chosen has a right checksum and is the newer one; its fields keep the rules
 * of MS-VHDX 2.2.2; encoding it again and decoding that gives the same; a slot with a wrong
 * checksum is never chosen; short input is refused.
 */
#include <stdlib.h>
#include <string.h>

#include "format/vhdx/vhdx_layout.h"
#include "fuzz.h"
#include "vhdxgen.h"

#define FIELDS 80u

static void check_chosen(const struct vhdx_headers *h, const bool *is_good)
{
	const struct vhdx_header *chosen = &h->slot[h->current], *other = &h->slot[!h->current];
	bool has_log;

	FUZZ_CHECK(h->current == 0 || h->current == 1, "slot %d", h->current);
	FUZZ_CHECK(is_good[h->current], "slot %d has a wrong checksum", h->current);
	if (is_good[!h->current])
		FUZZ_CHECK(chosen->seq >= other->seq, "the older header was chosen");
	FUZZ_CHECK(chosen->version == 1 && chosen->log_version == 0, "version %u, log %u",
		   chosen->version, chosen->log_version);
	has_log = !vd_guid_is_nil(chosen->log_id);
	FUZZ_CHECK(chosen->log_len || !has_log, "a log to replay, of no length");
	FUZZ_CHECK(chosen->log_len % GEN_MIB == 0, "log length %u", chosen->log_len);
	if (chosen->log_len)
		FUZZ_CHECK(chosen->log_off % GEN_MIB == 0 && chosen->log_off >= GEN_MIB &&
			       chosen->log_off + chosen->log_len <= INT64_MAX,
			   "log offset %llu", (unsigned long long)chosen->log_off);
	fuzz_deep();
}

static void check_round_trip(const struct vhdx_header *header)
{
	uint8_t bytes[VHDX_HEADER_SIZE];
	struct vhdx_header again;

	vhdx_header_encode(header, bytes);
	FUZZ_CHECK(vhdx_header_decode(vd_span(bytes, sizeof(bytes)), &again),
		   "what was encoded isn't valid");
	again.checksum = header->checksum;
	FUZZ_CHECK(memcmp(&again, header, sizeof(again)) == 0, "encoding changes the header");
}

static void run(const uint8_t *data, size_t size)
{
	struct feed feed = {data, size};
	uint8_t flags = (uint8_t)feed_int(&feed, 1);
	struct vhdx_headers headers;
	bool is_good[2];

	memset(&headers, 0, sizeof(headers));
	for (int slot = 0; slot < 2; slot++) {
		uint8_t plain[VHDX_HEADER_SIZE] = {0}, *bytes;
		size_t len = flags & 16 ? (flags >> 5) * 40u : sizeof(plain);

		feed_bytes(&feed, plain, FIELDS);
		if (slot == 1)
			feed_bytes(&feed, plain + FIELDS, 64);
		fuzz_seal(plain, sizeof(plain), 4);
		if (flags >> slot & 1)
			plain[4] ^= 1;
		is_good[slot] =
		    !(flags >> slot & 1) && memcmp(plain, "head", 4) == 0 && len == sizeof(plain);
		bytes = fuzz_exact(plain, len);
		headers.is_valid[slot] =
		    vhdx_header_decode(vd_span(bytes, len), &headers.slot[slot]);
		free(bytes);
		FUZZ_CHECK(headers.is_valid[slot] == is_good[slot], "slot %d", slot);
		if (is_good[slot])
			check_round_trip(&headers.slot[slot]);
	}
	if (vhdx_headers_choose(&headers, NULL) == 0)
		check_chosen(&headers, is_good);
}

static void seed(void)
{
	uint8_t data[1 + 2 * FIELDS + 16] = {0};

	for (int slot = 0; slot < 2; slot++) {
		uint8_t *header = data + 1 + (size_t)slot * FIELDS;

		memcpy(header, "head", 4);
		fuzz_put(header + 8, (uint64_t)(7 + slot), 8);
		memset(header + 16, 0x11, 32);
		fuzz_put(header + 66, 1, 2);
		fuzz_put(header + 68, GEN_MIB, 4);
		fuzz_put(header + 72, GEN_MIB, 8);
	}
	fuzz_seed("clean", data, sizeof(data));
	data[0] = 2;
	fuzz_seed("second-bad", data, sizeof(data));
	data[0] = 3;
	fuzz_seed("both-bad", data, sizeof(data));
	data[0] = 16 | 32;
	fuzz_seed("short", data, sizeof(data));
	data[0] = 0;
	memset(data + 1 + 48, 0x77, 16);
	fuzz_seed("dirty", data, sizeof(data));
	data[1 + 8] = 8;
	fuzz_seed("same-number", data, sizeof(data));
	data[1 + 66] = 2;
	data[1 + 8] = 9;
	fuzz_seed("version", data, sizeof(data));
	data[1 + 66] = 1;
	data[1 + 64] = 1;
	fuzz_seed("log-version", data, sizeof(data));
	data[1 + 64] = 0;
	data[1 + 68] = 1;
	fuzz_seed("log-length", data, sizeof(data));
	fuzz_put(data + 1 + 68, 0xfff00000, 4);
	fuzz_seed("log-huge", data, sizeof(data));
	fuzz_put(data + 1 + 68, 0, 4);
	fuzz_seed("log-none", data, sizeof(data));
	fuzz_put(data + 1 + 68, GEN_MIB, 4);
	fuzz_put(data + 1 + 72, 65536, 8);
	fuzz_seed("log-offset", data, sizeof(data));
	memset(data + 1 + 48, 0, 16);
	fuzz_put(data + 1 + 68, 0, 4);
	fuzz_seed("no-log", data, sizeof(data));
}

const struct fuzz_target fuzz_headers = {
    .name = "headers", .run = run, .seed = seed, .max_memory = 65536};
