/* gapi_gateway.c - Gateways: classes, addresses, annotations; GATEWAY-API-RULES section 3. */
#include "master/lower/gapi.h"
#include "master/lower/json_read.h"
#include "master/lower/pool.h"
#include <stdlib.h>

/* ---- addresses (3.5) ------------------------------------------------------------------------- */

static struct gapi_gw_address *add_address(struct lower *l, struct gapi_gw *gw, struct str text,
                                           struct str bind)
{
    struct gapi_gw_address *a = ARENA_PUSH(l->arena, &gw->addresses);
    *a = (struct gapi_gw_address){.text = text, .bind = bind};
    return a;
}

/* What spec.addresses asks for; whatever has to be assigned waits until all static ones are known.
 */
static void read_addresses(struct lower *l, struct gapi_gw *gw)
{
    gw->wants_pool = gw->spec->addresses.n == 0;
    for (size_t i = 0; i < gw->spec->addresses.n; i++) {
        const struct gapi_address *a = &gw->spec->addresses.v[i];
        if (!str_eqc(a->type, "IPAddress")) {
            gw->refused = (struct gapi_fault){
                "UnsupportedAddress",
                arena_strf(l->arena, "address type " STR_FMT " is not supported",
                           STR_ARG(a->type))};
            diag_at_key(l->diags, DIAG_NotServed, a->node, "type",
                        "use type IPAddress; the Gateway is not served like this",
                        "address type " STR_FMT " is not supported", STR_ARG(a->type));
            continue;
        }
        if (a->value.n == 0) {
            gw->wants_pool = true;
            continue;
        }
        struct str ip = ip_canonical(l->arena, a->value);
        if (ip.n)
            add_address(l, gw, ip, str_eqc(ip, "::") ? STR("") : ip)->is_static = true;
    }
}

/* The address of the pool this Gateway had before, so that it keeps it whatever comes and goes
 * around it. */
static struct str previous_address(struct lower *l, struct pool *p, const struct gapi_gw *gw)
{
    struct arena scratch;
    struct str found = STR_NONE;
    arena_init(&scratch, 4096, l->arena->oom);
    const struct json_node *list =
        json_get(json_read(&scratch, gw->object->prev_status_json), "addresses");
    for (const struct json_node *a = list ? list->first : NULL; a && !found.n; a = a->next) {
        struct str text = arena_str(l->arena, json_text(a, "value"));
        if (pool_take(p, text))
            found = text;
    }
    arena_fini(&scratch);
    return found;
}

static void assign_addresses(struct lower *l)
{
    struct pool p;
    struct str none = STR("");
    pool_init(&p, l->arena, l->instance ? l->instance->address_pool : none);
    for (size_t i = 0; i < l->gapi->list.n && pool_is(&p); i++) {
        struct gapi_gw *gw = l->gapi->list.v[i];
        for (size_t j = 0; j < gw->addresses.n; j++)
            pool_take(&p,
                      gw->addresses.v[j].text); /* written in a spec: not to be given to others */
    }
    for (size_t i = 0; i < l->gapi->list.n && pool_is(&p); i++) {
        struct gapi_gw *gw = l->gapi->list.v[i];
        struct str text = gw->wants_pool ? previous_address(l, &p, gw) : none;
        if (text.n) {
            add_address(l, gw, text, text);
            gw->wants_pool = false;
        }
    }
    for (size_t i = 0; i < l->gapi->list.n; i++) {
        struct gapi_gw *gw = l->gapi->list.v[i];
        struct str text = gw->wants_pool ? pool_next(&p) : none;
        if (!gw->wants_pool)
            continue;
        if (text.n)
            add_address(l, gw, text, text);
        else if (!pool_is(&p) && gw->addresses.n == 0)
            add_address(l, gw, STR("0.0.0.0"), none); /* all addresses of the machine, shared */
        else
            gw->no_address = (struct gapi_fault){"AddressNotAssigned",
                                                 pool_is(&p) ? STR("the address pool is used up")
                                                             : STR("there is no address pool")};
        if (gw->no_address.reason)
            diag_at_key(l->diags, DIAG_PortUnavailable, gw->spec->node, "addresses",
                        "see addressPool in gatehouse.yaml", "no address can be assigned: " STR_FMT,
                        STR_ARG(gw->no_address.message));
    }
}

