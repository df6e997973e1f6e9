/* SPDX-License-Identifier: MIT */
/* Network cards: those that the image names, with their networks led where the user says. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "run.h"

/** A name of the kernel's for a device: nothing that any syntax could care about. */
static bool is_device(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len < RUN_DEVICE_MAX && text[0] != '-' && text[0] != '.' &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
		   len;
}

static bool read_how(const char *how, struct run_nic *nic)
{
	const char *device = strchr(how, ':');

	nic->device[0] = '\0';
	if (strcmp(how, "user") == 0)
		nic->net = RUN_NET_USER;
	else if (strcmp(how, "none") == 0)
		nic->net = RUN_NET_NONE;
	else if (strncmp(how, "bridge:", 7) == 0)
		nic->net = RUN_NET_BRIDGE;
	else if (strncmp(how, "tap:", 4) == 0)
		nic->net = RUN_NET_TAP;
	else
		return false;
	if (!device)
		return true;
	if (!is_device(device + 1))
		return false;
	snprintf(nic->device, sizeof(nic->device), "%s", device + 1);
	return true;
}

/* NAME=HOW: names of networks may have "=" themselves, ways have none. */
static const char *how_of(const char *pair)
{
	return strrchr(pair, '=') + 1;
}

const char *run_network_wrong(const struct tool_args *args)
{
	struct run_nic nic;

	for (size_t i = 0; i < args->n_pairs; i++)
		if (!read_how(how_of(args->pairs[i]), &nic))
			return args->pairs[i];
	return NULL;
}

/** What --network says of a network; false: nothing. */
static bool is_mapped(const struct tool_args *args, const char *network, struct run_nic *nic,
		      uint64_t *used)
{
	size_t len = strlen(network);

	for (size_t i = 0; i < args->n_pairs; i++) {
		const char *pair = args->pairs[i], *how = how_of(pair);

		if ((size_t)(how - 1 - pair) != len || memcmp(pair, network, len) != 0)
			continue;
		*used |= 1ull << (i < 64 ? i : 63);
		return read_how(how, nic);
	}
	return false;
}

static bool is_mac(const char *text)
{
	for (size_t i = 0; i < 17; i++)
		if (i % 3 == 2 ? text[i] != ':' : !isxdigit((unsigned char)text[i]))
			return false;
	return !text[17];
}

/** The image says that nothing leads out of that network. */
static bool is_isolated(const struct tool_facts *image, const char *network)
{
	const struct vd_fact *segment;

	for (size_t at = 0; (segment = tool_fact_next(image, "network.segment", &at));) {
		const char *forward = tool_fact_beside(image, segment, "network.segment.forward");

		if (strcmp(segment->value, network) == 0)
			return forward && strcmp(forward, "none") == 0;
	}
	return false;
}

static int fill_mac(struct run_machine *m, struct run_nic *nic, const char *mac)
{
	unsigned first = 0;

	if (!mac)
		return 0;
	if (!is_mac(mac) || sscanf(mac, "%2x", &first) != 1)
		return run_wrong(m, "network.mac \"%.40s\" is no MAC address", mac);
	if (first & 1)
		return run_wrong(m, "network.mac %.17s is that of a group, not of a card", mac);
	snprintf(nic->mac, sizeof(nic->mac), "%.17s", mac);
	return 0;
}

static int add_card(struct run_machine *m, const struct tool_facts *image,
		    const struct vd_fact *card, const struct run_nic_model *usual,
		    const struct tool_args *args, uint64_t *used)
{
	const char *model = tool_fact_beside(image, card, "network.model");
	const char *network = tool_fact_beside(image, card, "network.network");
	struct run_nic *nic = &m->nics[m->n_nics];

	if (m->n_nics == RUN_NICS_MAX)
		return run_wrong(m, "more than %u network cards", RUN_NICS_MAX);
	*nic = (struct run_nic){.model = model ? run_nic_model_find(model) : usual};
	if (!nic->model)
		return run_wrong(m, "network.model \"%.40s\" isn't one of %s", model ? model : "",
				 run_nic_names());
	if (fill_mac(m, nic, tool_fact_beside(image, card, "network.mac")))
		return -1;
	if (tool_fact_beside(image, card, "network.vlan"))
		run_note(m, "card \"%.80s\": its VLAN is left out", card->value);
	if (!network)
		network = card->value;
	if (is_mapped(args, network, nic, used)) {
		m->n_nics++;
		return 0;
	}
	nic->net = is_isolated(image, network) ? RUN_NET_ISOLATED : RUN_NET_USER;
	run_note(m, "network \"%.80s\": %s; --network says otherwise", network,
		 nic->net == RUN_NET_USER ? "leads out through the host's user networking"
					  : "leads nowhere, as the image says");
	m->n_nics++;
	return 0;
}

int run_network(struct run_machine *m, const struct tool_facts *image,
		const struct run_nic_model *model, const struct tool_args *args)
{
	const struct run_nic_model *usual = model ? model : run_nic_model_at(0);
	uint64_t used = 0;
	const struct vd_fact *card;

	m->n_nics = 0;
	/* In the order of the document, which their groups have. */
	for (uint32_t last = 0;;) {
		const struct vd_fact *next = NULL;

		for (size_t at = 0; (card = tool_fact_next(image, "network.nic", &at));)
			if (card->group > last && (!next || card->group < next->group))
				next = card;
		if (!next)
			break;
		if (add_card(m, image, next, usual, args, &used))
			return -1;
		last = next->group;
	}
	if (!m->n_nics && model) {
		m->nics[m->n_nics++] = (struct run_nic){.model = model, .net = RUN_NET_USER};
		if (!is_mapped(args, "default", &m->nics[0], &used))
			run_note(m, "the image names no network: its card (\"default\") leads out "
				    "through the host's user networking");
	} else if (!m->n_nics) {
		run_note(m, "the image says nothing of networks: the machine has none");
	}
	for (size_t i = 0; i < args->n_pairs && i < 64; i++)
		if (!(used & 1ull << i))
			return run_wrong(m,
					 "--network %.100s: no card of the image is on that "
					 "network",
					 args->pairs[i]);
	return 0;
}
