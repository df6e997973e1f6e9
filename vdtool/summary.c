/* SPDX-License-Identifier: MIT */
/* What inspect shows of an image's metadata, from its facts; see metadata.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "facts.h"
#include "metadata.h"
#include "output.h"

#define LEFT_WIDTH 26

static void put_part(FILE *f, bool *has_part, const char *before, const char *value,
		     const char *after)
{
	if (!value)
		return;
	fputs(*has_part ? ", " : "", f);
	fputs(before, f);
	tool_print_safe(f, value);
	fputs(after, f);
	*has_part = true;
}

static void put_os(FILE *f, const struct tool_facts *facts)
{
	const char *name = tool_fact_value(facts, "os.name");
	const char *parts[3];
	const char *blank = "";

	parts[0] = name ? name : tool_fact_value(facts, "os.id");
	parts[1] = tool_fact_value(facts, "os.version");
	parts[2] = tool_fact_value(facts, "os.arch");
	for (size_t i = 0; i < 3; i++) {
		if (!parts[i])
			continue;
		fputs(blank, f);
		tool_print_safe(f, parts[i]);
		blank = " ";
	}
}

static void put_needs(FILE *f, const struct tool_facts *facts)
{
	const char *memory = tool_fact_value(facts, "hardware.memory");
	const char *cpus = tool_fact_value(facts, "hardware.cpu.count");
	const char *tpm = tool_fact_value(facts, "hardware.tpm");
	char bytes[TOOL_SIZE_TEXT];
	bool has_part = false;

	if (memory)
		put_part(f, &has_part, "", tool_size_format(strtoull(memory, NULL, 10), bytes),
			 " memory");
	put_part(f, &has_part, "", cpus, cpus && strcmp(cpus, "1") == 0 ? " CPU" : " CPUs");
	put_part(f, &has_part, "", tool_fact_value(facts, "hardware.arch"), "");
	put_part(f, &has_part, "", tool_fact_value(facts, "hardware.firmware"), "");
	put_part(f, &has_part, "", tool_fact_value(facts, "hardware.disk.bus"), " disk");
	put_part(f, &has_part, "TPM ", tpm, "");
	if (tool_fact_count(facts, "hardware.name") > 1)
		put_part(f, &has_part, "", "or other machines", "");
}

/** "2027-05-22 (in 180 days)" of an RFC 3339 time. */
static void put_expires(FILE *f, const struct tool_facts *facts)
{
	const char *value = tool_fact_value(facts, "expires");
	struct tm utc = {0};
	time_t now = time(NULL), when;
	long days;
	const char *end;

	if (!value)
		return;
	end = strptime(value, "%Y-%m-%dT%H:%M:%S", &utc);
	if (!end) {
		tool_print_safe(f, value);
		return;
	}
	fprintf(f, "%04d-%02d-%02d ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday);
	when = timegm(&utc);
	days = (long)(when / 86400 - now / 86400); /* as the calendar counts them */
	if (days == 0)
		fputs(when <= now ? "(expired today)" : "(today)", f);
	else if (when <= now)
		fprintf(f, "(expired %ld day%s ago)", -days, days == -1 ? "" : "s");
	else
		fprintf(f, "(in %ld day%s)", days, days == 1 ? "" : "s");
}

/** "openssl 3.0.11" of "pkg:deb/debian/openssl@3.0.11?arch=amd64". */
static void put_package(FILE *f, const char *purl)
{
	size_t end = strcspn(purl, "?#");
	char *text = strndup(purl, end), *name, *at;

	if (!text)
		return;
	name = strrchr(text, '/');
	name = name ? name + 1 : text;
	at = strchr(name, '@');
	if (at)
		*at = ' ';
	fputs(" (", f);
	tool_print_safe(f, name);
	fputc(')', f);
	free(text);
}

static void put_critical(FILE *f, const struct tool_facts *facts, bool *has_part)
{
	const struct vd_fact *fact;
	size_t at = 0, n = 0, n_all = 0;

	while ((fact = tool_fact_next(facts, "cve.open.severity", &at)))
		n_all += strcmp(fact->value, "critical") == 0;
	if (!n_all)
		return;
	fprintf(f, "%s%zu critical: ", *has_part ? ", " : "", n_all);
	for (at = 0; n < 3 && (fact = tool_fact_next(facts, "cve.open.severity", &at));) {
		const char *id, *package;

		if (strcmp(fact->value, "critical") != 0)
			continue;
		id = tool_fact_beside(facts, fact, "cve.open");
		package = tool_fact_beside(facts, fact, "cve.open.package");
		fputs(n++ ? ", " : "", f);
		tool_print_safe(f, id ? id : "?");
		if (package)
			put_package(f, package);
	}
	if (n < n_all)
		fputs(", ...", f);
	*has_part = true;
}

static void put_patches(FILE *f, const struct tool_facts *facts)
{
	size_t n_missing = tool_fact_count(facts, "missing"),
	       n_open = tool_fact_count(facts, "cve.open");
	const char *patched = tool_fact_value(facts, "patched");
	bool has_part = false;
	char text[48];

	snprintf(text, sizeof(text), "%zu", n_missing);
	put_part(f, &has_part, "", n_missing ? text : NULL, " missing");
	snprintf(text, sizeof(text), "%zu", n_open);
	put_part(f, &has_part, "", n_open ? text : NULL, " open");
	put_critical(f, facts, &has_part);
	if (has_part || !patched)
		return;
	fputs("as of ", f);
	snprintf(text, sizeof(text), "%.10s", patched);
	tool_print_safe(f, text);
}

static void put_title(FILE *f, const struct tool_facts *facts)
{
	const char *title = tool_fact_value(facts, "title");

	if (title)
		tool_print_safe(f, title);
}

static void put_tags_line(FILE *f, const struct tool_facts *facts)
{
	tool_tags_print(f, facts);
}

/** What `put` writes, as a string; NULL if it is nothing. */
static char *line_of(void (*put)(FILE *, const struct tool_facts *), const struct tool_facts *facts)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	put(f, facts);
	if (fclose(f) != 0 || len == 0) {
		free(text);
		return NULL;
	}
	return text;
}

