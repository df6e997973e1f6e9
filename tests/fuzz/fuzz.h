/* SPDX-License-Identifier: MIT */
/*
 * What the fuzz targets share. A target is a property: run() takes any bytes and either returns
 * or, when the library breaks the property, ends the program by FUZZ_CHECK (or a sanitizer does).
 * libFuzzer runs one target (fuzz_main.c), tests/unit/test_fuzz_corpus.c runs all over the
 * committed corpora, fuzz_replay.c over the files that it is given.
 */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fuzz_target {
	const char *name;
	void (*run)(const uint8_t *data, size_t size);
	/* Inputs are records of so many bytes behind a head of so many; 0: bytes as they come. */
	size_t record, head;
	/* Write the seeds that the corpus began with, by fuzz_seed(). */
	void (*seed)(void);
	/* Memory that the library may hold at once while it works on one input. */
	size_t max_memory;
};

extern const struct fuzz_target fuzz_headers, fuzz_regions, fuzz_metadata, fuzz_locator, fuzz_log,
    fuzz_bat, fuzz_image, fuzz_stateful, fuzz_probe, fuzz_utf16, fuzz_fileindex, fuzz_layout,
    fuzz_fat, fuzz_document, fuzz_envelope, fuzz_facts, fuzz_history, fuzz_control,
    fuzz_layout_document, fuzz_policy, fuzz_query, fuzz_host;
extern const struct fuzz_target *const fuzz_targets[];
extern const size_t n_fuzz_targets;

const struct fuzz_target *fuzz_find(const char *name);
/** Once, before anything else: counts the library's memory from now on. */
void fuzz_init(void);
/** Run one input: exact copy, memory bounded, nothing left behind. True: it went deep. */
bool fuzz_run(const struct fuzz_target *target, const uint8_t *data, size_t size);
/** The input in hand got past signatures and checksums, and was accepted. */
void fuzz_deep(void);
/** Records inserted, removed, doubled, moved, and their numbers set to interesting ones. */
size_t fuzz_mutate(const struct fuzz_target *target, uint8_t *data, size_t size, size_t max,
		   unsigned int seed);

/** Where seeds go; NULL: nowhere. */
extern const char *fuzz_seed_dir;
void fuzz_seed(const char *name, const void *data, size_t size);

#define FUZZ_CHECK(condition, ...)                                                                 \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fuzz_fail(__FILE__, __LINE__, #condition, __VA_ARGS__);                    \
	} while (0)
__attribute__((format(printf, 4, 5), noreturn)) void
fuzz_fail(const char *file, int line, const char *condition, const char *fmt, ...);

/** The input as a stream; zeros behind its end. */
struct feed {
	const uint8_t *p;
	size_t n;
};
uint64_t feed_int(struct feed *feed, size_t n_bytes);
/** Up to `n` of the bytes to come; how many there were. */
size_t feed_bytes(struct feed *feed, void *to, size_t n);

/** Bytes in a heap block of just that size, so that a sanitizer sees one byte too many. */
uint8_t *fuzz_exact(const void *bytes, size_t n);
/** As the library's structures store numbers. */
void fuzz_put(uint8_t *at, uint64_t value, size_t n_bytes);
uint64_t fuzz_get(const uint8_t *at, size_t n_bytes);
/** CRC-32C of a structure whose own field at `field` counts as zero, into that field. */
void fuzz_seal(uint8_t *bytes, size_t len, size_t field);
struct guestgen;
/** Change a guest's disk by records of 8 bytes: region, offset (2), width, value (4). */
void fuzz_guest_patch(struct guestgen *guest, struct feed *records);
/** Well-formed UTF-8 as RFC 3629 has it. */
bool fuzz_is_utf8(const char *text);

#endif
