/* SPDX-License-Identifier: MIT */
/* Processors and memory, from /proc/cpuinfo (of its first processor) and /proc/meminfo. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "host/host_facts.h"

#define CPUINFO_MAX (1u << 20)

/* The number that an ARM core has in its MIDR, in its maker's list. */
static const struct {
	unsigned maker, part;
	const char *name; /* of the maker if part is 0 */
} arm_cores[] = {
    {0x41, 0, "ARM"},
    {0x41, 0xd03, "Cortex-A53"},
    {0x41, 0xd04, "Cortex-A35"},
    {0x41, 0xd05, "Cortex-A55"},
    {0x41, 0xd07, "Cortex-A57"},
    {0x41, 0xd08, "Cortex-A72"},
    {0x41, 0xd09, "Cortex-A73"},
    {0x41, 0xd0a, "Cortex-A75"},
    {0x41, 0xd0b, "Cortex-A76"},
    {0x41, 0xd0c, "Neoverse-N1"},
    {0x41, 0xd40, "Neoverse-V1"},
    {0x41, 0xd41, "Cortex-A78"},
    {0x41, 0xd47, "Cortex-A710"},
    {0x41, 0xd49, "Neoverse-N2"},
    {0x41, 0xd4f, "Neoverse-V2"},
    {0x41, 0xd84, "Neoverse-V3"},
    {0x41, 0xd8e, "Neoverse-N3"},
    {0x42, 0, "Broadcom"},
    {0x43, 0, "Cavium"},
    {0x43, 0x0af, "ThunderX2"},
    {0x46, 0, "Fujitsu"},
    {0x46, 0x001, "A64FX"},
    {0x48, 0, "HiSilicon"},
    {0x48, 0xd01, "Kunpeng-920"},
    {0x4e, 0, "NVIDIA"},
    {0x51, 0, "Qualcomm"},
    {0x61, 0, "Apple"},
    {0xc0, 0, "Ampere"},
    {0xc0, 0xac3, "Ampere-1"},
    {0xc0, 0xac4, "Ampere-1A"},
};

static const char *arm_name(unsigned long maker, unsigned long part)
{
	for (size_t i = 0; i < sizeof(arm_cores) / sizeof(arm_cores[0]); i++)
		if (arm_cores[i].maker == maker && arm_cores[i].part == part)
			return arm_cores[i].name;
	return "";
}

static void collect_model(struct host_collect *c, const char *info)
{
	char maker[128], part[128], model[256];
	unsigned long maker_id;

	if (host_keyed(info, "CPU implementer", maker, sizeof(maker))) {
		maker_id = strtoul(maker, NULL, 0);
		host_put(c, "host.cpu.vendor", 0, arm_name(maker_id, 0));
		if (host_keyed(info, "model name", model, sizeof(model)))
			host_put(c, "host.cpu.model", 0, model);
		else if (host_keyed(info, "CPU part", part, sizeof(part)) && strtoul(part, NULL, 0))
			host_put(c, "host.cpu.model", 0,
				 arm_name(maker_id, strtoul(part, NULL, 0)));
		return;
	}
	if (host_keyed(info, "vendor_id", maker, sizeof(maker)))
		host_put(c, "host.cpu.vendor", 0, maker);
	if (host_keyed(info, "cpu", model, sizeof(model)))
		model[strcspn(model, " (,")] = '\0'; /* "POWER9 (raw), altivec supported" */
	else if (!host_keyed(info, "model name", model, sizeof(model)))
		host_keyed(info, "uarch", model, sizeof(model));
	host_put(c, "host.cpu.model", 0, model);
}

/** -1: it has no list of features; else whether "hypervisor" is among them (x86 only). */
static int collect_features(struct host_collect *c, const char *info)
{
	char all[16384], *rest = all, *word;
	bool is_x86 = host_keyed(info, "flags", all, sizeof(all));
	bool is_virtual = false;

	if (!is_x86 && !host_keyed(info, "Features", all, sizeof(all)) &&
	    !host_keyed(info, "features", all, sizeof(all)))
		return -1;
	while ((word = strsep(&rest, " \t"))) {
		if (strcmp(word, "hypervisor") == 0)
			is_virtual = true;
		host_put(c, "host.cpu.feature", 0, word);
	}
	return is_x86 ? is_virtual : -1;
}

/** How many numbers a list such as "0-3,8" has; 0: it is none. */
static uint64_t count_list(const char *list)
{
	uint64_t n = 0;

	while (*list) {
		char *end;
		unsigned long first = strtoul(list, &end, 10), last = first;

		if (end == list)
			return 0;
		if (*end == '-') {
			list = end + 1;
			last = strtoul(list, &end, 10);
			if (end == list)
				return 0;
		}
		if (last < first || last > 1u << 20)
			return 0;
		n += last - first + 1;
		list = end + (*end == ',');
		if (list == end && *end)
			return 0;
	}
	return n;
}

static uint64_t count_processors(const char *info)
{
	uint64_t n = 0;

	for (const char *line = info; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, "processor", 9) == 0 && (line[9] == '\t' || line[9] == ' '))
			n++;
	}
	return n;
}

static void collect_memory(struct host_collect *c)
{
	char *text VD_AUTO_FREE = host_slurp(c, "proc/meminfo", 64u << 10);
	char total[64], *end;
	uint64_t kib;

	if (!text || !host_keyed(text, "MemTotal", total, sizeof(total)) ||
	    !isdigit((unsigned char)total[0]))
		return;
	kib = strtoull(total, &end, 10);
	if (strcmp(end, " kB") == 0 && kib < UINT64_MAX / 2048)
		host_put_number(c, "host.memory", 0, kib * 1024);
}

int host_collect_cpu(struct host_collect *c)
{
	char *info VD_AUTO_FREE = host_slurp(c, "proc/cpuinfo", CPUINFO_MAX);
	char online[HOST_LINE_MAX];
	int is_virtual = -1;
	uint64_t n = 0;

	if (host_line(c, "sys/devices/system/cpu/online", online))
		n = count_list(online);
	if (info) {
		collect_model(c, info);
		is_virtual = collect_features(c, info);
		if (!n)
			n = count_processors(info);
	}
	if (n)
		host_put_number(c, "host.cpu.count", 0, n);
	collect_memory(c);
	return is_virtual;
}
