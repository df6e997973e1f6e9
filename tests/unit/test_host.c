/* SPDX-License-Identifier: MIT */
/* Facts of a host as text, and back; and that they are the fields that can be asked. */
#include <stdio.h>
#include <stdlib.h>

#include <vdisk/query.h>

#include "host/host_facts.h"
#include "host_rig.h"

static void refused(const char *text, const char *why)
{
	struct vd_host *host = NULL;

	assert_int_equal(vd_host_parse(&host, text, strlen(text), &err), VD_EINVAL);
	assert_null(host);
	if (!strstr(err.text, why))
		fail_msg("\"%s\" doesn't say \"%s\"", err.text, why);
}

/* ---- texts ---- */

static const char a_host[] =
    "host.name = box\nhost.machine = physical\nhost.arch = x86_64\nhost.os.id = debian12\n"
    "host.os.name = Debian GNU/Linux\nhost.os.version = 12.5\nhost.os.family = linux\n"
    "host.kernel = 6.1.0-18-amd64\nhost.firmware = efi\nhost.tpm = 2.0\n"
    "host.cpu.vendor = GenuineIntel\nhost.cpu.model = \"Xeon #4\"\nhost.cpu.count = 16\n"
    "host.cpu.feature = aes avx2 vmx\nhost.memory = 17179869184\n"
    "\nhost.hypervisor = kvm\n"
    "\nhost.hypervisor = qemu\nhost.hypervisor.version = 7.2\n"
    "\nhost.gpu.vendor = Intel Corporation\nhost.gpu.model = HD 630\nhost.gpu.memory = 268435456\n"
    "host.gpu.driver = i915\nhost.gpu.address = 0000:00:02.0\nhost.gpu.api = opencl\n"
    "host.gpu.api = vulkan\n"
    "\nhost.gpu.vendor = NVIDIA Corporation\nhost.gpu.model = AD104GL [L4]\n"
    "\nhost.network.name = eth0\nhost.network.state = up\nhost.network.mac = 52:54:00:12:34:56\n"
    "host.network.address = 10.0.0.5/24\nhost.network.address = fe80::1/64\n"
    "host.network.speed = 1000\n";

static void text_comes_back_as_it_was(void **state)
{
	struct vd_host *host = parse(a_host);
	char *text = format(host);

	(void)state;
	assert_string_equal(text, a_host);
	assert_string_equal(value_of(host, "host.cpu.model", 0), "Xeon #4");
	assert_int_equal(count_of(host, "host.cpu.feature"), 3);
	vd_meta_free(text);
	vd_host_free(host);
}

static void entries_have_groups(void **state)
{
	struct vd_host *host = parse(a_host);
	uint32_t kvm = group_of(host, "host.hypervisor", "kvm");
	uint32_t qemu = group_of(host, "host.hypervisor", "qemu");
	uint32_t intel = group_of(host, "host.gpu.model", "HD 630");
	uint32_t nvidia = group_of(host, "host.gpu.model", "AD104GL [L4]");

	(void)state;
	assert_true(kvm && qemu && intel && nvidia);
	assert_true(kvm != qemu && intel != nvidia && qemu != intel);
	assert_null(value_of(host, "host.hypervisor.version", kvm));
	assert_string_equal(value_of(host, "host.hypervisor.version", qemu), "7.2");
	assert_string_equal(value_of(host, "host.gpu.driver", intel), "i915");
	assert_null(value_of(host, "host.gpu.driver", nvidia));
	assert_string_equal(value_of(host, "host.arch", 0), "x86_64");
	vd_host_free(host);
}

static void text_is_read_leniently(void **state)
{
	struct vd_host *host = parse("# a machine\r\n"
				     "  host.memory=4G   # of RAM\r\n"
				     "host.machine = VIRTUAL\n"
				     "host.cpu.feature = aes avx2\nhost.cpu.feature = sse4_1\n"
				     "host.name = \"a \\\"b\\\" \\\\ c\" # quoted\n"
				     "host.hypervisor = kvm\nhost.hypervisor = qemu");

	(void)state;
	assert_string_equal(value_of(host, "host.memory", 0), "4294967296");
	assert_string_equal(value_of(host, "host.machine", 0), "virtual");
	assert_int_equal(count_of(host, "host.cpu.feature"), 3);
	assert_string_equal(value_of(host, "host.name", 0), "a \"b\" \\ c");
	assert_int_equal(count_of(host, "host.hypervisor"), 2);
	assert_int_not_equal(group_of(host, "host.hypervisor", "kvm"),
			     group_of(host, "host.hypervisor", "qemu"));
	vd_host_free(host);
	host = parse("");
	assert_int_equal(count_of(host, "host.name"), 0);
	vd_host_free(host);
}

