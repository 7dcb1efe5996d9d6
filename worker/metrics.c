/*
 * metrics.c - every family in one pass over its table. The families of listeners, routes and clusters, which
 * are sums over the slabs of all workers, are in metrics_series.c.
 */
#include "worker/metrics.h"
#include "shared/base/clock.h"
#include "shared/http/field.h"
#include "shared/snap/snap.h"
#include "worker/metrics_write.h"
#include "worker/status.h"

bool metrics_wants_openmetrics(struct str accept)
{
    struct str item;
    while (http_list_next(&accept, &item)) {
        ptrdiff_t semicolon = str_chr(item, ';');
        struct str type = http_trim_ows(semicolon < 0 ? item : str_head(item, (size_t)semicolon));
        if (str_ieq(type, STR("application/openmetrics-text")))
            return semicolon < 0 || str_find(item, STR("q=0;")) < 0;
        if (str_ieq(type, STR("text/plain")))
            return false; /* the first one that we know */
    }
    return false;
}

/* ---- the instance ---- */

static void one(struct metrics_out *o, const char *name, const char *type, const char *help, uint64_t v)
{
    metrics_family(o, name, type, help);
    metrics_u64(o, name, type, STR_NONE, v);
}

static void one_time(struct metrics_out *o, const char *name, const char *help, uint64_t wall_us)
{
    metrics_family(o, name, "gauge", help);
    metrics_seconds(o, name, "gauge", STR_NONE, wall_us);
}

static void put_instance(struct metrics_out *o, const struct metrics_input *in)
{
    struct board_head *h = board_head(in->board);
    struct buf labels = {0};
    metrics_label(&labels, "version", in->version);
    metrics_family(o, "gatehouse_build_info", "gauge", "Always 1; the labels say which build this is.");
    metrics_u64(o, "gatehouse_build_info", "gauge", buf_str(&labels), 1);
    buf_fini(&labels);
    one_time(o, "gatehouse_start_time_seconds", "When this instance started, seconds since 1970.",
             board_get(&h->started_wall_us));
    one(o, "gatehouse_draining", "gauge", "1 while the instance shuts down.", board_get(&h->draining) != 0);
    one(o, "gatehouse_master_up", "gauge", "1 while there is a master; without one the workers serve on.", !in->orphan);
    one(o, "gatehouse_crashes", "counter", "Processes that ended without being told to.", board_get(&h->crashes));
    one(o, "gatehouse_stuck_kills", "counter", "Processes killed because their loop stood still.",
        board_get(&h->stuck_kills));
}

/* A file name comes as JSON text: its escapes are those of a label but for \u, which becomes visible. */
static void put_files(struct metrics_out *o, const struct metrics_input *in)
{
    const char *family = "gatehouse_config_file_errors";
    metrics_family(o, family, "gauge", "Errors in a file that has any.");
    for (size_t i = 0; i < in->n_files; i++) {
        struct buf labels = {0};
        struct str name = in->files[i].name;
        buf_addc(&labels, "file=\"");
        for (size_t k = 0; k < name.n; k++) {
            bool escape = name.p[k] == '\\' && k + 1 < name.n;
            if (escape && !strchr("\"\\n", name.p[k + 1]))
                buf_addch(&labels, '\\');
            buf_addch(&labels, name.p[k]);
            if (escape)
                buf_addch(&labels, name.p[++k]);
        }
        buf_addch(&labels, '"');
        metrics_u64(o, family, "gauge", buf_str(&labels), in->files[i].errors);
        buf_fini(&labels);
    }
}

