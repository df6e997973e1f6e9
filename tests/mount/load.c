/* SPDX-License-Identifier: MIT */
/*
 * A load that can be verified after the target died under it.
 *   load write TARGET STATE SEED    stamp random places, fsync now and then, until writing fails
 *                                   (exit 0) or SIGTERM comes
 *   load verify TARGET STATE        each sector is as of its last fsync, or newer
 * STATE survives: it holds for each place the generation that was synced and the last one tried.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_PLACES  2048u
#define N_THREADS 2u
#define PLACE     8192u
#define WRITTEN   4096u
#define SECTOR    512u

struct place {
	_Atomic uint32_t synced, tried;
};

static struct place *places;
static int target;
static volatile sig_atomic_t is_stopped;

struct sector {
	uint32_t magic, place, sector, generation;
	uint8_t fill[SECTOR - 16];
};

static void stamp(struct sector *s, uint32_t place, uint32_t sector, uint32_t generation)
{
	*s = (struct sector){0x64616f6c, place, sector, generation, {0}};
	for (size_t i = 0; i < sizeof(s->fill); i++)
		s->fill[i] = (uint8_t)(generation * 31 + place * 7 + sector + i);
}

static bool write_one(uint32_t place)
{
	struct sector sectors[WRITTEN / SECTOR];
	uint32_t generation = places[place].tried + 1;

	for (uint32_t i = 0; i < WRITTEN / SECTOR; i++)
		stamp(&sectors[i], place, i, generation);
	places[place].tried = generation;
	return pwrite(target, sectors, WRITTEN, (off_t)place * PLACE) == WRITTEN;
}

static void *write_many(void *user)
{
	unsigned int seed = (unsigned int)(uintptr_t)user, own = seed % N_THREADS;

	while (!is_stopped) {
		uint32_t batch[16], generations[16];
		size_t n = 1 + (size_t)rand_r(&seed) % 16;

		for (size_t i = 0; i < n; i++) {
			batch[i] =
			    (uint32_t)rand_r(&seed) % (N_PLACES / N_THREADS) * N_THREADS + own;
			if (!write_one(batch[i]))
				return NULL;
		}
		for (size_t i = 0; i < n; i++)
			generations[i] = places[batch[i]].tried;
		if (fsync(target))
			return NULL;
		for (size_t i = 0; i < n; i++)
			places[batch[i]].synced = generations[i];
	}
	return NULL;
}

static bool is_right(uint32_t place, uint32_t i, const struct sector *s)
{
	static const struct sector nothing;
	struct sector want;

	if (!places[place].synced && !memcmp(s, &nothing, sizeof(nothing)))
		return true;
	if (s->generation < places[place].synced || s->generation > places[place].tried ||
	    !s->generation)
		return false;
	stamp(&want, place, i, s->generation);
	return !memcmp(s, &want, sizeof(want));
}

static int verify(void)
{
	unsigned int n_wrong = 0, n_synced = 0;

	for (uint32_t place = 0; place < N_PLACES; place++) {
		struct sector sectors[WRITTEN / SECTOR];

		if (pread(target, sectors, WRITTEN, (off_t)place * PLACE) != WRITTEN) {
			perror("read");
			return 1;
		}
		n_synced += places[place].synced > 0;
		for (uint32_t i = 0; i < WRITTEN / SECTOR; i++) {
			if (is_right(place, i, &sectors[i]))
				continue;
			if (n_wrong++ < 5)
				printf("place %u sector %u: generation %u, synced %u, tried %u\n",
				       place, i, sectors[i].generation, places[place].synced,
				       places[place].tried);
		}
		/* What was there but not synced may be gone with the next crash, not come back. */
		places[place].tried = places[place].tried > sectors[0].generation
					  ? places[place].tried
					  : sectors[0].generation;
	}
	printf("%u of %u places were synced\n", n_synced, N_PLACES);
	return n_wrong ? 1 : 0;
}

static void stop(int sig)
{
	(void)sig;
	is_stopped = 1;
}

int main(int argc, char **argv)
{
	bool is_writing = argc == 5 && !strcmp(argv[1], "write");
	pthread_t threads[N_THREADS];
	int state;

	if (!is_writing && (argc != 4 || strcmp(argv[1], "verify")))
		return 2;
	target = open(argv[2], is_writing ? O_RDWR : O_RDONLY);
	state = open(argv[3], O_RDWR | O_CREAT, 0600);
	if (target < 0 || state < 0 || ftruncate(state, N_PLACES * sizeof(*places))) {
		perror(argv[target < 0 ? 2 : 3]);
		return 2;
	}
	places =
	    mmap(NULL, N_PLACES * sizeof(*places), PROT_READ | PROT_WRITE, MAP_SHARED, state, 0);
	if (places == MAP_FAILED)
		return 2;
	if (!is_writing)
		return verify();
	signal(SIGTERM, stop);
	for (unsigned int i = 0; i < N_THREADS; i++)
		pthread_create(&threads[i], NULL, write_many,
			       (void *)(uintptr_t)((unsigned int)atoi(argv[4]) * N_THREADS + i));
	for (unsigned int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
