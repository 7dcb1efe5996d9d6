#include "master/compile/layout.h"
#include "shared/base/err.h"
#include "shared/snap/slot.h"

#include <stdlib.h>

static const uint32_t ELEM[] = {
#define X(name, type) sizeof(type),
    SNAP_SECTIONS(X)
#undef X
};

#define X(name, type) _Static_assert(sizeof(type) <= sizeof(((struct layout *)0)->nowhere), #name);
SNAP_SECTIONS(X)
#undef X

/* --- sections ------------------------------------------------------------------------------------ */

void layout_fail(struct layout *l, int code)
{
    if (!l->failed)
        l->failed = code;
}

uint32_t layout_extend(struct layout *l, enum snap_section s, uint32_t n)
{
    struct buf *b = &l->section[s];
    uint32_t first = l->n[s];
    size_t bytes = (size_t)n * ELEM[s];
    if (n == 0)
        return first;
    if (n >= SNAP_SET_LIST - first) { /* the numbers of a set have 31 bits */
        layout_fail(l, GH_E_LIMIT);
        return 0;
    }
    if (!buf_reserve(b, bytes)) {
        layout_fail(l, GH_E_NOMEM);
        return 0;
    }
    memset(b->p + b->n, 0, bytes);
    b->n += bytes;
    l->n[s] += n;
    return first;
}

void *layout_push(struct layout *l, enum snap_section s)
{
    uint32_t before = l->n[s];
    layout_extend(l, s, 1);
    return layout_row(l, s, before);
}

void *layout_row(struct layout *l, enum snap_section s, uint32_t i)
{
    return l->failed || i >= l->n[s] ? l->nowhere : l->section[s].p + (size_t)i * ELEM[s];
}

void layout_key_add(struct layout *l, struct layout_keys *keys, uint64_t hash, uint32_t value)
{
    struct layout_key *v = arena_grow(&l->arena, keys->v, keys->n, &keys->cap, sizeof(*v));
    if (!v) {
        layout_fail(l, GH_E_NOMEM);
        return;
    }
    keys->v = v;
    keys->v[keys->n++] = (struct layout_key){hash, value};
}

void layout_place(struct snap_slot *slots, uint32_t mask, uint64_t hash, uint32_t value)
{
    uint32_t i = (uint32_t)hash & mask;
    while (slots[i].value != SNAP_NONE)
        i = (i + 1) & mask;
    slots[i] = (struct snap_slot){slot_tag(hash), value};
}

void layout_table(struct layout *l, enum snap_section s, const struct layout_keys *keys)
{
    uint32_t n = slot_count((uint32_t)keys->n);
    if (n == 0)
        return;
    layout_extend(l, s, n);
    if (l->failed)
        return;
    struct snap_slot *slots = layout_row(l, s, 0);
    for (uint32_t i = 0; i < n; i++)
        slots[i].value = SNAP_NONE;
    for (size_t i = 0; i < keys->n; i++)
        layout_place(slots, n - 1, keys->v[i].hash, keys->v[i].value);
}

/* --- numbers and settings ------------------------------------------------------------------------ */

/* What others refer to by number gets it before anything is written. Hosts: hosts.c, which orders them. */
static void give_numbers(const struct model *m)
{
    for (size_t i = 0; i < m->rules.n; i++)
        m->rules.v[i]->index = (uint32_t)i;
    for (size_t i = 0; i < m->clusters.n; i++)
        m->clusters.v[i]->index = (uint32_t)i;
    for (size_t i = 0; i < m->certs.n; i++)
        m->certs.v[i]->index = (uint32_t)i;
    for (size_t i = 0; i < m->tls_servers.n; i++)
        m->tls_servers.v[i]->index = (uint32_t)i;
    for (size_t i = 0; i < m->tls_clients.n; i++)
        m->tls_clients.v[i]->index = (uint32_t)i;
}

static void put_settings(struct layout *l)
{
    struct snap_settings *to = PUSH(l, SETTINGS, struct snap_settings);
    const struct model_settings *from = &l->in->model->settings;
#define X(name, type, def, text) to->name = from->name;
#include "shared/tbl/setting.def"
#undef X
}

/* --- places on the board ------------------------------------------------------------------------- */

static uint32_t place(struct layout *l, const char *table, struct str key)
{
    return l->in->slot(l->in->slot_ctx, table, key);
}

static uint32_t series(struct layout *l, enum snap_series_what what, uint32_t index, struct str key)
{
    static const char *const TABLE[] = {"listener", "rule", "cluster"};
    uint32_t slot = place(l, TABLE[what], key);
    if (slot)
        *PUSH(l, SERIES, struct snap_series) = (struct snap_series){slot, what, index};
    return slot;
}

static void place_endpoints(struct layout *l, const struct model_cluster *c)
{
    struct snap_range r = ROW(l, CLUSTERS, struct snap_cluster, c->index)->endpoints;
    struct buf key = {0};
    for (uint32_t i = 0; i < r.n && !l->failed; i++) {
        const struct model_endpoint *e = c->endpoints.v[i];
        struct snap_endpoint *row = ROW(l, ENDPOINTS, struct snap_endpoint, r.first + i);
        buf_clear(&key);
        buf_addf(&key, STR_FMT "/" STR_FMT, STR_ARG(c->key), STR_ARG(e->key));
        row->board_slot = place(l, "endpoint", buf_str(&key));
        if (e->dns)
            row->dns_slot = place(l, "dns", e->address);
    }
    if (key.oom)
        layout_fail(l, GH_E_NOMEM);
    buf_fini(&key);
}

