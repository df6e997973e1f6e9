/* SPDX-License-Identifier: MIT */
/*
 * Processor models, as QEMU and libvirt name them, by what tells each from the one before: the
 * features that a guest built for it can count on beyond those of its predecessor. Modest on
 * purpose: a model that isn't here can't be judged, and the rule says so.
 *
 * Features are named as /proc/cpuinfo does; those that hypervisors hide or that came with
 * microcode (spec-ctrl ...) don't tell models apart and are left out, as is all that Intel took
 * back again (hle, rtm, mpx). What the kernel doesn't show can't be asked, so models that differ
 * from others only in such (GraniteRapids, SierraForest) aren't here.
 */
#include <string.h>

#include "policy/policy_rules.h"

struct model {
	const char *name;
	const char *older;    /* has all of that one's features, too; NULL: none */
	const char *features; /* with blanks between them */
};

static const struct model models[] = {
    {"x86-64-v1", NULL, "lm cmov cx8 fpu fxsr mmx syscall sse sse2"},
    {"x86-64-v2", "x86-64-v1", "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"},
    {"x86-64-v2-AES", "x86-64-v2", "aes"},
    {"x86-64-v3", "x86-64-v2", "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"},
    {"x86-64-v4", "x86-64-v3", "avx512f avx512bw avx512cd avx512dq avx512vl"},
    {"qemu64", "x86-64-v1", "pni cx16"},
    {"kvm64", "x86-64-v1", "pni cx16"},
    {"qemu32", NULL, "cmov cx8 fpu fxsr mmx sse sse2 pni"},
    {"kvm32", NULL, "cmov cx8 fpu fxsr mmx sse sse2 pni"},
    /* Intel */
    {"core2duo", "x86-64-v1", "pni cx16 ssse3"},
    {"Conroe", "x86-64-v1", "pni ssse3 lahf_lm"},
    {"Penryn", "Conroe", "cx16 sse4_1"},
    {"Nehalem", "Penryn", "popcnt sse4_2"},
    {"Westmere", "Nehalem", "aes pclmulqdq"},
    {"SandyBridge", "Westmere", "avx xsave rdtscp"},
    {"IvyBridge", "SandyBridge", "f16c rdrand fsgsbase smep erms"},
    {"Haswell", "IvyBridge", "avx2 bmi1 bmi2 fma movbe abm invpcid pcid"},
    {"Broadwell", "Haswell", "adx rdseed smap 3dnowprefetch"},
    {"Skylake-Client", "Broadwell", "xsavec xgetbv1"},
    {"Skylake-Server", "Skylake-Client",
     "avx512f avx512bw avx512cd avx512dq avx512vl clwb pdpe1gb"},
    {"Cascadelake-Server", "Skylake-Server", "avx512_vnni"},
    {"Cooperlake", "Cascadelake-Server", "avx512_bf16"},
    {"Icelake-Server", "Cascadelake-Server",
     "avx512vbmi avx512_vbmi2 avx512_bitalg avx512_vpopcntdq gfni vaes vpclmulqdq la57 umip"},
    {"SapphireRapids", "Icelake-Server",
     "avx512_bf16 avx512_fp16 avx_vnni amx_tile amx_int8 amx_bf16 serialize sha_ni fsrm"},
    /* AMD */
    {"Opteron_G1", "x86-64-v1", "pni"},
    {"Opteron_G2", "Opteron_G1", "cx16 lahf_lm svm rdtscp"},
    {"Opteron_G3", "Opteron_G2", "abm popcnt sse4a misalignsse"},
    {"Opteron_G4", "Opteron_G3", "aes avx pclmulqdq sse4_1 sse4_2 ssse3 xsave xop fma4"},
    {"Opteron_G5", "Opteron_G4", "f16c fma tbm"},
    {"EPYC", "x86-64-v3",
     "aes pclmulqdq adx rdseed rdrand smap smep fsgsbase sha_ni clflushopt sse4a misalignsse "
     "rdtscp 3dnowprefetch xsavec xgetbv1"},
    {"EPYC-Rome", "EPYC", "clwb umip wbnoinvd"},
    {"EPYC-Milan", "EPYC-Rome", "vaes vpclmulqdq erms fsrm invpcid pcid pku"},
    {"EPYC-Genoa", "EPYC-Milan",
     "avx512f avx512bw avx512cd avx512dq avx512vl avx512_vnni avx512_bf16 avx512vbmi "
     "avx512_vbmi2 avx512_bitalg avx512_vpopcntdq gfni la57"},
    {"EPYC-Turin", "EPYC-Genoa", "avx_vnni avx512_vp2intersect movdiri movdir64b"},
};
#define N_MODELS (sizeof(models) / sizeof(models[0]))

