/* SPDX-License-Identifier: MIT */
/* Lines and messages of the control channel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control.h"

static void put(struct control_lines *lines, const char *text)
{
	assert_int_equal(control_lines_put(lines, text, strlen(text), NULL), 0);
}

static void lines_come_whole_however_they_were_cut(void **state)
{
	struct control_lines lines = {0};
	size_t len;

	(void)state;
	assert_null(control_lines_next(&lines, &len));
	put(&lines, "ab");
	assert_null(control_lines_next(&lines, &len));
	put(&lines, "c\nde\n\nf");
	assert_string_equal(control_lines_next(&lines, &len), "abc");
	assert_int_equal(len, 3);
	assert_string_equal(control_lines_next(&lines, &len), "de");
	assert_string_equal(control_lines_next(&lines, &len), "");
	assert_int_equal(len, 0);
	assert_null(control_lines_next(&lines, &len));
	put(&lines, "g\n");
	assert_string_equal(control_lines_next(&lines, &len), "fg");
	control_lines_free(&lines);
}

static void a_line_without_end_is_refused(void **state)
{
	struct control_lines lines = {0};
	struct vd_error err = VD_ERROR_INIT;
	size_t piece = 1 << 16, n = 0;
	char *text = calloc(1, piece);
	int rc = 0;

	(void)state;
	memset(text, 'x', piece);
	while (!rc && n++ < 100)
		rc = control_lines_put(&lines, text, piece, &err);
	assert_int_equal(rc, VD_ERANGE);
	assert_in_range(n, CONTROL_LINE_MAX / piece, CONTROL_LINE_MAX / piece + 1);
	assert_true(lines.room <= 2 * CONTROL_LINE_MAX);
	control_lines_free(&lines);
	free(text);
}

static int parse(const char *text)
{
	struct vd_error err = VD_ERROR_INIT;
	json_t *request;
	int rc = control_request_parse(&request, text, strlen(text), &err);

	if (rc)
		assert_true(err.text[0] && !request);
	json_decref(request);
	return rc;
}

static void only_requests_are_taken(void **state)
{
	(void)state;
	assert_int_equal(parse("{\"v\":1,\"do\":\"status\"}"), 0);
	assert_int_equal(parse(" {\"do\":\"x\",\"v\":1,\"more\":[1,2]} "), 0);
	assert_int_equal(parse(""), VD_EINVAL);
	assert_int_equal(parse("1"), VD_EINVAL);
	assert_int_equal(parse("[1]"), VD_EINVAL);
	assert_int_equal(parse("{\"do\":\"status\"}"), VD_EINVAL);
	assert_int_equal(parse("{\"v\":\"1\",\"do\":\"status\"}"), VD_EINVAL);
	assert_int_equal(parse("{\"v\":1,\"do\":1}"), VD_EINVAL);
	assert_int_equal(parse("{\"v\":1,\"do\":\"a\",\"do\":\"b\"}"), VD_EINVAL);
	assert_int_equal(parse("{\"v\":1,\"do\":\"a\"}x"), VD_EINVAL);
	assert_int_equal(parse("{\"v\":1,\"do\":\"\xff\"}"), VD_EINVAL);
	assert_int_equal(parse("{\"v\":2,\"do\":\"status\"}"), VD_EUNSUPPORTED);
}

static void too_many_items_are_refused_before_they_cost(void **state)
{
	size_t n = CONTROL_ITEMS_MAX + 10;
	char *text = malloc(2 * n + 64), *p = text;

	(void)state;
	p += sprintf(p, "{\"v\":1,\"do\":\"x\",\"n\":[0");
	for (size_t i = 0; i < n; i++)
		p += sprintf(p, ",0");
	strcpy(p, "]}");
	assert_int_equal(parse(text), VD_EINVAL);
	/* The same characters in a text are no items. */
	p = text + sprintf(text, "{\"v\":1,\"do\":\"x\",\"n\":\"");
	memset(p, ',', n);
	strcpy(p + n, "\"}");
	assert_int_equal(parse(text), 0);
	free(text);
}

static void an_error_arrives_as_it_was(void **state)
{
	struct vd_error err = VD_ERROR_INIT, there = VD_ERROR_INIT;

	(void)state;
	for (int code = VD_EINVAL; code >= VD_ERANGE; code--) {
		json_t *reply;
		size_t len;
		char *line;

		vd_error_set(&err, code, 0, VD_NO_OFFSET, "because of %d \"quoted\"", code);
		reply = control_reply_error(&err);
		line = control_message_format(reply, &len);
		json_decref(reply);
		assert_int_equal(control_reply_parse(&reply, line, len - 1, &there), code);
		assert_string_equal(there.text, err.text);
		json_decref(reply);
		free(line);
	}
}

static void bytes_that_are_no_text_dont_break_a_message(void **state)
{
	json_t *reply = control_reply_new(), *back;
	size_t len;
	char *line;

	(void)state;
	control_set_text(reply, "path", "/a\xff\xc3/\xe2\x82\xac\n");
	control_set_number(reply, "big", UINT64_MAX);
	line = control_message_format(reply, &len);
	assert_ptr_equal(strchr(line, '\n'), line + len - 1);
	assert_int_equal(control_reply_parse(&back, line, len - 1, NULL), 0);
	assert_string_equal(control_text(back, "path"),
			    "/a\xef\xbf\xbd\xef\xbf\xbd/\xe2\x82\xac\n");
	assert_true(json_is_null(json_object_get(back, "big")));
	free(line);
	json_decref(reply);
	json_decref(back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lines_come_whole_however_they_were_cut),
	    cmocka_unit_test(a_line_without_end_is_refused),
	    cmocka_unit_test(only_requests_are_taken),
	    cmocka_unit_test(too_many_items_are_refused_before_they_cost),
	    cmocka_unit_test(an_error_arrives_as_it_was),
	    cmocka_unit_test(bytes_that_are_no_text_dont_break_a_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
