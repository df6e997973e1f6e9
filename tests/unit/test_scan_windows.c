/* SPDX-License-Identifier: MIT */
/* Which Windows a disk holds: by registry hives that are made here with libhivex. */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <vdisk/image.h>

#include "base/bytes.h"
#include "scratch.h"

#if __has_include(<hivex.h>)
#include <hivex.h>

static struct vd_error err;
static char problems[4096];

static struct {
	__typeof__(hivex_open) *open;
	__typeof__(hivex_root) *root;
	__typeof__(hivex_node_add_child) *add;
	__typeof__(hivex_node_set_value) *set;
	__typeof__(hivex_commit) *commit;
	__typeof__(hivex_close) *close;
} hivex;

static void put32(uint8_t *at, uint32_t x)
{
	struct vd_le32 le = vd_put32(x);

	memcpy(at, &le, 4);
}

/* The least that is a hive: a base block, a bin with a root key and its security. */
static void make_empty_hive(const char *path)
{
	static uint8_t hive[8192];
	uint8_t *nk = hive + 0x1020, *sk = nk + 0x60, *rest = sk + 0x30;
	uint32_t sum = 0;
	FILE *file = fopen(path, "wb");

	memset(hive, 0, sizeof(hive));
	memcpy(hive, "regf\1\0\0\0\1\0\0\0", 12);
	put32(hive + 20, 1);
	put32(hive + 24, 5);
	put32(hive + 32, 1);
	put32(hive + 36, 0x20);
	put32(hive + 40, 0x1000);
	put32(hive + 44, 1);
	for (int i = 0; i < 127; i++) {
		struct vd_le32 le;

		memcpy(&le, hive + i * 4, 4);
		sum ^= vd_get32(le);
	}
	put32(hive + 508, sum);
	memcpy(hive + 0x1000, "hbin", 4);
	put32(hive + 0x1008, 0x1000);
	put32(nk, (uint32_t)-0x60);
	memcpy(nk + 4, "nk\x2c\0", 4);
	for (int at = 0x20; at <= 0x34; at += 4)
		put32(nk + at, at == 0x28 ? 0 : 0xffffffff);
	put32(nk + 0x18, 0);
	put32(nk + 0x1c, 0);
	put32(nk + 0x30, 0x20 + 0x60);
	nk[0x4c] = 4;
	memcpy(nk + 0x50, "ROOT", 4);
	put32(sk, (uint32_t)-0x30);
	memcpy(sk + 4, "sk\0\0", 4);
	put32(sk + 8, 0x80);
	put32(sk + 12, 0x80);
	put32(sk + 16, 1);
	put32(sk + 20, 20);
	sk[24] = 1;
	put32(rest, 0x1000 - 0x20 - 0x60 - 0x30);
	assert_int_equal(fwrite(hive, 1, sizeof(hive), file), sizeof(hive));
	assert_int_equal(fclose(file), 0);
}

static hive_node_h make_key(hive_h *hive, const char *const *path)
{
	hive_node_h node = hivex.root(hive);

	for (; *path && node; path++)
		node = hivex.add(hive, node, *path);
	assert_true(node != 0);
	return node;
}

static void set_text(hive_h *hive, hive_node_h node, const char *name, const char *text)
{
	char utf16[256] = {0};
	hive_set_value value = {.key = (char *)(uintptr_t)name, .t = hive_t_REG_SZ, .value = utf16};

	for (value.len = 2; *text; text++, value.len += 2)
		utf16[value.len - 2] = *text;
	assert_int_equal(hivex.set(hive, node, &value, 0), 0);
}

static void set_number(hive_h *hive, hive_node_h node, const char *name, uint32_t x)
{
	struct vd_le32 le = vd_put32(x);
	hive_set_value value = {
	    .key = (char *)(uintptr_t)name, .t = hive_t_REG_DWORD, .len = 4, .value = (char *)&le};

	assert_int_equal(hivex.set(hive, node, &value, 0), 0);
}

