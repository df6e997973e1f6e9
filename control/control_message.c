/* SPDX-License-Identifier: MIT */
/*
 * Messages: one JSON object each. Both ends take the other for hostile: length, nesting and
 * number of items are bounded before anything is built, and a member is used only as what it is.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"

/* An item costs about a hundred bytes of memory for one byte of message. */
static bool has_too_many_items(const char *line, size_t len)
{
	bool is_in_text = false;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = line[i];

		if (c == '\\' && is_in_text)
			i++;
		else if (c == '"')
			is_in_text = !is_in_text;
		else if (!is_in_text && (c == '[' || c == '{' || c == ',') &&
			 ++n > CONTROL_ITEMS_MAX)
			return true;
	}
	return false;
}

static int parse_object(json_t **object, const char *line, size_t len, struct vd_error *err)
{
	json_error_t why;
	json_t *value, *version;

	*object = NULL;
	if (len >= CONTROL_LINE_MAX || has_too_many_items(line, len))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "the message is too big");
	value = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why);
	if (!value)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "the message isn't JSON: %s at byte %d", why.text,
				    why.position);
	version = json_object_get(value, "v");
	if (!json_is_object(value) || !json_is_integer(version)) {
		json_decref(value);
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "the message isn't an object with a version \"v\"");
	}
	if (json_integer_value(version) != CONTROL_VERSION) {
		vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
			     "version %" JSON_INTEGER_FORMAT
			     " of the control protocol isn't known here, only %d",
			     json_integer_value(version), CONTROL_VERSION);
		json_decref(value);
		return VD_EUNSUPPORTED;
	}
	*object = value;
	return 0;
}

int control_request_parse(json_t **request, const char *line, size_t len, struct vd_error *err)
{
	int rc = parse_object(request, line, len, err);

	if (rc)
		return rc;
	if (control_request_what(*request))
		return 0;
	json_decref(*request);
	*request = NULL;
	return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
			    "the message doesn't say what to \"do\"");
}

static int code_of_name(const char *name)
{
	for (int code = VD_EINVAL; name && code >= VD_ERANGE; code--)
		if (!strcmp(vd_code_name(code), name))
			return code;
	return VD_EIO;
}

int control_reply_parse(json_t **reply, const char *line, size_t len, struct vd_error *err)
{
	const char *text;
	int rc = parse_object(reply, line, len, err);

	if (rc)
		return rc;
	if (json_is_true(json_object_get(*reply, "ok")))
		return 0;
	text = control_text(*reply, "error");
	return vd_error_set(err, code_of_name(control_text(*reply, "code")), 0, VD_NO_OFFSET, "%s",
			    text ? text : "refused without a reason");
}

json_t *control_request_new(const char *what)
{
	return json_pack("{s:i, s:s}", "v", CONTROL_VERSION, "do", what);
}

json_t *control_reply_new(void)
{
	return json_pack("{s:i, s:b}", "v", CONTROL_VERSION, "ok", 1);
}

json_t *control_reply_error(const struct vd_error *err)
{
	json_t *reply = json_pack("{s:i, s:b, s:s}", "v", CONTROL_VERSION, "ok", 0, "code",
				  vd_code_name(err->code));

	control_set_text(reply, "error", err->text[0] ? err->text : vd_code_name(err->code));
	return reply;
}

char *control_message_format(const json_t *message, size_t *len)
{
	/* Control characters come out escaped: there is no newline inside. */
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL, *line;

	if (!text)
		return NULL;
	*len = strlen(text) + 1;
	line = *len < CONTROL_LINE_MAX ? realloc(text, *len + 1) : NULL;
	if (!line) {
		free(text);
		return NULL;
	}
	line[*len - 1] = '\n';
	line[*len] = '\0';
	return line;
}

const char *control_request_what(const json_t *request)
{
	return control_text(request, "do");
}

const char *control_text(const json_t *message, const char *key)
{
	return json_string_value(json_object_get(message, key));
}

/** Bytes of the UTF-8 sequence at `s`, 0 if it isn't one. */
static size_t sequence_length(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

json_t *control_safe_string(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	char *clean, *p;
	json_t *string;

	if (!text)
		return json_null();
	string = json_string(text);
	if (string)
		return string;
	clean = p = malloc(3 * strlen(text) + 1);
	if (!clean)
		return json_null();
	while (*s) {
		size_t n = sequence_length(s);

		memcpy(p, n ? (const char *)s : "\xef\xbf\xbd", n ? n : 3);
		p += n ? n : 3;
		s += n ? n : 1;
	}
	*p = '\0';
	string = json_string(clean);
	free(clean);
	return string ? string : json_null();
}

void control_set_text(json_t *object, const char *key, const char *text)
{
	json_object_set_new(object, key, control_safe_string(text));
}

void control_set_number(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key,
			    value > INT64_MAX ? json_null() : json_integer((json_int_t)value));
}