/** How many columns it takes, for what a terminal shows one column each. */
static int width_of(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/** Two facts beside each other if they fit, else one below the other. */
static void print_two(const char *left_name, char *left, const char *right_name, char *right)
{
	if (left && right && width_of(left) <= LEFT_WIDTH) {
		printf("  %-9s %s%*s %-6s %s\n", left_name, left, LEFT_WIDTH - width_of(left), "",
		       right_name, right);
	} else {
		if (left)
			printf("  %-9s %s\n", left_name, left);
		if (right)
			printf("  %-9s %s\n", right_name, right);
	}
	free(left);
	free(right);
}

static void print_damage(struct vd_meta *meta)
{
	const struct vd_record *r;

	for (size_t i = 0; (r = vd_meta_record(meta, i)); i++) {
		if (!r->damage)
			continue;
		printf("  %-9s %s ", "damaged", tool_record_name(r->type));
		tool_print_safe(stdout, r->name[0] ? r->name : r->kind);
		fputs(": ", stdout);
		tool_print_safe(stdout, r->damage_text ? r->damage_text : vd_code_name(r->damage));
		putchar('\n');
	}
}

void tool_summary_print(struct vd_meta *meta)
{
	struct vd_meta_info info = {.size = sizeof(info)};
	struct vd_error err = VD_ERROR_INIT;
	struct tool_facts facts = {NULL, 0};

	vd_meta_get_info(meta, &info);
	if (info.has_ours && vd_meta_get_facts(meta, false, &facts.all, &facts.n, &err)) {
		printf("  %-9s ", "damaged");
		tool_print_safe(stdout, err.text);
		putchar('\n');
		facts = (struct tool_facts){NULL, 0};
	}
	print_two("title", line_of(put_title, &facts), "", NULL);
	print_two("os", line_of(put_os, &facts), "tags", line_of(put_tags_line, &facts));
	print_two("needs", line_of(put_needs, &facts), "expires", line_of(put_expires, &facts));
	print_two("patches", line_of(put_patches, &facts), "", NULL);
	if (info.mismatch) {
		printf("  %-9s ", "sidecar");
		tool_print_safe(stdout, info.mismatch);
		putchar('\n');
	}
	print_damage(meta);
}