static void put_generation(struct metrics_out *o, const struct metrics_input *in)
{
    struct board_head *h = board_head(in->board);
    const struct snap *s = in->snap;
    one(o, "gatehouse_generation", "gauge", "Generation of the configuration that is programmed.",
        board_get(&h->generation));
    one_time(o, "gatehouse_generation_timestamp_seconds", "When that generation was compiled.",
             s ? s->head->made_wall_us : 0);
    one(o, "gatehouse_snapshot_bytes", "gauge", "Size of its image.", s ? s->size : 0);
    one(o, "gatehouse_config_listeners", "gauge", "Listeners in it.", s ? s->n[SNAP_LISTENERS] : 0);
    one(o, "gatehouse_config_hosts", "gauge", "Virtual hosts in it.", s ? s->n[SNAP_HOSTS] : 0);
    one(o, "gatehouse_config_rules", "gauge", "Rules in it.", s ? s->n[SNAP_RULES] : 0);
    one(o, "gatehouse_config_clusters", "gauge", "Clusters (backends) in it.", s ? s->n[SNAP_CLUSTERS] : 0);
    one(o, "gatehouse_config_endpoints", "gauge", "Endpoints in it.", s ? s->n[SNAP_ENDPOINTS] : 0);
    one(o, "gatehouse_config_errors", "gauge", "Errors in the files as they are now.", board_get(&h->config_errors));
    one(o, "gatehouse_config_warnings", "gauge", "Warnings about the files as they are now.",
        board_get(&h->config_warnings));
    put_files(o, in);
}

static void put_reloads(struct metrics_out *o, const struct metrics_input *in)
{
    struct board_head *h = board_head(in->board);
    metrics_family(o, "gatehouse_reloads", "counter", "Changes of the configuration, by how they ended.");
    metrics_u64(o, "gatehouse_reloads", "counter", STR("result=\"ok\""), board_get(&h->reloads_ok));
    metrics_u64(o, "gatehouse_reloads", "counter", STR("result=\"failed\""), board_get(&h->reloads_failed));
    one(o, "gatehouse_reload_last_success", "gauge", "1 when the last change is served, 0 when it was refused.",
        !board_get(&h->reload_last_failed));
    one_time(o, "gatehouse_reload_last_timestamp_seconds", "When the last change ended.",
             board_get(&h->reload_last_wall_us));
    one_time(o, "gatehouse_reload_last_duration_seconds", "From the first sign of it to all workers serving it.",
             board_get(&h->reload_last_ms) * 1000);
}

/* ---- processes ---- */

static bool row_was_used(struct board_proc *p)
{
    return board_get(&p->started_ns) != 0;
}

static void put_worker_states(struct metrics_out *o, const struct metrics_input *in)
{
    static const char *const states[] = {NULL, "starting", "spare", "active", "draining", NULL};
    uint64_t count[ARRAY_LEN(states)] = {0}, behind = 0, generation = board_get(&board_head(in->board)->generation);
    for (uint32_t row = 0; row < BOARD_MAX_PROC; row++) {
        struct board_proc *p = board_proc(in->board, row);
        uint32_t state = atomic_load(&p->state);
        if (atomic_load(&p->role) != ROLE_WORKER || state >= ARRAY_LEN(states))
            continue;
        count[state]++;
        behind += state == PROC_ACTIVE && board_get(&p->generation) < generation;
    }
    one(o, "gatehouse_workers_wanted", "gauge", "Workers that should be active.",
        board_get(&board_head(in->board)->workers_wanted));
    one(o, "gatehouse_workers_behind", "gauge", "Active workers that serve an older generation.", behind);
    metrics_family(o, "gatehouse_workers", "gauge", "Workers by state.");
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        struct buf labels = {0};
        if (!states[i])
            continue;
        metrics_label(&labels, "state", str_c(states[i]));
        metrics_u64(o, "gatehouse_workers", "gauge", buf_str(&labels), count[i]);
        buf_fini(&labels);
    }
}

struct process_family {
    const char *name, *type, *text;
    size_t offset;
    bool microseconds;
};

static void put_of_process(struct metrics_out *o, const char *family, const char *type, struct board_proc *p,
                           uint32_t row, uint64_t v, bool microseconds)
{
    static const char *const roles[] = {"none", "worker", "scout", "admin"};
    struct buf labels = {0};
    uint32_t role = atomic_load(&p->role);
    metrics_label(&labels, "role", str_c(role < ARRAY_LEN(roles) ? roles[role] : "?"));
    buf_addf(&labels, ",row=\"%u\"", row);
    (microseconds ? metrics_seconds : metrics_u64)(o, family, type, buf_str(&labels), v);
    buf_fini(&labels);
}

