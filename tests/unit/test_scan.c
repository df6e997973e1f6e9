/* SPDX-License-Identifier: MIT */
/* What a scan says about guests that were made here: partitions by sfdisk, file systems by mke2fs.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <vdisk/image.h>

#include "scratch.h"

static struct vd_error err;
static char problems[65536];
static struct vd_scan_result result;

/* ---- guests ---- */

/* Debian with 400 packages installed, 3 removed ones, and /usr merged. */
static const char debian[] =
    "rm -rf root && mkdir -p root/etc root/usr/bin root/usr/lib/modules/6.1.0-18-amd64 "
    "root/usr/lib/modules/6.1.0-9-amd64 root/var/lib/dpkg root/home/u && cd root && "
    "ln -s usr/bin bin && ln -s usr/lib lib && "
    "printf 'PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\\nNAME=\"Debian GNU/Linux\"\\n"
    "VERSION_ID=\"12\"\\nVERSION_CODENAME=bookworm\\nID=debian\\n' > usr/lib/os-release && "
    "ln -s ../usr/lib/os-release etc/os-release && echo 12.5 > etc/debian_version && "
    "echo web1 > etc/hostname && printf "
    "'\\177ELF\\2\\1\\1\\0\\0\\0\\0\\0\\0\\0\\0\\0\\3\\0\\076\\0' > "
    "usr/bin/dash && ln -s dash usr/bin/sh && "
    "printf 'UUID=11111111-2222-3333-4444-555555555555 / ext4 errors=remount-ro 0 1\\n"
    "LABEL=data /srv/da\\\\040ta ext4 defaults 0 2\\n# comment\\n/dev/sda9 /none ext4 a 0 0\\n' "
    "> etc/fstab && "
    "for i in $(seq 1 400); do printf 'Package: pkg%d\\nStatus: install ok installed\\n"
    "Priority: optional\\nArchitecture: amd64\\nVersion: 1:%d.0-1+deb12u%d\\nDescription: number\\n"
    " of a package\\n .\\n Version: 9\\n\\n' $i $i $i; done > var/lib/dpkg/status && "
    "for i in 1 2 3; do printf 'Package: old%d\\nStatus: deinstall ok config-files\\n"
    "Architecture: all\\nVersion: 1\\n\\n' $i; done >> var/lib/dpkg/status && "
    "printf hello > home/u/file && cd ..";

/* GPT: 1 EFI (empty), 2 root, 3 data, 4 swap. All in a VHDX. */
static void make_guest(const char *name, const char *root)
{
	assert_int_equal(
	    scratch_run("cd '%s' && { %s ; } && mkdir -p data && printf d > data/d && "
			"rm -f r.img d.img disk.img '%s' && "
			"mke2fs -q -F -t ext4 -U 11111111-2222-3333-4444-555555555555 -L root "
			"-d root r.img 20M >/dev/null && "
			"mke2fs -q -F -t ext2 -L data -d data d.img 4M >/dev/null && "
			"truncate -s 40M disk.img && printf 'label: gpt\\n"
			"size=1M,type=U,name=esp\\nsize=20M,type=L,name=root\\nsize=4M,type=L\\n"
			"size=2M,type=S\\n' | sfdisk -q disk.img && "
			"dd if=r.img of=disk.img bs=1M seek=2 conv=notrunc status=none && "
			"dd if=d.img of=disk.img bs=1M seek=22 conv=notrunc status=none && "
			"truncate -s 2M swap.img && mkswap -q swap.img >/dev/null 2>&1 && "
			"dd if=swap.img of=disk.img bs=1M seek=26 conv=notrunc status=none && "
			"qemu-img convert -O vhdx disk.img '%s'",
			scratch_dir(), root, name, name),
	    0);
}

static void hear(void *user, const char *text)
{
	size_t n = strlen(problems);

	(void)user;
	assert_null(strpbrk(text, "\n\r\033"));
	snprintf(problems + n, sizeof(problems) - n, "%s\n", text);
}

static struct vd_image *open_image(const char *name)
{
	struct vd_image *image;

