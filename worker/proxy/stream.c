#include "worker/proxy/stream.h"
#include "shared/base/err.h"
#include "worker/filter/peer.h"
#include "worker/http/link.h"
#include "worker/upstream/raw.h"

#include <unistd.h>

#define FULL_AT 4096 /* bytes queued: as good as any, the other side waits for them */

/* Only while it is dialled: what it needs of its generation. */
struct dial {
    struct snap *snap;                  /* held; NULL = not dialling (any more) */
    const struct snap_cluster *row;
    struct cluster *cluster;            /* the generation's */
    struct endpoint *tried[STREAM_TRIES]; /* to compare with, never to look into */
    struct chunkq early;                /* read before, for the endpoint */
    uint8_t n_tried;
};

struct relay {
    struct conn client;
    struct raw *up;                     /* NULL: none yet, or closed */
    struct streams *all;
    struct list node;
    struct timer timer;
    struct splice forth, back;          /* from the client, to the client */
    uint64_t active_ms;                 /* last time something moved */
    uint64_t finish_sent;               /* FINISHING: bytes sent at the last look */
    uint32_t idle_ms;                   /* 0 = none */
    bool client_end, up_end;            /* that side will send nothing more */
    bool finishing;                     /* nothing is passed on any more */
    bool client_gone;                   /* its on_closed has come */
    struct stream_link link;
    bool tls;
    struct tally tally;
    struct dial dial;
};

static const struct conn_events CLIENT_EVENTS;
static const struct raw_owner UP;

static struct relay *of_client(struct conn *c)
{
    return CONTAINER_OF(c, struct relay, client);
}

/* --- all of them ------------------------------------------------------------------------------------------- */

void streams_init(struct streams *all, struct net *n, struct upstream *u, const struct tally_book *b, uint32_t max_pipes)
{
    *all = (struct streams){.net = n, .upstream = u, .book = *b};
    list_init(&all->all);
    slab_init(&all->slab, sizeof(struct relay), 256);
    pipes_init(&all->pipes, n, max_pipes);
}

void streams_fini(struct streams *all)
{
    must(!all->n);
    pipes_fini(&all->pipes);
    slab_fini(&all->slab);
}

void streams_trim(struct streams *all)
{
    slab_trim(&all->slab, 32);
    pipes_trim(&all->pipes);
}

static void count(struct streams *all, int by)
{
    all->net->gather.open += (uint32_t)by;
    struct board_counters *c = all->net->count;
    all->n += (uint32_t)by;
    board_add(&c->client_active, (uint64_t)(int64_t)by);
    board_add(&c->streams_active, (uint64_t)(int64_t)by);
    if (all->shown)
        atomic_fetch_add_explicit(all->shown, (uint32_t)by, memory_order_relaxed);
}

static void dial_over(struct relay *r)
{
    chunkq_clear(&r->dial.early, &r->all->net->chunks);
    snap_drop(r->dial.snap);
    r->dial.snap = NULL;
}

/* Both connections are gone. */
static void relay_free(struct relay *r)
{
    struct streams *all = r->all;
    splice_end(&r->forth, &all->pipes, NULL);
    splice_end(&r->back, &all->pipes, NULL);
    dial_over(r);
    timer_close(&r->timer);
    list_del(&r->node);
    tally_end(&r->tally, &all->book, &r->link, r->tls ? STR("TLS") : STR("TCP"));
    count(all, -1);
    slab_put(&all->slab, r);
}

/* --- time ----------------------------------------------------------------------------------------------------- */

static void touch(struct relay *r)
{
    r->active_ms = r->all->net->now_ms;
}

static void set_timer(struct relay *r, uint32_t ms)
{
    timer_set(&r->all->net->timers, &r->timer, ms ? r->active_ms + ms : 0);
}

static uint64_t sent(const struct relay *r)
{
    return r->client.sent + (r->up ? r->up->c.sent : 0);
}

/* --- ends ------------------------------------------------------------------------------------------------------ */

/* May free it. */
static void settle(struct relay *r)
{
    if (r->client_gone && !r->up)
        relay_free(r);
}

static void drop_up(struct relay *r)
{
    if (r->up)
        raw_drop(r->up);
    r->up = NULL;
}

/* May free it, as everything that ends a stream. */
static void reset_both(struct relay *r)
{
    r->finishing = true;
    conn_reset(&r->client);
    drop_up(r);
    settle(r);
}

