/*
 * forward.c - the fields that tell the next hop about this one: X-Forwarded-*, Forwarded (RFC 7239), Via
 * (RFC 9110 7.6.3) and X-Request-Id.
 *
 * Trust: with trusted_hops 0 nobody in front is believed: X-Forwarded-Proto and -Host are what this hop
 * saw, whatever the client wrote; X-Forwarded-For gets the peer appended, as everybody does.
 */
#include "shared/base/clock.h"
#include "worker/filter/peer.h"

#include <arpa/inet.h>

#define REQUEST_ID_MAX 128

static bool is_ip(struct str s)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    if (s.n == 0 || s.n >= sizeof(text))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

struct str forward_client_address(const struct http_head *request, uint32_t trusted_hops, struct str peer)
{
    uint32_t left = trusted_hops;
    if (left == 0)
        return peer;
    for (uint16_t i = request->n_fields; i-- > 0;) { /* the last line is the nearest hop */
        const struct http_field *f = &request->fields[i];
        if (f->id != FIELD_X_FORWARDED_FOR || (f->flags & HEAD_F_SKIP))
            continue;
        struct str rest = f->value;
        while (rest.n) {
            ptrdiff_t comma = str_rchr(rest, ',');
            struct str item = str_trim(str_skip(rest, (size_t)(comma + 1)), " \t");
            if (--left == 0)
                return is_ip(item) ? item : peer;
            if (comma < 0)
                break;
            rest = str_head(rest, (size_t)comma);
        }
    }
    return peer;
}

static bool append_list(struct filter_ctx *ctx, enum http_field_id id, struct str value)
{
    struct http_field *last = NULL;
    struct http_head *h = ctx->response ? ctx->response : ctx->request;
    for (uint16_t i = 0; i < h->n_fields && !head_lacks(h, id); i++)
        if (h->fields[i].id == id && !(h->fields[i].flags & HEAD_F_SKIP))
            last = &h->fields[i];
    if (!last)
        return head_add_id(h, ctx->arena, id, value);
    size_t n = last->value.n + 2 + value.n;
    char *p = arena_room(ctx->arena, n);
    if (!p)
        return false;
    memcpy(p, last->value.p, last->value.n);
    memcpy(p + last->value.n, ", ", 2);
    memcpy(p + last->value.n + 2, value.p, value.n);
    last->value = str_of(p, n);
    return true;
}

/* A UUID of version 4 (RFC 9562), made without the formatting functions of libc: it is on every request. */
static struct str new_id(struct arena *a, struct rng *rng)
{
#define ROW(h) h "0" h "1" h "2" h "3" h "4" h "5" h "6" h "7" h "8" h "9" h "a" h "b" h "c" h "d" h "e" h "f"
    static const char HEX[] = ROW("0") ROW("1") ROW("2") ROW("3") ROW("4") ROW("5") ROW("6") ROW("7")
        ROW("8") ROW("9") ROW("a") ROW("b") ROW("c") ROW("d") ROW("e") ROW("f");
#undef ROW
    static const uint8_t at[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};
    uint8_t bytes[16];
    char *p = arena_room(a, 36);
    if (!p)
        return STR_NONE;
    memcpy(bytes, &(uint64_t[2]){rng_next(rng), rng_next(rng)}, sizeof(bytes));
    bytes[6] = 0x40 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    for (unsigned i = 0; i < 16; i++)
        memcpy(p + at[i], HEX + 2 * bytes[i], 2);
    p[8] = p[13] = p[18] = p[23] = '-';
    return str_of(p, 36);
}

static bool put_request_id(struct filter_ctx *ctx, struct rng *rng, struct str *id)
{
    struct http_field *f = head_find(ctx->request, FIELD_X_REQUEST_ID);
    if (f && f->value.n > 0 && f->value.n <= REQUEST_ID_MAX) {
        *id = f->value;
        return true;
    }
    *id = STR_NONE;
    if (!ctx->snap->SETTINGS->request_id)
        return true;
    *id = new_id(ctx->arena, rng);
    return id->p && head_set_id(ctx->request, ctx->arena, FIELD_X_REQUEST_ID, *id);
}

/* RFC 7239: IPv6 in brackets and quotes. */
static bool put_forwarded(struct filter_ctx *ctx)
{
    struct str peer = ctx->facts->peer_address;
    bool six = str_chr(peer, ':') >= 0;
    struct str v = arena_strf(ctx->arena, "for=%s" STR_FMT "%s;host=\"" STR_FMT "\";proto=%s", six ? "\"[" : "",
                              STR_ARG(peer), six ? "]\"" : "", STR_ARG(ctx->request->authority),
                              ctx->facts->https ? "https" : "http");
    return v.p && append_list(ctx, FIELD_FORWARDED, v);
}

static struct str via_of(const struct http_head *h)
{
    return h->major == 2 ? STR("2 gatehouse") : h->minor ? STR("1.1 gatehouse") : STR("1.0 gatehouse");
}

bool forward_request(struct filter_ctx *ctx, struct rng *rng, struct str *request_id)
{
    const struct snap_settings *s = ctx->snap->SETTINGS;
    struct http_head *h = ctx->request;
    struct str proto = ctx->facts->https ? STR("https") : STR("http");
    bool believed = ctx->facts->believed;

    if (ctx->facts->peer_address.n && !append_list(ctx, FIELD_X_FORWARDED_FOR, ctx->facts->peer_address))
        return false;
    if (!(believed && head_find(h, FIELD_X_FORWARDED_PROTO)) &&
        !head_set_id(h, ctx->arena, FIELD_X_FORWARDED_PROTO, proto))
        return false;
    if (!(believed && head_find(h, FIELD_X_FORWARDED_HOST)) && h->authority.n &&
        !head_set_id(h, ctx->arena, FIELD_X_FORWARDED_HOST, h->authority))
        return false;
    if (!peer_forward(ctx))
        return false;
    if (s->forwarded && !put_forwarded(ctx))
        return false;
    if (s->via && !append_list(ctx, FIELD_VIA, via_of(h)))
        return false;
    return put_request_id(ctx, rng, request_id);
}

bool forward_response(struct filter_ctx *ctx, bool local)
{
    const struct snap_settings *s = ctx->snap->SETTINGS;
    if (s->via && !local && !append_list(ctx, FIELD_VIA, via_of(ctx->response)))
        return false;
    return !local || !s->server_header || head_set_id(ctx->response, ctx->arena, FIELD_SERVER, STR("gatehouse"));
}
