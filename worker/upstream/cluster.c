/*
 * cluster.c - which clusters and endpoints there are, and which one a request goes to.
 */
#include "shared/base/err.h"
#include "shared/base/hash.h"
#include "worker/upstream/endpoint.h"
#include "worker/upstream/raw.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#define AVOID_MS     1000  /* after a failed connect others are preferred; doubles ... */
#define AVOID_MAX_MS 10000 /* ... up to this */

/* --- the table -------------------------------------------------------------------------------------- */

static struct cluster **slot_of(const struct upstream *u, uint64_t id)
{
    return &u->table[hash_mix(0, id) >> (64 - u->table_log2)];
}

static bool table_grow(struct upstream *u)
{
    uint32_t log2 = u->table_log2 + 1;
    struct cluster **old = u->table, **t = calloc((size_t)1 << log2, sizeof(struct cluster *));
    if (!t)
        return false;
    uint32_t n_old = 1u << u->table_log2;
    u->table = t;
    u->table_log2 = log2;
    for (uint32_t i = 0; i < n_old; i++)
        for (struct cluster *c = old[i], *next; c; c = next) {
            next = c->next;
            struct cluster **s = slot_of(u, c->id);
            c->next = *s;
            *s = c;
        }
    free(old);
    return true;
}

int upstream_init(struct upstream *u, struct net *n, struct board *b, uint32_t row)
{
    static const struct snap_settings FIRST = {
#define X(name, type, def, text) .name = (def),
#include "shared/tbl/setting.def"
#undef X
    };
    memset(u, 0, sizeof(*u));
    u->net = n;
    u->board = b;
    u->row = row;
    u->h1.net = n;
    list_init(&u->lru);
    list_init(&u->busy);
    list_init(&u->raws);
    slab_init(&u->raw_slab, sizeof(struct raw), 256);
    slab_init(&u->conns, sizeof(struct upconn), 256);
    slab_init(&u->h2s, sizeof(struct up_h2), 32);
    u->table_log2 = 6;
    u->table = calloc((size_t)1 << u->table_log2, sizeof(struct cluster *));
    h2_clients_init(&u->h2, n);
    return u->table && upstream_set(u, &FIRST) ? 0 : GH_E_NOMEM;
}

bool upstream_set(struct upstream *u, const struct snap_settings *s)
{
    const struct h1_limits limits = {
        .max_head = s->max_header_bytes,
        .max_line = s->max_header_bytes, /* answers have long lines: cookies, policies */
        .max_fields = (uint16_t)GH_MIN(s->max_fields, 10000u),
    };
    const struct h2_limits h2 = {limits.max_head, limits.max_line, limits.max_fields};
    h2_clients_set(&u->h2, &h2);
    u->connect_timeout_ms = s->connect_timeout_ms;
    u->idle_timeout_ms = s->upstream_idle_timeout_ms;
    u->max_idle = s->upstream_pool_idle;
    return h1_clients_set(&u->h1, &limits);
}

static void cluster_free(struct cluster *c)
{
    struct cluster **at = slot_of(c->all, c->id);
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    c->all->n_clusters--;
    free(c->v);
    free(c->names);
    secure_fini(&c->security);
    free(c);
}

/* --- endpoints -------------------------------------------------------------------------------------- */

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    } to;
    socklen_t len;
    char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
};

static bool address_ip(struct address *a, uint8_t family, const uint8_t *ip, uint16_t port)
{
    char text[INET6_ADDRSTRLEN];
    memset(&a->to, 0, sizeof(a->to));
    if (family == 4) {
        a->to.v4.sin_family = AF_INET;
        a->to.v4.sin_port = htons(port);
        memcpy(&a->to.v4.sin_addr, ip, 4);
        a->len = sizeof(a->to.v4);
    } else if (family == 6) {
        a->to.v6.sin6_family = AF_INET6;
        a->to.v6.sin6_port = htons(port);
        memcpy(&a->to.v6.sin6_addr, ip, 16);
        a->len = sizeof(a->to.v6);
    } else {
        return false;
    }
    if (!inet_ntop(family == 4 ? AF_INET : AF_INET6, ip, text, sizeof(text)))
        return false;
    snprintf(a->name, sizeof(a->name), family == 4 ? "%s:%u" : "[%s]:%u", text, port);
    return true;
}

