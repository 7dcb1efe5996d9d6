#include "worker/proxy/http.h"
#include "worker/http/link.h"
#include "worker/proxy/access_log.h"

#include "shared/base/err.h"

#include <stdlib.h>
#include <unistd.h>

#define SPARE_MAX   128         /* recycled requests */
#define ARENA_BLOCK (16u * 1024)

static const struct stream_events CLIENT_EVENTS;

/* --- requests as memory ---------------------------------------------------------------------------- */

static void on_timer(struct timer *t);

_Static_assert(offsetof(struct request, x.arena) == 0, "what is kept is at both ends");

static struct request *request_get(struct http_proxy *p)
{
    struct request *r;
    if (!list_empty(&p->spare)) {
        r = LIST_ITEM(p->spare.next, struct request, node);
        list_del(&r->node);
        p->n_spare--;
    } else {
        r = malloc(sizeof(*r));
        if (!r)
            return NULL;
        arena_init(&r->x.arena, ARENA_BLOCK, NULL);
        timer_init(&r->timer, on_timer);
        list_init(&r->node);
    }
    size_t n = offsetof(struct request, warm) - sizeof(r->x.arena);
    __asm__("" : "+r"(n)); /* for a size it knows the compiler writes word by word, which takes longer than the call */
    memset((char *)r + sizeof(r->x.arena), 0, n);
    r->p = p;
    list_push(&p->busy, &r->node);
    if (++p->n_busy > p->most_busy)
        p->most_busy = p->n_busy;
    board_add(&p->net->count->exchanges_active, 1);
    return r;
}

static void request_free(struct request *r)
{
    timer_close(&r->timer);
    arena_fini(&r->x.arena);
    free(r);
}

static void request_put(struct request *r)
{
    struct http_proxy *p = r->p;
    list_del(&r->node);
    p->n_busy--;
    board_add(&p->net->count->exchanges_active, (uint64_t)-1);
    timer_stop(&r->timer);
#ifndef GH_SANITIZED
    if (p->n_spare < SPARE_MAX || p->n_spare + p->n_busy < p->peak_busy) {
        arena_reset(&r->x.arena);
        list_push_front(&p->spare, &r->node);
        p->n_spare++;
        return;
    }
#endif
    request_free(r);
}

/* Slices of a generation may wait to be written when its last exchange ends. */
static void drop_snap(struct http_proxy *p, struct snap *s)
{
    if (s && s->refs == 1)
        net_flush(p->net);
    snap_drop(s);
}

void http_finish(struct request *r)
{
    struct stream *client = r->x.client;
    try_cancel(r);
    account_end(r);
    r->x.client = NULL;
    if (r->has_body)
        pipe_fini(&r->body);
    client->ops->release(client);
    struct http_proxy *p = r->p;
    drop_snap(p, r->x.snap);
    request_put(r);
    if (p->ended)
        p->ended(p->ctx);
}

/* --- time --------------------------------------------------------------------------------------------- */

void http_touch(struct request *r)
{
    r->active_ms = r->p->net->now_ms;
}

void http_set_timer(struct request *r)
{
    uint64_t at = UINT64_MAX;
    if (r->request_end_ms)
        at = r->request_end_ms;
    if (r->try_end_ms && r->try_end_ms < at)
        at = r->try_end_ms;
    if (r->backoff_end_ms && r->backoff_end_ms < at)
        at = r->backoff_end_ms;
    if (r->idle_limit_ms && r->active_ms + r->idle_limit_ms < at)
        at = r->active_ms + r->idle_limit_ms;
    timer_set(&r->p->net->timers, &r->timer, at == UINT64_MAX ? 0 : at);
}

/* Nothing came in time: 504 while that can still be said, else the answer is cut. */
static void too_late(struct request *r, enum reason why)
{
    if (!r->x.head_sent) {
        try_cancel(r);
        reply_reason(r, why);
        return;
    }
    exchange_because(&r->x, why);
    r->x.client->ops->abort(r->x.client);
    http_finish(r);
}

