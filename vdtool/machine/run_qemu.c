/* SPDX-License-Identifier: MIT */
/*
 * The machine as a command line of QEMU. A comma in a value would begin another property: the two
 * paths that stand in it are the user's, and get theirs doubled; everything else comes from tables
 * and numbers.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

/* ---- words ---- */

static void add_word(struct run_words *w, char *word)
{
	if (w->n + 1 >= w->room) {
		size_t room = w->room ? 2 * w->room : 64;
		char **more = realloc(w->words, room * sizeof(*more));

		if (!more) {
			w->is_short = true;
			free(word);
			return;
		}
		w->words = more;
		w->room = room;
	}
	if (!word)
		w->is_short = true;
	else
		w->words[w->n++] = word;
}

/** An option and its argument, or NULL for none. */
static void add(struct run_words *w, const char *option, const char *fmt, ...) VD_PRINTF(3, 4);
static void add(struct run_words *w, const char *option, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	add_word(w, strdup(option));
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	add_word(w, text);
}

void run_words_free(struct run_words *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->words[i]);
	free(w->words);
}

/** A path as the value of a property. To be freed. */
static char *escape(const char *path, const char *ending)
{
	char *text = malloc(2 * strlen(path) + strlen(ending) + 1), *to = text;

	for (const char *p = path; text && *p; p++) {
		*to++ = *p;
		if (*p == ',')
			*to++ = ',';
	}
	if (text)
		memcpy(to, ending, strlen(ending) + 1);
	return text;
}

/* ---- parts of the machine ---- */