/* One family of tbl/counter.def over all rows. A process that is no worker shows what it counted. */
static void put_counter(struct metrics_out *o, const struct metrics_input *in, const struct process_family *f)
{
    metrics_family(o, f->name, f->type, f->text);
    for (uint32_t row = 0; row < BOARD_MAX_PROC; row++) {
        struct board_proc *p = board_proc(in->board, row);
        uint64_t v = board_get((const _Atomic uint64_t *)(const void *)((const char *)&p->counters + f->offset));
        if (row_was_used(p) && (atomic_load(&p->role) == ROLE_WORKER || v > 0))
            put_of_process(o, f->name, f->type, p, row, v, f->microseconds);
    }
}

static void put_restarts(struct metrics_out *o, const struct metrics_input *in)
{
    const char *family = "gatehouse_restarts";
    metrics_family(o, family, "counter", "Processes that took this place on the board after the first one.");
    for (uint32_t row = 0; row < BOARD_MAX_PROC; row++) {
        struct board_proc *p = board_proc(in->board, row);
        if (row_was_used(p))
            put_of_process(o, family, "counter", p, row, atomic_load(&p->restarts), false);
    }
}

static void put_counters(struct metrics_out *o, const struct metrics_input *in)
{
    static const char type_C[] = "counter", type_G[] = "gauge";
    static const struct {
        const char *name, *type, *unit, *text;
        size_t offset;
    } rows[] = {
#define X(name, type, unit, text) {#name, type_##type, unit, text, offsetof(struct board_counters, name)},
#include "shared/tbl/counter.def"
#undef X
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str name = str_c(rows[i].name);
        bool us = strcmp(rows[i].unit, "microseconds") == 0;
        struct buf full = {0}, text = {0};
        if (us && str_ends(name, STR("_us")))
            name.n -= 3;
        buf_addf(&full, "gatehouse_" STR_FMT "%s", STR_ARG(name), us ? "_seconds" : "");
        buf_addf(&text, "%c%s.", rows[i].text[0] >= 'a' && rows[i].text[0] <= 'z' ? rows[i].text[0] - 32
                                                                                  : rows[i].text[0], rows[i].text + 1);
        struct process_family f = {buf_cstr(&full), rows[i].type, buf_cstr(&text), rows[i].offset, us};
        put_counter(o, in, &f);
        buf_fini(&full);
        buf_fini(&text);
    }
}

/* ---- TLS ---- */

static const char *const TLS_SIDES[BOARD_TLS_SIDES] = {"client", "upstream"};

/* What all processes counted; `at` is the place of one of the counters in struct board_tls. */
static uint64_t tls_sum(const struct metrics_input *in, size_t at)
{
    uint64_t n = 0;
    for (uint32_t row = 0; row < BOARD_MAX_PROC; row++) {
        struct board_proc *p = board_proc(in->board, row);
        if (row_was_used(p))
            n += board_get((const _Atomic uint64_t *)(const void *)((const char *)&p->tls + at));
    }
    return n;
}

static void put_tls(struct metrics_out *o, const struct metrics_input *in)
{
    static const char *const faults[] = {
#define X(name, word, text) word,
#include "shared/tbl/tls_fault.def"
#undef X
    };
    const char *family = "gatehouse_tls_handshakes";
    metrics_family(o, family, "counter", "TLS handshakes that came about, with clients and with endpoints.");
    for (unsigned i = 0; i < BOARD_TLS_SIDES * 4; i++) {
        struct buf labels = {0};
        buf_addf(&labels, "side=\"%s\",version=\"1.%u\",resumed=\"%s\"", TLS_SIDES[i / 4], 2 + i / 2 % 2, i % 2 ? "true" : "false");
        metrics_u64(o, family, "counter", buf_str(&labels), tls_sum(in, offsetof(struct board_tls, handshakes) + i * sizeof(uint64_t)));
        buf_fini(&labels);
    }
    family = "gatehouse_tls_failures";
    metrics_family(o, family, "counter", "TLS connections that did not come about, by the reason.");
    for (unsigned i = 0; i < BOARD_TLS_SIDES * TLS_FAULT_COUNT; i++) {
        uint64_t n = tls_sum(in, offsetof(struct board_tls, faults) + i * sizeof(uint64_t));
        struct buf labels = {0};
        if (!n)
            continue;
        buf_addf(&labels, "side=\"%s\",reason=\"%s\"", TLS_SIDES[i / TLS_FAULT_COUNT], faults[i % TLS_FAULT_COUNT]);
        metrics_u64(o, family, "counter", buf_str(&labels), n);
        buf_fini(&labels);
    }
}

