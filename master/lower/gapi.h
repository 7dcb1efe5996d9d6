/*
 * gapi.h - what the Gateway API files of this room keep between their steps.
 *
 * gapi_class.c     GatewayClasses: which are ours, which are accepted
 * gapi_gateway.c   Gateways: classes, addresses, annotations; the order of what follows
 * gapi_listener.c  their listeners: kinds, conflicts -> binds, listeners and chains of the model
 * gapi_tls.c       certificates, client certificates and options of a listener; the certificate for backends
 * gapi_attach.c    one route of any kind: which listeners accept it for which hosts
 * gapi_claim.c     HTTPRoute or GRPCRoute: who has a host of a listener
 * gapi_rule.c      rules of HTTP and gRPC: filters, time-outs, retries, splits as parts of the model
 * gapi_match.c     their matches
 * gapi_backend.c   backendRefs: kind, grant, Service, port, protocol
 * gapi_policy.c    BackendTLSPolicies: which is for which port, what it says, their status
 * gapi_overlap.c   OverlappingTLSConfig
 * gapi_stream.c    TLSRoutes, TCPRoutes and UDPRoutes become chains and rules of layer 4
 * gapi_route.c     all routes: puts these together, writes their status
 * gapi_status.c    status of classes and Gateways, when everything else is known
 */
#ifndef GH_LOWER_GAPI_H
#define GH_LOWER_GAPI_H

#include "master/kinds/gapi_backend_tls_policy.h"
#include "master/kinds/gapi_gateway.h"
#include "master/kinds/gapi_grpc_route.h"
#include "master/kinds/gapi_http_route.h"
#include "master/kinds/gapi_stream_route.h"
#include "master/lower/lower.h"
#include "master/lower/proxy.h"
#include "master/lower/status.h"

#define GAPI_RULES_MAX     16   /* of a route; the tables' limits */
#define GAPI_MATCHES_MAX   64
#define GAPI_PARENTS_MAX   32
#define GAPI_HOSTNAMES_MAX 1024 /* of a TLSRoute */

/* A verdict: reason NULL = fine. Reasons are the API's CamelCase words. */
struct gapi_fault {
    const char *reason;
    struct str message;
};

/* Kinds of routes, as bits: what a listener takes (3.2). */
enum gapi_takes {
    GAPI_TAKES_HTTP = 1 << 0,
    GAPI_TAKES_GRPC = 1 << 1,
    GAPI_TAKES_TLS = 1 << 2,
    GAPI_TAKES_TCP = 1 << 3,
    GAPI_TAKES_UDP = 1 << 4,
};
#define GAPI_KINDS_OF_ROUTES 5
/* In the order in which supportedKinds lists them. */
struct gapi_kind_row {
    const char *kind;
    enum kind_id id;
    unsigned takes;
};
extern const struct gapi_kind_row GAPI_ROUTE_KINDS[GAPI_KINDS_OF_ROUTES];
/* The bit of a kind of route; of an object. */
unsigned gapi_takes_of(enum kind_id id);

struct gapi_class {
    struct object *object; /* NULL: one of the classes that exist without an object */
    struct str name, controller;
    struct gapi_fault fault; /* Accepted=False */
};

struct gapi_gw;
/* A listener of the model, and who leads its group (merge.h): itself, but for HTTP listeners of several Gateways that
 * share address, port and host name. */
struct gapi_bound {
    struct model_listener *own, *leader;
};

/* TLS of one listener, apart from which certificates go with which server name. */
struct gapi_tls {
    struct model_certs certs;      /* those that can be used, in the order of certificateRefs */
    struct model_tls_server like;  /* what every model_tls_server of the listener says beside its certificates */
    struct { struct model_tls_server **v; size_t n, cap; } servers; /* made so far */
};

/* With whom; NULL = with nobody. See gapi_overlap.c. */
struct gapi_overlap { const char *reason; const struct model_listener *with; };

