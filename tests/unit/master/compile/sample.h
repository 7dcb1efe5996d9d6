/*
 * sample.h - small models by hand, for the tests of the compiler and the matcher, the fuzz targets and the
 * benchmark: one bind, one listener, as many hosts, entries and rules as a test wants.
 */
#ifndef GH_TESTS_SAMPLE_H
#define GH_TESTS_SAMPLE_H

#include "master/compile/compile.h"
#include "shared/snap/route.h"
#include "shared/snap/snap.h"

#include <stdio.h>
#include <stdlib.h>

struct sample {
    struct arena arena;
    struct model m;
    struct model_bind *bind;
    struct model_listener *listener;
    struct model_cluster *cluster;
    uint32_t next_slot;
    struct buf image;
};

static inline GH_UNUSED struct model_origin sample_origin(struct sample *s, uint32_t line, const char *section)
{
    (void)s;
    return (struct model_origin){STR("gateway.networking.k8s.io/v1"), STR("HTTPRoute"), STR("default"),
                                 STR("shop"), STR("conf.d/shop.yaml"), line, str_c(section)};
}

static inline GH_UNUSED void sample_init(struct sample *s)
{
    *s = (struct sample){0};
    arena_init(&s->arena, 0, NULL);
    model_init(&s->m, &s->arena);
    s->bind = model_bind(&s->m, STR(""), 8080);
    s->listener = model_listener_add(s->bind, &s->arena, STR("Gateway/default/edge/http"), STR("*"));
    s->listener->name = STR("default/edge/http");
    s->listener->origin = sample_origin(s, 2, "listeners[0]");
    s->cluster = model_cluster(&s->m, STR("Service/default/web:80"), NULL);
    s->cluster->name = STR("default/web:80");
    s->cluster->origin = sample_origin(s, 5, "");
    struct model_endpoint *e = arena_new(&s->arena, struct model_endpoint);
    *e = (struct model_endpoint){.key = STR("10.0.0.1:8080"), .address = STR("10.0.0.1"), .port = 8080, .weight = 1};
    e->origin = sample_origin(s, 6, "endpoints[0]");
    *ARENA_PUSH(&s->arena, &s->cluster->endpoints) = e;
}

static inline GH_UNUSED void sample_fini(struct sample *s)
{
    buf_fini(&s->image);
    arena_fini(&s->arena);
}

static inline GH_UNUSED struct model_host *sample_host(struct sample *s, const char *name)
{
    return model_host(&s->m, s->bind, arena_str(&s->arena, str_c(name)), s->listener);
}

static inline GH_UNUSED struct model_rule *sample_rule(struct sample *s)
{
    uint32_t i = (uint32_t)s->m.rules.n;
    struct model_rule *r = model_rule_add(&s->m, arena_strf(&s->arena, "HTTPRoute/default/shop/%u", i));
    r->name = arena_strf(&s->arena, "default/shop/%u", i);
    r->origin = sample_origin(s, 10 + i, "rules");
    struct model_split *p = ARENA_PUSH(&s->arena, &r->splits);
    *p = (struct model_split){.weight = 1, .cluster = s->cluster, .name = s->cluster->name};
    p->origin = sample_origin(s, 11 + i, "backendRefs[0]");
    return r;
}

/* An entry of the next rank, with a rule of its own. */
static inline GH_UNUSED struct model_match *sample_entry(struct sample *s, struct model_host *h, enum path_match path,
                                                         const char *value)
{
    struct model_match *m = arena_new(&s->arena, struct model_match);
    m->path = path;
    m->path_value = arena_str(&s->arena, str_c(value));
    m->origin = sample_origin(s, 12, "matches[0]");
    struct model_entry *e = ARENA_PUSH(&s->arena, &h->entries);
    *e = (struct model_entry){m, sample_rule(s), (uint32_t)h->entries.n - 1};
    return m;
}

static inline GH_UNUSED struct model_strmatch sample_text(struct sample *s, enum strmatch_type type, const char *value)
{
    return (struct model_strmatch){.type = type, .value = arena_str(&s->arena, str_c(value))};
}

static inline GH_UNUSED struct model_strmatch *sample_header(struct sample *s, struct model_match *m, const char *name,
                                                             enum strmatch_type type, const char *value)
{
    struct model_kv_match *kv = ARENA_PUSH(&s->arena, &m->headers);
    *kv = (struct model_kv_match){arena_str(&s->arena, str_c(name)), sample_text(s, type, value)};
    return &kv->m;
}

static inline GH_UNUSED struct model_strmatch *sample_query(struct sample *s, struct model_match *m, const char *name,
                                                            enum strmatch_type type, const char *value)
{
    struct model_kv_match *kv = ARENA_PUSH(&s->arena, &m->query);
    *kv = (struct model_kv_match){arena_str(&s->arena, str_c(name)), sample_text(s, type, value)};
    return &kv->m;
}

static inline GH_UNUSED uint32_t sample_slot(void *ctx, const char *table, struct str key)
{
    struct sample *s = ctx;
    (void)table;
    (void)key;
    return s->next_slot < 16383 ? ++s->next_slot : 0; /* as the board: the rest share place 0 */
}

/* Compiles into s->image and opens it; ends the program with the reason when either fails. The snapshot
 * lives as long as the sample and is dropped by the caller. */
static inline GH_UNUSED struct snap *sample_open(struct sample *s)
{
    struct compile_input in = {.model = &s->m, .generation = 7, .now_wall_us = 1, .slot = sample_slot, .slot_ctx = s};
    struct buf why = {0};
    struct snap *snap = NULL;
    const char *fault = model_check(&s->m);
    s->next_slot = 0;
    if (fault)
        buf_addc(&why, fault);
    if (fault || compile_bytes(&in, &s->image, &why) != 0 || snap_open_bytes(&snap, buf_str(&s->image), &why) != 0) {
        fprintf(stderr, "sample: %s\n", buf_cstr(&why));
        abort();
    }
    buf_fini(&why);
    return snap;
}

/* A request of text: "x-a: 1\nx-b: 2" are its header lines. */
struct sample_request {
    struct route_request q;
    const char *lines;
    char value[4096];
};

static inline GH_UNUSED bool sample_header_value(const void *ctx, struct str name, struct str *value)
{
    struct sample_request *r = (void *)(uintptr_t)ctx;
    struct str rest = str_c(r->lines), line;
    size_t n = 0;
    bool found = false;
    while (rest.n && str_split(&rest, '\n', &line)) {
        ptrdiff_t colon = str_chr(line, ':');
        if (colon < 0 || !str_ieq(str_head(line, (size_t)colon), name))
            continue;
        struct str v = str_trim(str_skip(line, (size_t)colon + 1), " ");
        if (n + v.n + 1 > sizeof(r->value))
            break;
        if (found)
            r->value[n++] = ',';
        memcpy(r->value + n, v.p, v.n);
        n += v.n;
        found = true;
    }
    *value = str_of(r->value, n);
    return found;
}

/* `target` is a path with or without a query. */
static inline GH_UNUSED void sample_ask(struct sample_request *r, const char *method, const char *host,
                                        const char *target, const char *lines)
{
    struct str t = str_c(target);
    ptrdiff_t at = str_chr(t, '?');
    *r = (struct sample_request){.lines = lines};
    r->q = (struct route_request){.host = str_c(host), .path = at < 0 ? t : str_head(t, (size_t)at),
                                  .query = at < 0 ? STR("") : str_skip(t, (size_t)at + 1), .method = str_c(method),
                                  .scheme = STR("http"), .authority = str_c(host), .header = sample_header_value,
                                  .header_ctx = r};
}

#endif
