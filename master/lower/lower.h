/*
 * lower.h - objects to the model, with status.
 *
 * lower_all runs, in this order:
 *
 *   gateways of both APIs   binds and listeners                         gapi_gateway.c  istio_gateway.c
 *   streams of Istio        listeners that exist by their routes        istio_l4.c
 *   binding                 the master tries every address and port     lower.c
 *   routes of both APIs     hosts, rules, candidates                    gapi_route.c    istio_vs.c
 *   precedence              candidates become entries with ranks        precedence.c
 *   merge                   owners and fall-backs of shared hosts       merge.c
 *   status                  conditions of every object                  gapi_status.c   istio_status
 *
 * Clusters are made on the way, by whoever refers to them first (backend.c, istio_backend.c). Lowering
 * never fails: what is wrong with an object is in its status and the findings.
 *
 * It stays near linear: whatever is looked up per route is in a map; nothing walks all routes or hosts for
 * one of them.
 */
#ifndef GH_LOWER_LOWER_H
#define GH_LOWER_LOWER_H

#include "master/instance.h"
#include "master/model/model.h"
#include "master/store/outside.h"
#include "master/store/store.h"

struct istio_work;
struct gapi_work;
struct lower_candidate;
struct lower_names;
struct backend_index;
struct credentials;

struct lower {
    struct arena *arena;
    struct store *store;
    struct model *model;
    struct diags *diags;
    const struct instance *instance;
    uint64_t now_wall_us;
    /* Asks the master to bind; NULL (check, explain) = everything can be bound. Returns 0 or errno. */
    int (*bind)(void *ctx, struct str address, uint16_t port, bool datagram);
    void *bind_ctx;
    struct outside *outside;        /* reads files that objects name by path; NULL: none is read (store/outside.h) */

    /* What the files of this room keep between their steps; zero to begin with. */
    struct istio_work *istio;       /* istio.h */
    struct gapi_work *gapi;         /* gapi.h */
    struct backend_index *backends; /* backend.c */
    struct credentials *credentials; /* credential.h; given when objects were vetted with it, else made at need */
    struct { struct lower_candidate *v; size_t n, cap; } candidates; /* precedence.c */
    struct { struct lower_names *v; size_t n, cap; } names; /* merge.c; by place of the bind in model->binds */
    const struct object *source_of; /* lower.c: the object at hand, and what origins say of it */
    const struct model_source *source;
};

void lower_all(struct lower *l);

/* ---- between the files of this room ---------------------------------------------------------- */
void lower_gapi_gateways(struct lower *l);
void lower_gapi_routes(struct lower *l);
void lower_gapi_status(struct lower *l);
void lower_istio_gateways(struct lower *l);
void lower_istio_streams(struct lower *l);
void lower_istio_virtual_services(struct lower *l);
void lower_istio_status(struct lower *l);

struct core_service_port;
/* Why a backend can't be used; for conditions, reasons and explain. */
enum backend_problem { BACKEND_OK, BACKEND_NOT_FOUND, BACKEND_NO_PORT, BACKEND_BAD_KIND, BACKEND_NOT_PERMITTED, BACKEND_BAD_PROTOCOL };
/*
 * The cluster of port `port` (number of the Service port, 0 = its only one) of Service ns/name: endpoints
 * from EndpointSlices, or else Endpoints, by port name; made once per (service, port). An ExternalName
 * Service is a cluster with one DNS endpoint (Gateway API asks lower_service_is_external first and
 * refuses). NULL and *why otherwise.
 */
struct model_cluster *lower_service(struct lower *l, struct str ns, struct str name, uint16_t port,
                                    enum backend_problem *why);
/*
 * The same endpoints as another cluster, to be spoken to in another way: `variant` stands behind a '#' in its key.
 * *made: it is new, with protocol and tls as lower_service would have them; set what differs. `datagram`: the UDP port
 * of that number.
 */
struct model_cluster *lower_service_variant(struct lower *l, struct str ns, struct str name, uint16_t port, bool datagram,
                                            struct str variant, bool *made, enum backend_problem *why);
/* The port as the Service has it; NULL and *why. Makes no cluster. */
const struct core_service_port *lower_service_port(struct lower *l, struct str ns, struct str name, uint16_t port,
                                                   bool datagram, enum backend_problem *why);
