/*
 * route_bench.c - what a lookup costs, and how large an image is, for 10 to 100,000 routes.
 *
 *   tests/bench/route_bench [KIND ...]      kinds: hosts exact prefix header query regex mixed
 *
 * A route is what a person writes: a rule with one match and one backend. Four rules share an object; each
 * rule has its own key, name, lines and metrics slot. Lookups are random over all routes, so that they find
 * nothing in the cache that a real mix of requests would not; one in eight asks for a path that no route has.
 * A request has just been read when it is looked up, so its own text is hot: a copy of it is made before each
 * lookup, and the time of that copying alone is taken off. Printed: nanoseconds per lookup (median of
 * five rounds), milliseconds to compile and to open the image, image bytes per route.
 */
#include "shared/base/clock.h"
#include "tests/unit/master/compile/sample.h"

#define ROUNDS  5
#define LOOKUPS 200000

struct bench {
    struct sample s;
    uint32_t n;
    const char *kind;
    struct snap *snap;
    struct snap_regexes *regexes;
    uint64_t compile_us, open_us;
};

struct question { struct str host, path, query, tenant; };

static struct model_match *route(struct bench *b, uint32_t i, struct model_host *h)
{
    struct sample *s = &b->s;
    struct arena *a = &s->arena;
    struct model_match *m = arena_new(a, struct model_match);
    struct model_rule *r = model_rule_add(&s->m, arena_strf(a, "HTTPRoute/default/route-%u/%u", i / 4, i % 4));
    struct model_origin o = {.line = 10 + i % 4 * 8, .section = arena_strf(a, "rules[%u]", i % 4)};
    r->name = arena_strf(a, "default/route-%u/%u", i / 4, i % 4);
    o.source = i % 4 ? s->m.rules.v[i - 1]->origin.source
                     : sample_source(s, arena_strf(a, "route-%u", i / 4), arena_strf(a, "conf.d/routes-%u.yaml", i / 400));
    r->origin = o;
    r->retry = (struct model_retry){.attempts = 2, .on = RETRY_ON_CONNECT_FAILURE, .backoff_ms = 25}; /* as by default */
    o.line += 2;
    m->origin = o;
    m->path = PATH_PREFIX_ELEMENT;
    struct model_split *p = ARENA_PUSH(a, &r->splits);
    *p = (struct model_split){.weight = 1, .cluster = s->cluster, .name = s->cluster->name};
    o.line += 3;
    p->origin = o;
    struct model_entry *e = ARENA_PUSH(a, &h->entries);
    *e = (struct model_entry){m, r, (uint32_t)h->entries.n - 1};
    return m;
}

static void add_route(struct bench *b, uint32_t i, struct model_host *shared)
{
    struct arena *a = &b->s.arena;
    char text[64];
    if (!strcmp(b->kind, "hosts")) {
        snprintf(text, sizeof(text), i % 10 ? "host-%u.example.com" : "*.wild-%u.example.com", i);
        route(b, i, sample_host(&b->s, text));
        return;
    }
    struct model_match *m = route(b, i, shared);
    snprintf(text, sizeof(text), "value-%u", i);
    if (!strcmp(b->kind, "exact")) {
        m->path = PATH_EXACT;
        m->path_value = arena_strf(a, "/api/v1/items/%u/detail", i);
    } else if (!strcmp(b->kind, "prefix")) {
        m->path_value = arena_strf(a, "/api/v1/items/%u", i);
    } else if (!strcmp(b->kind, "header")) {
        sample_header(&b->s, m, "x-tenant", STRMATCH_EXACT, text);
    } else if (!strcmp(b->kind, "query")) {
        sample_query(&b->s, m, "id", STRMATCH_EXACT, text);
    } else if (!strcmp(b->kind, "regex")) {
        m->path = PATH_REGEX;
        m->path_value = arena_strf(a, "/api/v1/items/%u/[a-z]+", i);
    } else { /* mixed: in every host an exact path, three prefixes, one of them for POST */
        m->path = i % 4 == 0 ? PATH_EXACT : PATH_PREFIX_ELEMENT;
        m->path_value = arena_strf(a, "/svc-%u/v%u", i / 7 % 50, i % 4);
        if (i % 4 == 3)
            m->method = sample_text(&b->s, STRMATCH_EXACT, "POST");
    }
}

static void make(struct bench *b)
{
    struct model_host *shared = NULL;
    struct buf why = {0};
    sample_init(&b->s);
    for (uint32_t i = 0; i < b->n; i++) {
        char text[64];
        if (!strcmp(b->kind, "mixed") && i % 16 == 0) {
            snprintf(text, sizeof(text), "host-%u.example.com", i / 16);
            shared = sample_host(&b->s, text);
        } else if (!shared && strcmp(b->kind, "hosts") != 0) {
            shared = sample_host(&b->s, "*");
        }
        add_route(b, i, shared);
    }
    struct compile_input in = {.model = &b->s.m, .generation = 1, .slot = sample_slot, .slot_ctx = &b->s};
    uint64_t t = clock_ns();
    if (compile_bytes(&in, &b->s.image, &why) != 0) {
        fprintf(stderr, "%s\n", buf_cstr(&why));
        exit(1);
    }
    b->compile_us = (clock_ns() - t) / 1000;
    t = clock_ns();
    if (snap_open_bytes(&b->snap, buf_str(&b->s.image), &why) != 0) {
        fprintf(stderr, "%s\n", buf_cstr(&why));
        exit(1);
    }
    b->open_us = (clock_ns() - t) / 1000;
    b->regexes = snap_regexes_new(b->snap);
}

