#include "worker/proxy/tally.h"
#include "worker/http/exchange.h"

#include <stdio.h>
#include <stdlib.h>

/* Texts one behind the other, each cut at NAME_LEN_MAX and followed by a NUL. */
enum { NAME_LISTENER, NAME_ROUTE, NAME_RULE_KEY, NAME_SERVER, NAME_TLS_VERSION, NAME_TLS_CIPHER,
       NAME_CLIENT_CERT, NAME_COUNT };
enum { TARGET_CLUSTER, TARGET_ENDPOINT, TARGET_COUNT };
#define NAME_LEN_MAX 512u

static char *keep(const struct str *v, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += GH_MIN(v[i].n, (size_t)NAME_LEN_MAX) + 1;
    char *kept = malloc(n), *at = kept;
    for (size_t i = 0; at && i < count; i++) {
        size_t len = GH_MIN(v[i].n, (size_t)NAME_LEN_MAX);
        if (len)
            memcpy(at, v[i].p, len);
        at[len] = '\0';
        at += len + 1;
    }
    return kept;
}

static void shown(const char *kept, struct str *v, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        v[i] = kept ? str_c(kept) : STR_NONE;
        kept = kept ? kept + v[i].n + 1 : NULL;
    }
}

static void count_in(struct board_series *s)
{
    board_add(&s->streams, 1);
    board_add(&s->streams_active, 1);
}

static void count_out(struct board_series *s, enum reason why)
{
    if (!s)
        return;
    board_add(&s->streams_active, (uint64_t)-1);
    if (why != REASON_OK)
        board_add(&s->reasons[why], 1);
}

void tally_begin(struct tally *t, const struct tally_book *b, const struct snap *s, const struct snap_listener *l,
                 const struct snap_rule *r, const struct tally_names *tls)
{
    *t = (struct tally){.start_ns = b->net->now_ns, .generation = s->head->generation};
    if (l)
        count_in(t->listener = board_series(b->board, b->row, l->slot));
    if (r)
        count_in(t->rule = board_series(b->board, b->row, r->slot));
    const struct str names[NAME_COUNT] = {
        [NAME_LISTENER] = l ? snap_text(s, l->name) : STR_NONE,
        [NAME_ROUTE] = r ? snap_text(s, r->name) : STR_NONE,
        [NAME_RULE_KEY] = r ? snap_text(s, r->key) : STR_NONE,
        [NAME_SERVER] = tls->server_name,
        [NAME_TLS_VERSION] = tls->tls_version,
        [NAME_TLS_CIPHER] = tls->tls_cipher,
        [NAME_CLIENT_CERT] = tls->client_cert,
    };
    if (b->access)
        t->names = keep(names, NAME_COUNT);
}

void tally_cluster(struct tally *t, const struct tally_book *b, const struct snap_cluster *c)
{
    if (!t->cluster)
        count_in(t->cluster = board_series(b->board, b->row, c->slot));
}

void tally_target(struct tally *t, const struct tally_book *b, struct str cluster, struct str endpoint)
{
    if (!b->access)
        return;
    char *old = t->target;
    if (!cluster.p && old)
        cluster = str_c(old);
    t->target = keep((struct str[TARGET_COUNT]){cluster, endpoint}, TARGET_COUNT);
    free(old);
}

/* Text and port as the log shows them; `out` has room for PEER_TEXT_MAX + 10 bytes. */
static struct str with_port(uint8_t family, const uint8_t *address, unsigned port, char *out)
{
    char text[PEER_TEXT_MAX];
    size_t n = address_text(family, address, text);
    if (!n)
        return STR_NONE;
    int k = snprintf(out, PEER_TEXT_MAX + 10, family == 6 ? "[%.*s]:%u" : "%.*s:%u", (int)n, text, port);
    return str_of(out, (size_t)GH_MAX(k, 0));
}

static void log_it(const struct tally *t, const struct tally_book *b, const struct stream_link *from, struct str protocol)
{
    struct str v[NAME_COUNT], to[TARGET_COUNT];
    char peer[PEER_TEXT_MAX], local[PEER_TEXT_MAX + 10];
    shown(t->names, v, NAME_COUNT);
    shown(t->target, to, TARGET_COUNT);
    struct access_record a = {
        .start_wall_us = net_wall_us(b->net, t->start_ns),
        .duration_us = (b->net->now_ns - t->start_ns) / 1000,
        .upstream_us = t->connected_ns ? GH_MAX((t->connected_ns - t->start_ns) / 1000, UINT64_C(1)) : 0,
        .protocol = protocol,
        .client_address = str_of(peer, address_text(from->peer_family, from->peer, peer)),
        .client_port = from->peer_port,
        .local_address = access_log_shows_local(b->access)
                             ? with_port(from->local_family, from->local, from->local_port, local)
                             : STR_NONE,
        .server_name = v[NAME_SERVER],
        .tls_version = v[NAME_TLS_VERSION],
        .tls_cipher = v[NAME_TLS_CIPHER],
        .client_cert = v[NAME_CLIENT_CERT],
        .reason = (enum reason)t->reason,
        .bytes_in = t->bytes_in,
        .bytes_out = t->bytes_out,
        .listener = v[NAME_LISTENER],
        .route = v[NAME_ROUTE],
        .rule_key = v[NAME_RULE_KEY],
        .cluster = to[TARGET_CLUSTER],
        .endpoint = to[TARGET_ENDPOINT],
        .tries = t->tries,
        .generation = t->generation,
    };
    a.peer_address = a.client_address;
    access_log_write(b->access, &a);
}

void tally_end(struct tally *t, const struct tally_book *b, const struct stream_link *from, struct str protocol)
{
    count_out(t->listener, (enum reason)t->reason);
    count_out(t->rule, (enum reason)t->reason);
    count_out(t->cluster, (enum reason)t->reason);
    if (b->access)
        log_it(t, b, from, protocol);
    free(t->names);
    free(t->target);
    t->names = t->target = NULL;
    t->listener = t->rule = t->cluster = NULL;
}
