/*
 * role_admin.c - the process that answers operators. docs/admin.md is the manual of what it answers.
 *
 * Reading is for everybody who reaches the TCP address or the unix socket; orders (POST) and the raw image come
 * over the unix socket only, whose file mode says who may. Orders go to the master as REQUEST and are answered
 * when its REPLY comes.
 *
 * `change` in /status counts what can be seen there. It is not announced by anybody: a digest of the board is
 * compared, at every request and, while somebody waits, 20 times a second, so no process can forget to tell. It
 * begins with the time, so that it rises over a restart of this process too.
 */
#include "shared/base/clock.h"
#include "shared/base/err.h"
#include "shared/http/uri.h"
#include "shared/snap/snap.h"
#include "shared/tls/tls_build.h"
#include "worker/admin_http.h"
#include "worker/metrics.h"
#include "worker/status.h"
#include "worker/worker.h"

#include "worker/dashboard_html.h"

#include <stdlib.h>

#define WATCH_MS         50
#define WAIT_DEFAULT_S   30
#define WAIT_MAX_S       600
#define ORDER_MS         120000 /* a reload that takes longer is reported as such; it goes on */
#define DRAIN_MAX_MS     2000
#define MAX_SERIES       1000
#define IS_ORDER         (1ull << 63) /* in the data of a parked connection: an order's id, not a change number */

struct admin {
    struct worker *w;
    struct admin_http *http;
    struct status *current, *offered;
    struct status_note note;
    struct buf version, tls;
    uint64_t change, digest, next_order;
    uint32_t max_series;
    bool was_ready;
    struct list waiting;  /* for another /status */
    struct list orders;   /* for a REPLY */
    uv_timer_t *watch;    /* while somebody waits */
    uv_timer_t *end;      /* draining */
};

typedef void endpoint_fn(struct admin *a, struct admin_conn *c, const struct admin_request *r);

static struct status_view view_of(const struct admin *a)
{
    return (struct status_view){.board = a->w->board, .status = a->current, .note = &a->note,
                                .version = buf_str(&a->version), .tls = buf_str(&a->tls), .change = a->change,
                                .orphan = a->w->orphan || a->w->link.rescued};
}

/* ---- /status ---- */

static void release_status(void *owner)
{
    status_drop(owner);
}

static void answer_status(struct admin *a, struct admin_conn *c)
{
    struct status_view v = view_of(a);
    struct admin_answer answer = {.status = 200, .type = "application/json", .release = release_status};
    status_begin(&v, &answer.body);
    _Static_assert(STATUS_PIECES <= ADMIN_PIECES, "a status fits into an answer");
    answer.n_pieces = status_pieces(a->current, answer.pieces);
    answer.owner = a->current ? status_hold(a->current) : NULL;
    admin_answer(c, &answer);
}

static void on_watch(uv_timer_t *t);

/* Looks whether anything changed and answers those who waited for it. */
static void look(struct admin *a)
{
    struct status_view v = view_of(a);
    uint64_t digest = status_digest(&v);
    if (a->w->state == PROC_DRAINING) /* the timer has another use then */
        return;
    if (digest != a->digest) {
        a->digest = digest;
        a->change++;
        LIST_EACH(it, &a->waiting)
            answer_status(a, admin_parked(it));
    }
    if (list_empty(&a->waiting))
        uv_timer_stop(a->watch);
    else if (!uv_is_active((uv_handle_t *)a->watch))
        uv_timer_start(a->watch, on_watch, WATCH_MS, WATCH_MS);
}

static void on_watch(uv_timer_t *t)
{
    look(t->data);
}

/* A decimal parameter of the query; false: it is there and is no number. */
static bool number_of(struct str query, struct str name, uint64_t *out, bool *given)
{
    struct str value;
    *given = http_query_get(query, name, &value);
    return !*given || str_u64(value, out);
}

