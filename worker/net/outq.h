/*
 * outq.h - what one connection has gathered in this callback; private to the room.
 */
#ifndef GH_NET_OUTQ_H
#define GH_NET_OUTQ_H

#include "shared/base/list.h"
#include <sys/uio.h>

#define OUTQ_PIECES 30

struct conn;
struct outq {
    struct list node;    /* in net.dirty */
    struct conn *conn;
    size_t bytes;
    unsigned n;
    struct iovec v[OUTQ_PIECES];
};

#endif
