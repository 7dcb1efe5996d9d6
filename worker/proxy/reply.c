/*
 * reply.c - answers that are made here: errors, redirects, direct responses.
 */
#include "shared/http/status.h"
#include "worker/proxy/http.h"

#include <stdio.h>
#include <time.h>

#define GRPC_TEXT_MAX 1024 /* bytes of a message, before they are escaped */
#define METHODS STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")

static const struct {
    struct str word, text;
    uint16_t status;
} REASONS[] = {
#define X(name, word, status, text) {{word, sizeof(word) - 1}, {text, sizeof(text) - 1}, status},
#include "shared/tbl/reason.def"
#undef X
};

struct str reason_word(enum reason r)
{
    return REASONS[r].word;
}

struct str reason_text(enum reason r)
{
    return REASONS[r].text;
}

uint16_t reason_status(enum reason r)
{
    return REASONS[r].status;
}

/* What the client reads. Where Istio's users know a text, it is that one (ISTIO-RULES 11). */
static struct str body_of(const struct request *r, enum reason why)
{
    switch (why) {
    case REASON_NO_LISTENER_HOST:
    case REASON_NO_ROUTE:
        return STR("");
    case REASON_NO_ENDPOINTS:
        return STR("no healthy upstream");
    case REASON_UPSTREAM_TIMEOUT:
    case REASON_REQUEST_TIMEOUT:
    case REASON_CONNECT_TIMEOUT:
        return STR("upstream request timeout");
    case REASON_CONNECT_FAILED:
        return STR("upstream connect error or disconnect/reset before headers. reset reason: connection failure");
    case REASON_UPSTREAM_RESET:
        return STR("upstream connect error or disconnect/reset before headers. reset reason: connection termination");
    case REASON_UPSTREAM_PROTOCOL:
        return STR("upstream connect error or disconnect/reset before headers. reset reason: protocol error");
    case REASON_OVERFLOW:
        return STR("upstream connect error or disconnect/reset before headers. reset reason: overflow");
    case REASON_UPSTREAM_TLS: /* the detail is for the log */
        return reason_text(why);
    default:
        return r->x.detail ? str_c(r->x.detail) : reason_text(why);
    }
}

