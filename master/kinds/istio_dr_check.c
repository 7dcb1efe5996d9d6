/*
 * istio_dr_check.c - rules of a DestinationRule between fields (ISTIO-RULES 4.2 to 4.8).
 */
#include "master/kinds/istio_credential.h"
#include "master/kinds/istio_destination_rule.h"
#include "shared/base/arena.h"
#include "shared/base/hash.h"

static bool is_set(const struct node *n, const char *name)
{
    const struct node *v = istio_get(n, name);
    return v && v->type != NODE_NULL;
}

/* Both are written: an error at the second. */
static void exclusive(struct decoder *d, const struct node *n, const char *one, const char *two)
{
    if (is_set(n, one) && is_set(n, two))
        diag_at(d->diags, DIAG_Exclusive, istio_at(n, two), NULL, "%s is set already", one);
}

/* ---- loadBalancer ------------------------------------------------------------------------------------ */

static bool is_prime(int64_t n)
{
    if (n < 2 || n % 2 == 0)
        return n == 2;
    for (int64_t i = 3; i * i <= n; i += 2)
        if (n % i == 0)
            return false;
    return true;
}

static void cookie_check(struct decoder *d, const struct istio_hash_cookie *c)
{
    for (size_t i = 1; c && i < c->attributes.n && i < 64; i++)
        for (size_t k = 0; k < i; k++)
            if (str_eq(c->attributes.v[i].name, c->attributes.v[k].name)) {
                diag_at(d->diags, DIAG_BadValue, c->attributes.v[i].node, NULL, "attribute %s stands twice",
                        diag_quote(d->arena, c->attributes.v[i].name));
                break;
            }
}

void istio_hash_check(struct decoder *d, void *obj)
{
    static const char *const KEYS[] = {"httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"};
    const struct istio_consistent_hash *h = obj;
    const char *first = NULL;
    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++) {
        if (!is_set(h->node, KEYS[i]))
            continue;
        if (first)
            diag_at(d->diags, DIAG_Exclusive, istio_at(h->node, KEYS[i]), NULL, "%s is the key already", first);
        first = first ? first : KEYS[i];
    }
    if (!first)
        diag_at(d->diags, DIAG_Required, h->node, NULL,
                "one of httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName is required");
    cookie_check(d, h->cookie);
    exclusive(d, h->node, "ringHash", "maglev");
    exclusive(d, h->node, "ringHash", "minimumRingSize");
    exclusive(d, h->node, "maglev", "minimumRingSize");
    if (h->maglev && (h->maglev->table_size.v >= 5000011 || !is_prime(h->maglev->table_size.v)))
        diag_at(d->diags, DIAG_BadValue, istio_at(h->maglev->node, "tableSize"), "65537, for instance",
                "the size of a maglev table is a prime number below 5000011");
}

static void distribute_check(struct decoder *d, const struct istio_distribute *x)
{
    int64_t sum = 0;
    const struct node *to = x->to;
    if (!to || to->type != NODE_MAP || to->n_kids == 0) {
        diag_at(d->diags, DIAG_Required, to ? to : x->node, NULL, "\"to\" is a map of localities and their weights");
        return;
    }
    for (size_t i = 0; i < to->n_kids; i++) {
        const struct node *w = to->kids[i];
        ptrdiff_t star = str_chr(node_key(w), '*');
        if (w->type != NODE_INT || node_int(w) < 1 || node_int(w) > 100)
            diag_at(d->diags, DIAG_OutOfRange, w, NULL, "a weight is a number of 1 to 100");
        else
            sum += node_int(w);
        if (star >= 0 && (size_t)star + 1 != node_key(w).n)
            diag_at(d->diags, DIAG_BadValue, w, NULL, "'*' is only possible at the end of a locality");
    }
    if (sum != 100)
        diag_at(d->diags, DIAG_BadValue, to, NULL, "the weights make %lld, not 100", (long long)sum);
}

void istio_locality_lb_check(struct decoder *d, void *obj)
{
    const struct istio_locality_lb *l = obj;
    for (size_t i = 0; i < l->distribute.n; i++)
        distribute_check(d, &l->distribute.v[i]);
    for (size_t i = 0; i < l->failover.n; i++) {
        const struct istio_failover *f = &l->failover.v[i];
        if (!f->from.n || !f->to.n || str_eq(f->from, f->to))
            diag_at(d->diags, DIAG_BadValue, f->node, NULL, "from and to are two different regions");
        else if (str_chr(f->from, '/') >= 0 || str_chr(f->to, '/') >= 0 || str_chr(f->from, '*') >= 0 || str_chr(f->to, '*') >= 0)
            diag_at(d->diags, DIAG_BadValue, f->node, NULL, "a region has no '/' and no '*'");
    }
}

