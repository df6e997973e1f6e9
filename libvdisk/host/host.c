/* SPDX-License-Identifier: MIT */
/* A host: its fields, its life, its values. */
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "host/host_facts.h"
#include "xml/field_value.h"

/* clang-format off */
#define LIST true
#define ONE  false
#define FIELD(name, type, is_list, entry, choices, summary) \
	{{"host." name, VD_FIELD_##type, NULL, is_list, false, choices, summary}, HOST_##entry, false}

static const struct host_field fields[] = {
    FIELD("name", TEXT, ONE, SINGLE, NULL, "its host name"),
    FIELD("machine", WORD, ONE, SINGLE, "physical|virtual", "is it a machine of its own?"),
    FIELD("arch", TEXT, ONE, SINGLE, NULL, "architecture: x86_64, aarch64"),
    FIELD("os.id", TEXT, ONE, SINGLE, NULL, "OS, by libosinfo's short id: debian12"),
    FIELD("os.name", TEXT, ONE, SINGLE, NULL, "OS, as it calls itself"),
    FIELD("os.version", VERSION, ONE, SINGLE, NULL, "version of the OS"),
    FIELD("os.family", TEXT, ONE, SINGLE, NULL, "family of the OS: linux"),
    FIELD("kernel", VERSION, ONE, SINGLE, NULL, "version of the kernel"),
    FIELD("firmware", WORD, ONE, SINGLE, "bios|efi", "firmware that it was booted by"),
    FIELD("tpm", VERSION, ONE, SINGLE, NULL, "trusted platform module: 1.2, 2.0"),
    FIELD("cpu.vendor", TEXT, ONE, SINGLE, NULL, "maker of the processors"),
    FIELD("cpu.model", TEXT, ONE, SINGLE, NULL, "model of the processors"),
    FIELD("cpu.count", NUMBER, ONE, SINGLE, NULL, "processors that are online"),
    {{"host.cpu.feature", VD_FIELD_TEXT, NULL, LIST, false, NULL, "processor feature: avx2, vmx"},
     HOST_SINGLE, true},
    FIELD("memory", SIZE, ONE, SINGLE, NULL, "memory"),
    FIELD("hypervisor", TEXT, ONE, HYPERVISOR, NULL, "hypervisor that is there: kvm, qemu"),
    FIELD("hypervisor.version", VERSION, ONE, HYPERVISOR, NULL, "its version"),
    FIELD("gpu.vendor", TEXT, ONE, GPU, NULL, "maker of a GPU"),
    FIELD("gpu.model", TEXT, ONE, GPU, NULL, "its model"),
    FIELD("gpu.memory", SIZE, ONE, GPU, NULL, "its memory"),
    FIELD("gpu.driver", TEXT, ONE, GPU, NULL, "the kernel's driver of it"),
    FIELD("gpu.address", TEXT, ONE, GPU, NULL, "its PCI address"),
    FIELD("gpu.api", TEXT, LIST, GPU, NULL, "interface to it: vulkan, cuda"),
    FIELD("network.name", TEXT, ONE, NETWORK, NULL, "network card: eth0"),
    FIELD("network.state", WORD, ONE, NETWORK, "up|down", "is it up?"),
    FIELD("network.mac", TEXT, ONE, NETWORK, NULL, "its MAC address"),
    FIELD("network.address", TEXT, LIST, NETWORK, NULL, "an address of it: 10.0.0.5/24"),
    FIELD("network.speed", NUMBER, ONE, NETWORK, NULL, "megabits a second"),
};
/* clang-format on */

#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

const struct host_field *host_field_at(size_t i)
{
	return i < N_FIELDS ? &fields[i] : NULL;
}

const struct host_field *host_field_find(const char *name)
{
	for (size_t i = 0; i < N_FIELDS; i++)
		if (strcmp(fields[i].field.name, name) == 0)
			return &fields[i];
	return NULL;
}

int host_create(struct vd_host **out, struct vd_error *err)
{
	struct vd_host *host = vd_calloc(1, sizeof(*host));
	int rc;

	if (!host)
		return vd_no_memory(err, sizeof(*host), "a host");
	rc = vd_fact_set_create(&host->set, err);
	if (rc) {
		vd_free(host);
		return rc;
	}
	*out = host;
	return 0;
}

/* What a line of the text form can have many of, with blanks between them. */
static bool is_word(const char *text)
{
	return text[0] &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			    "_.,:+/@-") == strlen(text);
}

int host_add(struct vd_host *host, const char *field, const char *value, uint32_t group,
	     struct vd_error *err)
{
	const struct host_field *known = host_field_find(field);
	struct vd_value work = {0};
	int rc;

	if (!known)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "there is no field \"%.100s\"",
				    field);
	if (strlen(value) > HOST_VALUE_MAX)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "%s: a value of %zu bytes; at most %u are allowed", field,
				    strlen(value), HOST_VALUE_MAX);
	if (known->is_words && !is_word(value))
		return vd_error_set(
		    err, VD_EINVAL, 0, VD_NO_OFFSET,
		    "%s: \"%.100s\" is not a name (letters, digits and _ . , : + / @ - only)",
		    field, value);
	rc = vd_value_read(&work, &known->field, value, true, 0, err);
	if (!rc)
		rc = vd_fact_set_add(host->set, field, work.normal, group, err);
	vd_value_free(&work);
	return rc;
}

void host_seal(struct vd_host *host)
{
	host->facts = vd_fact_set_facts(host->set, &host->n);
}

void vd_host_free(struct vd_host *host)
{
	if (!host)
		return;
	vd_fact_set_free(host->set);
	vd_free(host);
}

const struct vd_fact *vd_host_facts(const struct vd_host *host, size_t *n)
{
	*n = host->n;
	return host->facts;
}