struct str reply_date(struct http_proxy *p)
{
    uint64_t s = net_wall_us(p->net, p->net->now_ns) / 1000000;
    if (s != p->date_s) {
        static const char DAY[] = "SunMonTueWedThuFriSat", MONTH[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        time_t t = (time_t)s;
        struct tm tm;
        gmtime_r(&t, &tm);
        snprintf(p->date, sizeof(p->date), "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", DAY + 3 * tm.tm_wday,
                 (unsigned)tm.tm_mday % 100, MONTH + 3 * tm.tm_mon, ((unsigned)tm.tm_year + 1900) % 10000,
                 (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
        p->date_s = s;
    }
    return str_of(p->date, 29);
}

/* `h` has its fields; `filtered`: what the rule does to answers applies to it. */
static void answer(struct request *r, struct http_head *h, struct str body, bool filtered)
{
    struct exchange *x = &r->x;
    bool ok = head_set_id(h, &x->arena, FIELD_DATE, reply_date(r->p));
    h->major = h->minor = 1;
    h->body = BODY_LENGTH;
    h->length = body.n;
    if (x->has_grpc_status && (x->client->flags & STREAM_F_H2))
        h->body = BODY_NONE; /* "trailers only" has no length */
    if (!http_status_has_content(h->status))
        body.n = 0;
    if (ok && r->gen && x->hit.rule && filtered) {
        r->ctx.response = h;
        ok = filter_response(&r->ctx) == REASON_OK;
        r->ctx.response = NULL;
    }
    if (x->snap->SETTINGS->server_header && !head_find(h, FIELD_SERVER))
        ok = ok && head_add_id(h, &x->arena, FIELD_SERVER, STR("gatehouse"));
    account_response(r, h);
    if (!ok || !x->client->ops->send_head(x->client, h, body.n == 0)) {
        exchange_because(x, REASON_MEMORY);
        x->client->ops->abort(x->client);
        http_finish(r);
        return;
    }
    x->head_sent = true;
    x->status = h->status;
    if (body.n) {
        x->client->ops->send_body(x->client, body.p, body.n, true);
        x->bytes_out += x->req.method_id == METHOD_HEAD ? 0 : body.n;
    }
    http_finish(r);
}

/* ---- gRPC ---- */

bool request_is_grpc(const struct request *r)
{
    return r->grpc != GRPC_NO || (r->x.hit.rule && (r->x.hit.rule->flags & SNAP_RULE_GRPC));
}

/* A gRPC client hears of a failure by a head alone, whose HTTP status is 200. */
static void answer_grpc(struct request *r, struct http_head *h, enum grpc_status status, struct str text, bool filtered)
{
    static const struct str TYPES[] = {
        [GRPC_NO] = {"application/grpc", 16},
        [GRPC_CALL] = {"application/grpc", 16},
        [GRPC_WEB] = {"application/grpc-web", 20},
        [GRPC_WEB_TEXT] = {"application/grpc-web-text", 25},
    };
    struct arena *a = &r->x.arena;
    text = str_head(text, GRPC_TEXT_MAX);
    char *message = arena_room(a, 3 * text.n + 1);
    struct str suffix = r->grpc == GRPC_WEB || r->grpc == GRPC_WEB_TEXT ? r->web.suffix : STR_NONE;
    struct str number = arena_strf(a, "%u", (unsigned)status);
    struct str type = arena_strf(a, STR_FMT STR_FMT, STR_ARG(TYPES[r->grpc]), STR_ARG(suffix));
    h->status = 200;
    head_add_id(h, a, FIELD_CONTENT_TYPE, type);
    head_add_id(h, a, FIELD_GRPC_STATUS, number);
    if (message && text.n)
        head_add_id(h, a, FIELD_GRPC_MESSAGE, str_of(message, grpc_message_write(text, message)));
    r->x.has_grpc_status = true;
    r->x.grpc_status = (uint16_t)status;
    answer(r, h, STR(""), filtered);
}

void reply_reason_as(struct request *r, enum reason why, uint16_t status)
{
    struct exchange *x = &r->x;
    struct str body = body_of(r, why);
    /* Whoever sends what can be read in two ways is not listened to any more. */
    struct http_head h = {.status = status ? status : 500, .close = status == 400};
    exchange_because(x, why);
    if (x->head_sent) { /* too late for words */
        x->client->ops->abort(x->client);
        http_finish(r);
        return;
    }
    if (why == REASON_OVERFLOW)
        head_add(&h, &x->arena, STR("x-envoy-overloaded"), STR("true"));
    if (request_is_grpc(r)) {
        answer_grpc(r, &h, grpc_status_of(why, h.status), body.n ? body : reason_text(why), false);
        return;
    }
    if (body.n)
        head_add_id(&h, &x->arena, FIELD_CONTENT_TYPE, STR("text/plain"));
    if (h.status == 405)
        head_add_id(&h, &x->arena, FIELD_ALLOW, METHODS);
    answer(r, &h, body, false);
}

void reply_reason(struct request *r, enum reason why)
{
    reply_reason_as(r, why, reason_status(why));
}

void reply_redirect(struct request *r, struct str location, uint16_t status)
{
    struct http_head h = {.status = status};
    exchange_because(&r->x, REASON_REDIRECT);
    head_add_id(&h, &r->x.arena, FIELD_LOCATION, location);
    answer(r, &h, STR(""), true);
}

void reply_options(struct request *r)
{
    struct http_head h = {.status = 200};
    exchange_because(&r->x, REASON_DIRECT);
    head_add_id(&h, &r->x.arena, FIELD_ALLOW, METHODS);
    answer(r, &h, STR(""), false);
}

void reply_direct(struct request *r, uint16_t status, struct str type, struct str body)
{
    struct http_head h = {.status = status};
    exchange_because(&r->x, REASON_DIRECT);
    if (request_is_grpc(r)) {
        answer_grpc(r, &h, grpc_status_of_http(status), body, true);
        return;
    }
    if (type.n || body.n)
        head_add_id(&h, &r->x.arena, FIELD_CONTENT_TYPE, type.n ? type : STR("text/plain"));
    answer(r, &h, body, true);
}
