/* SPDX-License-Identifier: MIT */
/*
 * Metadata documents. Input: the bytes of one.
 * Properties: what is parsed can be written and parsed again, to the same values; a document that
 * is valid has readable values, each of which is its own normal form, has a key, and can be taken
 * away and, where it is a list's, put back, with the document valid after each step.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "fuzz.h"
#include "xml/doc.h"

#define MAX_VALUES 32

struct values {
	const struct vd_field *field[MAX_VALUES];
	char *value[MAX_VALUES];
	size_t n, all;
	uint32_t sum;
};

static void check_value(const struct vd_field *field, const char *value)
{
	char *normal, *key, *again;
	struct vd_error err;

	FUZZ_CHECK(fuzz_is_utf8(value), "%s isn't text", field->name);
	if (strlen(value) >= 65536)
		return;
	FUZZ_CHECK(vd_field_normalize(field, value, 0, &normal, &err) == 0, "%s", err.text);
	FUZZ_CHECK(strcmp(normal, value) == 0, "%s: %s became %s", field->name, value, normal);
	FUZZ_CHECK(vd_field_key(value, &key, &err) == 0, "%s", err.text);
	FUZZ_CHECK(fuzz_is_utf8(key), "%s: the key isn't text", field->name);
	FUZZ_CHECK(vd_field_key(key, &again, &err) == 0 && strcmp(again, key) == 0,
		   "%s: the key of %s isn't its own", field->name, key);
	vd_free(again);
	vd_free(key);
	vd_free(normal);
}

static int take_value(void *user, const struct vd_field *field, const char *value, uint32_t group)
{
	struct values *values = user;

	values->all++;
	values->sum = values->sum * 31 + group + (unsigned char)field->name[0];
	for (const char *p = value; *p; p++)
		values->sum = values->sum * 31 + (unsigned char)*p;
	if (values->n == MAX_VALUES)
		return 0;
	values->field[values->n] = field;
	values->value[values->n] = strdup(value);
	FUZZ_CHECK(values->value[values->n], "no memory");
	values->n++;
	return 0;
}

static void free_values(struct values *values)
{
	for (size_t i = 0; i < values->n; i++)
		free(values->value[i]);
}

/* Written and read again, it says the same. */
static void go_round(const struct vd_doc *doc, int valid)
{
	struct values before = {.n = 0}, after = {.n = 0};
	struct vd_doc *again;
	struct vd_error err;
	char *bytes;
	size_t len;
	int ret = vd_doc_format(doc, &bytes, &len, &err);

	if (ret == VD_ERANGE)
		return;
	FUZZ_CHECK(ret == 0, "%s", err.text);
	FUZZ_CHECK(strlen(bytes) == len, "a NUL in the text");
	FUZZ_CHECK(vd_doc_parse(&again, bytes, len, &err) == 0, "%s\n%s", err.text, bytes);
	FUZZ_CHECK(strcmp(vd_doc_xmlns(again), vd_doc_xmlns(doc)) == 0, "another namespace");
	FUZZ_CHECK(vd_doc_validate(again, NULL, NULL, &err) == valid, "%s\n%s", err.text, bytes);
	FUZZ_CHECK(vd_doc_each_value(doc, take_value, &before, NULL) ==
		       vd_doc_each_value(again, take_value, &after, NULL),
		   "another answer\n%s", bytes);
	FUZZ_CHECK(before.all == after.all && before.sum == after.sum, "other values\n%s", bytes);
	free_values(&before);
	free_values(&after);
	vd_doc_free(again);
	vd_free(bytes);
}

static void check_valid(const struct vd_doc *doc, const char *when, const char *field)
{
	struct vd_error err;
	int ret = vd_doc_validate(doc, NULL, NULL, &err);

	FUZZ_CHECK(ret == 0, "%s %s: %s", when, field, err.text);
}

static void edit(struct vd_doc *doc, const struct vd_field *field, const char *value)
{
	struct vd_error err;

	if (field->is_derived)
		return;
	FUZZ_CHECK(vd_doc_set_field(doc, field, VD_FIELD_REMOVE, value, &err) == 0, "%s", err.text);
	check_valid(doc, "without", field->name);
	/* Where it belongs may be unclear by now. */
	if (vd_doc_set_field(doc, field, field->is_list ? VD_FIELD_ADD : VD_FIELD_SET, value,
			     &err) != 0)
		FUZZ_CHECK(err.code == VD_EINVAL && field->is_list, "%s", err.text);
	check_valid(doc, "again with", field->name);
}

static void run(const uint8_t *data, size_t size)
{
	struct values values = {.n = 0};
	struct vd_doc *doc;
	struct vd_error err;
	int ret = vd_doc_parse(&doc, (const char *)data, size, &err);

	if (ret) {
		FUZZ_CHECK(ret == VD_ECORRUPT, "%s", err.text);
		FUZZ_CHECK(strncmp(err.text, "line ", 5) == 0, "%s", err.text);
		return;
	}
	ret = vd_doc_validate(doc, NULL, NULL, &err);
	FUZZ_CHECK(ret == 0 || ret == VD_ECORRUPT || ret == VD_ENOENT, "%s", err.text);
	go_round(doc, ret);
	if (ret == 0) {
		fuzz_deep();
		FUZZ_CHECK(vd_doc_each_value(doc, take_value, &values, &err) == 0, "%s", err.text);
		for (size_t i = 0; i < values.n; i++) {
			check_value(values.field[i], values.value[i]);
			edit(doc, values.field[i], values.value[i]);
		}
		go_round(doc, 0);
		free_values(&values);
	}
	vd_doc_free(doc);
}

