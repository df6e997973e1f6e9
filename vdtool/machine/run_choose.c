/* SPDX-License-Identifier: MIT */
/* From what an image says, and a host has, to a machine. Each alternative of the hardware is tried;
 * the one that fits the host best is taken, the first of equals. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "run.h"

#define CPUS_MAX         1024u
#define MEMORY_USUAL_MIB 1024u
#define MEMORY_MAX_MIB   (16u << 20)

void run_note(struct run_machine *m, const char *fmt, ...)
{
	char text[400];
	va_list ap;
	json_t *holder;

	if (m->is_try)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	tool_note("%s", text);
	holder = json_object();
	tool_json_set_text(holder, "note", text);
	json_array_append(m->notes, json_object_get(holder, "note"));
	json_decref(holder);
}

int run_wrong(struct run_machine *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!m->wrong[0])
		vsnprintf(m->wrong, sizeof(m->wrong), fmt, ap);
	va_end(ap);
	return -1;
}

/** A machine that is being chosen. */
struct choosing {
	struct run_machine *m;
	const struct tool_facts *image, *host;
	const struct tool_args *args;
	uint32_t group; /* of the alternative; 0: there is none */
	unsigned n_unmet;
};

/** What the alternative says; NULL: nothing. */
static const char *asked(const struct choosing *c, const char *field)
{
	const struct vd_fact *fact;

	for (size_t at = 0; c->group && (fact = tool_fact_next(c->image, field, &at));)
		if (fact->group == c->group)
			return fact->value;
	return NULL;
}

static const char *host_value(const struct choosing *c, const char *field)
{
	return tool_fact_value(c->host, field);
}

static void unmet(struct choosing *c, unsigned weight, const char *what)
{
	c->n_unmet += weight;
	run_note(c->m, "%s", what);
}

static bool host_has(const struct choosing *c, const char *field, const char *value)
{
	const struct vd_fact *fact;

	for (size_t at = 0; (fact = tool_fact_next(c->host, field, &at));)
		if (run_is_same_name(fact->value, value))
			return true;
	return false;
}

/* ---- parts of the machine ---- */

static int choose_arch(struct choosing *c)
{
	const char *of_host = host_value(c, "host.arch"), *arch = asked(c, "hardware.arch");
	const char *accel = c->args->text[OPT_ACCEL];
	bool is_native, can_kvm;

	if (!arch) {
		arch = tool_fact_value(c->image, "os.arch");
		if (!arch)
			arch = of_host ? of_host : "x86_64";
		run_note(c->m, "the image asks for no architecture: taking %.20s", arch);
	}
	c->m->arch = run_arch_find(arch);
	if (!c->m->arch)
		return run_wrong(c->m, "hardware.arch \"%.40s\" isn't one of %s", arch,
				 run_arch_names());
	is_native = of_host && (run_arch_find(of_host) == c->m->arch ||
				(c->m->arch->is_32bit && strcmp(of_host, "x86_64") == 0));
	can_kvm = is_native && host_has(c, "host.hypervisor", "kvm");
	if (!is_native)
		c->n_unmet += 1000;
	if (accel && strcmp(accel, "kvm") == 0 && !is_native)
		return run_wrong(c->m, "--accel kvm: the host is %.40s, the machine %s; use tcg",
				 of_host ? of_host : "unknown", c->m->arch->name);
	c->m->is_kvm = accel ? strcmp(accel, "kvm") == 0 : can_kvm;
	if (!accel && !can_kvm)
		run_note(c->m, "the host has no KVM for %s: it is emulated, slowly (tcg)",
			 c->m->arch->name);
	return 0;
}

/** Only old machines have an IDE bus; that matters if a disk takes nothing else. */
static bool takes_only_ide(const struct choosing *c)
{
	const struct vd_fact *bus;
	bool has_ide = false;

	for (size_t at = 0; (bus = tool_fact_next(c->image, "hardware.disk.bus", &at));) {
		if (bus->group != c->group)
			continue;
		if (strcmp(bus->value, "ide") != 0)
			return false;
		has_ide = true;
	}
	return has_ide;
}