struct gapi_gw_listener {
    struct gapi_gw *gw;
    const struct gapi_listener *spec;
    enum gapi_protocol protocol;
    bool passthrough;          /* TLS that is not terminated here */
    unsigned takes;            /* enum gapi_takes: also listed in supportedKinds */
    struct gapi_fault refused; /* Accepted=False */
    bool conflicted;           /* `refused` is a conflict */
    struct gapi_fault refs;    /* ResolvedRefs=False */
    /* Its TLS can't be used: connections for it are refused, never served in another way or by another listener
     * (CHAIN_REFUSE). Not programmed; accepted unless `refused` says otherwise. The message says why. */
    struct gapi_fault closed;
    struct gapi_tls tls;
    struct gapi_overlap overlaps; /* OverlappingTLSConfig */
    struct str note;           /* for the message of ResolvedRefs=True; may be empty */
    struct {
        struct gapi_bound *v;
        size_t n, cap;
    } bound;               /* one per address */
    struct map namespaces; /* from: Selector; namespace -> verdict, see gapi_attach.c */
    uint32_t attached;     /* accepted routes */
    uint64_t counted;      /* serial of the route counted last */
};

struct gapi_gw_address {
    struct str text; /* as in status.addresses */
    struct str bind; /* as model_bind wants it: "" = all */
    bool is_static;  /* from spec.addresses */
};

struct gapi_gw {
    struct object *object;
    const struct gapi_gateway_spec *spec;
    const struct gapi_class *class;
    struct gapi_gw_listener *listeners; /* as spec->listeners */
    struct {
        struct gapi_gw_address *v;
        size_t n, cap;
    } addresses;
    bool wants_pool;              /* an address of the pool is to be assigned */
    struct gapi_fault refused;    /* Accepted=False of the whole Gateway */
    struct gapi_fault no_address; /* Programmed=False */
    bool insecure;                /* some listener has validation mode AllowInsecureFallback */
    uint32_t number;                 /* from 1, in object order */
    struct model_cert *backend_cert; /* shown to backends that ask; NULL = none, or not usable (backend_refs) */
    struct gapi_fault backend_refs;  /* ResolvedRefs=False of the Gateway */
    struct proxy_front proxies; /* by its annotations */
};

/* One (listener, host) that serves the route. Host is empty for TCP and UDP. */
struct gapi_place {
    struct gapi_gw_listener *gl;
    struct model_listener *leader; /* as in gapi_bound */
    struct str host, route_hostname;
};
struct gapi_places {
    struct gapi_place *v;
    size_t n, cap;
};

/* A rule of any kind of route, as lowering sees it. */
struct gapi_rule {
    const struct node *node; /* NULL: the rule that an HTTPRoute without rules has */
    struct str name;
    struct gapi_http_filters filters;
    const struct gapi_backend_ref *backends;
    size_t n_backends, n_matches;
    const struct gapi_http_rule *http;
    const struct gapi_grpc_rule *grpc;
};

struct gapi_claims;
struct gapi_policies;
struct gapi_work {
    struct map classes;  /* name -> struct gapi_class, ours only */
    struct map gateways; /* "ns/name" -> struct gapi_gw, of our classes only */
    struct {
        struct gapi_gw **v;
        size_t n, cap;
    } list; /* the same, in object order */
    struct status_writer status;
    struct map unusable; /* addresses that this machine does not have; filled by gapi_status.c */
    struct buf text;     /* scratch for short texts; freed with the status writer */
    uint32_t n_groups;   /* leaders of listener groups are numbered by model_listener.index */
    struct {
        struct gapi_gw_listener **v;
        size_t n, cap;
    } leaders;           /* by that number */
    uint64_t *placed;    /* by that number: serial of the route whose hosts it got last */
    uint64_t serial;     /* of the route at hand, from 1 */
    struct gapi_places places;             /* of the route at hand */
    bool fits[GAPI_HOSTNAMES_MAX];         /* per hostname of it: fits a listener */
    unsigned n_hints;                      /* costly hints given so far; see gapi_backend.c */
    struct str rule_words[GAPI_RULES_MAX]; /* "rules[0]", made when first asked for */
    struct str match_words[GAPI_RULES_MAX][GAPI_MATCHES_MAX]; /* "rules[0].matches[1]" */
    struct model_rule *rules_made[64];     /* scratch of gapi_route.c: by place of the route at hand */
    struct gapi_claims *claims;            /* NULL: routes of one kind only, nothing can clash */
    struct gapi_policies *policies;
    const struct gapi_parent_ref *told;    /* what the last route's status was about, when it had one parent that took it and */
    const struct gapi_gw *told_gw;         /* nothing to complain of; gapi_route.c */
    uint64_t told_serial;                  /* of `status` then */
    struct gapi_known *known;              /* of backends; gapi_backend.c */
    struct model_tls_client **implied;     /* by gapi_gw.number, 0 = without a certificate; gapi_backend.c */
};

/* "ns/name" in `buf`, without touching the arena; empty when it does not fit (no name is that
 * long). */
