/* SPDX-License-Identifier: MIT */
/* vdtool host: what this machine is and has, as policies see it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <vdisk/host.h>

#include "facts.h"
#include "image.h"
#include "output.h"
#include "policed.h"
#include "tempfile.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/** A kind of entries, by the field that each of them has. */
struct entries {
	const char *key, *title, *json;
};
static const struct entries kinds[] = {
    {"host.hypervisor", "runs", "hypervisors"},
    {"host.gpu.address", "gpu", "gpus"},
    {"host.network.name", "network", "networks"},
};

/** Of the entry `group` the value of a field, or NULL. */
static const char *value_in(const struct tool_facts *facts, uint32_t group, const char *field)
{
	const struct vd_fact *fact;

	for (size_t at = 0; (fact = tool_fact_next(facts, field, &at));)
		if (fact->group == group)
			return fact->value;
	return NULL;
}

static bool belongs_to(const struct entries *kind, const char *field)
{
	const char *end = strrchr(kind->key, '.');
	size_t len = strcmp(kind->key, "host.hypervisor") == 0 ? strlen(kind->key)
							       : (size_t)(end + 1 - kind->key);

	return strncmp(field, kind->key, len) == 0;
}

/** The smallest group of that kind above `last`; 0: none. */
static uint32_t next_group(const struct tool_facts *facts, const struct entries *kind,
			   uint32_t last)
{
	uint32_t next = 0;

	for (size_t i = 0; i < facts->n; i++) {
		const struct vd_fact *fact = &facts->all[i];

		if (fact->group > last && (!next || fact->group < next) &&
		    belongs_to(kind, fact->field))
			next = fact->group;
	}
	return next;
}

/* ---- for people ---- */

/** " text", if there is any. */
static void print_word(const char *before, const char *text)
{
	if (!text)
		return;
	fputs(before, stdout);
	tool_print_safe(stdout, text);
}

static void print_title(const char *title)
{
	printf("  %-9s", title);
}

static uint64_t number_of(const char *text)
{
	return text ? strtoull(text, NULL, 10) : 0;
}

static void print_machine(const struct tool_facts *facts)
{
	const char *name = tool_fact_value(facts, "host.name");
	const char *id = tool_fact_value(facts, "host.os.id");

	tool_print_safe(stdout, name ? name : "a host without a name");
	print_word("   ", tool_fact_value(facts, "host.machine"));
	print_word(" ", tool_fact_value(facts, "host.arch"));
	print_word(", booted by ", tool_fact_value(facts, "host.firmware"));
	print_word(", TPM ", tool_fact_value(facts, "host.tpm"));
	putchar('\n');
	if (!id && !tool_fact_value(facts, "host.kernel"))
		return;
	print_title("os");
	print_word(" ", tool_fact_value(facts, "host.os.name"));
	print_word(" ", tool_fact_value(facts, "host.os.version"));
	print_word(" (", id);
	fputs(id ? ")" : "", stdout);
	print_word(id ? ", kernel " : " kernel ", tool_fact_value(facts, "host.kernel"));
	putchar('\n');
}

static void print_processors(const struct tool_facts *facts)
{
	const char *memory = tool_fact_value(facts, "host.memory");
	const char *count = tool_fact_value(facts, "host.cpu.count");
	const char *model = tool_fact_value(facts, "host.cpu.model");
	char bytes[TOOL_SIZE_TEXT];

	if (count || model) {
		print_title("cpu");
		print_word(" ", count);
		print_word(count ? " x " : " ", model);
		print_word(", ", tool_fact_value(facts, "host.cpu.vendor"));
		printf(", %zu features\n", tool_fact_count(facts, "host.cpu.feature"));
	}
	if (memory) {
		print_title("memory");
		printf(" %s\n", tool_size_format(number_of(memory), bytes));
	}
}

static void print_gpu(const struct tool_facts *facts, uint32_t group)
{
	const char *memory = value_in(facts, group, "host.gpu.memory");
	const struct vd_fact *api;
	char bytes[TOOL_SIZE_TEXT];

	print_word(" ", value_in(facts, group, "host.gpu.vendor"));
	print_word(" ", value_in(facts, group, "host.gpu.model"));
	if (memory)
		printf(", %s", tool_size_format(number_of(memory), bytes));
	print_word(", driver ", value_in(facts, group, "host.gpu.driver"));
	print_word(", at ", value_in(facts, group, "host.gpu.address"));
	for (size_t at = 0; (api = tool_fact_next(facts, "host.gpu.api", &at));)
		if (api->group == group)
			print_word(", ", api->value);
}

static void print_card(const struct tool_facts *facts, uint32_t group)
{
	const struct vd_fact *address;
	const char *speed = value_in(facts, group, "host.network.speed");

	print_word(" ", value_in(facts, group, "host.network.name"));
	print_word(" ", value_in(facts, group, "host.network.state"));
	print_word(" ", value_in(facts, group, "host.network.mac"));
	print_word(" ", speed);
	fputs(speed ? " Mbit/s" : "", stdout);
	for (size_t at = 0; (address = tool_fact_next(facts, "host.network.address", &at));)
		if (address->group == group)
			print_word(" ", address->value);
}