static void on_timer(struct timer *t)
{
    struct request *r = CONTAINER_OF(t, struct request, timer);
    uint64_t now = r->p->net->now_ms;
    if (r->request_end_ms && now >= r->request_end_ms) {
        too_late(r, REASON_REQUEST_TIMEOUT);
    } else if (r->try_end_ms && now >= r->try_end_ms) {
        try_timeout(r);
    } else if (r->backoff_end_ms && now >= r->backoff_end_ms) {
        r->backoff_end_ms = 0;
        try_again(r);
    } else if (r->idle_limit_ms && now >= r->active_ms + r->idle_limit_ms) {
        too_late(r, r->tunnel ? REASON_OK : REASON_UPSTREAM_TIMEOUT);
    } else {
        http_set_timer(r);
    }
}

static uint32_t limit_or(uint32_t of_rule, uint32_t of_instance)
{
    return of_rule == SNAP_NONE ? of_instance : of_rule;
}

/* --- the steps -------------------------------------------------------------------------------------- */

/* A step goes on to the next, or the request is answered (or gone). */
enum step { NEXT, ENDED };

static enum step fail(struct request *r, enum reason why)
{
    reply_reason(r, why);
    return ENDED;
}

/* Is there room for it? */
static enum step admit(struct request *r)
{
    const struct snap_settings *s = r->x.snap->SETTINGS;
    const struct http_head *h = &r->x.req;
    if (net_memory_out(r->p->net) || (r->has_body && net_memory_tight(r->p->net)))
        return fail(r, REASON_MEMORY);
    if (s->max_body_bytes && h->body == BODY_LENGTH && h->length > s->max_body_bytes)
        return fail(r, REASON_BODY_TOO_LARGE);
    return NEXT;
}

/* THE canonical path and host: what is matched, judged and sent. */
static enum step target(struct request *r)
{
    struct exchange *x = &r->x;
    struct http_head *h = &x->req;
    if (h->host.lower || h->host.kind == HOST_EMPTY) {
        x->host_name = h->host.name;
    } else {
        char *room = arena_room(&x->arena, HTTP_HOST_MAX);
        if (!room)
            return fail(r, REASON_MEMORY);
        x->host_name = http_host_canonical(&h->host, room);
    }
    char *room = arena_room(&x->arena, HTTP_PATH_ROOM(h->path.n));
    if (!room)
        return fail(r, REASON_MEMORY);
    if (route_path(x->snap, h->path, room, &x->path) != URI_OK)
        return fail(r, REASON_BAD_PATH);
    if (!str_eq(h->path, STR("*"))) /* OPTIONS *: matched as "/", sent as it is */
        h->path = x->path;
    return NEXT;
}

/* Whom the request comes from, as far as it can be believed. */
static enum step sender(struct request *r)
{
    struct exchange *x = &r->x;
    const struct snap_settings *s = x->snap->SETTINGS;
    const struct stream_link *l = x->client->link;
    char *text = arena_room(&x->arena, 2 * PEER_TEXT_MAX);
    if (!text)
        return fail(r, REASON_MEMORY);
    x->peer = str_of(text, address_text(l->peer_family, l->peer, text));
    if (access_log_shows_local(r->p->access)) { /* the connection may be gone when the line is written */
        text += PEER_TEXT_MAX;
        link_know_local(l);
        x->local = str_of(text, address_text(l->local_family, l->local, text));
    }
    x->peer_port = l->peer_port;
    x->client_address = x->peer;
    x->https = l->tls;
    if (l->tls)
        conn_tls_facts(l->conn, &r->tls);
    uint32_t trusted = x->bind ? x->bind->trusted_hops : s->trusted_hops;
    if (trusted) {
        struct str proto;
        x->client_address = forward_client_address(&x->req, trusted, x->peer);
        if (head_value(&x->req, &x->arena, STR("x-forwarded-proto"), &proto))
            x->https = str_ieq(proto, STR("https"));
    }
    if (!s->underscore_headers && !x->req.no_underscores)
        for (uint16_t i = 0; i < x->req.n_fields; i++)
            if (x->req.fields[i].flags & FIELD_F_UNDERSCORE)
                x->req.fields[i].flags |= HEAD_F_REMOVED;
    r->facts = (struct filter_facts){
        .client_address = x->client_address,
        .client_port = x->peer_port,
        .peer_address = x->peer,
        .link = l,
        .local_port = l->local_port,
        .protocol = r->has_head && x->req.major == 1 && !x->req.minor ? STR("HTTP/1.0") : r->facts.protocol,
        .hostname = str_c(r->p->hostname),
        .server_name = r->tls.server_name,
        .believed = trusted > 0,
        .https = x->https,
        .tls = l->tls ? &r->tls : NULL,
        .conn = l->conn,
    };
    r->ctx = (struct filter_ctx){
        .snap = x->snap,
        .regexes = r->gen->regexes,
        .arena = &x->arena,
        .request = &x->req,
        .hit = &x->hit,
        .facts = &r->facts,
    };
    return NEXT;
}

