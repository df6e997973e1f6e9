/* SPDX-License-Identifier: MIT */
/* Network cards, real or not, but for the loop. Addresses: the kernel is asked; a folder tells only
 * IPv6, for the kernel has no file that says which card has which IPv4 address. */
#include <arpa/inet.h>
#include <ctype.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "host/host_facts.h"

#define CARDS     "sys/class/net/"
#define CARDS_MAX 4096u
#define INET6_MAX (256u << 10)

struct cards {
	struct host_collect *c;
	struct ifaddrs *addresses; /* of all; NULL: the kernel isn't asked */
	char *inet6;               /* /proc/net/if_inet6; NULL: none */
};

static unsigned prefix_of(const uint8_t *mask, size_t len)
{
	unsigned n = 0;

	for (size_t i = 0; i < len; i++)
		n += (unsigned)__builtin_popcount(mask[i]);
	return n;
}

static void put_address(struct host_collect *c, uint32_t group, int family, const void *address,
			unsigned prefix)
{
	char text[INET6_ADDRSTRLEN], whole[INET6_ADDRSTRLEN + 8];

	if (!inet_ntop(family, address, text, sizeof(text)))
		return;
	snprintf(whole, sizeof(whole), "%s/%u", text, prefix);
	host_put(c, "host.network.address", group, whole);
}

static void put_addresses(struct cards *cards, uint32_t group, const char *name)
{
	for (const struct ifaddrs *a = cards->addresses; a; a = a->ifa_next) {
		if (!a->ifa_addr || !a->ifa_netmask || strcmp(a->ifa_name, name) != 0)
			continue;
		if (a->ifa_addr->sa_family == AF_INET) {
			struct sockaddr_in in, mask;

			memcpy(&in, a->ifa_addr, sizeof(in));
			memcpy(&mask, a->ifa_netmask, sizeof(mask));
			put_address(cards->c, group, AF_INET, &in.sin_addr,
				    prefix_of((uint8_t *)&mask.sin_addr, sizeof(mask.sin_addr)));
		} else if (a->ifa_addr->sa_family == AF_INET6) {
			struct sockaddr_in6 in, mask;

			memcpy(&in, a->ifa_addr, sizeof(in));
			memcpy(&mask, a->ifa_netmask, sizeof(mask));
			put_address(cards->c, group, AF_INET6, &in.sin6_addr,
				    prefix_of((uint8_t *)&mask.sin6_addr, sizeof(mask.sin6_addr)));
		}
	}
}

/* "fe800000000000005054 ... 0fff 02 40 20 80 eth0": address, index, prefix, scope, flags, name. */
static void put_inet6(struct cards *cards, uint32_t group, const char *name)
{
	size_t name_len = strlen(name);

	for (const char *line = cards->inet6, *end; line && *line; line = end + (*end == '\n')) {
		char one[160], address[33], of[64];
		uint8_t bytes[16];
		unsigned prefix;

		end = line + strcspn(line, "\n");
		if ((size_t)(end - line) <= name_len || (size_t)(end - line) >= sizeof(one) ||
		    memcmp(end - name_len, name, name_len) != 0)
			continue;
		memcpy(one, line, (size_t)(end - line));
		one[end - line] = '\0';
		if (sscanf(one, "%32[0-9a-f] %*x %x %*x %*x %63s", address, &prefix, of) == 3 &&
		    strlen(address) == 32 && prefix <= 128 && strcmp(of, name) == 0) {
			for (size_t i = 0; i < 16; i++) {
				char two[3] = {address[2 * i], address[2 * i + 1], '\0'};

				bytes[i] = (uint8_t)strtoul(two, NULL, 16);
			}
			put_address(cards->c, group, AF_INET6, bytes, prefix);
		}
	}
}

static bool is_mac(const char *text)
{
	bool is_zero = true;

	for (size_t i = 0; i < 17; i++) {
		if (i % 3 == 2 ? text[i] != ':' : !isxdigit((unsigned char)text[i]))
			return false;
		if (text[i] != '0' && text[i] != ':')
			is_zero = false;
	}
	return !text[17] && !is_zero;
}

/* What has no carrier of its own says "unknown"; then it is up if it was set up. */
static bool is_up(struct host_collect *c, const char *name, bool *is_known)
{
	char path[HOST_LINE_MAX], line[HOST_LINE_MAX];
	uint64_t flags;

	snprintf(path, sizeof(path), CARDS "%.64s/operstate", name);
	*is_known = host_line(c, path, line);
	if (strcmp(line, "up") == 0)
		return true;
	snprintf(path, sizeof(path), CARDS "%.64s/flags", name);
	return strcmp(line, "unknown") == 0 && host_number(c, path, &flags) && (flags & IFF_UP);
}

static int collect_card(void *user, const char *name)
{
	struct cards *cards = user;
	struct host_collect *c = cards->c;
	char path[HOST_LINE_MAX], line[HOST_LINE_MAX];
	uint64_t speed;
	bool is_known, up;
	uint32_t group;

	/* Files that lie there too, such as bonding_masters, are no cards. */
	snprintf(path, sizeof(path), CARDS "%.64s/address", name);
	if (strcmp(name, "lo") == 0 || !vd_io_tree_has(c->tree, path))
		return c->rc;
	group = ++c->n_groups;
	host_put(c, "host.network.name", group, name);
	if (host_line(c, path, line) && is_mac(line))
		host_put(c, "host.network.mac", group, line);
	up = is_up(c, name, &is_known);
	if (is_known)
		host_put(c, "host.network.state", group, up ? "up" : "down");
	snprintf(path, sizeof(path), CARDS "%.64s/speed", name);
	/* The kernel's word for "unknown" is -1, which older ones print as a large number. */
	if (host_number(c, path, &speed) && speed && speed < INT32_MAX)
		host_put_number(c, "host.network.speed", group, speed);
	put_addresses(cards, group, name);
	put_inet6(cards, group, name);
	return c->rc;
}

void host_collect_network(struct host_collect *c)
{
	struct cards cards = {.c = c};

	if (!c->asks_kernel || getifaddrs(&cards.addresses)) {
		cards.addresses = NULL;
		cards.inet6 = host_slurp(c, "proc/net/if_inet6", INET6_MAX);
	}
	vd_io_tree_list(c->tree, "sys/class/net", CARDS_MAX, collect_card, &cards, NULL);
	if (cards.addresses)
		freeifaddrs(cards.addresses);
	vd_free(cards.inet6);
}