static void fail(struct relay *r, enum reason why)
{
    tally_because(&r->tally, why);
    reset_both(r);
}

/* What is queued goes out; then both are closed. */
static void finish(struct relay *r, bool reset)
{
    r->finishing = true;
    r->finish_sent = sent(r);
    touch(r);
    set_timer(r, STREAM_FINISH_MS);
    if (r->up)
        conn_finish(&r->up->c);
    if (reset)
        conn_finish_reset(&r->client);
    else
        conn_finish(&r->client);
}

static void on_timer(struct timer *t)
{
    struct relay *r = CONTAINER_OF(t, struct relay, timer);
    uint32_t limit = r->finishing ? STREAM_FINISH_MS : r->idle_ms;
    if (r->finishing && sent(r) != r->finish_sent) {
        r->finish_sent = sent(r);
        touch(r);
    }
    if (r->all->net->now_ms < r->active_ms + limit) {
        set_timer(r, limit);
        return;
    }
    tally_because(&r->tally, REASON_IDLE);
    if (r->finishing || !r->up || conn_queued(&r->client) || conn_queued(&r->up->c) || r->forth.n || r->back.n)
        reset_both(r); /* bytes are lost: both shall see that */
    else
        finish(r, false);
}

void streams_cut(struct streams *all, enum reason why)
{
    LIST_EACH(it, &all->all)
    {
        struct relay *r = LIST_ITEM(it, struct relay, node);
        if (!conn_is_closed(&r->client) || r->up)
            fail(r, why);
    }
}

/* --- dialling --------------------------------------------------------------------------------------------------- */

static bool was_tried(const struct dial *d, const struct endpoint *e)
{
    for (uint8_t i = 0; i < d->n_tried; i++)
        if (d->tried[i] == e)
            return true;
    return false;
}

/* One endpoint after the other; each once. `why`: how the last one failed. */
static void dial_next(struct relay *r, enum reason why)
{
    struct dial *d = &r->dial;
    struct tls_facts facts = {0};
    conn_tls_facts(&r->client, &facts);
    const struct secure_for who = {&r->link, facts.server_name};
    while (d->n_tried < STREAM_TRIES) {
        struct endpoint *e = cluster_pick(d->cluster, d->tried, d->n_tried);
        if (!e || was_tried(d, e))
            break;
        if (d->n_tried && r->tally.cluster)
            board_add(&r->tally.cluster->retries, 1);
        d->tried[d->n_tried++] = e;
        r->tally.tries++;
        tally_target(&r->tally, &r->all->book, snap_text(d->snap, d->row->name), e->name);
        r->up = raw_open(e, &who, &UP, r, &why);
        if (r->up)
            return;
        if (why != REASON_CONNECT_FAILED)
            break;
    }
    fail(r, d->n_tried ? why : REASON_NO_ENDPOINTS);
}

static void on_failed(struct raw *raw, enum reason why)
{
    struct relay *r = raw->user;
    r->up = NULL;
    dial_next(r, why);
}

/* The choice of the backend, once for the whole connection. */
static void dial(struct relay *r, const struct snap_rule *rule)
{
    struct dial *d = &r->dial;
    struct generation *g = generation_of(d->snap);
    if (!rule) {
        fail(r, REASON_NO_ROUTE);
        return;
    }
    uint32_t i = generation_split(g, rule);
    const struct snap_split *split = i == BALANCE_NONE ? NULL : &d->snap->SPLITS[i];
    if (!split || split->cluster == SNAP_NONE) {
        fail(r, !split ? REASON_NO_BACKEND : split->reason ? (enum reason)split->reason : REASON_INVALID_BACKEND);
        return;
    }
    d->row = &d->snap->CLUSTERS[split->cluster];
    tally_cluster(&r->tally, &r->all->book, d->row);
    d->cluster = generation_cluster(g, split->cluster);
    if (!d->cluster)
        fail(r, REASON_MEMORY);
    else
        dial_next(r, REASON_CONNECT_FAILED);
}

/* What the client had said before it was handed to us. */
static void write_first(struct relay *r, struct conn *up)
{
    struct dial *d = &r->dial;
    for (const struct chunk *k = d->early.first; k; k = k->next)
        conn_write(up, k->data + k->from, k->to - k->from);
    net_flush(up->net); /* `early` goes */
}

