#include "tests/unit/worker/proxy/driver_tls.h"
#include "shared/base/log.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool option(struct str piece, const char *name, struct str *value)
{
    struct str n = str_c(name);
    if (!str_starts(piece, n))
        return false;
    *value = str_skip(piece, n.n);
    return true;
}

static struct str file(struct model *m, struct str path)
{
    struct str name = arena_strf(m->arena, STR_FMT, STR_ARG(path));
    int fd = open(name.p, O_RDONLY);
    char *text = arena_room(m->arena, 256 * 1024);
    ssize_t n = fd < 0 ? -1 : read(fd, text, 256 * 1024);
    if (n < 0)
        die("can't read " STR_FMT, STR_ARG(path));
    close(fd);
    return arena_str(m->arena, str_of(text, (size_t)n));
}

static struct model_cert *cert(struct model *m, struct str path)
{
    struct cert_info *info = arena_new(m->arena, struct cert_info);
    struct buf why = {0};
    struct str text = file(m, path);
    ptrdiff_t key = str_find(text, STR("-----BEGIN PRIVATE KEY"));
    if (key < 0 || cert_read(str_head(text, (size_t)key), m->arena, info, &why) != CERT_OK)
        die("certificate " STR_FMT ": %s", STR_ARG(path), buf_cstr(&why));
    buf_fini(&why);
    return model_cert(m, str_head(text, (size_t)key), str_skip(text, (size_t)key), info);
}

struct model_listener *driver_listener(struct model *m, struct model_bind *b, struct str name, enum listener_protocol p)
{
    struct str key = arena_strf(m->arena, "test/" STR_FMT, STR_ARG(name));
    for (size_t i = 0; i < b->listeners.n; i++)
        if (str_eq(b->listeners.v[i]->key, key))
            return b->listeners.v[i];
    struct model_listener *l = model_listener_add(b, m->arena, key, STR("*"));
    l->name = key;
    l->protocol = p;
    return l;
}

static enum client_auth auth(struct str v)
{
    return str_eqc(v, "optional")   ? CLIENT_AUTH_OPTIONAL
           : str_eqc(v, "required") ? CLIENT_AUTH_REQUIRED
           : str_eqc(v, "tolerant") ? CLIENT_AUTH_TOLERANT
                                    : CLIENT_AUTH_NONE;
}

static void stream_rule(struct model *m, struct model_chain *c, struct str cluster)
{
    struct model_rule *r = model_rule_add(m, arena_strf(m->arena, "chain/" STR_FMT, STR_ARG(c->name)));
    struct model_split *s = ARENA_PUSH(m->arena, &r->splits);
    bool made;
    r->name = r->key;
    s->weight = 1;
    s->name = cluster;
    s->cluster = model_cluster(m, cluster, &made);
    c->rule = r;
}

static void of_server(struct model *m, struct model_tls_server *t, struct str piece)
{
    struct str v, one;
    if (option(piece, "cert=", &v))
        while (str_split(&v, ',', &one))
            *ARENA_PUSH(m->arena, &t->certs) = cert(m, one);
    else if (option(piece, "auth=", &v))
        t->client_auth = auth(v);
    else if (option(piece, "ca=", &v))
        t->ca = file(m, v);
    else if (option(piece, "crl=", &v))
        t->crl = file(m, v);
    else if (option(piece, "san=", &v))
        *ARENA_PUSH(m->arena, &t->sans) = v;
    else if (option(piece, "alpn=", &v))
        t->alpn = (uint8_t)(v.p[0] - '0');
    else if (option(piece, "min=", &v))
        t->min = (enum tls_version)(v.p[0] - '0');
    else if (option(piece, "max=", &v))
        t->max = (enum tls_version)(v.p[0] - '0');
    else
        die("no option " STR_FMT, STR_ARG(piece));
}

void driver_chain(struct model *m, struct model_bind *b, struct model_listener *l, struct str text)
{
    struct str piece, v, name = STR("*"), cluster = STR_NONE;
    enum chain_mode mode = CHAIN_HTTP;
    bool istio = false;
    struct model_tls_server *t = model_tls_server_add(m);
    t->alpn = TLS_ALPN_H2 | TLS_ALPN_HTTP1;
    while (str_split(&text, ' ', &piece)) {
        if (option(piece, "name=", &v))
            name = v;
        else if (option(piece, "listener=", &v))
            l = driver_listener(m, b, v, LISTENER_HTTPS);
        else if (option(piece, "mode=", &v))
            mode = str_eqc(v, "tcp") ? CHAIN_TCP : str_eqc(v, "passthrough") ? CHAIN_PASSTHROUGH
                   : str_eqc(v, "refuse") ? CHAIN_REFUSE : CHAIN_HTTP;
        else if (option(piece, "cluster=", &v))
            cluster = v;
        else if (option(piece, "istio=", &v))
            istio = true;
        else if (piece.n)
            of_server(m, t, piece);
    }
    if (mode != CHAIN_HTTP && mode != CHAIN_REFUSE) {
        l->protocol = LISTENER_TLS;
        t->alpn = 0;
    } else {
        l->protocol = LISTENER_HTTPS;
    }
    struct model_chain *c = model_chain_add(m, b, name, l, mode);
    if (!c)
        die("chain " STR_FMT " twice", STR_ARG(name));
    c->tls = mode == CHAIN_HTTP || mode == CHAIN_TCP ? t : NULL;
    c->istio_alpn = istio;
    c->why = mode == CHAIN_REFUSE ? STR("a test") : STR_NONE;
    if (cluster.n)
        stream_rule(m, c, cluster);
}

bool driver_cluster_tls(struct model *m, struct model_cluster *c, struct str text)
{
    struct str v;
    if (!str_starts(text, STR("tls_")))
        return false;
    if (!c->tls)
        c->tls = model_tls_client_add(m);
    text = str_skip(text, 4);
    if (option(text, "ca=", &v))
        c->tls->ca = file(m, v);
    else if (option(text, "sni=", &v))
        c->tls->sni = v;
    else if (option(text, "identity=", &v))
        c->tls->identity = v;
    else if (option(text, "san=", &v))
        *ARENA_PUSH(m->arena, &c->tls->sans) = v;
    else if (option(text, "cert=", &v))
        c->tls->cert = cert(m, v);
    else if (option(text, "insecure=", &v))
        c->tls->insecure = true;
    else if (option(text, "system=", &v))
        c->tls->system_ca = true;
    else if (option(text, "broken=", &v))
        c->tls->broken = true;
    else
        return false;
    return true;
}

void driver_trusted(struct model *m, struct model_bind *b, struct str cidr)
{
    struct model_cidr *c = ARENA_PUSH(m->arena, &b->proxy_trusted);
    char text[64];
    int bits = 32;
    snprintf(text, sizeof(text), STR_FMT, STR_ARG(cidr));
    char *slash = strchr(text, '/');
    if (slash) {
        *slash = '\0';
        bits = atoi(slash + 1);
    }
    c->family = strchr(text, ':') ? 6 : 4;
    c->bits = (uint8_t)bits;
    if (inet_pton(c->family == 6 ? AF_INET6 : AF_INET, text, c->ip) != 1)
        die("no range: " STR_FMT, STR_ARG(cidr));
}
