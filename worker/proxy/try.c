/*
 * try.c - one attempt after the other to get an answer for a request.
 *
 *   try_start ── pick ── lease ──► send ── interim heads ── final head ──► body ── end ──► http_finish
 *        ▲                 │         │            │             │
 *        │                 └─────────┴── outcome ─┴─ retry? ◄───┘ (before anything went to the client)
 *        └── at once, or after the backoff ◄──────── yes │ no ──► answer made here
 */
#include "worker/proxy/http.h"

static const struct stream_events UP_EVENTS;
static const struct lease_events LEASE_EVENTS;

/* --- beginning ---------------------------------------------------------------------------------------- */

static void outcome(struct request *r, const struct try_outcome *o);

void try_cancel(struct request *r)
{
    struct stream *up = r->up;
    r->up = NULL;
    if (r->has_body)
        pipe_detach(&r->body);
    if (up)
        up->ops->release(up);
    lease_end(&r->lease);
    r->try_end_ms = r->backoff_end_ms = 0;
}

/* From here on the try has a stream. May end it. */
static void send_request(struct request *r, struct stream *up)
{
    struct exchange *x = &r->x;
    r->up = up;
    up->ev = &UP_EVENTS;
    up->user = r;
    up->arena = &x->arena;
    if (!x->req.authority.n)
        x->req.authority = str_starts(x->endpoint, STR("unix:")) ? STR("localhost") : x->endpoint; /* HTTP/1.0 */
    x->sent_ns = r->p->net->now_ns;
    x->tries++;
    if (!up->ops->send_head(up, &x->req, !r->has_body)) {
        try_cancel(r);
        reply_reason(r, REASON_INTERNAL);
        return;
    }
    if (r->has_body)
        pipe_attach(&r->body, up);
    http_touch(r);
}

static void set_endpoint(struct request *r, struct endpoint *e)
{
    r->ep = e;
    r->x.endpoint = arena_str(&r->x.arena, e->name);
    r->facts.upstream_host = r->x.endpoint;
}

static void lease_ready(struct lease *l, struct stream *s)
{
    struct request *r = CONTAINER_OF(l, struct request, lease);
    if (r->ep != l->ep) /* another endpoint's connection became free first */
        set_endpoint(r, l->ep);
    send_request(r, s);
}

static void lease_failed(struct lease *l, enum reason why)
{
    struct request *r = CONTAINER_OF(l, struct request, lease);
    r->x.tries++;
    if (why == REASON_OVERFLOW) {
        reply_reason(r, why);
        return;
    }
    if (l->detail)
        r->x.detail = l->detail;
    outcome(r, &(struct try_outcome){.end = TRY_CONNECT, .why = why});
}

static const struct lease_events LEASE_EVENTS = {.ready = lease_ready, .failed = lease_failed};

/* The time a try may take: what the rule says holds for the whole answer, the default for its head. */
static void set_limits(struct request *r)
{
    const struct snap_settings *s = r->x.snap->SETTINGS;
    uint32_t limit = r->x.hit.rule->backend_timeout_ms;
    r->limited = limit != SNAP_NONE && limit != 0;
    if (limit == SNAP_NONE)
        limit = r->call ? 0 : s->backend_timeout_ms; /* its head may come with its first message */
    if (r->policy && r->policy->per_try_ms && (!limit || r->policy->per_try_ms < limit)) {
        limit = r->policy->per_try_ms;
        r->limited = false;
    }
    r->try_end_ms = limit ? r->p->net->now_ms + limit : 0;
    http_set_timer(r);
}

/* Of the host that is sent, where the cluster wants TLS and names nobody itself. */
static struct str server_name(struct request *r)
{
    struct exchange *x = &r->x;
    const struct security *s = &r->cluster->security;
    struct http_host h;
    if (!s->on || s->sni || !http_host_parse(x->req.authority, &h))
        return STR_NONE;
    char *room = h.lower ? NULL : arena_room(&x->arena, HTTP_HOST_MAX);
    return h.lower ? h.name : room ? http_host_canonical(&h, room) : STR_NONE;
}

