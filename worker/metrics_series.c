/*
 * metrics_series.c - listeners, routes, clusters and endpoints.
 *
 * The counters of one identity lie at the same place (slot) of the slab of every worker. Slabs are large and
 * mostly untouched; reading an untouched page of shared memory would make it exist, so the used parts of each
 * slab are asked for first (board_series_used).
 */
#include "shared/base/clock.h"
#include "shared/snap/snap.h"
#include "worker/metrics_write.h"

#include <stdio.h>
#include <stdlib.h>

#define WORDS (sizeof(struct board_series) / sizeof(uint64_t))

/* Sums of one identity; the same shape as on the board, without atomics. */
union sums {
    uint64_t w[WORDS];
    struct {
        uint64_t requests[6], duration[BOARD_HIST_BUCKETS + 1], duration_sum_us, bytes_in, bytes_out, active;
        uint64_t reasons[REASON_COUNT], retries, connects, connect_failures;
        uint64_t grpc[GRPC_STATUS_COUNT + 1];
        uint64_t streams, streams_active;
    } v;
};
_Static_assert(sizeof(union sums) == sizeof(struct board_series), "struct board_series and union sums differ");

struct entry {
    uint32_t slot, index;
    size_t labels, labels_n; /* in `text` of the set */
    union sums sums;
};

/* All identities of one kind that are shown; the last one is _other when there are more. */
struct entry_set {
    struct entry *v;
    uint32_t n, dropped;
    struct buf text;
};

static int by_slot(const void *a, const void *b)
{
    uint32_t x = ((const struct entry *)a)->slot, y = ((const struct entry *)b)->slot;
    return (x > y) - (x < y);
}

/* ---- sums over slabs ---- */

static void add_series(union sums *to, const struct board_series *s)
{
    const _Atomic uint64_t *from = (const _Atomic uint64_t *)(const void *)s;
    for (size_t i = 0; i < WORDS; i++)
        to->w[i] += board_get(from + i);
}

/* Adds one row's slab to the entries, which are sorted by slot: a merge with the used parts of the slab. */
static void add_row(struct board *b, uint32_t row, struct entry_set *set)
{
    uint32_t first = 0, end = 0; /* slots that the row touched */
    for (uint32_t i = 0; i < set->n + set->dropped; i++) {
        uint32_t slot = set->v[i].slot;
        if (slot >= end && !board_series_used(b, row, slot, &first, &end))
            return;
        if (slot >= first)
            add_series(&set->v[GH_MIN(i, set->n)].sums, board_series(b, row, slot));
    }
}

static void add_all(struct board *b, struct entry_set *set)
{
    for (uint32_t row = 0; row < BOARD_MAX_PROC; row++)
        if (board_get(&board_proc(b, row)->started_ns))
            add_row(b, row, set);
}

/* ---- who there is ---- */

/* The two labels of an identity: its name, and the key that tells equal names apart. */
static void add_labels(struct entry_set *set, struct entry *e, const char *label, struct str name, struct str key)
{
    struct buf l = {0};
    metrics_label(&l, label, name);
    metrics_label(&l, "key", key);
    e->labels = set->text.n;
    e->labels_n = l.n;
    buf_adds(&set->text, buf_str(&l));
    buf_fini(&l);
}

static struct str entry_labels(const struct entry_set *set, uint32_t i)
{
    return str_of(set->text.p + set->v[i].labels, set->v[i].labels_n);
}

static struct str key_of(const struct snap *s, uint32_t what, uint32_t i)
{
    switch (what) {
    case SERIES_LISTENER: return snap_text(s, s->LISTENERS[i].key);
    case SERIES_RULE: return snap_text(s, s->RULES[i].key);
    default: return snap_text(s, s->CLUSTERS[i].key);
    }
}

static bool collect(struct entry_set *set, const struct metrics_input *in, uint32_t what, const char *label)
{
    const struct snap *s = in->snap;
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n[SNAP_SERIES]; i++)
        n += s->SERIES[i].what == what;
    *set = (struct entry_set){.v = calloc(n + 1u, sizeof(struct entry))};
    if (!set->v)
        return false;
    n = 0;
    for (uint32_t i = 0; i < s->n[SNAP_SERIES]; i++)
        if (s->SERIES[i].what == what)
            set->v[n++] = (struct entry){.slot = s->SERIES[i].slot, .index = i};
    qsort(set->v, n, sizeof(struct entry), by_slot);
    set->n = GH_MIN(n, in->max_series);
    set->dropped = n - set->n;
    for (uint32_t i = 0; i < set->n; i++) {
        const struct snap_series *row = &s->SERIES[set->v[i].index];
        add_labels(set, &set->v[i], label, snap_series_name(s, row), key_of(s, what, row->index));
    }
    if (set->dropped)
        add_labels(set, &set->v[set->n], label, STR("_other"), STR("_other"));
    add_all(in->board, set);
    return !set->text.oom;
}

