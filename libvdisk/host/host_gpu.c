/* SPDX-License-Identifier: MIT */
/* GPUs: PCI devices of class 03, named by the pci.ids of the host if it has one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "host/host_facts.h"

#define DEVICES     "sys/bus/pci/devices/"
#define IDS_MAX     (4u << 20)
#define DEVICES_MAX 65536u
#define GPUS_MAX    64u    /* each means a look through pci.ids and folders of libraries */
#define FLAG_MEMORY 0x200u /* of a line of "resource": the kernel's IORESOURCE_* */
#define FLAG_AHEAD  0x2000u

struct gpus {
	struct host_collect *c;
	char *ids; /* pci.ids; NULL: none */
	bool has_looked_for_ids;
	unsigned n;
};

/* Where the line "ID  NAME" of pci.ids stands, with `indent` before it; up to the next line with
 * less of an indent. */
static const char *find_id(const char *text, const char *indent, unsigned id)
{
	char want[16];
	size_t len = (size_t)snprintf(want, sizeof(want), "%s%04x  ", indent, id);

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, want, len) == 0)
			return line + len;
		if (indent[0] && *line != '\t' && *line != '#' && *line != '\n')
			return NULL;
	}
	return NULL;
}

static void put_name(struct gpus *g, const char *field, uint32_t group, const char *line)
{
	char name[256];

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(line, "\n"), line);
	host_put(g->c, field, group, name);
}

/* Those who make nearly all of them, for hosts without pci.ids. */
static const char *vendor_name(unsigned vendor)
{
	switch (vendor) {
	case 0x1002:
		return "Advanced Micro Devices, Inc. [AMD/ATI]";
	case 0x10de:
		return "NVIDIA Corporation";
	case 0x8086:
		return "Intel Corporation";
	case 0x1a03:
		return "ASPEED Technology, Inc.";
	case 0x1af4:
	case 0x1b36:
		return "Red Hat, Inc.";
	}
	return NULL;
}

static void put_names(struct gpus *g, uint32_t group, unsigned vendor, unsigned device)
{
	const char *of_vendor, *of_device = NULL;
	char number[16];

	if (!g->has_looked_for_ids) {
		g->has_looked_for_ids = true;
		g->ids = host_slurp(g->c, "usr/share/misc/pci.ids", IDS_MAX);
		if (!g->ids)
			g->ids = host_slurp(g->c, "usr/share/hwdata/pci.ids", IDS_MAX);
	}
	of_vendor = find_id(g->ids, "", vendor);
	if (of_vendor) {
		put_name(g, "host.gpu.vendor", group, of_vendor);
		of_device = strchr(of_vendor, '\n');
		of_device = of_device ? find_id(of_device + 1, "\t", device) : NULL;
	} else if (vendor_name(vendor)) {
		host_put(g->c, "host.gpu.vendor", group, vendor_name(vendor));
	} else {
		snprintf(number, sizeof(number), "%04x", vendor);
		host_put(g->c, "host.gpu.vendor", group, number);
	}
	if (of_device) {
		put_name(g, "host.gpu.model", group, of_device);
	} else {
		snprintf(number, sizeof(number), "%04x:%04x", vendor, device);
		host_put(g->c, "host.gpu.model", group, number);
	}
}

/* What its driver tells, or what the largest window into it that may be read ahead lets one be sure
 * of: that is a power of two, so that behind one of 32 GiB there may be 24 GiB, but more than 16.
 * (A card whose window isn't resizable has more than it.) */
static uint64_t memory_of(struct gpus *g, const char *name)
{
	char path[HOST_LINE_MAX];
	char *text VD_AUTO_FREE = NULL;
	static const char *const told[] = {"mem_info_vram_total", "tile0/physical_vram_size_bytes"};
	uint64_t most = 0;

	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		snprintf(path, sizeof(path), DEVICES "%.64s/%s", name, told[i]);
		if (host_number(g->c, path, &most))
			return most;
	}
	snprintf(path, sizeof(path), DEVICES "%.64s/resource", name);
	text = host_slurp(g->c, path, 4096);
	for (char *line = text; line && *line;) {
		char *at = line;
		uint64_t start = strtoull(at, &at, 16), end = strtoull(at, &at, 16);
		uint64_t flags = strtoull(at, &at, 16);

		if ((flags & FLAG_MEMORY) && (flags & FLAG_AHEAD) && end > start &&
		    end - start >= most)
			most = end - start + 1;
		line = strchr(line, '\n');
		line += line != NULL;
	}
	return most / 2;
}