static void begin(struct request *r, struct endpoint *e, enum lease_want want)
{
    struct stream *s;
    enum reason why;
    set_endpoint(r, e);
    r->head_seen = false;
    r->x.sent_ns = r->x.head_ns = 0;
    set_limits(r);
    r->lease.who = (struct secure_for){.link = r->x.client->link, .server_name = server_name(r)};
    switch (lease_begin(&r->lease, e, want, &LEASE_EVENTS, &s, &why)) {
    case LEASE_READY:
        send_request(r, s);
        break;
    case LEASE_LATER:
        break;
    case LEASE_REFUSED:
        r->lease.state = LEASE_NONE;
        lease_failed(&r->lease, why);
        break;
    }
}

void try_start(struct request *r)
{
    struct endpoint *e = cluster_pick(r->cluster, r->tried, r->n_tried);
    if (!e) {
        reply_reason(r, REASON_NO_ENDPOINTS);
        return;
    }
    if (r->n_tried < TRIED_MAX)
        r->tried[r->n_tried++] = e;
    begin(r, e, http_method_is_idempotent(r->x.req.method_id) ? LEASE_ANY : LEASE_SURE);
}

void try_again(struct request *r)
{
    try_start(r);
}

/* --- how it ended ----------------------------------------------------------------------------------- */

static enum reason reason_of(const struct try_outcome *o)
{
    switch (o->end) {
    case TRY_CONNECT:
        return o->why;
    case TRY_RESET:
        return REASON_UPSTREAM_RESET;
    case TRY_BAD:
        return REASON_UPSTREAM_PROTOCOL;
    case TRY_TIMEOUT:
        return REASON_UPSTREAM_TIMEOUT;
    case TRY_STATUS:
        break;
    }
    return REASON_OK;
}

static bool retry_allowed(struct request *r, const struct try_outcome *o)
{
    const struct try_state s = {
        .snap = r->x.snap,
        .policy = r->policy,
        .method = r->x.req.method_id,
        .replayable = !r->has_body || pipe_replayable(&r->body),
        .retries = r->retries,
        .failovers = r->failovers,
        .stale_used = r->stale_used,
        .others = r->cluster->n > r->n_tried,
    };
    struct board_series *series = board_series(r->p->board, r->p->row, r->x.cluster->slot);
    switch (retry_decide(&s, o)) {
    case RETRY_STALE:
        r->stale_used = true;
        board_add(&r->p->net->count->upstream_stale, 1);
        if (r->ep->index == BALANCE_NONE)
            try_start(r); /* it has gone meanwhile */
        else
            begin(r, r->ep, LEASE_FRESH);
        return true;
    case RETRY_FAILOVER:
        r->failovers++;
        board_add(&series->retries, 1);
        try_start(r);
        return true;
    case RETRY_POLICY:
        r->retries++;
        board_add(&series->retries, 1);
        r->backoff_end_ms = r->p->net->now_ms + retry_backoff_ms(r->policy, (uint32_t)rng_next(&r->p->net->rng));
        http_set_timer(r);
        return true;
    case RETRY_NO:
        break;
    }
    return false;
}

/* The try is over (its stream released) and nothing went to the client. May end it. */
static void outcome(struct request *r, const struct try_outcome *o)
{
    if (retry_allowed(r, o))
        return;
    enum reason why = reason_of(o);
    uint16_t status = reason_status(why);
    /* A rule that retries cut-off tries answers 503 when all were (Gateway API), else it is 502. */
    const uint32_t resets = RETRY_ON_RESET | RETRY_ON_5XX | RETRY_ON_GATEWAY_ERROR;
    if (r->policy && r->policy->attempts && (r->policy->on & resets) && o->end == TRY_RESET)
        status = 503;
    if (r->retries && r->policy && r->retries >= r->policy->attempts && why != REASON_UPSTREAM_TLS)
        r->x.detail = "all tries failed";
    reply_reason_as(r, why, status);
}

