/* SPDX-License-Identifier: MIT */
/* The built-in rules on machines: what an image demands, hosts that have it, and hosts that lack
 * it. */
#include "judge_rig.h"

static void demand(struct judge *j, uint32_t alternative, const char *field, const char *value)
{
	says(j->document, field, value, alternative);
}

/* ---- hardware ---- */

static void a_host(struct judge *j)
{
	static const char *const features[] = {
	    "lm",      "cmov",   "cx8",     "fpu",   "fxsr",     "mmx",       "syscall",
	    "sse",     "sse2",   "pni",     "ssse3", "sse4_1",   "sse4_2",    "popcnt",
	    "lahf_lm", "cx16",   "aes",     "avx",   "avx2",     "rdrand",    "f16c",
	    "fma",     "bmi1",   "bmi2",    "movbe", "xsave",    "abm",       "smep",
	    "erms",    "rdtscp", "invpcid", "pcid",  "fsgsbase", "pclmulqdq",
	};

	says(j->host, "host.arch", "x86_64", 0);
	says(j->host, "host.cpu.model", "Intel(R) Core(TM) i5-4570 CPU @ 3.20GHz", 0);
	says(j->host, "host.cpu.count", "4", 0);
	says(j->host, "host.memory", "4294967296", 0);
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		says(j->host, "host.cpu.feature", features[i], 0);
}