/* Last of all, so that content_hash, which is taken before, doesn't depend on them. */
static void give_places(struct layout *l)
{
    const struct model *m = l->in->model;
    for (size_t i = 0; i < m->binds.n; i++) {
        const struct model_bind *b = m->binds.v[i];
        for (size_t k = 0; k < b->listeners.n && !b->bind_error; k++) {
            const struct model_listener *v = b->listeners.v[k];
            ROW(l, LISTENERS, struct snap_listener, v->index)->slot = series(l, SERIES_LISTENER, v->index, v->key);
        }
    }
    for (size_t i = 0; i < m->rules.n; i++)
        ROW(l, RULES, struct snap_rule, (uint32_t)i)->slot = series(l, SERIES_RULE, (uint32_t)i, m->rules.v[i]->key);
    for (size_t i = 0; i < m->clusters.n; i++) {
        ROW(l, CLUSTERS, struct snap_cluster, (uint32_t)i)->slot =
            series(l, SERIES_CLUSTER, (uint32_t)i, m->clusters.v[i]->key);
        place_endpoints(l, m->clusters.v[i]);
    }
}

/* --- assembling ---------------------------------------------------------------------------------- */

static uint64_t content_hash(const struct layout *l)
{
    uint64_t h = SNAP_VERSION;
    for (int i = 0; i < SNAP_SECTION_COUNT; i++)
        h = hash_mix(hash_bytes(l->section[i].p ? l->section[i].p : "", l->section[i].n, h), l->n[i]);
    return h;
}

static size_t aligned(size_t n)
{
    return (n + SNAP_ALIGN - 1) / SNAP_ALIGN * SNAP_ALIGN;
}

static void assemble(struct layout *l, uint64_t content, struct buf *image)
{
    struct snap_header h = {
        .magic = SNAP_MAGIC, .version = SNAP_VERSION, .header_size = sizeof(h),
        .generation = l->in->generation, .made_wall_us = l->in->now_wall_us, .content_hash = content,
        .n_sections = SNAP_SECTION_COUNT,
    };
    h.size = sizeof(h);
    for (int i = 0; i < SNAP_SECTION_COUNT; i++) {
        h.sections[i] = (struct snap_section_row){aligned(h.size), l->n[i], ELEM[i]};
        h.size = h.sections[i].off + l->section[i].n;
    }
    buf_clear(image);
    if (!buf_reserve(image, h.size)) {
        layout_fail(l, GH_E_NOMEM);
        return;
    }
    memcpy(image->p, &h, sizeof(h));
    image->n = sizeof(h);
    for (int i = 0; i < SNAP_SECTION_COUNT; i++) {
        size_t gap = h.sections[i].off - image->n;
        memset(image->p + image->n, 0, gap);
        image->n += gap;
        buf_add(image, l->section[i].p, l->section[i].n);
        buf_fini(&l->section[i]); /* its memory is good for the next one's copy */
    }
    h.checksum = snap_checksum(buf_str(image));
    memcpy(image->p, &h, sizeof(h));
}

/* As many rows as there will be at least, so that sections of a large configuration are not copied while they grow. */
static void reserve(struct layout *l, enum snap_section s, size_t n)
{
    if (!buf_reserve(&l->section[s], n * ELEM[s]))
        layout_fail(l, GH_E_NOMEM);
}

static void begin(struct layout *l)
{
    const struct model *m = l->in->model;
    size_t hosts = 0;
    arena_init(&l->arena, (size_t)1 << 20, NULL);
    arena_init(&l->scratch, (size_t)1 << 16, NULL);
    map_init(&l->long_texts, &l->arena);
    l->objects = arena_room(&l->arena, ((size_t)m->n_sources + 1) * sizeof(*l->objects));
    if (!l->objects) {
        layout_fail(l, GH_E_NOMEM);
        return;
    }
    memset(l->objects, 0xff, (size_t)m->n_sources * sizeof(*l->objects)); /* SNAP_NONE */
    for (size_t i = 0; i < m->binds.n; i++)
        hosts += m->binds.v[i]->hosts.n;
    reserve(l, SNAP_RULES, m->rules.n);
    reserve(l, SNAP_ENTRIES, m->rules.n);
    reserve(l, SNAP_RANKED, m->rules.n);
    reserve(l, SNAP_ORIGINS, m->rules.n);
    reserve(l, SNAP_CLUSTERS, m->clusters.n);
    reserve(l, SNAP_HOSTS, hosts);
    intern_reserve(l, SNAP_STRINGS, m->n_sources + hosts);
    intern_reserve(l, SNAP_OBJECTS, m->n_sources);
}

static void layout_fini(struct layout *l)
{
    for (int i = 0; i < SNAP_SECTION_COUNT; i++)
        buf_fini(&l->section[i]);
    intern_free(l);
    arena_fini(&l->scratch);
    arena_fini(&l->arena);
}

int compile_bytes(const struct compile_input *in, struct buf *image, struct buf *why)
{
    struct layout l = {.in = in};
    uint64_t content = 0;

    begin(&l);
    give_numbers(in->model);
    layout_extend(&l, SNAP_STRINGS, 1); /* the empty text, at 0 */
    put_settings(&l);
    layout_clusters(&l);
    layout_rules(&l);
    layout_tls(&l);
    layout_binds(&l);
    layout_extend(&l, SNAP_STRINGS, 1); /* the NUL at the end */
    content = content_hash(&l);
    if (!l.failed)
        give_places(&l);
    if (!l.failed)
        assemble(&l, content, image);
    if (l.failed && why)
        buf_addc(why, l.failed == GH_E_NOMEM ? "no memory for the snapshot"
                                            : "the configuration is too large for one snapshot");
    layout_fini(&l);
    return l.failed;
}
