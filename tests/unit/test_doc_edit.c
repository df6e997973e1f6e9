/* SPDX-License-Identifier: MIT */
/* Documents changed by fields: what comes where, and what stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "xml/doc.h"

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

static struct vd_error err;

static struct vd_doc *doc_of(const char *text)
{
	struct vd_doc *doc;

	if (vd_doc_parse(&doc, text, strlen(text), &err))
		fail_msg("%s", err.text);
	return doc;
}

static struct vd_doc *doc_new(const char *category)
{
	struct vd_doc *doc;

	assert_int_equal(vd_doc_create(&doc, vd_category_find(category), NULL), 0);
	return doc;
}

static int edit(struct vd_doc *doc, enum vd_field_edit how, const char *field, const char *value)
{
	err = (struct vd_error)VD_ERROR_INIT;
	return vd_doc_set_field(doc, vd_field_find(field), how, value, &err);
}

static void set(struct vd_doc *doc, const char *field, const char *value)
{
	if (edit(doc, VD_FIELD_SET, field, value))
		fail_msg("%s", err.text);
}

static void add(struct vd_doc *doc, const char *field, const char *value)
{
	if (edit(doc, VD_FIELD_ADD, field, value))
		fail_msg("%s", err.text);
}

static void take(struct vd_doc *doc, const char *field, const char *value)
{
	if (edit(doc, VD_FIELD_REMOVE, field, value))
		fail_msg("%s", err.text);
}

static void refuses(struct vd_doc *doc, enum vd_field_edit how, const char *field,
		    const char *value, const char *why)
{
	char *before, *after;
	size_t len;

	assert_int_equal(vd_doc_format(doc, &before, &len, NULL), 0);
	assert_int_equal(edit(doc, how, field, value), VD_EINVAL);
	if (!strstr(err.text, why))
		fail_msg("\"%s\" doesn't say \"%s\"", err.text, why);
	assert_int_equal(vd_doc_format(doc, &after, &len, NULL), 0);
	assert_string_equal(after, before);
	vd_free(before);
	vd_free(after);
}

/* It is valid, reads so, and goes. */
static void ends_as(struct vd_doc *doc, const char *text)
{
	char *bytes;
	size_t len;

	if (vd_doc_validate(doc, NULL, NULL, &err))
		fail_msg("%s", err.text);
	assert_int_equal(vd_doc_format(doc, &bytes, &len, NULL), 0);
	assert_int_equal(len, strlen(bytes));
	assert_string_equal(bytes, text);
	vd_free(bytes);
	vd_doc_free(doc);
}

struct list {
	char text[4096];
};

static int list_value(void *user, const struct vd_field *field, const char *value, uint32_t group)
{
	struct list *list = user;
	size_t n = strlen(list->text);

	snprintf(list->text + n, sizeof(list->text) - n, "%s=%s#%u\n", field->name, value, group);
	return 0;
}

static void reads_as(const char *text, const char *values)
{
	struct vd_doc *doc = doc_of(text);
	struct list list = {""};

	if (vd_doc_each_value(doc, list_value, &list, &err))
		fail_msg("%s", err.text);
	assert_string_equal(list.text, values);
	vd_doc_free(doc);
}

static void a_new_document_is_valid(void **state)
{
	const struct vd_category *category;

	(void)state;
	for (size_t i = 0; (category = vd_category_at(i)); i++) {
		struct vd_doc *doc = doc_new(category->name);
		char text[256];

		assert_string_equal(vd_doc_xmlns(doc), category->xmlns);
		snprintf(text, sizeof(text), HEAD "<%s xmlns=\"%s\"/>\n", category->name,
			 category->xmlns);
		ends_as(doc, text);
	}
}

static void values_are_read_in_normal_form(void **state)
{
	(void)state;
	reads_as(
	    "<content xmlns='urn:libvdisk:content:1'><title>\n a  <!-- x -->b&amp;<![CDATA[c]]>"
	    "</title><description> a\n b</description>"
	    "<created>2026-01-01T00:30:00.25+02:00</created><partitions>"
	    "<partition number='007' uuid='AAAAAAAA-BBBB-cccc-dddd-EEEEEEEEEEEE'/>"
	    "</partitions></content>",
	    "title=a b&c#0\ndescription= a\n b#0\ncreated=2025-12-31T22:30:00Z#0\n"
	    "partition.number=7#1\n"
	    "partition.uuid=aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee#1\n");
}

