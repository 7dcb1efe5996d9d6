/* model.c - making the parts of the model; see model.h. */
#include "master/model/model.h"
#include "shared/base/sha256.h"

void model_init(struct model *m, struct arena *a)
{
    *m = (struct model){.arena = a};
    map_init(&m->clusters_by_key, a);
    map_init(&m->binds_by_key, a);
    map_init(&m->certs_by_text, a);
#define X(name, type, def, text) m->settings.name = (type)(def);
#include "shared/tbl/setting.def"
#undef X
}

static struct str bind_key(struct model *m, struct str address, uint16_t port, bool datagram)
{
    return arena_strf(m->arena, "%s%u|" STR_FMT, datagram ? "udp " : "", port, STR_ARG(address));
}

struct model_bind *model_bind_find(struct model *m, struct str address, uint16_t port, bool datagram)
{
    return map_get(&m->binds_by_key, bind_key(m, address, port, datagram));
}

static struct model_bind *find_bind(struct model *m, struct str address, uint16_t port, bool datagram)
{
    struct str key = bind_key(m, address, port, datagram);
    struct model_bind *b = map_get(&m->binds_by_key, key);
    if (b)
        return b;
    b = arena_new(m->arena, struct model_bind);
    b->address = arena_str(m->arena, address);
    b->port = port;
    b->datagram = datagram;
    b->index = (uint32_t)m->binds.n;
    map_init(&b->hosts_by_name, m->arena);
    map_init(&b->chains_by_name, m->arena);
    *ARENA_PUSH(m->arena, &m->binds) = b;
    map_put(&m->binds_by_key, key, b);
    return b;
}

struct model_bind *model_bind(struct model *m, struct str address, uint16_t port)
{
    return find_bind(m, address, port, false);
}

struct model_bind *model_bind_udp(struct model *m, struct str address, uint16_t port)
{
    return find_bind(m, address, port, true);
}

struct model_chain *model_chain_add(struct model *m, struct model_bind *b, struct str name,
                                    struct model_listener *l, enum chain_mode mode)
{
    must(l->bind == b && !b->datagram);
    if (map_get(&b->chains_by_name, name))
        return NULL;
    struct model_chain *c = arena_new(m->arena, struct model_chain);
    *c = (struct model_chain){.name = name, .listener = l, .mode = mode, .index = (uint32_t)b->chains.n};
    *ARENA_PUSH(m->arena, &b->chains) = c;
    map_put(&b->chains_by_name, name, c);
    return c;
}

static uint64_t cert_id(struct str chain, struct str private_key)
{
    struct sha256 s;
    sha256_begin(&s);
    sha256_add_str(&s, chain);
    sha256_add_str(&s, private_key);
    return sha256_end_id(&s);
}

struct model_cert *model_cert(struct model *m, struct str chain, struct str private_key, const struct cert_info *info)
{
    struct model_cert *c;
    chain = model_public_pem(m->arena, chain);
    struct str key = arena_strf(m->arena, "%016llx", (unsigned long long)hash_str(private_key, hash_str(chain, 0)));
    while ((c = map_get(&m->certs_by_text, key)) && !(str_eq(c->chain, chain) && str_eq(c->private_key, private_key)))
        key = arena_strf(m->arena, STR_FMT "+", STR_ARG(key));
    if (c)
        return c;
    c = arena_new(m->arena, struct model_cert);
    *c = (struct model_cert){
        .id = cert_id(chain, private_key),
        .chain = arena_str(m->arena, chain),
        .private_key = arena_str(m->arena, private_key),
        .info = arena_new(m->arena, struct cert_info),
        .index = (uint32_t)m->certs.n,
    };
    *c->info = *info;
    *ARENA_PUSH(m->arena, &m->certs) = c;
    map_put(&m->certs_by_text, key, c);
    return c;
}

struct model_tls_server *model_tls_server_add(struct model *m)
{
    struct model_tls_server *t = arena_new(m->arena, struct model_tls_server);
    t->index = (uint32_t)m->tls_servers.n;
    *ARENA_PUSH(m->arena, &m->tls_servers) = t;
    return t;
}

struct model_tls_client *model_tls_client_add(struct model *m)
{
    struct model_tls_client *t = arena_new(m->arena, struct model_tls_client);
    t->index = (uint32_t)m->tls_clients.n;
    *ARENA_PUSH(m->arena, &m->tls_clients) = t;
    return t;
}

struct model_listener *model_listener_add(struct model_bind *b, struct arena *a, struct str key,
                                          struct str hostname)
{
    struct model_listener *l = arena_new(a, struct model_listener);
    l->key = key;
    l->bind = b;
    l->hostname = hostname.n ? hostname : STR("*");
    *ARENA_PUSH(a, &b->listeners) = l;
    return l;
}

struct model_host *model_host(struct model *m, struct model_bind *b, struct str name,
                              struct model_listener *l)
{
    must(l->bind == b);
    struct model_host *h = map_get(&b->hosts_by_name, name);
    if (h)
        return h;
    h = arena_new(m->arena, struct model_host);
    h->name = name;
    h->listener = l;
    *ARENA_PUSH(m->arena, &b->hosts) = h;
    map_put(&b->hosts_by_name, name, h);
    return h;
}

struct model_rule *model_rule_add(struct model *m, struct str key)
{
    struct model_rule *r = arena_new(m->arena, struct model_rule);
    r->key = key;
    r->index = (uint32_t)m->rules.n;
    *ARENA_PUSH(m->arena, &m->rules) = r;
    return r;
}

struct model_source *model_source_add(struct model *m)
{
    struct model_source *s = arena_new(m->arena, struct model_source);
    s->number = m->n_sources++;
    return s;
}

struct model_cluster *model_cluster(struct model *m, struct str key, bool *made)
{
    struct model_cluster *c = map_get(&m->clusters_by_key, key);
    if (made)
        *made = c == NULL;
    if (c)
        return c;
    c = arena_new(m->arena, struct model_cluster);
    c->key = key;
    *ARENA_PUSH(m->arena, &m->clusters) = c;
    map_put(&m->clusters_by_key, key, c);
    return c;
}