/* Max-Forwards of TRACE and OPTIONS (RFC 9110 7.6.2): one less, or we are the last one to answer. */
static enum step hops(struct request *r)
{
    struct http_head *h = &r->x.req;
    uint64_t left;
    struct http_field *f = NULL;
    if (h->method_id == METHOD_TRACE || h->method_id == METHOD_OPTIONS)
        f = head_find(h, FIELD_MAX_FORWARDS);
    if (!f || !str_u64(f->value, &left))
        return NEXT;
    if (left == 0) {
        if (h->method_id == METHOD_OPTIONS)
            reply_options(r);
        else /* not reflected: it may hold what its sender can't see */
            reply_reason_as(r, REASON_UNSUPPORTED, 405);
        return ENDED;
    }
    struct str less = arena_strf(&r->x.arena, "%llu", (unsigned long long)left - 1);
    return less.p && head_set_id(h, &r->x.arena, FIELD_MAX_FORWARDS, less) ? NEXT : fail(r, REASON_MEMORY);
}

static bool header_of(const void *ctx, struct str name, struct str *value)
{
    struct exchange *x = (struct exchange *)(uintptr_t)ctx;
    return head_value(&x->req, &x->arena, name, value);
}

/*
 * GATEWAY-API-RULES 5.2: the host belongs to another listener than the server name of the connection. The connection
 * remembers its listener; where that is not the host's, this generation is asked, for it may be a newer one.
 */
static bool is_misdirected(const struct request *r)
{
    const struct exchange *x = &r->x;
    const struct stream_link *l = x->client->link;
    if (!l->tls || !x->hit.listener || x->hit.listener->id == l->listener_id)
        return false;
    const struct snap_chain *chain = route_chain(x->snap, x->bind, r->facts.server_name);
    return !chain || &x->snap->LISTENERS[chain->listener] != x->hit.listener;
}

static enum step route(struct request *r)
{
    struct exchange *x = &r->x;
    const struct http_head *h = &x->req;
    const struct route_request q = {
        .host = x->host_name,
        .path = x->path,
        .query = h->query,
        .method = h->method,
        .scheme = x->https ? STR("https") : STR("http"),
        .authority = h->authority,
        .header = header_of,
        .header_ctx = x,
        .regex = snap_regexes_match,
        .regex_ctx = r->gen->regexes,
    };
    enum reason why = x->bind ? route_find(x->snap, x->bind, &q, &x->hit) : REASON_NO_LISTENER_HOST;
    account_begin(r);
    if (is_misdirected(r))
        return fail(r, REASON_MISDIRECTED);
    /* Istio's httpsRedirect comes before any route. */
    if (x->hit.host && (x->hit.host->flags & SNAP_HOST_HTTPS_REDIRECT) && !x->https) {
        struct str location;
        if (!redirect_https(&r->ctx, &location))
            return fail(r, REASON_MEMORY);
        reply_redirect(r, location, 301);
        return ENDED;
    }
    return why == REASON_OK ? NEXT : fail(r, why);
}

