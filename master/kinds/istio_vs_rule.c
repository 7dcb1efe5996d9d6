/*
 * istio_vs_rule.c - rules of one http rule of a VirtualService: its matches and everything it may do
 * (ISTIO-RULES 3.3 to 3.9).
 */
#include "master/kinds/format.h"
#include "master/kinds/istio_virtual_service.h"
#include "shared/base/arena.h"
#include "shared/http/field.h"
#include "shared/http/host.h"
#include "shared/http/status.h"
#include "shared/http/token.h"
#include "shared/http/uri.h"
#include "shared/tbl/enums.h"

#define BODY_LARGE   (100u * 1024)
#define BODY_MAX     (1024u * 1024)

static void bad(struct decoder *d, const struct node *owner, const char *field, const char *text)
{
    diag_at(d->diags, DIAG_BadValue, istio_at(owner, field), NULL, "%s", text);
}

/* ---- match --------------------------------------------------------------------------------------- */

bool istio_is_claim(struct str name)
{
    return str_starts(name, STR("@request.auth.claims"));
}

static void header_name_check(struct decoder *d, const struct istio_string_match *m)
{
    static const char *const PSEUDO[] = {":method", ":authority", ":scheme"};
    struct str name = node_key(m->node);
    if (istio_is_claim(name)) {
        diag_at(d->diags, DIAG_NotServed, m->node, "the block never matches",
                "claims of a token can't be matched yet");
        return;
    }
    if (name.n && name.p[0] == ':') {
        for (size_t i = 0; i < ARRAY_LEN(PSEUDO); i++)
            if (str_eqc(name, PSEUDO[i]))
                return;
        diag_at(d->diags, DIAG_NotServed, m->node, "the block never matches; use uri, method, authority or scheme",
                "\"" STR_FMT "\" can't be matched", STR_ARG(name));
        return;
    }
    if (!http_field_name_valid(name))
        diag_at(d->diags, DIAG_BadValue, m->node, "letters, digits and !#$%&'*+-.^_`|~",
                "\"" STR_FMT "\" is no header name", STR_ARG(name));
}

/* An exact path that no canonical request path can be equal to. */
static void uri_lint(struct decoder *d, const struct istio_string_match *u)
{
    const struct node *at = node_get(u->node, u->type == ISTIO_MATCH_EXACT ? "exact" : "prefix");
    struct str v = istio_match_value(u), canonical;
    if (v.n == 0 || u->type == ISTIO_MATCH_REGEX)
        return;
    if (v.p[0] != '/') {
        diag_at(d->diags, DIAG_Unreachable, at, "begin it with '/'", "no path begins like this");
        return;
    }
    if (str_chr(v, '?') >= 0) {
        diag_at(d->diags, DIAG_Unreachable, at, "match the query with queryParams", "a path has no '?'");
        return;
    }
    char *room = arena_alloc(d->arena, HTTP_PATH_ROOM(v.n));
    enum uri_fault fault = http_path_canonical(v, PATH_DEFAULT | PATH_KEEP_ENCODED_SLASH | PATH_KEEP_PARAMETERS |
                                                      PATH_KEEP_ENCODED_BACKSLASH, room, &canonical);
    /* A prefix may end in the middle of an escape or a segment: only whole ones can be judged. */
    if (u->type != ISTIO_MATCH_EXACT)
        return;
    if (fault)
        diag_at(d->diags, DIAG_Unreachable, at, uri_fault_text(fault), "no request has this path");
    else if (!str_eq(canonical, v)) {
        struct str hint = arena_strf(d->arena, "write \"" STR_FMT "\"", STR_ARG(canonical));
        diag_at(d->diags, DIAG_Unreachable, at, hint.p, "paths are compared in canonical form, which this is not");
    }
}