static int begins_with(void *user, const char *name)
{
	return strncmp(name, user, strlen(user)) == 0;
}

/* An interface is there if the driver's half in the kernel and the one in the system are. */
static void put_apis(struct gpus *g, uint32_t group, const char *driver)
{
	static const struct {
		const char *driver, *folder, *prefix, *api;
	} known[] = {
	    {"nvidia", "usr/share/vulkan/icd.d", "nvidia_icd", "vulkan"},
	    {"nvidia", "etc/vulkan/icd.d", "nvidia_icd", "vulkan"},
	    {"nvidia", "etc/OpenCL/vendors", "nvidia", "opencl"},
	    {"nvidia", "usr/lib/x86_64-linux-gnu", "libcuda.so.", "cuda"},
	    {"nvidia", "usr/lib/aarch64-linux-gnu", "libcuda.so.", "cuda"},
	    {"nvidia", "usr/lib64", "libcuda.so.", "cuda"},
	    {"nouveau", "usr/share/vulkan/icd.d", "nouveau_icd", "vulkan"},
	    {"amdgpu", "usr/share/vulkan/icd.d", "radeon_icd", "vulkan"},
	    {"amdgpu", "etc/vulkan/icd.d", "amd_icd", "vulkan"},
	    {"amdgpu", "etc/OpenCL/vendors", "amdocl", "opencl"},
	    {"i915", "usr/share/vulkan/icd.d", "intel_", "vulkan"},
	    {"i915", "etc/OpenCL/vendors", "intel", "opencl"},
	    {"xe", "usr/share/vulkan/icd.d", "intel_", "vulkan"},
	    {"xe", "etc/OpenCL/vendors", "intel", "opencl"},
	};
	struct vd_io_tree *tree = g->c->tree;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(known[i].driver, driver) == 0 &&
		    vd_io_tree_list(tree, known[i].folder, 1u << 16, begins_with,
				    (void *)(uintptr_t)known[i].prefix, NULL) == 1)
			host_put(g->c, "host.gpu.api", group, known[i].api);
	}
}

static int collect_device(void *user, const char *name)
{
	struct gpus *g = user;
	char path[HOST_LINE_MAX], driver[64];
	uint64_t class, vendor, device, memory;
	uint32_t group;

	snprintf(path, sizeof(path), DEVICES "%.64s/class", name);
	if (g->n == GPUS_MAX || !host_number(g->c, path, &class) || class >> 16 != 3)
		return g->c->rc;
	/* A virtual function is a share of a card, which stands here itself. */
	snprintf(path, sizeof(path), DEVICES "%.64s/physfn", name);
	if (vd_io_tree_has(g->c->tree, path))
		return g->c->rc;
	snprintf(path, sizeof(path), DEVICES "%.64s/vendor", name);
	if (!host_number(g->c, path, &vendor))
		return g->c->rc;
	snprintf(path, sizeof(path), DEVICES "%.64s/device", name);
	if (!host_number(g->c, path, &device))
		return g->c->rc;
	g->n++;
	group = ++g->c->n_groups;
	put_names(g, group, (unsigned)vendor & 0xffff, (unsigned)device & 0xffff);
	host_put(g->c, "host.gpu.address", group, name);
	memory = memory_of(g, name);
	if (memory)
		host_put_number(g->c, "host.gpu.memory", group, memory);
	snprintf(path, sizeof(path), DEVICES "%.64s/driver", name);
	if (vd_io_tree_link(g->c->tree, path, driver, sizeof(driver))) {
		host_put(g->c, "host.gpu.driver", group, driver);
		put_apis(g, group, driver);
	}
	return g->c->rc;
}

void host_collect_gpus(struct host_collect *c)
{
	struct gpus g = {.c = c};

	vd_io_tree_list(c->tree, "sys/bus/pci/devices", DEVICES_MAX, collect_device, &g, NULL);
	vd_free(g.ids);
}
