/*
 * datagram.h - the bound UDP sockets that the master gave to this worker, by the bind they belong to.
 *
 * Every worker has a duplicate of the same socket. It is non-blocking, takes IPv4 too when it is bound to every address,
 * and reports the address that a datagram came to (IP_PKTINFO or IPV6_RECVPKTINFO; master/listen.h rule 4).
 *
 * NEEDSWORK: nobody reads them yet; datagrams wait in the kernel and are dropped there when its buffer is full. What
 * reads them belongs behind datagrams_add.
 */
#ifndef GH_PROXY_DATAGRAM_H
#define GH_PROXY_DATAGRAM_H

#include "shared/base/list.h"

struct datagrams { struct list all; };

void datagrams_init(struct datagrams *d);
void datagrams_fini(struct datagrams *d); /* closes all */
/* Takes over `fd`. An older one with that id is closed. Negative gh_err: fd was closed. */
int datagrams_add(struct datagrams *d, uint64_t bind_id, int fd);
/* False when there is none. */
bool datagrams_remove(struct datagrams *d, uint64_t bind_id);

#endif
