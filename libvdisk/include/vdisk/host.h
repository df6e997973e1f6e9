/* SPDX-License-Identifier: MIT */
/*
 * host.h - what a host is and has: architecture, processor, memory, OS, hypervisors, GPUs,
 * networks.
 *
 * Collected from the kernel's files, or read from a text that stands for another machine. As facts
 * of the fields host.* (vdisk/query.h), which policies ask. A host is immutable once it is made:
 * any number of threads may use it.
 */
#ifndef VDISK_HOST_H
#define VDISK_HOST_H

#include <stddef.h>
#include <stdint.h>

#include <vdisk/error.h>
#include <vdisk/meta.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vd_host;

/** Options of vd_host_collect. NULL: this machine. */
struct vd_host_opts {
	uint32_t size;    /**< sizeof(struct vd_host_opts) */
	const char *root; /**< a folder that is looked into instead of "/" (its proc, sys, etc ...),
			     which then says everything: the kernel isn't asked; NULL: "/" */
};
/**
 * This machine's facts. Starts no program and needs no privileges: what can't be read is left out.
 * *out is the caller's, to be given back by vd_host_free. Errors: VD_ENOMEM, VD_EINVAL.
 */
VD_API int vd_host_collect(struct vd_host **out, const struct vd_host_opts *opts,
			   struct vd_error *err);
/**
 * Facts of a machine from a text, as vd_host_format writes them: a line "field = value" for each,
 * "#" begins a comment, an empty line ends an entry (a hypervisor, a GPU, a network card). UTF-8,
 * at most 1 MiB. VD_EINVAL with the line: no such field, or a value that isn't of its type.
 */
VD_API int vd_host_parse(struct vd_host **out, const char *text, size_t len, struct vd_error *err);
/** NULL is allowed. */
VD_API void vd_host_free(struct vd_host *host);
/** Its facts, sorted as those of images. Borrowed until vd_host_free. */
VD_API const struct vd_fact *vd_host_facts(const struct vd_host *host, size_t *n);
/** As text for vd_host_parse. *text is the caller's (vd_meta_free); a NUL follows it. */
VD_API int vd_host_format(const struct vd_host *host, char **text, size_t *len,
			  struct vd_error *err);

#ifdef __cplusplus
}
#endif
#endif