/* When each certificate ends, for alarms: by the object that it came from. */
static void put_certificates(struct metrics_out *o, const struct metrics_input *in)
{
    const struct snap *s = in->snap;
    const char *family = "gatehouse_certificate_not_after_timestamp_seconds";
    metrics_family(o, family, "gauge", "When a certificate that is served or shown ends to be valid, seconds since 1970.");
    for (uint32_t i = 0; s && i < s->n[SNAP_CERTS] && i < in->max_series; i++) {
        const struct snap_cert *c = &s->CERTS[i];
        const struct snap_origin *at = SNAP_AT(s, ORIGINS, c->origin);
        const struct snap_object *by = at ? SNAP_AT(s, OBJECTS, at->object) : NULL;
        struct buf labels = {0};
        metrics_label(&labels, "kind", by ? snap_name(s, by->kind) : STR_NONE);
        metrics_label(&labels, "namespace", by ? snap_name(s, by->ns) : STR_NONE);
        metrics_label(&labels, "name", by ? snap_name(s, by->name) : STR_NONE);
        metrics_label(&labels, "subject", snap_name(s, c->subject));
        metrics_label(&labels, "serial", snap_name(s, c->serial));
        metrics_u64(o, family, "gauge", buf_str(&labels), (uint64_t)GH_MAX(c->not_after_s, 0));
        buf_fini(&labels);
    }
}

/* ---- names that are resolved ---- */

static void put_dns(struct metrics_out *o, const struct metrics_input *in)
{
    const struct snap *s = in->snap;
    static const struct {
        const char *name, *help;
    } families[] = {
        {"gatehouse_dns_addresses", "Addresses of the last good answer for a name."},
        {"gatehouse_dns_failing", "1 while the name gets no answer; the last good one is used."},
    };
    for (size_t f = 0; s && f < ARRAY_LEN(families); f++) {
        uint32_t shown = 0;
        bool seen[BOARD_MAX_DNS] = {false};
        metrics_family(o, families[f].name, "gauge", families[f].help);
        for (uint32_t i = 0; i < s->n[SNAP_ENDPOINTS] && shown < in->max_series; i++) {
            const struct snap_endpoint *e = &s->ENDPOINTS[i];
            struct board_dns *d = e->dns_slot == SNAP_NONE ? NULL : board_dns(in->board, e->dns_slot);
            struct board_dns_answer a;
            if (!d || seen[e->dns_slot])
                continue;
            seen[e->dns_slot] = true;
            if (!board_dns_read(d, &a))
                a = (struct board_dns_answer){.status = 1};
            struct buf labels = {0};
            metrics_label(&labels, "name", snap_text(s, e->address));
            metrics_u64(o, families[f].name, "gauge", buf_str(&labels), f == 0 ? a.n : a.status != 0);
            buf_fini(&labels);
            shown++;
        }
    }
}

void metrics_write(const struct metrics_input *in, struct buf *out)
{
    struct metrics_out o = {.b = out, .openmetrics = in->openmetrics};
    put_instance(&o, in);
    put_generation(&o, in);
    put_reloads(&o, in);
    put_worker_states(&o, in);
    put_restarts(&o, in);
    put_counters(&o, in);
    metrics_series_write(&o, in);
    put_tls(&o, in);
    put_certificates(&o, in);
    put_dns(&o, in);
    if (in->openmetrics)
        buf_addc(out, "# EOF\n");
}
