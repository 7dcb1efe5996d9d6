/*
 * forward.c - the fields that tell the next hop about this one: X-Forwarded-*, Forwarded (RFC 7239), Via
 * (RFC 9110 7.6.3) and X-Request-Id.
 *
 * Trust: with trusted_hops 0 nobody in front is believed: X-Forwarded-Proto and -Host are what this hop
 * saw, whatever the client wrote; X-Forwarded-For gets the peer appended, as everybody does.
 */
#include "shared/base/clock.h"
#include "shared/base/wide.h"
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

#if defined(GH_WIDE)
/* 16 bytes as 32 hex digits. */
static inline void put_hex(const uint8_t bytes[16], char out[32])
{
    const __m128i nibble = _mm_set1_epi8(15), nine = _mm_set1_epi8(9), zero = _mm_set1_epi8('0');
    const __m128i letters = _mm_set1_epi8('a' - '0' - 10);
    __m128i v = wide_load((const char *)bytes);
    __m128i high = _mm_and_si128(_mm_srli_epi16(v, 4), nibble), low = _mm_and_si128(v, nibble);
    for (int i = 0; i < 2; i++) {
        __m128i d = i ? _mm_unpackhi_epi8(high, low) : _mm_unpacklo_epi8(high, low);
        d = _mm_add_epi8(_mm_add_epi8(d, zero), _mm_and_si128(_mm_cmpgt_epi8(d, nine), letters));
        memcpy(out + 16 * i, &d, 16);
    }
}
#else
static inline void put_hex(const uint8_t bytes[16], char out[32])
{
    static const char HEX[] = "0123456789abcdef";
    for (unsigned i = 0; i < 16; i++) {
        out[2 * i] = HEX[bytes[i] >> 4];
        out[2 * i + 1] = HEX[bytes[i] & 15];
    }
}
#endif

/* A UUID of version 4 (RFC 9562), made without the formatting functions of libc: it is on every request. */
static struct str new_id(struct arena *a, struct rng *rng)
{
    char hex[32];
    uint8_t bytes[16];
    char *p = arena_room(a, 36);
    if (!p)
        return STR_NONE;
    memcpy(bytes, &(uint64_t[2]){rng_next(rng), rng_next(rng)}, sizeof(bytes));
    bytes[6] = 0x40 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    put_hex(bytes, hex);
    memcpy(p, hex, 8);
    memcpy(p + 9, hex + 8, 4);
    memcpy(p + 14, hex + 12, 4);
    memcpy(p + 19, hex + 16, 4);
    memcpy(p + 24, hex + 20, 12);
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