static void forget(struct entry_set *set)
{
    free(set->v);
    buf_fini(&set->text);
}

/* How many lines a family of the set has. */
static uint32_t shown(const struct entry_set *set)
{
    return set->n + (set->dropped > 0);
}

/* ---- families ---- */

static const struct str CLASSES[] = {{"none", 4}, {"1xx", 3}, {"2xx", 3}, {"3xx", 3}, {"4xx", 3}, {"5xx", 3}};

static const struct str REASONS[REASON_COUNT] = {
#define X(name, word, status, text) {word, sizeof(word) - 1},
#include "shared/tbl/reason.def"
#undef X
};

static struct str with_label(struct buf *b, struct str labels, const char *name, struct str value)
{
    buf_clear(b);
    buf_adds(b, labels);
    metrics_label(b, name, value);
    return buf_str(b);
}

static void put_requests(struct metrics_out *o, const struct entry_set *set, const char *family)
{
    struct buf l = {0};
    metrics_family(o, family, "counter", "Requests by class of the status sent; none: the client left before.");
    for (uint32_t i = 0; i < shown(set); i++)
        for (size_t k = 0; k < ARRAY_LEN(CLASSES); k++)
            metrics_u64(o, family, "counter", with_label(&l, entry_labels(set, i), "code_class", CLASSES[k]),
                        set->v[i].sums.v.requests[k]);
    buf_fini(&l);
}

static void put_reasons(struct metrics_out *o, const struct entry_set *set, const char *family)
{
    struct buf l = {0};
    metrics_family(o, family, "counter", "Requests that did not end as the upstream answered, by reason.");
    for (uint32_t i = 0; i < shown(set); i++)
        for (size_t k = 1; k < REASON_COUNT; k++)
            if (set->v[i].sums.v.reasons[k])
                metrics_u64(o, family, "counter", with_label(&l, entry_labels(set, i), "reason", REASONS[k]),
                            set->v[i].sums.v.reasons[k]);
    buf_fini(&l);
}

static void put_grpc(struct metrics_out *o, const struct entry_set *set, const char *family)
{
    static const struct str STATUSES[GRPC_STATUS_COUNT + 1] = {
#define X(name, number, word, camel) [number] = {word, sizeof(word) - 1},
#include "shared/tbl/grpc_status.def"
#undef X
        [GRPC_STATUS_COUNT] = {"other", 5},
    };
    struct buf l = {0};
    metrics_family(o, family, "counter", "Calls of gRPC by the status of their answer.");
    for (uint32_t i = 0; i < shown(set); i++)
        for (size_t k = 0; k <= GRPC_STATUS_COUNT; k++)
            if (set->v[i].sums.v.grpc[k])
                metrics_u64(o, family, "counter", with_label(&l, entry_labels(set, i), "grpc_status", STATUSES[k]),
                            set->v[i].sums.v.grpc[k]);
    buf_fini(&l);
}

/* The upper bound of a bucket in seconds; OpenMetrics wants a point in it. */
static struct str bound_text(char out[32], uint32_t us, bool openmetrics)
{
    int n = snprintf(out, 32, "%g", us / 1e6);
    if (openmetrics && !strpbrk(out, ".e"))
        n += snprintf(out + n, 32 - (size_t)n, ".0");
    return str_of(out, (size_t)n);
}

static void put_histogram(struct metrics_out *o, const struct entry_set *set, const char *family)
{
    struct buf l = {0}, name = {0};
    char bound[32];
    metrics_family(o, family, "histogram", "From the first byte of the request to the last of the answer.");
    for (uint32_t i = 0; i < shown(set); i++) {
        uint64_t sum = 0;
        buf_clear(&name);
        buf_addf(&name, "%s_bucket", family);
        for (size_t k = 0; k <= BOARD_HIST_BUCKETS; k++) {
            sum += set->v[i].sums.v.duration[k];
            struct str le = k < BOARD_HIST_BUCKETS ? bound_text(bound, BOARD_HIST_US[k], o->openmetrics) : STR("+Inf");
            metrics_u64(o, buf_cstr(&name), "", with_label(&l, entry_labels(set, i), "le", le), sum);
        }
        buf_clear(&name);
        buf_addf(&name, "%s_count", family);
        metrics_u64(o, buf_cstr(&name), "", entry_labels(set, i), sum);
        buf_clear(&name);
        buf_addf(&name, "%s_sum", family);
        metrics_seconds(o, buf_cstr(&name), "", entry_labels(set, i), set->v[i].sums.v.duration_sum_us);
    }
    buf_fini(&l);
    buf_fini(&name);
}

