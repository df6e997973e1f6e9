/* SPDX-License-Identifier: MIT */
/*
 * Windows: the whole disk and its partitions, and who uses them. The kernel keeps a page cache for
 * each of them, though they lie over the same bytes; so a writer shares what he writes to with
 * nobody who sees it through another window. A close reaches us a moment after the program went
 * on: who comes right then waits for it instead of hearing that it is busy.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <vdisk/guest.h>

#include "owner_own.h"

#define CLOSING_WAIT_MS 1000

static struct owner_window *find_numbered(struct owner *owner, uint32_t number)
{
	for (size_t i = 0; i < owner->n_windows; i++)
		if (owner->windows[i]->number == number)
			return owner->windows[i];
	return NULL;
}

static struct owner_window *add_window(struct owner *owner, uint32_t number)
{
	struct owner_window *window = find_numbered(owner, number);

	if (window || owner->n_windows == OWNER_WINDOWS_MAX)
		return window;
	window = calloc(1, sizeof(*window));
	if (!window)
		return NULL;
	window->number = number;
	if (number)
		snprintf(window->name, sizeof(window->name), "p%u", number);
	else
		strcpy(window->name, "disk");
	owner->windows[owner->n_windows++] = window;
	return window;
}

static bool is_open(const struct owner_window *window)
{
	return window->n_readers || window->n_writers;
}

static void take_partition(struct owner *owner, const struct vd_partition *partition)
{
	uint64_t size = vd_disk_size(owner->disk);
	struct owner_window *window;

	if (!partition->number || partition->start >= size || !partition->length)
		return;
	window = add_window(owner, partition->number);
	if (!window || is_open(window))
		return;
	window->start = partition->start;
	window->length = partition->length < size - partition->start ? partition->length
								     : size - partition->start;
	window->is_gone = false;
	window->is_stale = true;
	snprintf(window->type, sizeof(window->type), "%s", partition->filesystem.type);
	snprintf(window->label, sizeof(window->label), "%s", partition->filesystem.label);
}

/* With the lock held, and nobody writing. */
static void read_layout(struct owner *owner)
{
	struct vd_layout *layout;
	struct vd_error err = VD_ERROR_INIT;

	owner->has_new_layout = false;
	for (size_t i = 1; i < owner->n_windows; i++)
		if (!is_open(owner->windows[i]))
			owner->windows[i]->is_gone = true;
	owner->scheme[0] = owner->layout_problem[0] = '\0';
	if (vd_guest_read_layout(&layout, owner->disk, &err)) {
		snprintf(owner->layout_problem, sizeof(owner->layout_problem), "%.199s", err.text);
		return;
	}
	snprintf(owner->scheme, sizeof(owner->scheme), "%s", vd_scheme_name(layout->scheme));
	if (layout->problem)
		snprintf(owner->layout_problem, sizeof(owner->layout_problem), "%.199s",
			 layout->problem);
	for (size_t i = 0; i < layout->n_partitions; i++)
		take_partition(owner, &layout->partitions[i]);
	vd_layout_free(layout);
}

void owner_windows_init(struct owner *owner)
{
	struct owner_window *disk = add_window(owner, 0);

	if (!disk)
		return;
	disk->length = vd_disk_size(owner->disk);
	read_layout(owner);
}

void owner_windows_free(struct owner *owner)
{
	for (size_t i = 0; i < owner->n_windows; i++)
		free(owner->windows[i]);
	owner->n_windows = 0;
}

static void refresh(struct owner *owner)
{
	if (owner->has_new_layout && owner->n_windows && !owner->windows[0]->n_writers)
		read_layout(owner);
}

struct owner_window *owner_window_at(struct owner *owner, size_t i)
{
	struct owner_window *window = NULL;

	pthread_mutex_lock(&owner->lock);
	refresh(owner);
	for (size_t k = 0; k < owner->n_windows && !window; k++) {
		if (!owner->windows[k]->is_gone && i-- == 0)
			window = owner->windows[k];
	}
	pthread_mutex_unlock(&owner->lock);
	return window;
}

