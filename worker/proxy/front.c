#include "worker/proxy/front.h"
#include "shared/base/err.h"
#include "shared/snap/route.h"

#include <stdlib.h>
#include <unistd.h>

#define LAST_WORDS_MS 1000
#define SLOW_MS 1000 /* what may be closed to make room has waited this long */

enum phase { PHASE_PROXY, PHASE_HELLO, PHASE_SHAKE, PHASE_LAST_WORDS, PHASE_GONE };

struct front {
    struct conn c;
    struct list node;
    struct timer timer;
    struct fronts *all;
    struct stream_link link;
    struct chunkq read;          /* bytes so far, when they come in pieces */
    uint64_t since_ms;
    struct snap *snap;           /* CHAIN_TCP, while shaking: the rule's; held */
    uint32_t chain;              /* CHAINS of it */
    uint8_t phase, mode;
};

static struct front *of_conn(struct conn *c)
{
    return CONTAINER_OF(c, struct front, c);
}

/* --- memory and the end -------------------------------------------------------------------------------------- */

static void count(struct fronts *all, int by)
{
    all->n += (uint32_t)by;
    board_add(&all->net->count->client_active, (uint64_t)(int64_t)by);
    if (all->shown)
        atomic_fetch_add_explicit(all->shown, (uint32_t)by, memory_order_relaxed);
}

/* Out of the books: the connection is closed, or somebody else's. */
static void leave(struct front *f)
{
    if (f->phase == PHASE_GONE)
        return;
    f->phase = PHASE_GONE;
    timer_stop(&f->timer);
    list_del(&f->node);
    chunkq_clear(&f->read, &f->c.net->chunks);
    snap_drop(f->snap);
    f->snap = NULL;
    count(f->all, -1);
}

static void on_closed(struct conn *c)
{
    struct front *f = of_conn(c);
    leave(f);
    timer_close(&f->timer);
    slab_put(&f->all->slab, f);
}

static void close_now(struct front *f)
{
    leave(f);
    conn_close(&f->c);
}

/* Where a connection goes over into other hands, `from` is closed at once; else nobody took it. */
static void handed(struct front *f)
{
    if (!conn_is_closed(&f->c))
        conn_close(&f->c);
    leave(f);
}

static void note_fault(struct front *f, enum tls_fault why)
{
    board_add(&f->all->me->tls.faults[BOARD_TLS_CLIENTS][why], 1);
}

/* The end without a connection. `alert`: what the client is told, if it may be told anything. */
static void refuse(struct front *f, const struct snap_bind *b, enum tls_fault why, enum tls_alert alert)
{
    char record[TLS_ALERT_BYTES];
    note_fault(f, why);
    if (alert != TLS_ALERT_NONE && b->protocol == LISTENER_HTTPS) {
        conn_write(&f->c, record, tls_alert_write(alert, record));
        net_flush(f->c.net); /* seven bytes: a socket to which nothing was written takes them */
    }
    close_now(f);
}

/* --- the handshake ------------------------------------------------------------------------------------------------ */

static void on_connect(struct conn *c, int err)
{
    struct front *f = of_conn(c);
    struct fronts *all = f->all;
    struct tls_facts facts;
    const char *detail;
    if (f->phase != PHASE_SHAKE)
        return;
    if (err || !conn_tls_facts(c, &facts)) {
        enum tls_fault why = conn_tls_fault(c, &detail);
        note_fault(f, why == TLS_FAULT_NONE ? TLS_FAULT_CLOSED : why);
        if (why == TLS_FAULT_NONE || why == TLS_FAULT_CLOSED || why == TLS_FAULT_ALERT) {
            close_now(f);
            return;
        }
        f->phase = PHASE_LAST_WORDS; /* it was sent an alert */
        timer_set(&c->net->timers, &f->timer, c->net->now_ms + LAST_WORDS_MS);
        conn_last_words(c);
        return;
    }
    board_add(&all->me->tls.handshakes[BOARD_TLS_CLIENTS][strcmp(facts.version, "TLSv1.2") != 0][facts.resumed], 1);
    f->link.tls = true;
    if (f->mode == CHAIN_TCP) {
        const struct snap_chain *chain = &f->snap->CHAINS[f->chain];
        all->host->take_stream(all->host, c, &f->link, f->snap, &f->snap->LISTENERS[chain->listener],
                               &f->snap->RULES[chain->rule], facts.server_name, "", 0);
    } else {
        all->host->take_http(all->host, c, &f->link, facts.alpn == TLS_PROTO_H2, "", 0);
    }
    handed(f);
}

