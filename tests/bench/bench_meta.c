/* SPDX-License-Identifier: MIT */
/*
 * What metadata costs those who look at many images, in one process:
 *   bench_meta make IMAGE             an image of 1 GiB with 20 facts in five documents
 *   bench_meta facts PREFIX N         images a second, on two threads: PREFIX0.vhdx to N-1
 *   bench_meta validate PREFIX N      the same, with each document read and checked by its schema
 *   bench_meta fill IMAGE             documents, and facts, of 256 KiB and more
 *   bench_meta inspect IMAGE          one look at it: time, reads, memory
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include <vdisk/image.h>

#include "bench_rows.h"

#define N_THREADS 2

static const char *const values[][2] = {
    {"title", "Web server, production"},
    {"description", "nginx in front of the shop"},
    {"version", "2026.47"},
    {"vendor", "ACME Hosting"},
    {"os.id", "debian12"},
    {"os.name", "Debian GNU/Linux"},
    {"os.version", "12.5"},
    {"os.arch", "x86_64"},
    {"os.hostname", "web"},
    {"hardware.memory", "2G"},
    {"hardware.cpu.count", "2"},
    {"hardware.arch", "x86_64"},
    {"expires", "2031-01-01"},
    {"starts", "2026-01-01"},
    {"tag", "web"},
    {"tag", "env=prod"},
    {"tag", "team=shop"},
    {"os.codename", "bookworm"},
    {"patched", "2026-11-20"},
};

static struct vd_image *open_image(const char *path, enum vd_purpose purpose)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;

	if (vd_image_open(&image, path, purpose, NULL, NULL, &err))
		fail(path, &err);
	return image;
}

static void close_image(struct vd_image *image)
{
	struct vd_error err = VD_ERROR_INIT;

	if (vd_image_close(image, &err))
		fail("close", &err);
}

static size_t count_facts(struct vd_image *image)
{
	struct vd_error err = VD_ERROR_INIT;
	const struct vd_fact *facts;
	size_t n;

	if (vd_meta_get_facts(vd_image_meta(image), false, &facts, &n, &err))
		fail("facts", &err);
	return n;
}

static void make(const char *path)
{
	struct vd_create_opts opts = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;
	struct vd_meta *meta;

	opts.virtual_size = 1u << 30;
	if (vd_disk_create(path, &opts, &err))
		fail(path, &err);
	image = open_image(path, VD_PURPOSE_EDIT);
	meta = vd_image_meta(image);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		const struct vd_field *field = vd_field_find(values[i][0]);

		if (!field)
			fail(values[i][0], NULL);
		if (vd_meta_set_field(meta, field->name,
				      strcmp(field->name, "tag") != 0 ? VD_FIELD_SET : VD_FIELD_ADD,
				      values[i][1], &err))
			fail(values[i][0], &err);
	}
	if (vd_image_commit(image, "bench", NULL, &err))
		fail("commit", &err);
	printf("%zu facts\n", count_facts(image));
	close_image(image);
}

/* Packages by the thousand, whose versions don't pack well. */
static void fill(const char *path)
{
	static const char head[] = "<content xmlns=\"urn:libvdisk:content:1\"><software>";
	static const char tail[] = "</software></content>";
	struct vd_image *image = open_image(path, VD_PURPOSE_EDIT);
	struct vd_meta_info info = {.size = sizeof(info)};
	struct vd_error err = VD_ERROR_INIT;
	size_t room = 1u << 20, n = 0;
	char *xml = malloc(room);
	uint64_t x = 88172645463325252u;

	n += (size_t)snprintf(xml, room, "%s", head);
	for (int i = 0; i < 7800; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		n += (size_t)snprintf(xml + n, room - n,
				      "<package>pkg:deb/debian/p%d@1.%016" PRIx64 "</package>", i,
				      x);
	}
	n += (size_t)snprintf(xml + n, room - n, "%s", tail);
	if (vd_meta_set_document(vd_image_meta(image), "content", xml, n, &err) ||
	    vd_image_commit(image, "bench", NULL, &err))
		fail("content", &err);
	vd_meta_get_info(vd_image_meta(image), &info);
	printf("%" PRIu64 " bytes stored\n", info.stored_bytes);
	free(xml);
	close_image(image);
}

/* ---- many ---- */

struct looker {
	const char *prefix;
	int first, n;
	bool validates;
	uint64_t n_facts, n_documents;
};

static void validate(struct looker *l, struct vd_meta *meta)
{
	struct vd_error err = VD_ERROR_INIT;
	const struct vd_record *record;

	for (size_t i = 0; (record = vd_meta_record(meta, i)); i++) {
		char *bytes;
		size_t len;

		if (record->type != VD_RECORD_DOCUMENT)
			continue;
		if (vd_meta_get_document(meta, record->kind, &bytes, &len, &err) ||
		    vd_meta_validate(record->kind, bytes, len, NULL, NULL, &err))
			fail(record->kind, &err);
		vd_meta_free(bytes);
		l->n_documents++;
	}
}

