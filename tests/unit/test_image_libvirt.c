/* SPDX-License-Identifier: MIT */
/* A libvirt domain fills hardware and network; whatever else the bytes are, nothing breaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <vdisk/image.h>

#include "scratch.h"

static const char domain[] =
    "<domain type='kvm' xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><name>w</name>"
    "<memory unit='GB'>2</memory><vcpu>2</vcpu>"
    "<os><type arch='aarch64' machine='virt'>hvm</type><loader type='pflash' secure='no'/></os>"
    "<cpu><model>Haswell</model><feature policy='require' name='vmx'/>"
    "<feature policy='disable' name='mpx'/></cpu><devices>"
    "<disk device='disk'><target bus='scsi'/></disk><disk device='disk'><target bus='scsi'/></disk>"
    "<disk device='disk'><target bus='nvme'/></disk>"
    "<interface type='network'><mac address='52:54:00:aa:bb:cc'/><source network='a&lt;b'/>"
    "<model type='virtio'/></interface><interface type='user'><mac address='bad'/></interface>"
    "<q:commandline/></devices></domain>";

static struct vd_image *image;

static int setup(void **state)
{
	struct vd_create_opts opts = VD_CREATE_OPTS_INIT;
	const char *path = scratch_path("l.vhdx");

	(void)state;
	remove(path);
	opts.virtual_size = 8 << 20;
	return vd_disk_create(path, &opts, NULL) ||
	       vd_image_open(&image, path, VD_PURPOSE_EDIT, NULL, NULL, NULL);
}

static int teardown(void **state)
{
	(void)state;
	return vd_image_close(image, NULL);
}

static int take(const char *text, size_t *n)
{
	return vd_meta_take_libvirt(vd_image_meta(image), text, strlen(text), n, NULL);
}

static int join(void *user, const char *field, const char *value)
{
	char *all = user;

	(void)field;
	if (strlen(all) + strlen(value) + 2 < 256)
		sprintf(all + strlen(all), "%s,", value);
	return 0;
}

static void assert_field(const char *field, const char *want)
{
	char all[256] = "";

	vd_meta_get_field(vd_image_meta(image), field, join, all, NULL);
	assert_string_equal(all, want);
}

static void a_domain_fills_hardware_and_network(void **state)
{
	size_t n;

	(void)state;
	assert_int_equal(take(domain, &n), 0);
	assert_true(n > 8);
	assert_field("hardware.memory", "2000000000,");
	assert_field("hardware.cpu.count", "2,");
	assert_field("hardware.arch", "aarch64,");
	assert_field("hardware.machine", "virt,");
	assert_field("hardware.firmware", "efi,");
	assert_field("hardware.secure-boot", "false,");
	assert_field("hardware.cpu.feature", "vmx,");
	assert_field("hardware.disk.bus", "scsi,nvme,");
	assert_field("hardware.nic.model", "virtio,");
	assert_field("network.nic", "nic0,nic1,");
	assert_field("network.mac", "52:54:00:aa:bb:cc,");
	assert_field("network.network", "a<b,");
	/* Again: the same values, not twice as many. */
	assert_int_equal(take(domain, &n), 0);
	assert_field("hardware.disk.bus", "scsi,nvme,");
	assert_field("network.nic", "nic0,nic1,");
}

static void what_is_no_domain_says_so(void **state)
{
	size_t n = 7;

	(void)state;
	assert_int_equal(take("<other/>", &n), VD_ENOENT);
	assert_int_equal(take("<domain xmlns='urn:other'/>", &n), VD_ENOENT);
	assert_int_equal(take("<domain>", &n), VD_ECORRUPT);
	assert_int_equal(take("no XML", &n), VD_ECORRUPT);
	assert_int_equal(
	    take("<!DOCTYPE d [<!ENTITY x 'y'>]><domain><vcpu>&x;</vcpu></domain>", &n),
	    VD_ECORRUPT);
	assert_int_equal(take("<domain/>", &n), 0);
	assert_int_equal(n, 0);
}

static void odd_values_are_left_out(void **state)
{
	size_t n;

	(void)state;
	assert_int_equal(
	    take("<domain><memory unit='TiB'>999999999999999</memory><vcpu>-3</vcpu>"
		 "<os firmware='other'><type arch='no such thing at all, with blanks'/></os>"
		 "<devices><tpm><backend/></tpm><disk/><interface/></devices></domain>",
		 &n),
	    0);
	assert_field("hardware.memory", "");
	assert_field("hardware.cpu.count", "");
	assert_field("hardware.firmware", "");
	assert_field("hardware.tpm", "");
}

static void any_bytes_are_survived(void **state)
{
	char *text = malloc(sizeof(domain));
	unsigned seed = 4711;

	(void)state;
	assert_non_null(text);
	for (size_t len = 0; len < sizeof(domain); len += 7)
		vd_meta_take_libvirt(vd_image_meta(image), domain, len, NULL, NULL);
	for (int i = 0; i < 300; i++) {
		memcpy(text, domain, sizeof(domain));
		for (int k = 0; k < 3; k++)
			text[(size_t)rand_r(&seed) % (sizeof(domain) - 1)] = (char)rand_r(&seed);
		vd_meta_take_libvirt(vd_image_meta(image), text, sizeof(domain) - 1, NULL, NULL);
		if (i % 50 == 0)
			assert_int_equal(vd_meta_revert(vd_image_meta(image), NULL), 0);
	}
	free(text);
}

static void many_interfaces_are_bounded(void **state)
{
	char *text = calloc(1, 600000);
	size_t len;

	(void)state;
	assert_non_null(text);
	len = (size_t)sprintf(text, "<domain><devices>");
	for (int i = 0; i < 5000; i++)
		len += (size_t)sprintf(text + len, "<interface><model type='m%d'/></interface>", i);
	sprintf(text + len, "</devices></domain>");
	vd_meta_take_libvirt(vd_image_meta(image), text, strlen(text), NULL, NULL);
	free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_domain_fills_hardware_and_network),
	    TEST(what_is_no_domain_says_so),
	    TEST(odd_values_are_left_out),
	    TEST(any_bytes_are_survived),
	    TEST(many_interfaces_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
