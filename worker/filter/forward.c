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
    for (uint16_t i = 0; i < h->n_fields; i++)
        if (h->fields[i].id == id && !(h->fields[i].flags & HEAD_F_SKIP))
            last = &h->fields[i];
    if (!last)
        return head_add_id(h, ctx->arena, id, value);
    size_t n = last->value.n + 2 + value.n;
    char *p = arena_alloc(ctx->arena, n);
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
    static const char HEX[] = "0123456789abcdef";
    char *p = arena_alloc(a, 36);
    if (!p)
        return STR_NONE;
    uint64_t v[2] = {rng_next(rng), rng_next(rng)};
    size_t at = 0;
    for (unsigned i = 0; i < 32; i++) {
        unsigned nibble = (unsigned)(v[i / 16] >> (60 - 4 * (i % 16))) & 15;
        nibble = i == 12 ? 4 : i == 16 ? 8 | (nibble & 3) : nibble;
        if (i == 8 || i == 12 || i == 16 || i == 20)
            p[at++] = '-';
        p[at++] = HEX[nibble];
    }
    return str_of(p, at);
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
