/*
 * golden_model.c - what a configuration becomes, as text: for tests/golden/run.
 *
 *   golden_model DIR
 *
 * reads DIR/in (every YAML file below it) and writes four sections to stdout, each behind a line "== NAME":
 * objects (identity, verdict, place), model (model_dump), status (one object per line), findings (diag_text).
 * DIR/options may hold lines:
 *
 *   pool=127.0.1.0/24            the instance's addressPool
 *   controller=example.com/x     a controller that is ours, beside the defaults
 *   refuse=ADDRESS|PORT|ERRNO    binding fails so; ADDRESS empty = all addresses
 *   previous=KIND/NS/NAME JSON   the status the object had before
 *   with=FILE                    is read as well: ../../certs/certs.yaml has Secrets and ConfigMaps with certificates
 *   mesh=CERT|KEY|ROOT           files of the instance's own identity
 *
 * Files that objects name by path are read below DIR/files.
 *
 * DIR/requests.txt, where it is, holds lines "METHOD URL [name:value...] => what answers"; the section requests
 * has the same questions with the answers that the snapshot gives (by the very code of `gatehouse explain`).
 *
 * The clock stands still, so that equal input gives equal text.
 */
#include "master/compile/compile.h"
#include "master/ctl/explain.h"
#include "master/lower/credential.h"
#include "master/lower/lower.h"
#include "master/store/load.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NOW "2026-01-01T00:00:00Z"

struct refusal {
    struct str address;
    uint16_t port;
    int error;
};
struct golden {
    struct arena arena;
    struct instance instance;
    struct { struct refusal *v; size_t n, cap; } refusals;
    struct { struct str *v; size_t n, cap; } controllers, previous;
    const char *paths[4];
    size_t n_paths;
    struct outside outside;
};

static int refuse(void *ctx, struct str address, uint16_t port, bool datagram)
{
    const struct golden *g = ctx;
    (void)datagram;
    for (size_t i = 0; i < g->refusals.n; i++)
        if (g->refusals.v[i].port == port && str_eq(g->refusals.v[i].address, address))
            return g->refusals.v[i].error;
    return 0;
}

static struct str read_file(struct arena *a, const char *path)
{
    struct buf b = {0};
    char chunk[4096];
    FILE *f = fopen(path, "r");
    for (size_t n; f && (n = fread(chunk, 1, sizeof(chunk), f)) > 0;)
        buf_add(&b, chunk, n);
    if (f)
        fclose(f);
    struct str s = arena_str(a, buf_str(&b));
    buf_fini(&b);
    return s;
}

static void read_option(struct golden *g, struct str line)
{
    struct str value, address, port, error;
    uint64_t p = 0, e = 0;
    ptrdiff_t eq = str_chr(line, '=');
    if (eq < 0)
        return;
    value = str_skip(line, (size_t)eq + 1);
    if (str_starts(line, STR("pool="))) {
        g->instance.address_pool = value;
    } else if (str_starts(line, STR("controller="))) {
        *ARENA_PUSH(&g->arena, &g->controllers) = value;
    } else if (str_starts(line, STR("previous="))) {
        *ARENA_PUSH(&g->arena, &g->previous) = value;
    } else if (str_starts(line, STR("with="))) {
        if (g->n_paths == ARRAY_LEN(g->paths))
            die("options: too many files");
        g->paths[g->n_paths++] = arena_str(&g->arena, value).p;
    } else if (str_starts(line, STR("mesh="))) {
        str_split(&value, '|', &g->instance.mesh.certificate);
        str_split(&value, '|', &g->instance.mesh.private_key);
        g->instance.mesh.root_certificate = value;
    } else if (str_starts(line, STR("refuse="))) {
        if (!str_split(&value, '|', &address) || !str_split(&value, '|', &port) || !str_split(&value, '|', &error) ||
            !str_u64(port, &p) || !str_u64(error, &e))
            die("options: " STR_FMT, STR_ARG(line));
        *ARENA_PUSH(&g->arena, &g->refusals) = (struct refusal){address, (uint16_t)p, (int)e};
    }
}

static void read_options(struct golden *g)
{
    static struct str_pair labels[] = {{{"istio", 5}, {"ingressgateway", 14}}};
    struct str text = read_file(&g->arena, "options"), line;
    g->instance = (struct instance){.ns = STR("istio-system"), .cluster_domain = STR("cluster.local")};
    g->instance.labels = (struct str_map){labels, 1};
    g->instance.mesh.trust_domain = STR("cluster.local");
    g->instance.mesh.root_ns = STR("istio-system");
    *ARENA_PUSH(&g->arena, &g->controllers) = STR("gatehouse.dev/gateway-controller");
    *ARENA_PUSH(&g->arena, &g->controllers) = STR("istio.io/gateway-controller");
    while (str_split(&text, '\n', &line))
        read_option(g, line);
    g->instance.controllers = (struct str_list){g->controllers.v, g->controllers.n};
}

/* "KIND/NS/NAME"; two APIs have a Gateway: Istio's has its group behind the kind. */
static struct str identity(struct arena *a, const struct object *o)
{
    bool istio = str_c(o->kind->group).n && str_ends(str_c(o->kind->group), STR("istio.io"));
    return arena_strf(a, STR_FMT "%s%s/" STR_FMT "/" STR_FMT, STR_ARG(o->kind_name), istio ? "." : "", istio ? o->kind->group : "",
                      STR_ARG(o->ns), STR_ARG(o->name));
}

static void set_previous(struct golden *g, struct store *st)
{
    for (size_t i = 0; i < g->previous.n; i++) {
        ptrdiff_t space = str_chr(g->previous.v[i], ' ');
        for (size_t j = 0; j < st->n_all && space > 0; j++)
            if (str_eq(identity(&g->arena, st->all[j]), str_head(g->previous.v[i], (size_t)space)))
                st->all[j]->prev_status_json = str_skip(g->previous.v[i], (size_t)space + 1);
    }
}

