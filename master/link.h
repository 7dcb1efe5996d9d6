/*
 * link.h - the master's end of a connection to a child: receives on the loop, queues what does not go out at once.
 *
 * A child is untrusted input: a malformed message ends the link with its code, and so does a child that floods us or
 * does not read. What the link's owner does then (kill, count) is the owner's business.
 */
#ifndef GH_MASTER_LINK_H
#define GH_MASTER_LINK_H

#include "shared/base/list.h"
#include "shared/ipc/ipc.h"
#include <uv.h>

#define LINK_QUEUE_MAX  20000 /* messages: all listeners there can be, and more */
#define LINK_RATE_MAX   5000  /* messages a second from one child */

struct link {
    uv_poll_t poll;      /* its `data` is the link */
    int fd;              /* owned; -1 = ended */
    bool open;           /* the handle is initialised and not closing */
    struct list queue;   /* struct link_out: not taken by the kernel yet */
    size_t n_queue;
    uint64_t window_ms;  /* rate: messages since then */
    uint32_t n_window;
    void *owner;
    /* One message. Descriptors that the owner does not take (sets to -1) are closed after the call. May call link_end. */
    void (*on_message)(struct link *l, struct ipc_msg *m);
    /* The link has ended by itself: GH_E_CLOSED, GH_E_FORMAT, GH_E_LIMIT, GH_E_SYSTEM. The owner calls link_close. */
    void (*on_end)(struct link *l, int why);
    void (*on_closed)(struct link *l);
};

/* Takes over `fd` (non-blocking). Members owner, on_* are set by the caller before. 0 or GH_E_SYSTEM (then the fd is
 * closed and on_closed will not be called). */
int link_open(struct link *l, uv_loop_t *loop, int fd);
/* Never fails: what can't be sent now is queued (descriptors as duplicates), and an ended link swallows it. */
void link_send(struct link *l, const struct ipc_msg *m);
/* Sends what is queued if it can; then ends it. `on_closed` (may be NULL) is called from the loop when the memory may go. */
void link_close(struct link *l);

#endif
