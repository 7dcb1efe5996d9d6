/*
 * link.h - where the client of a stream connected to, which the kernel is asked only when somebody wants to know: a log
 * format, a header's value or a PROXY header that says it. On a socket that is bound to one address it is known anyway.
 */
#ifndef GH_HTTP_LINK_H
#define GH_HTTP_LINK_H

#include "worker/http/codec.h"

/* Fills in `local` and its family if they are unknown and the connection is open. */
void link_know_local(const struct stream_link *l);

#endif