/* What lower_service sets for it. */
enum upstream_protocol lower_port_protocol(const struct core_service_port *p);
/* A part of a service, or another way to speak to it: a cluster of its own, with this behind a '#' in its key. */
struct lower_part {
    struct str subset; /* of the host's DestinationRule; empty = all endpoints */
    bool raw;          /* bytes as they come, whatever DestinationRule says of TLS (AUTO_PASSTHROUGH) */
};
/* What stands behind the '#' in its key and in its name; empty for the whole. */
struct str lower_part_variant(struct arena *a, const struct lower_part *v);
struct model_cluster *lower_service_part(struct lower *l, struct str ns, struct str name, uint16_t port,
                                            const struct lower_part *v, enum backend_problem *why);
/* Is there a Service ns/name of type ExternalName? */
bool lower_service_is_external(struct lower *l, struct str ns, struct str name);
/*
 * An Istio destination host (already fully qualified): the Service registry (<name>.<ns>.svc.<domain>), else
 * a ServiceEntry whose hosts hold it. *status_ns is the namespace of the VirtualService.
 */
struct model_cluster *lower_istio_host(struct lower *l, struct str host, uint16_t port, struct str from_ns,
                                       enum backend_problem *why);
struct model_cluster *lower_istio_host_part(struct lower *l, struct str host, uint16_t port, struct str from_ns,
                                               const struct lower_part *v, enum backend_problem *why);

/* One candidate of a host before it has a rank. Lowering pushes these; precedence.c sorts them. */
struct lower_candidate {
    struct model_host *host;
    struct model_match *match;
    struct model_rule *rule;
    const struct object *object;
    struct model_listener *listener; /* of `host`'s bind: who owns the host if this API leads it */
    bool gapi;
    bool grpc;                       /* of a GRPCRoute: the lengths of the names that its match has */
    uint16_t service_len, method_len;
    bool istio_private;              /* exported to single namespaces: before public ones (ISTIO-RULES 3.2) */
    struct str route_hostname;       /* Gateway API criterion 1: as the route writes it; empty = it has none */
    uint32_t rule_index, match_index;
};
void lower_candidate_add(struct lower *l, const struct lower_candidate *c);
/* About so many will come. */
void lower_candidates_reserve(struct lower *l, size_t n);
/* Gives every host its entries with ranks; reports hosts that both APIs claim, and matches that another
 * one hides wherever they stand. */
void lower_precedence(struct lower *l);

/* ---- merge.c: one bind, several listeners ----
 *
 * Listener isolation (GATEWAY-API-RULES 5.1) is flattened here: a Gateway listener serves host h only if it
 * is the most specific listener of the bind for h. Listeners of several Gateways with the same address, port
 * and hostname are one group, led by the first; Istio servers need no isolation (ISTIO-RULES 2.4). */

/* Registers a Gateway listener under its hostname; the leader of its group (itself, when it is the first). */
struct model_listener *lower_group_join(struct lower *l, struct model_listener *ml);
/* The listener of the most specific terminated HTTP chain of `b` that covers `host` (L_host of GATEWAY-API-RULES 5.2, of
 * whichever API); NULL when there is none. */
struct model_listener *lower_chain_owner(const struct model_bind *b, struct str host);
/* The leader of the most specific group of `b` for `host`; NULL when there is none. */
struct model_listener *lower_group_of(const struct lower *l, const struct model_bind *b, struct str host);
/* The same for server names of TLS connections: HTTPS and TLS listeners share them. Join returns who has the very
 * hostname already, or the listener itself. */
struct model_listener *lower_sni_join(struct lower *l, struct model_listener *ml);
struct model_listener *lower_sni_of(const struct lower *l, const struct model_bind *b, struct str name);
/* The next less specific pattern that covers `name`: "a.b.c" -> "*.b.c" -> "*.c" -> "*" -> none (n == 0). Written into
 * `buf` of LOWER_WIDER_ROOM bytes; `name` may lie in it. */
#define LOWER_WIDER_ROOM 260
struct str lower_wider(struct str name, char *buf);
/* Fall-back chains and the final order of every bind's hosts and server names: exact names, wildcards by labels, "*". */
void lower_merge(struct lower *l);

/* model_origin of an object and one of its nodes (NULL = the object's first line). */
struct model_origin lower_origin(struct lower *l, const struct object *o, const struct node *at, struct str section);
/* The two that are told in findings: the file of an object, and the line of one of its nodes (NULL = its first). */
struct str lower_file(const struct object *o);
uint32_t lower_line(const struct object *o, const struct node *at);

#endif
