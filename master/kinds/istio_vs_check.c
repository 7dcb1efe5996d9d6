/*
 * istio_vs_check.c - rules of a VirtualService between fields: the object, its hosts and gateways,
 * destinations and L4 matches (ISTIO-RULES 3.1, 3.5, 3.12). Rules of one http rule: istio_vs_rule.c.
 */
#include "master/kinds/istio_virtual_service.h"
#include "shared/base/arena.h"
#include "shared/base/hash.h"

/* ---- hosts and gateways ------------------------------------------------------------------------ */

static bool all_digits_and_dots(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!ascii_is_digit(s.p[i]) && s.p[i] != '.')
            return false;
    return true;
}

struct seen_hosts {
    struct map exact;    /* host -> number plus one */
    size_t *wild, n_wild; /* numbers of those with '*' */
};

/* A host before number `i` that matches it, or the empty slice; remembers number `i`. */
static struct str overlap(struct seen_hosts *seen, const struct istio_vs_spec *s, size_t i)
{
    struct str h = s->hosts.v[i], other = STR_NONE;
    bool wild = h.n && h.p[0] == '*';
    for (size_t k = 0; wild && k < i && !other.n; k++)
        if (istio_host_matches(s->hosts.v[k], h))
            other = s->hosts.v[k];
    for (size_t k = 0; !wild && k < seen->n_wild && !other.n; k++)
        if (istio_host_covers(s->hosts.v[seen->wild[k]], h))
            other = s->hosts.v[seen->wild[k]];
    if (wild)
        seen->wild[seen->n_wild++] = i;
    else if (map_put(&seen->exact, h, (void *)(uintptr_t)(i + 1)))
        other = h;
    return other;
}

static void hosts_check(struct decoder *d, const struct istio_vs_spec *s, bool mesh)
{
    struct seen_hosts seen = {.wild = arena_new_n(d->arena, size_t, s->hosts.n)};
    map_init(&seen.exact, d->arena);
    for (size_t i = 0; i < s->hosts.n; i++) {
        struct str h = s->hosts.v[i];
        const struct node *at = istio_item(s->node, "hosts", i);
        if (!istio_wildcard_domain_valid(h) && !istio_ip_valid(h)) {
            diag_at(d->diags, DIAG_BadValue, at,
                    str_find(h, STR("://")) >= 0 ? "a host has no scheme"
                    : str_chr(h, '/') >= 0       ? "a host has no path and no namespace"
                    : str_chr(h, ':') >= 0       ? "a host has no port"
                    : all_digits_and_dots(h)     ? "an IPv4 address has four numbers of 0 to 255"
                                                 : "a DNS name; '*' only as the whole first label",
                    "\"" STR_FMT "\" is no host name", STR_ARG(h));
            continue;
        }
        if (str_eqc(h, "*") && mesh)
            diag_at(d->diags, DIAG_BadValue, at, "name a gateway in gateways, or the hosts",
                    "\"*\" is not possible for the mesh");
        else if (istio_host_is_partial_wildcard(h))
            diag_at(d->diags, DIAG_NotServed, at, "write \"*.\" before a domain",
                    "a wildcard that is only part of a label matches nothing here");
        struct str other = overlap(&seen, s, i);
        if (other.n)
            diag_at(d->diags, DIAG_Exclusive, at, "a request must belong to one host of the object",
                    "\"" STR_FMT "\" and \"" STR_FMT "\" overlap", STR_ARG(h), STR_ARG(other));
    }
}

static void gateway_name_check(struct decoder *d, const struct node *at, struct str text)
{
    ptrdiff_t slash = str_chr(text, '/');
    struct str ns = slash < 0 ? STR_NONE : str_head(text, (size_t)slash);
    struct str name = slash < 0 ? text : str_skip(text, (size_t)slash + 1);
    if (slash < 0 && str_chr(text, '.') > 0) {
        if (istio_fqdn_valid(text))
            diag_at(d->diags, DIAG_Deprecated, at, "write namespace/name", "an old spelling of a Gateway's name");
        else
            diag_at(d->diags, DIAG_BadValue, at, NULL, "\"" STR_FMT "\" names no Gateway", STR_ARG(text));
        return;
    }
    if ((slash >= 0 && !str_eqc(ns, ".") && !istio_label_valid(ns)) || !istio_label_valid(name))
        diag_at(d->diags, DIAG_BadValue, at, "name, namespace/name, ./name or mesh",
                "\"" STR_FMT "\" names no Gateway", STR_ARG(text));
}

static void gateway_names_check(struct decoder *d, const struct node *owner, const struct str_list *names)
{
    for (size_t i = 0; i < names->n; i++)
        gateway_name_check(d, istio_item(owner, "gateways", i), names->v[i]);
}

/* ---- destinations -------------------------------------------------------------------------------- */

void istio_destination_check(struct decoder *d, void *obj)
{
    const struct istio_destination *t = obj;
    const struct node *at = istio_at(t->node, "host");
    if (str_eqc(t->host, "*"))
        diag_at(d->diags, DIAG_BadValue, at, NULL, "\"*\" is no destination");
    else if (t->host.n && !istio_wildcard_domain_valid(t->host) && !istio_ip_valid(t->host))
        diag_at(d->diags, DIAG_BadValue, at,
                str_chr(t->host, ':') >= 0 ? "the port stands in port.number" : "a name of a service",
                "\"" STR_FMT "\" is no host name", STR_ARG(t->host));
}