void istio_lb_check(struct decoder *d, void *obj)
{
    const struct istio_load_balancer *l = obj;
    const struct node *at = istio_at(l->node, "simple");
    exclusive(d, l->node, "simple", "consistentHash");
    exclusive(d, l->node, "localityLbSetting", "zoneAwareLbSetting");
    exclusive(d, l->node, "warmup", "warmupDurationSecs");
    if (l->simple == ISTIO_LB_PASSTHROUGH)
        diag_at(d->diags, DIAG_NotServed, at, "the load balancer of the instance is used",
                "connecting to where the client wanted to go is not served yet");
    if (l->warmup && l->warmup->aggression.set && l->warmup->aggression.v <= 0)
        diag_at(d->diags, DIAG_OutOfRange, istio_at(l->warmup->node, "aggression"), NULL, "must be greater than 0");
}

/* ---- connectionPool, outlierDetection ------------------------------------------------------------------ */

void istio_pool_http_check(struct decoder *d, void *obj)
{
    const struct istio_pool_http *h = obj;
    if (h->client_protocol.v && h->upgrade == ISTIO_H2_UPGRADE)
        diag_at(d->diags, DIAG_Exclusive, istio_at(h->node, "useClientProtocol"), NULL, "h2UpgradePolicy chooses HTTP/2 already");
}

void istio_pool_check(struct decoder *d, void *obj)
{
    const struct istio_pool *p = obj;
    if (!p->tcp && !p->http)
        diag_at(d->diags, DIAG_Required, p->node, NULL, "one of tcp and http is required");
}

void istio_outlier_check(struct decoder *d, void *obj)
{
    const struct istio_outlier *o = obj;
    if (o->local_failures.v > 0 && !o->split.v)
        diag_at(d->diags, DIAG_Exclusive, istio_at(o->node, "consecutiveLocalOriginFailures"),
                "splitExternalLocalOriginErrors: true", "failures to connect are not counted apart");
}

/* ---- tls --------------------------------------------------------------------------------------------------- */

static void forbid(struct decoder *d, const struct node *n, const char *const *fields, const char *why)
{
    for (; *fields; fields++)
        if (is_set(n, *fields))
            diag_at(d->diags, DIAG_Exclusive, istio_at(n, *fields), NULL, "%s", why);
}

static void credential_check(struct decoder *d, const struct istio_client_tls *t)
{
    static const char *const FILES[] = {"clientCertificate", "privateKey", "caCertificates", "caCrl", NULL};
    const struct node *at = istio_at(t->node, "credentialName");
    struct istio_credential c = istio_credential_parse(t->credential_name);
    istio_credential_check(d, at, t->credential_name, t->mode == ISTIO_CLIENT_MUTUAL ? ISTIO_CREDENTIAL_PAIR : ISTIO_CREDENTIAL_CA);
    if (c.kind == ISTIO_CREDENTIAL_CONFIG_MAP && !str_eq(c.ns, istio_own_namespace(t->node)))
        diag_at(d->diags, DIAG_BadValue, at, NULL, "the ConfigMap must be in the namespace of the object");
    forbid(d, t->node, FILES, "credentialName gives the certificates already");
}

void istio_client_tls_check(struct decoder *d, void *obj)
{
    static const char *const ALL[] = {"clientCertificate", "privateKey", "caCertificates", "caCrl", "credentialName", NULL};
    static const char *const VERIFYING[] = {"caCertificates", "subjectAltNames", NULL};
    static const char *const NAMED[] = {"credentialName", NULL};
    const struct istio_client_tls *t = obj;
    if (t->mode == ISTIO_CLIENT_ISTIO_MUTUAL) {
        forbid(d, t->node, ALL, "mode ISTIO_MUTUAL uses the instance's own certificate");
    } else if (t->mode != ISTIO_CLIENT_DISABLE) {
        if (t->credential_name.n)
            credential_check(d, t);
        else if (t->mode == ISTIO_CLIENT_MUTUAL && (!t->client_certificate.n || !t->private_key.n))
            diag_at(d->diags, DIAG_Required, t->node, "or a Secret in credentialName", "mode MUTUAL needs %s",
                    t->client_certificate.n ? "privateKey" : "clientCertificate");
        if (t->mode == ISTIO_CLIENT_SIMPLE && (t->client_certificate.n || t->private_key.n))
            diag_at(d->diags, DIAG_Ignored, istio_at(t->node, t->client_certificate.n ? "clientCertificate" : "privateKey"),
                    "mode: MUTUAL", "mode SIMPLE shows no certificate");
    }
    if (!t->insecure.v)
        return;
    forbid(d, t->node, VERIFYING, "insecureSkipVerify verifies nothing");
    if (t->mode == ISTIO_CLIENT_SIMPLE)
        forbid(d, t->node, NAMED, "insecureSkipVerify verifies nothing");
    if (t->mode != ISTIO_CLIENT_DISABLE)
        diag_at(d->diags, DIAG_Suspicious, istio_at(t->node, "insecureSkipVerify"), "caCertificates names a private CA",
                "anybody can answer in the service's place");
}

