/* SPDX-License-Identifier: MIT */
/* See fuse_options.h. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuse_options.h"
#include "log.h"

#define USAGE 2

/* What fstab holds for mount(8) and the init system, and means nothing here. */
static const char *const ignored[] = {"defaults", "auto",   "noauto",   "user",  "nouser",
				      "users",    "owner",  "noowner",  "group", "nogroup",
				      "_netdev",  "nofail", "nonempty", NULL};
/* What the kernel or libfuse understands. */
static const char *const passed_on[] = {
    "dev",     "nodev",        "suid",        "nosuid",     "exec",       "noexec", "atime",
    "noatime", "diratime",     "relatime",    "norelatime", "nodiratime", "sync",   "async",
    "dirsync", "auto_unmount", "strictatime", "lazytime",   "nolazytime", NULL};

static bool is_in(const char *const *list, const char *name)
{
	for (; *list; list++)
		if (!strcmp(*list, name))
			return true;
	return false;
}

static char *keep(struct fuse_options *o, const char *text)
{
	char **kept = realloc(o->kept, (o->n_kept + 1) * sizeof(*kept));

	if (!kept)
		return NULL;
	o->kept = kept;
	return kept[o->n_kept++] = strdup(text);
}

/** A text into `to`. What was said mustn't count as not said for want of memory. */
static int keep_as(struct fuse_options *o, const char **to, const char *text)
{
	*to = keep(o, text);
	if (*to)
		return 0;
	log_error("out of memory");
	return 1;
}

static int add_parent_root(struct fuse_options *o, const char *text)
{
	char **roots = realloc(o->parent_roots, (o->n_parent_roots + 1) * sizeof(*roots));
	char *own = keep(o, text);

	if (!roots || !own) {
		log_error("out of memory");
		return 1;
	}
	o->parent_roots = roots;
	roots[o->n_parent_roots++] = own;
	return 0;
}

static int pass_on(struct fuse_options *o, const char *text)
{
	size_t len = o->pass_on ? strlen(o->pass_on) : 0;
	char *longer = realloc(o->pass_on, len + strlen(text) + 2);

	if (!longer) {
		log_error("out of memory");
		return 1;
	}
	o->pass_on = longer;
	if (len)
		longer[len++] = ',';
	strcpy(longer + len, text);
	return 0;
}

static int parse_number(const char *name, const char *value, int base, unsigned long max,
			unsigned long *number)
{
	char *end;

	errno = 0;
	*number = strtoul(value, &end, base);
	if (!errno && end != value && !*end && value[0] != '-' && *number <= max)
		return 0;
	log_error("option %s: \"%s\" isn't a number that it can have", name, value);
	return USAGE;
}

/* Options with a value. USAGE + 1: not one of them. */
static int take_value(struct fuse_options *o, const char *name, const char *value)
{
	unsigned long number = 0;
	int rc = 0;

	if (!strcmp(name, "uid")) {
		rc = parse_number(name, value, 10, UINT_MAX - 1, &number);
		o->uid = (uid_t)number;
	} else if (!strcmp(name, "gid")) {
		rc = parse_number(name, value, 10, UINT_MAX - 1, &number);
		o->gid = (gid_t)number;
	} else if (!strcmp(name, "umask")) {
		rc = parse_number(name, value, 8, 0777, &number);
		o->umask = (mode_t)number;
	} else if (!strcmp(name, "threads")) {
		rc = parse_number(name, value, 10, 256, &number);
		o->n_threads = (unsigned int)number;
	} else if (!strcmp(name, "parent-root") || !strcmp(name, "parent_root")) {
		rc = add_parent_root(o, value);
	} else if (!strcmp(name, "format")) {
		rc = keep_as(o, &o->format, value);
	} else if (!strcmp(name, "sidecar")) {
		rc = keep_as(o, &o->sidecar_dir, value);
	} else if (!strcmp(name, "policy")) {
		rc = keep_as(o, &o->policy_dir, value);
	} else if (!strcmp(name, "override")) {
		rc = keep_as(o, &o->override_reason, value);
	} else if (!strcmp(name, "fsname")) {
		rc = keep_as(o, &o->source, value);
	} else if (!strncmp(name, "x-", 2) || !strncmp(name, "X-", 2) || !strcmp(name, "comment") ||
		   !strcmp(name, "subtype")) {
		return 0;
	} else {
		return USAGE + 1;
	}
	return rc;
}

