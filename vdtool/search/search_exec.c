/* SPDX-License-Identifier: MIT */
/* --exec: a process for each image that was found, without a shell. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "output.h"
#include "search_print.h"

#define PLACE "{}"

extern char **environ;

int search_exec_check(const struct tool_args *args)
{
	if (!args->is_set[OPT_EXEC])
		return TOOL_DONE;
	if (!args->exec)
		return tool_usage(args->command, "--exec stands alone and comes last: what follows "
						 "is the command");
	if (!args->n_exec)
		return tool_usage(args->command, "--exec: which command?");
	for (int i = 1; i < args->n_exec; i++) {
		if (strstr(args->exec[i], PLACE))
			return TOOL_DONE;
	}
	return tool_usage(args->command,
			  "--exec %s: no word of it is {}, which the path takes the place of",
			  args->exec[0]);
}

/** `word` with each {} replaced. */
static char *fill(const char *word, const char *path)
{
	size_t n_path = strlen(path), len = strlen(word) + 1;
	const char *place;
	char *text, *at;

	for (place = strstr(word, PLACE); place; place = strstr(place + 2, PLACE))
		len += n_path;
	text = at = malloc(len);
	while (text && (place = strstr(word, PLACE))) {
		at = mempcpy(at, word, (size_t)(place - word));
		at = mempcpy(at, path, n_path);
		word = place + strlen(PLACE);
	}
	if (text)
		strcpy(at, word);
	return text;
}

/** What we caught or ignore is nothing to the command; it reads nothing of our input. */
static int spawn(pid_t *pid, char **words)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t set;
	int error;

	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&attr, &set);
	sigaddset(&set, SIGXFSZ);
	posix_spawnattr_setsigdefault(&attr, &set);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	error = posix_spawnp(pid, words[0], &files, &attr, words, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return error;
}

static int run(char **words)
{
	int status, error;
	pid_t pid;

	error = spawn(&pid, words);
	if (error) {
		tool_say(TOOL_FAILED, words[0], "can't be run: %s", strerror(error));
		return -1;
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -1;
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int search_exec(char *const *words, int n_words, const char *path)
{
	char **filled = calloc((size_t)n_words + 1, sizeof(*filled)), *plain = NULL;
	bool is_whole = filled != NULL;
	int code = -1;

	/* Not to be taken for an option. */
	if (path[0] == '-' && asprintf(&plain, "./%s", path) < 0)
		is_whole = false;
	for (int i = 0; i < n_words && is_whole; i++) {
		filled[i] = i ? fill(words[i], plain ? plain : path) : strdup(words[0]);
		is_whole = filled[i] != NULL;
	}
	fflush(stdout);
	if (is_whole)
		code = run(filled);
	else
		tool_say(TOOL_FAILED, path, "out of memory");
	for (int i = 0; i < n_words && filled; i++)
		free(filled[i]);
	free(filled);
	free(plain);
	return code;
}
