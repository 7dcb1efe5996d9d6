/*
 * expand.c - the %..% commands of header values (tbl/header_var.def, ISTIO-RULES 3.10).
 *
 * The loader has checked the text; what is still wrong here (a command of a newer compiler) stands for
 * itself. A command without a value becomes "-", as in Envoy.
 */
#include "shared/base/clock.h"
#include "worker/filter/peer.h"
#include "worker/http/exchange.h"
#include "worker/http/link.h"

#include <stdio.h>
#include <time.h>

enum var {
#define X(id, name, argument, served, text) VAR_##id,
#include "shared/tbl/header_var.def"
#undef X
    VAR_COUNT
};

static const char *const VAR_NAMES[] = {
#define X(id, name, argument, served, text) [VAR_##id] = (name),
#include "shared/tbl/header_var.def"
#undef X
};

/* One command: %NAME(argument):limit%. */
struct command {
    struct str name, argument;
    size_t limit;
};

/* Cuts the command at the front of `s` (behind its '%'); returns its bytes with the closing '%', or 0. */
static size_t parse_command(struct str s, struct command *c)
{
    size_t i = 0;
    *c = (struct command){.limit = SIZE_MAX};
    while (i < s.n && s.p[i] != '%' && s.p[i] != '(')
        i++;
    c->name = str_head(s, i);
    if (i < s.n && s.p[i] == '(') {
        ptrdiff_t end = str_chr(str_skip(s, i), ')');
        if (end < 0)
            return 0;
        c->argument = str_of(s.p + i + 1, (size_t)end - 1);
        i += (size_t)end + 1;
        if (i < s.n && s.p[i] == ':') {
            size_t from = ++i;
            uint64_t n;
            while (i < s.n && ascii_is_digit(s.p[i]))
                i++;
            if (!str_u64(str_of(s.p + from, i - from), &n))
                return 0;
            c->limit = n;
        }
    }
    return i < s.n && s.p[i] == '%' ? i + 1 : 0;
}

/* A header field or one of the pseudo names. */
static bool field_of(const struct filter_ctx *ctx, const struct http_head *h, struct str name, struct str *v)
{
    if (!h || name.n == 0)
        return false;
    if (name.p[0] == ':') {
        *v = str_ieq(name, STR(":method"))      ? h->method
             : str_ieq(name, STR(":path"))      ? h->path
             : str_ieq(name, STR(":authority")) ? h->authority
             : str_ieq(name, STR(":scheme"))    ? (ctx->facts->https ? STR("https") : STR("http"))
                                                : STR_NONE;
        return v->n > 0;
    }
    if (h->status == 0 && str_ieq(name, STR("host"))) {
        *v = h->authority;
        return v->n > 0;
    }
    return head_value(h, ctx->arena, name, v);
}

/* "a?b": b where a is absent. */
static struct str header_var(const struct filter_ctx *ctx, const struct http_head *h, struct str argument)
{
    ptrdiff_t q = str_chr(argument, '?');
    struct str v;
    if (field_of(ctx, h, q < 0 ? argument : str_head(argument, (size_t)q), &v))
        return v;
    return q >= 0 && field_of(ctx, h, str_skip(argument, (size_t)q + 1), &v) ? v : STR_NONE;
}

static void add_time(struct buf *b, struct str form, uint64_t wall_us)
{
    char text[128], f[64];
    time_t t = (time_t)(wall_us / 1000000);
    struct tm tm;
    if (form.n == 0 || form.n >= sizeof(f) || !gmtime_r(&t, &tm)) {
        buf_add(b, text, clock_format(wall_us, 3, text));
        return;
    }
    memcpy(f, form.p, form.n);
    f[form.n] = '\0';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the form is the operator's; strftime writes no memory but text */
    buf_add(b, text, strftime(text, sizeof(text), f, &tm));
#pragma GCC diagnostic pop
}

