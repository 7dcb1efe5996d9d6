/* lower.c - the order of the steps, and binding; see lower.h. */
#include "master/lower/lower.h"

struct model_origin lower_origin(const struct object *o, const struct node *at, struct str section)
{
    return (struct model_origin){
        .api_version = o->api_version,
        .kind = str_c(o->kind->kind),
        .ns = o->ns,
        .name = o->name,
        .file = at          ? at->source->path
                : o->source ? o->source->path
                            : STR_NONE,
        .line = at ? at->key_line ? at->key_line : at->line : o->line,
        .section = section,
    };
}

/* The status steps read bind_error: an address that can't be had is a condition, not a failure. */
static void bind_all(struct lower *l)
{
    for (size_t i = 0; l->bind && i < l->model->binds.n; i++) {
        struct model_bind *b = l->model->binds.v[i];
        b->bind_error = l->bind(l->bind_ctx, b->address, b->port, b->datagram);
    }
}

void lower_all(struct lower *l)
{
    lower_gapi_gateways(l);
    lower_istio_gateways(l);
    lower_istio_streams(l);
    bind_all(l);
    lower_gapi_routes(l);
    lower_istio_virtual_services(l);
    lower_precedence(l);
    lower_merge(l);
    lower_gapi_status(l);
    lower_istio_status(l);
}