/** The same under another name: of hypervisors, and of the kernel. */
static const struct {
	const char *name, *kernel;
} aliases[] = {
    {"sse3", "pni"},
    {"lzcnt", "abm"},
    {"cmpxchg16b", "cx16"},
    {"cmpxchg8b", "cx8"},
    {"ffxsr", "fxsr_opt"},
    {"i64", "lm"},
    {"lahf64", "lahf_lm"},
    {"sha", "sha_ni"},
    {"avx512vnni", "avx512_vnni"},
    {"xd", "nx"},
    {"avx512-ifma", "avx512ifma"},
    {"avx512vbmi2", "avx512_vbmi2"},
    {"avx512bitalg", "avx512_bitalg"},
    {"pclmuldq", "pclmulqdq"},
    {"invtsc", "nonstop_tsc"},
    {"spec-ctrl", "ibrs"},
    {"amd-ssbd", "ssbd"},
    {"amd-stibp", "stibp"},
};

/** What a guest gets from the hypervisor, whatever the processor has; libvirt lists them, too. */
static const char *const made_up[] = {"hypervisor", "x2apic", "tsc-deadline", "tsc-deadline-timer",
				      "tsc-adjust"};

static char fold(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c | 0x20);
	return c == '.' || c == '-' ? '_' : c;
}

/** Names of features differ in case and in . _ -. `len` bytes of `b`. */
static bool is_same(const char *a, const char *b, size_t len)
{
	size_t i = 0;

	while (i < len && a[i] && fold(a[i]) == fold(b[i]))
		i++;
	return i == len && !a[i];
}

static bool has_exactly(struct vd_fact_run host, const char *feature, size_t len)
{
	const struct vd_fact *fact;
	size_t at = 0;

	while ((fact = policy_fact_next(host, "host.cpu.feature", &at)))
		if (is_same(fact->value, feature, len))
			return true;
	return false;
}

bool policy_cpu_has(struct vd_fact_run host, const char *feature)
{
	for (size_t i = 0; i < sizeof(made_up) / sizeof(made_up[0]); i++)
		if (is_same(made_up[i], feature, strlen(feature)))
			return true;
	if (has_exactly(host, feature, strlen(feature)))
		return true;
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		const char *name = aliases[i].name, *kernel = aliases[i].kernel;

		if (is_same(name, feature, strlen(feature)) &&
		    has_exactly(host, kernel, strlen(kernel)))
			return true;
		if (is_same(kernel, feature, strlen(feature)) &&
		    has_exactly(host, name, strlen(name)))
			return true;
	}
	return false;
}

/** Behind "-noTSX", "-IBRS", "-v2" at the end of a model's name: variants that guests can't tell
 *  apart by what is listed here. The length without them. */
static size_t base_len(const char *name)
{
	static const char *const variants[] = {"-noTSX-IBRS", "-noTSX", "-IBRS", "-IBPB"};
	size_t len = strlen(name);

	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
		size_t n = strlen(variants[i]);

		if (len > n && policy_is_word(name + len - n, variants[i]))
			return len - n;
	}
	/* The levels of x86-64 end so, too; they are looked for by their whole name first. */
	if (len > 3 && name[len - 1] >= '0' && name[len - 1] <= '9' &&
	    (name[len - 2] | 0x20) == 'v' && name[len - 3] == '-')
		return len - 3;
	return len;
}

static const struct model *find(const char *name, size_t len)
{
	for (size_t i = 0; i < N_MODELS; i++)
		if (is_same(models[i].name, name, len))
			return &models[i];
	return NULL;
}

/** The first of its features that the host lacks, or NULL. */
static const char *first_missing(struct vd_fact_run host, const struct model *model,
				 char missing[32])
{
	const char *p = model->features;

	while (*p) {
		size_t len = strcspn(p, " ");

		if (len < 32) {
			memcpy(missing, p, len);
			missing[len] = '\0';
			if (!policy_cpu_has(host, missing))
				return missing;
		}
		p += len + (p[len] == ' ');
	}
	return NULL;
}

enum policy_fit policy_cpu_fits(struct vd_fact_run host, const char *name, char missing[32])
{
	static const char *const any[] = {"host", "max", "host-model", "host-passthrough",
					  "maximum"};
	const char *own = policy_fact_value(host, "host.cpu.model");
	const struct model *model;

	missing[0] = '\0';
	for (size_t i = 0; i < sizeof(any) / sizeof(any[0]); i++)
		if (policy_is_word(name, any[i]))
			return POLICY_FITS;
	if (own && policy_is_word(own, name))
		return POLICY_FITS;
	model = find(name, strlen(name));
	if (!model)
		model = find(name, base_len(name));
	/* Without its features nothing is known of the host's processor. */
	if (!model || !policy_fact_value(host, "host.cpu.feature"))
		return POLICY_UNKNOWN;
	/* Chains of older ones end: each names one that stands before it in the table. */
	for (; model; model = model->older ? find(model->older, strlen(model->older)) : NULL)
		if (first_missing(host, model, missing))
			return POLICY_FITS_NOT;
	missing[0] = '\0';
	return POLICY_FITS;
}