static void add_address(struct buf *b, struct str address, unsigned port)
{
    bool six = str_chr(address, ':') >= 0;
    if (address.n)
        buf_addf(b, "%s" STR_FMT "%s:%u", six ? "[" : "", STR_ARG(address), six ? "]" : "", port);
}

/* `out` has room for PEER_TEXT_MAX bytes. */
static struct str local_address(const struct filter_facts *f, char *out)
{
    if (!f->link)
        return STR_NONE;
    link_know_local(f->link);
    return str_of(out, address_text(f->link->local_family, f->link->local, out));
}

static void add_var(const struct filter_ctx *ctx, enum var id, const struct command *c, struct buf *b)
{
    const struct filter_facts *f = ctx->facts;
    char text[PEER_TEXT_MAX];
    switch (id) {
    case VAR_REQ: buf_adds(b, header_var(ctx, ctx->request, c->argument)); break;
    case VAR_RESP: buf_adds(b, header_var(ctx, ctx->response, c->argument)); break;
    case VAR_REMOTE_ADDRESS: add_address(b, f->client_address, f->client_port); break;
    case VAR_REMOTE_ADDRESS_WITHOUT_PORT: buf_adds(b, f->client_address); break;
    case VAR_REMOTE_PORT: buf_addu(b, f->client_port); break;
    case VAR_LOCAL_ADDRESS: add_address(b, local_address(f, text), f->local_port); break;
    case VAR_LOCAL_ADDRESS_WITHOUT_PORT: buf_adds(b, local_address(f, text)); break;
    case VAR_LOCAL_PORT: buf_addu(b, f->local_port); break;
    case VAR_PROTOCOL: buf_adds(b, f->protocol); break;
    case VAR_START_TIME: add_time(b, c->argument, f->start_wall_us); break;
    case VAR_HOSTNAME: buf_adds(b, f->hostname); break;
    case VAR_UPSTREAM_HOST: buf_adds(b, f->upstream_host); break;
    case VAR_REQUESTED_SERVER_NAME: buf_adds(b, f->server_name); break;
    case VAR_RESPONSE_CODE:
        if (ctx->response)
            buf_addu(b, ctx->response->status);
        break;
    case VAR_ROUTE_NAME: buf_adds(b, f->route_name); break;
    case VAR_TLS_VERSION: case VAR_TLS_CIPHER: case VAR_PEER_SUBJECT: case VAR_PEER_ISSUER: case VAR_PEER_URI_SAN:
    case VAR_PEER_CERT: case VAR_PEER_SERIAL: case VAR_PEER_FINGERPRINT:
        peer_var(f, (enum header_var)id, b);
        break;
    default: break; /* not served: no value */
    }
}

static bool add_command(const struct filter_ctx *ctx, const struct command *c, struct buf *b)
{
    for (unsigned i = 0; i < VAR_COUNT; i++) {
        if (!str_eqc(c->name, VAR_NAMES[i]))
            continue;
        size_t before = b->n;
        add_var(ctx, (enum var)i, c, b);
        if (b->n == before)
            buf_addc(b, "-");
        else if (b->n - before > c->limit)
            b->n = before + c->limit;
        return true;
    }
    return false;
}

bool filter_expand(const struct filter_ctx *ctx, struct str text, struct str *out)
{
    struct buf b = {0};
    for (size_t i = 0; i < text.n; i++) {
        struct command c;
        size_t n = 0;
        if (text.p[i] != '%') {
            buf_addch(&b, text.p[i]);
            continue;
        }
        if (i + 1 < text.n && text.p[i + 1] == '%') {
            buf_addch(&b, '%');
            i++;
        } else if ((n = parse_command(str_skip(text, i + 1), &c)) > 0 && add_command(ctx, &c, &b)) {
            i += n;
        } else {
            buf_addch(&b, '%');
        }
    }
    *out = b.oom ? STR_NONE : arena_str(ctx->arena, str_trim(buf_str(&b), " \t"));
    bool ok = out->p != NULL;
    buf_fini(&b);
    return ok;
}
