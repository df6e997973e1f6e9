/* SPDX-License-Identifier: MIT */
/*
 * vdtool meta edit: a document in the user's editor. What was typed is never lost: it is stored, or
 * stays in a file whose name is told.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "image.h"
#include "metadata.h"
#include "output.h"
#include "policed.h"
#include "remote_edits.h"
#include "tempfile.h"

struct session {
	const struct tool_args *args;
	const char *path, *kind;
	char *old; /* the document as it was; NULL: there was none */
	size_t old_len;
	char *text; /* as it is now */
	size_t len;
	char file[4096];
};

/** The document, from a look at the image. */
static int read_old(struct session *s)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;
	char *bytes;
	int rc;

	if (tool_meta_look(&image, s->path, s->args, &err))
		return tool_fail(s->path, &err);
	/* Nobody should write a text that can't be stored. */
	rc = tool_policed_ask(image, VD_PURPOSE_EDIT, s->args, &err);
	if (rc) {
		vd_image_close(image, NULL);
		return tool_fail(s->path, &err);
	}
	rc = vd_meta_get_document(vd_image_meta(image), s->kind, &bytes, &s->old_len, &err);
	if (!rc) {
		s->old = strndup(bytes, s->old_len);
		vd_meta_free(bytes);
	}
	vd_image_close(image, NULL);
	if (rc && rc != VD_ENOENT)
		return tool_fail(s->path, &err);
	return TOOL_DONE;
}

/** The file that is edited, with the document or an empty one. */
static int write_file(struct session *s)
{
	const struct vd_category *category = vd_category_find(s->kind);
	const char *folder = getenv("TMPDIR");
	char empty[512];
	const char *text = s->old;
	size_t len = s->old_len;
	int fd, failed;

	if (!s->old) {
		snprintf(empty, sizeof(empty),
			 "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<%s xmlns=\"%s\">\n</%s>\n",
			 category ? category->name : "document",
			 category ? category->xmlns : s->kind,
			 category ? category->name : "document");
		text = empty;
		len = strlen(empty);
	}
	snprintf(s->file, sizeof(s->file), "%s/vdtool-%s-XXXXXX.xml",
		 folder && *folder ? folder : "/tmp", category ? category->name : "vendor");
	fd = mkostemps(s->file, 4, O_CLOEXEC);
	if (fd < 0)
		return tool_say(TOOL_FAILED, s->file, "%s", strerror(errno));
	failed = tool_write_fd(fd, text, len);
	if (close(fd) != 0 && !failed)
		failed = errno;
	if (failed)
		unlink(s->file);
	return failed ? tool_say(TOOL_FAILED, s->file, "%s", strerror(failed)) : TOOL_DONE;
}

