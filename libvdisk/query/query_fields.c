/* SPDX-License-Identifier: MIT */
/* The fields that can be asked though no document has them: of the file, of the host, the action.
 * docs/search.md and docs/policy.md describe them. */
#include <string.h>

#include "query/query_tree.h"

#define N_OF(table) (sizeof(table) / sizeof(*(table)))

#define FIELD(name, type, is_list, choices, summary)                                               \
	{                                                                                          \
		name, VD_FIELD_##type, NULL, is_list, true, choices, summary                       \
	}

static const struct vd_field fields[] = {
    FIELD("image.path", TEXT, false, NULL, "path of the image, as it was found"),
    FIELD("image.name", TEXT, false, NULL, "last part of its path"),
    FIELD("image.format", TEXT, false, NULL, "vhdx, raw ..."),
    FIELD("image.type", TEXT, false, NULL, "dynamic, fixed, differencing"),
    FIELD("image.virtual-size", SIZE, false, NULL, "bytes that the disk has"),
    FIELD("image.file-size", SIZE, false, NULL, "bytes that the file has"),
    FIELD("image.allocated-size", SIZE, false, NULL, "bytes that the file takes on the host"),
    FIELD("image.block-size", SIZE, false, NULL, "bytes of a block"),
    FIELD("image.sector-size", SIZE, false, NULL, "bytes of a sector of the disk"),
    FIELD("image.disk-id", UUID, false, NULL, "the disk's own id"),
    FIELD("image.data-id", UUID, false, NULL, "id of its content, new when a guest writes"),
    FIELD("image.parent", TEXT, false, NULL, "path of its parent, as the image has it"),
    FIELD("image.modified", TIME, false, NULL, "when the file was last written"),
    FIELD("image.dirty-log", BOOL, false, NULL, "its log holds changes that aren't in place"),
    FIELD("metadata.place", TEXT, false, NULL, "items, sidecar, none"),
    FIELD("metadata.damaged", BOOL, false, NULL, "a record is damaged, or of another image"),
    FIELD("metadata.records", NUMBER, false, NULL, "documents and attachments that it has"),
    /* From here on only where a host is known: VD_QUERY_HOST. */
    FIELD("host.name", TEXT, false, NULL, "name of the host"),
    FIELD("host.machine", WORD, false, "physical|virtual", "what kind of machine it is"),
    FIELD("host.arch", TEXT, false, NULL, "architecture: x86_64, aarch64"),
    FIELD("host.os.id", TEXT, false, NULL, "operating system, as libosinfo calls it: debian12"),
    FIELD("host.os.name", TEXT, false, NULL, "its name for people"),
    FIELD("host.os.version", VERSION, false, NULL, "its version"),
    FIELD("host.os.family", TEXT, false, NULL, "linux, windows ..."),
    FIELD("host.kernel", VERSION, false, NULL, "version of the kernel"),
    FIELD("host.cpu.vendor", TEXT, false, NULL, "who made the processor"),
    FIELD("host.cpu.model", TEXT, false, NULL, "its model"),
    FIELD("host.cpu.count", NUMBER, false, NULL, "how many there are"),
    FIELD("host.cpu.feature", TEXT, true, NULL, "what it can: avx2, aes"),
    FIELD("host.memory", SIZE, false, NULL, "bytes of memory"),
    FIELD("host.firmware", WORD, false, "bios|efi", "what it starts with"),
    FIELD("host.tpm", VERSION, false, NULL, "version of its TPM: 2.0"),
    FIELD("host.hypervisor", TEXT, true, NULL, "hypervisor that is there: qemu, kvm"),
    FIELD("host.hypervisor.version", VERSION, true, NULL, "its version"),
    FIELD("host.gpu.vendor", TEXT, true, NULL, "who made a GPU"),
    FIELD("host.gpu.model", TEXT, true, NULL, "its model"),
    FIELD("host.gpu.memory", SIZE, true, NULL, "bytes of its memory"),
    FIELD("host.gpu.driver", TEXT, true, NULL, "the kernel's driver for it"),
    FIELD("host.gpu.address", TEXT, true, NULL, "where it is: 0000:01:00.0"),
    FIELD("host.gpu.api", TEXT, true, NULL, "what it understands: cuda, vulkan"),
    FIELD("host.network.name", TEXT, true, NULL, "a network card: eth0"),
    FIELD("host.network.state", WORD, true, "up|down", "whether it is up"),
    FIELD("host.network.mac", TEXT, true, NULL, "its MAC address"),
    FIELD("host.network.address", TEXT, true, NULL, "its addresses"),
    FIELD("host.network.speed", NUMBER, true, NULL, "its speed in Mbit/s"),
    FIELD("action", WORD, false, "mount-ro|mount-rw|run|convert|export|compact|edit",
	  "what is to be done with the image"),
};

const struct vd_field *vd_query_field_at(size_t i)
{
	return i < N_OF(fields) ? &fields[i] : NULL;
}

const struct vd_field *vd_query_field_find(const char *name)
{
	const struct vd_field *field = vd_field_find(name);

	for (size_t i = 0; name && !field && i < N_OF(fields); i++) {
		if (strcmp(fields[i].name, name) == 0)
			field = &fields[i];
	}
	return field;
}

/** May it be asked in a query with these flags? */
static bool is_open(const struct vd_field *field, uint32_t flags)
{
	bool is_host = !field->category && (strncmp(field->name, "host.", 5) == 0 ||
					    strcmp(field->name, "action") == 0);

	return !is_host || (flags & VD_QUERY_HOST);
}

const struct vd_field *query_field(const char *name, uint32_t flags)
{
	const struct vd_field *field = vd_query_field_find(name);

	return field && is_open(field, flags) ? field : NULL;
}

const struct vd_field *query_field_below(const char *prefix, uint32_t flags, size_t *next)
{
	size_t n = strlen(prefix), n_documents = 0;
	const struct vd_field *field;

	while (vd_field_at(n_documents))
		n_documents++;
	for (;;) {
		field = *next < n_documents ? vd_field_at(*next)
					    : vd_query_field_at(*next - n_documents);
		if (!field)
			return NULL;
		(*next)++;
		if (strncmp(field->name, prefix, n) == 0 && is_open(field, flags))
			return field;
	}
}

bool query_field_has_words(const char *name)
{
	const struct vd_field *field = vd_field_find(name);

	if (!field)
		return strcmp(name, "image.name") == 0;
	if (strcmp(field->category->name, "history") == 0)
		return false;
	return field->type == VD_FIELD_TEXT || field->type == VD_FIELD_WORD ||
	       field->type == VD_FIELD_VERSION || field->type == VD_FIELD_PURL;
}