static void print_object(struct golden *g, const struct object *o, struct buf *out)
{
    static const char *const VERDICTS[] = {
        [VERDICT_ACCEPTED] = "accepted", [VERDICT_REJECTED] = "rejected", [VERDICT_UNSERVED] = "unserved"};
    buf_addf(out, STR_FMT " %s " STR_FMT ":%u\n", STR_ARG(identity(&g->arena, o)), VERDICTS[o->verdict],
             STR_ARG(o->source->path), o->line);
}

/* ---- requests -------------------------------------------------------------------------------- */

static uint32_t no_slot(void *ctx, const char *table, struct str key)
{
    (void)ctx;
    (void)table;
    (void)key;
    return 0;
}

static void add_answer(const struct explain *x, struct buf *out)
{
    const struct snap *s = x->snap;
    if (strcmp(x->outcome, "route") != 0)
        buf_addf(out, "%s%s", x->outcome, x->hit.rule ? " " : "");
    if (x->hit.rule)
        buf_addf(out, STR_FMT " match %u", STR_ARG(snap_text(s, x->hit.rule->key)), x->hit.entry->match_index);
    else if (x->hit.listener)
        buf_addf(out, " by " STR_FMT, STR_ARG(snap_text(s, x->hit.listener->name)));
}

static void ask(struct golden *g, const struct snap *snap, const struct snap_regexes *re, struct str line, struct buf *out)
{
    struct explain x = {.snap = snap, .regexes = re};
    struct str word, name, question = line;
    ptrdiff_t arrow = str_find(line, STR(" =>"));
    if (arrow >= 0)
        question = str_head(line, (size_t)arrow);
    buf_adds(out, question);
    if (question.n == 0 || question.p[0] == '#') {
        buf_addch(out, '\n');
        return;
    }
    arena_init(&x.arena, 0, NULL);
    str_split(&question, ' ', &x.method);
    str_split(&question, ' ', &x.url);
    while (str_split(&question, ' ', &word) && str_split(&word, ':', &name))
        *ARENA_PUSH(&g->arena, &x.headers) = (struct explain_header){name, word};
    explain_run(&x);
    buf_addc(out, " => ");
    add_answer(&x, out);
    buf_addch(out, '\n');
    arena_fini(&x.arena);
}

static void ask_all(struct golden *g, const struct model *m, struct buf *out)
{
    struct compile_input in = {.model = m, .generation = 1, .now_wall_us = 1, .slot = no_slot};
    struct str text = read_file(&g->arena, "requests.txt"), line;
    struct buf image = {0}, why = {0};
    struct snap *snap = NULL;
    buf_addc(out, "== requests\n");
    if (text.n && text.p[text.n - 1] == '\n')
        text.n--;
    if (text.n == 0)
        return;
    if (compile_bytes(&in, &image, &why) != 0 || snap_open_bytes(&snap, buf_str(&image), &why) != 0)
        die("%s", buf_cstr(&why));
    struct snap_regexes *re = snap_regexes_new(snap);
    while (str_split(&text, '\n', &line))
        ask(g, snap, re, line, out);
    snap_regexes_free(re);
    snap_drop(snap);
    buf_fini(&image);
    buf_fini(&why);
}

static void print(struct golden *g, const struct model *m, const struct store *st, struct diags *ds)
{
    struct buf out = {0};
    const char *fault = model_check(m);
    if (fault)
        buf_addf(&out, "MODEL IS BROKEN: %s\n", fault);
    buf_addc(&out, "== objects\n");
    for (size_t i = 0; i < st->n_all; i++)
        print_object(g, st->all[i], &out);
    buf_addc(&out, "== model\n");
    model_dump(m, &out);
    ask_all(g, m, &out);
    buf_addc(&out, "== status\n");
    for (size_t i = 0; i < st->n_all; i++)
        if (st->all[i]->status_json.n)
            buf_addf(&out, STR_FMT " " STR_FMT "\n", STR_ARG(identity(&g->arena, st->all[i])), STR_ARG(st->all[i]->status_json));
    buf_addc(&out, "== findings\n");
    diags_sort(ds);
    for (size_t i = 0; i < ds->n; i++)
        diag_text(&ds->v[i], &out);
    fwrite(out.p, 1, out.n, stdout);
    buf_fini(&out);
}

int main(int argc, char **argv)
{
    struct golden g = {.paths = {"in"}, .n_paths = 1};
    struct diags ds;
    struct store st;
    struct model m;
    struct load_stats stats;
    uint64_t now;
    if (argc != 2 || chdir(argv[1]) != 0)
        die("usage: golden_model DIR");
    must(clock_parse(STR(NOW), &now));
    arena_init(&g.arena, 0, NULL);
    read_options(&g);
    diags_init(&ds, &g.arena);
    struct credentials *credentials = credentials_new(&g.arena, now);
    struct load_input in = {.paths = g.paths, .n_paths = g.n_paths, .vet = credentials_vet, .vet_ctx = credentials};
    load_all(&st, &g.arena, &ds, &in, &stats);
    set_previous(&g, &st);
    model_init(&m, &g.arena);
    outside_init(&g.outside, &g.arena, STR("files"), NULL);
    struct lower l = {.arena = &g.arena, .store = &st, .model = &m, .diags = &ds, .instance = &g.instance, .credentials = credentials,
                      .now_wall_us = now, .bind = refuse, .bind_ctx = &g, .outside = &g.outside};
    lower_all(&l);
    print(&g, &m, &st, &ds);
    arena_fini(&g.arena);
    return 0;
}
