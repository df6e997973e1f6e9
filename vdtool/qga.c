/* SPDX-License-Identifier: MIT */
/*
 * The guest of a running machine gives back what it doesn't need: QEMU's guest agent runs fstrim.
 * The agent is the guest's, so what it says is believed as little as an image: answers are bounded
 * in length, depth and time, and nothing in them reaches the terminal raw.
 *
 * Protocol: a JSON object a line. guest-sync-delimited, sent behind a byte 0xFF, is answered by
 * 0xFF and our number: what stands before that is left over from others who talked to it.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "compacting.h"
#include "image.h"
#include "output.h"
#include "tempfile.h"

#define LINE_MAX_BYTES (256u << 10)
#define SKIP_MAX       (4u << 20) /* of what is left over from others */
#define ITEMS_MAX      4096u      /* arrays, objects and commas of an answer */
#define PATHS_SHOWN    64u
#define SYNC_S         10
#define TRIM_S         3600

struct agent {
	int fd;
	double deadline;
	char buf[4096];
	size_t n, at;
	char line[LINE_MAX_BYTES];
	size_t len;
};

static int fail(struct vd_error *err, const char *text)
{
	return vd_error_set(err, VD_EIO, 0, VD_NO_OFFSET, "guest agent: %s", text);
}

static int connect_to(struct agent *agent, const char *path, struct vd_error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(address.sun_path))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "the name of a socket has at most %zu bytes",
				    sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path));
	agent->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (agent->fd < 0 || connect(agent->fd, (const struct sockaddr *)&address, sizeof(address)))
		return vd_error_set(err, vd_code_from_errno(errno), errno, VD_NO_OFFSET,
				    "guest agent: %s", strerror(errno));
	return 0;
}

/* Wait in small steps: a signal may have come just before. */
static int wait_for(struct agent *agent, short events, struct vd_error *err)
{
	for (;;) {
		struct pollfd waiting = {.fd = agent->fd, .events = events};
		int rc = poll(&waiting, 1, 200);

		if (tool_stop_signal)
			return vd_error_set(err, VD_ECANCELED, 0, VD_NO_OFFSET, "interrupted");
		if (rc > 0)
			return 0;
		if (rc < 0 && errno != EINTR)
			return fail(err, strerror(errno));
		if (tool_now() > agent->deadline)
			return vd_error_set(err, VD_ETIMEDOUT, 0, VD_NO_OFFSET,
					    "guest agent: no answer; is it running in the guest?");
	}
}

static int put(struct agent *agent, const char *bytes, size_t len, struct vd_error *err)
{
	while (len) {
		ssize_t n = send(agent->fd, bytes, len, MSG_NOSIGNAL);
		int rc;

		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return fail(err, strerror(errno));
		rc = wait_for(agent, POLLOUT, err);
		if (rc)
			return rc;
	}
	return 0;
}

static int get_byte(struct agent *agent, unsigned char *byte, struct vd_error *err)
{
	while (agent->at == agent->n) {
		ssize_t n = recv(agent->fd, agent->buf, sizeof(agent->buf), 0);
		int rc;

		agent->at = agent->n = 0;
		if (n > 0) {
			agent->n = (size_t)n;
			break;
		}
		if (n == 0)
			return fail(err, "it hung up");
		if (errno != EAGAIN && errno != EINTR)
			return fail(err, strerror(errno));
		rc = wait_for(agent, POLLIN, err);
		if (rc)
			return rc;
	}
	*byte = (unsigned char)agent->buf[agent->at++];
	return 0;
}

static int get_line(struct agent *agent, struct vd_error *err)
{
	unsigned char byte;
	int rc;

	agent->len = 0;
	while (!(rc = get_byte(agent, &byte, err)) && byte != '\n') {
		if (tool_now() > agent->deadline)
			return fail(err, "it doesn't come to an end");
		if (agent->len == sizeof(agent->line))
			return fail(err, "its answer is too long");
		agent->line[agent->len++] = (char)byte;
	}
	return rc;
}