static void make_windows(const char *product, const char *kind, const char *build)
{
	static const char *const version[] = {"Microsoft", "Windows NT", "CurrentVersion", NULL};
	static const char *const name[] = {"ControlSet001", "Control", "ComputerName",
					   "ComputerName", NULL};
	hive_node_h node;
	hive_h *hive;

	make_empty_hive(scratch_path("hive"));
	hive = hivex.open(scratch_path("hive"), HIVEX_OPEN_WRITE);
	assert_non_null(hive);
	node = make_key(hive, version);
	set_text(hive, node, "ProductName", product);
	set_text(hive, node, "InstallationType", kind);
	set_text(hive, node, "CurrentBuildNumber", build);
	set_text(hive, node, "CurrentVersion", "6.3");
	set_text(hive, node, "EditionID", "Edition");
	set_number(hive, node, "CurrentMajorVersionNumber", 10);
	set_number(hive, node, "CurrentMinorVersionNumber", 0);
	set_number(hive, node, "UBR", 2402);
	/* SYSTEM has other keys, but one hive can be both. */
	set_text(hive, make_key(hive, name), "ComputerName", "WEB-1");
	assert_int_equal(hivex.commit(hive, NULL, 0), 0);
	assert_int_equal(hivex.close(hive), 0);
	assert_int_equal(
	    scratch_run("cd '%s' && rm -rf tree win.img win.img.vdmeta && "
			"c=tree/Windows/System32/config && mkdir -p $c && cp hive $c/SOFTWARE && "
			"cp hive $c/SYSTEM && { printf 'MZ'; head -c 58 /dev/zero; "
			"printf '\\100\\0\\0\\0PE\\0\\0\\144\\206'; } > $c/../ntoskrnl.exe && "
			"mke2fs -q -F -t ext2 -d tree win.img 4M",
			scratch_dir()),
	    0);
}

static void hear(void *user, const char *text)
{
	size_t n = strlen(problems);

	(void)user;
	snprintf(problems + n, sizeof(problems) - n, "%s\n", text);
}

static int take(void *user, const char *field, const char *value)
{
	(void)field;
	snprintf(user, 256, "%s", value);
	return 0;
}

static void expect(struct vd_image *image, const char *field, const char *value)
{
	char got[256] = "";

	(void)vd_meta_get_field(vd_image_meta(image), field, take, got, &err);
	assert_string_equal(got, value);
}

static struct vd_image *scan(void)
{
	struct vd_scan_opts opts = {.size = sizeof(opts), .problem = hear};
	struct vd_image *image;

	problems[0] = '\0';
	if (vd_image_open(&image, scratch_path("win.img"), VD_PURPOSE_EDIT, NULL, NULL, &err) ||
	    vd_image_scan(image, &opts, NULL, &err))
		fail_msg("%s", err.text);
	return image;
}

static void server_is_described(void **state)
{
	struct vd_image *image;

	(void)state;
	make_windows("Windows Server 2022 Standard", "Server Core", "20348");
	image = scan();
	expect(image, "os.id", "win2k22");
	expect(image, "os.name", "Windows Server 2022 Standard");
	expect(image, "os.family", "winnt");
	expect(image, "os.version", "10.0");
	expect(image, "os.build", "20348.2402");
	expect(image, "os.edition", "Server Core");
	expect(image, "os.arch", "x86_64");
	expect(image, "os.hostname", "WEB-1");
	expect(image, "filesystem.mount", "C:");
	assert_non_null(strstr(problems, "aren't listed"));
	assert_int_equal(vd_image_close(image, &err), 0);
}

static void windows_11_isnt_called_10(void **state)
{
	struct vd_image *image;

	(void)state;
	make_windows("Windows 10 Pro", "Client", "22631");
	image = scan();
	expect(image, "os.id", "win11");
	expect(image, "os.name", "Windows 11 Pro");
	assert_int_equal(vd_image_close(image, &err), 0);
}

static void broken_hives_are_told(void **state)
{
	struct vd_image *image;

	(void)state;
	make_windows("Windows 10 Pro", "Client", "19045");
	assert_int_equal(
	    scratch_run(
		"cd '%s' && head -c 9000 /dev/zero > tree/Windows/System32/config/SOFTWARE && "
		"rm win.img && mke2fs -q -F -t ext2 -d tree win.img 4M",
		scratch_dir()),
	    0);
	image = scan();
	assert_non_null(strstr(problems, "no registry hive"));
	expect(image, "os.name", "Windows");
	expect(image, "os.id", "");
	assert_int_equal(vd_image_close(image, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(server_is_described),
	    cmocka_unit_test(windows_11_isnt_called_10),
	    cmocka_unit_test(broken_hives_are_told),
	};
	void *library = dlopen("libhivex.so.0", RTLD_NOW);

	if (!library) {
		printf("libhivex isn't installed\n");
		return 77;
	}
	*(void **)&hivex.open = dlsym(library, "hivex_open");
	*(void **)&hivex.root = dlsym(library, "hivex_root");
	*(void **)&hivex.add = dlsym(library, "hivex_node_add_child");
	*(void **)&hivex.set = dlsym(library, "hivex_node_set_value");
	*(void **)&hivex.commit = dlsym(library, "hivex_commit");
	*(void **)&hivex.close = dlsym(library, "hivex_close");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
	printf("hivex.h wasn't there to build with\n");
	return 77;
}

#endif
