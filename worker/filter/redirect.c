/*
 * redirect.c - the Location of a redirect: scheme://host[:port]path[?query].
 *
 * GATEWAY-API-RULES 7.2 (the port comes from the listener, never from Host) and ISTIO-RULES 3.7 (the
 * port in Host is kept). A port that is the scheme's own is not written.
 */
#include "worker/filter/filter.h"

#include <stdio.h>

static unsigned scheme_port(struct str scheme)
{
    return str_eq(scheme, STR("https")) ? 443 : 80;
}

/* The port to write, 0 = none. `old` is the request's scheme, `scheme` the new one. */
static unsigned location_port(const struct filter_ctx *ctx, const struct snap_redirect *r, struct str old,
                              struct str scheme)
{
    const struct http_host *host = &ctx->request->host;
    unsigned listener = ctx->hit->listener ? ctx->hit->listener->port : 0;
    unsigned port = 0;
    bool in_host = r->host.len == 0 && host->port != 0;

    switch (r->port_mode) {
    case PORT_FIXED:
        port = r->port;
        break;
    case PORT_LISTENER: /* 7.2: the filter's scheme brings its own port, else the listener's */
        port = r->scheme.len ? scheme_port(scheme) : listener;
        break;
    case PORT_REQUEST: /* FROM_REQUEST_PORT; on its default port the Host header stays as it is */
        if (listener != scheme_port(old))
            port = listener;
        else if (in_host)
            return host->port;
        break;
    case PORT_KEEP_HOST:
        if (in_host && !(host->port == scheme_port(old) && !str_eq(old, scheme)))
            return host->port;
        break;
    default: /* PORT_NONE */
        break;
    }
    return port == scheme_port(scheme) ? 0 : port;
}

static bool location_path(const struct filter_ctx *ctx, const struct snap_redirect *r, struct str *path)
{
    const struct regex *re = r->regex == SNAP_NONE || !ctx->regexes ? NULL : snap_regexes_get(ctx->regexes, r->regex);
    size_t covered;
    bool whole;
    rewrite_covered(ctx->hit, ctx->request->path, &covered, &whole);
    return rewrite_path(ctx->arena, r->path_type, ctx->request->path, covered, whole,
                        snap_text(ctx->snap, r->path), re, path);
}

static bool put_together(struct arena *a, struct str scheme, struct str host, unsigned port, struct str path,
                         struct str query, bool with_query, struct str *location)
{
    char digits[8];
    int n = port ? snprintf(digits, sizeof(digits), ":%u", port) : 0;
    with_query = with_query && query.p != NULL;
    *location = arena_strf(a, STR_FMT "://" STR_FMT "%.*s" STR_FMT "%s" STR_FMT, STR_ARG(scheme), STR_ARG(host), n,
                           digits, STR_ARG(path), with_query ? "?" : "", (int)(with_query ? query.n : 0),
                           with_query ? query.p : "");
    return location->p != NULL;
}

bool redirect_location(const struct filter_ctx *ctx, const struct snap_redirect *r, struct str *location)
{
    struct str old = ctx->facts->https ? STR("https") : STR("http");
    struct str scheme = r->scheme.len ? snap_text(ctx->snap, r->scheme) : old;
    struct str host = r->host.len ? snap_text(ctx->snap, r->host) : ctx->request->host.name;
    struct str path;
    return location_path(ctx, r, &path) &&
           put_together(ctx->arena, scheme, host, location_port(ctx, r, old, scheme), path, ctx->request->query,
                        !r->value_has_query, location);
}

bool redirect_https(const struct filter_ctx *ctx, struct str *location)
{
    const struct http_host *host = &ctx->request->host;
    unsigned port = host->port == 80 || host->port == 443 ? 0 : host->port;
    return put_together(ctx->arena, STR("https"), host->name, port, ctx->request->path, ctx->request->query, true,
                        location);
}
