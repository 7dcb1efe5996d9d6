/*
 * hosts.h - /etc/hosts, as text that was read once (hosts(5)): which addresses a name has there.
 */
#ifndef GH_WORKER_HOSTS_H
#define GH_WORKER_HOSTS_H

#include "shared/base/str.h"
#include "shared/board/board.h"

/* Appends the addresses of `name` (any case, a final dot does not count) to `out`, up to BOARD_DNS_ADDRS,
 * without repetitions. A line that is no hosts line is passed over. Returns how many were added. */
size_t hosts_lookup(struct str text, struct str name, struct board_dns_answer *out);
/* Adds one address unless it is there or there is no room. */
bool hosts_add(struct board_dns_answer *out, int family, const void *addr);

#endif