static enum tls_alert alert_of(enum tls_fault why, const struct hello *h)
{
    switch (why) {
    case TLS_FAULT_VERSION:
        return h->fallback ? TLS_ALERT_INAPPROPRIATE_FALLBACK : TLS_ALERT_PROTOCOL_VERSION;
    case TLS_FAULT_CIPHER:
        return TLS_ALERT_HANDSHAKE_FAILURE;
    default:
        return TLS_ALERT_INTERNAL_ERROR;
    }
}

/* The library takes the head of a message in one record only: a hello that was cut is given to it whole. It is written over
 * its records, which are ours and longer, up to what follows them. */
static void join_records(const struct hello *h, const char **data, size_t *n)
{
    size_t spared = (size_t)(h->n_records - 1) * 5;
    char *at = (char *)(uintptr_t)*data + spared;
    if (!spared)
        return;
    char head[5] = {22, (*data)[1], (*data)[2], (char)(h->message.n >> 8), (char)h->message.n};
    memcpy(at, head, sizeof(head));
    memcpy(at + sizeof(head), h->message.p, h->message.n);
    *data = at;
    *n -= spared;
}

static void shake(struct front *f, struct snap *s, const struct snap_bind *b, const struct snap_chain *chain,
                  const struct hello *h, const char *data, size_t n)
{
    struct tls_start how = {.server_name = h->server_name};
    const char *detail;
    if (!tls_choose_alpn(h, s->TLS_SERVERS[chain->tls].alpn, &how.alpn)) {
        refuse(f, b, TLS_FAULT_ALPN, TLS_ALERT_NO_APPLICATION_PROTOCOL);
        return;
    }
    enum tls_fault why = tls_context_server(f->all->contexts, s, generation_of(s)->keys, chain->tls, h, &how.context);
    if (why != TLS_FAULT_NONE) {
        refuse(f, b, why, alert_of(why, h));
        return;
    }
    f->phase = PHASE_SHAKE;
    f->mode = chain->mode;
    f->chain = (uint32_t)(chain - s->CHAINS);
    f->link.listener_id = s->LISTENERS[chain->listener].id;
    if (f->mode == CHAIN_TCP)
        f->snap = snap_hold(s);
    timer_set(&f->c.net->timers, &f->timer, f->c.net->now_ms + FRONT_SHAKE_MS);
    f->c.read_max = NET_SCRATCH;
    join_records(h, &data, &n);
    int err = conn_tls_server(&f->c, &how, data, n);
    tls_context_drop(how.context);
    if (err) {
        why = conn_tls_fault(&f->c, &detail);
        note_fault(f, why != TLS_FAULT_NONE ? why : err == GH_E_NOMEM ? TLS_FAULT_MEMORY : TLS_FAULT_CLOSED);
        close_now(f);
    }
}

/* --- bytes ----------------------------------------------------------------------------------------------------------- */

static void route(struct front *f, struct snap *s, const struct snap_bind *b, const struct hello *h, const char *data, size_t n)
{
    const struct snap_chain *chain = route_chain(s, b, h->server_name);
    struct fronts *all = f->all;
    if (!chain || ((chain->flags & SNAP_CHAIN_ISTIO_ALPN) && !hello_alpn_starts(h, STR("istio")))) {
        refuse(f, b, TLS_FAULT_NO_CHAIN, TLS_ALERT_UNRECOGNIZED_NAME);
        return;
    }
    switch ((enum chain_mode)chain->mode) {
    case CHAIN_HTTP:
    case CHAIN_TCP:
        shake(f, s, b, chain, h, data, n);
        return;
    case CHAIN_PASSTHROUGH:
        f->c.read_max = NET_SCRATCH;
        f->link.listener_id = s->LISTENERS[chain->listener].id;
        all->host->take_stream(all->host, &f->c, &f->link, s, &s->LISTENERS[chain->listener], &s->RULES[chain->rule],
                               h->server_name, data, n);
        handed(f);
        return;
    case CHAIN_REFUSE:
        break;
    }
    refuse(f, b, TLS_FAULT_REFUSED, TLS_ALERT_HANDSHAKE_FAILURE);
}