void istio_http_match_check(struct decoder *d, void *obj)
{
    struct istio_http_match *m = obj;
    if (m->uri) {
        istio_string_match_check(d, m->uri, ISTIO_SM_EMPTY_PREFIX);
        uri_lint(d, m->uri);
    }
    struct istio_string_match *const single[] = {m->scheme, m->method, m->authority};
    for (size_t i = 0; i < ARRAY_LEN(single); i++)
        if (single[i])
            istio_string_match_check(d, single[i], 0);
    for (size_t i = 0; i < m->headers.n; i++) {
        header_name_check(d, &m->headers.v[i]);
        istio_string_match_check(d, &m->headers.v[i], 0);
    }
    for (size_t i = 0; i < m->without_headers.n; i++) {
        header_name_check(d, &m->without_headers.v[i]);
        istio_string_match_check(d, &m->without_headers.v[i], ISTIO_SM_STAR_REGEX);
    }
    for (size_t i = 0; i < m->query_params.n; i++) {
        if (node_key(m->query_params.v[i].node).n == 0)
            diag_at(d->diags, DIAG_BadValue, m->query_params.v[i].node, NULL, "a parameter has no name");
        istio_string_match_check(d, &m->query_params.v[i], 0);
    }
}

bool istio_match_is_catch_all(const struct istio_http_match *m)
{
    if (m->scheme || m->method || m->authority || m->headers.n || m->without_headers.n || m->query_params.n)
        return false;
    if (!m->uri || m->uri->type == ISTIO_MATCH_NONE)
        return true;
    if (m->uri->type == ISTIO_MATCH_PREFIX)
        return m->uri->prefix.n == 0 || str_eqc(m->uri->prefix, "/");
    return m->uri->type == ISTIO_MATCH_REGEX && str_eqc(m->uri->regex, ".*");
}

/* ---- rewrite and redirect -------------------------------------------------------------------------- */

static void leading_slash_check(struct decoder *d, const struct node *owner, const char *field, struct str v)
{
    if (v.n && v.p[0] != '/')
        diag_at(d->diags, DIAG_Suspicious, istio_at(owner, field), "one is put in front",
                "a path begins with '/'");
    if (!token_all(v, TOKEN_TARGET))
        bad(d, owner, field, "a path has no blanks, control bytes, '#' or bytes above 127; encode them");
}

static void authority_check(struct decoder *d, const struct node *owner, const char *field, struct str v)
{
    struct http_host h;
    if (v.n && (!http_host_parse(v, &h) || h.kind == HOST_EMPTY))
        diag_at(d->diags, DIAG_BadValue, istio_at(owner, field), "host or host:port",
                "\"" STR_FMT "\" can't be the host of a request", STR_ARG(v));
}

void istio_rewrite_check(struct decoder *d, void *obj)
{
    const struct istio_rewrite *r = obj;
    if (r->uri.n == 0 && r->authority.n == 0 && !r->regex)
        diag_at(d->diags, DIAG_Required, r->node, NULL, "one of uri, uriRegexRewrite and authority is required");
    if (r->uri.n && r->regex)
        diag_at(d->diags, DIAG_Exclusive, r->regex->node, NULL, "uri rewrites the path already");
    leading_slash_check(d, r->node, "uri", r->uri);
    authority_check(d, r->node, "authority", r->authority);
    if (r->regex && r->regex->match.n)
        istio_regex_check(d, istio_at(r->regex->node, "match"), r->regex->match);
}

void istio_redirect_check(struct decoder *d, void *obj)
{
    const struct istio_redirect *r = obj;
    bool derive = istio_get(r->node, "derivePort") != NULL;
    if (!r->uri.n && !r->prefix_rewrite.n && !r->authority.n && !r->scheme.n && !r->port.set && !derive)
        diag_at(d->diags, DIAG_Required, r->node, "it would send clients to where they are",
                "one of uri, prefixRewrite, authority, scheme and port is required");
    if (r->uri.n && r->prefix_rewrite.n)
        diag_at(d->diags, DIAG_Exclusive, istio_at(r->node, "prefixRewrite"), NULL, "uri replaces the path already");
    if (r->port.set && derive)
        diag_at(d->diags, DIAG_Exclusive, istio_at(r->node, "derivePort"), NULL, "port is set already");
    if (r->scheme.n && !str_eqc(r->scheme, "http") && !str_eqc(r->scheme, "https"))
        bad(d, r->node, "scheme", "the scheme is http or https");
    leading_slash_check(d, r->node, "uri", r->uri);
    leading_slash_check(d, r->node, "prefixRewrite", r->prefix_rewrite);
    authority_check(d, r->node, "authority", r->authority);
    switch (r->code.v) {
    case 301: case 302: case 303: case 307: case 308: break;
    default: bad(d, r->node, "redirectCode", "the status of a redirect is 301, 302, 303, 307 or 308");
    }
}

