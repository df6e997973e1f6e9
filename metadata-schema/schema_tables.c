/* SPDX-License-Identifier: MIT */
/*
 * Build-time program: from the schemas of the categories to C tables that libvdisk/xml/vocabulary.c
 * takes in: schema_tables CONTENT.xsd HARDWARE.xsd ... > tables.inc
 *
 * The tables hold the schemas' text (xs:include taken in, comments and documentation left out), the
 * tree of elements, and the fields. The schemas are the only source: whatever here can't be told
 * from them, or goes beyond the few constructs that they are written in, ends the build.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/tree.h>

#define XS           "http://www.w3.org/2001/XMLSchema"
#define F            "urn:libvdisk:field:1"

#define MAX_ELEMENTS 512
#define MAX_ATTRS    512
#define MAX_FIELDS   512

struct element {
	xmlNode *node, *type; /* type: inline, or what stands in its place */
	char *name;
	int category, parent, first_child, n_children, first_attr, n_attrs;
	int field, entry, n_fields, key;
	bool repeats;
};
struct attr {
	char *name;
	int field;
	bool is_required;
};
struct field {
	char *name, *type, *choices, *summary;
	int category, element, attr;
	bool is_list, is_derived, is_duration, is_keyed, is_multiline, is_ordered;
};

static struct element elements[MAX_ELEMENTS];
static struct attr attrs[MAX_ATTRS];
static struct field fields[MAX_FIELDS];
static int n_elements, n_attrs, n_fields;
static const char *file;
static xmlNode *schema;

static void die(const xmlNode *node, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s:%ld: ", file, node ? xmlGetLineNo(node) : 0L);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static bool is_xs(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && node->ns &&
	       strcmp((const char *)node->ns->href, XS) == 0 &&
	       strcmp((const char *)node->name, name) == 0;
}

static char *get(xmlNode *node, const char *name)
{
	return (char *)xmlGetNoNsProp(node, (const xmlChar *)name);
}

static char *get_f(xmlNode *node, const char *name)
{
	return (char *)xmlGetNsProp(node, (const xmlChar *)name, (const xmlChar *)F);
}

static bool is_true(char *value)
{
	return value && strcmp(value, "true") == 0;
}

static xmlNode *child(xmlNode *node, const char *name)
{
	for (xmlNode *n = node->children; n; n = n->next) {
		if (is_xs(n, name))
			return n;
	}
	return NULL;
}

/** A type of the schema by its name. */
static xmlNode *find_type(const xmlNode *from, const char *kind, const char *name)
{
	for (xmlNode *n = schema->children; n; n = n->next) {
		char *own = is_xs(n, kind) ? get(n, "name") : NULL;

		if (own && strcmp(own, name) == 0)
			return n;
	}
	if (from)
		die(from, "no %s called %s", kind, name);
	return NULL;
}

/* ---- one text of each schema ---- */

/** What people read is of no use to a validator. */
static void strip(xmlNode *node)
{
	xmlNode *next;

	for (xmlNode *n = node->children; n; n = next) {
		next = n->next;
		if (n->type != XML_ELEMENT_NODE || is_xs(n, "annotation")) {
			xmlUnlinkNode(n);
			xmlFreeNode(n);
		} else {
			strip(n);
		}
	}
}

/** The tables hold these. */
static void strip_fields(xmlNode *node)
{
	xmlAttr *next;

	for (xmlAttr *a = node->properties; a; a = next) {
		next = a->next;
		if (a->ns && strcmp((const char *)a->ns->href, F) == 0)
			xmlRemoveProp(a);
	}
	for (xmlNode *n = node->children; n; n = n->next)
		strip_fields(n);
}

static xmlDoc *read_schema(const char *path)
{
	xmlDoc *doc = xmlReadFile(path, NULL, XML_PARSE_NONET | XML_PARSE_BIG_LINES);
	xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;

	file = path;
	if (!root || !is_xs(root, "schema"))
		die(NULL, "not a schema");
	return doc;
}

