#include "worker/upstream/secure.h"
#include "shared/http/proxy_header.h"
#include "worker/http/link.h"
#include "worker/upstream/upstream.h"

#include <errno.h>
#include <stdlib.h>

/* --- settings ------------------------------------------------------------------------------------------------- */

static uint8_t alpn_of(const struct snap_cluster *row)
{
    switch ((enum upstream_protocol)row->protocol) {
    case UPSTREAM_HTTP1:
        return TLS_ALPN_HTTP1;
    case UPSTREAM_H2:
        return TLS_ALPN_H2;
    case UPSTREAM_AUTO:
        return TLS_ALPN_H2 | TLS_ALPN_HTTP1;
    }
    return 0;
}

static uint64_t hash_of(const struct snap *s, const struct snap_cluster *row)
{
    const struct snap_tls_client *t = SNAP_AT(s, TLS_CLIENTS, row->tls);
    if (!t && row->proxy_header == PROXY_HEADER_NONE)
        return 0;
    uint64_t h = hash_mix(row->proxy_header, t ? t->id : 0);
    return hash_mix(h, alpn_of(row)) | 1;
}

void secure_fini(struct security *x)
{
    tls_context_drop(x->tls);
    free(x->sni);
    *x = (struct security){0};
}

static bool keep_sni(struct security *x, struct str sni)
{
    if (!sni.n)
        return true;
    x->sni = malloc(sni.n);
    if (!x->sni)
        return false;
    memcpy(x->sni, sni.p, sni.n);
    x->sni_n = sni.n;
    return true;
}

bool secure_set(struct cluster *c, const struct snap *s, const struct snap_cluster *row)
{
    const struct upstream *u = c->all;
    const struct snap_tls_client *t = SNAP_AT(s, TLS_CLIENTS, row->tls);
    uint64_t made_as = hash_of(s, row);
    struct security *x = &c->security;
    if (x->made_as == made_as && (!x->on || x->tls))
        return false; /* what could not be made is tried again with each generation */
    secure_fini(x);
    x->made_as = made_as;
    x->proxy_header = row->proxy_header;
    x->alpn = alpn_of(row);
    x->on = t != NULL;
    x->fault = TLS_FAULT_CONTEXT;
    if (t && u->contexts && keep_sni(x, snap_text(s, t->sni)))
        x->fault = tls_context_client(u->contexts, s, u->keys_of ? u->keys_of(s) : NULL, row->tls, &x->tls);
    return true;
}

/* --- connections ------------------------------------------------------------------------------------------------ */

static struct str server_name(const struct security *x, const struct secure_for *f)
{
    return x->sni ? str_of(x->sni, x->sni_n) : f->server_name;
}

static uint64_t hash_link(const struct stream_link *l)
{
    link_know_local(l);
    uint64_t h = hash_bytes(l->peer, sizeof(l->peer), (uint64_t)l->peer_port << 16 | l->local_port);
    return hash_bytes(l->local, sizeof(l->local), h);
}

uint64_t secure_as(const struct cluster *c, const struct secure_for *f)
{
    const struct security *x = &c->security;
    uint64_t h = x->made_as;
    if (likely(!h))
        return 0;
    if (x->on && !x->sni)
        h = hash_mix(h, hash_str(f->server_name, 0));
    if (x->proxy_header != PROXY_HEADER_NONE && f->link)
        h = hash_mix(h, hash_link(f->link));
    return h | 1;
}

static void note(const struct cluster *c, const struct tls_facts *facts, enum tls_fault fault)
{
    struct board_tls *t = &board_proc(c->all->board, c->all->row)->tls;
    if (fault != TLS_FAULT_NONE)
        board_add(&t->faults[BOARD_TLS_UPSTREAM][fault], 1);
    else
        board_add(&t->handshakes[BOARD_TLS_UPSTREAM][strcmp(facts->version, "TLSv1.2") != 0][facts->resumed], 1);
}

enum reason secure_check(const struct cluster *c, const char **detail)
{
    const struct security *x = &c->security;
    if (likely(!x->on || x->tls))
        return REASON_OK;
    note(c, NULL, (enum tls_fault)x->fault);
    *detail = tls_fault_text((enum tls_fault)x->fault);
    return REASON_UPSTREAM_TLS;
}

static bool say_who(struct conn *c, unsigned version, const struct stream_link *l)
{
    struct proxy_ends ends = {0};
    char head[PROXY_HEAD_WRITE];
    if (l) {
        link_know_local(l);
        ends.from_family = l->peer_family;
        ends.to_family = l->local_family;
        ends.from_port = l->peer_port;
        ends.to_port = l->local_port;
        memcpy(ends.from, l->peer, sizeof(ends.from));
        memcpy(ends.to, l->local, sizeof(ends.to));
    }
    return conn_preface(c, head, proxy_head_write(version, &ends, head));
}

int secure_start(struct endpoint *e, struct conn *c, const struct secure_for *f, bool http)
{
    const struct security *x = &e->cluster->security;
    if (x->proxy_header != PROXY_HEADER_NONE && !say_who(c, x->proxy_header == PROXY_HEADER_V1 ? 1 : 2, f->link))
        return -ENOMEM;
    if (!x->on)
        return 0;
    if (!x->tls)
        return -EPROTO;
    const struct tls_start how = {
        .context = x->tls,
        .server_name = server_name(x, f),
        .alpn = http ? x->alpn : 0,
        .session = &e->session,
    };
    return conn_tls_client(c, &how);
}

enum reason secure_done(struct endpoint *e, const struct conn *c, int err, const char **detail)
{
    const struct security *x = &e->cluster->security;
    struct tls_facts facts;
    *detail = NULL;
    if (!c->tls)
        return err ? REASON_CONNECT_FAILED : REASON_OK;
    enum tls_fault fault = conn_tls_fault(c, detail);
    if (err && fault == TLS_FAULT_NONE)
        return REASON_CONNECT_FAILED;
    if (!err && !conn_tls_facts(c, &facts))
        fault = TLS_FAULT_PROTOCOL;
    else if (!err && x->alpn == TLS_ALPN_H2 && facts.alpn != TLS_PROTO_H2)
        fault = TLS_FAULT_ALPN;
    note(e->cluster, &facts, fault);
    if (fault == TLS_FAULT_NONE)
        return REASON_OK;
    *detail = tls_fault_text(fault);
    return REASON_UPSTREAM_TLS;
}
