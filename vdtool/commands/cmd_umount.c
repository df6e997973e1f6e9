/* SPDX-License-Identifier: MIT */
/* vdtool umount: asks vdfuse to end, and waits until the image is flushed and closed. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "control.h"
#include "output.h"

static int find(struct control_peer *peer, const char *what, struct vd_error *err)
{
	struct stat st;
	char *path;
	int rc;

	/* A folder whose vdfuse is gone can't even be looked at. */
	if (!stat(what, &st) && !S_ISDIR(st.st_mode))
		return control_find(peer, what, false, err);
	path = realpath(what, NULL);
	rc = control_find_mount(peer, path ? path : what, err);
	free(path);
	return rc;
}

static int unmount(const char *what, const struct tool_args *args)
{
	struct vd_error err = VD_ERROR_INIT;
	struct control_peer peer;
	json_t *request;
	int rc;

	if (find(&peer, what, &err)) {
		tool_note("umount(8) or fusermount3 -u unmounts what has no control channel");
		return tool_fail(what, &err);
	}
	request = control_request_new("detach");
	if (args->is_set[OPT_LAZY])
		json_object_set_new(request, "lazy", json_true());
	/* Flushing may take long, and its outcome is what counts. */
	rc = control_call(&peer, request, NULL, -1, &err);
	control_peer_close(&peer);
	return rc ? tool_fail(what, &err) : TOOL_DONE;
}

int cmd_umount(const struct tool_args *args)
{
	int exit_code = TOOL_DONE;

	for (int i = 0; i < args->n_operands; i++)
		exit_code = tool_exit_worse(exit_code, unmount(args->operands[i], args));
	return exit_code;
}