void istio_tunnel_check(struct decoder *d, void *obj)
{
    const struct istio_tunnel *t = obj;
    if (t->protocol.n && !str_eqc(t->protocol, "CONNECT") && !str_eqc(t->protocol, "POST"))
        diag_at(d->diags, DIAG_BadValue, istio_at(t->node, "protocol"), "CONNECT or POST", "%s can't make a tunnel",
                diag_quote(d->arena, t->protocol));
    if (t->target_host.n && !istio_fqdn_valid(t->target_host) && !istio_ip_valid(t->target_host))
        diag_at(d->diags, DIAG_BadValue, istio_at(t->node, "targetHost"), NULL, "%s is neither an address nor a host name",
                diag_quote(d->arena, t->target_host));
}

/* ---- policies -------------------------------------------------------------------------------------------------- */

static void ports_check(struct decoder *d, const struct istio_traffic_policy *p)
{
    static const char *const MEMBERS[] = {"loadBalancer", "connectionPool", "outlierDetection", "tls", NULL};
    for (size_t i = 0; i < p->ports.n; i++) {
        const struct istio_port_policy *x = &p->ports.v[i];
        if (!istio_any(x->node, MEMBERS))
            diag_at(d->diags, DIAG_Required, x->node, NULL, "one of loadBalancer, connectionPool, outlierDetection and tls is required");
        for (size_t k = 0; x->port && k < i && k < 64; k++)
            if (p->ports.v[k].port && p->ports.v[k].port->number.v == x->port->number.v)
                diag_at(d->diags, DIAG_Ignored, istio_at(x->port->node, "number"), NULL,
                        "port %lld has settings already, and the first ones count", (long long)x->port->number.v);
    }
}

static void policy_check(struct decoder *d, const struct istio_traffic_policy *p)
{
    static const char *const MEMBERS[] = {"loadBalancer",  "connectionPool", "outlierDetection", "tls", "portLevelSettings",
                                          "proxyProtocol", "tunnel",         "retryBudget",      NULL};
    if (!p)
        return;
    if (!istio_any(p->node, MEMBERS))
        diag_at(d->diags, DIAG_Required, p->node, "leave it out", "a traffic policy says something");
    exclusive(d, p->node, "tunnel", "proxyProtocol");
    ports_check(d, p);
}

static void subsets_check(struct decoder *d, const struct istio_dr_spec *s)
{
    struct map seen;
    map_init(&seen, d->arena);
    for (size_t i = 0; i < s->subsets.n; i++) {
        const struct istio_subset *x = &s->subsets.v[i];
        policy_check(d, x->policy);
        if (!x->name.n)
            continue;
        uintptr_t first = (uintptr_t)map_get(&seen, x->name);
        if (first)
            diag_at(d->diags, DIAG_BadValue, istio_at(x->node, "name"), NULL, "name \"" STR_FMT "\" is that of subsets[%zu]",
                    STR_ARG(x->name), (size_t)first - 1);
        else
            map_put(&seen, x->name, (void *)(uintptr_t)(i + 1));
    }
}

static void selector_check(struct decoder *d, const struct istio_dr_spec *s)
{
    if (!s->selector)
        return;
    istio_selector_check(d, s->selector->node, "matchLabels", &s->selector->labels);
    for (size_t i = 0; i < s->export_to.n; i++)
        if (!str_eqc(s->export_to.v[i], ".") && !str_eq(s->export_to.v[i], istio_own_namespace(s->node)))
            diag_at(d->diags, DIAG_BadValue, istio_item(s->node, "exportTo", i), "\".\"",
                    "a rule with workloadSelector counts in its own namespace only");
}

void istio_dr_check(struct decoder *d, void *obj)
{
    const struct istio_dr_spec *s = obj;
    const struct node *at = istio_at(s->node, "host");
    if (s->host.n && !istio_wildcard_domain_valid(s->host))
        diag_at(d->diags, DIAG_BadValue, at, str_chr(s->host, ':') >= 0 ? "ports stand in portLevelSettings" : "the name of a service",
                "%s is no host name", diag_quote(d->arena, s->host));
    else if (istio_host_is_partial_wildcard(s->host))
        diag_at(d->diags, DIAG_NotServed, at, "write \"*.\" before a domain",
                "a wildcard that is only part of a label matches nothing here");
    policy_check(d, s->policy);
    subsets_check(d, s);
    selector_check(d, s);
    istio_export_check(d, s->node, &s->export_to, 0);
}