static void put_plain(struct metrics_out *o, const struct entry_set *set, const char *family, const char *type,
                      const char *help, size_t offset)
{
    metrics_family(o, family, type, help);
    for (uint32_t i = 0; i < shown(set); i++)
        metrics_u64(o, family, type, entry_labels(set, i), set->v[i].sums.w[offset / sizeof(uint64_t)]);
}

#define PLAIN(member) offsetof(union sums, v.member)

static void put_set(struct metrics_out *o, const struct entry_set *set, const char *prefix, bool cluster)
{
    struct buf n = {0};
#define NAME(suffix) (buf_clear(&n), buf_addf(&n, "gatehouse_%s_" suffix, prefix), buf_cstr(&n))
    put_requests(o, set, NAME("requests"));
    put_histogram(o, set, NAME("request_duration_seconds"));
    put_plain(o, set, NAME("received_bytes"), "counter",
              cluster ? "Bytes of response bodies from the backend." : "Bytes of request bodies from clients.",
              PLAIN(bytes_in));
    put_plain(o, set, NAME("sent_bytes"), "counter",
              cluster ? "Bytes of request bodies to the backend." : "Bytes of response bodies to clients.",
              PLAIN(bytes_out));
    put_plain(o, set, NAME("active_requests"), "gauge", "Requests now.", PLAIN(active));
    put_plain(o, set, NAME("streams"), "counter", "TCP connections and UDP flows begun.", PLAIN(streams));
    put_plain(o, set, NAME("active_streams"), "gauge", "TCP connections and UDP flows now.", PLAIN(streams_active));
    put_reasons(o, set, NAME("reasons"));
    put_grpc(o, set, NAME("grpc_calls"));
    if (cluster) {
        put_plain(o, set, NAME("retries"), "counter", "Tries after the first.", PLAIN(retries));
        put_plain(o, set, NAME("connects"), "counter", "Connections opened.", PLAIN(connects));
        put_plain(o, set, NAME("connect_failures"), "counter", "Connections that could not be opened.",
                  PLAIN(connect_failures));
    }
#undef NAME
    buf_fini(&n);
}

/* ---- workers: what went through the listeners, by who served it ---- */

static bool is_worker_row(struct board_proc *p)
{
    return board_get(&p->started_ns) && atomic_load(&p->role) == ROLE_WORKER;
}

static void add_listeners(struct board *b, uint32_t row, const struct entry_set *listeners, union sums *to)
{
    uint32_t first = 0, end = 0;
    for (uint32_t i = 0; i < listeners->n + listeners->dropped; i++) {
        uint32_t slot = listeners->v[i].slot;
        if (slot >= end && !board_series_used(b, row, slot, &first, &end))
            return;
        if (slot >= first)
            add_series(to, board_series(b, row, slot));
    }
}

static void put_workers(struct metrics_out *o, const struct metrics_input *in, const struct entry_set *listeners)
{
    struct entry_set set = {.v = calloc(BOARD_MAX_PROC, sizeof(struct entry))};
    for (uint32_t row = 0; set.v && row < BOARD_MAX_PROC; row++) {
        if (!is_worker_row(board_proc(in->board, row)))
            continue;
        struct entry *e = &set.v[set.n++];
        e->labels = set.text.n;
        buf_addf(&set.text, "row=\"%u\"", row);
        e->labels_n = set.text.n - e->labels;
        add_listeners(in->board, row, listeners, &e->sums);
    }
    if (set.v && !set.text.oom)
        put_set(o, &set, "worker", false);
    else
        o->b->oom = true;
    forget(&set);
}

/* ---- endpoints ---- */

struct endpoint {
    const struct snap_endpoint *e;
    const struct snap_cluster *c;
};

static int by_id(const void *a, const void *b)
{
    uint64_t x = ((const struct endpoint *)a)->e->id, y = ((const struct endpoint *)b)->e->id;
    return (x > y) - (x < y);
}

/* Endpoints that differ; *total counts all of them. */
static struct endpoint *collect_endpoints(const struct metrics_input *in, uint32_t *n, uint32_t *total)
{
    const struct snap *s = in->snap;
    struct endpoint *v = calloc(s->n[SNAP_ENDPOINTS] + 1u, sizeof(*v));
    uint32_t k = 0;
    *n = *total = 0;
    if (!v)
        return NULL;
    for (uint32_t c = 0; c < s->n[SNAP_CLUSTERS]; c++)
        SNAP_EACH(i, s->CLUSTERS[c].endpoints)
            if (k < s->n[SNAP_ENDPOINTS])
                v[k++] = (struct endpoint){&s->ENDPOINTS[i], &s->CLUSTERS[c]};
    qsort(v, k, sizeof(*v), by_id);
    for (uint32_t i = 0; i < k; i++)
        if (i == 0 || v[i].e->id != v[i - 1].e->id)
            v[(*total)++] = v[i];
    *n = GH_MIN(*total, in->max_series);
    return v;
}

