/*
 * istio.h - what the Istio files of this room share.
 *
 *   istio_gateway.c   Gateways -> binds, listeners; which server accepts which hosts
 *   istio_tls.c       `tls` of servers and DestinationRules -> certificates, CAs, demands; chains of server names
 *   istio_vs.c        VirtualServices -> virtual hosts and candidates (binding rules, ISTIO-RULES 3.1, 3.2)
 *   istio_l4.c        tls and tcp rules, AUTO_PASSTHROUGH -> chains and stream rules (3.12)
 *   istio_delegate.c  the http rules of an object, those of its delegates among them
 *   istio_rule.c      one http rule -> model_rule
 *   istio_match.c     one match block -> model_match
 *   istio_dr.c        which DestinationRule says what of a port or subset (section 4)
 *   istio_backend.c   destination hosts -> clusters
 *   istio_status.c    conditions of all of them
 *
 * Everything lives in the arena of the load. Host names here are lower case.
 */
#ifndef GH_LOWER_ISTIO_H
#define GH_LOWER_ISTIO_H

#include "master/kinds/istio_destination_rule.h"
#include "master/kinds/istio_gateway.h"
#include "master/kinds/istio_service_entry.h"
#include "master/kinds/istio_virtual_service.h"
#include "master/kinds/istio_workload_entry.h"
#include "master/lower/lower.h"
#include "master/lower/proxy.h"

#define ISTIO_WEIGHT_MAX 1000000 /* of an endpoint and of a split; sums stay far below 32 bits */

/* Why something is not programmed; the words are those of the conditions in the status. */
enum istio_state {
#define X(name, text) ISTIO_##name,
#include "master/lower/istio_state.def"
#undef X
};

/* What a server's connections are, and who leads them on (2.1, 2.3). */
enum istio_serves {
    ISTIO_SERVES_HTTP,        /* requests in plain text: http rules */
    ISTIO_SERVES_HTTPS,       /* requests, TLS ends here: http rules */
    ISTIO_SERVES_TLS,         /* bytes, TLS ends here: tcp rules */
    ISTIO_SERVES_PASSTHROUGH, /* TLS that is not touched: tls rules */
    ISTIO_SERVES_AUTO,        /* the same; the server name says the service */
    ISTIO_SERVES_TCP,         /* bytes: tcp rules */
};

struct istio_gw;
struct istio_server_state {
    struct istio_gw *gw;
    const struct istio_server *server;
    uint32_t index;                  /* in spec.servers */
    enum istio_serves serves;
    uint16_t port;                   /* as written; what match.port is compared with */
    struct str address;              /* where it listens, or would: of model_bind */
    uint16_t listen_port;
    bool claimed;                    /* nobody else has the port (or, of TLS, one of the names) */
    struct model_listener *listener; /* NULL: not served, see state */
    enum istio_state state;
    struct str detail;               /* of the state, a sentence; may be empty */
    struct { struct istio_server_host *v; size_t n, cap; } hosts;
    struct map exact;                /* host -> number plus one in hosts of the first with that name */
    size_t *next_same;               /* number plus one of the next with the same name */
    struct { size_t *v; size_t n, cap; } wild; /* numbers of the wildcards in hosts */
    const struct object *stream_of;  /* ISTIO_SERVES_TLS, _TCP: the VirtualService whose tcp rule serves it */
};

struct istio_gw {
    const struct object *object;
    const struct istio_gateway_spec *spec;
    struct str id; /* "ns/name" */
    bool selected; /* by this instance's labels */
    struct proxy_front proxies; /* by its annotations */
    struct istio_server_state *servers;
    size_t n_servers;
};