#define DOC(category, inside)                                                                      \
	"<" category " xmlns='urn:libvdisk:" category ":1'>" inside "</" category ">"
static const struct {
	const char *name, *text;
} seeds[] = {
    {"content",
     DOC("content", "<title>a b</title><description> x\n</description>"
		    "<created>2026-01-01T00:00:00.5+01:00</created><version>1.2</version>"
		    "<author>x</author><url>http://a/b?c#d</url>"
		    "<os id='debian12' version='12.5' arch='x86_64'/>")},
    {"disk", DOC("content", "<partitions scheme='gpt' id='x'><partition number='1' size='5' "
			    "uuid='6f1d3c0e-9b5a-4a51-8a3e-3f0a6b1c2d3e' bootable='true'/>"
			    "</partitions><filesystems><filesystem type='ext4' used='1' mount='/'/>"
			    "</filesystems>")},
    {"software", DOC("content", "<software><package license='MIT'>pkg:deb/debian/a@1~b?c=d#e"
				"</package><package>pkg:npm/%40a/b@1</package></software>")},
    {"hardware",
     DOC("hardware", "<alternative name='a'><machine arch='x' firmware='efi'/>"
		     "<cpu count='2'><feature>avx2</feature><feature>aes</feature></cpu>"
		     "<memory>1073741824</memory><disk bus='scsi'/><nic model='virtio'/>"
		     "<gpu memory='1'><api>cuda</api></gpu><tpm version='2.0'/>"
		     "</alternative><alternative><memory>5</memory></alternative>")},
    {"host", DOC("host", "<os id='linux' min='1'/><hypervisor id='qemu' min='7.2' max='9'/>")},
    {"validity", DOC("validity", "<starts>2026-01-01T00:00:00Z</starts>"
				 "<expires>2027-01-01T00:00:00Z</expires><grace>60</grace>")},
    {"rights", DOC("rights", "<license>MIT OR (A AND B)</license><issuer>a</issuer>"
			     "<holder>b</holder><permit>run</permit><deny>sell</deny>")},
    {"patches", DOC("patches", "<scan time='2026-01-01T00:00:00Z' tool='t'/><baseline>b</baseline>"
			       "<installed>KB1</installed><missing severity='low'>KB2</missing>"
			       "<open id='CVE-2026-1' severity='high' status='affected' "
			       "package='pkg:deb/a' fixed-in='2'/><fixed id='CVE-2026-2'/>")},
    {"network", DOC("network", "<nic name='eth0' mac='52:54:00:12:34:56' network='n' vlan='4'>"
			       "<address>10.0.0.1/8</address><address>fe80::1</address></nic>"
			       "<segment name='n' forward='nat'><subnet>10.0.0.0/8</subnet>"
			       "</segment>")},
    {"tags", DOC("tags", "<tag>web</tag><tag>env=prod</tag><tag>gr\xc3\xb6\xc3\x9f"
			 "e</tag><tag>\xef\xac\x81=\xc4\xb0</tag>")},
    {"configuration", DOC("configuration", "<file name='a' media-type='a/b;c' digest='a-1:0f' "
					   "size='1' uri='../x'/>")},
    {"state", DOC("state", "<saved name='a' hypervisor='qemu' time='2026-01-01T00:00:00Z'/>")},
    {"history", DOC("history", "<entry number='1' time='2026-01-01T00:00:00Z' operation='tag' "
			       "previous='a:0'><parameters>x</parameters></entry>")},
    {"foreign",
     "<?xml version='1.0' encoding='UTF-8'?><?p i?><!-- c --><t:tags "
     "xmlns:t='urn:libvdisk:tags:1' xmlns:v='urn:v' v:a='1'>\n  <t:tag v:b='2'>a<!-- d -->"
     "<![CDATA[=<b]]></t:tag>\n  <v:x><t:tag>no</t:tag>&#13;</v:x>\n</t:tags>"},
    {"vendor", "<v xmlns='urn:v' a='&lt;'>&amp;<w xmlns=''/>x</v>"},
    {"xsi", "<tags xmlns='urn:libvdisk:tags:1' "
	    "xmlns:i='http://www.w3.org/2001/XMLSchema-instance' i:schemaLocation='a b'>"
	    "<tag i:type='x'>a</tag></tags>"},
    {"doctype", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"},
    {"entity", "<a>&nbsp;</a>"},
    {"mismatch", "<a>\n<b></a></b>"},
    {"latin1", "<?xml version='1.0' encoding='ISO-8859-1'?><a/>"},
    {"bom", "\xef\xbb\xbf<tags xmlns='urn:libvdisk:tags:1'/>"},
    {"deep", "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>"
	     "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>"
	     "<a><a><a><a><a><a><a><a><a>"},
};

static void seed(void)
{
	for (size_t i = 0; i < sizeof(seeds) / sizeof(*seeds); i++)
		fuzz_seed(seeds[i].name, seeds[i].text, strlen(seeds[i].text));
}

const struct fuzz_target fuzz_document = {
    .name = "document", .run = run, .seed = seed, .max_memory = 1 << 20};
