/* SPDX-License-Identifier: MIT */
/* Fields, what may be typed for them, and the forms that are stored and looked up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "xml/doc.h"
#include "xml/field_value.h"

#define NOW 1795408445 /* 2026-11-23T04:34:05Z */

static struct vd_error err;

static void becomes(const char *field, const char *typed, const char *normal)
{
	const struct vd_field *f = vd_field_find(field);
	char *value, *again;

	assert_non_null(f);
	if (vd_field_normalize(f, typed, NOW, &value, &err))
		fail_msg("%s", err.text);
	assert_string_equal(value, normal);
	assert_int_equal(vd_field_normalize(f, value, 0, &again, NULL), 0);
	assert_string_equal(again, normal);
	vd_free(again);
	vd_free(value);
}

static void is_refused(const char *field, const char *typed, const char *why)
{
	char *value;

	err = (struct vd_error)VD_ERROR_INIT;
	if (vd_field_normalize(vd_field_find(field), typed, NOW, &value, &err) != VD_EINVAL)
		fail_msg("%s=%s was taken", field, typed);
	if (!strstr(err.text, why) || !strstr(err.text, field))
		fail_msg("\"%s\" doesn't say \"%s\"", err.text, why);
}

static void fields_are_found_by_name(void **state)
{
	const struct vd_field *field;
	size_t n = 0;

	(void)state;
	for (; (field = vd_field_at(n)); n++) {
		assert_ptr_equal(vd_field_find(field->name), field);
		assert_ptr_equal(vd_category_find(field->category->name), field->category);
		assert_ptr_equal(vd_category_find(field->category->xmlns), field->category);
		assert_string_not_equal(vd_field_type_name(field->type), "unknown");
		assert_int_equal(field->type == VD_FIELD_WORD, field->choices != NULL);
		assert_true(*field->summary);
		for (size_t i = 0; i < n; i++)
			assert_string_not_equal(vd_field_at(i)->name, field->name);
	}
	assert_true(n > 100);
	assert_null(vd_field_find("no.such"));
	assert_null(vd_field_find(""));
	assert_null(vd_field_find(NULL));
	assert_null(vd_field_at(n));
	assert_null(vd_category_find("no-such"));
	assert_null(vd_category_at(VD_N_CATEGORIES));
	assert_string_equal(vd_field_type_name((enum vd_field_type)99), "unknown");
	assert_false(vd_category_find("history")->is_disk_scope);
	assert_true(vd_category_find("tags")->is_disk_scope);
}