static inline struct str gapi_key(struct str ns, struct str name, char *buf, size_t size)
{
    if (ns.n + name.n + 1 > size)
        return STR_NONE;
    memcpy(buf, ns.p, ns.n);
    buf[ns.n] = '/';
    memcpy(buf + ns.n + 1, name.p, name.n);
    return str_of(buf, ns.n + 1 + name.n);
}

/* ---- gapi_class.c ---------------------------------------------------------------------------- */
void gapi_classes(struct lower *l);
/* The class of this name, if Gateways of it are ours; else NULL with a finding at `where`. */
const struct gapi_class *gapi_class_of(struct lower *l, struct str name, const struct node *where);
/* A parametersRef must name a ConfigMap that exists in `ns`; shared by GatewayClass and Gateway. */
struct gapi_fault gapi_parameters(struct lower *l, const struct gapi_object_ref *ref,
                                  struct str ns);

/* ---- gapi_listener.c, gapi_tls.c ------------------------------------------------------------- */

/* Judges the listeners of a Gateway: protocols, kinds, TLS, conflicts among themselves. */
void gapi_listeners_judge(struct lower *l, struct gapi_gw *gw);
/* Makes binds, listeners and chains of those that can be. Gateways in their order: the first has a port. */
void gapi_listeners_make(struct lower *l, struct gapi_gw *gw);

/* For listeners of protocol HTTPS and TLS: fills tls, refs, refused, closed. */
void gapi_tls_judge(struct lower *l, struct gapi_gw_listener *gl);
/* tls.backend.clientCertificateRef of the Gateway. */
void gapi_tls_backend(struct lower *l, struct gapi_gw *gw);
/* Do TLS connections to backends differ from those of other Gateways, because a certificate is to be shown? */
bool gapi_tls_shows(const struct gapi_gw *gw);
/* Gives `c` the certificate of `gw` (NULL: of none), or breaks it. */
void gapi_tls_show(const struct gapi_gw *gw, struct model_tls_client *c);
/* Would both listeners serve a connection in the same way? */
bool gapi_tls_same(const struct gapi_gw_listener *a, const struct gapi_gw_listener *b);
/* What the listener offers to clients that ask for `name`: certificates that fit it, else the first. */
struct model_tls_server *gapi_tls_server(struct lower *l, struct gapi_gw_listener *gl, struct str name);
/* The chain `name` of the listener: CHAIN_HTTP for an HTTPS one, CHAIN_TCP or CHAIN_PASSTHROUGH for a TLS one (without
 * its rule), CHAIN_REFUSE when its TLS can't be used. NULL when the bind has one of that name. */
struct model_chain *gapi_tls_chain(struct lower *l, struct gapi_gw_listener *gl, struct model_listener *ml, struct str name);
/* The listener that a listener of the model leads for; NULL when that is none of ours. */
struct gapi_gw_listener *gapi_listener_of(const struct lower *l, const struct model_listener *ml);
/* Fills `overlaps` of all listeners, once all chains are known. */
void gapi_overlaps_judge(struct lower *l);
/* The CA certificates of all references that can be used, as one bundle (empty when there is none), and the first fault. */
struct gapi_ca_reasons { const char *bad_kind, *bad_ref, *effect; };
struct str gapi_tls_ca(struct lower *l, const struct object *owner, const struct gapi_object_ref *refs, size_t n,
                       const struct gapi_ca_reasons *reasons, struct gapi_fault *first);
/* When all chains are made: more of them for names that want another certificate of the listener. */
void gapi_tls_finish(struct lower *l);

/* ---- gapi_attach.c, gapi_claim.c ------------------------------------------------------------- */

/* The Gateway of a parentRef, or NULL with a finding: nothing is written for it (section 4, step
 * 1). */
struct gapi_gw *gapi_parent(struct lower *l, const struct object *route,
                            const struct gapi_parent_ref *ref);
/* Steps 2 to 4 of section 4 for one parentRef. With `count` the accepting listeners are counted and
 * the route's hosts on them added to l->gapi->places. */
struct gapi_fault gapi_attach(struct lower *l, const struct object *route, struct gapi_gw *gw,
                              const struct gapi_parent_ref *ref, bool count);

/* Once, before routes of both kinds are lowered. */
void gapi_claims_init(struct lower *l);
/* The route of the other kind that has hosts of this group which `host` meets; NULL when there is none. */
const struct object *gapi_claimed(const struct lower *l, const struct model_listener *leader, const struct object *route,
                                  struct str host);