/** Put the children of the included schema into the place of xs:include. */
static void include(xmlNode *root, const char *path)
{
	xmlNode *node = child(root, "include"), *copy;
	char *location, beside[4096];
	const char *slash = strrchr(path, '/');
	xmlDoc *doc;

	if (!node)
		return;
	location = get(node, "schemaLocation");
	if (!location)
		die(node, "xs:include without schemaLocation");
	snprintf(beside, sizeof(beside), "%.*s%s", slash ? (int)(slash - path + 1) : 0, path,
		 location);
	doc = read_schema(beside);
	file = path;
	for (xmlNode *n = xmlDocGetRootElement(doc)->children; n; n = n->next) {
		if (n->type != XML_ELEMENT_NODE)
			continue;
		copy = xmlDocCopyNode(n, root->doc, 1);
		xmlAddPrevSibling(node, copy);
	}
	xmlUnlinkNode(node);
	xmlFreeNode(node);
	if (child(root, "include"))
		die(root, "one xs:include is the most");
}

static void print_string(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else if (*s == '\n')
			printf("\\n");
		else if ((unsigned char)*s < ' ')
			printf("\\%03o", (unsigned char)*s);
		else
			putchar(*s);
	}
	putchar('"');
}

static void print_text(xmlDoc *doc, const char *category)
{
	xmlBuffer *buf = xmlBufferCreate();
	const char *s;
	xmlDoc *clean;
	char piece[81];
	size_t n;

	/* Once there and back: what was included brought its own declarations of namespaces. */
	strip_fields(schema);
	xmlNodeDump(buf, doc, schema, 0, 0);
	clean = xmlReadMemory((const char *)xmlBufferContent(buf), xmlBufferLength(buf), NULL, NULL,
			      XML_PARSE_NONET | XML_PARSE_NSCLEAN);
	if (!clean)
		die(schema, "the schema can't be read back");
	xmlBufferEmpty(buf);
	xmlNodeDump(buf, clean, xmlDocGetRootElement(clean), 0, 0);
	xmlFreeDoc(clean);
	s = (const char *)xmlBufferContent(buf);
	printf("static const char text_of_%s[] =\n", category);
	for (; *s; s += n) {
		n = strlen(s) < 80 ? strlen(s) : 80;
		memcpy(piece, s, n);
		piece[n] = '\0';
		putchar('\t');
		print_string(piece);
		putchar('\n');
	}
	printf("\t;\n");
	xmlBufferFree(buf);
}

/* ---- fields ---- */

static char *choices_of(xmlNode *type)
{
	static char list[4096];
	xmlNode *restriction = child(type, "restriction");

	list[0] = '\0';
	for (xmlNode *n = restriction ? restriction->children : NULL; n; n = n->next) {
		if (!is_xs(n, "enumeration"))
			continue;
		if (strlen(list) + strlen(get(n, "value")) + 2 > sizeof(list))
			die(n, "too many choices");
		if (list[0])
			strcat(list, "|");
		strcat(list, get(n, "value"));
	}
	if (!list[0])
		die(type, "a word without choices");
	return strdup(list);
}

static bool is_name(const char *name)
{
	return name && *name >= 'a' && *name <= 'z' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == strlen(name);
}

/** A leaf that carries a field, of the simple type `type`. */
static int add_field(xmlNode *node, xmlNode *type, int element, int attr)
{
	static const char *const known[] = {"text", "word",    "number", "size", "time",
					    "bool", "version", "purl",   "uuid"};
	struct field *f = &fields[n_fields];
	char *unit = get_f(type, "unit"), *lines = get_f(type, "lines");
	bool is_known = false;

	*f = (struct field){.name = get_f(node, "field"), .element = element, .attr = attr};
	if (!f->name) {
		die(node, "this value has no field");
		return -1;
	}
	if (n_fields == MAX_FIELDS || !is_name(f->name))
		die(node, "field %s: too many, or not a name", f->name);
	for (int i = 0; i < n_fields; i++) {
		if (strcmp(fields[i].name, f->name) == 0)
			die(node, "field %s is declared twice", f->name);
	}
	f->type = get_f(type, "type");
	for (size_t i = 0; f->type && i < sizeof(known) / sizeof(*known); i++)
		is_known |= strcmp(known[i], f->type) == 0;
	if (!is_known)
		die(node, "field %s: its type says no f:type that is known", f->name);
	f->summary = get_f(node, "summary");
	if (!f->summary)
		die(node, "field %s has no f:summary", f->name);
	if (strcmp(f->type, "word") == 0)
		f->choices = choices_of(type);
	f->is_derived = is_true(get_f(node, "derived"));
	f->is_keyed = is_true(get_f(node, "keyed"));
	f->is_duration = unit && strcmp(unit, "seconds") == 0;
	f->is_multiline = lines && strcmp(lines, "many") == 0;
	f->is_ordered = is_true(get_f(type, "ordered"));
	f->category = elements[element].category;
	for (int e = element; e >= 0; e = elements[e].parent)
		f->is_list |= elements[e].repeats;
	if (elements[element].entry >= 0)
		elements[elements[element].entry].n_fields++;
	return n_fields++;
}

