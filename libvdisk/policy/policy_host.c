/* SPDX-License-Identifier: MIT */
/*
 * The built-in rule on the document *host*: is this host's OS one of those that are named, and has
 * it one of the hypervisors? Bounds of versions are inclusive, and "12" as an upper one includes
 * 12.5. A version that isn't known satisfies no bound.
 */
#include <string.h>

#include "policy/policy_rules.h"

/** A version is within the bounds of an entry. `lack` hears why it isn't. */
static bool is_within(const char *version, const char *min, const char *max,
		      struct policy_text *lack)
{
	size_t len = max ? strlen(max) : 0;

	if (!min && !max)
		return true;
	if (!version) {
		policy_text_add(lack, "its version isn't known");
		return false;
	}
	if (min && vd_version_compare(VD_VERSION_PARTS, version, min) < 0) {
		policy_text_add(lack, "its version is ");
		policy_text_value(lack, version);
		policy_text_add(lack, ", older than ");
		policy_text_value(lack, min);
		return false;
	}
	if (max && vd_version_compare(VD_VERSION_PARTS, version, max) > 0 &&
	    !(strncmp(version, max, len) == 0 && version[len] == '.')) {
		policy_text_add(lack, "its version is ");
		policy_text_value(lack, version);
		policy_text_add(lack, ", newer than ");
		policy_text_value(lack, max);
		return false;
	}
	return true;
}

/** "debian" stands for every debian12; "rhel8" for every rhel8.9, but "debian1" for none of those.
 */
static bool is_os_of(const char *os, const char *id)
{
	size_t len = strlen(id);
	char start[64];

	if (policy_is_word(os, id))
		return true;
	if (len >= sizeof(start) || strlen(os) <= len)
		return false;
	if (len && id[len - 1] >= '0' && id[len - 1] <= '9' && os[len] != '.')
		return false;
	memcpy(start, os, len);
	start[len] = '\0';
	return policy_is_word(start, id) && os[len + strspn(os + len, "0123456789.")] == '\0';
}

static bool fits_os(const struct vd_policy_input *input, const char *id, const char *min,
		    const char *max, struct policy_text *lack)
{
	const char *os = policy_fact_value(input->host, "host.os.id");
	const char *family = policy_fact_value(input->host, "host.os.family");
	const char *version;

	if (os && is_os_of(os, id)) {
		version = policy_fact_value(input->host, "host.os.version");
	} else if (family && policy_is_word(family, id)) {
		/* What Linuxes have in common is the kernel. */
		version = policy_fact_value(input->host, "host.kernel");
	} else {
		policy_text_add(lack, "the host's OS is ");
		policy_text_value(lack, os ? os : family ? family : "not known");
		return false;
	}
	return is_within(version, min, max, lack);
}

static bool fits_hypervisor(const struct policy_entries *present, const char *id, const char *min,
			    const char *max, struct policy_text *lack)
{
	struct policy_entries entry;
	size_t at = 0;
	bool is_there = false;

	while (policy_entries_next(present, &at, &entry)) {
		/* Facts of no group are an entry of one fact each. */
		for (size_t i = 0; i < entry.n; i++) {
			const char *version =
			    entry.facts[i]->group
				? policy_entry_value(&entry, "host.hypervisor.version")
				: NULL;

			if (strcmp(entry.facts[i]->field, "host.hypervisor") != 0 ||
			    !policy_is_word(entry.facts[i]->value, id))
				continue;
			is_there = true;
			policy_text_free(lack);
			if (is_within(version, min, max, lack))
				return true;
		}
	}
	if (!is_there)
		policy_text_add(lack, "the host doesn't have it");
	return false;
}

/** "qemu, version 7.2 to 9" */
static void add_wanted(struct policy_text *text, const char *id, const char *min, const char *max)
{
	policy_text_value(text, id);
	if (min || max)
		policy_text_add(text, ", version ");
	if (min)
		policy_text_value(text, min);
	if (min && !max)
		policy_text_add(text, " or later");
	if (max) {
		policy_text_add(text, "%s", min ? " to " : "up to ");
		policy_text_value(text, max);
	}
}

#define KINDS_TOLD 16u

struct kind {
	const char *field, *min, *max, *noun;
	bool is_os;
};

static void tell(struct policy_verdict *verdict, const struct kind *kind, size_t n, const char *id,
		 const char *min, const char *max, const struct policy_text *lack)
{
	if (n > KINDS_TOLD)
		return;
	policy_text_line(&verdict->facts);
	policy_text_add(&verdict->facts, "%s = ", kind->field);
	add_wanted(&verdict->facts, id, min, max);
	policy_text_add(&verdict->facts, ": %s", policy_text_string(lack));
	if (n == 1) {
		policy_text_line(&verdict->remedy);
		policy_text_add(&verdict->remedy, "use a host with the %s ", kind->noun);
	} else {
		policy_text_add(&verdict->remedy, " or ");
	}
	add_wanted(&verdict->remedy, id, min, max);
}

/** Does one of the entries fit? None at all is fine, too. */
static int ask_kind(const struct vd_policy_input *input, const struct kind *kind,
		    struct policy_verdict *verdict, struct vd_error *err)
{
	struct policy_entries wanted, present = {NULL, 0}, entry;
	size_t at = 0, n = 0;
	bool has_fit = false;
	int ret = policy_entries_gather(&wanted, input->metadata, kind->field, err);

	if (!ret && wanted.n)
		ret = policy_entries_gather(&present, input->host, "host.hypervisor", err);
	while (!ret && !has_fit && policy_entries_next(&wanted, &at, &entry)) {
		const char *id = policy_entry_value(&entry, kind->field);
		const char *min = policy_entry_value(&entry, kind->min);
		const char *max = policy_entry_value(&entry, kind->max);
		POLICY_AUTO_TEXT struct policy_text lack = {.text = NULL};

		if (!id)
			continue;
		n++;
		has_fit = kind->is_os ? fits_os(input, id, min, max, &lack)
				      : fits_hypervisor(&present, id, min, max, &lack);
		if (!has_fit)
			tell(verdict, kind, n, id, min, max, &lack);
	}
	policy_entries_free(&wanted);
	policy_entries_free(&present);
	if (ret)
		return ret;
	if (has_fit || !n) {
		policy_text_free(&verdict->facts);
		policy_text_free(&verdict->remedy);
		return 0;
	}
	verdict->outcome = VD_RULE_MET;
	policy_text_add(&verdict->reason, "it runs on %zu %s%s, and this host has none that fits",
			n, kind->noun, n == 1 ? "" : "s");
	return 0;
}

int policy_ask_host(const struct vd_policy_input *input, struct policy_verdict *verdict,
		    struct vd_error *err)
{
	static const struct kind kinds[] = {
	    {"compatible.os", "compatible.os.min", "compatible.os.max", "OS", true},
	    {"compatible.hypervisor", "compatible.hypervisor.min", "compatible.hypervisor.max",
	     "hypervisor", false},
	};
	int ret = 0;

	verdict->outcome = VD_RULE_NOT_MET;
	for (size_t i = 0; i < 2 && !ret && verdict->outcome == VD_RULE_NOT_MET; i++)
		ret = ask_kind(input, &kinds[i], verdict, err);
	return ret;
}