/** Let the editor run. As a shell would: $EDITOR may have options of its own. */
static int run_editor(const char *file)
{
	const char *editor = getenv("VISUAL");
	char command[1024];
	int status;
	pid_t pid;

	if (!editor || !*editor)
		editor = getenv("EDITOR");
	if (!editor || !*editor)
		editor = "vi";
	if ((size_t)snprintf(command, sizeof(command), "%s \"$1\"", editor) >= sizeof(command))
		return tool_say(TOOL_FAILED, "$EDITOR", "is too long");
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return tool_say(TOOL_FAILED, NULL, "no process for the editor: %s",
				strerror(errno));
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", command, editor, file, (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return TOOL_DONE;
	return tool_say(TOOL_FAILED, editor, "the editor failed (%s %d); nothing is stored",
			WIFEXITED(status) ? "exit" : "signal",
			WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static void hear_wrong(void *user, int line, const char *text)
{
	(void)user;
	tool_say(TOOL_CORRUPT, NULL, "line %d: %s", line, text);
}

/** Once more into the editor? Nobody there to ask means no. */
static bool ask_again(void)
{
	char answer[16] = "";

	fputs("vdtool: edit it again? [Y/n] ", stderr);
	if (!fgets(answer, sizeof(answer), stdin)) {
		fputc('\n', stderr);
		return false;
	}
	return answer[0] != 'n' && answer[0] != 'N';
}

/** Until the text is valid or the user gives up. */
static int edit_until_valid(struct session *s)
{
	for (;;) {
		struct vd_error err = VD_ERROR_INIT;
		int exit_code = run_editor(s->file);

		free(s->text);
		s->text = NULL;
		if (!exit_code)
			exit_code = tool_slurp(s->file, VD_META_DOCUMENT_MAX, &s->text, &s->len);
		if (exit_code)
			return exit_code;
		if (s->old && s->len == s->old_len && memcmp(s->text, s->old, s->len) == 0)
			return TOOL_DONE;
		if (vd_meta_validate(s->kind, s->text, s->len, hear_wrong, NULL, &err) == 0)
			return TOOL_DONE;
		exit_code = tool_fail(s->kind, &err);
		if (tool_stop_signal || !ask_again())
			return exit_code;
	}
}

/** Is the document still what the user saw? */
static int check_unchanged(const struct session *s, struct vd_meta *meta, struct vd_error *err)
{
	char *bytes = NULL;
	size_t len = 0;
	int rc = vd_meta_get_document(meta, s->kind, &bytes, &len, err);
	bool is_same = rc == VD_ENOENT
			   ? !s->old
			   : !rc && s->old && len == s->old_len && memcmp(bytes, s->old, len) == 0;

	vd_meta_free(bytes);
	if (rc && rc != VD_ENOENT)
		return rc;
	return is_same ? 0
		       : vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET,
				      "the document was changed by somebody else meanwhile");
}

/** By the process that has the image open. */
static int store_remotely(struct session *s, struct vd_error *err)
{
	struct tool_remote_edits edits;
	json_t *edit;
	int rc = 0;

	if (!tool_remote_begin(&edits, s->path, err))
		return tool_fail(s->path, err);
	edit = tool_remote_add(&edits, "expect");
	control_set_text(edit, "category", s->kind);
	if (s->old)
		rc = tool_remote_add_bytes(&edits, edit, s->old, s->old_len, err);
	edit = tool_remote_add(&edits, "document");
	control_set_text(edit, "category", s->kind);
	if (!rc)
		rc = tool_remote_add_bytes(&edits, edit, s->text, s->len, err);
	if (!rc)
		rc = tool_remote_send(&edits, s->kind, s->args, NULL, err);
	tool_remote_end(&edits);
	return rc ? tool_fail(s->path, err) : TOOL_DONE;
}

static int store(struct session *s)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;
	int rc;

	if (s->old && s->len == s->old_len && memcmp(s->text, s->old, s->len) == 0) {
		tool_note("%s: nothing was changed", s->path);
		return TOOL_DONE;
	}
	if (tool_meta_edit(&image, s->path, s->args, &err))
		return store_remotely(s, &err);
	rc = check_unchanged(s, vd_image_meta(image), &err);
	if (!rc)
		rc = vd_meta_set_document(vd_image_meta(image), s->kind, s->text, s->len, &err);
	if (!rc)
		rc = tool_meta_commit(image, s->args, s->kind, &err);
	return tool_image_end(image, s->path, rc ? tool_fail(s->path, &err) : TOOL_DONE);
}

int cmd_meta_edit(const struct tool_args *args)
{
	struct session s = {.args = args, .path = args->operands[0], .kind = args->operands[1]};
	int exit_code;

	if (!vd_category_find(s.kind) && !strchr(s.kind, ':'))
		return tool_usage(args->command, "\"%s\" is neither a category nor a namespace",
				  s.kind);
	exit_code = read_old(&s);
	if (!exit_code)
		exit_code = write_file(&s);
	if (!exit_code) {
		/* Ctrl-C is for the editor. */
		tool_signals_defer();
		exit_code = edit_until_valid(&s);
		if (!exit_code)
			exit_code = store(&s);
		if (exit_code)
			tool_say(exit_code, s.file, "holds the text that wasn't stored");
		else
			unlink(s.file);
	}
	free(s.old);
	free(s.text);
	return exit_code;
}