static void values_of_one_entry_share_a_group(void **state)
{
	(void)state;
	reads_as("<h:hardware xmlns:h='urn:libvdisk:hardware:1'><h:alternative name='a'><h:cpu>"
		 "<h:feature>x</h:feature><h:feature>y</h:feature></h:cpu><h:disk bus='scsi'/>"
		 "</h:alternative><h:alternative><h:memory>1</h:memory></h:alternative>"
		 "</h:hardware>",
		 "hardware.name=a#1\nhardware.cpu.feature=x#1\nhardware.cpu.feature=y#1\n"
		 "hardware.disk.bus=scsi#1\nhardware.memory=1#2\n");
	reads_as("<tags xmlns='urn:libvdisk:tags:1'><tag>a</tag><tag>b=c</tag></tags>",
		 "tag=a#0\ntag=b=c#0\n");
}

/* Names that others use for their own things aren't ours. */
static void what_is_not_ours_gives_no_values(void **state)
{
	(void)state;
	reads_as("<tags xmlns='urn:libvdisk:tags:1' xmlns:v='urn:v'><v:tag>a</v:tag>"
		 "<v:x><tag>b</tag></v:x></tags>",
		 "");
	reads_as("<os xmlns='urn:libvdisk:content:1x' id='a'/>", "");
	reads_as("<content xmlns='urn:libvdisk:content:1' xmlns:v='urn:v'>"
		 "<os v:id='b'/></content>",
		 "");
}

static void wrong_values_are_told_with_their_line(void **state)
{
	struct vd_doc *doc = doc_of("<validity xmlns='urn:libvdisk:validity:1'>\n"
				    "<expires>never</expires></validity>");
	struct list list = {""};

	(void)state;
	assert_int_equal(vd_doc_each_value(doc, list_value, &list, &err), VD_ECORRUPT);
	assert_non_null(strstr(err.text, "line 2: expires: \"never\""));
	vd_doc_free(doc);
	doc =
	    doc_of("<validity xmlns='urn:libvdisk:validity:1'><expires>+90d</expires></validity>");
	assert_int_equal(vd_doc_each_value(doc, list_value, &list, &err), VD_ECORRUPT);
	vd_doc_free(doc);
	doc = doc_of("<tag xmlns='urn:libvdisk:tags:1'/>");
	assert_int_equal(vd_doc_each_value(doc, list_value, &list, &err), VD_ECORRUPT);
	vd_doc_free(doc);
}

static void elements_come_where_the_schema_wants_them(void **state)
{
	struct vd_doc *doc = doc_new("content");

	(void)state;
	set(doc, "os.version", "12.5");
	set(doc, "title", "t");
	add(doc, "package", "pkg:deb/debian/a@1");
	set(doc, "partition.scheme", "GPT");
	set(doc, "description", "d & <e>");
	set(doc, "os.id", "debian12");
	ends_as(doc, HEAD "<content xmlns=\"urn:libvdisk:content:1\">\n"
			  "  <title>t</title>\n"
			  "  <description>d &amp; &lt;e&gt;</description>\n"
			  "  <os version=\"12.5\" id=\"debian12\"/>\n"
			  "  <partitions scheme=\"gpt\"/>\n"
			  "  <software>\n"
			  "    <package>pkg:deb/debian/a@1</package>\n"
			  "  </software>\n"
			  "</content>\n");
}

static void what_others_wrote_stays(void **state)
{
	struct vd_doc *doc =
	    doc_of("<?p i?><v:validity xmlns:v='urn:libvdisk:validity:1' "
		   "xmlns:w='urn:w' w:a='1'>\n\t<!-- c -->\n\t<v:expires w:b='2'>"
		   "2026-01-01T00:00:00Z<!-- d --></v:expires>\n\t<w:x>y&#13;</w:x>\n"
		   "</v:validity>");

	(void)state;
	set(doc, "expires", "2027-01-01");
	set(doc, "grace", "1d");
	ends_as(doc,
		HEAD "<?p i?>\n<v:validity xmlns:v=\"urn:libvdisk:validity:1\" "
		     "xmlns:w=\"urn:w\" w:a=\"1\">\n\t<!-- c -->\n\t<v:expires w:b=\"2\">"
		     "<!-- d -->2027-01-01T00:00:00Z</v:expires>\n\t<v:grace>86400</v:grace>\n\t"
		     "<w:x>y&#13;</w:x>\n</v:validity>\n");
}