static int choose_type(struct choosing *c)
{
	const struct run_arch *arch = c->m->arch;
	const char *type = asked(c, "hardware.machine");

	if (type && !run_is_machine(arch, type))
		return run_wrong(c->m,
				 "hardware.machine \"%.40s\" isn't one of %s of %s "
				 "(or a version of one)",
				 type, arch->machines, arch->name);
	if (type)
		snprintf(c->m->type, sizeof(c->m->type), "%.60s", type);
	else if (arch->is_pc && takes_only_ide(c))
		snprintf(c->m->type, sizeof(c->m->type), "pc");
	else
		snprintf(c->m->type, sizeof(c->m->type), "%.*s", (int)strcspn(arch->machines, "|"),
			 arch->machines);
	if (!type)
		run_note(c->m, "the image asks for no machine type: taking %s", c->m->type);
	return 0;
}

static int choose_firmware(struct choosing *c)
{
	const char *firmware = asked(c, "hardware.firmware");
	const char *secure = asked(c, "hardware.secure-boot");
	struct run_machine *m = c->m;

	m->is_efi = firmware ? strcmp(firmware, "efi") == 0 : !m->arch->is_pc;
	m->is_secure = secure && strcmp(secure, "true") == 0;
	if (!firmware && m->is_secure)
		m->is_efi = true;
	if (!firmware)
		run_note(m, "the image asks for no firmware: taking %s",
			 m->is_efi ? "efi" : "bios");
	if (!m->is_efi && !m->arch->is_pc)
		return run_wrong(m, "hardware.firmware bios: %s has none", m->arch->name);
	if (m->is_secure && !m->is_efi)
		return run_wrong(m, "hardware.secure-boot: only efi has it");
	if (m->is_secure && (!m->arch->is_pc || m->arch->is_32bit || !strstr(m->type, "q35")))
		return run_wrong(m, "hardware.secure-boot: only machine q35 of x86_64 can do that");
	return 0;
}

static int choose_features(struct choosing *c)
{
	struct run_machine *m = c->m;
	const struct vd_fact *fact;
	bool is_told = false;

	m->n_features = 0;
	for (size_t at = 0; (fact = tool_fact_next(c->image, "hardware.cpu.feature", &at));) {
		if (!c->group || fact->group != c->group)
			continue;
		if (m->is_kvm && !host_has(c, "host.cpu.feature", fact->value))
			unmet(c, 10, "the host's processors lack a feature that the image needs");
		if (!m->arch->features) {
			if (!is_told)
				run_note(m, "features of processors are left to the model");
			is_told = true;
			continue;
		}
		if (m->n_features == RUN_FEATURES_MAX)
			return run_wrong(m, "more than %u features", RUN_FEATURES_MAX);
		if (!run_feature_find(m->arch, fact->value, m->features[m->n_features]))
			return run_wrong(m,
					 "hardware.cpu.feature \"%.40s\" isn't one that QEMU "
					 "knows (qemu-system-x86_64 -cpu help)",
					 fact->value);
		m->n_features++;
	}
	return 0;
}

static int choose_cpu(struct choosing *c)
{
	const char *model = asked(c, "hardware.cpu.model");
	const char *count = asked(c, "hardware.cpu.count");
	const char *of_host = host_value(c, "host.cpu.count");
	struct run_machine *m = c->m;

	m->cpu[0] = '\0';
	if (model && !run_is_cpu(m->arch, model))
		return run_wrong(m, "hardware.cpu.model \"%.40s\" isn't one of %s", model,
				 m->arch->models);
	if (model && strcmp(model, "host") != 0 && strcmp(model, "max") != 0)
		snprintf(m->cpu, sizeof(m->cpu), "%.60s", model);
	if (!model)
		run_note(m, "the image asks for no processor model: taking %s",
			 m->is_kvm ? "the host's" : "the best that can be emulated");
	m->n_cpus = count ? strtoull(count, NULL, 10) : 1;
	if (!count)
		run_note(m, "the image asks for no number of processors: taking 1");
	if (m->n_cpus < 1 || m->n_cpus > CPUS_MAX)
		return run_wrong(m, "hardware.cpu.count %.24s: at most %u can be had", count,
				 CPUS_MAX);
	if (of_host && m->n_cpus > strtoull(of_host, NULL, 10))
		unmet(c, 10, "the image asks for more processors than the host has");
	return choose_features(c);
}