	if (vd_image_open(&image, scratch_path(name), VD_PURPOSE_EDIT, NULL, NULL, &err))
		fail_msg("%s", err.text);
	return image;
}

static struct vd_image *scan_image(const char *name, uint32_t flags)
{
	struct vd_scan_opts opts = {.size = sizeof(opts), .flags = flags, .problem = hear};
	struct vd_image *image = open_image(name);

	problems[0] = '\0';
	result = (struct vd_scan_result){.size = sizeof(result)};
	if (vd_image_scan(image, &opts, &result, &err))
		fail_msg("%s", err.text);
	return image;
}

static void close_image(struct vd_image *image)
{
	if (vd_image_close(image, &err))
		fail_msg("%s", err.text);
}

/* ---- what the documents say ---- */

struct values {
	char text[262144];
	size_t n;
};

static int add_value(void *user, const char *field, const char *value)
{
	struct values *values = user;
	size_t len = strlen(values->text);

	(void)field;
	snprintf(values->text + len, sizeof(values->text) - len, "%s%s", values->n ? " | " : "",
		 value);
	values->n++;
	return 0;
}

static const struct values *get(struct vd_image *image, const char *field)
{
	static struct values values;

	values.text[0] = '\0';
	values.n = 0;
	int rc = vd_meta_get_field(vd_image_meta(image), field, add_value, &values, &err);
	if (rc && rc != VD_ENOENT)
		fail_msg("%s: %s", field, err.text);
	return &values;
}

#define expect(image, field, value) assert_string_equal(get(image, field)->text, value)

static void set(struct vd_image *image, const char *field, enum vd_field_edit edit,
		const char *value)
{
	if (vd_meta_set_field(vd_image_meta(image), field, edit, value, &err))
		fail_msg("%s", err.text);
}

static void debian_is_described(void **state)
{
	struct vd_image *image;

	(void)state;
	make_guest("debian.vhdx", debian);
	image = scan_image("debian.vhdx", 0);
	assert_string_equal(problems, "");
	assert_string_equal(result.os, "Debian GNU/Linux 12 (bookworm)");
	assert_string_equal(result.root_type, "ext4");
	assert_int_equal(result.n_packages, 400);
	assert_int_equal(result.fs_size, 20 << 20);
	assert_in_range(result.fs_used, 1 << 20, 10 << 20);
	expect(image, "os.id", "debian12");
	expect(image, "os.name", "Debian GNU/Linux");
	expect(image, "os.version", "12.5");
	expect(image, "os.codename", "bookworm");
	expect(image, "os.family", "linux");
	expect(image, "os.arch", "x86_64");
	expect(image, "os.kernel", "6.1.0-18-amd64");
	expect(image, "os.hostname", "web1");
	expect(image, "partition.scheme", "gpt");
	expect(image, "partition.number", "1 | 2 | 3 | 4");
	expect(image, "partition.start", "1048576 | 2097152 | 23068672 | 27262976");
	expect(image, "partition.name", "esp | root");
	expect(image, "filesystem.type", "ext4 | ext2 | swap");
	expect(image, "filesystem.partition", "2 | 3 | 4");
	expect(image, "filesystem.label", "root | data");
	expect(image, "filesystem.mount", "/ | /srv/da ta");
	assert_int_equal(get(image, "package")->n, 400);
	assert_non_null(strstr(get(image, "package")->text,
			       "pkg:deb/debian/pkg7@1:7.0-1%2Bdeb12u7?arch=amd64"));
	assert_null(strstr(get(image, "package")->text, "old"));
	assert_in_range(get(image, "patched")->n, 1, 2);
	assert_non_null(strstr(get(image, "patched.tool")->text, "libvdisk"));
	assert_int_equal(vd_meta_commit(vd_image_meta(image), &err), 0);
	close_image(image);
}