/* "unix:/path" or "unix:@abstract". */
static bool address_unix(struct address *a, struct str text)
{
    struct str path = str_starts(text, STR("unix:")) ? str_skip(text, 5) : text;
    memset(&a->to, 0, sizeof(a->to));
    if (path.n == 0 || path.n >= sizeof(a->to.local.sun_path))
        return false;
    a->to.local.sun_family = AF_UNIX;
    memcpy(a->to.local.sun_path, path.p, path.n);
    if (path.p[0] == '@')
        a->to.local.sun_path[0] = '\0';
    a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + (path.p[0] != '@'));
    snprintf(a->name, sizeof(a->name), "unix:" STR_FMT, STR_ARG(path));
    return true;
}

static struct endpoint *endpoint_new(struct cluster *c, const struct address *a, uint64_t id)
{
    size_t name_n = strlen(a->name);
    struct endpoint *e = calloc(1, sizeof(*e) + a->len + name_n);
    if (!e)
        return NULL;
    e->refs = 1;
    e->cluster = c;
    e->id = id;
    e->index = BALANCE_NONE;
    list_init(&e->idle);
    list_init(&e->shared);
    e->streams = H2_CLIENT_FIRST;
    e->to_len = a->len;
    memcpy(e->to, &a->to, a->len);
    char *name = (char *)e->to + a->len;
    memcpy(name, a->name, name_n);
    e->name = str_of(name, name_n);
    c->n_live++;
    return e;
}

struct endpoint *endpoint_hold(struct endpoint *e)
{
    e->refs++;
    return e;
}

void endpoint_drop(struct endpoint *e)
{
    if (!e || --e->refs)
        return;
    struct cluster *c = e->cluster;
    must(!e->n_conns);
    tls_session_clear(&e->session);
    free(e);
    c->n_live--;
    cluster_settle(c);
}

uint32_t endpoint_enter(struct endpoint *e)
{
    struct cluster *c = e->cluster;
    uint32_t slot = c->lb == LB_LEAST_REQUEST ? e->board_slot : 0;
    e->active++;
    e->n_conns++;
    c->n_conns++;
    c->all->n_conns++;
    if (slot)
        board_endpoint_enter(c->all->board, c->all->row, slot);
    return slot;
}

void endpoint_leave(struct endpoint *e, uint32_t entered)
{
    struct cluster *c = e->cluster;
    e->active--;
    e->n_conns--;
    c->n_conns--;
    c->all->n_conns--;
    if (entered)
        board_endpoint_leave(c->all->board, c->all->row, entered);
    cluster_room(c);
}

/* --- which endpoints ---------------------------------------------------------------------------------- */

/* A new list in the making; what is in the old one with the same id goes over. */
struct update {
    struct cluster *c;
    struct endpoint **v;
    uint32_t n, cap;
    bool failed;
};

static struct endpoint *find(const struct cluster *c, uint64_t id)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (c->v[i] && c->v[i]->id == id)
            return c->v[i];
    return NULL;
}

static void update_add(struct update *u, const struct address *a, uint64_t id, uint32_t weight, uint32_t board_slot,
                       bool shared)
{
    struct endpoint *e = find(u->c, id);
    if (u->n == u->cap) {
        uint32_t cap = u->cap ? u->cap * 2 : 4;
        struct endpoint **v = realloc(u->v, cap * sizeof(*v));
        if (!v) {
            u->failed = true;
            return;
        }
        u->v = v;
        u->cap = cap;
    }
    if (!e)
        e = endpoint_new(u->c, a, id);
    else
        endpoint_hold(e);
    if (!e) {
        u->failed = true;
        return;
    }
    e->weight = weight;
    e->board_slot = board_slot;
    e->shared_slot = shared;
    u->v[u->n++] = e;
}

static void add_fixed(struct update *u, const struct snap *s, const struct snap_endpoint *row)
{
    struct address a;
    bool ok = row->family == 1 ? address_unix(&a, snap_text(s, row->address))
                               : address_ip(&a, row->family, row->ip, row->port);
    if (ok)
        update_add(u, &a, row->id, row->weight, row->board_slot, false);
}

/* The answers for one name; each address is an endpoint. */
static void add_name(struct update *u, struct name_source *src)
{
    struct board_dns *row = board_dns(u->c->all->board, src->dns_slot);
    struct board_dns_answer answer;
    if (!row)
        return;
    src->turn = atomic_load_explicit(&row->turn, memory_order_acquire);
    if (atomic_load_explicit(&row->key, memory_order_acquire) != src->key || !board_dns_read(row, &answer))
        return;
    for (uint32_t i = 0; i < GH_MIN(answer.n, (uint32_t)BOARD_DNS_ADDRS); i++) {
        struct address a;
        if (address_ip(&a, answer.v[i].family, answer.v[i].addr, src->port))
            update_add(u, &a, hash_bytes(answer.v[i].addr, 16, hash_mix(src->id, answer.v[i].family)), src->weight,
                       src->board_slot, true);
    }
}

