/*
 * cmd_top.c - `gatehouse top`: rates and latencies from two looks at /metrics.
 */
#include "master/ctl/ask.h"
#include "master/ctl/ctl.h"
#include "master/ctl/samples.h"
#include "master/ctl/table.h"
#include "shared/base/clock.h"
#include "shared/base/hash.h"

#include <getopt.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MAX_BUCKETS 32

enum what { LISTENERS, ROUTES, CLUSTERS, N_WHAT };
static const struct {
    const char *label, *prefix, *head, *json;
} WHAT[N_WHAT] = {
    {"listener", "gatehouse_listener_", "LISTENER", "listeners"},
    {"route", "gatehouse_route_", "ROUTE", "routes"},
    {"cluster", "gatehouse_cluster_", "CLUSTER", "clusters"},
};
static const char *const CLASSES[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};

struct top_row {
    struct str name, key;
    double requests[ARRAY_LEN(CLASSES)], active, bytes;
    double bounds[MAX_BUCKETS], counts[MAX_BUCKETS]; /* cumulative */
    size_t n_buckets;
};

/* One look. */
struct look {
    struct arena arena;
    uint64_t at_ms;
    struct map by_key[N_WHAT]; /* struct top_row */
};

/* What changed for one identity between two looks. */
struct rates {
    const struct top_row *row;
    double all, classes[ARRAY_LEN(CLASSES)], bytes, p50, p99; /* seconds; NAN = no request, INFINITY = beyond */
};

struct top {
    struct ctl ctl;
    bool once, json, tty;
    unsigned interval_ms, max_rows;
};

/* ---- a look ---- */

static struct top_row *row_of(struct look *l, enum what w, const struct sample_line *s)
{
    struct str key = sample_label(&l->arena, s, "key");
    struct top_row *r = map_get(&l->by_key[w], key);
    if (r)
        return r;
    r = arena_new(&l->arena, struct top_row);
    r->key = key;
    r->name = sample_label(&l->arena, s, WHAT[w].label);
    map_put(&l->by_key[w], key, r);
    return r;
}

static void take_sample(struct look *l, enum what w, struct str rest, const struct sample_line *s)
{
    struct top_row *r = row_of(l, w, s);
    if (str_eqc(rest, "requests_total")) {
        struct str class = sample_label(&l->arena, s, "code_class");
        for (size_t i = 0; i < ARRAY_LEN(CLASSES); i++)
            if (str_eqc(class, CLASSES[i]))
                r->requests[i] = s->value;
    } else if (str_eqc(rest, "active_requests")) {
        r->active = s->value;
    } else if (str_eqc(rest, "sent_bytes_total") || str_eqc(rest, "received_bytes_total")) {
        r->bytes += s->value;
    } else if (str_eqc(rest, "request_duration_seconds_bucket") && r->n_buckets < MAX_BUCKETS) {
        struct str le = sample_label(&l->arena, s, "le");
        char text[32];
        snprintf(text, sizeof(text), STR_FMT, STR_ARG(le));
        r->bounds[r->n_buckets] = str_eqc(le, "+Inf") ? INFINITY : strtod(text, NULL);
        r->counts[r->n_buckets++] = s->value;
    }
}

static bool look(struct top *t, struct look *l)
{
    struct client_reply a;
    struct sample_line s;
    if (!ctl_request(&t->ctl, "GET", "/metrics", 30000, &a))
        return false;
    arena_init(&l->arena, 0, t->ctl.arena.oom);
    l->at_ms = clock_ms();
    for (int w = 0; w < N_WHAT; w++)
        map_init(&l->by_key[w], &l->arena);
    struct str rest = arena_str(&l->arena, buf_str(&a.body));
    buf_fini(&a.body);
    while (samples_next(&rest, &s))
        for (int w = 0; w < N_WHAT; w++)
            if (str_starts(s.name, str_c(WHAT[w].prefix)))
                take_sample(l, (enum what)w, str_skip(s.name, strlen(WHAT[w].prefix)), &s);
    return true;
}

/* ---- rates ---- */

/* The upper bound of the bucket in which the q-th request of the interval lies. */
static double quantile(const struct top_row *now, const struct top_row *old, double q)
{
    double total = 0;
    double before[MAX_BUCKETS] = {0};
    for (size_t i = 0; old && i < old->n_buckets && old->n_buckets == now->n_buckets; i++)
        before[i] = old->counts[i];
    if (now->n_buckets)
        total = now->counts[now->n_buckets - 1] - before[now->n_buckets - 1];
    if (total <= 0)
        return NAN;
    for (size_t i = 0; i < now->n_buckets; i++)
        if (now->counts[i] - before[i] >= q * total)
            return now->bounds[i];
    return INFINITY;
}