struct owner_window *owner_window_find(struct owner *owner, const char *name)
{
	struct owner_window *window;

	for (size_t i = 0; (window = owner_window_at(owner, i)); i++)
		if (!strcmp(window->name, name))
			return window;
	return NULL;
}

struct owner_window *owner_window_numbered(struct owner *owner, uint32_t number)
{
	struct owner_window *window;

	pthread_mutex_lock(&owner->lock);
	window = find_numbered(owner, number);
	pthread_mutex_unlock(&owner->lock);
	return window;
}

bool owner_window_length(struct owner *owner, const struct owner_window *window, uint64_t *length)
{
	bool is_there;

	pthread_mutex_lock(&owner->lock);
	*length = window->length;
	is_there = !window->is_gone;
	pthread_mutex_unlock(&owner->lock);
	return is_there;
}

static bool overlaps(const struct owner_window *a, const struct owner_window *b)
{
	return a->start < b->start + b->length && b->start < a->start + a->length;
}

/* The window that keeps `window` from being opened; *will_pass: all its users are closing it. */
static struct owner_window *find_conflict(struct owner *owner, struct owner_window *window,
					  bool for_writing, bool *will_pass)
{
	for (size_t i = 0; i < owner->n_windows; i++) {
		struct owner_window *other = owner->windows[i];

		if (other == window || !overlaps(window, other))
			continue;
		if (other->n_writers || (for_writing && other->n_readers)) {
			*will_pass = other->n_closing >= other->n_writers + other->n_readers;
			return other;
		}
	}
	return NULL;
}

static bool wait_a_moment(struct owner *owner, const struct timespec *end)
{
	return pthread_cond_timedwait(&owner->changed, &owner->lock, end) != ETIMEDOUT;
}

int owner_window_open(struct owner *owner, struct owner_window *window, bool for_writing,
		      bool *keep_cache, struct vd_error *err)
{
	struct owner_window *other;
	bool will_pass = false;
	struct timespec end;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += CLOSING_WAIT_MS / 1000;
	pthread_mutex_lock(&owner->lock);
	while ((other = find_conflict(owner, window, for_writing, &will_pass)))
		if (!will_pass || !wait_a_moment(owner, &end))
			break;
	if (other) {
		rc =
		    vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET, "%s is open%s, and overlaps %s",
				 other->name, other->n_writers ? " for writing" : "", window->name);
	} else if (window->is_gone) {
		rc = vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "the partition is gone");
	} else {
		*keep_cache = !window->is_stale;
		window->is_stale = false;
		window->n_readers += !for_writing;
		window->n_writers += for_writing;
		for (size_t i = 0; i < owner->n_windows && for_writing; i++)
			if (owner->windows[i] != window && overlaps(window, owner->windows[i]))
				owner->windows[i]->is_stale = true;
	}
	pthread_mutex_unlock(&owner->lock);
	return rc;
}

void owner_windows_outdate(struct owner *owner)
{
	pthread_mutex_lock(&owner->lock);
	for (size_t i = 0; i < owner->n_windows; i++)
		owner->windows[i]->is_stale = true;
	pthread_mutex_unlock(&owner->lock);
}

void owner_window_closing(struct owner *owner, struct owner_window *window)
{
	pthread_mutex_lock(&owner->lock);
	window->n_closing++;
	pthread_mutex_unlock(&owner->lock);
}

void owner_window_close(struct owner *owner, struct owner_window *window, bool for_writing)
{
	pthread_mutex_lock(&owner->lock);
	window->n_readers -= !for_writing;
	window->n_writers -= for_writing;
	/* A duplicate that was closed counts as closing too: that only makes others wait. */
	if (window->n_closing)
		window->n_closing--;
	if (!is_open(window))
		window->n_closing = 0;
	/* A partition table or a file system may have been written. */
	if (for_writing && !window->n_writers)
		owner->has_new_layout = true;
	pthread_cond_broadcast(&owner->changed);
	pthread_mutex_unlock(&owner->lock);
}
