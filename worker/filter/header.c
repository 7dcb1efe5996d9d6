/*
 * header.c - set, add and remove header fields (GATEWAY-API-RULES 7.1, ISTIO-RULES 3.10).
 *
 * The compiler has put the operations of one filter in the order of its API. Host in a request is
 * not a field: it is the authority that is sent.
 */
#include "worker/filter/filter.h"

static bool is_host(const struct http_head *h, struct str name)
{
    return h->status == 0 && (str_ieq(name, STR("host")) || str_eq(name, STR(":authority")));
}

static bool set_host(struct http_head *h, struct str value)
{
    struct http_host host;
    if (!http_host_parse(value, &host) || host.kind == HOST_EMPTY)
        return true; /* a value made of %..% that is no host: the one of the client stays */
    h->authority = value;
    h->host = host;
    return true;
}

/* Gateway API: "old,new" on one line for a field that is there; Set-Cookie can't be joined (RFC 6265 3). */
static bool add_value(struct filter_ctx *ctx, struct http_head *h, struct str name, struct str value)
{
    struct http_field *f = head_find_name(h, name);
    if (!f || f->id == FIELD_SET_COOKIE)
        return head_add(h, ctx->arena, name, value);
    struct http_field *last = f;
    for (uint16_t i = 0; i < h->n_fields; i++)
        if (!(h->fields[i].flags & HEAD_F_SKIP) && str_ieq(h->fields[i].name, name))
            last = &h->fields[i];
    struct str joined = arena_strf(ctx->arena, STR_FMT "," STR_FMT, STR_ARG(last->value), STR_ARG(value));
    if (!joined.p)
        return false;
    last->value = joined;
    return true;
}

static bool run_op(struct filter_ctx *ctx, const struct snap_header_op *op, struct http_head *h)
{
    struct str name = snap_text(ctx->snap, op->name), value = snap_text(ctx->snap, op->value);
    if (op->op != HEADER_REMOVE && op->has_subst && !filter_expand(ctx, value, &value))
        return false;
    if (is_host(h, name))
        return op->op == HEADER_REMOVE || set_host(h, value);
    switch (op->op) {
    case HEADER_REMOVE:
        head_remove(h, name);
        return true;
    case HEADER_SET:
        return head_set(h, ctx->arena, name, value);
    default:
        return add_value(ctx, h, name, value);
    }
}

enum reason filter_headers(struct filter_ctx *ctx, const struct snap_filter *f, struct http_head *h)
{
    SNAP_EACH(i, f->ops)
    {
        if (!run_op(ctx, &ctx->snap->HEADER_OPS[i], h))
            return REASON_MEMORY;
    }
    return REASON_OK;
}