static bool tenant(const void *ctx, struct str name, struct str *value)
{
    const struct question *q = ctx;
    *value = q->tenant;
    return q->tenant.n && str_eqc(name, "x-tenant");
}

static struct question ask(struct bench *b, struct arena *a, uint32_t i, bool miss)
{
    struct question q = {STR("a.example.com"), STR("/"), {0}, {0}};
    const char *x = miss ? "x" : "";
    if (!strcmp(b->kind, "hosts"))
        q.host = arena_strf(a, i % 10 ? "host-%u%s.example.com" : "a.wild-%u%s.example.com", i, x);
    else if (!strcmp(b->kind, "exact"))
        q.path = arena_strf(a, "/api/v1/items/%u/detail%s", i, x);
    else if (!strcmp(b->kind, "prefix"))
        q.path = arena_strf(a, "/api/v1/items/%u%s/reviews/7", i, x);
    else if (!strcmp(b->kind, "header"))
        q.tenant = arena_strf(a, "value-%u%s", i, x);
    else if (!strcmp(b->kind, "query"))
        q.query = arena_strf(a, "page=2&id=value-%u%s", i, x);
    else if (!strcmp(b->kind, "regex"))
        q.path = arena_strf(a, "/api/v1/items/%u/detail%s", i, miss ? "1" : "");
    else {
        q.host = arena_strf(a, "host-%u.example.com", i / 16);
        q.path = arena_strf(a, "/svc-%u%s/v%u%s", i / 7 % 50, x, i % 4, i % 4 ? "/list" : "");
    }
    return q;
}

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The request as it would lie in a connection's buffer. */
struct hot { struct question q; char text[256]; };

static void warm(struct hot *h, const struct question *q)
{
    struct str *const to[] = {&h->q.host, &h->q.path, &h->q.query, &h->q.tenant};
    const struct str *const from[] = {&q->host, &q->path, &q->query, &q->tenant};
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(to); i++) {
        *to[i] = str_of(h->text + n, from[i]->n);
        memcpy(h->text + n, from[i]->n ? from[i]->p : "", from[i]->n);
        n += from[i]->n;
    }
}

static bool look_up(struct bench *b, const struct question *q)
{
    struct route_hit hit;
    struct route_request rq = {.host = q->host, .path = q->path, .query = q->query, .method = STR("GET"),
                               .scheme = STR("http"), .authority = q->host, .header = tenant, .header_ctx = q,
                               .regex = snap_regexes_match, .regex_ctx = b->regexes};
    return route_find(b->snap, &b->snap->BINDS[0], &rq, &hit) == REASON_OK;
}

static double lookups(struct bench *b)
{
    struct arena a;
    struct rng r = {{1, 2}};
    uint32_t n = LOOKUPS, found = 0;
    double ns[ROUNDS];
    arena_init(&a, 1 << 20, NULL);
    struct question *q = arena_new_n(&a, struct question, n);
    for (uint32_t i = 0; i < n; i++)
        q[i] = ask(b, &a, rng_below(&r, b->n), i % 8 == 7);
    for (int round = 0; round < ROUNDS; round++) {
        struct hot h;
        uint64_t t = clock_ns(), copying;
        for (uint32_t i = 0; i < n; i++) {
            warm(&h, &q[i]);
            __asm__ volatile("" : : "r"(&h) : "memory");
        }
        copying = clock_ns() - t;
        t = clock_ns();
        for (uint32_t i = 0; i < n; i++) {
            warm(&h, &q[i]);
            found += look_up(b, &h.q);
        }
        ns[round] = ((double)(clock_ns() - t) - (double)copying) / n;
    }
    if (found == 0)
        fprintf(stderr, "%s: nothing found\n", b->kind);
    qsort(ns, ROUNDS, sizeof(*ns), by_number);
    arena_fini(&a);
    return ns[ROUNDS / 2];
}

static void run(const char *kind, bool verbose)
{
    static const uint32_t SIZES[] = {10, 1000, 10000, 100000};
    for (size_t i = 0; i < ARRAY_LEN(SIZES); i++) {
        struct bench b = {.kind = kind, .n = SIZES[i]};
        struct buf sizes = {0};
        make(&b);
        double ns = lookups(&b);
        printf("%-7s %8u %10.0f %12.1f %10.1f %12.1f\n", kind, b.n, ns, (double)b.compile_us / 1000,
               (double)b.open_us / 1000, (double)b.snap->size / b.n);
        fflush(stdout);
        if (verbose && i + 1 == ARRAY_LEN(SIZES)) {
            snap_sizes(b.snap, &sizes);
            fputs(buf_cstr(&sizes), stdout);
        }
        buf_fini(&sizes);
        snap_regexes_free(b.regexes);
        snap_drop(b.snap);
        sample_fini(&b.s);
    }
}

int main(int argc, char **argv)
{
    static const char *const KINDS[] = {"hosts", "exact", "prefix", "header", "query", "regex", "mixed"};
    bool verbose = argc > 1 && !strcmp(argv[1], "-v");
    printf("kind      routes  ns/lookup   compile ms    open ms  bytes/route\n");
    for (int i = 1 + verbose; i < argc; i++)
        run(argv[i], verbose);
    for (size_t i = 0; i < ARRAY_LEN(KINDS) && argc == 1 + verbose; i++)
        run(KINDS[i], verbose);
    return 0;
}