/* One demand on that host: met or not, and what is said of it. */
static void test_demands(void **state)
{
	static const struct {
		const char *field, *value, *lack; /* lack NULL: it is met */
	} rows[] = {
	    {"hardware.arch", "x86_64", NULL},
	    {"hardware.arch", "X86-64", NULL},
	    {"hardware.arch", "amd64", NULL},
	    {"hardware.arch", "i686", NULL},
	    {"hardware.arch", "i386", NULL},
	    {"hardware.arch", "aarch64", "arch: needs aarch64, the host is x86_64"},
	    {"hardware.cpu.count", "4", NULL},
	    {"hardware.cpu.count", "5", "cpu.count: needs 5, the host has 4"},
	    {"hardware.memory", "4294967296", NULL},
	    {"hardware.memory", "8589934592", "memory: needs 8 GiB, the host has 4 GiB"},
	    {"hardware.memory", "4294967297", "memory: needs 4.0 GiB, the host has 4 GiB"},
	    {"hardware.cpu.feature", "avx2", NULL},
	    {"hardware.cpu.feature", "SSE4.1", NULL},
	    {"hardware.cpu.feature", "sse4-2", NULL},
	    {"hardware.cpu.feature", "sse3", NULL},
	    {"hardware.cpu.feature", "lzcnt", NULL},
	    {"hardware.cpu.feature", "cmpxchg16b", NULL},
	    {"hardware.cpu.feature", "pclmuldq", NULL},
	    {"hardware.cpu.feature", "hypervisor", NULL},
	    {"hardware.cpu.feature", "tsc-deadline", NULL},
	    {"hardware.cpu.feature", "avx512f", "cpu.feature: the host lacks avx512f"},
	    {"hardware.cpu.feature", "avx", NULL},
	    {"hardware.cpu.feature", "av", "cpu.feature: the host lacks av"},
	    {"hardware.cpu.model", "Haswell", NULL},
	    {"hardware.cpu.model", "Haswell-noTSX-IBRS", NULL},
	    {"hardware.cpu.model", "haswell-v4", NULL},
	    {"hardware.cpu.model", "Nehalem", NULL},
	    {"hardware.cpu.model", "qemu64", NULL},
	    {"hardware.cpu.model", "x86-64-v3", NULL},
	    {"hardware.cpu.model", "host", NULL},
	    {"hardware.cpu.model", "x86-64-v4",
	     "cpu.model: needs x86-64-v4, the host lacks its avx512f"},
	    {"hardware.cpu.model", "Broadwell", "needs Broadwell, the host lacks its adx"},
	    {"hardware.cpu.model", "SapphireRapids", "needs SapphireRapids, the host lacks its "},
	    {"hardware.cpu.model", "x86-64-v2-AES", NULL},
	    {"hardware.cpu.model", "qemu32", NULL},
	    {"hardware.cpu.model", "GraniteRapids", "it isn't known whether"},
	    {"hardware.cpu.model", "EPYC", "needs EPYC, the host lacks its adx"},
	    {"hardware.cpu.model", "cortex-a57", "it isn't known whether the host has all of it"},
	    {"hardware.cpu.model", "intel(r) core(tm) i5-4570 cpu @ 3.20ghz", NULL},
	    /* A hypervisor makes these up. */
	    {"hardware.firmware", "efi", NULL},
	    {"hardware.secure-boot", "true", NULL},
	    {"hardware.machine", "q35", NULL},
	    {"hardware.disk.bus", "nvme", NULL},
	    {"hardware.nic.model", "e1000e", NULL},
	    {"hardware.tpm", "2.0", NULL},
	    {"hardware.gpu.count", "1", "gpu: needs 1; of the host's 0 0 are known to be that"},
	    {"hardware.gpu.api", "cuda", "gpu: needs 1, for cuda; of the host's 0"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct judge j;

		judge_begin(&j, NULL);
		a_host(&j);
		demand(&j, 1, rows[i].field, rows[i].value);
		if (rows[i].lack) {
			assert_denied(&j, "builtin:hardware");
			assert_holds(j.decision->facts, rows[i].lack);
			assert_string_equal(j.decision->nearest, "");
			assert_holds(j.decision->remedy, "use a host that has");
		} else {
			const struct vd_decision *d = judge(&j);

			if (!d->is_allowed)
				fail_msg("%s=%s: %s\n%s", rows[i].field, rows[i].value, d->reason,
					 d->facts);
		}
		judge_end(&j);
	}
}

/* A host of which nothing is known satisfies no demand. */
static void test_unknown_host(void **state)
{
	static const char *const rows[][3] = {
	    {"hardware.arch", "x86_64", "the host's isn't known"},
	    {"hardware.memory", "1", "the host's isn't known"},
	    {"hardware.cpu.count", "1", "the host's isn't known"},
	    {"hardware.cpu.feature", "sse2", "the host lacks sse2"},
	    {"hardware.cpu.model", "x86-64-v1", "it isn't known whether"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct judge j;

		judge_begin(&j, NULL);
		demand(&j, 1, rows[i][0], rows[i][1]);
		assert_denied(&j, "builtin:hardware");
		assert_holds(j.decision->facts, rows[i][2]);
		judge_end(&j);
	}
}

static void test_alternatives(void **state)
{
	struct judge j;

	(void)state;
	judge_begin(&j, NULL);
	a_host(&j);
	demand(&j, 3, "hardware.arch", "aarch64");
	demand(&j, 3, "hardware.memory", "8589934592");
	demand(&j, 3, "hardware.name", "arm");
	demand(&j, 5, "hardware.memory", "8589934592");
	demand(&j, 5, "hardware.cpu.count", "2");
	demand(&j, 5, "hardware.name", "big\x1b[1m");
	demand(&j, 9, "hardware.cpu.feature", "avx512f");
	demand(&j, 9, "hardware.cpu.feature", "vmx");
	assert_denied(&j, "builtin:hardware");
	assert_holds(j.decision->reason, "none of the 3 machines");
	assert_string_equal(j.decision->nearest, "alternative 2 (big\\x1b[1m), but for:\n"
						 "memory: needs 8 GiB, the host has 4 GiB");
	/* One that fits is enough. */
	demand(&j, 11, "hardware.memory", "1073741824");
	assert_allowed(&j);
	judge_end(&j);

	/* Each feature that is lacking counts, also those that aren't told. */
	judge_begin(&j, NULL);
	a_host(&j);
	for (int i = 0; i < 20; i++) {
		char feature[32];

		snprintf(feature, sizeof(feature), "none%d", i);
		demand(&j, 1, "hardware.cpu.feature", feature);
	}
	demand(&j, 2, "hardware.arch", "aarch64");
	demand(&j, 2, "hardware.memory", "8589934592");
	demand(&j, 2, "hardware.cpu.count", "8");
	demand(&j, 2, "hardware.cpu.model", "EPYC");
	demand(&j, 2, "hardware.gpu.count", "1");
	for (int i = 0; i < 7; i++) {
		char feature[32];

		snprintf(feature, sizeof(feature), "other%d", i);
		demand(&j, 2, "hardware.cpu.feature", feature);
	}
	assert_denied(&j, "builtin:hardware");
	assert_holds(j.decision->nearest, "alternative 2, but for:\n");
	judge_end(&j);
}

static void test_gpus(void **state)
{
	struct judge j;

	(void)state;
	judge_begin(&j, NULL);
	says(j.host, "host.gpu.model", "NVIDIA Tesla T4", 1);
	says(j.host, "host.gpu.memory", "17179869184", 1);
	says(j.host, "host.gpu.api", "cuda", 1);
	says(j.host, "host.gpu.api", "vulkan", 1);
	says(j.host, "host.gpu.model", "UHD Graphics", 2);
	says(j.host, "host.gpu.api", "vulkan", 2);
	demand(&j, 1, "hardware.gpu.memory", "17179869184");
	demand(&j, 1, "hardware.gpu.model", "tesla t4");
	demand(&j, 1, "hardware.gpu.api", "CUDA");
	assert_allowed(&j);
	/* Two of them: the other one is another. */
	demand(&j, 1, "hardware.gpu.count", "2");
	assert_denied(&j, "builtin:hardware");
	assert_string_equal(j.decision->facts, "gpu: needs 2 tesla t4 with 16 GiB, for CUDA; of "
					       "the host's 2 1 is known to be that");
	judge_end(&j);
	judge_begin(&j, NULL);
	says(j.host, "host.gpu.model", "UHD Graphics", 2);
	demand(&j, 1, "hardware.gpu.count", "1");
	assert_allowed(&j);
	demand(&j, 1, "hardware.gpu.memory", "1");
	assert_denied(&j, "builtin:hardware");
	judge_end(&j);
}

/* ---- host ---- */

static void test_host(void **state)
{
	static const struct {
		const char *kind, *id, *min, *max, *lack;
	} rows[] = {
	    {"os", "debian12", NULL, NULL, NULL},
	    {"os", "Debian12", "12", "12", NULL},
	    {"os", "debian", "12.4", "13", NULL},
	    {"os", "linux", NULL, NULL, NULL},
	    {"os", "linux", "5.10", NULL, NULL},
	    {"os", "linux", "6.2", NULL, "version is 6.1.0-18-amd64, older than 6.2"},
	    {"os", "debian12", "12.6", NULL, "version is 12.5, older than 12.6"},
	    {"os", "debian12", NULL, "12.4", "version is 12.5, newer than 12.4"},
	    {"os", "debian11", NULL, NULL, "the host's OS is debian12"},
	    {"os", "deb", NULL, NULL, "the host's OS is debian12"},
	    {"os", "debian1", NULL, NULL, "the host's OS is debian12"},
	    {"os", "winnt", NULL, NULL, "the host's OS is debian12"},
	    {"hypervisor", "qemu", NULL, NULL, NULL},
	    {"hypervisor", "QEMU", "7.2", "7.2.99", NULL},
	    {"hypervisor", "qemu", "7.2.22", "8", NULL},
	    {"hypervisor", "qemu", NULL, "7", NULL},
	    {"hypervisor", "qemu", "8", NULL, "version is 7.2.22, older than 8"},
	    {"hypervisor", "qemu", NULL, "7.1", "version is 7.2.22, newer than 7.1"},
	    {"hypervisor", "kvm", NULL, NULL, NULL},
	    {"hypervisor", "kvm", "5", NULL, "its version isn't known"},
	    {"hypervisor", "xen", NULL, NULL, "the host doesn't have it"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char field[64], bound[80];
		struct judge j;

		judge_begin(&j, NULL);
		says(j.host, "host.os.id", "debian12", 0);
		says(j.host, "host.os.family", "linux", 0);
		says(j.host, "host.os.version", "12.5", 0);
		says(j.host, "host.kernel", "6.1.0-18-amd64", 0);
		says(j.host, "host.hypervisor", "kvm", 1);
		says(j.host, "host.hypervisor", "qemu", 2);
		says(j.host, "host.hypervisor.version", "7.2.22", 2);
		snprintf(field, sizeof(field), "compatible.%s", rows[i].kind);
		says(j.document, field, rows[i].id, 4);
		snprintf(bound, sizeof(bound), "%s.min", field);
		if (rows[i].min)
			says(j.document, bound, rows[i].min, 4);
		snprintf(bound, sizeof(bound), "%s.max", field);
		if (rows[i].max)
			says(j.document, bound, rows[i].max, 4);
		if (rows[i].lack) {
			assert_denied(&j, "builtin:host");
			assert_holds(j.decision->facts, rows[i].lack);
			assert_holds(j.decision->remedy, "use a host with the ");
			/* One that fits is enough. */
			says(j.document, field, "debian12", 5);
			says(j.document, field, "qemu", 6);
			assert_allowed(&j);
		} else {
			const struct vd_decision *d = judge(&j);

			if (!d->is_allowed)
				fail_msg("%s %s: %s", rows[i].kind, rows[i].id, d->facts);
		}
		judge_end(&j);
	}
}

/* Of both kinds one has to fit. */
static void test_host_both(void **state)
{
	struct judge j;

	(void)state;
	judge_begin(&j, NULL);
	says(j.document, "compatible.os", "linux", 1);
	says(j.document, "compatible.hypervisor", "xen", 2);
	says(j.document, "compatible.hypervisor", "kvm", 3);
	assert_denied(&j, "builtin:host");
	assert_holds(j.decision->facts, "compatible.os = linux: the host's OS is not known");
	says(j.host, "host.os.family", "linux", 0);
	assert_denied(&j, "builtin:host");
	assert_string_equal(j.decision->remedy, "use a host with the hypervisor xen or kvm");
	says(j.host, "host.hypervisor", "kvm", 0);
	assert_allowed(&j);
	judge_end(&j);
}

/* ---- bounds ---- */

/* As many facts as an image can have: it takes seconds at most, not hours. */
static void test_many_facts(void **state)
{
	struct judge j;
	char value[32];

	(void)state;
	judge_begin(&j, NULL);
	a_host(&j);
	for (uint32_t i = 0; i < 30000; i++) {
		snprintf(value, sizeof(value), "%u", 5 + i);
		says(j.document, "hardware.cpu.count", value, i + 1);
		snprintf(value, sizeof(value), "f%u", i);
		says(j.document, "hardware.cpu.feature", value, 1);
	}
	assert_denied(&j, "builtin:hardware");
	assert_holds(j.decision->reason, "none of the 30000 machines");
	assert_holds(j.decision->nearest, "alternative 2, but for:\ncpu.count: needs 6");
	judge_end(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_demands),      cmocka_unit_test(test_unknown_host),
	    cmocka_unit_test(test_alternatives), cmocka_unit_test(test_gpus),
	    cmocka_unit_test(test_host),         cmocka_unit_test(test_host_both),
	    cmocka_unit_test(test_many_facts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
