/*
 * gapi.h - what the Gateway API files of this room keep between their steps.
 *
 * gapi_class.c    GatewayClasses: which are ours, which are accepted
 * gapi_gateway.c  Gateways: addresses, listeners, conflicts -> binds and listeners of the model
 * gapi_attach.c   one HTTPRoute: which listeners accept it for which hosts
 * gapi_rule.c     its rules: matches, filters, time-outs, retries as parts of the model
 * gapi_backend.c  its backendRefs: kind, grant, Service, port
 * gapi_route.c    all HTTPRoutes: puts these together, writes their status
 * gapi_status.c   status of classes and Gateways, when everything else is known
 */
#ifndef GH_LOWER_GAPI_H
#define GH_LOWER_GAPI_H

#include "master/kinds/gapi_gateway.h"
#include "master/kinds/gapi_http_route.h"
#include "master/lower/lower.h"
#include "master/lower/status.h"

#define GAPI_RULES_MAX   16 /* of an HTTPRoute; the tables' limits */
#define GAPI_MATCHES_MAX 64

/* A verdict: reason NULL = fine. Reasons are the API's CamelCase words. */
struct gapi_fault {
    const char *reason;
    struct str message;
};

struct gapi_class {
    struct object *object; /* NULL: one of the classes that exist without an object */
    struct str name, controller;
    struct gapi_fault fault; /* Accepted=False */
};

struct gapi_gw;
struct gapi_gw_listener {
    struct gapi_gw *gw;
    const struct gapi_listener *spec;
    enum gapi_protocol protocol;
    struct gapi_fault refused; /* Accepted=False */
    bool conflicted;           /* `refused` is a conflict */
    struct gapi_fault refs;    /* ResolvedRefs=False */
    bool http_routes;          /* HTTPRoute may attach: also listed in supportedKinds */
    struct {
        struct model_listener **v;
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
};

/* One (listener, host) that serves the route. */
struct gapi_place {
    struct model_listener *leader;
    struct str host, route_hostname;
};
struct gapi_places {
    struct gapi_place *v;
    size_t n, cap;
};

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
    uint64_t *placed;    /* by that number: serial of the route whose hosts it got last */
    uint64_t serial;     /* of the route at hand, from 1 */
    struct gapi_places places;             /* of the route at hand */
    uint64_t fitting;                      /* bit per hostname of it: fits a listener */
    unsigned n_hints;                      /* costly hints given so far; see gapi_backend.c */
    struct str rule_words[GAPI_RULES_MAX]; /* "rules[0]", made when first asked for */
    struct str match_words[GAPI_RULES_MAX][GAPI_MATCHES_MAX]; /* "rules[0].matches[1]" */
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

/* ---- gapi_attach.c --------------------------------------------------------------------------- */

/* The Gateway of a parentRef, or NULL with a finding: nothing is written for it (section 4, step
 * 1). */
struct gapi_gw *gapi_parent(struct lower *l, const struct object *route,
                            const struct gapi_parent_ref *ref);
/* Steps 2 to 4 of section 4 for one parentRef. With `count` the accepting listeners are counted and
 * the route's hosts on them added to l->gapi->places. */
struct gapi_fault gapi_attach(struct lower *l, const struct object *route,
                              const struct gapi_http_route_spec *spec, struct gapi_gw *gw,
                              const struct gapi_parent_ref *ref, bool count);

/* ---- gapi_rule.c, gapi_backend.c ------------------------------------------------------------- */

/* What was found while the rules of a route were looked at. */
struct gapi_findings {
    struct gapi_fault refs;        /* ResolvedRefs=False: the first cause in document order */
    struct gapi_fault unsupported; /* the first rule that can't be served as it is written */
    size_t n_unsupported;          /* rules of that sort: they answer 500 */
};

/* Section 4, step 5, and ResolvedRefs, without making anything: for routes that may not be
 * accepted. */
void gapi_judge_rules(struct lower *l, const struct object *o,
                      const struct gapi_http_route_spec *spec, struct gapi_findings *found);
/* Rule number `i`; r NULL = the rule that a route without rules has. */
struct model_rule *gapi_make_rule(struct lower *l, const struct object *o,
                                  const struct gapi_http_rule *r, size_t i);
/* Match number `j` of it; a rule without matches has one. */
struct model_match *gapi_make_match(struct lower *l, const struct object *o,
                                    const struct gapi_http_rule *r, size_t i, size_t j);

/* Where a backendRef leads. `why` is BACKEND_OK, or the cluster can't be used. */
enum backend_problem gapi_backend_problem(struct lower *l, const struct object *o,
                                          const struct gapi_backend_ref *b);
struct model_cluster *gapi_backend_cluster(struct lower *l, const struct object *o,
                                           const struct gapi_backend_ref *b);
/* The condition for a problem, and the finding that tells the user; `effect` is what comes of it.
 */
struct gapi_fault gapi_backend_fault(struct lower *l, const struct object *o,
                                     const struct gapi_backend_ref *b,
                                     enum backend_problem why, const char *effect);
/* "ns/name:port" */
struct str gapi_backend_name(struct lower *l, const struct object *o,
                             const struct gapi_backend_ref *b);

#endif