static void a_document_in_one_line_stays_in_one(void **state)
{
	struct vd_doc *doc = doc_of("<tags xmlns='urn:libvdisk:tags:1'><tag>a</tag></tags>");

	(void)state;
	add(doc, "tag", "b");
	ends_as(doc, HEAD "<tags xmlns=\"urn:libvdisk:tags:1\"><tag>a</tag><tag>b</tag></tags>\n");
}

static void lists_are_set_added_to_and_taken_from(void **state)
{
	struct vd_doc *doc = doc_new("rights");

	(void)state;
	add(doc, "permit", "run");
	add(doc, "permit", "mount-ro");
	add(doc, "permit", "run");
	add(doc, "deny", "sell");
	take(doc, "permit", "run");
	take(doc, "permit", "export");
	add(doc, "permit", "archive");
	ends_as(doc, HEAD "<rights xmlns=\"urn:libvdisk:rights:1\">\n  <permit>mount-ro</permit>\n"
			  "  <permit>archive</permit>\n  <deny>sell</deny>\n</rights>\n");
	doc = doc_new("rights");
	for (int i = 0; i < 3; i++)
		add(doc, "holder", i == 0 ? "a" : i == 1 ? "b" : "c");
	set(doc, "holder", "b");
	take(doc, "permit", NULL);
	ends_as(doc, HEAD "<rights xmlns=\"urn:libvdisk:rights:1\">\n  <holder>b</holder>\n"
			  "</rights>\n");
	doc = doc_new("rights");
	add(doc, "holder", "a");
	add(doc, "holder", "b");
	take(doc, "holder", NULL);
	ends_as(doc, HEAD "<rights xmlns=\"urn:libvdisk:rights:1\"/>\n");
}

static void a_tag_has_one_value_for_each_key(void **state)
{
	struct vd_doc *doc = doc_new("tags");

	(void)state;
	add(doc, "tag", "env=test");
	add(doc, "tag", "environment=x");
	add(doc, "tag", "env");
	add(doc, "tag", "env=prod");
	take(doc, "tag", "environment=x");
	ends_as(doc, HEAD "<tags xmlns=\"urn:libvdisk:tags:1\">\n  <tag>env=prod</tag>\n"
			  "  <tag>env</tag>\n</tags>\n");
}

static void one_entry_takes_fields_several_refuse(void **state)
{
	struct vd_doc *doc = doc_new("patches");

	(void)state;
	refuses(doc, VD_FIELD_SET, "cve.open.severity", "high", "set cve.open first");
	add(doc, "cve.open", "CVE-2026-1");
	set(doc, "cve.open.severity", "high");
	add(doc, "cve.open", "CVE-2026-1");
	refuses(doc, VD_FIELD_SET, "cve.open.severity", "terrible", "unknown|none|low");
	refuses(doc, VD_FIELD_ADD, "cve.open.severity", "low", "one value at most");
	add(doc, "cve.open", "CVE-2026-2");
	refuses(doc, VD_FIELD_SET, "cve.open.severity", "low", "several entries");
	take(doc, "cve.open.severity", NULL);
	take(doc, "cve.open", "CVE-2026-2");
	ends_as(doc, HEAD "<patches xmlns=\"urn:libvdisk:patches:1\">\n"
			  "  <open id=\"CVE-2026-1\"/>\n</patches>\n");
}

/* Another package isn't under the licence of the one before. */
static void setting_the_key_makes_a_new_entry(void **state)
{
	struct vd_doc *doc = doc_new("content");

	(void)state;
	add(doc, "package", "pkg:deb/debian/a@1");
	set(doc, "package.license", "MIT");
	add(doc, "package", "pkg:deb/debian/b@1");
	set(doc, "package", "pkg:deb/debian/c@1");
	ends_as(doc, HEAD "<content xmlns=\"urn:libvdisk:content:1\">\n  <software>\n"
			  "    <package>pkg:deb/debian/c@1</package>\n  </software>\n</content>\n");
}

