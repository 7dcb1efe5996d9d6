#include "worker/http/link.h"
#include "worker/net/conn.h"
#include "worker/net/listener.h"

void link_know_local(const struct stream_link *l)
{
    if (l->local_family || !l->conn || l->conn->fd < 0)
        return;
    /* Everybody else only reads a link, and sees either nothing or this. */
    struct stream_link *known = (struct stream_link *)(uintptr_t)l;
    known->local_family = accepted_local(l->conn->fd, known->local, &known->local_port);
}