/* Rules that need no endpoint. */
static enum step answer_here(struct request *r)
{
    const struct snap *s = r->x.snap;
    const struct snap_rule *rule = r->x.hit.rule;
    r->facts.route_name = snap_text(s, rule->name);
    if (rule->action == ACTION_REDIRECT) {
        const struct snap_redirect *to = &s->REDIRECTS[rule->redirect];
        struct str location;
        if (!redirect_location(&r->ctx, to, &location))
            return fail(r, REASON_MEMORY);
        reply_redirect(r, location, to->status);
        return ENDED;
    }
    if (rule->action == ACTION_DIRECT) {
        const struct snap_direct *d = &s->DIRECTS[rule->direct];
        reply_direct(r, d->status, snap_text(s, d->content_type), snap_text(s, d->body));
        return ENDED;
    }
    return NEXT;
}

/* Names of metadata may have '_' (PROTOCOL-HTTP2.md), and what GRPCRoutes lead to tells "a_b" from "a-b". */
bool request_keeps_underscores(const struct request *r)
{
    return r->x.snap->SETTINGS->underscore_headers || (r->x.hit.rule && (r->x.hit.rule->flags & SNAP_RULE_GRPC));
}

/* Of gRPC, and it goes to a backend that may speak it: no content type alone makes a request that has all the time. */
static void is_it_a_call(struct request *r)
{
    struct exchange *x = &r->x;
    bool rule = x->hit.rule->flags & SNAP_RULE_GRPC;
    r->call = rule || (r->grpc != GRPC_NO && x->cluster->protocol != UPSTREAM_HTTP1);
    if (!r->call)
        return;
    x->client->flags |= STREAM_F_REST_IN;
    x->req.te_trailers = true;
    if (x->req.no_underscores || !request_keeps_underscores(r))
        return;
    for (uint16_t i = 0; i < x->req.n_fields; i++)
        if (x->req.fields[i].flags & FIELD_F_UNDERSCORE)
            x->req.fields[i].flags &= (uint16_t)~HEAD_F_REMOVED; /* nothing else has removed any yet */
}

static enum step choose_split(struct request *r)
{
    struct exchange *x = &r->x;
    const struct snap_rule *rule = x->hit.rule;
    uint32_t i = generation_split(r->gen, rule);
    if (i == BALANCE_NONE) {
        reply_reason_as(r, REASON_NO_BACKEND, rule->no_backend_status);
        return ENDED;
    }
    x->split = r->ctx.split = &x->snap->SPLITS[i];
    if (x->split->cluster == SNAP_NONE) {
        reply_reason_as(r, (enum reason)x->split->reason, x->split->status);
        return ENDED;
    }
    x->cluster = &x->snap->CLUSTERS[x->split->cluster];
    r->cluster = generation_cluster(r->gen, x->split->cluster);
    if (!r->cluster)
        return fail(r, REASON_MEMORY);
    r->policy = SNAP_AT(x->snap, RETRIES, rule->retry);
    is_it_a_call(r);
    bool web = r->grpc == GRPC_WEB || r->grpc == GRPC_WEB_TEXT;
    if (web && (x->cluster->protocol != UPSTREAM_HTTP1 || (rule->flags & SNAP_RULE_GRPC)) && !bridge_begin(r))
        return fail(r, REASON_MEMORY);
    return NEXT;
}

/* The head that goes upstream: forwarding fields, then what the rule and the split want. */
static enum step edit(struct request *r)
{
    struct exchange *x = &r->x;
    if (!forward_request(&r->ctx, &r->p->net->rng, &x->request_id))
        return fail(r, REASON_MEMORY);
    r->facts.start_wall_us = net_wall_us(r->p->net, x->start_ns);
    enum reason why = filter_request(&r->ctx);
    if (why != REASON_OK)
        return fail(r, why);
    struct http_field *host = head_find(&x->req, FIELD_HOST);
    if (host && !str_eq(host->value, x->req.authority))
        head_remove_id(&x->req, FIELD_HOST); /* the codec writes the authority */
    return NEXT;
}

/*
 * The limits of the whole exchange. A call of gRPC may rest for long and get the head of its answer with the first
 * message, so the instance's defaults do not hold for it; its own deadline does.
 */
