/* SPDX-License-Identifier: MIT */
/* See libvirt.h. Only what our vocabulary has a word for is looked at; the rest is passed over. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <libxml/tree.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "xml/doc_tree.h"
#include "xml/libvirt.h"

#define MAX_NICS 64

struct domain {
	vd_value_fn fn;
	void *user;
	int ret; /* of fn, once it isn't 0 */
	struct vd_doc *network;
	unsigned n_nics;
};

static void free_doc(struct vd_doc **doc)
{
	vd_doc_free(*doc);
}

/** Domains have no namespace; elements of others (qemu:commandline) are no matter here. */
static bool is_named(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && !node->ns &&
	       strcmp((const char *)node->name, name) == 0;
}

static xmlNode *child_of(const xmlNode *node, const char *name)
{
	for (xmlNode *child = node ? node->children : NULL; child; child = child->next) {
		if (is_named(child, name))
			return child;
	}
	return NULL;
}

/** Value of an attribute, cut to the buffer; "" if it isn't there. */
static const char *attr_of(const xmlNode *node, const char *name, char *text, size_t size)
{
	const xmlAttr *attr = node ? xmlHasProp(node, (const xmlChar *)name) : NULL;
	VD_AUTO_FREE char *own = NULL;
	const char *value = attr ? vd_node_text(attr->children, &own) : NULL;
	size_t len = value ? strlen(value) : 0;

	text[0] = '\0';
	if (len < size)
		memcpy(text, value ? value : "", len + 1);
	return text;
}

/** Text of an element without the blanks around it; "" if it is longer than the buffer. */
static const char *text_of(const xmlNode *node, char *text, size_t size)
{
	VD_AUTO_FREE char *own = NULL;
	const char *value = node ? vd_node_text(node->children, &own) : NULL;
	size_t len;

	text[0] = '\0';
	if (!value)
		return text;
	value += strspn(value, " \t\r\n");
	len = strlen(value);
	while (len && strchr(" \t\r\n", value[len - 1]))
		len--;
	if (len < size) {
		memcpy(text, value, len);
		text[len] = '\0';
	}
	return text;
}

static void tell(struct domain *domain, const char *field, const char *value)
{
	if (*value && !domain->ret)
		domain->ret = domain->fn(domain->user, field, value);
}

/** Bytes of a unit of libvirt's; 0: it has no such one. */
static uint64_t unit_bytes(const char *unit)
{
	static const struct {
		const char *name;
		uint64_t bytes;
	} units[] = {
	    {"", 1024},
	    {"k", 1024},
	    {"KiB", 1024},
	    {"b", 1},
	    {"bytes", 1},
	    {"KB", 1000},
	    {"M", 1u << 20},
	    {"MiB", 1u << 20},
	    {"MB", 1000000},
	    {"G", 1u << 30},
	    {"GiB", 1u << 30},
	    {"GB", 1000000000},
	    {"T", UINT64_C(1) << 40},
	    {"TiB", UINT64_C(1) << 40},
	    {"TB", UINT64_C(1000000000000)},
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(unit, units[i].name) == 0)
			return units[i].bytes;
	}
	return 0;
}

static bool is_number(const char *text)
{
	return *text && strlen(text) <= 15 && text[strspn(text, "0123456789")] == '\0';
}

static void read_memory(struct domain *domain, const xmlNode *root)
{
	const xmlNode *memory = child_of(root, "memory");
	char text[64], unit[16];
	uint64_t n, factor;

	if (!is_number(text_of(memory, text, sizeof(text))))
		return;
	factor = unit_bytes(attr_of(memory, "unit", unit, sizeof(unit)));
	n = strtoull(text, NULL, 10);
	if (!factor || n > INT64_MAX / factor)
		return;
	snprintf(text, sizeof(text), "%" PRIu64, n * factor);
	tell(domain, "hardware.memory", text);
}

static void read_cpu(struct domain *domain, const xmlNode *root)
{
	const xmlNode *cpu = child_of(root, "cpu");
	char text[128];

	if (is_number(text_of(child_of(root, "vcpu"), text, sizeof(text))))
		tell(domain, "hardware.cpu.count", text);
	tell(domain, "hardware.cpu.model", text_of(child_of(cpu, "model"), text, sizeof(text)));
	for (const xmlNode *f = cpu ? cpu->children : NULL; f; f = f->next) {
		if (is_named(f, "feature") &&
		    strcmp(attr_of(f, "policy", text, sizeof(text)), "require") == 0)
			tell(domain, "hardware.cpu.feature",
			     attr_of(f, "name", text, sizeof(text)));
	}
}