static void lists_within_the_only_entry_work(void **state)
{
	struct vd_doc *doc = doc_new("hardware");

	(void)state;
	set(doc, "hardware.memory", "2G");
	add(doc, "hardware.disk.bus", "virtio");
	add(doc, "hardware.disk.bus", "scsi");
	add(doc, "hardware.cpu.feature", "avx2");
	add(doc, "hardware.cpu.feature", "avx2");
	set(doc, "hardware.disk.bus", "nvme");
	take(doc, "hardware.cpu.feature", "avx2");
	set(doc, "hardware.memory", "4G");
	refuses(doc, VD_FIELD_ADD, "hardware.memory", "8G", "one value at most");
	refuses(doc, VD_FIELD_SET, "hardware.cpu.count", "0", "minInclusive");
	ends_as(doc, HEAD "<hardware xmlns=\"urn:libvdisk:hardware:1\">\n  <alternative>\n"
			  "    <memory>4294967296</memory>\n    <disk bus=\"nvme\"/>\n"
			  "  </alternative>\n</hardware>\n");
}

/* A value is added to the entry that lacks it, and then it has one. */
static void a_missing_value_can_be_added(void **state)
{
	struct vd_doc *doc = doc_new("hardware");

	(void)state;
	set(doc, "hardware.arch", "x86_64");
	add(doc, "hardware.memory", "1K");
	add(doc, "hardware.memory", "1024");
	refuses(doc, VD_FIELD_ADD, "hardware.memory", "2K", "one value at most");
	ends_as(doc, HEAD "<hardware xmlns=\"urn:libvdisk:hardware:1\">\n  <alternative>\n"
			  "    <machine arch=\"x86_64\"/>\n    <memory>1024</memory>\n"
			  "  </alternative>\n</hardware>\n");
}

static void what_becomes_empty_goes(void **state)
{
	struct vd_doc *doc = doc_new("hardware");

	(void)state;
	set(doc, "hardware.gpu.count", "1");
	add(doc, "hardware.gpu.api", "cuda");
	set(doc, "hardware.tpm", "2.0");
	take(doc, "hardware.gpu.api", NULL);
	take(doc, "hardware.gpu.count", NULL);
	take(doc, "hardware.tpm", "1.2");
	take(doc, "hardware.tpm", NULL);
	ends_as(doc, HEAD "<hardware xmlns=\"urn:libvdisk:hardware:1\"/>\n");
}

static void what_cannot_be_is_refused(void **state)
{
	struct vd_doc *doc = doc_new("tags");

	(void)state;
	refuses(doc, VD_FIELD_SET, "title", "t", "no field of a document");
	refuses(doc, VD_FIELD_ADD, "tag", "two words", "pattern");
	refuses(doc, VD_FIELD_ADD, "tag", "a\x01", "control character");
	refuses(doc, VD_FIELD_ADD, "tag", "\xff", "not UTF-8");
	refuses(doc, VD_FIELD_ADD, "tag", " ", "empty");
	refuses(doc, VD_FIELD_ADD, "tag", NULL, "no value");
	refuses(doc, (enum vd_field_edit)9, "tag", "a", "unknown kind");
	vd_doc_free(doc);
	doc = doc_new("history");
	refuses(doc, VD_FIELD_SET, "history.length", "1", "can't be set");
	vd_doc_free(doc);
	doc = doc_new("validity");
	refuses(doc, VD_FIELD_ADD, "expires", "+1d", "one value at most");
	vd_doc_free(doc);
	doc = doc_of("<v xmlns='urn:vendor'/>");
	refuses(doc, VD_FIELD_SET, "title", "t", "no field of a document");
	assert_int_equal(vd_doc_validate(doc, NULL, NULL, NULL), VD_ENOENT);
	vd_doc_free(doc);
}

static int set_entry(struct vd_doc *doc, const char *key, const char *value, const char *field,
		     const char *other)
{
	struct vd_doc_pair pairs[] = {{key, value}, {field, other}};

	err = (struct vd_error)VD_ERROR_INIT;
	return vd_doc_set_entry(doc, pairs, 2, &err);
}