static void add_attrs(int index, xmlNode *holder)
{
	struct element *e = &elements[index];

	e->first_attr = n_attrs;
	for (xmlNode *n = holder->children; n; n = n->next) {
		struct attr *a = &attrs[n_attrs];
		char *use = get(n, "use"), *type_name = get(n, "type");
		xmlNode *type;

		if (is_xs(n, "attributeGroup") || is_xs(n, "anyAttribute") ||
		    is_xs(n, "sequence") || is_xs(n, "group"))
			continue;
		if (!is_xs(n, "attribute") || n_attrs == MAX_ATTRS)
			die(n, "%s: too much for the tables", (const char *)n->name);
		type = type_name ? find_type(n, "simpleType", type_name) : child(n, "simpleType");
		if (!type)
			die(n, "an attribute without a type");
		*a = (struct attr){.name = get(n, "name"),
				   .is_required = use && strcmp(use, "required") == 0};
		a->field = add_field(n, type, index, e->n_attrs);
		if (a->is_required && e->repeats && e->key < 0)
			e->key = a->field;
		n_attrs++;
		e->n_attrs++;
	}
}

static int add_element(xmlNode *node, int category, int parent)
{
	struct element *e = &elements[n_elements];
	char *most = get(node, "maxOccurs");

	if (n_elements == MAX_ELEMENTS)
		die(node, "too many elements");
	*e = (struct element){.node = node,
			      .name = get(node, "name"),
			      .category = category,
			      .parent = parent,
			      .field = -1,
			      .entry = -1,
			      .key = -1};
	if (!e->name || (most && strcmp(most, "unbounded") != 0))
		die(node, "an element without a name, or with a maxOccurs but unbounded");
	e->repeats = most != NULL;
	if (parent >= 0)
		e->entry = elements[parent].entry;
	if (e->entry < 0 && e->repeats)
		e->entry = n_elements;
	return n_elements++;
}

/** Attributes and text of an element now; its children behind all that are known so far. */
static void expand(int index)
{
	struct element *e = &elements[index];
	char *type_name = get(e->node, "type"), *base;
	xmlNode *type = type_name ? find_type(e->node, "complexType", type_name)
				  : child(e->node, "complexType");
	xmlNode *content, *sequence;

	if (!type)
		die(e->node, "%s: only complex types, so that vendors may add attributes", e->name);
	content = child(type, "simpleContent");
	if (content) {
		content = child(content, "extension");
		base = content ? get(content, "base") : NULL;
		if (!base) {
			die(e->node, "%s: simple content that extends nothing", e->name);
			return;
		}
		e->field = add_field(e->node, find_type(e->node, "simpleType", base), index, -1);
		if (e->repeats)
			e->key = e->field;
		add_attrs(index, content);
		return;
	}
	add_attrs(index, type);
	sequence = child(type, "sequence");
	e->first_child = n_elements;
	for (xmlNode *n = sequence ? sequence->children : NULL; n; n = n->next) {
		if (is_xs(n, "group"))
			continue;
		if (!is_xs(n, "element"))
			die(n, "%s: too much for the tables", (const char *)n->name);
		add_element(n, e->category, index);
		e->n_children++;
	}
}