static void l4_weights_check(struct decoder *d, const struct istio_l4_rule *r)
{
    int64_t sum = 0;
    for (size_t i = 0; i < r->route.n; i++)
        sum += r->route.v[i].weight.v;
    if (r->route.n > 1 && sum == 0)
        diag_at(d->diags, DIAG_BadValue, istio_at(r->node, "route"), NULL, "all weights are 0");
}

/* ---- tls and tcp ----------------------------------------------------------------------------------- */

void istio_l4_match_check(struct decoder *d, void *obj)
{
    const struct istio_l4_match *m = obj;
    for (size_t i = 0; i < m->destination_subnets.n; i++)
        if (!istio_cidr_valid(m->destination_subnets.v[i]))
            diag_at(d->diags, DIAG_BadValue, istio_item(m->node, "destinationSubnets", i), "10.0.0.0/8, or an address",
                    "\"" STR_FMT "\" is no address range", STR_ARG(m->destination_subnets.v[i]));
    gateway_names_check(d, m->node, &m->gateways);
}

static struct str lower(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);
    for (size_t i = 0; i < s.n; i++)
        p[i] = ascii_lower(s.p[i]);
    return str_of(p, s.n);
}

static bool within_hosts(struct decoder *d, const struct istio_vs_spec *s, struct str sni)
{
    sni = lower(d->arena, sni);
    for (size_t i = 0; i < s->hosts.n; i++)
        if (istio_host_covers(lower(d->arena, s->hosts.v[i]), sni))
            return true;
    return false;
}

static void sni_check(struct decoder *d, const struct istio_vs_spec *s, const struct istio_l4_match *m)
{
    for (size_t i = 0; i < m->sni_hosts.n; i++) {
        struct str h = m->sni_hosts.v[i];
        const struct node *at = istio_item(m->node, "sniHosts", i);
        /* "outbound_.443_._.host": the form by which mesh gateways pass names on. */
        bool outbound = str_starts(h, STR("outbound_."));
        if (istio_ip_valid(h))
            diag_at(d->diags, DIAG_Suspicious, at, NULL, "clients send no SNI for an IP address");
        else if (!outbound && !istio_wildcard_domain_valid(h))
            diag_at(d->diags, DIAG_BadValue, at, NULL, "\"" STR_FMT "\" is no host name", STR_ARG(h));
        else if (!within_hosts(d, s, h))
            diag_at(d->diags, DIAG_BadValue, at, "add it to hosts", "\"" STR_FMT "\" lies outside the hosts of the object",
                    STR_ARG(h));
    }
}

static void l4_check(struct decoder *d, const struct istio_vs_spec *s)
{
    for (size_t i = 0; i < s->tls.n; i++) {
        l4_weights_check(d, &s->tls.v[i]);
        for (size_t k = 0; k < s->tls.v[i].match.n; k++)
            sni_check(d, s, &s->tls.v[i].match.v[k]);
    }
    for (size_t i = 0; i < s->tcp.n; i++)
        l4_weights_check(d, &s->tcp.v[i]);
}

/* ---- the object -------------------------------------------------------------------------------------- */

static void delegate_check(struct decoder *d, const struct istio_vs_spec *s)
{
    static const char *const MUST_BE_EMPTY[] = {"gateways", "tls", "tcp"};
    for (size_t i = 0; i < ARRAY_LEN(MUST_BE_EMPTY); i++) {
        const struct node *v = istio_get(s->node, MUST_BE_EMPTY[i]);
        if (v && v->n_kids)
            diag_at(d->diags, DIAG_Exclusive, v, "hosts is empty, so other objects delegate to this one",
                    "\"%s\" is not possible without hosts", MUST_BE_EMPTY[i]);
    }
    for (size_t i = 0; i < s->http.n; i++)
        if (s->http.v[i].delegate)
            diag_at(d->diags, DIAG_Exclusive, s->http.v[i].delegate->node, NULL,
                    "an object without hosts is a delegate and can't delegate itself");
}

static void claims_check(struct decoder *d, const struct istio_http_match *m)
{
    for (int part = 0; part < 2; part++) {
        size_t n = part ? m->without_headers.n : m->headers.n;
        const struct istio_string_match *v = part ? m->without_headers.v : m->headers.v;
        for (size_t i = 0; i < n; i++)
            if (istio_is_claim(node_key(v[i].node)))
                diag_at(d->diags, DIAG_BadValue, v[i].node, "name a gateway in gateways",
                        "claims of a token can be matched at gateways only");
    }
}

void istio_vs_check(struct decoder *d, void *obj)
{
    struct istio_vs_spec *s = obj;
    bool mesh = s->gateways.n == 0, gateway = false;
    for (size_t i = 0; i < s->gateways.n; i++) {
        bool is_mesh = str_eqc(s->gateways.v[i], "mesh");
        mesh |= is_mesh;
        gateway |= !is_mesh;
    }
    hosts_check(d, s, mesh);
    gateway_names_check(d, s->node, &s->gateways);
    for (size_t i = 0; i < s->http.n; i++) {
        for (size_t k = 0; k < s->http.v[i].match.n; k++) {
            const struct istio_http_match *m = &s->http.v[i].match.v[k];
            gateway_names_check(d, m->node, &m->gateways);
            if (!gateway && s->hosts.n)
                claims_check(d, m);
        }
    }
    if (s->hosts.n == 0)
        delegate_check(d, s);
    if (s->http.n + s->tls.n + s->tcp.n == 0)
        diag_at(d->diags, DIAG_Required, s->node, NULL, "one of http, tls and tcp must have a rule");
    l4_check(d, s);
    istio_export_check(d, s->node, &s->export_to, 0);
    istio_vs_lint(d, s);
}