static void packages_are_what_dpkg_lists(void **state)
{
	struct vd_image *image = open_image("debian.vhdx");
	FILE *out = fopen(scratch_path("purls.txt"), "w");
	char *text = strdup(get(image, "package")->text), *rest = NULL;

	(void)state;
	for (char *purl = strtok_r(text, " |", &rest); purl; purl = strtok_r(NULL, " |", &rest))
		fprintf(out, "%s\n", purl);
	fclose(out);
	free(text);
	close_image(image);
	assert_int_equal(
	    scratch_run(
		"cd '%s' && dpkg-query --admindir=root/var/lib/dpkg -W -f "
		"'${db:Status-Status} "
		"pkg:deb/debian/${Package}@${Version}?arch=${Architecture}\\n' 2>/dev/null | "
		"sed -n -e 's/+/%%2B/g' -e 's/^installed //p' | LC_ALL=C sort > want.txt && "
		"LC_ALL=C sort purls.txt | diff want.txt -",
		scratch_dir()),
	    0);
}

static void scanning_again_changes_nothing(void **state)
{
	struct vd_image *image = open_image("debian.vhdx");
	char *before, *after;
	size_t n, m;

	(void)state;
	assert_int_equal(vd_meta_get_document(vd_image_meta(image), "content", &before, &n, &err),
			 0);
	close_image(image);
	image = scan_image("debian.vhdx", 0);
	assert_int_equal(vd_meta_get_document(vd_image_meta(image), "content", &after, &m, &err),
			 0);
	assert_int_equal(n, m);
	assert_memory_equal(before, after, n);
	vd_meta_free(before);
	vd_meta_free(after);
	close_image(image);
}

static void what_people_said_stays(void **state)
{
	struct vd_image *image;

	(void)state;
	make_guest("debian.vhdx", debian);
	image = open_image("debian.vhdx");
	set(image, "title", VD_FIELD_SET, "The shop");
	set(image, "os.name", VD_FIELD_SET, "Our Debian");
	set(image, "package", VD_FIELD_ADD, "pkg:generic/shop@4.2");
	set(image, "package", VD_FIELD_ADD, "pkg:deb/debian/pkg3@1:3.0-1%2Bdeb12u3?arch=amd64");
	assert_int_equal(vd_meta_commit(vd_image_meta(image), &err), 0);
	close_image(image);
	image = scan_image("debian.vhdx", 0);
	expect(image, "title", "The shop");
	expect(image, "os.name", "Our Debian");
	expect(image, "os.version", "12.5");
	/* Neither doubled nor lost. */
	assert_int_equal(get(image, "package")->n, 401);
	assert_int_equal(vd_meta_commit(vd_image_meta(image), &err), 0);
	close_image(image);

	/* The guest loses packages, its name and all partitions but the root's. */
	assert_int_equal(
	    scratch_run("cd '%s' && rm root/etc/hostname && sed -i '/^Package: pkg1$/,$d' "
			"root/var/lib/dpkg/status && printf 'Package: new\\nVersion: 2\\n"
			"Status: install ok installed\\n' > root/var/lib/dpkg/status && "
			"mke2fs -q -F -t ext4 -d root r.img >/dev/null && "
			"truncate -s 0 disk.img && truncate -s 40M disk.img && "
			"printf 'label: dos\\nsize=20M\\n' | sfdisk -q disk.img && "
			"dd if=r.img of=disk.img bs=1M seek=1 conv=notrunc status=none",
			scratch_dir()),
	    0);
	image = open_image("debian.vhdx");
	{
		char *content;
		size_t len;

		assert_int_equal(
		    vd_meta_get_document(vd_image_meta(image), "content", &content, &len, &err), 0);
		close_image(image);
		assert_int_equal(scratch_run("cd '%s' && qemu-img convert -O vhdx disk.img 2.vhdx",
					     scratch_dir()),
				 0);
		image = open_image("2.vhdx");
		assert_int_equal(
		    vd_meta_set_document(vd_image_meta(image), NULL, content, len, &err), 0);
		vd_meta_free(content);
		assert_int_equal(vd_meta_commit(vd_image_meta(image), &err), 0);
		close_image(image);
	}
	image = scan_image("2.vhdx", 0);
	expect(image, "title", "The shop");
	expect(image, "os.name", "Our Debian");
	expect(image, "os.hostname", "");
	expect(image, "partition.scheme", "mbr");
	expect(image, "partition.number", "1");
	expect(image, "filesystem.partition", "1");
	expect(image, "package",
	       "pkg:generic/shop@4.2 | pkg:deb/debian/pkg3@1:3.0-1%2Bdeb12u3?arch=amd64 | "
	       "pkg:deb/debian/new@2");
	close_image(image);
}

