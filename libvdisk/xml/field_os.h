/* SPDX-License-Identifier: MIT */
/* How the fields os.* and host.os.* are named: out of os-release, in libosinfo's words. Shared by
 * the scan of an image and the facts of a host. */
#ifndef VD_XML_FIELD_OS_H
#define VD_XML_FIELD_OS_H

#include <stdbool.h>
#include <stddef.h>

/** The value of KEY= in the style of os-release, what a shell would make of it: quotes and
 *  backslashes are gone. As it stands there otherwise. False: not there. */
bool vd_os_release_value(const char *text, const char *key, char *to, size_t size);
/** The short id that libosinfo gives a system: "debian12". `name`: NAME of os-release. */
void vd_os_release_id(const char *distro, const char *version, const char *name, char *to,
		      size_t size);

#endif