struct istio_vs {
    const struct object *object;
    const struct istio_vs_spec *spec;
    enum istio_state state;
    struct { struct istio_gw **v; size_t n, cap; } gateways; /* those it names that exist */
    bool visible;         /* exported to this instance */
    struct { struct str *v; size_t n, cap; } bound; /* ids of Gateways that use it */
    size_t n_missing;     /* Gateways that do not exist */
    size_t n_unresolved;  /* destinations in no registry */
    size_t n_entries;     /* candidates made */
    struct { struct model_bind **v; size_t n, cap; } streams; /* binds on which its tls and tcp rules serve */
};

struct istio_se_ref { /* one host of one ServiceEntry */
    const struct object *object;
    const struct istio_se_spec *spec;
    struct istio_se_ref *next; /* same host, in object order */
};

struct istio_dr;      /* istio_dr.c: one DestinationRule */
struct istio_mesh;    /* istio_tls.c: the instance's own identity */
struct istio_workload_ref;

struct istio_work {
    struct map gateways; /* id -> struct istio_gw */
    struct { struct istio_gw **v; size_t n, cap; } gw;
    struct { struct istio_vs **v; size_t n, cap; } vs;
    struct map entries;  /* host -> struct istio_se_ref, the oldest */
    bool entries_read;
    struct map workloads; /* "ns|label=value" -> struct istio_workload_ref, the oldest */
    bool workloads_read;
    struct map rules;     /* "ns|host" -> struct istio_dr, the oldest */
    struct { struct istio_dr **v; size_t n, cap; } dr;
    bool rules_read;
    struct map merged;    /* "ns|host" of a service -> struct istio_dr_merged */
    struct map used;      /* host -> struct istio_used: ports to which rules lead */
    struct istio_mesh *mesh;
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
bool istio_serves_http(const struct istio_server_state *s); /* requests */
/* Its listener, made at the first call; the bind with it. */
struct model_listener *istio_listen(struct lower *l, struct istio_server_state *s);
/* Is it a label of this instance? */
bool istio_has_label(const struct str_map *labels, const struct str_pair *want);

/* ---- istio_tls.c ---- */

/* What a terminating server demands and offers; `alpn` are TLS_ALPN_ bits. NULL when its certificate or CA can't be
 * used: the finding is made, *why gets a sentence. *note is one about what is served in its last good version, or empty. */
struct model_tls_server *istio_server_tls(struct lower *l, const struct istio_server_state *s, uint8_t alpn, struct str *why,
                                          struct str *note);
/* A chain of this server for `name`; NULL and a finding at `at` when another one has the name. */
struct model_chain *istio_chain(struct lower *l, struct istio_server_state *s, struct str name, enum chain_mode mode,
                                const struct node *at);
/* Chains for all hosts of a terminating server. `rule` NULL: HTTP. */
void istio_terminate(struct lower *l, struct istio_server_state *s, struct model_rule *rule);

/* Whom a cluster's TLS is for. */
struct istio_peer {
    struct str host;    /* of the destination, fully qualified */
    uint16_t port;
    struct str subset;  /* may be empty */
    struct str_list sans; /* names it has where the rule says none */
    bool opaque;        /* no Host says whom it is: bytes of an opaque protocol */
};
/* What `t`, of DestinationRule `o`, makes of TLS; NULL for DISABLE. One that can't be used is `broken`. */
struct model_tls_client *istio_client_tls(struct lower *l, const struct object *o, const struct istio_client_tls *t,
                                          const struct istio_peer *peer);

/* ---- istio_vs.c ---- */

/* Makes the list of VirtualServices: the Gateways they name, findings about where they lead. */
void istio_vs_read(struct lower *l);
/* Does a name of the object meet one of the server's? */
bool istio_vs_meets(struct lower *l, const struct istio_vs *vs, const struct istio_server_state *s);
void istio_vs_note_bound(struct lower *l, struct istio_vs *vs, const struct istio_gw *g);

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

/* Does a block with these conditions apply at this server? `port` may be unset. */
struct istio_context {
    struct opt_int port;
    const struct str_list *gateways;
    const struct str_map *source_labels;
    struct str source_namespace;
};
bool istio_in_context(const struct lower *l, const struct istio_context *c, struct str own_ns, const struct istio_server_state *s);
bool istio_match_in_context(const struct lower *l, const struct istio_http_match *m, struct str own_ns,
                            const struct istio_server_state *s);
/* NULL: the block can never match in this release (a finding has said so). `m` NULL: everything. */
struct model_match *istio_match(struct lower *l, const struct istio_rule_ref *r, const struct istio_http_match *m);

/* ---- istio_rule.c ---- */

/* Does the cluster of a destination depend on the port of the server (no port given, several ports)? */
bool istio_rule_needs_port(struct lower *l, const struct istio_rule_ref *r);
/* `port` is that of the server, for destinations without one; `suffix` goes behind the key. */
struct model_rule *istio_rule(struct lower *l, const struct istio_rule_ref *r, uint16_t port, struct str suffix);
/* A share of `all` weights, of which the largest is `most`, within the model's range. */
uint32_t istio_scaled_weight(int64_t weight, int64_t most);

/* ---- istio_dr.c ---- */

/* What is said of one port of a destination, or of a subset of it. Members are NULL where nothing is said. */
struct istio_policy {
    const struct istio_load_balancer *lb;
    const struct istio_pool *pool;
    const struct istio_client_tls *tls;
    const struct object *tls_object;    /* where tls is written */
    const struct istio_proxy_protocol *proxy;
    const struct istio_tunnel *tunnel;
    const struct istio_subset *subset;  /* NULL: none was asked for, or there is none of that name */
};
void istio_policy(struct lower *l, struct str host, struct str service_ns, uint16_t port, struct str subset,
                  struct istio_policy *out);
/* Lays it over a cluster; `raw`: without what changes the bytes. */
void istio_policy_apply(struct lower *l, const struct istio_policy *p, const struct istio_peer *peer, bool raw,
                        struct model_cluster *c);
/* Names of all subsets of a host, in order. */
struct str_list istio_subsets(struct lower *l, struct str host, struct str service_ns);
/* Has an endpoint with these labels what the subset wants? Of equal keys the first map's value counts; NULL maps have
 * none. `want` NULL: everything has. */
bool istio_labels_cover(const struct str_map *const *maps, size_t n, const struct str_map *want);
/* A rule leads to this port; for what is said of ports nobody uses. */
void istio_note_used(struct lower *l, struct str host, uint16_t port);
void istio_dr_lint(struct lower *l);
/* Of number i of the kind in the store. */
enum istio_state istio_dr_state(struct lower *l, size_t i);

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
struct str istio_target_ns(const struct istio_target *t);
/* The word for what its port speaks: appProtocol, protocol, or the beginning of its name. */
enum istio_protocol istio_target_protocol(const struct istio_target *t);
/* "name" -> "name.<ns>.svc.<domain>", lower case; others only lower case, without the trailing dot. */
struct str istio_fqdn(struct lower *l, struct str host, struct str ns);
/* Has a DestinationRule of the target this subset? */
bool istio_has_subset(struct lower *l, const struct istio_target *t, struct str subset);
/* A share of a rule: `d`'s cluster, or why there is none. */
void istio_split(struct lower *l, struct model_split *s, const struct object *o, const struct istio_destination *d,
                 uint16_t fallback_port);

/* WorkloadEntries of a namespace with all these labels (at least one), in object order. */
typedef void istio_workload_fn(void *ctx, const struct object *o, const struct istio_endpoint *e);
void istio_workloads(struct lower *l, struct str ns, const struct str_map *labels, istio_workload_fn *fn, void *ctx);

/* Every host of every ServiceEntry that this instance may see. */
struct map *istio_entries(struct lower *l);
void istio_entries_lint(struct lower *l);

/* ---- small things ---- */

struct str istio_lower(struct arena *a, struct str s);
/* Lower case, without a trailing dot. */
struct str istio_host_canonical(struct arena *a, struct str s);

#endif