static void get_status(struct admin *a, struct admin_conn *c, const struct admin_request *r)
{
    uint64_t after = 0, wait = WAIT_DEFAULT_S;
    bool has_after, has_wait;
    if (!number_of(r->query, STR("after"), &after, &has_after) || !number_of(r->query, STR("wait"), &wait, &has_wait)) {
        admin_answer_error(c, 400, "after and wait are whole numbers: a change, and seconds");
        return;
    }
    look(a);
    if (!has_after || wait == 0 || a->change > after) {
        answer_status(a, c);
        return;
    }
    admin_park(c, &a->waiting, after & ~IS_ORDER, GH_MIN(wait, (uint64_t)WAIT_MAX_S) * 1000);
    look(a);
}

/* ---- other things to read ---- */

static void get_metrics(struct admin *a, struct admin_conn *c, const struct admin_request *r)
{
    struct metrics_input in = {.board = a->w->board, .snap = a->current ? a->current->snap : NULL,
                               .version = buf_str(&a->version), .max_series = a->max_series,
                               .openmetrics = metrics_wants_openmetrics(r->accept),
                               .orphan = a->w->orphan || a->w->link.rescued};
    if (a->current) {
        in.files = a->current->files;
        in.n_files = a->current->n_files;
    }
    struct admin_answer answer = {.status = 200, .type = in.openmetrics ? METRICS_OPENMETRICS : METRICS_TEXT};
    metrics_write(&in, &answer.body);
    admin_answer(c, &answer);
}

static void get_healthz(struct admin *a, struct admin_conn *c, const struct admin_request *r)
{
    (void)a, (void)r;
    admin_answer_text(c, 200, "ok\n");
}

static void get_readyz(struct admin *a, struct admin_conn *c, const struct admin_request *r)
{
    struct status_view v = view_of(a);
    struct buf why = {0};
    (void)r;
    if (status_ready(&v, a->was_ready, &why)) {
        a->was_ready = true;
        admin_answer_text(c, 200, "ready\n");
    } else {
        buf_addch(&why, '\n');
        admin_answer_text(c, 503, buf_cstr(&why));
    }
    buf_fini(&why);
}

static void get_objects(struct admin *a, struct admin_conn *c, const struct admin_request *r)
{
    struct admin_answer answer = {.status = 200, .type = "application/json", .release = release_status};
    struct str items = a->current ? json_member(&a->current->members, "resources") : STR_NONE;
    (void)r;
    buf_addf(&answer.body, "{\"generation\":%llu,\"items\":",
             (unsigned long long)(a->current ? a->current->snap->head->generation : 0));
    answer.pieces[0] = items.n ? items : STR("[]");
    answer.pieces[1] = STR("}\n");
    answer.n_pieces = 2;
    answer.owner = a->current ? status_hold(a->current) : NULL;
    admin_answer(c, &answer);
}

static void get_snapshot(struct admin *a, struct admin_conn *c, const struct admin_request *r)
{
    (void)r;
    if (!a->current) {
        admin_answer_error(c, 404, "no generation is programmed yet");
        return;
    }
    const struct snap *s = a->current->snap;
    struct admin_answer answer = {.status = 200, .type = "application/octet-stream", .release = release_status,
                                  .owner = status_hold(a->current), .n_pieces = 1};
    answer.pieces[0] = str_of((const char *)s->head, s->size);
    admin_answer(c, &answer);
}