/* Where distributions keep the two halves of EFI firmware: code, and a template of variables. */
static const struct {
	const char *arch;
	bool is_secure;
	const char *code, *vars;
} firmwares[] = {
    {"x86_64", false, "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
    {"x86_64", false, "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"},
    {"x86_64", false, "/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"},
    {"x86_64", false, "/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"},
    {"x86_64", true, "/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"},
    {"x86_64", true, "/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd",
     "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd"},
    {"i686", false, "/usr/share/OVMF/OVMF32_CODE_4M.secboot.fd",
     "/usr/share/OVMF/OVMF32_VARS_4M.fd"},
    {"aarch64", false, "/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"},
    {"aarch64", false, "/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw",
     "/usr/share/edk2/aarch64/vars-template-pflash.raw"},
};

static int add_firmware(struct run_machine *m, struct run_words *w)
{
	if (!m->is_efi)
		return 0;
	for (size_t i = 0; i < sizeof(firmwares) / sizeof(firmwares[0]); i++) {
		if (strcmp(firmwares[i].arch, m->arch->name) != 0 ||
		    firmwares[i].is_secure != m->is_secure || access(firmwares[i].code, R_OK) ||
		    access(firmwares[i].vars, R_OK))
			continue;
		add(w, "-drive", "if=pflash,unit=0,format=raw,readonly=on,file=%s",
		    firmwares[i].code);
		add(w, "-drive", "if=pflash,unit=1,format=raw,snapshot=on,file=%s",
		    firmwares[i].vars);
		run_note(m,
			 "EFI variables are forgotten when the machine ends: to keep them, use "
			 "a copy of %s without snapshot=on",
			 firmwares[i].vars);
		if (m->is_secure)
			add(w, "-global", "driver=cfi.pflash01,property=secure,value=on");
		return 0;
	}
	return run_wrong(m, "no EFI firmware%s for %s is installed here (Debian: %s)",
			 m->is_secure ? " with secure boot" : "", m->arch->name,
			 strcmp(m->arch->name, "aarch64") == 0 ? "qemu-efi-aarch64"
			 : m->arch->is_32bit                   ? "ovmf-ia32"
							       : "ovmf");
}

static void add_cpu(const struct run_machine *m, struct run_words *w)
{
	char text[64 + RUN_FEATURES_MAX * (RUN_FEATURE_MAX + 4)];
	size_t n;

	n = (size_t)snprintf(text, sizeof(text), "%s",
			     m->cpu[0]   ? m->cpu
			     : m->is_kvm ? "host"
					 : "max");
	for (size_t i = 0; i < m->n_features; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, ",%s=on", m->features[i]);
	add(w, "-cpu", "%s", text);
}

static int add_disk(struct run_machine *m, struct run_words *w)
{
	char *path = escape(m->disk, "");
	const char *name = m->bus->name, *on = "";
	char sectors[80] = "";

	if (!path)
		return run_wrong(m, "out of memory");
	add(w, "-blockdev", "driver=%s,node-name=disk-file,filename=%s%s",
	    m->is_device ? "host_device" : "file", path, m->is_vhdx ? "" : ",discard=unmap");
	free(path);
	add(w, "-blockdev", "driver=%s,node-name=disk,file=disk-file%s",
	    m->is_vhdx ? "vhdx" : "raw", m->is_vhdx ? "" : ",discard=unmap");
	if (m->sector_size != 512)
		snprintf(sectors, sizeof(sectors),
			 ",logical_block_size=%" PRIu32 ",physical_block_size=%" PRIu32,
			 m->sector_size, m->sector_size);
	if (strcmp(name, "scsi") == 0) {
		add(w, "-device", "virtio-scsi-pci,id=scsi");
		on = ",bus=scsi.0";
	} else if (strcmp(name, "usb") == 0) {
		on = ",bus=usb.0";
	} else if (strcmp(name, "nvme") == 0) {
		on = ",serial=disk";
	} else if (strcmp(name, "sata") == 0 && !strstr(m->type, "q35")) {
		add(w, "-device", "ich9-ahci,id=sata");
		on = ",bus=sata.0";
	} else if (strcmp(name, "sata") == 0 || strcmp(name, "ide") == 0) {
		on = ",bus=ide.0";
	}
	add(w, "-device", "%s,drive=disk%s,bootindex=1%s", m->bus->device, on, sectors);
	return 0;
}

static void add_cards(const struct run_machine *m, struct run_words *w)
{
	for (size_t i = 0; i < m->n_nics; i++) {
		const struct run_nic *nic = &m->nics[i];
		bool is_usb = strcmp(nic->model->name, "usb-net") == 0;

		switch (nic->net) {
		case RUN_NET_USER:
			add(w, "-netdev", "user,id=net%zu", i);
			break;
		case RUN_NET_ISOLATED:
			add(w, "-netdev", "user,id=net%zu,restrict=on", i);
			break;
		case RUN_NET_BRIDGE:
			add(w, "-netdev", "bridge,id=net%zu,br=%s", i, nic->device);
			break;
		case RUN_NET_TAP:
			add(w, "-netdev", "tap,id=net%zu,ifname=%s,script=no,downscript=no", i,
			    nic->device);
			break;
		case RUN_NET_NONE:
			add(w, "-netdev", "hubport,id=net%zu,hubid=%zu", i, i);
			break;
		}
		add(w, "-device", "%s,netdev=net%zu%s%s%s", nic->model->device, i,
		    is_usb ? ",bus=usb.0" : "", nic->mac[0] ? ",mac=" : "", nic->mac);
	}
}

static bool needs_usb(const struct run_machine *m)
{
	for (size_t i = 0; i < m->n_nics; i++)
		if (strcmp(m->nics[i].model->name, "usb-net") == 0)
			return true;
	return strcmp(m->bus->name, "usb") == 0;
}

static int add_tpm(struct run_machine *m, struct run_words *w)
{
	char *path;

	if (!m->tpm)
		return 0;
	path = escape(m->disk, ".swtpm");
	if (!path)
		return run_wrong(m, "out of memory");
	add(w, "-chardev", "socket,id=tpm-socket,path=%s", path);
	free(path);
	add(w, "-tpmdev", "emulator,id=tpm,chardev=tpm-socket");
	add(w, "-device", "%s,tpmdev=tpm",
	    strcmp(m->tpm, "2.0") == 0 && m->arch->is_pc ? "tpm-crb"
	    : m->arch->is_pc                             ? "tpm-tis"
							 : "tpm-tis-device");
	run_note(m,
		 "the TPM is emulated by swtpm, to be started before: swtpm socket%s --tpmstate "
		 "dir=DIR --ctrl type=unixio,path=(the disk's path with .swtpm behind it)",
		 strcmp(m->tpm, "2.0") == 0 ? " --tpm2" : "");
	return 0;
}

int run_qemu_argv(struct run_machine *m, struct run_words *w)
{
	add_word(w, strdup(m->arch->program));
	add(w, "-name", "%s", m->name);
	add_word(w, strdup("-no-user-config"));
	add_word(w, strdup("-nodefaults"));
	add(w, "-machine", "%s%s", m->type, m->is_secure ? ",smm=on" : "");
	add(w, "-accel", "%s", m->is_kvm ? "kvm" : "tcg");
	add_cpu(m, w);
	add(w, "-smp", "%" PRIu64, m->n_cpus);
	add(w, "-m", "%" PRIu64, m->memory_mib);
	if (m->has_local_time)
		add(w, "-rtc", "base=localtime");
	if (add_firmware(m, w))
		return -1;
	if (needs_usb(m))
		add(w, "-device", "qemu-xhci,id=usb");
	if (add_disk(m, w))
		return -1;
	add_cards(m, w);
	if (add_tpm(m, w))
		return -1;
	for (size_t i = 0; i < m->n_gpus; i++)
		add(w, "-device", "vfio-pci,host=%s", m->gpus[i]);
	if (m->arch->is_pc)
		add(w, "-vga", "std");
	add(w, "-display", "none");
	add(w, "-serial", "mon:stdio");
	return w->is_short ? run_wrong(m, "out of memory") : 0;
}

/* ---- for a shell ---- */

/** In quotes, unless no shell could see anything in it. */
static void quote(FILE *f, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_-+=:,./@%";

	if (*word && strspn(word, plain) == strlen(word)) {
		fputs(word, f);
		return;
	}
	fputc('\'', f);
	for (const char *p = word; *p; p++) {
		if (*p == '\'')
			fputs("'\\''", f);
		else
			fputc(*p, f);
	}
	fputc('\'', f);
}

char *run_shell_text(const struct run_words *argv)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	for (size_t i = 0; i < argv->n; i++) {
		/* What begins with a dash is an option: values never do. */
		if (i)
			fputs(argv->words[i][0] == '-' ? " \\\n    " : " ", f);
		quote(f, argv->words[i]);
	}
	fputc('\n', f);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}
