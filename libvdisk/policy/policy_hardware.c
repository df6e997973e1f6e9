/* SPDX-License-Identifier: MIT */
/*
 * The built-in rule on the document *hardware*: does one of the alternatives fit this host? Judged
 * is what a hypervisor can't make up: architecture, processor, its features and number, memory,
 * GPUs. Machine type, firmware, secure boot, buses, network cards and the TPM are emulated.
 */
#include <inttypes.h>
#include <string.h>

#include "policy/policy_rules.h"

/** An alternative being judged. */
struct judging {
	const struct vd_policy_input *input;
	const struct policy_entries *entry;
	const struct policy_entries *gpus; /* of the host */
	size_t n_unmet;
	struct policy_text unmet; /* "memory: needs 8 GiB, the host has 4 GiB", a line each */
};

/** Begin to tell a demand that isn't met. */
static struct policy_text *unmet(struct judging *j, const char *what)
{
	j->n_unmet++;
	policy_text_line(&j->unmet);
	policy_text_add(&j->unmet, "%s: ", what);
	return &j->unmet;
}

static const char *wanted(const struct judging *j, const char *field)
{
	return policy_entry_value(j->entry, field);
}

static const char *plain_arch(const char *arch)
{
	static const struct {
		const char *name, *plain;
	} names[] = {{"amd64", "x86_64"},  {"x64", "x86_64"}, {"x86-64", "x86_64"},
		     {"arm64", "aarch64"}, {"i386", "i686"},  {"i486", "i686"},
		     {"i586", "i686"},     {"x86", "i686"},   {"powerpc64le", "ppc64le"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (policy_is_word(arch, names[i].name))
			return names[i].plain;
	return arch;
}

static void judge_arch(struct judging *j)
{
	const char *want = wanted(j, "hardware.arch");
	const char *have = policy_fact_value(j->input->host, "host.arch");
	struct policy_text *text;

	if (!want)
		return;
	if (have && (policy_is_word(plain_arch(want), plain_arch(have)) ||
		     (policy_is_word(plain_arch(want), "i686") &&
		      policy_is_word(plain_arch(have), "x86_64"))))
		return;
	text = unmet(j, "arch");
	policy_text_add(text, "needs ");
	policy_text_value(text, want);
	policy_text_add(text, have ? ", the host is " : ", the host's isn't known");
	policy_text_value(text, have ? have : "");
}

static void judge_model(struct judging *j)
{
	const char *want = wanted(j, "hardware.cpu.model");
	const char *have = policy_fact_value(j->input->host, "host.cpu.model");
	struct policy_text *text;
	enum policy_fit fit;
	char missing[32];

	if (!want)
		return;
	fit = policy_cpu_fits(j->input->host, want, missing);
	if (fit == POLICY_FITS)
		return;
	text = unmet(j, "cpu.model");
	policy_text_add(text, "needs ");
	policy_text_value(text, want);
	if (fit == POLICY_FITS_NOT) {
		policy_text_add(text, ", the host lacks its %s", missing);
		return;
	}
	policy_text_add(text, ", and it isn't known whether the host has all of it");
	if (have) {
		policy_text_add(text, " (it is ");
		policy_text_value(text, have);
		policy_text_add(text, ")");
	}
}

#define FEATURES_TOLD 8u

static void judge_features(struct judging *j)
{
	struct policy_text *text = NULL;
	size_t n = 0;

	for (size_t i = 0; i < j->entry->n; i++) {
		const struct vd_fact *fact = j->entry->facts[i];

		if (strcmp(fact->field, "hardware.cpu.feature") != 0 ||
		    policy_cpu_has(j->input->host, fact->value))
			continue;
		if (n++ == 0) {
			text = unmet(j, "cpu.feature");
			policy_text_add(text, "the host lacks ");
		} else {
			if (n <= FEATURES_TOLD + 1)
				policy_text_add(text, ", ");
			j->n_unmet++;
		}
		if (n <= FEATURES_TOLD + 1)
			policy_text_value(text, n > FEATURES_TOLD ? "..." : fact->value);
	}
}

/** A number that the host must have at least. */
static void judge_number(struct judging *j, const char *field, const char *host, const char *what,
			 bool is_size)
{
	const char *want = wanted(j, field), *have = policy_fact_value(j->input->host, host);
	uint64_t need, has = 0;
	bool is_known = policy_number(have, &has);
	struct policy_text *text;

	if (!want || (policy_number(want, &need) && is_known && has >= need))
		return;
	text = unmet(j, what);
	policy_text_add(text, "needs ");
	if (policy_number(want, &need) && is_size)
		policy_text_size(text, need);
	else
		policy_text_value(text, want);
	policy_text_add(text, is_known ? ", the host has " : ", the host's isn't known");
	if (is_known && is_size)
		policy_text_size(text, has);
	else if (is_known)
		policy_text_add(text, "%" PRIu64, has);
}

/* ---- GPUs ---- */

/** "Tesla T4" is meant by "NVIDIA Tesla T4", too. */
static bool has_words(const char *text, const char *words)
{
	size_t len = strlen(words);
	char piece[POLICY_VALUE_MAX];

	if (!len || len >= sizeof(piece))
		return false;
	for (const char *p = text; strlen(p) >= len; p++) {
		memcpy(piece, p, len);
		piece[len] = '\0';
		if ((p == text || p[-1] == ' ') && (p[len] == '\0' || p[len] == ' ') &&
		    policy_is_word(piece, words))
			return true;
	}
	return false;
}

static bool gpu_has_api(const struct policy_entries *gpu, const char *api)
{
	for (size_t i = 0; i < gpu->n; i++)
		if (strcmp(gpu->facts[i]->field, "host.gpu.api") == 0 &&
		    policy_is_word(gpu->facts[i]->value, api))
			return true;
	return false;
}

/** One of the host's fits what is asked of each. */
static bool gpu_fits(const struct judging *j, const struct policy_entries *gpu)
{
	const char *memory = wanted(j, "hardware.gpu.memory");
	const char *model = wanted(j, "hardware.gpu.model");
	const char *has_model = policy_entry_value(gpu, "host.gpu.model");
	uint64_t need, has;

	if (memory &&
	    (!policy_number(memory, &need) ||
	     !policy_number(policy_entry_value(gpu, "host.gpu.memory"), &has) || has < need))
		return false;
	if (model && (!has_model || !has_words(has_model, model)))
		return false;
	for (size_t i = 0; i < j->entry->n; i++)
		if (strcmp(j->entry->facts[i]->field, "hardware.gpu.api") == 0 &&
		    !gpu_has_api(gpu, j->entry->facts[i]->value))
			return false;
	return true;
}

static void tell_gpu(struct judging *j, uint64_t n_fit, size_t n_there)
{
	const char *memory = wanted(j, "hardware.gpu.memory");
	const char *model = wanted(j, "hardware.gpu.model"),
		   *count = wanted(j, "hardware.gpu.count");
	struct policy_text *text = unmet(j, "gpu");
	uint64_t need;
	size_t told = 0;

	policy_text_add(text, "needs ");
	policy_text_value(text, count ? count : "1");
	if (model) {
		policy_text_add(text, " ");
		policy_text_value(text, model);
	}
	if (policy_number(memory, &need)) {
		policy_text_add(text, " with ");
		policy_text_size(text, need);
	}
	for (size_t i = 0; i < j->entry->n && told < FEATURES_TOLD; i++) {
		if (strcmp(j->entry->facts[i]->field, "hardware.gpu.api") != 0)
			continue;
		policy_text_add(text, told++ ? ", " : ", for ");
		policy_text_value(text, j->entry->facts[i]->value);
	}
	policy_text_add(text, "; of the host's %zu %" PRIu64 " %s known to be that", n_there, n_fit,
			n_fit == 1 ? "is" : "are");
}

static void judge_gpus(struct judging *j)
{
	const char *count = wanted(j, "hardware.gpu.count");
	bool is_asked = count || wanted(j, "hardware.gpu.memory") ||
			wanted(j, "hardware.gpu.model") || wanted(j, "hardware.gpu.api");
	struct policy_entries gpu;
	uint64_t need = 1, n_fit = 0;
	size_t at = 0, n_there = 0;
	bool is_readable = !count || policy_number(count, &need);

	if (!is_asked)
		return;
	while (policy_entries_next(j->gpus, &at, &gpu)) {
		n_there++;
		n_fit += gpu_fits(j, &gpu);
	}
	if (!is_readable || n_fit < need)
		tell_gpu(j, n_fit, n_there);
}

/* ---- the rule ---- */

static void judge(struct judging *j)
{
	judge_arch(j);
	judge_model(j);
	judge_features(j);
	judge_number(j, "hardware.cpu.count", "host.cpu.count", "cpu.count", false);
	judge_number(j, "hardware.memory", "host.memory", "memory", true);
	judge_gpus(j);
}

/** The nearest alternative so far. */
struct nearest {
	size_t number, n_unmet; /* number from 1; 0: none yet */
	const char *name;
	struct policy_text unmet;
};

static void keep_nearest(struct nearest *nearest, struct judging *j, size_t number)
{
	if (nearest->number && j->n_unmet >= nearest->n_unmet)
		return;
	policy_text_free(&nearest->unmet);
	nearest->number = number;
	nearest->n_unmet = j->n_unmet;
	nearest->name = wanted(j, "hardware.name");
	nearest->unmet = j->unmet;
	j->unmet = (struct policy_text){.text = NULL};
}

static void tell(struct policy_verdict *verdict, struct nearest *nearest, size_t n)
{
	verdict->outcome = VD_RULE_MET;
	if (n > 1) {
		policy_text_add(&verdict->reason,
				"none of the %zu machines that it can run on fits this host", n);
		policy_text_add(&verdict->nearest, "alternative %zu", nearest->number);
		if (nearest->name) {
			policy_text_add(&verdict->nearest, " (");
			policy_text_value(&verdict->nearest, nearest->name);
			policy_text_add(&verdict->nearest, ")");
		}
		policy_text_add(&verdict->nearest, ", but for:\n");
	} else {
		policy_text_add(&verdict->reason, "this host isn't a machine that it can run on");
	}
	/* Lines, not values: what comes from outside was escaped when they were made. */
	policy_text_lines(n > 1 ? &verdict->nearest : &verdict->facts, &nearest->unmet);
	policy_text_add(&verdict->remedy,
			"use a host that has what is missing, or `meta set` what it really needs "
			"(hardware.*)");
}

int policy_ask_hardware(const struct vd_policy_input *input, struct policy_verdict *verdict,
			struct vd_error *err)
{
	struct policy_entries all, entry, gpus = {NULL, 0};
	struct nearest nearest = {.number = 0};
	bool has_fit = false;
	size_t at = 0, n = 0;
	int ret = policy_entries_gather(&all, input->metadata, "hardware", err);

	if (!ret && all.n)
		ret = policy_entries_gather(&gpus, input->host, "host.gpu", err);
	verdict->outcome = VD_RULE_NOT_MET;
	while (!ret && !has_fit && policy_entries_next(&all, &at, &entry)) {
		struct judging j = {.input = input, .entry = &entry, .gpus = &gpus};

		judge(&j);
		n++;
		has_fit = !j.n_unmet;
		if (!has_fit)
			keep_nearest(&nearest, &j, n);
		policy_text_free(&j.unmet);
	}
	if (!ret && !has_fit && n)
		tell(verdict, &nearest, n);
	policy_text_free(&nearest.unmet);
	policy_entries_free(&all);
	policy_entries_free(&gpus);
	return ret;
}