/* ---- the file index ---- */

static int print_file(void *user, const struct vd_indexed_file *file)
{
	fprintf(user, "%" PRIu32 " %s %" PRIu64 " %" PRId64 " ", file->partition, file->path,
		file->type == 2 ? 0 : file->file_size, file->mtime);
	for (int i = 0; file->sha256 && i < 32; i++)
		fprintf(user, "%02x", file->sha256[i]);
	fprintf(user, "\n");
	return 0;
}

static void index_lists_what_find_lists(void **state)
{
	struct vd_image *image;
	FILE *out = fopen(scratch_path("index.txt"), "w");

	(void)state;
	make_guest("debian.vhdx", debian);
	image = scan_image("debian.vhdx", VD_SCAN_FILES | VD_SCAN_DIGESTS);
	assert_int_equal(vd_meta_commit(vd_image_meta(image), &err), 0);
	close_image(image);
	image = open_image("debian.vhdx");
	if (vd_meta_read_file_index(vd_image_meta(image), print_file, out, &err))
		fail_msg("%s", err.text);
	fclose(out);
	close_image(image);
	assert_int_equal(
	    scratch_run(
		"cd '%s' && { cd root && find . -mindepth 1 | while read -r f; do "
		"s=0; d=; [ -d \"$f\" ] && [ ! -L \"$f\" ] || s=$(stat -c %%s \"$f\"); "
		"[ -L \"$f\" ] || [ ! -f \"$f\" ] || d=$(sha256sum < \"$f\" | cut -c1-64); "
		"echo \"2 ${f#.} $s $(stat -c %%Y \"$f\") $d\"; done && cd ../data && "
		"echo \"3 /srv/da ta/d 1 $(stat -c %%Y d) $(sha256sum < d | cut -c1-64)\" && cd "
		"..; } | "
		"LC_ALL=C sort > want.txt && grep -v lost+found index.txt | LC_ALL=C sort | "
		"diff want.txt -",
		scratch_dir()),
	    0);
	/* Each regular file counts. */
	assert_int_equal(scratch_run("cd '%s' && [ $(find root data -type f | wc -l) = %" PRIu64
				     " ]",
				     scratch_dir(), result.n_files),
			 0);
}

static int stop(void *user, const struct vd_indexed_file *file)
{
	(void)file;
	return ++*(int *)user == 2 ? 7 : 0;
}

static void reading_the_index_can_be_ended(void **state)
{
	struct vd_image *image = open_image("debian.vhdx");
	int n = 0;

	(void)state;
	assert_int_equal(vd_meta_read_file_index(vd_image_meta(image), stop, &n, &err), 7);
	assert_int_equal(n, 2);
	close_image(image);
	assert_int_equal(
	    scratch_run("cd '%s' && qemu-img convert -O vhdx disk.img none.vhdx", scratch_dir()),
	    0);
	image = open_image("none.vhdx");
	assert_int_equal(vd_meta_read_file_index(vd_image_meta(image), stop, &n, &err), VD_ENOENT);
	close_image(image);
}

static int cancel(void *user, uint64_t n_files, const char *what)
{
	(void)user, (void)n_files, (void)what;
	return 1;
}

static void scan_can_be_ended(void **state)
{
	struct vd_scan_opts opts = {.size = sizeof(opts), .progress = cancel};
	struct vd_image *image = open_image("none.vhdx");
	struct vd_meta_info info = {.size = sizeof(info)};

	(void)state;
	assert_int_equal(vd_image_scan(image, &opts, NULL, &err), VD_ECANCELED);
	vd_meta_get_info(vd_image_meta(image), &info);
	assert_false(info.has_changes);
	close_image(image);
}

/* ---- other guests ---- */

