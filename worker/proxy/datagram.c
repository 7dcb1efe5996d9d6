#include "worker/proxy/datagram.h"
#include "shared/base/err.h"

#include <stdlib.h>
#include <unistd.h>

struct datagram {
    struct list node;
    uint64_t bind_id;
    int fd;
};
#define DATAGRAM_OF(it) LIST_ITEM(it, struct datagram, node)

static void close_one(struct datagram *s)
{
    list_del(&s->node);
    close(s->fd);
    free(s);
}

void datagrams_init(struct datagrams *d)
{
    list_init(&d->all);
}

void datagrams_fini(struct datagrams *d)
{
    while (!list_empty(&d->all))
        close_one(DATAGRAM_OF(d->all.next));
}

bool datagrams_remove(struct datagrams *d, uint64_t bind_id)
{
    LIST_EACH(it, &d->all)
    {
        if (DATAGRAM_OF(it)->bind_id != bind_id)
            continue;
        close_one(DATAGRAM_OF(it));
        return true;
    }
    return false;
}

int datagrams_add(struct datagrams *d, uint64_t bind_id, int fd)
{
    struct datagram *s = calloc(1, sizeof(*s));
    if (!s) {
        close(fd);
        return GH_E_NOMEM;
    }
    datagrams_remove(d, bind_id);
    *s = (struct datagram){.bind_id = bind_id, .fd = fd};
    list_push(&d->all, &s->node);
    return 0;
}
