/*
 * rewrite.c - the host and path that go upstream (GATEWAY-API-RULES 7.3, ISTIO-RULES 3.6).
 *
 * What comes out is made canonical again: a rewrite can put two clean halves together to something
 * that is not ("/" + "/x", "/a/" + "../x").
 */
#include "shared/http/uri.h"
#include "worker/filter/filter.h"

void rewrite_covered(const struct route_hit *hit, struct str path, size_t *covered, bool *whole)
{
    const struct snap_entry *e = hit->entry;
    *whole = e->path == PATH_EXACT || e->path == PATH_REGEX;
    *covered = GH_MIN(hit->prefix_len, path.n);
    if (e->path == PATH_ANY)
        *covered = path.n > 0; /* Istio without a uri match: the prefix is "/" */
}

/* head + tail, beginning with '/'. */
static bool join(struct arena *a, struct str head, struct str tail, struct str *out)
{
    bool slash = !str_starts(head.n ? head : tail, STR("/"));
    char *p = arena_alloc(a, head.n + tail.n + 2);
    if (!p)
        return false;
    size_t n = 0;
    if (slash)
        p[n++] = '/';
    if (head.n)
        memcpy(p + n, head.p, head.n);
    if (tail.n)
        memcpy(p + n + head.n, tail.p, tail.n);
    *out = str_of(p, n + head.n + tail.n);
    return true;
}

static bool by_regex(struct arena *a, struct str path, const struct regex *re, struct str to, struct str *out)
{
    struct buf b = {0};
    if (!re || regex_replace(re, path, to, &b) < 0) {
        buf_fini(&b);
        *out = path; /* a limit of the expression: the path stays as it is */
        return true;
    }
    bool ok = !b.oom && join(a, buf_str(&b), STR(""), out);
    buf_fini(&b);
    return ok;
}

bool rewrite_path(struct arena *a, enum path_rewrite type, struct str path, size_t covered, bool whole,
                  struct str value, const struct regex *re, struct str *out)
{
    struct str rest = str_skip(path, GH_MIN(covered, path.n));
    switch (type) {
    case REWRITE_NONE:
        *out = path;
        return true;
    case REWRITE_FULL:
        return join(a, value, STR(""), out);
    case REWRITE_PREFIX_ELEMENT: /* /xyz and /xyz/ are one; the rest begins with '/' or is empty */
        while (value.n && value.p[value.n - 1] == '/')
            value.n--;
        return join(a, value, rest, out);
    case REWRITE_PREFIX_STRING:
        return join(a, value, whole ? STR("") : rest, out);
    case REWRITE_REGEX:
        return by_regex(a, path, re, value, out);
    }
    return false;
}

static unsigned path_flags(const struct snap_settings *s)
{
    return (s->merge_slashes ? PATH_MERGE_SLASHES : 0u) | (s->path_parameters ? PATH_KEEP_PARAMETERS : 0u) |
           (s->escaped_slash ? PATH_KEEP_ENCODED_SLASH | PATH_KEEP_ENCODED_BACKSLASH : 0u);
}

static enum reason set_path(struct filter_ctx *ctx, struct str path)
{
    struct str clean;
    char *room = arena_alloc(ctx->arena, HTTP_PATH_ROOM(path.n));
    if (!room)
        return REASON_MEMORY;
    if (http_path_canonical(path, path_flags(ctx->snap->SETTINGS), room, &clean) != URI_OK)
        return REASON_BAD_PATH;
    ctx->request->path = clean;
    return REASON_OK;
}

enum reason filter_rewrite(struct filter_ctx *ctx, const struct snap_filter *f)
{
    const struct snap_rewrite *rw = SNAP_AT(ctx->snap, REWRITES, f->arg);
    struct http_head *h = ctx->request;
    if (!rw)
        return REASON_OK;
    struct str host = snap_text(ctx->snap, rw->host);
    if (host.n) {
        h->authority = host;
        http_host_parse(host, &h->host);
    }
    if (rw->type == REWRITE_NONE || !str_starts(h->path, STR("/"))) /* the asterisk form has no path */
        return REASON_OK;
    const struct regex *re = rw->regex == SNAP_NONE || !ctx->regexes ? NULL : snap_regexes_get(ctx->regexes, rw->regex);
    struct str path;
    size_t covered;
    bool whole;
    rewrite_covered(ctx->hit, h->path, &covered, &whole);
    if (!rewrite_path(ctx->arena, rw->type, h->path, covered, whole, snap_text(ctx->snap, rw->path), re, &path))
        return REASON_MEMORY;
    return set_path(ctx, path);
}