void try_timeout(struct request *r)
{
    if (r->head_seen && !r->limited) { /* the default covers the head only */
        r->try_end_ms = 0;
        http_set_timer(r);
        return;
    }
    if (r->x.head_sent) {
        exchange_because(&r->x, REASON_UPSTREAM_TIMEOUT);
        r->x.client->ops->abort(r->x.client);
        http_finish(r);
        return;
    }
    struct try_outcome o = {.end = TRY_TIMEOUT, .wrote = true};
    try_cancel(r);
    outcome(r, &o);
}

/* --- the answer --------------------------------------------------------------------------------------- */

static void on_interim(struct request *r, struct http_head *h)
{
    if (h->status == 100 && !r->x.req.expect_continue)
        return; /* it did not ask */
    r->ctx.response = NULL;
    r->x.client->ops->send_head(r->x.client, h, false);
}

static void begin_tunnel(struct request *r, struct http_head *h)
{
    struct exchange *x = &r->x;
    struct net *n = r->p->net;
    h->upgrade = true;
    r->try_end_ms = r->request_end_ms = 0;
    r->idle_limit_ms = x->snap->SETTINGS->tunnel_idle_timeout_ms;
    x->head_sent = true;
    x->status = 101;
    r->tunnel = true;
    if (!x->client->ops->send_head(x->client, h, false)) {
        http_finish(r);
        return;
    }
    board_add(&n->count->tunnels, 1);
    board_add(&n->count->tunnels_active, 1);
    http_touch(r);
    http_set_timer(r);
}

/* The status of a call that failed without an answer; OK for anything else. */
static uint16_t grpc_failure(const struct request *r, const struct http_head *h, bool end)
{
    const struct http_field *f = end && request_is_grpc(r) ? head_find(h, FIELD_GRPC_STATUS) : NULL;
    uint16_t status;
    return f && grpc_status_read(f->value, &status) ? status : GRPC_STATUS_OK;
}

/* Does the rule want another try instead of this answer? May end it; true: the answer is dropped. */
static bool retry_instead(struct request *r, const struct http_head *h, bool end)
{
    uint16_t grpc = grpc_failure(r, h, end);
    if (!r->policy || (h->status < 400 && grpc == GRPC_STATUS_OK))
        return false;
    struct try_outcome o = {.end = TRY_STATUS, .status = h->status, .grpc = grpc, .wrote = true, .heard = true};
    const struct try_state s = {
        .snap = r->x.snap,
        .policy = r->policy,
        .replayable = !r->has_body || pipe_replayable(&r->body),
        .retries = r->retries,
        .stale_used = true,
    };
    if (retry_decide(&s, &o) != RETRY_POLICY) {
        if (r->retries && r->retries == r->policy->attempts)
            exchange_because(&r->x, REASON_RETRIES_EXHAUSTED);
        return false;
    }
    try_cancel(r);
    retry_allowed(r, &o);
    return true;
}

/* The head as the client gets it. False: the request has been answered otherwise. */
static bool pass_head(struct request *r, struct http_head *h, bool end)
{
    struct exchange *x = &r->x;
    r->ctx.response = h;
    enum reason why = REASON_OK;
    if (x->hit.rule->filters.n || x->split->filters.n)
        why = filter_response(&r->ctx);
    if (why == REASON_OK && !forward_response(&r->ctx, false))
        why = REASON_MEMORY;
    /* Who forwards an answer without a date says when it came (RFC 9110 6.6.1). */
    if (why == REASON_OK && !head_find(h, FIELD_DATE) && !head_add_id(h, &x->arena, FIELD_DATE, reply_date(r->p)))
        why = REASON_MEMORY;
    if (why == REASON_OK && r->web.on && !bridge_head(r, h, end))
        why = REASON_MEMORY;
    r->ctx.response = NULL;
    if (why == REASON_OK) {
        account_response(r, h);
        if (x->client->ops->send_head(x->client, h, end)) {
            x->head_sent = true;
            x->status = h->status;
            return true;
        }
        why = REASON_INTERNAL;
    }
    try_cancel(r);
    reply_reason(r, why);
    return false;
}

