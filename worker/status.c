#include "worker/status.h"
#include "shared/base/clock.h"
#include "shared/base/err.h"
#include "shared/base/hash.h"
#include "shared/snap/snap.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MAX_DEPTH 512

/* ---- the scan ---- */

struct scan {
    const char *p, *end;
};

static void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

static bool scan_char(struct scan *s, char c)
{
    skip_space(s);
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

static bool scan_string(struct scan *s, struct str *out)
{
    if (!scan_char(s, '"'))
        return false;
    const char *start = s->p;
    for (; s->p < s->end; s->p++) {
        if ((unsigned char)*s->p < 0x20)
            return false;
        if (*s->p == '"') {
            *out = str_of(start, (size_t)(s->p++ - start));
            return true;
        }
        if (*s->p == '\\' && ++s->p == s->end)
            return false;
    }
    return false;
}

/* A number or a word: at least one byte of what such things are made of. */
static bool scan_plain(struct scan *s)
{
    const char *start = s->p;
    while (s->p < s->end && (ascii_is_alpha(*s->p) || ascii_is_digit(*s->p) || *s->p == '-' || *s->p == '+' ||
                             *s->p == '.'))
        s->p++;
    return s->p > start;
}

/* One value of any depth, without recursion: `open` is the stack of brackets that are open. Separators are
 * checked against what came before, so that a value that passes is one value and nothing behind it. */
static bool scan_value(struct scan *s)
{
    char open[MAX_DEPTH];
    size_t depth = 0;
    bool want_value = true, may_close = false; /* may_close: right behind an opening bracket */
    do {
        skip_space(s);
        if (s->p == s->end)
            return false;
        char c = *s->p;
        if (!want_value) {
            if (c == ',') {
                s->p++;
                want_value = true;
            } else if (c == open[depth - 1]) {
                s->p++;
                depth--;
            } else {
                return false;
            }
            may_close = false;
            continue;
        }
        if (may_close && c == open[depth - 1]) {
            s->p++;
            depth--;
            want_value = may_close = false;
            continue;
        }
        struct str name;
        if (depth && open[depth - 1] == '}' && (!scan_string(s, &name) || !scan_char(s, ':')))
            return false;
        skip_space(s);
        if (s->p == s->end)
            return false;
        c = *s->p;
        if (c == '{' || c == '[') {
            if (depth == MAX_DEPTH)
                return false;
            open[depth++] = c == '{' ? '}' : ']';
            s->p++;
            may_close = true;
            continue;
        }
        if (c == '"' ? !scan_string(s, &name) : !scan_plain(s))
            return false;
        want_value = may_close = false;
    } while (depth > 0);
    return true;
}

bool json_scan(struct str text, struct json_members *out)
{
    struct scan s = {text.p, text.p + text.n};
    out->n = 0;
    if (!scan_char(&s, '{'))
        return false;
    if (!scan_char(&s, '}')) {
        do {
            if (out->n == STATUS_MEMBERS)
                return false;
            skip_space(&s);
            const char *whole = s.p;
            if (!scan_string(&s, &out->v[out->n].name) || !scan_char(&s, ':'))
                return false;
            skip_space(&s);
            const char *start = s.p;
            if (!scan_value(&s))
                return false;
            out->v[out->n].whole = str_of(whole, (size_t)(s.p - whole));
            out->v[out->n++].value = str_of(start, (size_t)(s.p - start));
        } while (scan_char(&s, ','));
        if (!scan_char(&s, '}'))
            return false;
    }
    skip_space(&s);
    return s.p == s.end;
}

bool json_next(struct str *rest, struct str *element)
{
    struct scan s = {rest->p, rest->p + rest->n};
    if (!scan_char(&s, '[') && !scan_char(&s, ','))
        return false;
    skip_space(&s);
    const char *start = s.p;
    if (s.p == s.end || *s.p == ']' || !scan_value(&s))
        return false;
    *element = str_of(start, (size_t)(s.p - start));
    *rest = str_of(s.p, (size_t)(s.end - s.p));
    return true;
}

struct str json_member(const struct json_members *m, const char *name)
{
    for (size_t i = 0; i < m->n; i++)
        if (str_eqc(m->v[i].name, name))
            return m->v[i].value;
    return STR_NONE;
}

/* ---- images ---- */

static bool map_json(struct status *s, int fd, struct buf *why)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size <= 0) {
        buf_addc(why, "the STATUS image is empty");
        return false;
    }
    /* Sealed by the compiler's side of the master; read only, so that nobody changes it under an answer. */
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        buf_addf(why, "mapping the STATUS image: %s", strerror(errno));
        return false;
    }
    s->json = str_of(p, (size_t)st.st_size);
    if (!json_scan(s->json, &s->members)) {
        buf_addc(why, "the STATUS image is no JSON object");
        return false;
    }
    return true;
}

static struct str unquoted(struct str s)
{
    return s.n >= 2 && s.p[0] == '"' ? str_of(s.p + 1, s.n - 2) : STR_NONE;
}

