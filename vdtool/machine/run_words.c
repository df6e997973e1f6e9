/* SPDX-License-Identifier: MIT */
/* What QEMU 7.2 and libvirt know, as far as an image may ask for it. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "run.h"

#define X86_MODELS                                                                                 \
	"host|max|qemu64|kvm64|qemu32|kvm32|486|pentium|pentium2|pentium3|coreduo|core2duo|n270|"  \
	"athlon|phenom|Conroe|Penryn|Nehalem|Westmere|SandyBridge|IvyBridge|Haswell|Broadwell|"    \
	"Skylake-Client|Skylake-Server|Cascadelake-Server|Cooperlake|Icelake-Server|"              \
	"SapphireRapids|GraniteRapids|SierraForest|Denverton|Snowridge|KnightsMill|Opteron_G1|"    \
	"Opteron_G2|Opteron_G3|Opteron_G4|Opteron_G5|EPYC|EPYC-Rome|EPYC-Milan|EPYC-Genoa|Dhyana"

#define X86_FEATURES                                                                               \
	"3dnow|3dnowext|3dnowprefetch|abm|adx|aes|amd-ssbd|amd-stibp|amx-bf16|amx-int8|amx-tile|"  \
	"apic|arat|arch-capabilities|avx|avx-vnni|avx2|avx512-4fmaps|avx512-4vnniw|avx512-bf16|"   \
	"avx512-fp16|avx512-vp2intersect|avx512-vpopcntdq|avx512bitalg|avx512bw|avx512cd|"         \
	"avx512dq|avx512er|avx512f|avx512ifma|avx512pf|avx512vbmi|avx512vbmi2|avx512vl|"           \
	"avx512vnni|bmi1|bmi2|cldemote|clflush|clflushopt|clwb|clzero|cmov|cmp-legacy|cr8legacy|"  \
	"cx16|cx8|de|ds|erms|f16c|fma|fma4|fpu|fsgsbase|fsrm|fxsr|fxsr-opt|gfni|hle|ht|ibpb|ibrs|" \
	"invpcid|invtsc|la57|lahf-lm|lm|lwp|mca|mce|md-clear|misalignsse|mmx|mmxext|monitor|"      \
	"movbe|movdir64b|movdiri|mpx|msr|mtrr|npt|nrip-save|nx|osvw|pae|pat|pcid|pclmulqdq|"       \
	"pdpe1gb|perfctr-core|pge|pku|popcnt|pse|pse36|rdpid|rdrand|rdseed|rdtscp|rtm|sep|"        \
	"serialize|sha-ni|smap|smep|spec-ctrl|ss|ssbd|sse|sse2|sse3|sse4.1|sse4.2|sse4a|ssse3|"    \
	"stibp|svm|syscall|tbm|topoext|tsc|tsc-deadline|tsc-adjust|umip|vaes|virt-ssbd|vme|vmx|"   \
	"vpclmulqdq|wbnoinvd|x2apic|xgetbv1|xop|xsave|xsavec|xsaveerptr|xsaveopt|xsaves"

static const struct run_arch archs[] = {
    {"x86_64", "qemu-system-x86_64", "q35|pc", "pc-q35-|pc-i440fx-", X86_MODELS, X86_FEATURES, true,
     false},
    {"i686", "qemu-system-i386", "pc|q35", "pc-q35-|pc-i440fx-", X86_MODELS, X86_FEATURES, true,
     true},
    {"aarch64", "qemu-system-aarch64", "virt", "virt-",
     "host|max|cortex-a35|cortex-a53|cortex-a57|cortex-a72|cortex-a76|neoverse-n1|neoverse-v1|"
     "a64fx",
     NULL, false, false},
};

/* What /proc/cpuinfo calls otherwise than QEMU does. */
static const struct {
	const char *kernel, *qemu;
} renamed[] = {
    {"pni", "sse3"},
    {"avx512_bitalg", "avx512bitalg"},
    {"avx512_vbmi2", "avx512vbmi2"},
    {"avx512_vnni", "avx512vnni"},
    {"tsc_deadline_timer", "tsc-deadline"},
    {"constant_tsc", "invtsc"},
    {"nonstop_tsc", "invtsc"},
    {"cr8_legacy", "cr8legacy"},
    {"lahf", "lahf-lm"},
};

/* In the order of preference. */
static const struct run_bus buses[] = {
    {"virtio", "virtio-blk-pci", "vda", true},
    {"scsi", "scsi-hd", "sda", true},
    {"nvme", "nvme", "vda", true},
    {"sata", "ide-hd", "sda", false},
    {"ide", "ide-hd", "hda", false},
    {"usb", "usb-storage", "sda", false},
};