static void entries_are_set_by_their_key(void **state)
{
	struct vd_doc *doc = doc_new("configuration");

	(void)state;
	assert_int_equal(set_entry(doc, "configuration.file", "a", "configuration.file.size", "5"),
			 0);
	assert_int_equal(set_entry(doc, "configuration.file", "b", "configuration.file.media-type",
				   "text/plain"),
			 0);
	assert_int_equal(
	    set_entry(doc, "configuration.file", "a", "configuration.file.role", "cloud-init"), 0);
	assert_int_equal(
	    set_entry(doc, "configuration.file", "b", "configuration.file.media-type", NULL), 0);
	assert_int_equal(
	    set_entry(doc, "configuration.file", "c", "configuration.file.media-type", "text"),
	    VD_EINVAL);
	assert_int_equal(set_entry(doc, "configuration.file.size", "5", "configuration.file", "a"),
			 VD_EINVAL);
	assert_int_equal(set_entry(doc, "configuration.file", "a", "configuration.file", "b"),
			 VD_EINVAL);
	assert_int_equal(set_entry(doc, "configuration.file", "a", "tag", "b"), VD_EINVAL);
	assert_int_equal(set_entry(doc, "configuration.file", "a", "nothing", "b"), VD_EINVAL);
	assert_int_equal(set_entry(doc, "configuration.file", NULL, "configuration.file.size", "5"),
			 VD_EINVAL);
	ends_as(doc,
		HEAD "<configuration xmlns=\"urn:libvdisk:configuration:1\">\n"
		     "  <file name=\"a\" size=\"5\" role=\"cloud-init\"/>\n  <file name=\"b\"/>\n"
		     "</configuration>\n");
	doc = doc_new("network");
	assert_int_equal(set_entry(doc, "network.nic", "eth0", "network.address", "10.0.0.1/8"), 0);
	assert_int_equal(set_entry(doc, "network.nic", "eth0", "network.address", "10.0.0.2/8"), 0);
	ends_as(doc, HEAD "<network xmlns=\"urn:libvdisk:network:1\">\n  <nic name=\"eth0\">\n"
			  "    <address>10.0.0.2/8</address>\n  </nic>\n</network>\n");
}

static void a_document_cannot_grow_over_its_bound(void **state)
{
	size_t len = VD_META_DOCUMENT_MAX - 64;
	char *text = malloc(len + 65), *bytes, *p;
	struct vd_doc *doc;

	(void)state;
	p = stpcpy(text, "<tags xmlns='urn:libvdisk:tags:1'><v:x xmlns:v='u'>");
	memset(p, '>', len - (size_t)(p - text)); /* written as &gt; */
	strcpy(text + len, "</v:x></tags>");
	doc = doc_of(text);
	assert_int_equal(vd_doc_format(doc, &bytes, &len, &err), VD_ERANGE);
	vd_doc_free(doc);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_new_document_is_valid),
	    cmocka_unit_test(values_are_read_in_normal_form),
	    cmocka_unit_test(values_of_one_entry_share_a_group),
	    cmocka_unit_test(what_is_not_ours_gives_no_values),
	    cmocka_unit_test(wrong_values_are_told_with_their_line),
	    cmocka_unit_test(elements_come_where_the_schema_wants_them),
	    cmocka_unit_test(what_others_wrote_stays),
	    cmocka_unit_test(a_document_in_one_line_stays_in_one),
	    cmocka_unit_test(lists_are_set_added_to_and_taken_from),
	    cmocka_unit_test(a_tag_has_one_value_for_each_key),
	    cmocka_unit_test(one_entry_takes_fields_several_refuse),
	    cmocka_unit_test(setting_the_key_makes_a_new_entry),
	    cmocka_unit_test(lists_within_the_only_entry_work),
	    cmocka_unit_test(a_missing_value_can_be_added),
	    cmocka_unit_test(what_becomes_empty_goes),
	    cmocka_unit_test(what_cannot_be_is_refused),
	    cmocka_unit_test(entries_are_set_by_their_key),
	    cmocka_unit_test(a_document_cannot_grow_over_its_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
