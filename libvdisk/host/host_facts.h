/* SPDX-License-Identifier: MIT */
/*
 * The inside of a struct vd_host, and its collector: one file for each kind of fact, which know
 * each other only through struct host_collect.
 *
 *   host.c          life, fields, values         host_text.c         the text form
 *   host_collect.c  the machine, its OS          host_cpu.c          processor, memory
 *   host_gpu.c      PCI devices of class 03      host_network.c      network cards
 *   host_hypervisor.c, host_packages.c           what can run a machine here, its versions
 *
 * A tree may be a stranger's: what is read is bounded, and a text that isn't of its field's type is
 * left out.
 */
#ifndef VD_HOST_HOST_FACTS_H
#define VD_HOST_HOST_FACTS_H

#include <stdbool.h>

#include <vdisk/host.h>

#include "base/lent.h"

struct vd_host {
	struct vd_fact_set *set;
	const struct vd_fact *facts; /* of the set, once it is complete */
	size_t n;
};

/** Bytes of a text for vd_host_parse, and of what vd_host_format gives. */
#define HOST_TEXT_MAX (1u << 20)
/** Facts that a text may have. */
#define HOST_FACTS_MAX 16384u
/** Bytes of a value. */
#define HOST_VALUE_MAX 1024u

/** The lists whose entries are several fields with a group. */
enum host_entry { HOST_SINGLE = 0, HOST_HYPERVISOR, HOST_GPU, HOST_NETWORK };

struct host_field {
	struct vd_field field;
	enum host_entry entry;
	bool is_words; /* its values have no blanks: a line of the text form may have many */
};

/* host.c */
/** Field `i`, from 0; NULL behind the last one. These are the fields host.* of vdisk/query.h. */
const struct host_field *host_field_at(size_t i);
const struct host_field *host_field_find(const char *name);
int host_create(struct vd_host **out, struct vd_error *err);
/** Add a value, brought into its normal form. VD_EINVAL: no such field, or not of its type. */
int host_add(struct vd_host *host, const char *field, const char *value, uint32_t group,
	     struct vd_error *err);
/** It is complete: from now on it is only read. */
void host_seal(struct vd_host *host);

/** A collection that is going on. */
struct host_collect {
	struct vd_host *host;
	struct vd_io_tree *tree;
	bool asks_kernel; /* not a folder that stands for a machine */
	uint32_t n_groups;
	char arch[32], kernel[128];
	int rc; /* VD_ENOMEM: it can't go on */
	struct vd_error *err;
};
#define HOST_LINE_MAX 512u

/* host_collect.c */
/** Add a fact, unless it isn't of its type. */
void host_put(struct host_collect *c, const char *field, uint32_t group, const char *value);
void host_put_number(struct host_collect *c, const char *field, uint32_t group, uint64_t n);
/** A file as text, to be freed with vd_free; NULL: it can't be read. */
char *host_slurp(struct host_collect *c, const char *path, size_t max);
/** The first line of a file, without blanks at its ends; false: none. */
bool host_line(struct host_collect *c, const char *path, char line[HOST_LINE_MAX]);
/** A number in the first line of a file; "0x" means hexadecimal. */
bool host_number(struct host_collect *c, const char *path, uint64_t *n);
/** The value of the first line "key : value" or "key: value". */
bool host_keyed(const char *text, const char *key, char *to, size_t size);

/* host_cpu.c, host_gpu.c, host_network.c, host_hypervisor.c */
/** Also tells whether this is a virtual machine, as far as the processor knows: -1, 0 or 1. */
int host_collect_cpu(struct host_collect *c);
void host_collect_gpus(struct host_collect *c);
void host_collect_network(struct host_collect *c);
void host_collect_hypervisors(struct host_collect *c);

/* host_packages.c */
/** Upstream's version of the first installed package whose name begins with `prefix`. */
bool host_package_version(struct host_collect *c, const char *prefix, char *version, size_t size);

#endif
