/* SPDX-License-Identifier: MIT */
/*
 * vdtool run: the machine that an image asks for, as a command line or an XML document.
 *
 *   run_words.c     what QEMU knows: architectures, models, buses. Nothing else gets through
 *   run_choose.c    from the facts of an image and a host to a machine
 *   run_network.c   network cards, and where they lead
 *   run_qemu.c, run_libvirt.c   the machine written down
 *
 * Texts of the image are a stranger's. They never become a part of the output themselves: each is
 * looked up in a table, or has the form of a number, a MAC address or the like.
 */
#ifndef VDTOOL_RUN_H
#define VDTOOL_RUN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <vdisk/disk.h>

#include "facts.h"
#include "options/options.h"

#define RUN_NICS_MAX     32u
#define RUN_GPUS_MAX     16u
#define RUN_FEATURES_MAX 256u
#define RUN_FEATURE_MAX  24u /* bytes of a name, with its NUL */

/** A kind of machine. */
struct run_arch {
	const char *name;      /**< as hardware.arch has it */
	const char *program;   /**< of QEMU */
	const char *machines;  /**< "q35|pc": the first one is the default */
	const char *versioned; /**< beginnings of names that a version follows: "pc-q35-|..." */
	const char *models;    /**< of processors */
	const char *features;  /**< NULL: they come with the model */
	bool is_pc, is_32bit;
};
/** A way to connect a disk. */
struct run_bus {
	const char *name;
	const char *device; /**< QEMU's */
	const char *libvirt_target;
	bool takes_4096;
};
/** A model of a network card. */
struct run_nic_model {
	const char *name;   /**< libvirt's */
	const char *device; /**< QEMU's */
};

enum run_net {
	RUN_NET_USER,     /**< out through the host, nothing comes in */
	RUN_NET_ISOLATED, /**< the same, but not out either */
	RUN_NET_BRIDGE,
	RUN_NET_TAP,
	RUN_NET_NONE, /**< a cable that leads nowhere */
};
#define RUN_DEVICE_MAX 16u /* of a name of the kernel's, with its NUL */
struct run_nic {
	const struct run_nic_model *model;
	char mac[18]; /**< "": QEMU's own */
	enum run_net net;
	char device[RUN_DEVICE_MAX]; /**< of bridge and tap */
};

struct run_machine {
	const char *path; /**< of the image, as given */
	char name[64];    /**< harmless */
	const struct run_arch *arch;
	char type[64];
	bool is_efi, is_secure, is_kvm, has_local_time;
	char cpu[64]; /**< "": the best that there is */
	char features[RUN_FEATURES_MAX][RUN_FEATURE_MAX];
	size_t n_features;
	uint64_t n_cpus, memory_mib;
	const struct run_bus *bus;
	struct run_nic nics[RUN_NICS_MAX];
	size_t n_nics;
	const char *gpus[RUN_GPUS_MAX]; /**< PCI addresses, of the host's facts */
	size_t n_gpus;
	const char *tpm; /**< "1.2", "2.0" or NULL */
	/* The disk. */
	char *disk; /**< absolute path, to be freed */
	bool is_vhdx, is_device;
	uint32_t sector_size;

	bool is_try;     /**< only to see how well it fits: say nothing */
	json_t *notes;   /**< what was said */
	char wrong[512]; /**< why it can't be made; "": it can */
};

/** What people should know: a default that was taken, something that is left out. */
void run_note(struct run_machine *machine, const char *fmt, ...) VD_PRINTF(2, 3);
/** It can't be made, because. Keeps the first reason; returns -1. */
int run_wrong(struct run_machine *machine, const char *fmt, ...) VD_PRINTF(2, 3);

/* run_words.c */
/** One of "a|b|c"? */
bool run_is_one_of(const char *words, const char *word);
/** NULL: none of ours. */
const struct run_arch *run_arch_find(const char *name);
const char *run_arch_names(void);
bool run_is_machine(const struct run_arch *arch, const char *type);
bool run_is_cpu(const struct run_arch *arch, const char *model);
/** The feature as QEMU calls it. False: unknown. */
bool run_feature_find(const struct run_arch *arch, const char *feature, char name[RUN_FEATURE_MAX]);
/** In the order of preference; NULL behind the last one. */
const struct run_bus *run_bus_at(size_t i);
const struct run_nic_model *run_nic_model_at(size_t i);
const struct run_nic_model *run_nic_model_find(const char *name);
/** "virtio, scsi, ...": all of them, for errors. */
const char *run_bus_names(void);
const char *run_nic_names(void);
/** The same name, whether written with . _ or -, in any case. */
bool run_is_same_name(const char *a, const char *b);

/* run_choose.c */
/** Fill the machine: of the alternatives of the image's hardware the one that fits best. 0, or -1
 *  and machine->wrong. */
int run_choose(struct run_machine *machine, const struct tool_facts *image,
	       const struct tool_facts *host, const struct tool_args *args);

/* run_network.c */
/** Are all --network well written? NULL, or what is wrong. */
const char *run_network_wrong(const struct tool_args *args);
/** `model`: of cards that don't say; NULL: the hardware says nothing. */
int run_network(struct run_machine *machine, const struct tool_facts *image,
		const struct run_nic_model *model, const struct tool_args *args);

/* run_qemu.c, run_libvirt.c */
/** A command line, word by word. */
struct run_words {
	char **words;
	size_t n, room;
	bool is_short; /**< of memory */
};
void run_words_free(struct run_words *words);
/** -1 and machine->wrong: it can't be made. */
int run_qemu_argv(struct run_machine *machine, struct run_words *argv);
/** As a shell takes it, an option a line. To be freed; NULL: no memory. */
char *run_shell_text(const struct run_words *argv);
/** The domain, to be freed. NULL and machine->wrong. */
char *run_libvirt_xml(struct run_machine *machine);

#endif
