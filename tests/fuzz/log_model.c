/* SPDX-License-Identifier: MIT */
/* See log_model.h. */
#include "log_model.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "fuzz.h"

struct entry {
	bool is_valid;
	uint64_t seq;
	uint32_t n_sectors, tail, n_descs;
};

static const uint8_t *sector(const struct log_model *m, uint64_t i)
{
	return m->log + i % m->n_sectors * 4096;
}

static const uint8_t *desc(const struct log_model *m, uint32_t at, uint32_t i)
{
	return sector(m, at + (64 + 32 * (uint64_t)i) / 4096) + (64 + 32 * (uint64_t)i) % 4096;
}

static bool crc_is_right(const struct log_model *m, uint32_t at, uint32_t n_sectors)
{
	uint8_t *copy = malloc((size_t)n_sectors * 4096);
	bool is_right;

	FUZZ_CHECK(copy, "no memory");
	for (uint32_t i = 0; i < n_sectors; i++)
		memcpy(copy + (size_t)i * 4096, sector(m, at + i), 4096);
	is_right =
	    vd_crc32c_without(copy, (size_t)n_sectors * 4096, 4) == fuzz_get(sector(m, at) + 4, 4);
	free(copy);
	return is_right;
}

static struct entry read_entry(const struct log_model *m, uint32_t at)
{
	const uint8_t *p = sector(m, at);
	uint64_t len = fuzz_get(p + 8, 4), tail = fuzz_get(p + 12, 4), n = fuzz_get(p + 24, 4);
	struct entry e = {false, fuzz_get(p + 16, 8), (uint32_t)(len / 4096),
			  (uint32_t)(tail / 4096), (uint32_t)n};
	uint64_t n_desc_sectors = (64 + 32 * n + 4095) / 4096, n_data = 0;

	if (memcmp(p, "loge", 4) != 0 || memcmp(p + 32, m->log_id, 16) != 0 || !e.seq || !len ||
	    len % 4096 || e.n_sectors > m->n_sectors || tail % 4096 || e.tail >= m->n_sectors ||
	    n_desc_sectors > e.n_sectors)
		return e;
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *d = desc(m, at, i);

		if (memcmp(d, "desc", 4) != 0 && memcmp(d, "zero", 4) != 0)
			return e;
		if (fuzz_get(d + 24, 8) != e.seq)
			return e;
		n_data += d[0] == 'd';
	}
	if (n_desc_sectors + n_data != e.n_sectors)
		return e;
	for (uint64_t i = n_desc_sectors; i < e.n_sectors; i++) {
		const uint8_t *d = sector(m, at + i);

		if (memcmp(d, "data", 4) != 0 || fuzz_get(d + 4, 4) != e.seq >> 32 ||
		    fuzz_get(d + 4092, 4) != (uint32_t)e.seq)
			return e;
	}
	e.is_valid = crc_is_right(m, at, e.n_sectors);
	return e;
}

static void add_writes(struct log_model *m, uint32_t at, const struct entry *e)
{
	uint64_t log_end = m->log_off + (uint64_t)m->n_sectors * 4096;
	uint64_t data = at + (64 + 32 * (uint64_t)e->n_descs + 4095) / 4096;

	for (uint32_t i = 0; i < e->n_descs && m->n_writes < LOG_WRITES_MAX; i++) {
		const uint8_t *d = desc(m, at, i);
		struct log_write *w = &m->writes[m->n_writes++];

		bool is_data = d[0] == 'd';

		w->off = fuzz_get(d + 16, 8);
		w->len = is_data ? 4096 : fuzz_get(d + 8, 8);
		if (w->off % 4096 || w->len % 4096 || w->off < 196608 ||
		    w->off > (uint64_t)128 << 40 || w->len > ((uint64_t)128 << 40) - w->off ||
		    (w->len && w->off < log_end && w->off + w->len > m->log_off))
			m->is_refused = true;
		w->desc = d;
		w->data = is_data ? sector(m, data++) : NULL;
	}
}

/* Follow the run of entries that begins at `at`; is the head's Tail one of them? */
static bool follow(const struct log_model *m, const struct entry *all, uint32_t at, uint32_t *head,
		   uint32_t *tail)
{
	bool is_in_run[LOG_SECTORS_MAX] = {false};
	uint32_t next = at;

	do {
		at = next;
		is_in_run[at] = true;
		next = (at + all[at].n_sectors) % m->n_sectors;
	} while (!is_in_run[next] && all[next].is_valid && all[next].seq == all[at].seq + 1);
	*head = at;
	*tail = all[at].tail;
	return is_in_run[*tail];
}

void log_model_read(struct log_model *m)
{
	struct entry all[LOG_SECTORS_MAX];
	uint32_t first = 0, last = 0;

	for (uint32_t i = 0; i < m->n_sectors; i++)
		all[i] = read_entry(m, i);
	for (uint32_t i = 0; i < m->n_sectors; i++) {
		uint32_t head, tail;

		if (!all[i].is_valid || !follow(m, all, i, &head, &tail) ||
		    (m->has_sequence && all[head].seq < m->seq))
			continue;
		if (m->has_sequence && all[head].seq == m->seq) {
			m->is_ambiguous |= head != last;
			continue;
		}
		m->has_sequence = true;
		m->is_ambiguous = false;
		m->seq = all[head].seq;
		first = tail;
		last = head;
	}
	if (!m->has_sequence)
		return;
	m->flushed_off = fuzz_get(sector(m, last) + 48, 8);
	m->last_off = fuzz_get(sector(m, last) + 56, 8);
	m->writes = calloc(LOG_WRITES_MAX, sizeof(*m->writes));
	FUZZ_CHECK(m->writes, "no memory");
	for (uint32_t i = first;; i = (i + all[i].n_sectors) % m->n_sectors) {
		add_writes(m, i, &all[i]);
		if (i == last)
			return;
	}
}

void log_write_page(const struct log_write *w, uint8_t page[4096])
{
	if (!w->data) {
		memset(page, 0, 4096);
		return;
	}
	memcpy(page, w->data, 4096);
	memcpy(page, w->desc + 8, 8);
	memcpy(page + 4092, w->desc + 4, 4);
}

void log_model_free(struct log_model *m)
{
	free(m->writes);
}
