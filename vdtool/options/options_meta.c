/* SPDX-License-Identifier: MIT */
/* The table's part about metadata: `meta` with its verbs, tag, log, fields; see options.h. */
#include "option_rows.h"

/* What every command on an image's metadata takes. */
#define READING SIDECAR, SOURCE_FORMAT(0), JSON, QUIET, HELP
#define EDITING ACTOR, POLICED, READING
#define KIND                                                                                       \
	{                                                                                          \
		OPT_KIND, 0, VALUE_CHOICE, "kind", "configuration|state|none",                     \
		    "document naming it (default configuration)", NULL                             \
	}

const struct tool_option tool_no_options[] = {HELP, END};
const struct tool_option tool_tag_options[] = {EDITING, END};
const struct tool_option tool_log_options[] = {
    {OPT_VERIFY, 0, VALUE_NONE, "verify", NULL, "check the chain; exit 3 if it is broken", NULL},
    READING,
    END,
};
const struct tool_option tool_fields_options[] = {JSON, QUIET, HELP, END};

static const struct tool_option reading_options[] = {READING, END};
static const struct tool_option editing_options[] = {EDITING, END};
static const struct tool_option import_options[] = {
    {OPT_FORCE, 0, VALUE_NONE, "force", NULL, "take in files that were changed since the export",
     NULL},
    EDITING,
    END,
};
static const struct tool_option validate_options[] = {
    {OPT_DOCUMENT, 0, VALUE_NONE, "document", NULL, "check XML files instead of images", NULL},
    READING,
    END,
};
static const struct tool_option diff_options[] = {SOURCE_FORMAT(0), JSON, QUIET, HELP, END};
static const struct tool_option attach_options[] = {
    {OPT_NAME, 0, VALUE_TEXT, "name", "NAME", "what it is called in the image (default: FILE)",
     "A relative path without \"..\". The default is the last part of FILE's name."},
    KIND,
    {OPT_MEDIA_TYPE, 0, VALUE_TEXT, "media-type", "TYPE", "its media type (default: by its name)",
     NULL},
    {OPT_BY_REFERENCE, 0, VALUE_NONE, "by-reference", NULL,
     "store name, size, digest; FILE stays outside", NULL},
    EDITING,
    END,
};
static const struct tool_option strip_options[] = {POLICED, READING, END};
static const struct tool_option export_options[] = {POLICED, READING, END};
static const struct tool_option extract_options[] = {FORCE, POLICED, READING, END};
static const struct tool_option scan_options[] = {
    {OPT_FILES, 0, VALUE_NONE, "files", NULL, "also attach an index of all files", NULL},
    {OPT_DIGESTS, 0, VALUE_NONE, "digests", NULL, "with --files: SHA-256 of each regular file",
     "Reads the content of all files."},
    PARENT_ROOT,
    EDITING,
    END,
};

#define VERB(name, operands, n_min, n_max, summary, text, options, run)                            \
	{                                                                                          \
		"meta " name, operands, n_min, n_max, summary, text, options, run, NULL, NULL,     \
		    false                                                                          \
	}

const struct tool_command tool_meta_verbs[] = {
    VERB("get", "IMAGE CATEGORY|FIELD", 2, 2, "a document, or the values of a field",
	 "A category's name, or a vendor's namespace, gives the XML of that document; a field its "
	 "values, one a line; FIELD.* the values of all fields below.",
	 reading_options, cmd_meta_get),
    VERB("set", "IMAGE CATEGORY FILE | IMAGE FIELD=VALUE...", 2, -1,
	 "store a document, or set fields",
	 "With FIELD=VALUE the field gets that value, in place of others; FIELD+=VALUE adds one to "
	 "a "
	 "list, FIELD-=VALUE removes one. Values are checked by the field's type: 4G, +90d and "
	 "2027-01-31 are understood. A document is checked against its schema first; - is standard "
	 "input. All of it is stored, or nothing.",
	 editing_options, cmd_meta_set),
    VERB("remove", "IMAGE CATEGORY|FIELD|attachment:NAME...", 2, -1,
	 "take away documents, fields, attachments", "Everything else in the document stays.",
	 editing_options, cmd_meta_remove),
    VERB("list", "IMAGE...", 1, -1, "what is stored, with sizes and digests",
	 "Also items of other programs (foreign), which are kept as they are, and what is damaged.",
	 reading_options, cmd_meta_list),
    VERB("edit", "IMAGE CATEGORY", 2, 2, "change a document in an editor",
	 "Opens $VISUAL, or $EDITOR, or vi. What doesn't fit the schema is told, and can be edited "
	 "again; a text that isn't stored in the end is left in a file, which is named. The image "
	 "isn't held meanwhile: a document that somebody else changed isn't overwritten.",
	 editing_options, cmd_meta_edit),
    VERB("validate", "IMAGE...", 1, -1, "check documents, digests and facts",
	 "Documents against their schemas, every record against its digest, and the facts that "
	 "`search` and `inspect` use against the documents. Exit 3 if something is wrong.",
	 validate_options, cmd_meta_validate),
    VERB("export", "IMAGE DIR", 2, 2, "write everything to a folder",
	 "Makes DIR with a file for each document and each attachment, the history as JSON, and "
	 "manifest.json, which says what is what. DIR must not exist.",
	 export_options, cmd_meta_export),
    VERB("import", "IMAGE DIR", 2, 2, "take in what meta export wrote",
	 "Stores the documents and attachments that DIR/manifest.json names; a file that was "
	 "changed since the export is refused. Others in the image stay. The history isn't taken "
	 "over: the import is an entry "
	 "in that of IMAGE.",
	 import_options, cmd_meta_import),
    VERB("strip", "IMAGE...", 1, -1, "remove all metadata of ours, with the history",
	 "Items of other programs stay. For programs that refuse images with items that they don't "
	 "know.",
	 strip_options, cmd_meta_strip),
    VERB("attach", "IMAGE FILE", 2, 2, "store a file in the image",
	 "- is standard input. A libvirt domain XML also fills the fields of hardware and network. "
	 "A file that looks like it holds a private key is stored with a warning.",
	 attach_options, cmd_meta_attach),
    VERB("extract", "IMAGE NAME [FILE]", 2, 3, "get an attached file back",
	 "FILE is the last part of NAME unless given; - is standard output. Its digest is checked "
	 "before the file gets its name.",
	 extract_options, cmd_meta_extract),
    VERB("scan", "IMAGE...", 1, -1, "find out what is on the disk, and store that",
	 "Reads partitions, file systems, the guest's OS and its packages from the disk, without "
	 "running or mounting anything. Replaces only what an earlier scan stored. What can't be "
	 "read is said.",
	 scan_options, cmd_meta_scan),
    VERB("diff", "A B", 2, 2, "compare the metadata of two images",
	 "Prints the values of fields that only A (-) or only B (+) has, and documents and "
	 "attachments that differ. Exit 6 if there is a difference.",
	 diff_options, cmd_meta_diff),
    {NULL, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, false},
};
