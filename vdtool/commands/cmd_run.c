/* SPDX-License-Identifier: MIT */
/* vdtool run --print: an image is looked at, the policy asked, a machine made and printed. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"
#include "machine/run.h"
#include "metadata.h"
#include "output.h"
#include "policed.h"

static bool wants_libvirt(const struct tool_args *args)
{
	return args->is_set[OPT_FORMAT] && strcmp(args->text[OPT_FORMAT], "libvirt") == 0;
}

/** The file's name without its ending, of harmless letters. */
static void name_machine(struct run_machine *m)
{
	const char *slash = strrchr(m->path, '/'), *base = slash ? slash + 1 : m->path;
	const char *dot = strrchr(base, '.');
	size_t n = 0;

	for (const char *p = base; *p && p != dot && n + 1 < sizeof(m->name); p++) {
		bool is_plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
				(*p >= '0' && *p <= '9') || *p == '_' || (n && strchr(".-", *p));

		m->name[n++] = is_plain ? *p : '_';
	}
	if (!n)
		m->name[n++] = '_';
	m->name[n] = '\0';
}

static int set_path(struct run_machine *m, const char *path)
{
	char folder[PATH_MAX] = "";

	if (path[0] != '/' && !getcwd(folder, sizeof(folder)))
		return run_wrong(m, "the current folder can't be told: %s", strerror(errno));
	if (asprintf(&m->disk, "%s%s%s", folder, folder[0] && folder[1] ? "/" : "", path) < 0) {
		m->disk = NULL;
		return run_wrong(m, "out of memory");
	}
	return 0;
}

/** --disk: is it there, and as long as the image's disk? */
static int use_other_disk(struct run_machine *m, const char *path, uint64_t size)
{
	struct stat st;

	if (stat(path, &st))
		return run_wrong(m, "--disk %.200s: %s", path, strerror(errno));
	m->is_device = S_ISBLK(st.st_mode);
	if (!m->is_device && !S_ISREG(st.st_mode))
		return run_wrong(m, "--disk %.200s: neither a file nor a block device", path);
	if (!m->is_device && (uint64_t)st.st_size != size)
		return run_wrong(m,
				 "--disk %.200s has %lld bytes, the disk of the image %llu: it "
				 "is another one, or not raw",
				 path, (long long)st.st_size, (unsigned long long)size);
	return set_path(m, path);
}

static int choose_disk(struct run_machine *m, struct vd_disk *disk, const struct tool_args *args)
{
	static const char remedy[] =
	    "mount it, `vdtool mount IMAGE DIR -w`, and give --disk DIR/disk";
	struct vd_disk_info info = {.size = sizeof(info)};
	struct stat st;

	vd_disk_get_info(disk, &info);
	m->sector_size = info.logical_sector_size ? info.logical_sector_size : 512;
	if (args->is_set[OPT_DISK])
		return use_other_disk(m, args->text[OPT_DISK], info.virtual_size);
	m->is_vhdx = strcmp(info.format, VD_FORMAT_RAW) != 0;
	m->is_device = stat(m->path, &st) == 0 && S_ISBLK(st.st_mode);
	if (info.has_parent)
		return run_wrong(m, "QEMU can't open a differencing VHDX: %s", remedy);
	if (m->is_vhdx && m->sector_size != 512)
		return run_wrong(m, "QEMU can't open a VHDX with sectors of %u bytes: %s",
				 m->sector_size, remedy);
	if (m->is_vhdx && wants_libvirt(args))
		return run_wrong(m, "libvirt doesn't know VHDX: %s", remedy);
	if (m->is_vhdx)
		run_note(m,
			 "QEMU opens the VHDX itself: a discard gives no space back, the image's "
			 "history isn't written, and nothing here can compact it meanwhile; to "
			 "have all that, %s",
			 remedy);
	return set_path(m, m->path);
}