/* The new list is complete: it takes the place of the old one. */
static void update_finish(struct update *u)
{
    struct cluster *c = u->c;
    struct endpoint **old = c->v;
    uint32_t n_old = c->n;
    if (u->failed) { /* as it was; the next use tries again */
        for (uint32_t i = 0; i < u->n; i++)
            endpoint_drop(u->v[i]);
        free(u->v);
        c->endpoints_hash = 0;
        return;
    }
    for (uint32_t i = 0; i < n_old; i++)
        old[i]->index = BALANCE_NONE;
    c->v = u->v;
    c->n = u->n;
    c->cap = u->cap;
    c->equal = true;
    for (uint32_t i = 0; i < c->n; i++) {
        c->v[i]->index = i;
        c->equal = c->equal && c->v[i]->weight == c->v[0]->weight;
    }
    for (uint32_t i = 0; i < n_old; i++) {
        if (old[i]->index == BALANCE_NONE)
            endpoint_retire(old[i]);
        endpoint_drop(old[i]);
    }
    free(old);
}

static bool keep_names(struct cluster *c, const struct snap *s, const struct snap_cluster *row)
{
    uint32_t n = 0;
    SNAP_EACH(i, row->endpoints)
        n += s->ENDPOINTS[i].dns_slot != SNAP_NONE;
    struct name_source *names = n ? calloc(n, sizeof(*names)) : NULL;
    if (n && !names)
        return false;
    free(c->names);
    c->names = names;
    c->n_names = 0;
    SNAP_EACH(i, row->endpoints)
    {
        const struct snap_endpoint *e = &s->ENDPOINTS[i];
        if (e->dns_slot != SNAP_NONE)
            c->names[c->n_names++] = (struct name_source){
                .dns_slot = e->dns_slot,
                .board_slot = e->board_slot,
                .key = hash_str_lower(snap_text(s, e->address), 0),
                .id = e->id,
                .port = e->port,
                .weight = e->weight,
            };
    }
    return true;
}

static void set_endpoints(struct cluster *c, const struct snap *s, const struct snap_cluster *row)
{
    struct update u = {.c = c};
    c->endpoints_hash = row->endpoints_hash;
    if (!keep_names(c, s, row))
        u.failed = true;
    SNAP_EACH(i, row->endpoints)
        if (s->ENDPOINTS[i].dns_slot == SNAP_NONE)
            add_fixed(&u, s, &s->ENDPOINTS[i]);
    for (uint32_t i = 0; i < c->n_names; i++)
        add_name(&u, &c->names[i]);
    update_finish(&u);
}

static void set_from(struct cluster *c, const struct snap *s, const struct snap_cluster *row)
{
    c->lb = row->lb;
    c->protocol = row->protocol;
    c->connect_timeout_ms = row->connect_timeout_ms;
    c->idle_timeout_ms = row->idle_timeout_ms;
    c->max_connections = row->max_connections;
    c->max_pending = row->max_pending;
    c->max_requests = row->max_requests;
    c->slot = row->slot;
    if (secure_set(c, s, row))
        for (uint32_t i = 0; i < c->n; i++)
            endpoint_retire(c->v[i]);
    bool first = c->generation == 0;
    c->generation = s->head->generation;
    if (first || c->endpoints_hash != row->endpoints_hash)
        set_endpoints(c, s, row);
}

/* The addresses with an answer that has changed since: what stays the same keeps its state. */
static void refresh_names(struct cluster *c)
{
    bool changed = false;
    for (uint32_t i = 0; i < c->n_names; i++) {
        struct board_dns *row = board_dns(c->all->board, c->names[i].dns_slot);
        changed = changed || (row && atomic_load_explicit(&row->turn, memory_order_acquire) != c->names[i].turn);
    }
    if (!changed)
        return;
    struct update u = {.c = c};
    for (uint32_t i = 0; i < c->n; i++) {
        struct endpoint *e = c->v[i];
        if (!e->shared_slot)
            update_add(&u, NULL, e->id, e->weight, e->board_slot, false);
    }
    for (uint32_t i = 0; i < c->n_names; i++)
        add_name(&u, &c->names[i]);
    update_finish(&u);
}