static void on_grpc_head(struct request *r, const struct http_head *h)
{
    const struct http_field *type = head_find(h, FIELD_CONTENT_TYPE);
    struct str suffix;
    account_grpc(r, h->fields, h->n_fields);
    /* The backend says that it is one, so its client may take what it sends when it likes. */
    if (r->call && type && grpc_kind_of(type->value, &suffix) != GRPC_NO)
        r->x.client->flags |= STREAM_F_REST_OUT;
}

static void on_head(struct stream *s, struct http_head *h, bool end)
{
    struct request *r = s->user;
    http_touch(r);
    if (h->status == 101) {
        r->head_seen = true;
        r->x.head_ns = r->p->net->now_ns;
        begin_tunnel(r, h);
        return;
    }
    if (h->status < 200) {
        on_interim(r, h);
        return;
    }
    r->head_seen = true;
    r->x.head_ns = r->p->net->now_ns;
    if (retry_instead(r, h, end))
        return;
    if (request_is_grpc(r))
        on_grpc_head(r, h);
    if (r->has_body)
        pipe_commit(&r->body);
    if (!pass_head(r, h, end))
        return;
    if (end)
        http_finish(r);
}

static void tunnel_down(struct request *r, const char *data, size_t n, bool end)
{
    if (r->x.client->ops->send_body(r->x.client, data, n, end))
        r->up->ops->pause(r->up);
    r->up_end = r->up_end || end;
    if (r->client_end && r->up_end)
        http_finish(r);
}

static void on_body(struct stream *s, const char *data, size_t n, bool end)
{
    struct request *r = s->user;
    struct stream *client = r->x.client;
    r->x.bytes_out += n;
    http_touch(r);
    if (r->tunnel) {
        tunnel_down(r, data, n, end);
        return;
    }
    bool full = r->web.answer ? bridge_down(r, data, n, end) : client->ops->send_body(client, data, n, end);
    if (end)
        http_finish(r);
    else if (full)
        s->ops->pause(s);
}

static void on_trailers(struct stream *s, struct http_field *f, size_t n)
{
    struct request *r = s->user;
    if (!request_keeps_underscores(r))
        for (size_t i = 0; i < n; i++)
            if (f[i].flags & FIELD_F_UNDERSCORE)
                f[i].flags |= HEAD_F_REMOVED;
    if (request_is_grpc(r))
        account_grpc(r, f, n);
    if (!r->web.answer) {
        r->x.client->ops->send_trailers(r->x.client, f, n);
    } else if (!bridge_trailers(r, f, n)) {
        exchange_because(&r->x, REASON_MEMORY);
        r->x.client->ops->abort(r->x.client);
    }
    http_finish(r);
}

/* The endpoint took what was waiting: the upload may flow on. */
static void on_writable(struct stream *s)
{
    struct request *r = s->user;
    http_touch(r);
    if (r->tunnel)
        r->x.client->ops->resume(r->x.client);
    else if (r->has_body)
        pipe_writable(&r->body);
}

static void on_abort(struct stream *s, enum reason why)
{
    struct request *r = s->user;
    struct try_outcome o = {
        .end = why == REASON_UPSTREAM_PROTOCOL ? TRY_BAD : TRY_RESET,
        .wrote = (s->flags & STREAM_F_WROTE) && !(s->flags & STREAM_F_REFUSED),
        .heard = s->flags & STREAM_F_HEARD,
        .reused = s->flags & STREAM_F_REUSED,
        .refused = s->flags & STREAM_F_REFUSED,
    };
    try_cancel(r);
    if (!r->x.head_sent) {
        if (why == REASON_MEMORY)
            reply_reason(r, why);
        else
            outcome(r, &o);
        return;
    }
    exchange_because(&r->x, r->tunnel ? REASON_OK : why);
    r->x.client->ops->abort(r->x.client);
    http_finish(r);
}

static const struct stream_events UP_EVENTS = {
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_writable = on_writable,
    .on_abort = on_abort,
};