static void alpine_is_described(void **state)
{
	struct vd_image *image;

	(void)state;
	make_guest(
	    "alpine.vhdx",
	    "rm -rf root && mkdir -p root/etc root/lib/apk/db && cd root && "
	    "printf 'NAME=\"Alpine Linux\"\\nID=alpine\\nVERSION_ID=3.19.1\\n"
	    "PRETTY_NAME=\"Alpine Linux v3.19\"\\n' > etc/os-release && "
	    "printf 'C:Q1abc=\\nP:musl\\nV:1.2.4_git20230717-r4\\nA:x86_64\\nF:lib\\nR:x\\n\\n"
	    "P:busybox\\nV:1.36.1-r15\\nA:x86_64\\n\\n' > lib/apk/db/installed && cd ..");
	image = scan_image("alpine.vhdx", 0);
	assert_string_equal(problems, "");
	expect(image, "os.id", "alpinelinux3.19");
	expect(image, "os.version", "3.19.1");
	expect(image, "package",
	       "pkg:apk/alpine/musl@1.2.4_git20230717-r4?arch=x86_64 | "
	       "pkg:apk/alpine/busybox@1.36.1-r15?arch=x86_64");
	close_image(image);
}

static void what_isnt_read_is_said(void **state)
{
	struct vd_image *image;

	(void)state;
	make_guest(
	    "fedora.vhdx",
	    "rm -rf root && mkdir -p root/etc root/usr/lib/sysimage/rpm && cd root && "
	    "printf 'NAME=\"Fedora Linux\"\\nID=fedora\\nVERSION_ID=40\\n' > etc/os-release && "
	    "printf x > usr/lib/sysimage/rpm/rpmdb.sqlite && cd ..");
	image = scan_image("fedora.vhdx", 0);
	assert_non_null(strstr(problems, "rpmdb.sqlite) was found, not read"));
	expect(image, "os.id", "fedora40");
	assert_int_equal(get(image, "package")->n, 0);
	/* Nothing was learnt of patches. */
	assert_int_equal(get(image, "patched")->n, 0);
	close_image(image);
}

static void image_without_a_guest_has_its_partitions_described(void **state)
{
	struct vd_image *image;

	(void)state;
	make_guest("empty.vhdx", "rm -rf root && mkdir -p root/x");
	image = scan_image("empty.vhdx", VD_SCAN_FILES);
	assert_string_equal(result.os, "");
	assert_int_equal(result.n_packages, 0);
	expect(image, "os.id", "");
	expect(image, "filesystem.type", "ext4 | ext2 | swap");
	close_image(image);
}

/* ---- hostile guests ---- */

static void control_characters_dont_get_through(void **state)
{
	struct vd_image *image;

	(void)state;
	make_guest("evil.vhdx",
		   "rm -rf root && mkdir -p root/etc root/var/lib/dpkg && cd root && "
		   "printf 'PRETTY_NAME=\"\\033[31mroot<&>\\377\\001\"\\nID=\"../../x y\"\\n"
		   "NAME=\"a\\tb  c]]><x/>\"\\nVERSION_ID=\"$(id)\"\\n' > etc/os-release && "
		   "printf 'we\\033b\\n' > etc/hostname && "
		   "printf 'Package: a\\033b\\nStatus: install ok installed\\nVersion: 1\\n\\n"
		   "Package: <x>&\\nStatus: install ok installed\\nVersion: 1\"2\\n\\n"
		   "Package: nover\\nStatus: install ok installed\\n\\n"
		   "Version: 3\\nStatus: install ok installed\\n' > var/lib/dpkg/status && cd ..");
	image = scan_image("evil.vhdx", VD_SCAN_FILES);
	expect(image, "os.id", "");
	expect(image, "os.name", "a b c]]><x/>");
	expect(image, "os.version", "");
	expect(image, "os.hostname", "");
	expect(image, "package", "pkg:deb/debian/%3Cx%3E%26@1%222");
	assert_null(strchr(result.os, '\033'));
	assert_non_null(strstr(problems, "2 packages without a name or version"));
	close_image(image);
}

