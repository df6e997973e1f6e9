/* SPDX-License-Identifier: MIT */
/*
 * The worked example of docs/metadata-format.md: the items that it shows in hex are, byte for byte,
 * those that the library writes. VD_SHOW_EXAMPLE=1 prints them as the page has them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metabox.h"

#define TAGS "<tags xmlns=\"urn:libvdisk:tags:1\"><tag>web</tag></tags>"

/* The bytes behind the line "Item `KEY`" of the page. */
static size_t read_example(const char *key, uint8_t *bytes, size_t room)
{
	const char *top = getenv("TOP");
	char path[2048], line[512], start[64];
	bool is_here = false;
	size_t n = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/docs/metadata-format.md", top ? top : ".");
	snprintf(start, sizeof(start), "Item `%s`", key);
	file = fopen(path, "r");
	if (!file)
		fail_msg("no %s", path);
	while (fgets(line, sizeof(line), file)) {
		char *at = line + 6, *end;

		if (!is_here) {
			is_here = !strncmp(line, start, strlen(start));
			continue;
		}
		if (!strncmp(line, "Item `", 6) || line[0] == '#')
			break;
		if (strlen(line) < 8 || strtoul(line, &end, 16) != n || end != line + 4)
			continue;
		for (int i = 0; i < 16 && n < room; i++) {
			unsigned long byte = strtoul(at, &end, 16);

			if (end != at + 2 + (at[0] == ' '))
				break;
			bytes[n++] = (uint8_t)byte;
			at = end;
		}
	}
	fclose(file);
	return n;
}

static void show(const char *key, const uint8_t *bytes, size_t len)
{
	printf("\nItem `%s`, %zu bytes:\n```\n", key, len);
	for (size_t at = 0; at < len; at += 16) {
		printf("%04zx ", at);
		for (size_t i = at; i < at + 16; i++)
			if (i < len)
				printf(" %02x", bytes[i]);
			else
				printf("   ");
		printf("  ");
		for (size_t i = at; i < at + 16 && i < len; i++)
			putchar(bytes[i] >= 0x20 && bytes[i] < 0x7f ? bytes[i] : '.');
		putchar('\n');
	}
	printf("```\n");
}

static void test_the_example_is_what_is_written(void **state)
{
	static const char *const keys[] = {"tags", "history", "facts"};
	const struct vd_operation op = {.time = 1790000000,
					.actor = "alice",
					.host = "",
					.tool = "vdtool 0.1.0",
					.operation = "tag",
					.parameters = "+web",
					.outcome = "ok"};
	struct metabox box;

	(void)state;
	metabox_create(&box, "example.vhdx", "vhdx");
	assert_int_equal(vd_meta_set_document(box.meta, NULL, TAGS, strlen(TAGS), &box.err), 0);
	assert_int_equal(vd_meta_log(box.meta, &op, &box.err), 0);
	metabox_commit(&box);
	for (size_t i = 0; i < 3; i++) {
		uint8_t example[2048];
		struct vd_item item;
		uint8_t *bytes = metabox_item(&box, keys[i], &item);
		size_t n = read_example(keys[i], example, sizeof(example));

		assert_non_null(bytes);
		if (getenv("VD_SHOW_EXAMPLE"))
			show(keys[i], bytes, item.length);
		else if (n != item.length || memcmp(bytes, example, n) != 0)
			fail_msg("docs/metadata-format.md shows other bytes (%zu) for item %s (%u)",
				 n, keys[i], item.length);
		free(bytes);
	}
	metabox_close(&box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_example_is_what_is_written),
	};

	return cmocka_run_group_tests_name("meta_format", tests, NULL, NULL);
}