static void print_host(const struct tool_facts *facts)
{
	bool is_first;
	uint32_t group;

	print_machine(facts);
	print_processors(facts);
	is_first = true;
	for (group = 0; (group = next_group(facts, &kinds[0], group)); is_first = false) {
		if (is_first)
			print_title(kinds[0].title);
		print_word(is_first ? " " : ", ", value_in(facts, group, "host.hypervisor"));
		print_word(" ", value_in(facts, group, "host.hypervisor.version"));
	}
	if (!is_first)
		putchar('\n');
	for (size_t k = 1; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		is_first = true;
		for (group = 0; (group = next_group(facts, &kinds[k], group)); is_first = false) {
			print_title(is_first ? kinds[k].title : "");
			if (k == 1)
				print_gpu(facts, group);
			else
				print_card(facts, group);
			putchar('\n');
		}
	}
}

/* ---- for programs ---- */

static void set_fact(json_t *object, const char *key, const char *field, const char *value)
{
	static const char *const numbers[] = {"host.memory", "host.cpu.count", "host.gpu.memory",
					      "host.network.speed"};

	for (size_t i = 0; value && i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (strcmp(field, numbers[i]) == 0) {
			tool_json_set_number(object, key, number_of(value));
			return;
		}
	}
	tool_json_set_text(object, key, value);
}

static json_t *list_of(const struct tool_facts *facts, const char *field, uint32_t group)
{
	json_t *list = json_array(), *holder = json_object();
	const struct vd_fact *fact;

	for (size_t at = 0; (fact = tool_fact_next(facts, field, &at));) {
		if (fact->group != group)
			continue;
		tool_json_set_text(holder, "value", fact->value);
		json_array_append(list, json_object_get(holder, "value"));
	}
	json_decref(holder);
	return list;
}

static json_t *entries_of(const struct tool_facts *facts, const struct entries *kind)
{
	static const char *const parts[] = {
	    "host.hypervisor",  "host.hypervisor.version", "host.gpu.vendor",
	    "host.gpu.model",   "host.gpu.memory",         "host.gpu.driver",
	    "host.gpu.address", "host.network.name",       "host.network.state",
	    "host.network.mac", "host.network.speed",
	};
	json_t *list = json_array();

	for (uint32_t group = 0; (group = next_group(facts, kind, group));) {
		json_t *entry = json_object();

		for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
			const char *key = strrchr(parts[i], '.') + 1;

			if (belongs_to(kind, parts[i]))
				set_fact(entry, strcmp(key, "hypervisor") == 0 ? "name" : key,
					 parts[i], value_in(facts, group, parts[i]));
		}
		if (kind == &kinds[1])
			json_object_set_new(entry, "api", list_of(facts, "host.gpu.api", group));
		if (kind == &kinds[2])
			json_object_set_new(entry, "address",
					    list_of(facts, "host.network.address", group));
		json_array_append_new(list, entry);
	}
	return list;
}

static void put_host(const struct tool_facts *facts)
{
	static const char *const singles[] = {
	    "name",   "machine",  "arch", "os.id",      "os.name",   "os.version", "os.family",
	    "kernel", "firmware", "tpm",  "cpu.vendor", "cpu.model", "cpu.count",  "memory",
	};
	json_t *object = json_object(), *os = json_object(), *cpu = json_object();

	for (size_t i = 0; i < sizeof(singles) / sizeof(singles[0]); i++) {
		const char *name = singles[i], *dot = strchr(name, '.');
		json_t *in = !dot ? object : name[0] == 'o' ? os : cpu;
		char field[64];

		snprintf(field, sizeof(field), "host.%s", name);
		set_fact(in, dot ? dot + 1 : name, field, tool_fact_value(facts, field));
	}
	json_object_set_new(cpu, "features", list_of(facts, "host.cpu.feature", 0));
	json_object_set_new(object, "os", os);
	json_object_set_new(object, "cpu", cpu);
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		json_object_set_new(object, kinds[k].json, entries_of(facts, &kinds[k]));
	tool_json_put(object);
}

/* ---- as a file ---- */

static int write_new(const char *path, const char *text, size_t len)
{
	int fd, why, exit_code = tool_temp_begin(path, true);

	if (exit_code)
		return exit_code;
	fd = open(tool_temp_path(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	why = fd < 0 ? errno : tool_write_fd(fd, text, len);
	if (!why && fsync(fd))
		why = errno;
	if (fd >= 0 && close(fd) && !why)
		why = errno;
	if (!why)
		return tool_temp_commit();
	tool_temp_abandon();
	return tool_say(TOOL_FAILED, path, "can't write: %s", strerror(why));
}

static int save(const struct vd_host *host, const char *path)
{
	struct vd_error err = VD_ERROR_INIT;
	char *text;
	size_t len;
	int exit_code = TOOL_DONE;

	if (vd_host_format(host, &text, &len, &err))
		return tool_fail(NULL, &err);
	if (strcmp(path, "-") == 0)
		fwrite(text, 1, len, stdout);
	else
		exit_code = write_new(path, text, len);
	vd_meta_free(text);
	return exit_code;
}

int cmd_host(const struct tool_args *args)
{
	struct vd_error err = VD_ERROR_INIT;
	const struct vd_host *host;
	struct tool_facts facts;

	if (tool_policed_host(&host, args, &err))
		return tool_fail(NULL, &err);
	if (args->is_set[OPT_SAVE])
		return save(host, args->text[OPT_SAVE]);
	facts.all = vd_host_facts(host, &facts.n);
	if (tool_json_is_on())
		put_host(&facts);
	else
		print_host(&facts);
	return TOOL_DONE;
}
