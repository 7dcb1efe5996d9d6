/*
 * account.c - what a request leaves behind: counters on the board, one line in the access log.
 */
#include "worker/filter/peer.h"
#include "worker/proxy/access_log.h"
#include "worker/proxy/http.h"

static struct board_series *series(const struct request *r, uint32_t slot)
{
    return r->p->series + (slot < BOARD_MAX_SLOTS ? slot : 0);
}

/* Requests without a host count for the first listener of their socket. */
const struct snap_listener *account_listener(const struct request *r)
{
    const struct exchange *x = &r->x;
    if (x->hit.listener)
        return x->hit.listener;
    return x->bind && x->bind->listeners.n ? &x->snap->LISTENERS[x->bind->listeners.first] : NULL;
}

void account_begin(struct request *r)
{
    const struct snap_listener *l = account_listener(r);
    if (l)
        board_add(&series(r, l->slot)->active, 1);
    if (r->x.hit.rule)
        board_add(&series(r, r->x.hit.rule->slot)->active, 1);
    r->counted = true;
}

/* `in`: bytes from whom the series is of (the client; a cluster: the backend). */
static void add(struct board_series *b, const struct exchange *x, uint64_t in, uint64_t out, uint64_t us, unsigned bucket)
{
    board_add(&b->requests[x->status / 100 < 6 ? x->status / 100 : 0], 1);
    board_add(&b->duration[bucket], 1);
    board_add(&b->duration_sum_us, us);
    if (in)
        board_add(&b->bytes_in, in);
    if (out)
        board_add(&b->bytes_out, out);
    if (x->reason != REASON_OK)
        board_add(&b->reasons[x->reason], 1);
    if (x->has_grpc_status)
        board_add(&b->grpc[GH_MIN(x->grpc_status, (uint16_t)GRPC_STATUS_COUNT)], 1);
}

void account_grpc(struct request *r, const struct http_field *f, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (f[i].id == FIELD_GRPC_STATUS)
            r->x.has_grpc_status = grpc_status_read(f[i].value, &r->x.grpc_status);
}

/* Keeps what the log shows of the answer: its head is gone when the line is written. */
void account_response(struct request *r, const struct http_head *h)
{
    const struct str *names;
    size_t n = r->p->access ? access_log_wanted(r->p->access, &names) : 0;
    if (likely(n == 0))
        return;
    r->shown = arena_new_n(&r->x.arena, struct str, n);
    for (size_t i = 0; r->shown && i < n; i++) {
        struct str v;
        if (head_value(h, &r->x.arena, names[i], &v))
            r->shown[i] = arena_str(&r->x.arena, v);
    }
}

static bool shown_header(const struct request *r, struct str name, struct str *value)
{
    const struct str *names;
    size_t n = r->shown ? access_log_wanted(r->p->access, &names) : 0;
    for (size_t i = 0; i < n; i++)
        if (str_eq(names[i], name)) {
            *value = r->shown[i];
            return true;
        }
    return false;
}

static bool header_of(const void *ctx, bool response, struct str name, struct str *value)
{
    struct request *r = (struct request *)(uintptr_t)ctx;
    return response ? shown_header(r, name, value) : head_value(&r->x.req, &r->x.arena, name, value);
}

/* The target as it came: path and query lie one behind the other. */
static struct str raw_target(const struct exchange *x)
{
    if (x->query.p && x->query.p == x->path_raw.p + x->path_raw.n + 1)
        return str_of(x->path_raw.p, x->path_raw.n + 1 + x->query.n);
    return x->path_raw;
}

/* "127.0.0.1:80", "[::1]:80"; without the formatting functions, as it is on every request. */
static struct str with_port(struct str address, unsigned port, char *out)
{
    bool six = str_chr(address, ':') >= 0;
    char *at = out;
    if (!address.n)
        return STR_NONE;
    if (six)
        *at++ = '[';
    memcpy(at, address.p, address.n);
    at += address.n;
    if (six)
        *at++ = ']';
    *at++ = ':';
    at += str_put_u64(at, port);
    return str_of(out, (size_t)(at - out));
}