/* ---- direct response ------------------------------------------------------------------------------- */

void istio_direct_check(struct decoder *d, void *obj)
{
    struct istio_direct *r = obj;
    struct istio_body *b = r->body;
    if (!b)
        return;
    const struct node *bytes = node_get(b->node, "bytes");
    b->content = b->string;
    if (bytes && node_get(b->node, "string"))
        diag_at(d->diags, DIAG_Exclusive, bytes, NULL, "string gives the body already");
    else if (bytes && !format_base64(d->arena, b->bytes, &b->content))
        diag_at(d->diags, DIAG_BadValue, bytes, NULL, "is not base64");
    if (b->content.n > BODY_MAX)
        diag_at(d->diags, DIAG_OutOfRange, b->node, "serve large answers from a backend",
                "a body of %zu bytes; at most 1 MiB", b->content.n);
    else if (b->content.n > BODY_LARGE)
        diag_at(d->diags, DIAG_Suspicious, b->node, "every worker keeps it in memory",
                "a body of %zu bytes is large", b->content.n);
    if (b->content.n && !http_status_has_content((unsigned)r->status.v))
        diag_at(d->diags, DIAG_Ignored, b->node, NULL, "an answer with status %d has no body", (int)r->status.v);
}

/* ---- retries ------------------------------------------------------------------------------------------ */

enum { RETRY_NONE = 0 };
static const struct {
    const char *token;
    uint32_t on; /* RETRY_NONE: known, not served yet */
} RETRY_TOKENS[] = {
    {"connect-failure", RETRY_ON_CONNECT_FAILURE},
    {"refused-stream", RETRY_ON_REFUSED_STREAM},
    {"reset", RETRY_ON_RESET},
    {"reset-before-request", RETRY_ON_RESET_BEFORE_REQUEST},
    {"gateway-error", RETRY_ON_GATEWAY_ERROR},
    {"5xx", RETRY_ON_5XX},
    {"retriable-4xx", RETRY_ON_RETRIABLE_4XX},
    {"retriable-status-codes", RETRY_ON_STATUS_CODES},
    {"retriable-headers", RETRY_NONE},
    {"envoy-ratelimited", RETRY_NONE},
    {"http3-post-connect-failure", RETRY_NONE},
    {"cancelled", RETRY_ON_GRPC_CANCELLED},
    {"deadline-exceeded", RETRY_ON_GRPC_DEADLINE_EXCEEDED},
    {"internal", RETRY_ON_GRPC_INTERNAL},
    {"resource-exhausted", RETRY_ON_GRPC_RESOURCE_EXHAUSTED},
    {"unavailable", RETRY_ON_GRPC_UNAVAILABLE},
};

static void retry_token(struct decoder *d, struct istio_retries *r, struct str token)
{
    const struct node *at = istio_at(r->node, "retryOn");
    uint64_t code;
    if (str_u64(token, &code)) {
        if (code > 999 || http_status_reason((unsigned)code).n == 0) {
            diag_at(d->diags, DIAG_BadValue, at, NULL, "\"" STR_FMT "\" is no status code", STR_ARG(token));
            return;
        }
        r->codes[r->n_codes++] = (uint16_t)code;
        r->on |= RETRY_ON_STATUS_CODES;
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(RETRY_TOKENS); i++) {
        if (!str_eqc(token, RETRY_TOKENS[i].token))
            continue;
        r->on |= RETRY_TOKENS[i].on;
        if (RETRY_TOKENS[i].on == RETRY_NONE)
            diag_at(d->diags, DIAG_NotServed, at, NULL, "condition \"" STR_FMT "\" never causes a retry yet",
                    STR_ARG(token));
        return;
    }
    diag_at(d->diags, DIAG_BadValue, at, "connect-failure, refused-stream, reset, gateway-error, 5xx, a status code ...",
            "\"" STR_FMT "\" is no condition for a retry", STR_ARG(token));
}