static void read_os(struct domain *domain, const xmlNode *root)
{
	const xmlNode *os = child_of(root, "os"), *type = child_of(os, "type");
	const xmlNode *loader = child_of(os, "loader");
	char text[128];

	tell(domain, "hardware.arch", attr_of(type, "arch", text, sizeof(text)));
	tell(domain, "hardware.machine", attr_of(type, "machine", text, sizeof(text)));
	attr_of(os, "firmware", text, sizeof(text));
	if (!*text && strcmp(attr_of(loader, "type", text, sizeof(text)), "pflash") == 0)
		strcpy(text, "efi");
	if (strcmp(text, "efi") == 0 || strcmp(text, "bios") == 0)
		tell(domain, "hardware.firmware", text);
	attr_of(loader, "secure", text, sizeof(text));
	if (strcmp(text, "yes") == 0 || strcmp(text, "no") == 0)
		tell(domain, "hardware.secure-boot", *text == 'y' ? "true" : "false");
}

static bool is_mac(const char *text)
{
	for (int i = 0; i < 17; i++) {
		bool is_colon = i % 3 == 2;

		if (!text[i] ||
		    (is_colon ? text[i] != ':' : !strchr("0123456789abcdefABCDEF", text[i])))
			return false;
	}
	return text[17] == '\0';
}

static void set_attr(xmlNode *node, const char *name, const char *value)
{
	if (*value)
		xmlNewProp(node, (const xmlChar *)name, (const xmlChar *)value);
}

/** An interface becomes an entry of the network document. */
static int read_nic(struct domain *domain, const xmlNode *interface, struct vd_error *err)
{
	const xmlNode *source = child_of(interface, "source");
	char model[64], text[256];
	xmlNode *root, *nic;
	int ret = 0;

	attr_of(child_of(interface, "model"), "type", model, sizeof(model));
	tell(domain, "hardware.nic.model", model);
	if (domain->n_nics == MAX_NICS)
		return 0;
	if (!domain->network)
		ret = vd_doc_create(&domain->network, vd_category_find("network"), err);
	if (ret)
		return ret;
	root = xmlDocGetRootElement(domain->network->xml);
	nic = xmlNewChild(root, root->ns, (const xmlChar *)"nic", NULL);
	if (!nic || !nic->name)
		return vd_no_memory(err, sizeof(*nic), "a document");
	snprintf(text, sizeof(text), "nic%u", domain->n_nics++);
	set_attr(nic, "name", text);
	if (is_mac(attr_of(child_of(interface, "mac"), "address", text, sizeof(text))))
		set_attr(nic, "mac", text);
	set_attr(nic, "model", model);
	attr_of(source, "network", text, sizeof(text));
	if (!*text)
		attr_of(source, "bridge", text, sizeof(text));
	set_attr(nic, "network", text);
	return 0;
}

static int read_devices(struct domain *domain, const xmlNode *root, struct vd_error *err)
{
	const xmlNode *devices = child_of(root, "devices");
	char text[64];
	int ret = 0;

	for (const xmlNode *d = devices ? devices->children : NULL; d && !ret; d = d->next) {
		if (is_named(d, "disk") &&
		    strcmp(attr_of(d, "device", text, sizeof(text)), "cdrom") != 0 &&
		    strcmp(text, "floppy") != 0)
			tell(domain, "hardware.disk.bus",
			     attr_of(child_of(d, "target"), "bus", text, sizeof(text)));
		else if (is_named(d, "interface"))
			ret = read_nic(domain, d, err);
		else if (is_named(d, "tpm"))
			tell(domain, "hardware.tpm",
			     attr_of(child_of(d, "backend"), "version", text, sizeof(text)));
	}
	return ret;
}

int vd_libvirt_read(const char *bytes, size_t len, vd_value_fn fn, void *user, char **network,
		    size_t *network_len, struct vd_error *err)
{
	__attribute__((cleanup(free_doc))) struct vd_doc *doc = NULL;
	struct domain domain = {.fn = fn, .user = user};
	VD_AUTO_QUIET struct vd_quiet quiet;
	const xmlNode *root;
	int ret = vd_doc_parse(&doc, bytes, len, err);

	vd_quiet_begin(&quiet);
	*network = NULL;
	*network_len = 0;
	if (ret)
		return ret;
	root = xmlDocGetRootElement(doc->xml);
	if (!is_named(root, "domain"))
		return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET,
				    "the root element isn't a libvirt domain");
	read_memory(&domain, root);
	read_cpu(&domain, root);
	read_os(&domain, root);
	ret = read_devices(&domain, root, err);
	if (!ret && !domain.ret && quiet.is_out)
		ret = vd_no_memory(err, len, "a domain");
	if (!ret && !domain.ret && domain.network)
		ret = vd_doc_format(domain.network, network, network_len, err);
	vd_doc_free(domain.network);
	return ret ? ret : domain.ret;
}