struct cluster *cluster_get(struct upstream *u, const struct snap *s, uint32_t index)
{
    const struct snap_cluster *row = &s->CLUSTERS[index];
    struct cluster *c = *slot_of(u, row->id);
    while (c && c->id != row->id)
        c = c->next;
    if (!c) {
        if (u->n_clusters >= 2u << u->table_log2 && u->table_log2 < 24)
            table_grow(u);
        c = calloc(1, sizeof(*c));
        if (!c)
            return NULL;
        c->all = u;
        c->id = row->id;
        c->pick.turn = c->pick.weyl = (uint32_t)rng_next(&u->net->rng);
        list_init(&c->waiting);
        struct cluster **at = slot_of(u, c->id);
        c->next = *at;
        *at = c;
        u->n_clusters++;
    }
    c->refs++;
    if (s->head->generation > c->generation)
        set_from(c, s, row);
    return c;
}

void cluster_settle(struct cluster *c)
{
    if (c->refs || c->n_conns)
        return;
    if (c->n) {
        struct update none = {.c = c};
        c->n_live++; /* it stays while the list is emptied */
        c->n_names = 0;
        c->generation = 0;
        update_finish(&none);
        c->n_live--;
    }
    if (!c->n_live)
        cluster_free(c);
}

void cluster_drop(struct cluster *c)
{
    if (!c || --c->refs)
        return;
    cluster_settle(c);
}

/* --- picking ---------------------------------------------------------------------------------------- */

struct view_ctx {
    struct cluster *c;
    struct endpoint *const *tried;
    uint32_t n_tried;
    uint64_t now_ms, now_ns;
    bool avoid;        /* those that failed lately are out */
};

static bool usable(const void *p, uint32_t i)
{
    const struct view_ctx *v = p;
    const struct endpoint *e = v->c->v[i];
    if (e->weight == 0 || (v->avoid && e->avoid_until_ms > v->now_ms))
        return false;
    for (uint32_t k = 0; k < v->n_tried; k++)
        if (v->tried[k] == e)
            return false;
    struct board_endpoint *row = board_endpoint(v->c->all->board, e->board_slot);
    return !row || e->board_slot == 0 ||
           atomic_load_explicit(&row->ejected_until_ns, memory_order_relaxed) <= v->now_ns;
}

static uint32_t weight(const void *p, uint32_t i)
{
    return ((const struct view_ctx *)p)->c->v[i]->weight;
}

static uint32_t active(const void *p, uint32_t i)
{
    const struct view_ctx *v = p;
    const struct endpoint *e = v->c->v[i];
    struct board_endpoint *row = board_endpoint(v->c->all->board, e->board_slot);
    if (!row || e->board_slot == 0 || e->shared_slot)
        return e->active;
    return atomic_load_explicit(&row->active, memory_order_relaxed);
}

struct endpoint *cluster_pick(struct cluster *c, struct endpoint *const *tried, uint32_t n_tried)
{
    if (c->n_names)
        refresh_names(c);
    struct view_ctx ctx = {c, tried, n_tried, c->all->net->now_ms, c->all->net->now_ns, true};
    struct balance_view view = {c->n, c->equal, usable, weight, active, &ctx};
    uint32_t i = balance_pick((enum lb_policy)c->lb, &view, &c->pick, &c->all->net->rng);
    if (i == BALANCE_NONE) { /* better one that failed lately than none */
        ctx.avoid = false;
        i = balance_pick((enum lb_policy)c->lb, &view, &c->pick, &c->all->net->rng);
    }
    if (i == BALANCE_NONE && n_tried) { /* better one that was tried than none */
        ctx.n_tried = 0;
        i = balance_pick((enum lb_policy)c->lb, &view, &c->pick, &c->all->net->rng);
    }
    return i == BALANCE_NONE ? NULL : c->v[i];
}

void endpoint_result(struct endpoint *e, bool ok)
{
    struct board_endpoint *row = board_endpoint(e->cluster->all->board, e->board_slot);
    if (ok) {
        e->failures = 0;
        e->avoid_until_ms = 0;
    } else {
        uint32_t wait = AVOID_MS << GH_MIN(e->failures, 4u);
        e->failures++;
        e->avoid_until_ms = e->cluster->all->net->now_ms + GH_MIN(wait, (uint32_t)AVOID_MAX_MS);
    }
    if (!row || e->board_slot == 0)
        return;
    if (!ok) {
        atomic_fetch_add_explicit(&row->failures, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&row->errors, 1, memory_order_relaxed);
    } else if (atomic_load_explicit(&row->failures, memory_order_relaxed)) {
        atomic_store_explicit(&row->failures, 0, memory_order_relaxed);
    }
}