/* ---- output ---- */

static void print_elements(void)
{
	printf("static const struct schema_attr attrs[] = {\n");
	for (int i = 0; i < n_attrs; i++)
		printf("\t{\"%s\", %d, %s},\n", attrs[i].name, attrs[i].field,
		       attrs[i].is_required ? "true" : "false");
	printf("};\n\nstatic const struct schema_element elements[] = {\n");
	for (int i = 0; i < n_elements; i++) {
		struct element *e = &elements[i];

		printf("\t{\"%s\", %d, %d, %d, %d, %d, %d, %d, %s, %s},\n", e->name, e->parent,
		       e->first_child, e->n_children, e->first_attr, e->n_attrs, e->field, e->key,
		       e->repeats ? "true" : "false",
		       e->entry == i && e->n_fields > 1 ? "true" : "false");
	}
	printf("};\n\n");
}

static int by_name(const void *a, const void *b)
{
	return strcmp(fields[*(const int *)a].name, fields[*(const int *)b].name);
}

/** The fields by their names, for looking up. */
static void print_order(void)
{
	int order[MAX_FIELDS];

	for (int i = 0; i < n_fields; i++)
		order[i] = i;
	qsort(order, (size_t)n_fields, sizeof(*order), by_name);
	printf("static const int16_t fields_by_name[] = {");
	for (int i = 0; i < n_fields; i++)
		printf("%s%d,", i % 16 ? " " : "\n\t", order[i]);
	printf("\n};\n");
}

static void print_fields(void)
{
	printf("static const struct schema_field fields[] = {\n");
	for (int i = 0; i < n_fields; i++) {
		struct field *f = &fields[i];

		printf("\t{{\"%s\", VD_FIELD_", f->name);
		for (const char *t = f->type; *t; t++)
			putchar(*t - 'a' + 'A');
		printf(", &categories[%d].category, %s, %s,\n\t  ", f->category,
		       f->is_list ? "true" : "false", f->is_derived ? "true" : "false");
		if (f->choices)
			print_string(f->choices);
		else
			printf("NULL");
		printf(", ");
		print_string(f->summary);
		printf("},\n\t %d, %d, %s, %s, %s, %s},\n", f->element, f->attr,
		       f->is_duration ? "true" : "false", f->is_keyed ? "true" : "false",
		       f->is_multiline ? "true" : "false", f->is_ordered ? "true" : "false");
	}
	printf("};\n\n");
	print_order();
}

int main(int argc, char **argv)
{
	static char categories[65536];
	size_t len = 0;

	printf("/* Made from the schemas by metadata-schema/schema_tables.c. */\n");
	for (int i = 1; i < argc; i++) {
		xmlDoc *doc = read_schema(argv[i]);
		xmlNode *root;
		char *scope, *summary, *space;
		int first = n_elements;

		schema = xmlDocGetRootElement(doc);
		include(schema, argv[i]);
		strip(schema);
		root = child(schema, "element");
		space = get(schema, "targetNamespace");
		scope = root ? get_f(root, "scope") : NULL;
		summary = root ? get_f(root, "summary") : NULL;
		if (!root || !space || !scope || !summary) {
			die(root, "no root element with f:scope and f:summary");
			return 1;
		}
		add_element(root, i - 1, -1);
		for (int e = first; e < n_elements; e++)
			expand(e);
		print_text(doc, elements[first].name);
		len += (size_t)snprintf(categories + len, sizeof(categories) - len,
					"\t{{\"%s\", \"%s\", \"%s\", %s}, text_of_%s, "
					"sizeof(text_of_%s) - 1, %d},\n",
					elements[first].name, space, summary,
					strcmp(scope, "disk") == 0 ? "true" : "false",
					elements[first].name, elements[first].name, first);
		if (len >= sizeof(categories))
			die(root, "too many categories");
	}
	printf("\nstatic const struct schema_category categories[] = {\n%s};\n\n", categories);
	print_elements();
	print_fields();
	return fflush(stdout) || ferror(stdout) ? 1 : 0;
}