void gapi_claim(struct lower *l, const struct model_listener *leader, const struct object *route, struct str host);

/* ---- gapi_rule.c, gapi_match.c, gapi_backend.c, gapi_policy.c -------------------------------- */

/* What was found while the rules of a route were looked at. */
struct gapi_findings {
    struct gapi_fault refs;        /* ResolvedRefs=False: the first cause in document order */
    struct gapi_fault unsupported; /* the first rule that can't be served as it is written */
    size_t n_unsupported;          /* rules of that sort: they answer 500 */
};

/* The rules of a route of any kind; an HTTPRoute or GRPCRoute without rules has one. Returns how many. */
size_t gapi_rule_count(const struct object *o); /* as they are written */
size_t gapi_rules(const struct object *o, struct gapi_rule out[GAPI_RULES_MAX]);
/* Section 4, step 5, and ResolvedRefs, without making anything: for routes that may not be
 * accepted. */
void gapi_judge_rules(struct lower *l, const struct object *o, const struct gapi_rule *rules, size_t n,
                      struct gapi_findings *found);

/* Who sends to a backend, as far as it matters to how that is spoken to. */
struct gapi_use {
    const struct object *route;
    const struct gapi_gw *gw; /* whose certificate is shown; NULL = none */
    bool plain;               /* bytes that are passed on untouched: no BackendTLSPolicy */
};
/* Rule number `i` of an HTTPRoute or GRPCRoute. */
struct model_rule *gapi_make_rule(struct lower *l, const struct gapi_use *use, const struct gapi_rule *r, size_t i);
/* Rule of a TLSRoute, TCPRoute or UDPRoute. */
struct model_rule *gapi_make_stream_rule(struct lower *l, const struct gapi_use *use, const struct gapi_rule *r);
/* Match number `j` of it; a rule without matches has one. */
struct model_match *gapi_make_match(struct lower *l, const struct object *o,
                                    const struct gapi_rule *r, size_t i, size_t j);
/* "rules[0]", "rules[0].matches[1]" */
struct str gapi_rule_word(struct lower *l, size_t i);
struct str gapi_match_word(struct lower *l, size_t i, size_t j);
/* Lengths of service and method that a match names, for precedence (section 11). */
void gapi_grpc_lengths(const struct gapi_rule *r, size_t j, uint16_t *service, uint16_t *method);

/* Where a backendRef leads. BACKEND_OK, or why the cluster can't be used. */
enum backend_problem gapi_backend_problem(struct lower *l, const struct object *o,
                                          const struct gapi_backend_ref *b);
struct model_cluster *gapi_backend_cluster(struct lower *l, const struct gapi_use *use,
                                           const struct gapi_backend_ref *b);
/* Is it spoken to in TLS: does the cluster depend on the Gateway's certificate? */
bool gapi_backend_is_tls(struct lower *l, const struct object *o, const struct gapi_backend_ref *b);
/* The condition for a problem, and the finding that tells the user; `effect` is what comes of it.
 */
struct gapi_fault gapi_backend_fault(struct lower *l, const struct object *o,
                                     const struct gapi_backend_ref *b,
                                     enum backend_problem why, const char *effect);
/* "ns/name:port" */
struct str gapi_backend_name(struct lower *l, const struct object *o,
                             const struct gapi_backend_ref *b);

void gapi_policies(struct lower *l);
struct gapi_policy;
/* The policy for a port (by its name) of Service ns/name, or NULL. */
struct gapi_policy *gapi_policy_of(struct lower *l, struct str ns, struct str service, struct str port_name);
/* What it says, with the certificate of `gw` (may be NULL). */
struct model_tls_client *gapi_policy_client(struct lower *l, struct gapi_policy *p, const struct gapi_gw *gw);
/* A route that `gw` serves uses the Service: the Gateway is an ancestor of its policies. */
void gapi_policy_used(struct lower *l, struct str ns, struct str service, const struct gapi_gw *gw);
void gapi_policy_status(struct lower *l);

/* ---- gapi_stream.c --------------------------------------------------------------------------- */

/* Chains of a TLSRoute, or rules of binds for a TCPRoute or UDPRoute, at its places. */
void gapi_stream_place(struct lower *l, const struct object *o, const struct gapi_rule *r);
/* When all are placed: server names of TLS listeners that no route wants are refused (16.2). */
void gapi_stream_finish(struct lower *l);

#endif