static void get_dashboard(struct admin *a, struct admin_conn *c, const struct admin_request *r)
{
    (void)a, (void)r;
    struct admin_answer answer = {
        .status = 200, .type = "text/html; charset=utf-8", .n_pieces = 1,
        .policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; "
                  "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    };
    answer.pieces[0] = str_of(DASHBOARD_HTML, sizeof(DASHBOARD_HTML) - 1);
    admin_answer(c, &answer);
}

/* ---- orders ---- */

static void order(struct admin *a, struct admin_conn *c, enum ipc_verb verb)
{
    struct ipc_msg m = {.type = IPC_REQUEST};
    if (a->w->link.fd < 0 || a->w->link.rescued) {
        admin_answer_error(c, 503, "there is no master; the workers serve the last generation");
        return;
    }
    m.u.as_REQUEST = (struct ipc_request){.id = ++a->next_order, .verb = (uint32_t)verb};
    admin_park(c, &a->orders, a->next_order | IS_ORDER, ORDER_MS);
    link_send(a->w, &m);
}

static void post_reload(struct admin *a, struct admin_conn *c, const struct admin_request *r)
{
    (void)r;
    order(a, c, IPC_VERB_RELOAD);
}

static void post_drain(struct admin *a, struct admin_conn *c, const struct admin_request *r)
{
    (void)r;
    order(a, c, IPC_VERB_DRAIN);
}

static unsigned status_of_result(int32_t result)
{
    switch (result) {
    case 0:
    case GH_E_EXISTS: return 200;
    case GH_E_REFUSED: return 422;
    case GH_E_AGAIN:
    case GH_E_LIMIT:
    case GH_E_CLOSED: return 503;
    case GH_E_TIMEOUT: return 504;
    default: return 500;
    }
}

static int take_reply(struct worker *w, struct ipc_msg *m)
{
    struct admin *a = w->role_state;
    LIST_EACH(it, &a->orders) {
        struct admin_conn *c = admin_parked(it);
        if (admin_parked_data(c) != (m->u.as_REPLY.id | IS_ORDER))
            continue;
        struct admin_answer answer = {.status = status_of_result(m->u.as_REPLY.result), .type = "application/json"};
        if (m->text_n)
            buf_add(&answer.body, m->text, m->text_n);
        else
            buf_addf(&answer.body, "{\"result\":%d}", m->u.as_REPLY.result);
        buf_addch(&answer.body, '\n');
        admin_answer(c, &answer);
    }
    look(a);
    return 0;
}

/* ---- which endpoint ---- */

enum { GET = 1, POST = 2 };
static const struct endpoint {
    const char *path;
    uint8_t method;
    bool local_only;
    endpoint_fn *fn;
    const char *text;
} ENDPOINTS[] = {
    {"/", GET, false, get_dashboard, "dashboard"},
    {"/metrics", GET, false, get_metrics, "Prometheus text, or OpenMetrics where asked for"},
    {"/healthz", GET, false, get_healthz, "200 while this process lives"},
    {"/readyz", GET, false, get_readyz, "200 when requests are served, 503 before and while draining"},
    {"/status", GET, false, get_status, "objects, processes, diagnostics; ?after=CHANGE&wait=SECONDS waits"},
    {"/objects", GET, false, get_objects, "every object as it is served"},
    {"/snapshot", GET, true, get_snapshot, "the generation's image"},
    {"/reload", POST, true, post_reload, "read the configuration now; answers when it is programmed or refused"},
    {"/drain", POST, true, post_drain, "finish and stop"},
};

static void answer_unknown(struct admin_conn *c)
{
    struct buf b = {0};
    buf_addc(&b, "there is nothing here; known are\n\n");
    for (size_t i = 0; i < ARRAY_LEN(ENDPOINTS); i++)
        buf_addf(&b, "  %-4s %-10s %s%s\n", ENDPOINTS[i].method == GET ? "GET" : "POST", ENDPOINTS[i].path,
                 ENDPOINTS[i].text, ENDPOINTS[i].local_only ? " (unix socket only)" : "");
    admin_answer_text(c, 404, buf_cstr(&b));
    buf_fini(&b);
}

static void answer_method(struct admin_conn *c, const struct endpoint *e)
{
    struct admin_answer answer = {.status = 405, .type = "application/json",
                                  .allow = e->method == GET ? "GET, HEAD" : "POST"};
    buf_addf(&answer.body, "{\"error\":\"%s is for %s\"}\n", e->path, answer.allow);
    admin_answer(c, &answer);
}

static void handle(void *arg, struct admin_conn *c, const struct admin_request *r)
{
    for (size_t i = 0; i < ARRAY_LEN(ENDPOINTS); i++) {
        const struct endpoint *e = &ENDPOINTS[i];
        if (!str_eqc(r->path, e->path))
            continue;
        bool get = r->method_id == METHOD_GET || r->method_id == METHOD_HEAD;
        if (e->method == GET ? !get : r->method_id != METHOD_POST)
            answer_method(c, e);
        else if (e->local_only && !r->local)
            admin_answer_error(c, 403, "%s answers over the unix socket only", e->path);
        else
            e->fn(arg, c, r);
        return;
    }
    answer_unknown(c);
}

static void expired(void *arg, struct admin_conn *c)
{
    if (admin_parked_data(c) & IS_ORDER)
        admin_answer_error(c, 504, "the master did not finish in %d s; it goes on, see /status", ORDER_MS / 1000);
    else
        answer_status(arg, c);
}

/* ---- messages ---- */

static int take_listener(struct worker *w, struct ipc_msg *m)
{
    struct admin *a = w->role_state;
    uint64_t id = m->u.as_LISTENER.bind_id;
    if (id != IPC_BIND_ADMIN_TCP && id != IPC_BIND_ADMIN_UNIX)
        return GH_E_RANGE;
    if (!link_listener_keep(w, m))
        return GH_E_NOMEM;
    if (admin_http_listen(a->http, id, link_take_fd(m, 0), id == IPC_BIND_ADMIN_UNIX) < 0)
        log_error(&w->log, "cannot accept at the admin address");
    return 0;
}

static int take_listener_gone(struct worker *w, struct ipc_msg *m)
{
    struct admin *a = w->role_state;
    link_listener_forget(w, m->u.as_LISTENER_GONE.bind_id);
    admin_http_unlisten(a->http, m->u.as_LISTENER_GONE.bind_id);
    return 0;
}

static int take_snapshot(struct worker *w, struct ipc_msg *m)
{
    struct admin *a = w->role_state;
    struct buf why = {0};
    uint64_t generation = m->u.as_SNAPSHOT.generation;
    struct status *s = status_open(m->fds[0], m->n_fds > 1 ? m->fds[1] : -1, &why);
    if (s && s->snap->head->generation != generation) {
        buf_addf(&why, "the image is of generation %llu", (unsigned long long)s->snap->head->generation);
        status_drop(s);
        s = NULL;
    }
    status_drop(a->offered);
    a->offered = s;
    if (!s) {
        board_add(&w->me->counters.snapshots_refused, 1);
        log_error(&w->log, "generation %llu refused: %s", (unsigned long long)generation, buf_cstr(&why));
    }
    link_send_ack(w, generation, s ? 0 : GH_E_FORMAT, buf_str(&why));
    buf_fini(&why);
    return 0;
}

static int take_commit(struct worker *w, struct ipc_msg *m)
{
    struct admin *a = w->role_state;
    uint64_t generation = m->u.as_COMMIT.generation;
    if (!a->offered || a->offered->snap->head->generation != generation)
        return GH_E_NOT_FOUND;
    status_drop(a->current);
    a->current = a->offered;
    a->offered = NULL;
    a->digest = 0; /* objects may have changed although nothing else did */
    worker_set_generation(w, generation);
    link_send_active(w, generation);
    look(a);
    return 0;
}

static int take_withdraw(struct worker *w, struct ipc_msg *m)
{
    struct admin *a = w->role_state;
    if (a->offered && a->offered->snap->head->generation == m->u.as_WITHDRAW.generation) {
        status_drop(a->offered);
        a->offered = NULL;
    }
    return 0;
}

static int take_note(struct worker *w, struct ipc_msg *m)
{
    struct admin *a = w->role_state;
    size_t n = GH_MIN(m->text_n, sizeof(a->note.text) - 1);
    a->note = (struct status_note){m->u.as_NOTE.generation, m->u.as_NOTE.wall_us, m->u.as_NOTE.result, {0}};
    memcpy(a->note.text, m->text, n);
    look(a);
    return 0;
}

static int take_nothing(struct worker *w, struct ipc_msg *m)
{
    (void)w, (void)m;
    return 0;
}

/* ---- life ---- */

static void on_closed(uv_handle_t *h)
{
    free(h);
}

static uv_timer_t *timer_new(struct admin *a)
{
    uv_timer_t *t = malloc(sizeof(*t));
    if (t) {
        uv_timer_init(&a->w->loop, t);
        t->data = a;
    }
    return t;
}

static int start(struct worker *w, struct buf *why)
{
    struct admin *a = calloc(1, sizeof(*a));
    struct buf number = {0};
    uint64_t max = MAX_SERIES;
    w->role_state = a;
    if (!a)
        return buf_addc(why, "out of memory"), GH_E_NOMEM;
    a->w = w;
    list_init(&a->waiting);
    list_init(&a->orders);
    a->change = clock_wall_us() / 1000;
    a->watch = timer_new(a);
    a->end = timer_new(a);
    struct admin_http_config c = {.loop = &w->loop, .me = w->me, .log = &w->log, .limits = ADMIN_LIMITS_DEFAULT,
                                  .handle = handle, .expired = expired, .arg = a};
    a->http = admin_http_new(&c);
    worker_setting(w, "version", &a->version);
    tls_build_describe(&a->tls);
    if (worker_setting(w, "metrics_max_series", &number) && !str_u64(buf_str(&number), &max))
        max = MAX_SERIES;
    a->max_series = (uint32_t)GH_MIN(max, (uint64_t)BOARD_MAX_SLOTS);
    buf_fini(&number);
    if (!a->http || !a->watch || !a->end)
        return buf_addc(why, "out of memory"), GH_E_NOMEM;
    return 0;
}

static void promoted(struct worker *w)
{
    look(w->role_state);
}

static void on_end(uv_timer_t *t)
{
    struct admin *a = t->data;
    if (admin_http_connections(a->http) == 0 || uv_timer_get_repeat(t) == 0)
        worker_exit(a->w, 0);
}

/* Answers what waits, and leaves connections the time to take their answers. */
static void drain(struct worker *w, uint64_t deadline_ms)
{
    struct admin *a = w->role_state;
    uint64_t now = clock_ms();
    admin_http_drain(a->http);
    LIST_EACH(it, &a->waiting)
        answer_status(a, admin_parked(it));
    LIST_EACH(it2, &a->orders)
        admin_answer_error(admin_parked(it2), 503, "the gateway is shutting down");
    if (admin_http_connections(a->http) == 0 || deadline_ms <= now) {
        worker_exit(w, 0);
        return;
    }
    uv_timer_start(a->watch, on_end, 10, 10);
    uv_timer_start(a->end, on_end, GH_MIN(deadline_ms - now, (uint64_t)DRAIN_MAX_MS), 0);
}

static void stop(struct worker *w)
{
    struct admin *a = w->role_state;
    if (!a)
        return;
    admin_http_free(a->http);
    if (a->watch)
        uv_close((uv_handle_t *)a->watch, on_closed);
    if (a->end)
        uv_close((uv_handle_t *)a->end, on_closed);
    uv_run(&w->loop, UV_RUN_NOWAIT); /* answers on their way hold a status */
    status_drop(a->current);
    status_drop(a->offered);
    buf_fini(&a->version);
    buf_fini(&a->tls);
    free(a);
    w->role_state = NULL;
}

static const struct role_message MESSAGES[] = {
    {IPC_LISTENER, take_listener}, {IPC_LISTENER_GONE, take_listener_gone}, {IPC_SNAPSHOT, take_snapshot},
    {IPC_COMMIT, take_commit},     {IPC_WITHDRAW, take_withdraw},           {IPC_REPLY, take_reply},
    {IPC_NOTE, take_note},         {IPC_LOG, take_nothing},
};

const struct role ROLE_ROW_ADMIN = {
    .id = ROLE_ADMIN, .name = "admin", .sandbox = SANDBOX_ADMIN,
    .messages = MESSAGES, .n_messages = ARRAY_LEN(MESSAGES),
    .start = start, .promoted = promoted, .drain = drain, .stop = stop,
};
