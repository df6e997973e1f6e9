/* SPDX-License-Identifier: MIT */
/* Bytes become lines, however they were cut on the way. */
#include <stdlib.h>
#include <string.h>

#include "control.h"

static void drop_taken(struct control_lines *lines)
{
	if (!lines->n_taken)
		return;
	lines->len -= lines->n_taken;
	memmove(lines->bytes, lines->bytes + lines->n_taken, lines->len);
	lines->n_taken = 0;
	lines->n_scanned = 0;
}

static int make_room(struct control_lines *lines, size_t need, struct vd_error *err)
{
	size_t room = lines->room ? lines->room : 1024;
	char *bytes;

	while (room < need)
		room *= 2;
	if (room == lines->room)
		return 0;
	bytes = realloc(lines->bytes, room);
	if (!bytes)
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory for a message");
	lines->bytes = bytes;
	lines->room = room;
	return 0;
}

int control_lines_put(struct control_lines *lines, const void *bytes, size_t len,
		      struct vd_error *err)
{
	int rc;

	drop_taken(lines);
	if (!len)
		return 0;
	/* Two messages may come in one piece: the bound is on what has no newline yet. */
	if (len > CONTROL_LINE_MAX || lines->len > CONTROL_LINE_MAX ||
	    (lines->len + len > CONTROL_LINE_MAX &&
	     !memchr(lines->bytes ? lines->bytes : "", '\n', lines->len) &&
	     !memchr(bytes, '\n', CONTROL_LINE_MAX - lines->len)))
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
				    "a message of more than %u bytes", CONTROL_LINE_MAX);
	rc = make_room(lines, lines->len + len, err);
	if (rc)
		return rc;
	memcpy(lines->bytes + lines->len, bytes, len);
	lines->len += len;
	return 0;
}

char *control_lines_next(struct control_lines *lines, size_t *len)
{
	char *end;

	drop_taken(lines);
	if (lines->len == lines->n_scanned)
		return NULL;
	end = memchr(lines->bytes + lines->n_scanned, '\n', lines->len - lines->n_scanned);
	if (!end) {
		lines->n_scanned = lines->len;
		return NULL;
	}
	*len = (size_t)(end - lines->bytes);
	lines->n_taken = *len + 1;
	*end = '\0';
	return lines->bytes;
}

void control_lines_free(struct control_lines *lines)
{
	free(lines->bytes);
	*lines = (struct control_lines){0};
}
