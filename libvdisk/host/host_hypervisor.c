/* SPDX-License-Identifier: MIT */
/* What can run a machine here, by libvirt's names: by the devices and programs that it consists of.
 */
#include <stdio.h>
#include <string.h>

#include "host/host_facts.h"

static void put_hypervisor(struct host_collect *c, const char *name, const char *version)
{
	uint32_t group = ++c->n_groups;

	host_put(c, "host.hypervisor", group, name);
	host_put(c, "host.hypervisor.version", group, version);
}

static int is_qemu(void *user, const char *name)
{
	(void)user;
	return strncmp(name, "qemu-system-", 12) == 0 || strcmp(name, "qemu-kvm") == 0;
}

/* A version is told only of the programs that packages bring. */
static void collect_qemu(struct host_collect *c)
{
	char version[64] = "";

	if (vd_io_tree_list(c->tree, "usr/bin", 1u << 16, is_qemu, NULL, NULL) == 1 ||
	    vd_io_tree_has(c->tree, "usr/libexec/qemu-kvm")) {
		if (!host_package_version(c, "qemu-system-", version, sizeof(version)))
			host_package_version(c, "qemu-kvm", version, sizeof(version));
		put_hypervisor(c, "qemu", version);
	} else if (vd_io_tree_list(c->tree, "usr/local/bin", 1u << 16, is_qemu, NULL, NULL) == 1) {
		put_hypervisor(c, "qemu", "");
	}
}

/* Only where this is the domain that controls it, not one of its guests. */
static void collect_xen(struct host_collect *c)
{
	char line[HOST_LINE_MAX], major[HOST_LINE_MAX], minor[HOST_LINE_MAX];
	char extra[HOST_LINE_MAX], version[64] = "";

	if (!host_line(c, "proc/xen/capabilities", line) || !strstr(line, "control_d"))
		return;
	if (host_line(c, "sys/hypervisor/version/major", major) &&
	    host_line(c, "sys/hypervisor/version/minor", minor)) {
		host_line(c, "sys/hypervisor/version/extra", extra);
		snprintf(version, sizeof(version), "%.10s.%.10s%.30s", major, minor, extra);
	}
	put_hypervisor(c, "xen", version);
}

void host_collect_hypervisors(struct host_collect *c)
{
	char version[64] = "";

	/* KVM is a part of the kernel, and has its version. */
	if (vd_io_tree_has(c->tree, "dev/kvm"))
		put_hypervisor(c, "kvm", c->kernel);
	collect_qemu(c);
	collect_xen(c);
	if (vd_io_tree_has(c->tree, "dev/vboxdrv")) {
		host_package_version(c, "virtualbox", version, sizeof(version));
		put_hypervisor(c, "vbox", version);
	}
	if (vd_io_tree_has(c->tree, "dev/mshv"))
		put_hypervisor(c, "hyperv", "");
	if (vd_io_tree_has(c->tree, "dev/vmmon"))
		put_hypervisor(c, "vmware", "");
}