static int by_rate(const void *a, const void *b)
{
    const struct rates *x = a, *y = b;
    if (x->all != y->all)
        return x->all < y->all ? 1 : -1;
    return str_cmp(x->row->name, y->row->name);
}

static struct rates *rates_of(struct arena *a, const struct look *now, const struct look *old, enum what w, size_t *n)
{
    const struct map *m = &now->by_key[w];
    struct rates *v = arena_new_n(a, struct rates, m->n + 1);
    double seconds = (double)(now->at_ms - old->at_ms) / 1000;
    seconds = seconds > 0 ? seconds : 1;
    for (size_t i = 0; i < m->n; i++) {
        const struct top_row *r = m->v[i].val, *o = map_get(&old->by_key[w], r->key);
        v[i].row = r;
        for (size_t k = 0; k < ARRAY_LEN(CLASSES); k++) {
            /* Counters only rise; a smaller one is another instance's. */
            double d = r->requests[k] - (o ? o->requests[k] : r->requests[k]);
            v[i].classes[k] = d > 0 ? d / seconds : 0;
            v[i].all += v[i].classes[k];
        }
        v[i].bytes = o && r->bytes > o->bytes ? (r->bytes - o->bytes) / seconds : 0;
        v[i].p50 = quantile(r, o ? o : r, .5);
        v[i].p99 = quantile(r, o ? o : r, .99);
    }
    qsort(v, m->n, sizeof(*v), by_rate);
    *n = m->n;
    return v;
}

/* ---- for people ---- */

static void rate_cell(struct table *t, double v)
{
    table_cellf(t, v >= 100 ? "%.0f" : v > 0 ? "%.1f" : "0", v);
}

static void latency_cell(struct table *t, double seconds)
{
    if (isnan(seconds))
        table_cell(t, STR_NONE);
    else if (isinf(seconds))
        table_cell(t, STR(">30 s"));
    else if (seconds < 1)
        table_cellf(t, "%g ms", seconds * 1000);
    else
        table_cellf(t, "%g s", seconds);
}

static void print_what(struct arena *a, enum what w, const struct rates *v, size_t n, size_t max, struct buf *out)
{
    static const char *const heads[] = {"REQ/S", "2XX", "3XX", "4XX", "5XX", "ACTIVE", "KIB/S", "P50", "P99", "TOTAL"};
    struct table t;
    table_init(&t, a);
    table_column(&t, WHAT[w].head, false);
    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        table_column(&t, heads[i], true);
    for (size_t i = 0; i < n && i < max; i++) {
        double total = 0;
        for (size_t k = 0; k < ARRAY_LEN(CLASSES); k++)
            total += v[i].row->requests[k];
        table_cell(&t, v[i].row->name);
        rate_cell(&t, v[i].all);
        for (size_t k = 2; k < ARRAY_LEN(CLASSES); k++)
            rate_cell(&t, v[i].classes[k]);
        table_cellf(&t, "%.0f", v[i].row->active);
        rate_cell(&t, v[i].bytes / 1024);
        latency_cell(&t, v[i].p50);
        latency_cell(&t, v[i].p99);
        table_cellf(&t, "%.0f", total);
    }
    table_write(&t, true, out);
    if (n > max)
        buf_addf(out, "and %zu more\n", n - max);
    buf_addch(out, '\n');
}

static size_t rows_of_terminal(void)
{
    struct winsize w;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row > 20 ? w.ws_row : 24;
}

static void print_text(const struct top *t, struct look *now, const struct look *old)
{
    struct buf out = {0};
    char time[32];
    size_t room = t->tty ? (rows_of_terminal() - 12) / 2 : t->max_rows;
    if (t->tty)
        buf_addc(&out, "\033[H\033[2J");
    time[clock_format(clock_wall_us(), 0, time)] = '\0';
    buf_addf(&out, "%s   %s   over %.1f s\n\n", time, ctl_run_dir(&t->ctl),
             (double)(now->at_ms - old->at_ms) / 1000);
    for (int w = 0; w < N_WHAT; w++) {
        size_t n;
        struct rates *v = rates_of(&now->arena, now, old, (enum what)w, &n);
        print_what(&now->arena, (enum what)w, v, n, w == LISTENERS ? 5 : GH_MIN(room, (size_t)t->max_rows), &out);
    }
    fwrite(out.p, 1, out.n, stdout);
    fflush(stdout);
    buf_fini(&out);
}

/* ---- for programs ---- */

static void put_latency(struct buf *out, const char *name, double seconds)
{
    if (isnan(seconds) || isinf(seconds))
        buf_addf(out, ",\"%s\":null", name);
    else
        buf_addf(out, ",\"%s\":%g", name, seconds * 1000);
}

