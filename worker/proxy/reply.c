/*
 * reply.c - answers that are made here: errors, redirects, direct responses.
 */
#include "shared/http/status.h"
#include "worker/proxy/http.h"

#include <stdio.h>
#include <time.h>

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
    if (body.n)
        head_add_id(&h, &x->arena, FIELD_CONTENT_TYPE, STR("text/plain"));
    if (why == REASON_OVERFLOW)
        head_add(&h, &x->arena, STR("x-envoy-overloaded"), STR("true"));
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
    if (type.n || body.n)
        head_add_id(&h, &r->x.arena, FIELD_CONTENT_TYPE, type.n ? type : STR("text/plain"));
    answer(r, &h, body, true);
}