static int choose_memory(struct choosing *c)
{
	const char *memory = asked(c, "hardware.memory");
	const char *of_host = host_value(c, "host.memory");
	uint64_t bytes;

	if (!memory) {
		c->m->memory_mib = MEMORY_USUAL_MIB;
		run_note(c->m, "the image asks for no size of memory: taking %u MiB",
			 MEMORY_USUAL_MIB);
		return 0;
	}
	bytes = strtoull(memory, NULL, 10);
	if (!bytes || bytes > (uint64_t)MEMORY_MAX_MIB << 20)
		return run_wrong(c->m, "hardware.memory %.24s: 1 byte to %u GiB can be had", memory,
				 MEMORY_MAX_MIB >> 10);
	c->m->memory_mib = (bytes + (1u << 20) - 1) >> 20;
	if (of_host && bytes > strtoull(of_host, NULL, 10))
		unmet(c, 10, "the image asks for more memory than the host has");
	return 0;
}

/** A bus that the machine hasn't, or that can't carry such sectors. */
static bool can_have(const struct run_machine *m, const struct run_bus *bus)
{
	if (strcmp(bus->name, "ide") == 0)
		return m->arch->is_pc && !strstr(m->type, "q35") && m->sector_size == 512;
	return bus->takes_4096 || m->sector_size == 512;
}

static int choose_bus(struct choosing *c)
{
	const struct run_bus *bus;
	const struct vd_fact *fact;
	bool is_asked = false;

	c->m->bus = NULL;
	for (size_t i = 0; (bus = run_bus_at(i)) && !c->m->bus; i++) {
		for (size_t at = 0;
		     c->group && (fact = tool_fact_next(c->image, "hardware.disk.bus", &at));) {
			if (fact->group != c->group)
				continue;
			is_asked = true;
			if (strcmp(fact->value, bus->name) == 0 && can_have(c->m, bus))
				c->m->bus = bus;
		}
	}
	if (c->m->bus)
		return 0;
	if (is_asked)
		return run_wrong(c->m,
				 "hardware.disk.bus: machine %s has none of those that the "
				 "image takes; of %s",
				 c->m->type, run_bus_names());
	c->m->bus = run_bus_at(0);
	run_note(c->m, "the image asks for no bus of the disk: taking %s", c->m->bus->name);
	return 0;
}

/** *model NULL: it says nothing. */
static int choose_nic_model(struct choosing *c, const struct run_nic_model **model)
{
	const struct run_nic_model *one;
	const struct vd_fact *fact;
	const char *unknown = NULL;

	*model = NULL;
	for (size_t i = 0; (one = run_nic_model_at(i)) && !*model; i++) {
		for (size_t at = 0;
		     c->group && (fact = tool_fact_next(c->image, "hardware.nic.model", &at));) {
			if (fact->group != c->group)
				continue;
			if (run_nic_model_find(fact->value) == one)
				*model = one;
			else if (!run_nic_model_find(fact->value))
				unknown = fact->value;
		}
	}
	if (!*model && unknown)
		return run_wrong(c->m, "hardware.nic.model \"%.40s\" isn't one of %s", unknown,
				 run_nic_names());
	return 0;
}

/* ---- GPUs and TPM ---- */

static bool is_address(const char *text)
{
	return strlen(text) < 16 && strspn(text, "0123456789abcdef:.") == strlen(text);
}

