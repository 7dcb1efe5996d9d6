/*
 * The whole way of a configuration: the text of a file -> objects -> model -> snapshot. Oracles: the model
 * holds its invariants whatever the objects say, the snapshot passes the reader's verifier and says the same,
 * statuses are JSON, and doing it again gives the same bytes.
 */
#include "master/compile/compile.h"
#include "master/lower/credential.h"
#include "master/lower/json_read.h"
#include "master/lower/lower.h"
#include "master/store/load.h"
#include "shared/snap/snap.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
    struct arena arena;
    struct diags diags;
    struct store store;
    struct model model;
    struct buf image, text; /* text: model, findings, statuses */
    uint32_t next_slot;
};

static uint32_t next_slot(void *ctx, const char *table, struct str key)
{
    struct run *r = ctx;
    (void)table;
    (void)key;
    return ++r->next_slot;
}

static void add_objects(struct run *r)
{
    for (size_t i = 0; i < r->store.n_all; i++) {
        const struct object *o = r->store.all[i];
        buf_addf(&r->text, STR_FMT "/" STR_FMT "/" STR_FMT " %d " STR_FMT "\n", STR_ARG(o->kind_name), STR_ARG(o->ns), STR_ARG(o->name),
                 (int)o->verdict, STR_ARG(o->status_json));
        if (o->status_json.n)
            must(json_read(&r->arena, o->status_json) != NULL);
    }
}

static void run(struct run *r, const char *path)
{
    static struct str_pair labels[] = {{{"istio", 5}, {"ingressgateway", 14}}};
    static struct str controllers[] = {{"gatehouse.dev/gateway-controller", 32}, {"istio.io/gateway-controller", 27}};
    struct instance instance = {.ns = STR("istio-system"), .cluster_domain = STR("cluster.local"), .labels = {labels, 1},
                                .controllers = {controllers, 2},
                                .mesh = {.trust_domain = STR("cluster.local"), .root_ns = STR("istio-system")}};
    struct load_input in = {.paths = &path, .n_paths = 1, .vet = credentials_vet};
    struct load_stats stats = {0};
    arena_init(&r->arena, 0, NULL);
    diags_init(&r->diags, &r->arena);
    in.vet_ctx = credentials_new(&r->arena, 1700000000000000u);
    load_all(&r->store, &r->arena, &r->diags, &in, &stats);
    model_init(&r->model, &r->arena);
    struct lower l = {.arena = &r->arena, .store = &r->store, .model = &r->model, .diags = &r->diags, .instance = &instance,
                      .credentials = in.vet_ctx, .now_wall_us = 1700000000000000u};
    lower_all(&l);
    const char *fault = model_check(&r->model);
    if (fault) {
        fprintf(stderr, "model: %s\n", fault);
        abort();
    }
    struct compile_input c = {.model = &r->model, .generation = 1, .now_wall_us = 1, .slot = next_slot, .slot_ctx = r};
    struct buf why = {0};
    if (compile_bytes(&c, &r->image, &why) != 0) {
        fprintf(stderr, "compile: %s\n", buf_cstr(&why));
        abort();
    }
    buf_fini(&why);
    model_dump(&r->model, &r->text);
    diags_sort(&r->diags);
    for (size_t i = 0; i < r->diags.n; i++)
        diag_text(&r->diags.v[i], &r->text);
    add_objects(r);
}

static void run_fini(struct run *r)
{
    buf_fini(&r->image);
    buf_fini(&r->text);
    arena_fini(&r->arena);
}

/* The snapshot says what the model says. */
static void check_snapshot(struct run *r)
{
    struct buf why = {0}, model = {0}, snap_text_ = {0};
    struct snap *s;
    if (snap_open_bytes(&s, buf_str(&r->image), &why) != 0) {
        fprintf(stderr, "snapshot: %s\n", buf_cstr(&why));
        abort();
    }
    model_dump(&r->model, &model);
    snap_dump_model(s, &snap_text_);
    if (!str_eq(buf_str(&model), buf_str(&snap_text_))) {
        fprintf(stderr, "--- model\n%s--- snapshot\n%s", buf_cstr(&model), buf_cstr(&snap_text_));
        abort();
    }
    snap_drop(s);
    buf_fini(&why);
    buf_fini(&model);
    buf_fini(&snap_text_);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct run a = {.next_slot = 0}, b = {.next_slot = 0};
    int fd = memfd_create("input", MFD_CLOEXEC); /* no name that somebody else could have */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    run(&a, path);
    run(&b, path);
    close(fd);
    check_snapshot(&a);
    must(str_eq(buf_str(&a.text), buf_str(&b.text)) && str_eq(buf_str(&a.image), buf_str(&b.image)));
    run_fini(&a);
    run_fini(&b);
    return 0;
}