static void on_ready(struct raw *raw)
{
    struct relay *r = raw->user;
    raw->c.full_at = FULL_AT;
    r->tally.connected_ns = r->all->net->now_ns;
    write_first(r, &raw->c);
    dial_over(r);
    touch(r);
    set_timer(r, r->idle_ms);
    conn_resume(&r->client, CONN_PAUSE_PEER);
}

/* --- bytes -------------------------------------------------------------------------------------------------------- */

static void spliced(struct relay *r, size_t n, bool forth)
{
    if (!n)
        return;
    touch(r);
    board_add(&r->all->net->count->spliced_bytes, n);
    if (forth)
        tally_in(&r->tally, n);
    else
        tally_out(&r->tally, n);
}

/* One direction goes on by splice. False: the receiver is full. */
static bool pump(struct relay *r, bool forth)
{
    struct conn *from = forth ? &r->client : &r->up->c, *to = forth ? &r->up->c : &r->client;
    enum splice_state state;
    spliced(r, splice_move(forth ? &r->forth : &r->back, &r->all->pipes, from, to, &state), forth);
    if (state == SPLICE_FULL)
        conn_pause(from, CONN_PAUSE_PEER);
    return state != SPLICE_FULL;
}

static void pass(struct relay *r, struct conn *from, struct conn *to, struct splice *d, const char *data, size_t n)
{
    touch(r);
    /* A short message; the end can't be behind it. */
    if (n < FULL_AT && !(from->flags & (CONN_F_FIN | CONN_F_HUP)) && conn_write_now(to, data, n)) {
        d->streak = 0;
        if (conn_full(to))
            conn_pause(from, CONN_PAUSE_PEER);
        return;
    }
    conn_write(to, data, n);
    /* Is it too much for the receiver? Only the kernel knows. Little waits: the end may follow at once. */
    if (conn_queued(to) >= FULL_AT)
        net_flush(to->net);
    if (conn_full(to))
        conn_pause(from, CONN_PAUSE_PEER);
    else
        splice_consider(d, &r->all->pipes, from, to, n);
}

/* `to` takes bytes again. */
static void room(struct relay *r, struct conn *from, const struct splice *d, bool forth)
{
    if (!r->finishing && (!d->on || pump(r, forth)))
        conn_resume(from, CONN_PAUSE_PEER);
}

/* --- the client's connection -------------------------------------------------------------------------------------- */

static void client_read(struct conn *c, char *data, size_t n)
{
    struct relay *r = of_client(c);
    if (r->finishing)
        return;
    tally_in(&r->tally, n);
    pass(r, c, &r->up->c, &r->forth, data, n);
}

static void client_readable(struct conn *c)
{
    struct relay *r = of_client(c);
    if (r->finishing)
        c->read_max = NET_SCRATCH;
    else
        pump(r, true);
}

static void client_writable(struct conn *c)
{
    struct relay *r = of_client(c);
    if (r->up)
        room(r, &r->up->c, &r->back, false);
}

static void client_end(struct conn *c)
{
    struct relay *r = of_client(c);
    if (r->finishing)
        return;
    r->client_end = true;
    touch(r);
    if (conn_cut(c))
        conn_end_unannounced(&r->up->c);
    if (r->up_end)
        finish(r, false);
    else
        conn_shutdown(&r->up->c);
}

static void client_error(struct conn *c, int err)
{
    struct relay *r = of_client(c);
    (void)err;
    if (!r->finishing)
        tally_because(&r->tally, REASON_CLIENT_ABORT);
    reset_both(r);
}

static void client_closed(struct conn *c)
{
    struct relay *r = of_client(c);
    r->client_gone = true;
    settle(r);
}

static const struct conn_events CLIENT_EVENTS = {
    .on_read = client_read,
    .on_readable = client_readable,
    .on_end = client_end,
    .on_writable = client_writable,
    .on_error = client_error,
    .on_closed = client_closed,
};

/* --- the endpoint's connection --------------------------------------------------------------------------------------- */

static void up_read(struct conn *c, char *data, size_t n)
{
    struct relay *r = raw_of(c)->user;
    if (!r || r->finishing)
        return;
    tally_out(&r->tally, n);
    pass(r, c, &r->client, &r->back, data, n);
}

static void up_readable(struct conn *c)
{
    struct relay *r = raw_of(c)->user;
    if (!r || r->finishing)
        c->read_max = NET_SCRATCH;
    else
        pump(r, false);
}