/* What comes with the image and isn't put into the machine. */
static void tell_configuration(struct run_machine *m, const struct tool_facts *image)
{
	const struct vd_fact *file;

	for (size_t at = 0; (file = tool_fact_next(image, "configuration.file", &at));) {
		const char *role = tool_fact_beside(image, file, "configuration.file.role");

		if (role && strcmp(role, "libvirt-domain") == 0)
			run_note(m,
				 "the image carries a libvirt domain, \"%.80s\", which isn't used "
				 "(vdtool meta extract)",
				 file->value);
		else if (role && strcmp(role, "cloud-init") == 0)
			run_note(m,
				 "the image carries \"%.80s\" for cloud-init, which is left out: "
				 "put it on a disk with the label cidata (vdtool meta extract)",
				 file->value);
	}
}

static void put_json(const struct run_machine *m, const struct run_words *argv, const char *xml)
{
	json_t *object = tool_json_object(m->path), *words = json_array(), *holder = json_object();

	tool_json_set_text(object, "format", xml ? "libvirt" : "qemu");
	for (size_t i = 0; i < argv->n; i++) {
		tool_json_set_text(holder, "word", argv->words[i]);
		json_array_append(words, json_object_get(holder, "word"));
	}
	json_decref(holder);
	json_object_set_new(object, "argv", xml ? json_null() : words);
	if (xml)
		json_decref(words);
	tool_json_set_text(object, "xml", xml);
	json_object_set(object, "notes", m->notes);
	tool_json_put(object);
}

static int print_machine(struct run_machine *m, const struct tool_args *args)
{
	struct run_words argv = {0};
	char *text = NULL;
	int rc = 0;

	if (wants_libvirt(args)) {
		text = run_libvirt_xml(m);
		rc = text ? 0 : -1;
	} else {
		rc = run_qemu_argv(m, &argv);
		text = rc ? NULL : run_shell_text(&argv);
		if (!rc && !text)
			rc = run_wrong(m, "out of memory");
	}
	if (!rc && tool_json_is_on())
		put_json(m, &argv, wants_libvirt(args) ? text : NULL);
	else if (!rc)
		tool_print_document(text, strlen(text));
	free(text);
	run_words_free(&argv);
	return rc;
}

static int make_machine(struct run_machine *m, struct vd_image *image, const struct vd_host *host,
			const struct tool_args *args, struct vd_error *err)
{
	struct tool_facts facts, of_host;
	int rc = vd_meta_get_facts(vd_image_meta(image), true, &facts.all, &facts.n, err);

	if (rc)
		return rc;
	of_host.all = vd_host_facts(host, &of_host.n);
	if (choose_disk(m, vd_image_disk(image), args) || run_choose(m, &facts, &of_host, args))
		return 0;
	tell_configuration(m, &facts);
	print_machine(m, args);
	return 0;
}

static int run(const char *path, const struct tool_args *args)
{
	struct run_machine *m = calloc(1, sizeof(*m));
	struct vd_error err = VD_ERROR_INIT;
	const struct vd_host *host = NULL;
	struct vd_image *image = NULL;
	int exit_code = TOOL_DONE, rc;

	if (!m)
		return tool_say(TOOL_FAILED, path, "out of memory");
	m->path = path;
	m->notes = json_array();
	name_machine(m);
	rc = tool_meta_look(&image, path, args, &err);
	if (!rc)
		rc = tool_policed_use(image, path, VD_PURPOSE_RUN, args, &err);
	if (!rc)
		rc = tool_policed_host(&host, args, &err);
	if (!rc)
		rc = make_machine(m, image, host, args, &err);
	if (!rc && m->wrong[0])
		rc = vd_error_set(&err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET, "%s", m->wrong);
	if (rc)
		exit_code = tool_fail_image(path, &err);
	vd_image_close(image, NULL);
	json_decref(m->notes);
	free(m->disk);
	free(m);
	return exit_code;
}

int cmd_run(const struct tool_args *args)
{
	const char *wrong;

	if (!args->is_set[OPT_PRINT])
		return tool_usage(args->command, "only --print is there: it prints what to start");
	wrong = run_network_wrong(args);
	if (wrong)
		return tool_usage(args->command,
				  "--network %s: HOW is user, none, bridge:NAME or tap:NAME, with "
				  "NAME of at most 15 letters, digits and _ . -",
				  wrong);
	return run(args->operands[0], args);
}