/* The PROXY header is over (or there was none to come): what kind of bytes follow? False: they wait, or it is over. */
static bool after_proxy(struct front *f, struct snap *s, const struct snap_bind *b, const char *data, size_t n)
{
    struct fronts *all = f->all;
    f->c.read_max = NET_SCRATCH;
    if (b->chains.n) {
        f->c.read_max = FRONT_BYTES;
        f->phase = PHASE_HELLO;
        f->since_ms = f->c.net->now_ms;
        timer_set(&f->c.net->timers, &f->timer, f->since_ms + FRONT_HELLO_MS);
        return true;
    }
    if (b->stream_rule != SNAP_NONE || b->protocol == LISTENER_TCP)
        all->host->take_stream(all->host, &f->c, &f->link, s, b->listeners.n ? &s->LISTENERS[b->listeners.first] : NULL,
                               SNAP_AT(s, RULES, b->stream_rule), STR_NONE, data, n);
    else
        all->host->take_http(all->host, &f->c, &f->link, false, data, n);
    handed(f);
    return false;
}

static void believe(struct stream_link *l, const struct proxy_head *h)
{
    if (!h->family)
        return;
    l->peer_family = l->local_family = h->family;
    l->peer_port = h->from_port;
    l->local_port = h->to_port;
    memcpy(l->peer, h->from, sizeof(l->peer));
    memcpy(l->local, h->to, sizeof(l->local));
}

/* How many of the bytes are a PROXY header; 0: it is not complete, or the connection is over. */
static size_t take_proxy(struct front *f, struct str bytes)
{
    struct proxy_head h;
    switch (proxy_head_parse(bytes, &h)) {
    case PROXY_HEAD_MORE:
        return 0;
    case PROXY_HEAD_OK:
        believe(&f->link, &h);
        return h.used;
    case PROXY_HEAD_ABSENT:
    case PROXY_HEAD_BAD:
        break;
    }
    board_add(&f->c.net->count->proxy_header_errors, 1);
    close_now(f);
    return 0;
}

static void take_hello(struct front *f, struct snap *s, const struct snap_bind *b, struct str bytes)
{
    struct hello h;
    switch (hello_parse(bytes, f->all->room, &h)) {
    case HELLO_MORE:
        break;
    case HELLO_OK:
        route(f, s, b, &h, bytes.p, bytes.n);
        break;
    case HELLO_NOT_TLS:
        refuse(f, b, TLS_FAULT_NOT_TLS, TLS_ALERT_NONE);
        break;
    case HELLO_BAD:
        refuse(f, b, TLS_FAULT_BAD_HELLO, (enum tls_alert)h.alert);
        break;
    }
}

/* Everything so far in one run. */
static struct str gather(struct front *f, const char *data, size_t n)
{
    if (!f->read.n)
        return str_of(data, n);
    char *at = f->all->bytes;
    for (const struct chunk *k = f->read.first; k; k = k->next) {
        memcpy(at, k->data + k->from, k->to - k->from);
        at += k->to - k->from;
    }
    memcpy(at, data, n);
    return str_of(f->all->bytes, f->read.n + n);
}

static void on_read(struct conn *c, char *data, size_t n)
{
    struct front *f = of_conn(c);
    struct snap *s = f->all->host->current(f->all->host);
    const struct snap_bind *b = s ? generation_bind(generation_of(s), f->link.bind_id) : NULL;
    if (f->phase == PHASE_GONE)
        return;
    if (!b) { /* its listener has gone */
        close_now(f);
        return;
    }
    struct str bytes = gather(f, data, n);
    if (f->phase == PHASE_PROXY) {
        size_t used = take_proxy(f, bytes);
        if (used && !after_proxy(f, s, b, bytes.p + used, bytes.n - used))
            return;
        if (used) {
            chunkq_clear(&f->read, &c->net->chunks);
            bytes = str_skip(bytes, used);
            data += n - bytes.n; /* a header ends in the newest bytes, or it would have been taken before */
            n = bytes.n;
        }
    }
    if (f->phase == PHASE_HELLO && n)
        take_hello(f, s, b, bytes);
    if (f->phase > PHASE_HELLO)
        return;
    if (!chunkq_add(&f->read, &c->net->chunks, data, n)) {
        close_now(f);
        return;
    }
    c->read_max = FRONT_BYTES - (uint32_t)f->read.n;
}

