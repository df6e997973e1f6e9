/* SPDX-License-Identifier: MIT */
/*
 * Facts of a host as text. Input: the text.
 * Property: a text is refused with the line, or what it says can be written down and read again:
 * the same facts, and the same text from then on.
 */
#include <stdlib.h>
#include <string.h>

#include <vdisk/host.h>

#include "fuzz.h"

static void check_same(const struct vd_host *a, const struct vd_host *b)
{
	size_t n, n_b;
	const struct vd_fact *x = vd_host_facts(a, &n), *y = vd_host_facts(b, &n_b);

	FUZZ_CHECK(n == n_b, "%zu facts became %zu", n, n_b);
	for (size_t i = 0; i < n; i++) {
		FUZZ_CHECK(strcmp(x[i].field, y[i].field) == 0 &&
			       strcmp(x[i].value, y[i].value) == 0,
			   "fact %zu: %s = %s became %s = %s", i, x[i].field, x[i].value,
			   y[i].field, y[i].value);
		FUZZ_CHECK(!x[i].group == !y[i].group, "%s lost its entry", x[i].field);
	}
}

static void run(const uint8_t *data, size_t size)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_host *host = NULL, *again = NULL;
	char *text, *text2;
	size_t len, len2;
	int ret = vd_host_parse(&host, (const char *)data, size, &err);

	if (ret) {
		FUZZ_CHECK(ret == VD_EINVAL && !host, "refused with %d", ret);
		FUZZ_CHECK(strncmp(err.text, "line ", 5) == 0, "refused without a line: %s",
			   err.text);
		return;
	}
	FUZZ_CHECK(!vd_host_format(host, &text, &len, &err), "%s", err.text);
	FUZZ_CHECK(strlen(text) == len, "a NUL in the text");
	FUZZ_CHECK(!vd_host_parse(&again, text, len, &err), "%s in:\n%s", err.text, text);
	check_same(host, again);
	FUZZ_CHECK(!vd_host_format(again, &text2, &len2, &err), "%s", err.text);
	FUZZ_CHECK(strcmp(text, text2) == 0, "the text changed");
	if (len)
		fuzz_deep();
	vd_meta_free(text);
	vd_meta_free(text2);
	vd_host_free(host);
	vd_host_free(again);
}

static void seed_text(const char *name, const char *text)
{
	fuzz_seed(name, text, strlen(text));
}

static void seed(void)
{
	seed_text("all",
		  "host.name = box\nhost.machine = physical\nhost.arch = x86_64\n"
		  "host.os.id = debian12\nhost.os.name = Debian GNU/Linux\nhost.os.version = 12.5\n"
		  "host.os.family = linux\nhost.kernel = 6.1.0-18-amd64\nhost.firmware = efi\n"
		  "host.tpm = 2.0\nhost.cpu.vendor = GenuineIntel\nhost.cpu.model = \"Xeon #4\"\n"
		  "host.cpu.count = 16\nhost.cpu.feature = aes avx2 vmx\nhost.memory = 16G\n\n"
		  "host.hypervisor = kvm\nhost.hypervisor = qemu\nhost.hypervisor.version = 7.2\n\n"
		  "host.gpu.vendor = Intel\nhost.gpu.model = HD 630\nhost.gpu.memory = 268435456\n"
		  "host.gpu.driver = i915\nhost.gpu.address = 0000:00:02.0\nhost.gpu.api = vulkan\n"
		  "host.gpu.api = opencl\n\nhost.gpu.model = L4\n\nhost.network.name = eth0\n"
		  "host.network.state = up\nhost.network.mac = 52:54:00:12:34:56\n"
		  "host.network.address = 10.0.0.5/24\nhost.network.speed = 1000\n");
	seed_text("comments",
		  "# a host\r\n  host.arch=x86_64  # so\n\n\n#\nhost.memory = 1.5 GiB #\n");
	seed_text("quotes", "host.name = \"a \\\"b\\\" \\\\ # c\" # d\nhost.cpu.model = a\"b\\\n");
	seed_text("order", "host.hypervisor.version = 1\nhost.gpu.model = a\nhost.hypervisor = b\n"
			   "host.hypervisor = c\nhost.hypervisor.version = 1~rc1\n");
	seed_text("wrong-field", "host.arch = x\nhost.colour = red\n");
	seed_text("wrong-value", "host.memory = much\n");
	seed_text("twice", "host.name = a\nhost.name = b\n");
	seed_text("no-end", "host.name = \"a\\");
	seed_text("utf8",
		  "host.name = \xc3\x84\xef\xac\x81\xf0\x9f\x96\xa5\nhost.os.name = \xff\n");
	fuzz_seed("nul", "host.name = a\0b\n", 16);
	seed_text("empty", "");
}

const struct fuzz_target fuzz_host = {
    .name = "host", .run = run, .seed = seed, .max_memory = 8 << 20};