static void up_writable(struct conn *c)
{
    struct relay *r = raw_of(c)->user;
    if (r)
        room(r, &r->client, &r->forth, true);
}

static void up_end(struct conn *c)
{
    struct relay *r = raw_of(c)->user;
    if (!r || r->finishing)
        return;
    r->up_end = true;
    touch(r);
    if (conn_cut(c))
        conn_end_unannounced(&r->client);
    if (r->client_end)
        finish(r, false);
    else
        conn_shutdown(&r->client);
}

/* The client gets what came before the reset, and then the reset. */
static void up_error(struct conn *c, int err)
{
    struct relay *r = raw_of(c)->user;
    (void)err;
    if (!r) {
        conn_close(c);
        return;
    }
    if (!r->finishing) {
        tally_because(&r->tally, REASON_UPSTREAM_RESET);
        tally_out(&r->tally, splice_end(&r->back, &r->all->pipes, &r->client));
        drop_up(r);
        finish(r, true);
    } else {
        drop_up(r);
        settle(r);
    }
}

static void on_up_closed(struct raw *raw)
{
    struct relay *r = raw->user;
    r->up = NULL;
    settle(r);
}

static const struct raw_owner UP = {
    .ready = on_ready,
    .failed = on_failed,
    .closed = on_up_closed,
    .ev =
        {
            .on_connect = raw_on_connect,
            .on_read = up_read,
            .on_readable = up_readable,
            .on_end = up_end,
            .on_writable = up_writable,
            .on_error = up_error,
            .on_closed = raw_on_closed,
        },
};

/* --- beginning -------------------------------------------------------------------------------------------------------- */

static struct relay *relay_new(struct streams *all, const struct stream_origin *o, const struct tally_names *names)
{
    struct relay *r = slab_get(&all->slab);
    if (!r)
        return NULL;
    const struct snap_settings *s = o->snap->SETTINGS;
    uint32_t idle = o->rule && o->rule->idle_timeout_ms ? o->rule->idle_timeout_ms : s->tcp_idle_timeout_ms;
    *r = (struct relay){.all = all, .link = *o->link, .tls = o->link->tls || o->server_name.n,
                        .active_ms = all->net->now_ms, .idle_ms = idle == SNAP_NONE ? 0 : idle};
    r->dial.snap = snap_hold(o->snap);
    timer_init(&r->timer, on_timer);
    list_push(&all->all, &r->node);
    tally_begin(&r->tally, &all->book, o->snap, o->listener, o->rule, names);
    count(all, 1);
    board_add(&all->net->count->streams, 1);
    return r;
}

/* The client's connection is open. */
static void begin(struct relay *r, const struct snap_rule *rule)
{
    r->client.full_at = FULL_AT;
    r->client.flags |= CONN_F_EAGER;
    r->link.conn = &r->client;
    if (access_log_shows_local(r->all->book.access))
        link_know_local(&r->link);
    conn_pause(&r->client, CONN_PAUSE_PEER);
    dial(r, rule);
}

int stream_accept(struct streams *all, int fd, const struct stream_origin *o)
{
    struct relay *r = relay_new(all, o, &(struct tally_names){.server_name = o->server_name});
    if (!r) {
        close(fd);
        return GH_E_NOMEM;
    }
    int err = conn_open(&r->client, all->net, fd, &CLIENT_EVENTS);
    if (err) {
        tally_because(&r->tally, REASON_MEMORY);
        relay_free(r);
        return err;
    }
    begin(r, o->rule);
    return 0;
}

void stream_take(struct streams *all, struct conn *from, const struct stream_origin *o, const char *data, size_t n)
{
    struct tls_facts facts = {0};
    const struct filter_facts peer = {.tls = conn_tls_facts(from, &facts) ? &facts : NULL, .conn = from};
    const struct tally_names names = {o->server_name, str_c(facts.version), str_c(facts.cipher), peer_subject(&peer)};
    struct relay *r = relay_new(all, o, &names);
    if (!r) {
        conn_reset(from);
        return;
    }
    conn_move(from, &r->client, &CLIENT_EVENTS);
    if (n && !chunkq_add(&r->dial.early, &all->net->chunks, data, n)) {
        conn_pause(&r->client, CONN_PAUSE_PEER);
        fail(r, REASON_MEMORY);
        return;
    }
    begin(r, o->rule);
}