static void *look(void *arg)
{
	struct looker *l = arg;

	for (int i = l->first; i < l->n; i += N_THREADS) {
		struct vd_image *image;
		char path[4096];

		snprintf(path, sizeof(path), "%s%d.vhdx", l->prefix, i);
		image = open_image(path, VD_PURPOSE_INSPECT);
		l->n_facts += count_facts(image);
		if (l->validates)
			validate(l, vd_image_meta(image));
		close_image(image);
	}
	return NULL;
}

static double look_at_all(const char *prefix, int n, bool validates, uint64_t *n_facts)
{
	pthread_t threads[N_THREADS];
	struct looker lookers[N_THREADS];
	double start = seconds(CLOCK_MONOTONIC);

	*n_facts = 0;
	for (int i = 0; i < N_THREADS; i++) {
		lookers[i] = (struct looker){prefix, i, n, validates, 0, 0};
		if (pthread_create(&threads[i], NULL, look, &lookers[i]))
			fail("pthread_create", NULL);
	}
	for (int i = 0; i < N_THREADS; i++) {
		pthread_join(threads[i], NULL);
		*n_facts += lookers[i].n_facts;
	}
	return seconds(CLOCK_MONOTONIC) - start;
}

static void bench_many(const char *prefix, int n, bool validates)
{
	double times[64], target = validates ? 8000 : 20000, cpu, rate;
	char ours[128];
	uint64_t n_facts;

	look_at_all(prefix, n, validates, &n_facts);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	for (int i = 0; i < n_rounds; i++)
		times[i] = look_at_all(prefix, n, validates, &n_facts);
	cpu = (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / n_rounds / n * 1e6;
	rate = n / median(times, n_rounds);
	snprintf(ours, sizeof(ours), "%.0f images/s, %.0f us of CPU and %" PRIu64 " facts each",
		 rate, cpu, n_facts / (uint64_t)n);
	row(validates ? "inspect, and all documents validated, 2 threads"
		      : "inspect in one process, 2 threads",
	    ours, "-", rate / target, validates ? ">= 8,000/s" : ">= 20,000/s", rate >= target);
}

/* ---- one ---- */

static void bench_one(const char *path)
{
	struct vd_io_stats stats = {0};
	struct vd_disk_info info = {.size = sizeof(info)};
	struct rusage usage;
	double times[64], cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), ms, mib;
	size_t n_facts = 0;
	char ours[160];

	for (int i = 0; i < n_rounds; i++) {
		double start = seconds(CLOCK_MONOTONIC);
		struct vd_image *image = open_image(path, VD_PURPOSE_INSPECT);

		n_facts = count_facts(image);
		vd_io_get_stats(vd_disk_io(vd_image_disk(image)), &stats);
		vd_disk_get_info(vd_image_disk(image), &info);
		close_image(image);
		times[i] = seconds(CLOCK_MONOTONIC) - start;
	}
	cpu = (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / n_rounds * 1e3;
	getrusage(RUSAGE_SELF, &usage);
	ms = median(times, n_rounds) * 1e3;
	mib = (double)usage.ru_maxrss / 1024;
	snprintf(ours, sizeof(ours),
		 "%.2f ms (%.2f of CPU), %" PRIu64 " reads, %.0f KiB, %.1f MiB resident", ms, cpu,
		 stats.n_reads, (double)stats.bytes_read / 1024, mib);
	printf("inspect %" PRIu64
	       " TiB with %zu facts|%s|-|%.2f|<= 3 ms, 12 reads, 1 MiB, 16 MiB|%s\n",
	       info.virtual_size >> 40, n_facts, ours, ms / 3,
	       ms <= 3 && stats.n_reads <= 12 && stats.bytes_read <= 1u << 20 && mib <= 16 ? "yes"
											   : "NO");
}

int main(int argc, char **argv)
{
	read_rounds();
	if (argc == 3 && !strcmp(argv[1], "make"))
		make(argv[2]);
	else if (argc == 3 && !strcmp(argv[1], "fill"))
		fill(argv[2]);
	else if (argc == 4 && !strcmp(argv[1], "facts"))
		bench_many(argv[2], atoi(argv[3]), false);
	else if (argc == 4 && !strcmp(argv[1], "validate"))
		bench_many(argv[2], atoi(argv[3]), true);
	else if (argc == 3 && !strcmp(argv[1], "inspect"))
		bench_one(argv[2]);
	else
		return 2;
	return 0;
}
