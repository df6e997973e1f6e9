/* SPDX-License-Identifier: MIT */
/* Facts of a host, out of trees that stand for machines, and of this one. */
#include <stdio.h>
#include <stdlib.h>

#include "host_rig.h"
#include "scratch.h"

static char root[256];

static void file(const char *path, const char *text)
{
	char whole[512];
	FILE *f;

	assert_int_equal(scratch_run("mkdir -p \"$(dirname '%s/%s')\"", root, path), 0);
	snprintf(whole, sizeof(whole), "%s/%s", root, path);
	f = fopen(whole, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static void begin(const char *name)
{
	snprintf(root, sizeof(root), "%s/%s", scratch_dir(), name);
	assert_int_equal(scratch_run("rm -rf '%s' && mkdir -p '%s'", root, root), 0);
}

static struct vd_host *collect(void)
{
	struct vd_host_opts opts = {sizeof(opts), root};
	struct vd_host *host = NULL, *again;
	char *text, *text2;

	if (vd_host_collect(&host, &opts, &err))
		fail_msg("%s", err.text);
	/* Whatever was found can be written down and read again. */
	text = format(host);
	again = parse(text);
	text2 = format(again);
	assert_string_equal(text, text2);
	vd_meta_free(text);
	vd_meta_free(text2);
	vd_host_free(again);
	return host;
}

static void pci(const char *address, const char *class, const char *vendor, const char *device,
		const char *driver)
{
	char path[256];

	snprintf(path, sizeof(path), "sys/devices/pci/%s/class", address);
	file(path, class);
	snprintf(path, sizeof(path), "sys/devices/pci/%s/vendor", address);
	file(path, vendor);
	snprintf(path, sizeof(path), "sys/devices/pci/%s/device", address);
	file(path, device);
	assert_int_equal(scratch_run("mkdir -p '%s/sys/bus/pci/devices' && ln -s "
				     "'../../../devices/pci/%s' '%s/sys/bus/pci/devices/%s'",
				     root, address, root, address),
			 0);
	if (driver)
		assert_int_equal(scratch_run("ln -s '../../../bus/pci/drivers/%s' "
					     "'%s/sys/devices/pci/%s/driver'",
					     driver, root, address),
				 0);
}

static void card(const char *name, const char *mac, const char *state, const char *speed)
{
	char path[128];

	snprintf(path, sizeof(path), "sys/class/net/%s/address", name);
	file(path, mac);
	snprintf(path, sizeof(path), "sys/class/net/%s/operstate", name);
	file(path, state);
	snprintf(path, sizeof(path), "sys/class/net/%s/speed", name);
	file(path, speed);
	snprintf(path, sizeof(path), "sys/class/net/%s/flags", name);
	file(path, "0x1003\n");
}

static void a_server_of_intel_with_gpus(void **state)
{
	struct vd_host *host;
	uint32_t g;

	(void)state;
	begin("intel");
	file("proc/sys/kernel/arch", "x86_64\n");
	file("proc/sys/kernel/hostname", "node7\n");
	file("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
	file("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nNAME=\"Debian GNU/Linux\"\n");
	file("etc/debian_version", "12.5\n");
	file("proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) "
			     "Xeon(R) Gold 6338 CPU @ 2.00GHz\nflags\t\t: fpu vmx avx2 avx512f\n"
			     "\nprocessor\t: 1\nvendor_id\t: GenuineIntel\n");
	file("sys/devices/system/cpu/online", "0-3,8,10-11\n");
	file("proc/meminfo", "MemTotal:       65536000 kB\nMemFree: 1 kB\n");
	file("sys/class/dmi/id/sys_vendor", "Dell Inc.\n");
	file("sys/firmware/efi/fw_platform_size", "64\n");
	file("sys/class/tpm/tpm0/tpm_version_major", "2\n");
	file("dev/kvm", "");
	file("usr/bin/qemu-system-x86_64", "");
	file("var/lib/dpkg/status",
	     "Package: qemu-system-arm\nStatus: deinstall ok config-files\nVersion: 1:5.2\n\n"
	     "Package: qemu-system-x86\nStatus: install ok installed\nSection: otherosfs\n"
	     "Version: 1:7.2+dfsg-7+deb12u7\n\nPackage: zzz\nStatus: install ok installed\n");
	file("usr/share/misc/pci.ids",
	     "# ids\n10de  NVIDIA Corporation\n\t1db4  GV100GL\n\t27b8  AD104GL [L4]\n"
	     "\t\t10de 16ca  something below\n8086  Intel Corporation\n\t1db4  not NVIDIA's\n"
	     "C 03  Display controller\n");
	pci("0000:01:00.0", "0x030200\n", "0x10de\n", "0x27b8\n", "nvidia");
	pci("0000:02:00.0", "0x030000\n", "0x1002\n", "0x73bf\n", "amdgpu");
	/* A share of the first one. */
	pci("0000:01:00.4", "0x030200\n", "0x10de\n", "0x27b8\n", "nvidia");
	assert_int_equal(scratch_run("ln -s ../0000:01:00.0 "
				     "'%s/sys/devices/pci/0000:01:00.4/physfn'",
				     root),
			 0);
	pci("0000:03:00.0", "0x020000\n", "0x8086\n", "0x1db4\n", "e1000e");
	file("sys/devices/pci/0000:01:00.0/resource",
	     "0x00000000a0000000 0x00000000a0ffffff 0x0000000000040200\n"
	     "0x0000004000000000 0x00000047ffffffff 0x000000000014220c\n"
	     "0x0000000000000000 0x0000000000000000 0x0000000000000000\n");
	file("sys/devices/pci/0000:02:00.0/mem_info_vram_total", "17163091968\n");
	file("usr/lib/x86_64-linux-gnu/libcuda.so.1", "");
	file("usr/share/vulkan/icd.d/radeon_icd.x86_64.json", "{}");
	card("lo", "00:00:00:00:00:00\n", "unknown\n", "");
	card("eth0", "52:54:00:12:34:56\n", "up\n", "25000\n");
	card("tun0", "\n", "unknown\n", "10\n");
	card("eth1", "52:54:00:12:34:57\n", "down\n", "-1\n");
	file("sys/class/net/bonding_masters", "bond0\n");
	file("proc/net/if_inet6", "00000000000000000000000000000001 01 80 10 80       lo\n"
				  "fe80000000000000505400fffe123456 02 40 20 80     eth0\n");
	host = collect();
	assert_string_equal(value_of(host, "host.name", 0), "node7");
	assert_string_equal(value_of(host, "host.machine", 0), "physical");
	assert_string_equal(value_of(host, "host.arch", 0), "x86_64");
	assert_string_equal(value_of(host, "host.os.id", 0), "debian12");
	assert_string_equal(value_of(host, "host.os.version", 0), "12.5");
	assert_string_equal(value_of(host, "host.os.family", 0), "linux");
	assert_string_equal(value_of(host, "host.kernel", 0), "6.1.0-18-amd64");
	assert_string_equal(value_of(host, "host.cpu.vendor", 0), "GenuineIntel");
	assert_string_equal(value_of(host, "host.cpu.count", 0), "7");
	assert_int_equal(count_of(host, "host.cpu.feature"), 4);
	assert_string_equal(value_of(host, "host.memory", 0), "67108864000");
	assert_string_equal(value_of(host, "host.firmware", 0), "efi");
	assert_string_equal(value_of(host, "host.tpm", 0), "2.0");
	g = group_of(host, "host.hypervisor", "qemu");
	assert_string_equal(value_of(host, "host.hypervisor.version", g), "7.2");
	g = group_of(host, "host.hypervisor", "kvm");
	assert_string_equal(value_of(host, "host.hypervisor.version", g), "6.1.0-18-amd64");
	assert_int_equal(count_of(host, "host.hypervisor"), 2);
	assert_int_equal(count_of(host, "host.gpu.address"), 2);
	g = group_of(host, "host.gpu.address", "0000:01:00.0");
	assert_string_equal(value_of(host, "host.gpu.vendor", g), "NVIDIA Corporation");
	assert_string_equal(value_of(host, "host.gpu.model", g), "AD104GL [L4]");
	assert_string_equal(value_of(host, "host.gpu.memory", g), "17179869184");
	assert_string_equal(value_of(host, "host.gpu.driver", g), "nvidia");
	assert_string_equal(value_of(host, "host.gpu.api", g), "cuda");
	g = group_of(host, "host.gpu.address", "0000:02:00.0");
	assert_string_equal(value_of(host, "host.gpu.model", g), "1002:73bf");
	assert_string_equal(value_of(host, "host.gpu.memory", g), "17163091968");
	assert_string_equal(value_of(host, "host.gpu.api", g), "vulkan");
	assert_int_equal(count_of(host, "host.network.name"), 3);
	g = group_of(host, "host.network.name", "eth0");
	assert_string_equal(value_of(host, "host.network.state", g), "up");
	assert_string_equal(value_of(host, "host.network.mac", g), "52:54:00:12:34:56");
	assert_string_equal(value_of(host, "host.network.speed", g), "25000");
	assert_string_equal(value_of(host, "host.network.address", g),
			    "fe80::5054:ff:fe12:3456/64");
	g = group_of(host, "host.network.name", "eth1");
	assert_string_equal(value_of(host, "host.network.state", g), "down");
	assert_null(value_of(host, "host.network.speed", g));
	g = group_of(host, "host.network.name", "tun0");
	assert_string_equal(value_of(host, "host.network.state", g), "up");
	assert_null(value_of(host, "host.network.mac", g));
	vd_host_free(host);
}

static void a_virtual_machine_of_amd(void **state)
{
	struct vd_host *host;

	(void)state;
	begin("amd");
	file("proc/sys/kernel/arch", "x86_64\n");
	file("usr/lib/os-release", "ID=ubuntu\nVERSION_ID='22.04'\nNAME=Ubuntu\n");
	file("proc/cpuinfo", "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC\n"
			     "flags\t\t: fpu svm hypervisor\n\nprocessor\t: 1\n\nprocessor\t: 2\n");
	file("sys/class/dmi/id/sys_vendor", "QEMU\n");
	/* A guest of Xen has no hypervisor of its own. */
	file("sys/hypervisor/type", "xen\n");
	host = collect();
	assert_string_equal(value_of(host, "host.machine", 0), "virtual");
	assert_string_equal(value_of(host, "host.os.id", 0), "ubuntu22.04");
	assert_string_equal(value_of(host, "host.cpu.count", 0), "3");
	assert_string_equal(value_of(host, "host.firmware", 0), "bios");
	assert_int_equal(count_of(host, "host.hypervisor"), 0);
	assert_null(value_of(host, "host.memory", 0));
	vd_host_free(host);
}

static void a_server_of_arm(void **state)
{
	struct vd_host *host;

	(void)state;
	begin("arm");
	file("proc/sys/kernel/arch", "aarch64\n");
	file("proc/cpuinfo", "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd evtstrm aes\n"
			     "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd0c\n");
	file("proc/device-tree/model", "A board");
	host = collect();
	assert_string_equal(value_of(host, "host.arch", 0), "aarch64");
	assert_string_equal(value_of(host, "host.cpu.vendor", 0), "ARM");
	assert_string_equal(value_of(host, "host.cpu.model", 0), "Neoverse-N1");
	assert_int_equal(count_of(host, "host.cpu.feature"), 4);
	assert_string_equal(value_of(host, "host.machine", 0), "physical");
	assert_null(value_of(host, "host.firmware", 0));
	vd_host_free(host);
}

static void a_server_of_power(void **state)
{
	struct vd_host *host;

	(void)state;
	begin("power");
	file("proc/sys/kernel/arch", "ppc64le\n");
	file("proc/cpuinfo", "processor\t: 0\ncpu\t\t: POWER9 (architected), altivec supported\n"
			     "clock\t\t: 2500.000000MHz\n\nprocessor\t: 1\n");
	host = collect();
	assert_string_equal(value_of(host, "host.arch", 0), "ppc64le");
	assert_string_equal(value_of(host, "host.cpu.model", 0), "POWER9");
	assert_string_equal(value_of(host, "host.cpu.count", 0), "2");
	vd_host_free(host);
}

/* The name of a cloud stands in the tables of its real machines, too. */
static void a_real_machine_of_a_cloud(void **state)
{
	struct vd_host *host;

	(void)state;
	begin("metal");
	file("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu vmx\n");
	file("sys/class/dmi/id/sys_vendor", "Amazon EC2\n");
	host = collect();
	assert_string_equal(value_of(host, "host.machine", 0), "physical");
	vd_host_free(host);
	file("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu hypervisor\n");
	host = collect();
	assert_string_equal(value_of(host, "host.machine", 0), "virtual");
	vd_host_free(host);
}

/* Much of everything: it ends, soon. */
static void crowded_trees_end(void **state)
{
	struct vd_host *host;

	(void)state;
	begin("crowd");
	assert_int_equal(
	    scratch_run("cd '%s' && mkdir -p usr/share/misc proc/net sys/class/net && "
			"for i in $(seq 100); do d=sys/bus/pci/devices/0000:%%02x:00.0; "
			"d=$(printf \"$d\" $i); mkdir -p $d; echo 0x030000 >$d/class; "
			"echo 0x1234 >$d/vendor; echo 0x5678 >$d/device; "
			"mkdir -p sys/class/net/n$i; echo >sys/class/net/n$i/address; done; "
			"yes x | head -c 4000000 >usr/share/misc/pci.ids; "
			"yes fe80000000000000505400fffe123456 02 40 20 80 n1 | "
			"head -c 5000000 >proc/net/if_inet6",
			root),
	    0);
	host = collect();
	assert_int_equal(count_of(host, "host.gpu.address"), 64);
	assert_int_equal(count_of(host, "host.network.name"), 100);
	vd_host_free(host);
}

static void a_host_of_xen(void **state)
{
	struct vd_host *host;
	uint32_t g;

	(void)state;
	begin("xen");
	file("proc/sys/kernel/arch", "x86_64\n");
	file("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu hypervisor\n");
	file("proc/xen/capabilities", "control_d\n");
	file("sys/hypervisor/type", "xen\n");
	file("sys/hypervisor/version/major", "4\n");
	file("sys/hypervisor/version/minor", "17\n");
	file("sys/hypervisor/version/extra", ".3-pre\n");
	host = collect();
	g = group_of(host, "host.hypervisor", "xen");
	assert_int_not_equal(g, 0);
	assert_string_equal(value_of(host, "host.hypervisor.version", g), "4.17.3-pre");
	assert_string_equal(value_of(host, "host.machine", 0), "physical");
	vd_host_free(host);
}

/* Without the kernel's file the programs tell. */
static void architecture_of_programs(void **state)
{
	static const unsigned char elf[20] = {0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0,   0,
					      0,    0,   0,   0,   0, 0, 3, 0, 183, 0};
	struct vd_host *host;
	char path[300];
	FILE *f;

	(void)state;
	begin("old");
	file("usr/bin/dash", "");
	snprintf(path, sizeof(path), "%s/usr/bin/dash", root);
	f = fopen(path, "w");
	assert_int_equal(fwrite(elf, 1, sizeof(elf), f), sizeof(elf));
	fclose(f);
	/* The link is absolute: within the tree it means the tree's. */
	assert_int_equal(
	    scratch_run("mkdir '%s/bin' && ln -s /usr/bin/dash '%s/bin/sh'", root, root), 0);
	host = collect();
	assert_string_equal(value_of(host, "host.arch", 0), "aarch64");
	vd_host_free(host);
}

static void hostile_trees_say_nothing_wrong(void **state)
{
	struct vd_host_opts opts = {sizeof(opts), scratch_path("nowhere")};
	struct vd_host *host;

	(void)state;
	begin("hostile");
	file("proc/sys/kernel/hostname", "a\033]0;b\n");
	file("proc/sys/kernel/osrelease", "6.1 evil\n");
	file("proc/meminfo", "MemTotal: 99999999999999999999999 kB\n");
	file("sys/devices/system/cpu/online", "0-99999999999\n");
	file("proc/cpuinfo", "flags : a\xff b(c aes\n");
	file("etc/os-release", "ID=\"x y\"\nNAME=\"\xff\"\nVERSION_ID=\"1 2\"\n");
	assert_int_equal(scratch_run("mkfifo '%s/proc/sys/kernel/arch'", root), 0);
	pci("0000:01:00.0", "0x03\n", "0x10de\n", "0x27b8\n", NULL);
	pci("0000:02:00.0", "0x030000\n", "what\n", "0x27b8\n", NULL);
	host = collect();
	assert_null(value_of(host, "host.name", 0));
	assert_null(value_of(host, "host.kernel", 0));
	assert_null(value_of(host, "host.memory", 0));
	assert_null(value_of(host, "host.cpu.count", 0));
	assert_null(value_of(host, "host.arch", 0));
	assert_null(value_of(host, "host.os.id", 0));
	assert_int_equal(count_of(host, "host.cpu.feature"), 1);
	assert_int_equal(count_of(host, "host.gpu.address"), 0);
	vd_host_free(host);
	assert_int_equal(vd_host_collect(&host, &opts, &err), VD_EINVAL);
	assert_null(host);
	opts.size = 1;
	assert_int_equal(vd_host_collect(&host, &opts, &err), VD_EINVAL);
}

static void this_machine(void **state)
{
	struct vd_host *host, *again;
	char *text;

	(void)state;
	assert_int_equal(vd_host_collect(&host, NULL, &err), 0);
	assert_non_null(value_of(host, "host.arch", 0));
	assert_non_null(value_of(host, "host.memory", 0));
	assert_string_equal(value_of(host, "host.os.family", 0), "linux");
	text = format(host);
	again = parse(text);
	vd_meta_free(text);
	vd_host_free(again);
	vd_host_free(host);
	vd_host_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_server_of_intel_with_gpus),
	    cmocka_unit_test(a_virtual_machine_of_amd),
	    cmocka_unit_test(a_server_of_arm),
	    cmocka_unit_test(a_server_of_power),
	    cmocka_unit_test(a_real_machine_of_a_cloud),
	    cmocka_unit_test(crowded_trees_end),
	    cmocka_unit_test(a_host_of_xen),
	    cmocka_unit_test(architecture_of_programs),
	    cmocka_unit_test(hostile_trees_say_nothing_wrong),
	    cmocka_unit_test(this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