/* Findings come sorted by file; one that is out of order makes a second row, which is merged here. */
static void count_file(struct status *s, struct str file)
{
    for (size_t i = s->n_files; i-- > 0;)
        if (str_eq(s->files[i].name, file)) {
            s->files[i].errors++;
            return;
        }
    if (s->n_files == STATUS_MAX_FILES)
        return;
    if (!s->files && !(s->files = calloc(STATUS_MAX_FILES, sizeof(*s->files))))
        return; /* a metric less */
    s->files[s->n_files++] = (struct status_file){file, 1};
}

static void read_summary(struct status *s)
{
    struct json_members m;
    struct str summary = json_member(&s->members, "summary");
    uint64_t number;
    if (!summary.n || !json_scan(summary, &m))
        return;
    if (str_u64(json_member(&m, "errors"), &number))
        s->errors = json_member(&m, "errors");
    if (str_u64(json_member(&m, "warnings"), &number))
        s->warnings = json_member(&m, "warnings");
}

static void count_errors(struct status *s)
{
    struct str rest = json_member(&s->members, "diagnostics"), finding;
    struct json_members m;
    while (rest.n && json_next(&rest, &finding))
        if (json_scan(finding, &m) && str_eqc(json_member(&m, "severity"), "\"error\"")) {
            struct str file = unquoted(json_member(&m, "file"));
            if (file.n)
                count_file(s, file);
        }
}

struct status *status_open(int snap_fd, int status_fd, struct buf *why)
{
    struct status *s = calloc(1, sizeof(*s));
    if (!s) {
        buf_addc(why, "out of memory");
        return NULL;
    }
    s->refs = 1;
    if (snap_open(&s->snap, snap_fd, why) < 0 || (status_fd >= 0 && !map_json(s, status_fd, why))) {
        status_drop(s);
        return NULL;
    }
    count_errors(s);
    read_summary(s);
    return s;
}

struct status *status_hold(struct status *s)
{
    s->refs++;
    return s;
}

void status_drop(struct status *s)
{
    if (!s || --s->refs > 0)
        return;
    snap_drop(s->snap);
    if (s->json.p)
        munmap((void *)(uintptr_t)s->json.p, s->json.n);
    free(s->files);
    free(s);
}

/* ---- views ---- */

static const char *role_name(uint32_t role)
{
    static const char *const names[] = {"none", "worker", "scout", "admin"};
    return role < ARRAY_LEN(names) ? names[role] : "?";
}

static const char *state_name(uint32_t state)
{
    static const char *const names[] = {"empty", "starting", "spare", "active", "draining", "gone"};
    return state < ARRAY_LEN(names) ? names[state] : "?";
}

static bool row_is_used(const struct board_proc *p)
{
    uint32_t state = atomic_load(&p->state);
    return state != PROC_EMPTY && state != PROC_GONE && atomic_load(&p->pid) != 0;
}

uint64_t status_digest(const struct status_view *v)
{
    struct board_head *h = board_head(v->board);
    uint64_t d = hash_mix(1, board_get(&h->generation));
    d = hash_mix(d, board_get(&h->draining));
    d = hash_mix(d, board_get(&h->reloads_ok) + board_get(&h->reloads_failed));
    d = hash_mix(d, v->note->wall_us ^ v->note->generation);
    d = hash_mix(d, (uint64_t)(uintptr_t)v->status);
    d = hash_mix(d, v->orphan);
    for (uint32_t row = 0; row < BOARD_MAX_PROC; row++) {
        struct board_proc *p = board_proc(v->board, row);
        if (!row_is_used(p))
            continue;
        d = hash_mix(d, row);
        d = hash_mix(d, (uint64_t)atomic_load(&p->pid) << 32 | atomic_load(&p->state));
        d = hash_mix(d, board_get(&p->generation));
    }
    return d;
}

static void put_process(struct buf *out, uint32_t row, struct board_proc *p, uint64_t now_ns)
{
    uint64_t started = board_get(&p->started_ns);
    buf_addf(out, "{\"role\":\"%s\",\"row\":%u,\"pid\":%u,\"generation\":%llu,\"state\":\"%s\",\"restarts\":%u,"
                  "\"connections\":%u,\"generations_held\":%u,\"uptime_ms\":%llu,\"requests\":%llu,"
                  "\"memory_bytes\":%llu,\"cpu_ms\":%llu}",
             role_name(atomic_load(&p->role)), row, atomic_load(&p->pid),
             (unsigned long long)board_get(&p->generation), state_name(atomic_load(&p->state)),
             atomic_load(&p->restarts), atomic_load(&p->connections), atomic_load(&p->generations_held),
             (unsigned long long)(started && started < now_ns ? (now_ns - started) / 1000000 : 0),
             (unsigned long long)board_get(&p->counters.requests),
             (unsigned long long)board_get(&p->counters.memory_bytes),
             (unsigned long long)board_get(&p->counters.cpu_us) / 1000);
}

