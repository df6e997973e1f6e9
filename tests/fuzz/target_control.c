/* SPDX-License-Identifier: MIT */
/*
 * The control channel's messages. Input: a byte that says how the bytes are cut, then what a client
 * or a server sends.
 * Property: the lines don't depend on the cuts; what is taken for a request says what to do and
 * goes back to an equal request; a refusal has words, and as an answer is one line that says no.
 */
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "fuzz.h"

static void check_answer(json_t *answer, int want)
{
	struct vd_error err = VD_ERROR_INIT;
	json_t *back = NULL;
	size_t len;
	char *line = control_message_format(answer, &len);

	FUZZ_CHECK(line, "no line");
	FUZZ_CHECK(len && line[len - 1] == '\n' && strlen(line) == len, "not a whole line");
	FUZZ_CHECK(memchr(line, '\n', len) == line + len - 1, "more than one line");
	FUZZ_CHECK(control_reply_parse(&back, line, len - 1, &err) == want, "another answer");
	json_decref(back);
	json_decref(answer);
	free(line);
}

static void take_request(const char *line, size_t len)
{
	struct vd_error err = VD_ERROR_INIT;
	json_t *request, *again;
	size_t n;
	char *copy;
	int rc = control_request_parse(&request, line, len, &err);

	if (rc) {
		FUZZ_CHECK(!request && err.code == rc && err.text[0], "a refusal without words");
		check_answer(control_reply_error(&err), rc);
		return;
	}
	FUZZ_CHECK(control_request_what(request), "nothing to do");
	fuzz_deep();
	copy = control_message_format(request, &n);
	if (copy) { /* escapes may have made it too long */
		FUZZ_CHECK(!control_request_parse(&again, copy, n - 1, &err), "not taken again");
		FUZZ_CHECK(json_equal(request, again), "another request");
		json_decref(again);
	}
	free(copy);
	json_decref(request);
}

static void take_reply(const char *line, size_t len)
{
	struct vd_error err = VD_ERROR_INIT;
	json_t *reply = NULL, *safe = control_reply_new();
	int rc = control_reply_parse(&reply, line, len, &err);

	FUZZ_CHECK(rc <= 0 && rc >= VD_ERANGE && err.code == rc, "code %d", rc);
	control_set_text(safe, "text", line);
	check_answer(safe, 0);
	json_decref(reply);
}

/* All lines; or those until the bytes were refused. */
static size_t cut(const uint8_t *data, size_t size, size_t step, size_t *sum)
{
	struct control_lines lines = {0};
	size_t n_lines = 0, len;
	char *line;

	for (size_t at = 0; at < size; at += step) {
		size_t n = size - at < step ? size - at : step;

		if (control_lines_put(&lines, data + at, n, NULL))
			break;
		while ((line = control_lines_next(&lines, &len))) {
			FUZZ_CHECK(len < CONTROL_LINE_MAX && !line[len], "not a line");
			n_lines++;
			*sum += len * n_lines;
			if (step == size)
				take_request(line, len);
			else
				take_reply(line, len);
		}
	}
	control_lines_free(&lines);
	return n_lines;
}

static void run(const uint8_t *data, size_t size)
{
	struct feed feed = {data, size};
	size_t step = 1 + (size_t)feed_int(&feed, 1), whole_sum = 0, cut_sum = 0;

	if (!feed.n)
		return;
	if (step >= feed.n)
		step = feed.n > 1 ? feed.n - 1 : 1;
	FUZZ_CHECK(cut(feed.p, feed.n, feed.n, &whole_sum) == cut(feed.p, feed.n, step, &cut_sum) &&
		       whole_sum == cut_sum,
		   "lines depend on how the bytes come");
}

static void seed_text(const char *name, const char *text)
{
	fuzz_seed(name, text, strlen(text));
}

static void seed(void)
{
	seed_text("status", "\x05{\"v\":1,\"do\":\"status\"}\n");
	seed_text("two", "\x02{\"v\":1,\"do\":\"job\"}\n{\"v\":1,\"do\":\"cancel\"}\n");
	seed_text("set",
		  "\x40{\"v\":1,\"do\":\"meta.set\",\"edits\":[{\"op\":\"tag\",\"value\":"
		  "\"+web\"},{\"op\":\"set\",\"field\":\"os.id\",\"value\":\"\\u00e4\"}]}\n");
	seed_text("put", "\x10{\"v\":1,\"do\":\"meta.put\",\"category\":\"tags\",\"document\":"
			 "\"<tags/>\"}\n");
	seed_text("start",
		  "\x11{\"v\":1,\"do\":\"start\",\"job\":\"scrub\",\"params\":{\"max_rate\":"
		  "1048576}}\n");
	seed_text("yes", "\x07{\"v\":1,\"ok\":true}\n");
	seed_text("no", "\x07{\"v\":1,\"ok\":false,\"code\":\"busy\",\"error\":\"in use\"}\n");
	seed_text("version", "\x07{\"v\":2,\"do\":\"status\"}\n");
	seed_text("twice", "\x07{\"v\":1,\"v\":1,\"do\":\"status\"}\n");
	seed_text("nothing", "\x03\n\n\n");
	seed_text("bytes", "\x09\xff\xfe{\"v\":1}\xc3\n");
	seed_text("deep", "\x20{\"v\":1,\"do\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}\n");
	seed_text("numbers", "\x20{\"v\":1,\"do\":\"x\",\"n\":[1e309,-0,9223372036854775808]}\n");
}

const struct fuzz_target fuzz_control = {
    .name = "control", .run = run, .seed = seed, .max_memory = 0};