static bool gpu_fits(const struct choosing *c, const struct vd_fact *address)
{
	const char *memory = asked(c, "hardware.gpu.memory");
	const char *has = tool_fact_beside(c->host, address, "host.gpu.memory");
	const char *model = asked(c, "hardware.gpu.model");
	const char *name = tool_fact_beside(c->host, address, "host.gpu.model");
	const char *blank = model ? strrchr(model, ' ') : NULL;

	if (memory && (!has || strtoull(has, NULL, 10) < strtoull(memory, NULL, 10)))
		return false;
	/* "NVIDIA L4" is "AD104GL [L4]": what stands behind the maker has to be there. */
	return !model || (name && (strcasestr(name, model) || (blank && strstr(name, blank + 1))));
}

static void choose_gpus(struct choosing *c)
{
	const char *count = asked(c, "hardware.gpu.count");
	bool is_asked = count || asked(c, "hardware.gpu.memory") ||
			asked(c, "hardware.gpu.model") || asked(c, "hardware.gpu.api");
	uint64_t n = count ? strtoull(count, NULL, 10) : is_asked;
	const struct vd_fact *address;
	struct run_machine *m = c->m;

	m->n_gpus = 0;
	for (size_t at = 0; n > m->n_gpus && m->n_gpus < RUN_GPUS_MAX &&
			    (address = tool_fact_next(c->host, "host.gpu.address", &at));)
		if (is_address(address->value) && gpu_fits(c, address))
			m->gpus[m->n_gpus++] = address->value;
	if (m->n_gpus < n)
		unmet(c, 10, "the host lacks a GPU that the image asks for; it is left out");
	for (size_t i = 0; i < m->n_gpus; i++)
		run_note(m, "GPU %s is handed to the machine: it must be bound to vfio-pci before",
			 m->gpus[i]);
}

static int choose_tpm(struct choosing *c)
{
	const char *tpm = asked(c, "hardware.tpm");

	c->m->tpm = NULL;
	if (!tpm)
		return 0;
	if (strncmp(tpm, "2", 1) == 0)
		c->m->tpm = "2.0";
	else if (strcmp(tpm, "1.2") == 0)
		c->m->tpm = "1.2";
	else
		return run_wrong(c->m, "hardware.tpm \"%.40s\" isn't 1.2 or 2.0", tpm);
	return 0;
}

/* ---- the whole ---- */

static int fill(struct choosing *c)
{
	const struct run_nic_model *model;
	const char *family = tool_fact_value(c->image, "os.family");

	c->n_unmet = 0;
	c->m->wrong[0] = '\0';
	if (choose_arch(c) || choose_type(c) || choose_firmware(c) || choose_cpu(c) ||
	    choose_memory(c) || choose_bus(c) || choose_nic_model(c, &model) || choose_tpm(c))
		return -1;
	choose_gpus(c);
	c->m->has_local_time = family && strcmp(family, "winnt") == 0;
	return run_network(c->m, c->image, model, c->args);
}

/** The next alternative behind `last`; 0: none. */
static uint32_t next_alternative(const struct tool_facts *image, uint32_t last)
{
	uint32_t next = 0;

	for (size_t i = 0; i < image->n; i++) {
		const struct vd_fact *fact = &image->all[i];

		if (strncmp(fact->field, "hardware.", 9) == 0 && fact->group > last &&
		    (!next || fact->group < next))
			next = fact->group;
	}
	return next;
}

int run_choose(struct run_machine *m, const struct tool_facts *image, const struct tool_facts *host,
	       const struct tool_args *args)
{
	struct choosing c = {.m = m, .image = image, .host = host, .args = args};
	uint32_t best = 0, first = next_alternative(image, 0);
	unsigned least = UINT32_MAX, n = 0;
	const char *name;

	m->is_try = true;
	for (c.group = 0; (c.group = next_alternative(image, c.group)); n++) {
		if (fill(&c) || c.n_unmet >= least)
			continue;
		least = c.n_unmet;
		best = c.group;
	}
	m->is_try = false;
	/* Where none can be made, the first one says why. */
	c.group = best ? best : first;
	if (!c.group)
		run_note(m, "the image says nothing of hardware");
	name = asked(&c, "hardware.name");
	if (n > 1)
		run_note(m, "of %u alternatives of hardware, taking \"%.80s\"", n,
			 name ? name : "(one without a name)");
	return fill(&c);
}
