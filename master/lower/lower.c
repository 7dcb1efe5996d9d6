/* lower.c - the order of the steps, and binding; see lower.h. */
#include "master/lower/lower.h"

static struct str file_of(const struct object *o, const struct node *at)
{
    return at ? node_source(at)->path : o->source ? o->source->path : STR_NONE;
}

struct str lower_file(const struct object *o)
{
    return file_of(o, NULL);
}

uint32_t lower_line(const struct object *o, const struct node *at)
{
    return !at ? o->line : at->key_line ? at->key_line : at->line;
}

/* Lowering goes object by object: what was asked for last is nearly always what is asked for next. */
static const struct model_source *source_of(struct lower *l, const struct object *o, struct str file)
{
    if (l->source_of == o && l->source->file.p == file.p && l->source->file.n == file.n)
        return l->source;
    struct model_source *s = model_source_add(l->model);
    s->api_version = o->api_version;
    s->kind = str_c(o->kind->kind);
    s->ns = o->ns;
    s->name = o->name;
    s->file = file;
    l->source_of = o;
    l->source = s;
    return s;
}

struct model_origin lower_origin(struct lower *l, const struct object *o, const struct node *at, struct str section)
{
    return (struct model_origin){
        .source = source_of(l, o, file_of(o, at)), .section = section, .line = lower_line(o, at)};
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