static void on_end(struct conn *c)
{
    struct front *f = of_conn(c);
    if (f->phase == PHASE_GONE)
        return;
    if (f->phase == PHASE_HELLO && f->read.n) /* one that says nothing looks whether we are there */
        note_fault(f, TLS_FAULT_CLOSED);
    close_now(f);
}

static void on_error(struct conn *c, int err)
{
    (void)err;
    on_end(c);
    conn_close(c);
}

static const struct conn_events EVENTS = {
    .on_connect = on_connect,
    .on_read = on_read,
    .on_end = on_end,
    .on_error = on_error,
    .on_closed = on_closed,
};

static void on_timer(struct timer *t)
{
    struct front *f = CONTAINER_OF(t, struct front, timer);
    if (f->phase == PHASE_PROXY)
        board_add(&f->c.net->count->proxy_header_errors, 1);
    else if (f->phase != PHASE_LAST_WORDS)
        note_fault(f, TLS_FAULT_TIMEOUT);
    close_now(f);
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

int fronts_init(struct fronts *all, struct net *n, struct front_host *host, struct tls_contexts *contexts, struct board_proc *me)
{
    *all = (struct fronts){.net = n, .host = host, .contexts = contexts, .me = me};
    list_init(&all->all);
    slab_init(&all->slab, sizeof(struct front), 64);
    all->bytes = malloc(FRONT_BYTES);
    all->room = malloc(HELLO_BYTES_MAX);
    if (all->bytes && all->room)
        return 0;
    fronts_fini(all);
    return GH_E_NOMEM;
}

void fronts_fini(struct fronts *all)
{
    must(all->n == 0);
    free(all->bytes);
    free(all->room);
    slab_fini(&all->slab);
    all->bytes = all->room = NULL;
}

void fronts_close_all(struct fronts *all)
{
    while (!list_empty(&all->all))
        close_now(LIST_ITEM(all->all.next, struct front, node));
}

uint32_t fronts_close_slow(struct fronts *all, uint32_t max)
{
    uint32_t n = 0;
    for (; n < max && !list_empty(&all->all); n++) {
        struct front *f = LIST_ITEM(all->all.next, struct front, node);
        if (all->net->now_ms - f->since_ms < SLOW_MS)
            break;
        note_fault(f, TLS_FAULT_TIMEOUT);
        close_now(f);
    }
    return n;
}

static bool in_range(const struct snap_cidr *r, uint8_t family, const uint8_t *ip)
{
    unsigned whole = r->bits / 8, rest = r->bits % 8;
    return r->family == family && memcmp(r->ip, ip, whole) == 0 &&
           (!rest || ((r->ip[whole] ^ ip[whole]) & (0xff00u >> rest & 0xff)) == 0);
}

static bool is_trusted(const struct snap *s, const struct snap_bind *b, const struct stream_link *l)
{
    static const uint8_t MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    SNAP_EACH(i, b->proxy_trusted)
    {
        if (in_range(&s->CIDRS[i], l->peer_family, l->peer))
            return true;
        if (l->peer_family == 6 && memcmp(l->peer, MAPPED, sizeof(MAPPED)) == 0 && in_range(&s->CIDRS[i], 4, l->peer + 12))
            return true;
    }
    return false;
}

bool front_wanted(const struct snap *s, const struct snap_bind *b, const struct stream_link *l)
{
    return b->chains.n || is_trusted(s, b, l);
}

int front_accept(struct fronts *all, int fd, const struct stream_link *link)
{
    struct snap *s = all->host->current(all->host);
    const struct snap_bind *b = s ? generation_bind(generation_of(s), link->bind_id) : NULL;
    struct front *f = b ? slab_get(&all->slab) : NULL;
    if (!f) {
        close(fd);
        return GH_E_NOMEM;
    }
    memset(f, 0, sizeof(*f));
    int err = conn_accept(&f->c, all->net, fd, &EVENTS);
    if (err) {
        slab_put(&all->slab, f);
        return err;
    }
    f->c.flags |= CONN_F_EAGER;
    f->c.read_max = FRONT_BYTES;
    f->all = all;
    f->link = *link;
    f->since_ms = all->net->now_ms;
    f->phase = is_trusted(s, b, link) ? PHASE_PROXY : PHASE_HELLO;
    list_init(&f->node);
    list_push(&all->all, &f->node);
    timer_init(&f->timer, on_timer);
    timer_set(&all->net->timers, &f->timer, f->since_ms + FRONT_HELLO_MS);
    count(all, 1);
    return 0;
}