static void print_json(struct look *now, const struct look *old)
{
    struct buf out = {0};
    buf_addf(&out, "{\"interval_ms\":%llu", (unsigned long long)(now->at_ms - old->at_ms));
    for (int w = 0; w < N_WHAT; w++) {
        size_t n;
        struct rates *v = rates_of(&now->arena, now, old, (enum what)w, &n);
        buf_addf(&out, ",\"%s\":[", WHAT[w].json);
        for (size_t i = 0; i < n; i++) {
            buf_addf(&out, "%s{\"name\":", i ? "," : "");
            buf_json(&out, v[i].row->name);
            buf_addc(&out, ",\"key\":");
            buf_json(&out, v[i].row->key);
            buf_addf(&out, ",\"rate\":%.3f,\"rates\":{", v[i].all);
            for (size_t k = 0; k < ARRAY_LEN(CLASSES); k++)
                buf_addf(&out, "%s\"%s\":%.3f", k ? "," : "", CLASSES[k], v[i].classes[k]);
            buf_addf(&out, "},\"active\":%.0f,\"bytes_rate\":%.0f", v[i].row->active, v[i].bytes);
            put_latency(&out, "p50_ms", v[i].p50);
            put_latency(&out, "p99_ms", v[i].p99);
            buf_addch(&out, '}');
        }
        buf_addch(&out, ']');
    }
    buf_addc(&out, "}\n");
    fwrite(out.p, 1, out.n, stdout);
    fflush(stdout);
    buf_fini(&out);
}

/* ---- the command ---- */

static int usage(FILE *f, int rc)
{
    fputs("usage: gatehouse top [--once] [-o text|json] [-i SECONDS] [-n ROWS]\n\n"
          "Shows rates, latencies (upper bounds of histogram buckets) and requests in flight of listeners, routes and\n"
          "clusters (backends), the busiest first, again and again until Ctrl-C.\n\n"
          "      --once              one look over one interval, then end\n"
          "  -o, --output text|json  for people, or one JSON object per interval\n"
          "  -i, --interval SECONDS  default 2, with --once 1\n"
          "  -n, --rows ROWS         of routes and of clusters, default 20\n" CTL_RUN_DIR_HELP
          "\nExit status: 0 shown, 1 no answer, 2 usage.\n", f);
    return rc;
}

static int take_options(struct top *t, int argc, char **argv)
{
    static const struct option options[] = {{"once", no_argument, NULL, '1'},      {"output", required_argument, NULL, 'o'},
                                            {"interval", required_argument, NULL, 'i'}, {"rows", required_argument, NULL, 'n'},
                                            {"run-dir", required_argument, NULL, 'r'}, {"help", no_argument, NULL, 'h'},
                                            {0}};
    int opt;
    while ((opt = getopt_long(argc, argv, "1o:i:n:h", options, NULL)) != -1) {
        char *end = NULL;
        double number = optarg ? strtod(optarg, &end) : 0;
        bool is_number = end && *end == '\0' && end != optarg;
        switch (opt) {
        case '1': t->once = true; break;
        case 'o':
            t->json = strcmp(optarg, "json") == 0;
            if (!t->json && strcmp(optarg, "text") != 0)
                return usage(stderr, 2);
            break;
        case 'i':
            if (!is_number || !(number >= 0.05 && number <= 3600))
                return usage(stderr, 2);
            t->interval_ms = (unsigned)(number * 1000);
            break;
        case 'n':
            if (!is_number || !(number >= 1 && number <= 100000))
                return usage(stderr, 2);
            t->max_rows = (unsigned)number;
            break;
        case 'r': t->ctl.run_dir = optarg; break;
        case 'h': return usage(stdout, 0);
        default: return usage(stderr, 2);
        }
    }
    if (optind < argc)
        return usage(stderr, 2);
    if (t->interval_ms == 0)
        t->interval_ms = t->once ? 1000 : 2000;
    return -1;
}

/* Waits an interval; false when nobody reads our output any more. */
static bool wait_interval(const struct top *t)
{
    struct pollfd p = {.fd = STDOUT_FILENO}; /* POLLERR comes unasked */
    return poll(&p, 1, (int)t->interval_ms) == 0;
}

int cmd_top(int argc, char **argv)
{
    struct top t = {.ctl.verb = "top", .max_rows = 20};
    struct look old = {0}, now = {0};
    int rc = take_options(&t, argc, argv);
    if (rc >= 0)
        return rc;
    t.tty = !t.once && !t.json && isatty(STDOUT_FILENO);
    ctl_init(&t.ctl);
    bool ok = look(&t, &old);
    while (ok) {
        if (!wait_interval(&t) || !(ok = look(&t, &now)))
            break;
        if (t.json)
            print_json(&now, &old);
        else
            print_text(&t, &now, &old);
        arena_fini(&old.arena);
        old = now;
        now = (struct look){0};
        if (t.once)
            break;
    }
    arena_fini(&old.arena);
    arena_fini(&now.arena);
    ctl_fini(&t.ctl);
    return ok ? 0 : 1;
}