static void wrong_lines_are_told_by_number(void **state)
{
	static char big[HOST_TEXT_MAX + 2], longer[HOST_VALUE_MAX + 64];
	struct vd_host *host;

	(void)state;
	refused("host.arch = x86_64\n\nhost.colour = red\n", "line 3: there is no field");
	refused("arch = x86_64\n", "line 1: there is no field \"arch\"");
	refused("host.arch = x86_64\nx86_64\n", "line 2: \"x86_64\": write \"field = value\"");
	refused("# x\nhost.memory = much\n", "line 2: host.memory: \"much\" is not a size");
	refused("host.cpu.count = -1\n", "line 1: host.cpu.count");
	refused("host.machine = both\n", "(physical|virtual)");
	refused("host.firmware =\n", "line 1: host.firmware has no value");
	refused("host.kernel = a b\n", "not a version");
	refused("host.cpu.feature = aes a(b\n", "not a name");
	refused("host.name = a\nhost.name = b\n", "line 2: host.name for the second time");
	refused("host.gpu.model = a\nhost.gpu.model = b\n", "an empty line ends an entry");
	refused("host.name = \"a\n", "a quote that doesn't end");
	refused("host.name = \"a\" b\n", "more behind");
	refused("host.name = \xff\xfe\n", "not UTF-8");
	refused("host.name = a\033[2Jb\n", "a control character");
	memset(longer, 'x', sizeof(longer) - 1);
	memcpy(longer, "host.name = ", 12);
	refused(longer, "at most 1024");
	assert_int_equal(vd_host_parse(&host, "host.name = a\n\0", 15, &err), VD_EINVAL);
	assert_non_null(strstr(err.text, "line 2: a NUL byte"));
	memset(big, '\n', sizeof(big) - 1);
	assert_int_equal(vd_host_parse(&host, big, HOST_TEXT_MAX + 1, &err), VD_EINVAL);
	assert_int_equal(vd_host_parse(&host, big, HOST_TEXT_MAX, &err), 0);
	vd_host_free(host);
}

static void number_of_facts_is_bounded(void **state)
{
	size_t room = (HOST_FACTS_MAX + 1) * 32, n = 0;
	char *text = malloc(room);
	struct vd_host *host;

	(void)state;
	for (unsigned i = 0; i < HOST_FACTS_MAX; i++)
		n += (size_t)snprintf(text + n, room - n, "host.gpu.api = a%u\n", i);
	assert_int_equal(vd_host_parse(&host, text, n, &err), 0);
	assert_int_equal(count_of(host, "host.gpu.api"), HOST_FACTS_MAX);
	vd_host_free(host);
	snprintf(text + n, room - n, "host.gpu.api = b\n");
	refused(text, "line 16385: more than 16384 facts");
	free(text);
}

/* Policies ask these fields by the query room's table: the two must say the same. */
static void fields_are_those_that_can_be_asked(void **state)
{
	const struct vd_field *field;
	size_t n = 0, own = 0;

	(void)state;
	for (size_t i = 0; (field = vd_query_field_at(i)); i++) {
		const struct host_field *known = host_field_find(field->name);

		if (strncmp(field->name, "host.", 5) != 0)
			continue;
		n++;
		if (!known)
			fail_msg("%s can be asked but isn't known of hosts", field->name);
		assert_string_equal(vd_field_type_name(known->field.type),
				    vd_field_type_name(field->type));
		assert_int_equal(!known->field.choices, !field->choices);
		if (field->choices)
			assert_string_equal(known->field.choices, field->choices);
	}
	while (host_field_at(own))
		own++;
	assert_int_equal(n, own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text_comes_back_as_it_was),
	    cmocka_unit_test(entries_have_groups),
	    cmocka_unit_test(text_is_read_leniently),
	    cmocka_unit_test(wrong_lines_are_told_by_number),
	    cmocka_unit_test(number_of_facts_is_bounded),
	    cmocka_unit_test(fields_are_those_that_can_be_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
