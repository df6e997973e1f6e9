/* SPDX-License-Identifier: MIT */
/* Paths of a catalog are absolute; they are shown as the folders on the command line are written.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalog.h"
#include "walk.h"

struct place {
	char *real;          /* as the catalog has it */
	const char *written; /* as it was given */
};
struct catalog_places {
	struct place *at;
	size_t n;
	char *path; /* that was shown last */
	size_t room;
	const char *const *excludes;
	size_t n_excludes;
};

static int no_memory(struct vd_error *err)
{
	return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
}

/** One that isn't there (any more) can still be asked for. */
static char *absolute(const char *path)
{
	char *real = realpath(path, NULL), folder[PATH_MAX];
	size_t n;

	if (real || path[0] == '/')
		return real ? real : strdup(path);
	if (!realpath(".", folder))
		return NULL;
	n = strlen(folder) + strlen(path) + 2;
	real = malloc(n);
	if (real)
		snprintf(real, n, "%s/%s", folder, path);
	return real;
}

int catalog_places_create(struct catalog_places **out, const char *const *paths, size_t n,
			  struct vd_error *err)
{
	struct catalog_places *places = *out = calloc(1, sizeof(*places));

	if (places)
		places->at = calloc(n + 1, sizeof(*places->at));
	if (!places || !places->at)
		return no_memory(err);
	for (; places->n < n; places->n++) {
		places->at[places->n].written = paths[places->n];
		places->at[places->n].real = absolute(paths[places->n]);
		if (!places->at[places->n].real)
			return no_memory(err);
	}
	return 0;
}

void catalog_places_free(struct catalog_places *places)
{
	if (!places)
		return;
	for (size_t i = 0; places->at && i < places->n; i++)
		free(places->at[i].real);
	free(places->at);
	free(places->path);
	free(places);
}

const char *catalog_places_only(const struct catalog_places *places)
{
	return places->n == 1 ? places->at[0].real : NULL;
}

void catalog_places_exclude(struct catalog_places *places, const char *const *globs, size_t n)
{
	places->excludes = globs;
	places->n_excludes = n;
}

/** The path below a place, as a walk from there would tell it. NULL: no memory. */
static const char *show_below(struct catalog_places *places, const struct place *place,
			      const char *path)
{
	size_t n = strlen(place->real), n_written = strlen(place->written), n_rest;
	const char *rest = path + (n > 1 ? n : 0);

	if (*rest && n_written && place->written[n_written - 1] == '/')
		rest++;
	n_rest = strlen(rest) + 1;
	if (n_written + n_rest > places->room) {
		char *more = realloc(places->path, n_written + n_rest + 256);

		if (!more)
			return NULL;
		places->path = more;
		places->room = n_written + n_rest + 256;
	}
	memcpy(places->path, place->written, n_written);
	memcpy(places->path + n_written, rest, n_rest);
	return places->path;
}

const char *catalog_places_show(struct catalog_places *places, const char *path, size_t *next)
{
	if (!places->n && !(*next)++)
		return walk_is_left_out(path, 0, places->excludes, places->n_excludes) ? NULL
										       : path;
	while (*next < places->n) {
		const struct place *place = &places->at[(*next)++];
		const char *shown;

		if (!catalog_is_below(path, place->real))
			continue;
		shown = show_below(places, place, path);
		if (!shown || !walk_is_left_out(shown, strlen(place->written), places->excludes,
						places->n_excludes))
			return shown;
	}
	return NULL;
}
