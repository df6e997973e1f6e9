/* SPDX-License-Identifier: MIT */
/* What a libvirt domain says of the machine that a disk wants, in our fields. */
#ifndef VD_XML_LIBVIRT_H
#define VD_XML_LIBVIRT_H

#include <vdisk/meta.h>

/**
 * Read a domain (https://libvirt.org/formatdomain.html) as safely as documents are read. Values of
 * "hardware.*" go to `fn`, in no particular order; a non-zero answer ends it. *network becomes a
 * document of the category "network", or NULL if the domain has no interfaces; vd_free. VD_ENOENT:
 * it is something else; VD_ECORRUPT: no XML.
 */
int vd_libvirt_read(const char *bytes, size_t len, vd_value_fn fn, void *user, char **network,
		    size_t *network_len, struct vd_error *err);

#endif