static int take_word(struct fuse_options *o, const char *name)
{
	if (!strcmp(name, "rw"))
		o->is_writable = true;
	else if (!strcmp(name, "ro"))
		o->is_writable = false;
	else if (!strcmp(name, "allow_other"))
		o->allow_other = true;
	else if (!strcmp(name, "direct_io"))
		o->direct_io = true;
	else if (!strcmp(name, "no_splice"))
		o->no_splice = true;
	else if (!strcmp(name, "no_control"))
		o->no_control = true;
	else if (!strcmp(name, "debug"))
		o->is_debugging = o->is_foreground = true;
	else if (is_in(passed_on, name))
		return pass_on(o, name);
	else if (!is_in(ignored, name) && strcmp(name, "default_permissions") &&
		 strncmp(name, "x-", 2) && strncmp(name, "X-", 2))
		return USAGE + 1;
	return 0;
}

static int take_option(struct fuse_options *o, char *option)
{
	char *value = strchr(option, '=');
	int rc;

	if (!*option)
		return 0;
	if (value)
		*value++ = '\0';
	rc = value ? take_value(o, option, value) : take_word(o, option);
	if (rc == USAGE + 1) {
		log_error("there is no option \"%s\"%s", option, value ? " with a value" : "");
		return USAGE;
	}
	return rc;
}

/* "a,b=c\,d": a backslash keeps a comma or a backslash within a value. */
static int take_options(struct fuse_options *o, const char *text)
{
	char *option = malloc(strlen(text) + 1), *to = option;
	int rc = 0;

	if (!option) {
		log_error("out of memory");
		return 1;
	}
	for (;; text++) {
		if (*text == '\\' && (text[1] == ',' || text[1] == '\\')) {
			*to++ = *++text;
			continue;
		}
		if (*text && *text != ',') {
			*to++ = *text;
			continue;
		}
		*to = '\0';
		rc = take_option(o, option);
		to = option;
		if (rc || !*text)
			break;
	}
	free(option);
	return rc;
}

static int take_operands(struct fuse_options *o, int argc, char **argv)
{
	if (o->wants_help || o->wants_version)
		return 0;
	if (argc - optind != 2) {
		log_error("an image and a mount point are wanted; try vdfuse --help");
		return USAGE;
	}
	o->image = argv[optind];
	o->mount_point = argv[optind + 1];
	return 0;
}

int fuse_options_parse(struct fuse_options *o, int argc, char **argv)
{
	static const struct option long_options[] = {
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'},
	    {"foreground", no_argument, NULL, 'f'},
	    {"options", required_argument, NULL, 'o'},
	    {"parent-root", required_argument, NULL, 'P'},
	    {"source-format", required_argument, NULL, 'F'},
	    {"policy", required_argument, NULL, 'R'},
	    {"override", required_argument, NULL, 'O'},
	    {NULL, 0, NULL, 0},
	};
	int c, rc = 0;

	*o = (struct fuse_options){.uid = getuid(), .gid = getgid(), .umask = 077};
	while (!rc && (c = getopt_long(argc, argv, "hVfdo:", long_options, NULL)) != -1) {
		if (c == 'h')
			o->wants_help = true;
		else if (c == 'V')
			o->wants_version = true;
		else if (c == 'f')
			o->is_foreground = true;
		else if (c == 'd')
			o->is_foreground = o->is_debugging = true;
		else if (c == 'o')
			rc = take_options(o, optarg);
		else if (c == 'P')
			rc = add_parent_root(o, optarg);
		else if (c == 'F')
			rc = keep_as(o, &o->format, optarg);
		else if (c == 'R')
			rc = keep_as(o, &o->policy_dir, optarg);
		else if (c == 'O')
			rc = keep_as(o, &o->override_reason, optarg);
		else
			rc = USAGE;
	}
	return rc ? rc : take_operands(o, argc, argv);
}

void fuse_options_free(struct fuse_options *o)
{
	for (size_t i = 0; i < o->n_kept; i++)
		free(o->kept[i]);
	free(o->kept);
	free(o->parent_roots);
	free(o->pass_on);
}