/* An answer: {"return": ...}, which is what *value is then, or {"error": {"desc": ...}}. */
static int parse(struct agent *agent, json_t **value, struct vd_error *err)
{
	json_t *answer;
	const char *text;
	size_t n_items = 0;

	for (size_t i = 0; i < agent->len; i++)
		n_items += agent->line[i] == ',' || agent->line[i] == '[' || agent->line[i] == '{';
	if (n_items > ITEMS_MAX)
		return fail(err, "its answer has too many parts");
	answer = json_loadb(agent->line, agent->len, 0, NULL);
	*value = json_incref(json_object_get(answer, "return"));
	text = json_string_value(json_object_get(json_object_get(answer, "error"), "desc"));
	if (!*value)
		vd_error_set(err, VD_EIO, 0, VD_NO_OFFSET, "guest agent: %.200s",
			     text ? text : "what it says is no answer");
	json_decref(answer);
	return *value ? 0 : VD_EIO;
}

/* Its attention: all that comes behind our number is for us. */
static int synchronize(struct agent *agent, struct vd_error *err)
{
	char request[128];
	uint32_t number;
	unsigned char byte = 0;
	json_t *value = NULL;
	size_t n_skipped = 0;
	int rc;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		number = (uint32_t)getpid();
	agent->deadline = tool_now() + SYNC_S;
	snprintf(request, sizeof(request),
		 "\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%" PRIu32 "}}\n",
		 number);
	rc = put(agent, request, strlen(request), err);
	while (!rc) {
		bool is_ours;

		while (!(rc = get_byte(agent, &byte, err)) && byte != 0xff)
			if (++n_skipped > SKIP_MAX || tool_now() > agent->deadline)
				return fail(err, "it talks without end");
		if (!rc)
			rc = get_line(agent, err);
		if (rc || parse(agent, &value, NULL))
			continue;
		is_ours = json_is_integer(value) && json_integer_value(value) == (json_int_t)number;
		json_decref(value);
		n_skipped += agent->len;
		if (is_ours)
			return 0;
	}
	return rc;
}

static void tell(const char *path, const json_t *result)
{
	const json_t *paths = json_object_get(result, "paths"), *one;
	uint64_t trimmed = 0;
	size_t i, n_failed = 0;

	json_array_foreach(paths, i, one)
	{
		const char *name = json_string_value(json_object_get(one, "path"));
		const char *text = json_string_value(json_object_get(one, "error"));
		json_int_t bytes = json_integer_value(json_object_get(one, "trimmed"));

		if (text && n_failed < PATHS_SHOWN)
			tool_note("%s: the guest can't trim %.80s: %.80s", path, name ? name : "?",
				  text);
		n_failed += text != NULL;
		if (!text && bytes > 0)
			trimmed += (uint64_t)bytes;
	}
	tool_note("%s: the guest trimmed %zu file systems, %" PRIu64 " MiB", path,
		  json_array_size(paths) - n_failed, trimmed >> 20);
}

static int trim(struct agent *agent, const char *path, struct vd_error *err)
{
	static const char request[] = "{\"execute\":\"guest-fstrim\"}\n";
	json_t *result = NULL;
	int rc = synchronize(agent, err);

	agent->deadline = tool_now() + TRIM_S;
	if (!rc)
		rc = put(agent, request, sizeof(request) - 1, err);
	if (!rc)
		rc = get_line(agent, err);
	if (!rc)
		rc = parse(agent, &result, err);
	if (!rc && !json_is_object(result))
		rc = fail(err, "what it says is no answer to guest-fstrim");
	if (!rc)
		tell(path, result);
	json_decref(result);
	return rc;
}

int tool_guest_trim(const char *path, const struct tool_args *args)
{
	static struct agent agent = {.fd = -1};
	struct vd_error err = VD_ERROR_INIT;
	int rc = connect_to(&agent, path, &err);

	if (!rc && args->number[OPT_MAX_TIME])
		tool_note("%s: --max-time doesn't count what the guest takes", path);
	if (!rc)
		rc = trim(&agent, path, &err);
	if (agent.fd >= 0)
		close(agent.fd);
	return rc ? tool_fail(path, &err) : TOOL_DONE;
}