void istio_retries_check(struct decoder *d, void *obj)
{
    static const char *const NEEDS_ATTEMPTS[] = {"perTryTimeout", "retryOn", "retryRemoteLocalities"};
    struct istio_retries *r = obj;
    if (r->attempts.v == 0) {
        for (size_t i = 0; i < ARRAY_LEN(NEEDS_ATTEMPTS); i++) {
            const struct node *v = istio_get(r->node, NEEDS_ATTEMPTS[i]);
            if (v && v->type != NODE_NULL)
                diag_at(d->diags, DIAG_Exclusive, v, "set attempts to 1 or more", "without attempts there are no retries");
        }
        return;
    }
    if (istio_get(r->node, "retryIgnorePreviousHosts") && !r->ignore_previous_hosts.v)
        diag_at(d->diags, DIAG_Ignored, istio_at(r->node, "retryIgnorePreviousHosts"), NULL,
                "a retry goes to another endpoint where there is one");
    struct str rest = r->retry_on, token;
    if (rest.n == 0)
        return;
    r->codes = arena_new_n(d->arena, uint16_t, rest.n / 2 + 1);
    while (str_split(&rest, ',', &token)) {
        token = str_trim(token, " ");
        if (token.n)
            retry_token(d, r, token);
        else
            bad(d, r->node, "retryOn", "an empty condition between commas");
    }
}

/* ---- fault --------------------------------------------------------------------------------------------- */

static void fault_percent_check(struct decoder *d, const struct istio_percent *p)
{
    if (p && p->value.v > 0 && p->value.v < 0.0001)
        diag_at(d->diags, DIAG_OutOfRange, istio_at(p->node, "value"), NULL, "the smallest share is 0.0001 percent");
}

void istio_delay_check(struct decoder *d, void *obj)
{
    const struct istio_delay *f = obj;
    if (f->exponential.set)
        bad(d, f->node, "exponentialDelay", "exponential delays are not possible; use fixedDelay");
    if (!f->fixed.set)
        diag_at(d->diags, DIAG_Required, f->node, NULL, "a delay needs fixedDelay");
    fault_percent_check(d, f->percentage);
}

static bool grpc_status_known(struct str s)
{
    static const char *const NAMES[] = {
#define X(name, number, word, camel) word,
#include "shared/tbl/grpc_status.def"
#undef X
    };
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (str_eqc(s, NAMES[i]))
            return true;
    return false;
}

void istio_abort_check(struct decoder *d, void *obj)
{
    const struct istio_abort *f = obj;
    if (f->http2_error.n)
        bad(d, f->node, "http2Error", "http2Error is not possible; use httpStatus or grpcStatus");
    else if (f->http_status.set && f->grpc_status.n)
        diag_at(d->diags, DIAG_Exclusive, istio_at(f->node, "grpcStatus"), NULL, "httpStatus is set already");
    else if (!f->http_status.set && !f->grpc_status.n)
        diag_at(d->diags, DIAG_Ignored, f->node, "set httpStatus or grpcStatus", "an abort without a status does nothing");
    if (f->grpc_status.n && !grpc_status_known(f->grpc_status))
        bad(d, f->node, "grpcStatus", "no gRPC status has this name (UNAVAILABLE, INTERNAL ...)");
    fault_percent_check(d, f->percentage);
}

void istio_fault_check(struct decoder *d, void *obj)
{
    const struct istio_fault *f = obj;
    if (!f->delay && !f->abort)
        diag_at(d->diags, DIAG_Required, f->node, NULL, "a fault needs delay or abort");
}

/* ---- cors ----------------------------------------------------------------------------------------------- */

static void cors_names_check(struct decoder *d, const struct istio_cors *c, const char *field, const struct str_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (!str_eqc(l->v[i], "*") && !http_field_name_valid(l->v[i]))
            diag_at(d->diags, DIAG_BadValue, istio_item(c->node, field, i), NULL, "\"" STR_FMT "\" is no header name",
                    STR_ARG(l->v[i]));
}