static const struct run_nic_model nic_models[] = {
    {"virtio", "virtio-net-pci"}, {"e1000e", "e1000e"},
    {"e1000", "e1000"},           {"igb", "igb"},
    {"vmxnet3", "vmxnet3"},       {"rtl8139", "rtl8139"},
    {"pcnet", "pcnet"},           {"i82551", "i82551"},
    {"i82557b", "i82557b"},       {"i82559er", "i82559er"},
    {"ne2k_pci", "ne2k_pci"},     {"usb-net", "usb-net"},
};

#define N(table) (sizeof(table) / sizeof((table)[0]))

/** The word of "a|b|c" at *at, and *at behind it; its length, 0 at the end. */
static size_t next_word(const char **at, const char **word)
{
	size_t len = strcspn(*at, "|");

	*word = *at;
	*at += len + ((*at)[len] == '|');
	return len;
}

bool run_is_one_of(const char *words, const char *word)
{
	const char *one;
	size_t len;

	while ((len = next_word(&words, &one)))
		if (strlen(word) == len && memcmp(word, one, len) == 0)
			return true;
	return false;
}

const struct run_arch *run_arch_find(const char *name)
{
	if (strcmp(name, "amd64") == 0)
		name = "x86_64";
	if (strcmp(name, "arm64") == 0)
		name = "aarch64";
	for (size_t i = 0; i < N(archs); i++)
		if (strcmp(archs[i].name, name) == 0)
			return &archs[i];
	return NULL;
}

const char *run_arch_names(void)
{
	return "x86_64, i686, aarch64";
}

bool run_is_machine(const struct run_arch *arch, const char *type)
{
	const char *words = arch->versioned, *one;
	size_t len;

	if (run_is_one_of(arch->machines, type))
		return true;
	while ((len = next_word(&words, &one))) {
		const char *version = type + len;

		if (strncmp(type, one, len) == 0 && *version && strlen(version) < 8 &&
		    strspn(version, "0123456789.") == strlen(version))
			return true;
	}
	return false;
}

/* "Haswell-noTSX-IBRS", "EPYC-v2": a model, and what QEMU calls its versions. */
bool run_is_cpu(const struct run_arch *arch, const char *model)
{
	static const char *const endings[] = {"", "-IBRS", "-IBPB", "-noTSX", "-noTSX-IBRS"};
	const char *words = arch->models, *one;
	size_t len;

	while ((len = next_word(&words, &one))) {
		const char *rest = model + len;

		if (strncmp(model, one, len) != 0)
			continue;
		for (size_t i = 0; i < N(endings); i++)
			if (strcmp(rest, endings[i]) == 0)
				return true;
		if (strncmp(rest, "-v", 2) == 0 && rest[2] && strlen(rest + 2) <= 2 &&
		    strspn(rest + 2, "0123456789") == strlen(rest + 2))
			return true;
	}
	return false;
}

bool run_is_same_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++) {
		bool is_mark = strchr("._-", *a) && strchr("._-", *b);

		if (!is_mark && tolower((unsigned char)*a) != tolower((unsigned char)*b))
			return false;
	}
	return *a == *b;
}

bool run_feature_find(const struct run_arch *arch, const char *feature, char name[RUN_FEATURE_MAX])
{
	const char *words = arch->features, *one;
	size_t len;

	for (size_t i = 0; i < N(renamed); i++)
		if (run_is_same_name(renamed[i].kernel, feature))
			feature = renamed[i].qemu;
	while (words && (len = next_word(&words, &one))) {
		if (len >= RUN_FEATURE_MAX)
			continue;
		memcpy(name, one, len);
		name[len] = '\0';
		if (run_is_same_name(name, feature))
			return true;
	}
	return false;
}

const struct run_bus *run_bus_at(size_t i)
{
	return i < N(buses) ? &buses[i] : NULL;
}

const char *run_bus_names(void)
{
	return "virtio, scsi, nvme, sata, ide, usb";
}

const struct run_nic_model *run_nic_model_at(size_t i)
{
	return i < N(nic_models) ? &nic_models[i] : NULL;
}

const struct run_nic_model *run_nic_model_find(const char *name)
{
	for (size_t i = 0; i < N(nic_models); i++)
		if (run_is_same_name(nic_models[i].name, name) ||
		    run_is_same_name(nic_models[i].device, name))
			return &nic_models[i];
	return NULL;
}

const char *run_nic_names(void)
{
	return "virtio, e1000e, e1000, igb, vmxnet3, rtl8139, pcnet, i82551, i82557b, i82559er, "
	       "ne2k_pci, usb-net";
}