static void endpoint_labels(const struct snap *s, const struct endpoint *e, struct buf *l)
{
    struct buf address = {0};
    struct str a = snap_text(s, e->e->address);
    if (e->e->family == 6)
        buf_addf(&address, "[" STR_FMT "]:%u", STR_ARG(a), e->e->port);
    else if (e->e->family == 1)
        buf_adds(&address, a);
    else
        buf_addf(&address, STR_FMT ":%u", STR_ARG(a), e->e->port);
    buf_clear(l);
    metrics_label(l, "cluster", snap_text(s, e->c->name));
    metrics_label(l, "key", snap_text(s, e->c->key));
    metrics_label(l, "endpoint", buf_str(&address));
    buf_fini(&address);
}

enum endpoint_family { EP_ACTIVE, EP_REQUESTS, EP_ERRORS, EP_FAILURES, EP_EJECTED };

static uint64_t endpoint_value(struct board *b, const struct snap_endpoint *e, enum endpoint_family f, uint64_t now_ns)
{
    struct board_endpoint *p = board_endpoint(b, e->board_slot);
    if (!p || board_get(&p->key) != e->id) /* none, or another one's place */
        return 0;
    switch (f) {
    case EP_ACTIVE: return atomic_load_explicit(&p->active, memory_order_relaxed);
    case EP_REQUESTS: return board_get(&p->requests);
    case EP_ERRORS: return board_get(&p->errors);
    case EP_FAILURES: return atomic_load_explicit(&p->failures, memory_order_relaxed);
    case EP_EJECTED: return board_get(&p->ejected_until_ns) > now_ns;
    }
    return 0;
}

static uint32_t put_endpoints(struct metrics_out *o, const struct metrics_input *in)
{
    static const struct {
        const char *name, *type, *help;
    } families[] = {
        [EP_ACTIVE] = {"gatehouse_endpoint_active_requests", "gauge", "Requests now, over all workers."},
        [EP_REQUESTS] = {"gatehouse_endpoint_requests", "counter", "Requests sent."},
        [EP_ERRORS] = {"gatehouse_endpoint_errors", "counter", "Requests that failed at the endpoint."},
        [EP_FAILURES] = {"gatehouse_endpoint_consecutive_failures", "gauge", "Failures since the last success."},
        [EP_EJECTED] = {"gatehouse_endpoint_ejected", "gauge", "1 while the endpoint gets no requests."},
    };
    uint32_t n, total;
    struct endpoint *v = collect_endpoints(in, &n, &total);
    struct buf l = {0};
    uint64_t now = clock_ns();
    for (size_t f = 0; v && f < ARRAY_LEN(families); f++) {
        metrics_family(o, families[f].name, families[f].type, families[f].help);
        for (uint32_t i = 0; i < n; i++) {
            endpoint_labels(in->snap, &v[i], &l);
            metrics_u64(o, families[f].name, families[f].type, buf_str(&l),
                        endpoint_value(in->board, v[i].e, (enum endpoint_family)f, now));
        }
    }
    buf_fini(&l);
    free(v);
    return total - n;
}

void metrics_series_write(struct metrics_out *o, const struct metrics_input *in)
{
    static const struct {
        uint32_t what;
        const char *label;
    } kinds[] = {{SERIES_LISTENER, "listener"}, {SERIES_RULE, "route"}, {SERIES_CLUSTER, "cluster"}};
    const char *family = "gatehouse_metrics_dropped_series";
    uint32_t dropped[ARRAY_LEN(kinds)] = {0}, endpoints = 0;
    for (size_t i = 0; in->snap && i < ARRAY_LEN(kinds); i++) {
        struct entry_set set;
        if (collect(&set, in, kinds[i].what, kinds[i].label)) {
            put_set(o, &set, kinds[i].label, kinds[i].what == SERIES_CLUSTER);
            if (kinds[i].what == SERIES_LISTENER)
                put_workers(o, in, &set);
            dropped[i] = set.dropped;
        } else {
            o->b->oom = true;
        }
        forget(&set);
    }
    if (in->snap)
        endpoints = put_endpoints(o, in);
    metrics_family(o, family, "gauge", "Identities that are not shown one by one; their sums are under _other.");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct buf l = {0};
        metrics_label(&l, "family", str_c(kinds[i].label));
        metrics_u64(o, family, "gauge", buf_str(&l), dropped[i]);
        buf_fini(&l);
    }
    metrics_u64(o, family, "gauge", STR("family=\"endpoint\""), endpoints);
}