static void set_limits(struct request *r)
{
    const struct snap_settings *s = r->x.snap->SETTINGS;
    uint64_t limit = limit_or(r->x.hit.rule->request_timeout_ms, r->call ? 0 : s->request_timeout_ms), deadline;
    const struct http_field *f = request_is_grpc(r) ? head_find(&r->x.req, FIELD_GRPC_TIMEOUT) : NULL;
    if (f && grpc_timeout_read(f->value, &deadline) && (!limit || deadline < limit))
        limit = deadline;
    if (limit)
        r->request_end_ms = r->x.start_ns / 1000000 + limit;
    r->idle_limit_ms = r->call ? s->tunnel_idle_timeout_ms : s->stream_idle_timeout_ms;
}

static enum step send_it(struct request *r)
{
    const struct snap_settings *s = r->x.snap->SETTINGS;
    set_limits(r);
    http_touch(r);
    if (r->has_body)
        pipe_init(&r->body, r->p->net, r->x.client, s->buffer_bytes, s->replay_bytes);
    try_start(r);
    return ENDED;
}

static const struct {
    const char *name;
    enum step (*run)(struct request *r);
} STEPS[] = {
    {"sender", sender},
    {"admit", admit},
    {"target", target},
    {"hops", hops},
    {"route", route},
    {"answer here", answer_here},
    {"choose split", choose_split},
    {"edit", edit},
    {"send", send_it},
};

/* --- the client's stream ---------------------------------------------------------------------------- */

static bool open_request(struct server_host *h, struct stream *s)
{
    struct http_proxy *p = CONTAINER_OF(h, struct http_proxy, host);
    struct snap *snap = p->current(p->ctx);
    struct request *r = snap ? request_get(p) : NULL;
    if (!r)
        return false;
    r->x.net = p->net;
    r->x.snap = snap_hold(snap);
    r->gen = generation_of(snap);
    r->x.client = s;
    r->x.bind = generation_bind(r->gen, s->link->bind_id);
    r->x.start_ns = p->net->now_ns;
    r->facts.protocol = s->flags & STREAM_F_H2 ? STR("HTTP/2") : STR("HTTP/1.1");
    s->ev = &CLIENT_EVENTS;
    s->user = r;
    s->arena = &r->x.arena;
    return true;
}

static void on_head(struct stream *s, struct http_head *h, bool end)
{
    struct request *r = s->user;
    struct exchange *x = &r->x;
    x->req = *h;
    x->path_raw = h->path;
    x->query = h->query;
    x->authority = h->authority;
    r->has_head = true;
    r->has_body = !end;
    if (r->has_body)
        r->body = (struct pipe){0};
    const struct http_field *type = head_find(h, FIELD_CONTENT_TYPE);
    if (type)
        r->grpc = grpc_kind_of(type->value, &r->web.suffix);
    board_add(&r->p->net->count->requests, 1);
    for (size_t i = 0; i < ARRAY_LEN(STEPS); i++)
        if (STEPS[i].run(r) == ENDED)
            return;
}

/* The message is no valid HTTP, or came too slowly: answered without a route. */
static void refuse_request(struct server_host *host, struct stream *s, enum reason why, const char *text)
{
    struct request *r = s->user;
    (void)host;
    r->x.detail = text;
    if (sender(r) == NEXT)
        reply_reason(r, why);
}

static bool keep_connection(struct server_host *h, const struct stream_link *l, uint32_t requests)
{
    struct http_proxy *p = CONTAINER_OF(h, struct http_proxy, host);
    return p->keep(p->ctx, l->bind_id, requests);
}

static void tunnel_up(struct request *r, const char *data, size_t n, bool end)
{
    if (r->up->ops->send_body(r->up, data, n, end))
        r->x.client->ops->pause(r->x.client);
    r->client_end = r->client_end || end;
    if (r->client_end && r->up_end)
        http_finish(r);
}