/* ---- the Gateway ----------------------------------------------------------------------------- */

/* Settings of other controllers that people write on Gateways: known, and said to be without
 * effect. */
static void tell_annotations(struct lower *l, const struct object *o)
{
    static const char *const PREFIX[] = {"proxy.istio.io/", "cert-manager.io/",
                                         "networking.istio.io/"};
    const struct node *map = node_walk(o->root, "metadata.annotations");
    for (size_t i = 0; map && i < map->n_kids; i++)
        for (size_t j = 0; j < ARRAY_LEN(PREFIX); j++)
            if (str_starts(map->kids[i]->key, str_c(PREFIX[j])) && !str_eqc(map->kids[i]->key, "proxy.istio.io/config"))
                diag_at(l->diags, DIAG_NotServed, map->kids[i], NULL,
                        "annotation " STR_FMT " has no effect yet", STR_ARG(map->kids[i]->key));
}

static void add_gateway(struct lower *l, struct object *o)
{
    char buf[640];
    const struct gapi_gateway *g = o->spec;
    const struct gapi_class *class = gapi_class_of(l, g->spec->class_name, g->spec->node);
    if (!class)
        return;
    struct gapi_gw *gw = arena_new(l->arena, struct gapi_gw);
    *gw = (struct gapi_gw){.object = o, .spec = g->spec, .class = class};
    gapi_listeners_judge(l, gw);
    gapi_tls_backend(l, gw);
    tell_annotations(l, o);
    proxy_front_read(l, o, &gw->proxies);
    if (class->fault.reason)
        gw->refused =
            (struct gapi_fault){"InvalidParameters", STR("its GatewayClass is not accepted")};
    const struct gapi_infrastructure *inf = g->spec->infrastructure;
    if (inf && inf->parameters_ref) {
        gw->refused = gapi_parameters(l, inf->parameters_ref, o->ns);
        if (gw->refused.reason)
            diag_at(l->diags, DIAG_MissingReference, inf->parameters_ref->node,
                    "the Gateway is not served like this", STR_FMT, STR_ARG(gw->refused.message));
    }
    read_addresses(l, gw);
    map_put(&l->gapi->gateways, arena_str(l->arena, gapi_key(o->ns, o->name, buf, sizeof(buf))),
            gw);
    *ARENA_PUSH(l->arena, &l->gapi->list) = gw;
    gw->number = (uint32_t)l->gapi->list.n;
}

static int by_gapi_order(const void *a, const void *b)
{
    return object_cmp_gapi(*(const struct object *const *)a, *(const struct object *const *)b);
}

void lower_gapi_gateways(struct lower *l)
{
    size_t n = l->store->n_by_kind[KIND_GATEWAY];
    struct object **sorted = arena_new_n(l->arena, struct object *, n);
    l->gapi = arena_new(l->arena, struct gapi_work);
    map_init(&l->gapi->gateways, l->arena);
    status_init(&l->gapi->status, l->arena, l->now_wall_us);
    gapi_classes(l);
    for (size_t i = 0; i < n; i++)
        sorted[i] = l->store->by_kind[KIND_GATEWAY][i];
    if (n > 1)
        qsort(sorted, n, sizeof(struct object *), by_gapi_order);
    for (size_t i = 0; i < n; i++)
        add_gateway(l, sorted[i]);
    assign_addresses(l);
    for (size_t i = 0; i < l->gapi->list.n; i++)
        gapi_listeners_make(l, l->gapi->list.v[i]);
    l->gapi->placed = arena_new_n(l->arena, uint64_t, l->gapi->n_groups);
    l->gapi->implied = arena_new_n(l->arena, struct model_tls_client *, l->gapi->list.n + 1);
}