void istio_cors_check(struct decoder *d, void *obj)
{
    static const char *const METHODS[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"};
    struct istio_cors *c = obj;
    for (size_t i = 0; i < c->allow_origins.n; i++)
        istio_string_match_check(d, &c->allow_origins.v[i], ISTIO_SM_REQUIRED);
    for (size_t i = 0; i < c->allow_methods.n; i++) {
        bool known = false;
        for (size_t k = 0; k < ARRAY_LEN(METHODS) && !known; k++)
            known = str_eqc(c->allow_methods.v[i], METHODS[k]);
        if (!known)
            diag_at(d->diags, DIAG_BadValue, istio_item(c->node, "allowMethods", i), "capitals: GET, POST ...",
                    "\"" STR_FMT "\" is no method", STR_ARG(c->allow_methods.v[i]));
    }
    cors_names_check(d, c, "allowHeaders", &c->allow_headers);
    cors_names_check(d, c, "exposeHeaders", &c->expose_headers);
    if (c->max_age.ms % 1000)
        bad(d, c->node, "maxAge", "whole seconds only");
}

/* ---- the rule ---------------------------------------------------------------------------------------------- */

static void exclusive(struct decoder *d, const struct istio_http_rule *r, const char *one, const char *const *others)
{
    if (!istio_get(r->node, one))
        return;
    for (; *others; others++) {
        const struct node *v = istio_get(r->node, *others);
        if (v && v->type != NODE_NULL && !(v->type == NODE_LIST && v->n_kids == 0))
            diag_at(d->diags, DIAG_Exclusive, v, NULL, "not possible together with %s", one);
    }
}

static bool sets_host(const struct istio_headers *h)
{
    if (!h || !h->request)
        return false;
    for (size_t i = 0; i < h->request->set.n; i++)
        if (istio_is_host_header(h->request->set.v[i].key))
            return true;
    for (size_t i = 0; i < h->request->add.n; i++)
        if (istio_is_host_header(h->request->add.v[i].key))
            return true;
    return false;
}

static void actions_check(struct decoder *d, const struct istio_http_rule *r)
{
    static const char *const REDIRECT_NOT[] = {"route", "fault", "rewrite", "directResponse", NULL};
    static const char *const DIRECT_NOT[] = {"route", "fault", "rewrite", NULL};
    static const char *const DELEGATE_NOT[] = {"route", "redirect", NULL};
    exclusive(d, r, "redirect", REDIRECT_NOT);
    exclusive(d, r, "directResponse", DIRECT_NOT);
    exclusive(d, r, "delegate", DELEGATE_NOT);
    if (r->route.n == 0 && !r->redirect && !r->direct && !r->delegate)
        diag_at(d->diags, DIAG_Required, r->node, NULL, "a rule needs route, redirect or directResponse");
}

void istio_http_rule_check(struct decoder *d, void *obj)
{
    const struct istio_http_rule *r = obj;
    actions_check(d, r);
    uint64_t sum = 0;
    for (size_t i = 0; i < r->route.n; i++)
        sum += (uint64_t)r->route.v[i].weight.v;
    if (r->route.n > 1 && sum == 0)
        diag_at(d->diags, DIAG_BadValue, istio_at(r->node, "route"), "give each destination a weight",
                "all weights are 0: no destination would get a request");
    if (r->mirror && r->mirrors.n)
        diag_at(d->diags, DIAG_Exclusive, istio_at(r->node, "mirrors"), NULL, "mirror is set already");
    if (r->rewrite && r->rewrite->authority.n && sets_host(r->headers))
        diag_at(d->diags, DIAG_Exclusive, istio_at(r->rewrite->node, "authority"), NULL,
                "headers.request sets Host already");
    if (!r->redirect || !r->redirect->prefix_rewrite.n)
        return;
    for (size_t i = 0; i < r->match.n; i++)
        if (!r->match.v[i].uri || r->match.v[i].uri->type != ISTIO_MATCH_PREFIX)
            diag_at(d->diags, DIAG_BadValue, r->match.v[i].node, "redirect.prefixRewrite needs uri: {prefix: ...} here",
                    "this block has no uri prefix that could be rewritten");
    if (r->match.n == 0)
        bad(d, r->redirect->node, "prefixRewrite", "without a uri prefix in match there is nothing to rewrite");
}
