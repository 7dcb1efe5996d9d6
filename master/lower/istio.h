/*
 * istio.h - what the Istio files of this room share.
 *
 *   istio_gateway.c   Gateways -> binds, listeners; which server accepts which hosts
 *   istio_vs.c        VirtualServices -> virtual hosts and candidates (binding rules, ISTIO-RULES 3.1, 3.2)
 *   istio_delegate.c  the http rules of an object, those of its delegates among them
 *   istio_rule.c      one http rule -> model_rule
 *   istio_match.c     one match block -> model_match
 *   istio_backend.c   destination hosts -> clusters
 *   istio_status.c    conditions of all of them
 *
 * Everything lives in the arena of the load. Host names here are lower case.
 */
#ifndef GH_LOWER_ISTIO_H
#define GH_LOWER_ISTIO_H

#include "master/kinds/istio_gateway.h"
#include "master/kinds/istio_service_entry.h"
#include "master/kinds/istio_virtual_service.h"
#include "master/lower/lower.h"

/* Why something is not programmed; the words are those of the conditions in the status. */
enum istio_state {
#define X(name, text) ISTIO_##name,
#include "master/lower/istio_state.def"
#undef X
};

struct istio_gw;
struct istio_server_state {
    struct istio_gw *gw;
    const struct istio_server *server;
    uint32_t index;                  /* in spec.servers */
    uint16_t port;                   /* as written; what match.port is compared with */
    struct model_listener *listener; /* NULL: not served, see state */
    enum istio_state state;
    struct str detail;               /* of the state, a sentence; may be empty */
    struct { struct istio_server_host *v; size_t n, cap; } hosts;
    struct map exact;                /* host -> number plus one in hosts of the first with that name */
    size_t *next_same;               /* number plus one of the next with the same name */
    struct { size_t *v; size_t n, cap; } wild; /* numbers of the wildcards in hosts */
};

struct istio_gw {
    const struct object *object;
    const struct istio_gateway_spec *spec;
    struct str id; /* "ns/name" */
    bool selected; /* by this instance's labels */
    struct istio_server_state *servers;
    size_t n_servers;
};

struct istio_vs {
    const struct object *object;
    const struct istio_vs_spec *spec;
    enum istio_state state;
    struct { struct str *v; size_t n, cap; } bound; /* ids of Gateways that use it */
    size_t n_missing;     /* Gateways that do not exist */
    size_t n_unresolved;  /* destinations in no registry */
    size_t n_entries;     /* candidates made */
};

struct istio_se_ref { /* one host of one ServiceEntry */
    const struct object *object;
    const struct istio_se_spec *spec;
    struct istio_se_ref *next; /* same host, in object order */
};

struct istio_work {
    struct map gateways; /* id -> struct istio_gw */
    struct { struct istio_gw **v; size_t n, cap; } gw;
    struct { struct istio_vs **v; size_t n, cap; } vs;
    struct map entries;  /* host -> struct istio_se_ref, the oldest */
    bool entries_read;
    struct map delegates;  /* id of an object to which a rule delegates -> not NULL */
    struct map gapi_hosts; /* address of the model_host -> itself */
    bool gapi_hosts_read;
};

struct istio_work *istio_work(struct lower *l); /* makes it at the first call */

/* ---- istio_gateway.c ---- */

/*
 * Names in which the server's hosts that namespace `ns` may use and `host` meet (3.1): calls `fn` once for
 * each. Returns how many.
 */
typedef void istio_meet_fn(void *ctx, struct str name);
size_t istio_server_meets(const struct istio_server_state *s, struct str ns, struct str host,
                          istio_meet_fn *fn, void *ctx);

/* ---- istio_delegate.c ---- */

struct istio_rule_ref {
    const struct istio_http_rule *rule; /* a delegate's is a joined copy */
    const struct object *owner;         /* where it is written; names are resolved in its namespace */
    size_t index;                       /* of the rule of the root object: its place in the order */
    struct str id;                      /* "ns/name/0", "ns/name/0/delegate-ns/delegate/1" */
    struct str section;                 /* "http[0]", in its owner */
};
struct istio_rules { struct istio_rule_ref *v; size_t n, cap; };
/* All that apply, in order. */
void istio_rules(struct lower *l, const struct object *o, const struct istio_vs_spec *spec, struct istio_rules *out);

/* ---- istio_match.c ---- */

/* Does the block apply at this server (port, gateways, sourceLabels, sourceNamespace)? */
bool istio_match_in_context(const struct lower *l, const struct istio_http_match *m, struct str own_ns,
                            const struct istio_server_state *s);
/* NULL: the block can never match in this release (a finding has said so). `m` NULL: everything. */
struct model_match *istio_match(struct lower *l, const struct istio_rule_ref *r, const struct istio_http_match *m);

/* ---- istio_rule.c ---- */

/* Does the cluster of a destination depend on the port of the server (no port given, several ports)? */
bool istio_rule_needs_port(struct lower *l, const struct istio_rule_ref *r);
/* `port` is that of the server, for destinations without one; `suffix` goes behind the key. */
struct model_rule *istio_rule(struct lower *l, const struct istio_rule_ref *r, uint16_t port, struct str suffix);

/* ---- istio_backend.c ---- */

struct istio_target {
    const struct object *service;     /* one of the two, or none */
    const struct istio_se_ref *entry;
    struct str host;                  /* fully qualified, lower case */
    uint16_t port;                    /* resolved; 0 when it could not be */
    bool ambiguous;                   /* no port was given and there are several */
    enum backend_problem problem;
};
/* Looks in the registries; makes nothing. `port` 0: the only one, else `fallback_port` if the service has it. */
struct istio_target istio_target(struct lower *l, struct str host, uint16_t port, uint16_t fallback_port,
                                 struct str from_ns);
/* "name" -> "name.<ns>.svc.<domain>", lower case; others only lower case, without the trailing dot. */
struct str istio_fqdn(struct lower *l, struct str host, struct str ns);

/* ---- small things ---- */

struct str istio_lower(struct arena *a, struct str s);
/* Lower case, without a trailing dot. */
struct str istio_host_canonical(struct arena *a, struct str s);

#endif