static void log_it(struct request *r, uint64_t us)
{
    const struct exchange *x = &r->x;
    const struct snap_listener *l = account_listener(r);
    const uint64_t shown = 1ull << FIELD_USER_AGENT % 64 | 1ull << FIELD_REFERER % 64 | 1ull << FIELD_X_FORWARDED_FOR % 64;
    char local[PEER_TEXT_MAX + 10];
    struct access_record a = {
        .start_wall_us = net_wall_us(r->p->net, x->start_ns),
        .duration_us = us,
        .upstream_us = x->head_ns ? (x->head_ns - x->sent_ns) / 1000 : 0,
        .method = x->req.method,
        .path = raw_target(x),
        .protocol = r->facts.protocol,
        .server_name = r->facts.server_name,
        .host = x->authority,
        .request_id = x->request_id,
        .client_address = x->client_address,
        .client_port = x->peer_port,
        .peer_address = x->peer,
        .status = x->status,
        .reason = (enum reason)x->reason,
        .has_grpc_status = x->has_grpc_status,
        .grpc_status = x->grpc_status,
        .bytes_in = x->bytes_in,
        .bytes_out = x->bytes_out,
        .listener = l ? snap_text(x->snap, l->name) : STR_NONE,
        .route = x->hit.rule ? snap_text(x->snap, x->hit.rule->name) : STR_NONE,
        .rule_key = x->hit.rule ? snap_text(x->snap, x->hit.rule->key) : STR_NONE,
        .cluster = x->cluster ? snap_text(x->snap, x->cluster->name) : STR_NONE,
        .endpoint = x->endpoint,
        .tries = x->tries,
        .generation = x->snap->head->generation,
        .header = header_of,
        .header_ctx = r,
    };
    if (unlikely(x->reason != REASON_OK))
        a.detail = str_c(x->detail);
    if (x->local.n)
        a.local_address = with_port(x->local, r->facts.local_port, local);
    if (r->facts.tls) {
        a.tls_version = str_c(r->tls.version);
        a.tls_cipher = str_c(r->tls.cipher);
        a.client_cert = peer_subject(&r->facts);
    }
    for (uint16_t i = 0; i < x->req.n_fields; i++) {
        const struct http_field *f = &x->req.fields[i];
        if (!(shown >> f->id % 64 & 1)) /* most are none of these */
            continue;
        if (f->id == FIELD_USER_AGENT)
            a.user_agent = f->value;
        else if (f->id == FIELD_REFERER)
            a.referer = f->value;
        else if (f->id == FIELD_X_FORWARDED_FOR && !(f->flags & HEAD_F_REMOVED))
            a.x_forwarded_for = f->value;
    }
    access_log_write(r->p->access, &a);
}

void account_end(struct request *r)
{
    const struct exchange *x = &r->x;
    const struct snap_listener *l = account_listener(r);
    uint64_t us = (r->p->net->now_ns - x->start_ns) / 1000;
    unsigned bucket = board_hist_bucket(us);
    if (r->tunnel)
        board_add(&r->p->net->count->tunnels_active, (uint64_t)-1);
    if (l) {
        struct board_series *b = series(r, l->slot);
        add(b, x, x->bytes_in, x->bytes_out, us, bucket);
        if (r->counted)
            board_add(&b->active, (uint64_t)-1);
    }
    if (x->hit.rule) {
        struct board_series *b = series(r, x->hit.rule->slot);
        add(b, x, x->bytes_in, x->bytes_out, us, bucket);
        board_add(&b->active, (uint64_t)-1);
    }
    if (x->cluster)
        add(series(r, x->cluster->slot), x, x->bytes_out, x->bytes_in, us, bucket);
    if (r->p->access)
        log_it(r, us);
}