static enum reason take(struct request *r, const char *data, size_t n, bool end)
{
    if (r->web.text_in)
        return bridge_up(r, data, n, end);
    return pipe_take(&r->body, data, n, end) ? REASON_OK : REASON_MEMORY;
}

static void on_body(struct stream *s, const char *data, size_t n, bool end)
{
    struct request *r = s->user;
    uint64_t max = r->x.snap->SETTINGS->max_body_bytes;
    enum reason why;
    r->x.bytes_in += n;
    http_touch(r);
    if (r->tunnel) {
        tunnel_up(r, data, n, end);
    } else if (max && r->x.bytes_in > max) {
        try_cancel(r);
        reply_reason(r, REASON_BODY_TOO_LARGE);
    } else if ((why = take(r, data, n, end)) != REASON_OK) {
        try_cancel(r);
        reply_reason(r, why);
    }
}

static void on_trailers(struct stream *s, struct http_field *f, size_t n)
{
    struct request *r = s->user;
    http_touch(r);
    if (!request_keeps_underscores(r))
        for (size_t i = 0; i < n; i++)
            if (f[i].flags & FIELD_F_UNDERSCORE)
                f[i].flags |= HEAD_F_REMOVED;
    if (!pipe_take_trailers(&r->body, &r->x.arena, f, n)) {
        try_cancel(r);
        reply_reason(r, REASON_MEMORY);
    }
}

/* The client took what was waiting: the answer may flow on. */
static void on_writable(struct stream *s)
{
    struct request *r = s->user;
    http_touch(r);
    if (r->up)
        r->up->ops->resume(r->up);
}

static void on_abort(struct stream *s, enum reason why)
{
    struct request *r = s->user;
    bool gone = why == REASON_CLIENT_ABORT || why == REASON_CLIENT_SLOW_READER || why == REASON_CLIENT_FLOOD ||
                why == REASON_MEMORY;
    if (r->has_body)
        r->body.from = NULL;
    try_cancel(r);
    if (!gone && !r->x.head_sent) {
        reply_reason(r, why);
        return;
    }
    exchange_because(&r->x, r->tunnel && why == REASON_CLIENT_ABORT ? REASON_OK : why);
    if (!gone)
        s->ops->abort(s);
    http_finish(r);
}

static const struct stream_events CLIENT_EVENTS = {
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_writable = on_writable,
    .on_abort = on_abort,
};

/* --- all of them --------------------------------------------------------------------------------------- */

int http_init(struct http_proxy *p)
{
    p->host = (struct server_host){.open = open_request, .refuse = refuse_request, .keep = keep_connection};
    p->series = board_series(p->board, p->row, 0);
    list_init(&p->busy);
    list_init(&p->kept);
    list_init(&p->spare);
    p->n_busy = p->n_spare = p->most_busy = p->peak_busy = 0;
    p->date_s = 0;
    if (gethostname(p->hostname, sizeof(p->hostname) - 1))
        memcpy(p->hostname, "localhost", 10);
    return 0;
}

static void cut(struct list *all)
{
    while (!list_empty(all)) {
        struct request *r = LIST_ITEM(all->next, struct request, node);
        exchange_because(&r->x, REASON_DRAINING);
        r->x.client->ops->abort(r->x.client);
        http_finish(r);
    }
}

void http_cut(struct http_proxy *p)
{
    cut(&p->busy);
    cut(&p->kept);
}

/* All spare ones but `keep`. */
static void free_spare(struct http_proxy *p, uint32_t keep)
{
    while (p->n_spare > keep) {
        struct request *r = LIST_ITEM(p->spare.prev, struct request, node);
        list_del(&r->node);
        p->n_spare--;
        request_free(r);
    }
}

void http_trim(struct http_proxy *p)
{
    free_spare(p, 0);
}

void http_settle(struct http_proxy *p)
{
    p->peak_busy = p->most_busy;
    p->most_busy = p->n_busy;
    free_spare(p, GH_MAX(SPARE_MAX, p->peak_busy - p->n_busy));
}

void http_fini(struct http_proxy *p)
{
    must(list_empty(&p->busy) && list_empty(&p->kept));
    http_trim(p);
}
