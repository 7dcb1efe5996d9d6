/*
 * lower.h - objects to the model, with status.
 *
 * lower_all runs: gateways of both APIs (binds, listeners) -> routes (hosts, entries, rules) -> shared
 * conflicts (merge.c) -> precedence (precedence.c gives every host entry its rank) -> status of every object.
 * It never fails: what is wrong with an object is in its status and the findings.
 *
 * Files: gapi_gateway.c gapi_route.c gapi_status.c | istio_gateway.c istio_vs.c | backend.c (Service and
 * ServiceEntry to clusters, for both) | merge.c | precedence.c.
 */
#ifndef GH_LOWER_LOWER_H
#define GH_LOWER_LOWER_H

#include "master/instance.h"
#include "master/model/model.h"
#include "master/store/store.h"

struct istio_work;
struct lower {
    struct arena *arena;
    struct store *store;
    struct model *model;
    struct diags *diags;
    const struct instance *instance;
    uint64_t now_wall_us;
    /* Asks the master to bind; NULL (check, explain) = everything can be bound. Returns 0 or errno. */
    int (*bind)(void *ctx, struct str address, uint16_t port);
    void *bind_ctx;
    struct istio_work *istio; /* what the Istio files of this room keep between their steps (istio.h) */
};

void lower_all(struct lower *l);

/* ---- between the files of this room ---- */
void lower_gapi_gateways(struct lower *l);
void lower_gapi_routes(struct lower *l);
void lower_gapi_status(struct lower *l);
void lower_istio_gateways(struct lower *l);
void lower_istio_virtual_services(struct lower *l);
void lower_istio_status(struct lower *l);

/* Why a backend can't be used; for conditions, reasons and explain. */
enum backend_problem { BACKEND_OK, BACKEND_NOT_FOUND, BACKEND_NO_PORT, BACKEND_BAD_KIND, BACKEND_NOT_PERMITTED, BACKEND_BAD_PROTOCOL };
/*
 * The cluster of port `port` (number of the Service port, 0 = its only one) of Service ns/name: endpoints
 * from EndpointSlices and Endpoints by port name; made once per (service, port). NULL and *why otherwise.
 */
struct model_cluster *lower_service(struct lower *l, struct str ns, struct str name, uint16_t port,
                                    enum backend_problem *why);
/*
 * An Istio destination host (already fully qualified): the Service registry (<name>.<ns>.svc.<domain>), else
 * a ServiceEntry whose hosts hold it. *status_ns is the namespace of the VirtualService.
 */
struct model_cluster *lower_istio_host(struct lower *l, struct str host, uint16_t port, struct str from_ns,
                                       enum backend_problem *why);

/* One candidate of a host before it has a rank. Lowering pushes these; precedence.c sorts them. */
struct lower_candidate {
    struct model_host *host;
    struct model_match *match;
    struct model_rule *rule;
    const struct object *object;
    bool gapi;
    struct str route_hostname;       /* Gateway API criterion 1 */
    uint32_t rule_index, match_index;
};
void lower_candidate_add(struct lower *l, const struct lower_candidate *c);
/* Gives every host its entries with ranks. */
void lower_precedence(struct lower *l);

#endif
