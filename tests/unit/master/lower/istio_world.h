/*
 * istio_world.h - a file of objects, and what its model, findings and status must hold: for the tests of Istio's
 * lowering.
 */
#ifndef GH_TESTS_ISTIO_WORLD_H
#define GH_TESTS_ISTIO_WORLD_H

#include "master/lower/istio.h"
#include "master/store/load.h"
#include "shared/base/arena.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

struct world {
    struct arena arena;
    struct diags diags;
    struct store store;
    struct model model;
    struct instance instance;
    char path[40];   /* findings name it */
    struct buf text; /* the model, "---", findings, "---", statuses */
};

static inline int refuse_9(void *ctx, struct str address, uint16_t port, bool datagram)
{
    (void)ctx;
    (void)address;
    (void)datagram;
    return port == 9 ? 98 /* EADDRINUSE */ : 0;
}

static inline void load(struct world *w, const char *yaml)
{
    snprintf(w->path, sizeof(w->path), "/tmp/istio-lower-XXXXXX.yaml");
    int fd = mkstemps(w->path, 5);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, yaml, strlen(yaml)), (ssize_t)strlen(yaml));
    close(fd);
    const char *paths[] = {w->path};
    struct load_stats stats = {0};
    struct load_input in = {.paths = paths, .n_paths = 1};
    load_all(&w->store, &w->arena, &w->diags, &in, &stats);
    unlink(w->path);
}

static inline void world_init(struct world *w, const char *yaml)
{
    static struct str_pair labels[] = {{{"istio", 5}, {"ingressgateway", 14}}};
    *w = (struct world){.instance = {.ns = STR("istio-system"), .cluster_domain = STR("cluster.local"), .labels = {labels, 1},
                                  .mesh = {.trust_domain = STR("cluster.local"), .root_ns = STR("istio-system")}}};
    arena_init(&w->arena, 0, NULL);
    diags_init(&w->diags, &w->arena);
    model_init(&w->model, &w->arena);
    load(w, yaml);
    struct lower l = {.arena = &w->arena, .store = &w->store, .model = &w->model, .diags = &w->diags,
                      .instance = &w->instance, .now_wall_us = 1700000000000000u, .bind = refuse_9};
    lower_all(&l);
    const char *fault = model_check(&w->model);
    if (fault)
        fail_msg("%s", fault);
    diags_sort(&w->diags);
    model_dump(&w->model, &w->text);
    buf_addc(&w->text, "---\n");
    for (size_t i = 0; i < w->diags.n; i++)
        diag_text(&w->diags.v[i], &w->text);
    buf_addc(&w->text, "---\n");
    for (size_t i = 0; i < w->store.n_all; i++) {
        const struct object *o = w->store.all[i];
        buf_addf(&w->text, STR_FMT " %d " STR_FMT "\n", STR_ARG(o->name), (int)o->verdict, STR_ARG(o->status_json));
    }
}

static inline void world_fini(struct world *w)
{
    buf_fini(&w->text);
    arena_fini(&w->arena);
}

struct kase {
    const char *yaml;
    const char *want[12]; /* must be there; "!text" must not */
};

static inline void run(const struct kase *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct world w;
        world_init(&w, cases[i].yaml);
        for (size_t k = 0; k < ARRAY_LEN(cases[i].want) && cases[i].want[k]; k++) {
            const char *want = cases[i].want[k];
            bool not = want[0] == '!';
            bool found = str_find(buf_str(&w.text), str_c(want + not)) >= 0;
            if (found == not)
                fail_msg("case %zu: %s is %s\n%s\n=>\n%s", i, want + not, not ? "there" : "missing", cases[i].yaml, buf_cstr(&w.text));
        }
        world_fini(&w);
    }
}

#define OBJ(kind, ns, name) "apiVersion: networking.istio.io/v1\nkind: " kind "\nmetadata: {name: " name ", namespace: " ns "}\nspec: "
#define GW(ns, name, servers) OBJ("Gateway", ns, name) "{selector: {istio: ingressgateway}, servers: [" servers "]}\n---\n"
#define HTTP(port, hosts) "{port: {number: " port ", name: p" port ", protocol: HTTP}, hosts: [" hosts "]}"
#define VS(ns, name, spec) OBJ("VirtualService", ns, name) "{" spec "}\n---\n"
#define SE(ns, name, spec) OBJ("ServiceEntry", ns, name) "{" spec "}\n---\n"
#define OK(text) "http: [{directResponse: {status: 200, body: {string: " text "}}}]"
#define SVC(ns, name, port)                                                                                             \
    "{apiVersion: v1, kind: Service, metadata: {name: " name ", namespace: " ns "}, spec: {ports: [{name: http, port: " \
    port "}]}}\n---\n"

#endif