static void long_databases_are_read_to_a_bound(void **state)
{
	struct vd_image *image;

	(void)state;
	/* 30,000 packages, one line of 1 MiB, and holes up to 80 MiB. */
	make_guest("long.vhdx",
		   "rm -rf root && mkdir -p root/etc root/var/lib/dpkg && cd root && "
		   "echo ID=debian > etc/os-release && s=var/lib/dpkg/status && "
		   "awk 'BEGIN { for (i = 0; i < 30000; i++) printf \"Package: pkg%06d\\nVersion: "
		   "1.0\\nStatus: install ok installed\\n\\n\", i }' > $s && "
		   "head -c 1000000 /dev/zero | tr '\\0' x >> $s && printf '\\n\\n' >> $s && "
		   "truncate -s 80M $s && cd ..");
	image = scan_image("long.vhdx", 0);
	assert_non_null(strstr(problems, "only its first 64 MiB"));
	assert_non_null(strstr(problems, "more than a document of 1 MiB can list"));
	assert_in_range(result.n_packages, 5000, 30000);
	assert_int_equal(vd_meta_commit(vd_image_meta(image), &err), 0);
	close_image(image);
}

static void links_in_circles_are_told(void **state)
{
	struct vd_image *image;

	(void)state;
	make_guest("circle.vhdx",
		   "rm -rf root && mkdir -p root/etc root/usr/lib root/var/lib/dpkg && cd root && "
		   "ln -s fstab etc/fstab && ln -s /var/lib/dpkg/status var/lib/dpkg/status && "
		   "ln -s sh usr/sh && echo ID=debian > etc/os-release && cd ..");
	image = scan_image("circle.vhdx", VD_SCAN_FILES | VD_SCAN_DIGESTS);
	assert_non_null(strstr(problems, "/etc/fstab"));
	assert_non_null(strstr(problems, "/var/lib/dpkg/status"));
	expect(image, "os.id", "debian");
	close_image(image);
}

static void what_vendors_put_in_stays(void **state)
{
	struct vd_image *image;

	(void)state;
	make_guest("vendor.vhdx", debian);
	image = open_image("vendor.vhdx");
	/* A vendor's element within ours, and a comment, stay where they are. */
	{
		static const char xml[] =
		    "<content xmlns=\"urn:libvdisk:content:1\"><!-- ours --><os name=\"X\">"
		    "<v:a xmlns:v=\"urn:v\"/></os><v:b xmlns:v=\"urn:v\" k=\"1\">t</v:b></content>";

		if (vd_meta_set_document(vd_image_meta(image), NULL, xml, sizeof(xml) - 1, &err))
			fail_msg("%s", err.text);
	}
	assert_int_equal(vd_meta_commit(vd_image_meta(image), &err), 0);
	close_image(image);
	image = scan_image("vendor.vhdx", 0);
	{
		char *xml;
		size_t len;

		assert_int_equal(
		    vd_meta_get_document(vd_image_meta(image), "content", &xml, &len, &err), 0);
		assert_non_null(strstr(xml, "<!-- ours -->"));
		assert_non_null(strstr(xml, "<v:a xmlns:v=\"urn:v\"/>"));
		assert_non_null(strstr(xml, "k=\"1\">t</v:b>"));
		vd_meta_free(xml);
	}
	expect(image, "os.name", "X");
	assert_int_equal(get(image, "package")->n, 400);
	close_image(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(debian_is_described),
	    cmocka_unit_test(packages_are_what_dpkg_lists),
	    cmocka_unit_test(scanning_again_changes_nothing),
	    cmocka_unit_test(what_people_said_stays),
	    cmocka_unit_test(index_lists_what_find_lists),
	    cmocka_unit_test(reading_the_index_can_be_ended),
	    cmocka_unit_test(scan_can_be_ended),
	    cmocka_unit_test(alpine_is_described),
	    cmocka_unit_test(what_isnt_read_is_said),
	    cmocka_unit_test(image_without_a_guest_has_its_partitions_described),
	    cmocka_unit_test(control_characters_dont_get_through),
	    cmocka_unit_test(long_databases_are_read_to_a_bound),
	    cmocka_unit_test(links_in_circles_are_told),
	    cmocka_unit_test(what_vendors_put_in_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