static void put_processes(const struct status_view *v, struct buf *out)
{
    uint64_t now = clock_ns();
    bool first = true;
    buf_addc(out, ",\"workers\":[");
    for (uint32_t row = 0; row < BOARD_MAX_PROC; row++) {
        struct board_proc *p = board_proc(v->board, row);
        if (!row_is_used(p))
            continue;
        if (!first)
            buf_addch(out, ',');
        put_process(out, row, p, now);
        first = false;
    }
    buf_addch(out, ']');
}

static void put_time(struct buf *out, uint64_t wall_us)
{
    char text[32];
    if (wall_us == 0) {
        buf_addc(out, "null");
        return;
    }
    clock_format(wall_us, 3, text);
    buf_addf(out, "\"%s\"", text);
}

/* What the image says beside its diagnostics, so that the two agree; the board where there is no image. */
static void put_count(struct buf *out, struct str image, uint64_t board)
{
    if (image.n)
        buf_adds(out, image);
    else
        buf_addu(out, board);
}

static void put_reload(const struct status_view *v, struct buf *out)
{
    struct board_head *h = board_head(v->board);
    buf_addf(out, ",\"reload\":{\"ok\":%llu,\"failed\":%llu,\"last_ms\":%llu,\"last_time\":",
             (unsigned long long)board_get(&h->reloads_ok), (unsigned long long)board_get(&h->reloads_failed),
             (unsigned long long)board_get(&h->reload_last_ms));
    put_time(out, board_get(&h->reload_last_wall_us));
    buf_addf(out, ",\"last_failed\":%s,\"message\":", board_get(&h->reload_last_failed) ? "true" : "false");
    if (v->note->text[0])
        buf_json(out, str_c(v->note->text));
    else
        buf_addc(out, "null");
    buf_addc(out, "},\"errors\":");
    put_count(out, v->status ? v->status->errors : STR_NONE, board_get(&h->config_errors));
    buf_addc(out, ",\"warnings\":");
    put_count(out, v->status ? v->status->warnings : STR_NONE, board_get(&h->config_warnings));
}

void status_begin(const struct status_view *v, struct buf *out)
{
    struct board_head *h = board_head(v->board);
    /* The snapshot's: a renewed status of the same generation was compiled under a number that was never used. */
    buf_addc(out, "{\"generation\":");
    buf_addu(out, v->status ? v->status->snap->head->generation : board_get(&h->generation));
    buf_addf(out, ",\"change\":%llu,\"version\":", (unsigned long long)v->change);
    buf_json(out, v->version);
    buf_addc(out, ",\"tls\":");
    buf_json(out, v->tls);
    buf_addf(out, ",\"state\":\"%s\",\"started\":", board_get(&h->draining) ? "draining"
                                                     : v->orphan            ? "orphaned"
                                                                            : "serving");
    put_time(out, board_get(&h->started_wall_us));
    buf_addf(out, ",\"workers_wanted\":%llu,\"crashes\":%llu,\"stuck_kills\":%llu",
             (unsigned long long)board_get(&h->workers_wanted), (unsigned long long)board_get(&h->crashes),
             (unsigned long long)board_get(&h->stuck_kills));
    put_reload(v, out);
    put_processes(v, out);
}

size_t status_pieces(const struct status *s, struct str out[STATUS_PIECES])
{
    size_t n = 0;
    bool objects = false, diagnostics = false;
    for (size_t i = 0; s && i < s->members.n; i++) {
        struct str name = s->members.v[i].name;
        if (str_eqc(name, "generation") || str_eqc(name, "resources") || str_eqc(name, "series"))
            continue;
        objects |= str_eqc(name, "objects");
        diagnostics |= str_eqc(name, "diagnostics");
        out[n++] = STR(",");
        out[n++] = s->members.v[i].whole;
    }
    if (!objects)
        out[n++] = STR(",\"objects\":[]");
    if (!diagnostics)
        out[n++] = STR(",\"diagnostics\":[]");
    out[n++] = STR("}\n");
    return n;
}

bool status_ready(const struct status_view *v, bool latched, struct buf *why)
{
    struct board_head *h = board_head(v->board);
    uint64_t wanted = board_get(&h->workers_wanted), active = 0, generation = board_get(&h->generation);
    for (uint32_t row = 0; row < BOARD_MAX_PROC; row++) {
        struct board_proc *p = board_proc(v->board, row);
        active += row_is_used(p) && atomic_load(&p->role) == ROLE_WORKER && atomic_load(&p->state) == PROC_ACTIVE;
    }
    if (board_get(&h->draining))
        buf_addc(why, "draining");
    else if (generation == 0)
        buf_addc(why, "no generation is programmed yet");
    else if (active == 0 || (active < wanted && !latched))
        buf_addf(why, "%llu of %llu workers are active", (unsigned long long)active, (unsigned long long)wanted);
    else
        return true;
    return false;
}