/* Scripts and policies speak of these: they stay. */
static void names_that_others_rely_on_exist(void **state)
{
	static const struct {
		const char *name;
		enum vd_field_type type;
		bool is_list;
	} known[] = {
	    {"title", VD_FIELD_TEXT, false},
	    {"created", VD_FIELD_TIME, false},
	    {"os.id", VD_FIELD_TEXT, false},
	    {"os.version", VD_FIELD_VERSION, false},
	    {"os.arch", VD_FIELD_TEXT, false},
	    {"partition.uuid", VD_FIELD_UUID, true},
	    {"filesystem.type", VD_FIELD_TEXT, true},
	    {"filesystem.used", VD_FIELD_SIZE, true},
	    {"package", VD_FIELD_PURL, true},
	    {"hardware.memory", VD_FIELD_SIZE, true},
	    {"hardware.firmware", VD_FIELD_WORD, true},
	    {"hardware.cpu.count", VD_FIELD_NUMBER, true},
	    {"hardware.disk.bus", VD_FIELD_TEXT, true},
	    {"hardware.gpu.api", VD_FIELD_TEXT, true},
	    {"hardware.tpm", VD_FIELD_VERSION, true},
	    {"compatible.os", VD_FIELD_TEXT, true},
	    {"compatible.hypervisor", VD_FIELD_TEXT, true},
	    {"compatible.hypervisor.min", VD_FIELD_VERSION, true},
	    {"starts", VD_FIELD_TIME, false},
	    {"expires", VD_FIELD_TIME, false},
	    {"grace", VD_FIELD_NUMBER, false},
	    {"license", VD_FIELD_TEXT, false},
	    {"issuer", VD_FIELD_TEXT, false},
	    {"permit", VD_FIELD_WORD, true},
	    {"deny", VD_FIELD_WORD, true},
	    {"patched", VD_FIELD_TIME, false},
	    {"baseline", VD_FIELD_TEXT, false},
	    {"installed", VD_FIELD_TEXT, true},
	    {"missing", VD_FIELD_TEXT, true},
	    {"cve.open", VD_FIELD_TEXT, true},
	    {"cve.open.severity", VD_FIELD_WORD, true},
	    {"cve.fixed", VD_FIELD_TEXT, true},
	    {"network.nic", VD_FIELD_TEXT, true},
	    {"network.mac", VD_FIELD_TEXT, true},
	    {"network.address", VD_FIELD_TEXT, true},
	    {"tag", VD_FIELD_TEXT, true},
	    {"configuration.file", VD_FIELD_TEXT, true},
	    {"configuration.file.digest", VD_FIELD_TEXT, true},
	    {"state.file", VD_FIELD_TEXT, true},
	    {"state.hypervisor", VD_FIELD_TEXT, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		const struct vd_field *field = vd_field_find(known[i].name);

		if (!field || field->type != known[i].type || field->is_list != known[i].is_list)
			fail_msg("%s", known[i].name);
	}
}

static void sizes_are_bytes(void **state)
{
	(void)state;
	becomes("hardware.memory", "4096", "4096");
	becomes("hardware.memory", "0004096", "4096");
	becomes("hardware.memory", "4G", "4294967296");
	becomes("hardware.memory", " 4 GiB ", "4294967296");
	becomes("hardware.memory", "4gb", "4000000000");
	becomes("hardware.memory", "1.5K", "1536");
	becomes("hardware.memory", "512B", "512");
	becomes("hardware.memory", "9223372036854775807", "9223372036854775807");
	is_refused("hardware.memory", "9223372036854775808", "too big");
	is_refused("hardware.memory", "8E", "too big");
	is_refused("hardware.memory", "99999999999999999999999999999999999999999999", "too big");
	is_refused("hardware.memory", "1.5", "not a whole number of bytes");
	is_refused("hardware.memory", "1.K", "no digits");
	is_refused("hardware.memory", "+4G", "not a size");
	is_refused("hardware.memory", "-1", "not a size");
	is_refused("hardware.memory", "4 G B", "not a size");
	is_refused("hardware.memory", "4X", "not a size");
	is_refused("hardware.memory", "", "empty");
}

static void times_are_utc(void **state)
{
	(void)state;
	becomes("expires", "2027-01-31", "2027-01-31T00:00:00Z");
	becomes("expires", "2027-01-31T12:00:00Z", "2027-01-31T12:00:00Z");
	becomes("expires", "2027-01-31 12:00", "2027-01-31T12:00:00Z");
	becomes("expires", "2027-01-31t12:00:00.999z", "2027-01-31T12:00:00Z");
	becomes("expires", "2027-01-01T00:30:00+01:00", "2026-12-31T23:30:00Z");
	becomes("expires", "2027-12-31T23:30:00-01:00", "2028-01-01T00:30:00Z");
	becomes("expires", "now", "2026-11-23T04:34:05Z");
	becomes("expires", "+90d", "2027-02-21T04:34:05Z");
	becomes("expires", "now-2w", "2026-11-09T04:34:05Z");
	becomes("expires", "-90m", "2026-11-23T03:04:05Z");
	becomes("expires", "2028-02-29", "2028-02-29T00:00:00Z");
	becomes("expires", "2000-02-29", "2000-02-29T00:00:00Z");
	becomes("expires", "1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z");
	becomes("expires", "0001-01-02", "0001-01-02T00:00:00Z");
	becomes("expires", "9999-12-30T23:59:59Z", "9999-12-30T23:59:59Z");
	is_refused("expires", "9999-12-31", "outside the years");
	is_refused("expires", "0001-01-01", "outside the years");
	is_refused("expires", "+99999999999w", "too long");
	is_refused("expires", "-3000000d", "outside the years");
	is_refused("expires", "2027-02-29", "no day");
	is_refused("expires", "1900-02-29", "no day");
	is_refused("expires", "2027-00-01", "no day");
	is_refused("expires", "2027-13-01", "no time");
	is_refused("expires", "2027-1-1", "no time");
	is_refused("expires", "2027-01-31T24:00:00Z", "no time");
	is_refused("expires", "2027-01-31T12:00:00+1", "no time");
	is_refused("expires", "2027-01-31T12:00:00Zx", "no time");
	is_refused("expires", "+5y", "unknown unit");
	is_refused("expires", "+d", "no length of time");
	is_refused("expires", "nowadays", "no time");
}

/* Every day of the calendar goes there and back. */
static void all_days_can_be_written(void **state)
{
	char text[VD_TIME_TEXT], last[VD_TIME_TEXT] = "";
	int64_t time = -62135510400, back;

	(void)state;
	for (; time <= 253402214399; time += 86400) {
		vd_time_format(time, text);
		assert_null(vd_time_parse(text, false, 0, &back));
		assert_true(back == time);
		assert_true(strcmp(last, text) < 0);
		strcpy(last, text);
	}
}

static void lengths_of_time_are_seconds(void **state)
{
	(void)state;
	becomes("grace", "90", "90");
	becomes("grace", "7d", "604800");
	becomes("grace", "12h", "43200");
	is_refused("grace", "-1d", "no length of time");
	is_refused("grace", "1.5d", "unknown unit");
	becomes("hardware.cpu.count", "18446744073709551615", "18446744073709551615");
	is_refused("hardware.cpu.count", "18446744073709551616", "too big");
	is_refused("hardware.cpu.count", "7d", "not a number");
}

static void words_and_truth_have_one_spelling(void **state)
{
	(void)state;
	becomes("hardware.firmware", "EFI", "efi");
	is_refused("hardware.firmware", "efix", "(bios|efi)");
	is_refused("hardware.firmware", "bios|efi", "(bios|efi)");
	becomes("hardware.secure-boot", "Yes", "true");
	becomes("hardware.secure-boot", "off", "false");
	is_refused("hardware.secure-boot", "maybe", "not true or false");
}

static void packages_are_purls(void **state)
{
	(void)state;
	becomes("package", "pkg:deb/debian/openssl@3.0.11-1~deb12u2?arch=amd64",
		"pkg:deb/debian/openssl@3.0.11-1~deb12u2?arch=amd64");
	becomes("package", "PKG:NPM/%40angular/animation@12.3.1",
		"pkg:npm/%40angular/animation@12.3.1");
	becomes("package", "pkg://golang/github.com/x/y@1#z", "pkg:golang/github.com/x/y@1#z");
	is_refused("package", "openssl", "not a package URL");
	is_refused("package", "pkg:deb", "not a package URL");
	is_refused("package", "pkg:/deb", "not a package URL");
	is_refused("package", "pkg:deb/", "not a package URL");
	is_refused("package", "pkg:3deb/a", "not a package URL");
	is_refused("package", "pkg:deb/?a=b", "not a package URL");
	is_refused("package", "pkg:deb/a b", "%XX");
	is_refused("package", "pkg:deb/a%4", "hexadecimal");
	is_refused("package", "pkg:deb/\xc3\xa4", "%XX");
}

static void uuids_and_versions_are_checked(void **state)
{
	(void)state;
	becomes("partition.uuid", "{6F1D3C0E-9b5a-4a51-8a3e-3f0a6b1c2d3e}",
		"6f1d3c0e-9b5a-4a51-8a3e-3f0a6b1c2d3e");
	is_refused("partition.uuid", "6f1d3c0e", "not a UUID");
	becomes("os.version", "1:2.0~rc1+b3-4^5_6", "1:2.0~rc1+b3-4^5_6");
	is_refused("os.version", "12 (bookworm)", "not a version");
	becomes("title", "\n two\t words ", "two words");
	becomes("description", " two\n lines", " two\n lines");
}

static void has_key(const char *value, const char *key)
{
	char *own, *again;

	assert_int_equal(vd_field_key(value, &own, NULL), 0);
	assert_string_equal(own, key);
	assert_int_equal(vd_field_key(own, &again, NULL), 0);
	assert_string_equal(again, key);
	vd_free(again);
	vd_free(own);
}

static void keys_ignore_case_and_composition(void **state)
{
	static char big[300 << 10];
	char *own;

	(void)state;
	has_key("", "");
	has_key("Debian GNU/Linux @[`{", "debian gnu/linux @[`{");
	has_key("GR\xc3\x96SSE", "gr\xc3\xb6sse");
	has_key("gro\xcc\x88\xc3\x9f"
		"e",
		"gr\xc3\xb6sse");
	has_key("\xef\xbc\xb7\xef\xbd\x85\xef\xbd\x82", "web"); /* full width */
	has_key("\xef\xac\x81", "fi");                          /* ligature */
	has_key("\xc4\xb0", "i\xcc\x87");                       /* I with a dot */
	assert_int_equal(vd_field_key("a\xff", &own, &err), VD_EINVAL);
	memset(big, 'a', sizeof(big) - 1);
	assert_int_equal(vd_field_key(big, &own, &err), VD_ERANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fields_are_found_by_name),
	    cmocka_unit_test(names_that_others_rely_on_exist),
	    cmocka_unit_test(sizes_are_bytes),
	    cmocka_unit_test(times_are_utc),
	    cmocka_unit_test(all_days_can_be_written),
	    cmocka_unit_test(lengths_of_time_are_seconds),
	    cmocka_unit_test(words_and_truth_have_one_spelling),
	    cmocka_unit_test(packages_are_purls),
	    cmocka_unit_test(uuids_and_versions_are_checked),
	    cmocka_unit_test(keys_ignore_case_and_composition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
