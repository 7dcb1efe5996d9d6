#include "master/store/store.h"
#include "master/kinds/gapi_reference_grant.h"
#include "shared/base/arena.h"

#include <stdlib.h>

#define NAMESPACE_NAME_LABEL "kubernetes.io/metadata.name"

const struct kind_info KIND_INFO_UNKNOWN = {
    .id = KIND_COUNT, .group = "", .versions = "", .kind = "", .plural = "", .scope = SCOPE_NAMESPACED};

/* ---- filling ---- */

void store_init(struct store *s, struct arena *a, struct diags *ds)
{
    *s = (struct store){.arena = a, .diags = ds};
    map_init(&s->by_id, a);
    map_init(&s->broken_by_id, a);
    map_init(&s->grants_by_ns, a);
}

void store_list(struct store *s, struct object *o)
{
    s->all = arena_grow(s->arena, s->all, s->n_all, &s->cap_all, sizeof(*s->all));
    s->all[s->n_all++] = o;
}

/* "kind_id/ns/name" in `small`, or in the heap of `b` when that is too small. */
static struct str key_text(char *small, size_t size, struct buf *b, enum kind_id kind, struct str ns, struct str name)
{
    char digits[4] = {(char)('0' + kind / 100 % 10), (char)('0' + kind / 10 % 10), (char)('0' + kind % 10), '/'};
    size_t n = sizeof(digits) + ns.n + 1 + name.n;
    char *p = small;
    if (n > size) {
        if (!buf_reserve(b, n))
            return STR_NONE;
        p = b->p;
    }
    memcpy(p, digits, sizeof(digits));
    if (ns.n > 0)
        memcpy(p + sizeof(digits), ns.p, ns.n);
    p[sizeof(digits) + ns.n] = '/';
    if (name.n > 0)
        memcpy(p + sizeof(digits) + ns.n + 1, name.p, name.n);
    return str_of(p, n);
}

struct str store_key(struct arena *a, enum kind_id kind, struct str ns, struct str name)
{
    char small[512];
    struct buf b = {0};
    struct str key = arena_str(a, key_text(small, sizeof(small), &b, kind, ns, name));
    buf_fini(&b);
    return key;
}

struct object *store_put(struct store *s, struct object *o)
{
    struct object *old = store_get(s, o->kind->id, o->ns, o->name);
    if (!old)
        map_put(&s->by_id, store_key(s->arena, o->kind->id, o->ns, o->name), o);
    return old;
}

void store_put_broken(struct store *s, const struct object *o)
{
    map_put(&s->broken_by_id, store_key(s->arena, o->kind->id, o->ns, o->name), (void *)(uintptr_t)o);
}

int object_cmp_istio(const struct object *a, const struct object *b)
{
    if (a->created_us != b->created_us)
        return a->created_us < b->created_us ? -1 : 1;
    int c = str_cmp(a->name, b->name);
    return c ? c : str_cmp(a->ns, b->ns);
}

/* The texts "ns/name", without making them. */
static int cmp_ns_name(const struct object *a, const struct object *b)
{
    const struct str pa[] = {a->ns, STR("/"), a->name}, pb[] = {b->ns, STR("/"), b->name};
    size_t ia = 0, ib = 0, na = 0, nb = 0;
    for (;;) {
        while (ia < 3 && na == pa[ia].n) {
            ia++;
            na = 0;
        }
        while (ib < 3 && nb == pb[ib].n) {
            ib++;
            nb = 0;
        }
        if (ia == 3 || ib == 3)
            return (ib == 3) - (ia == 3);
        unsigned char ca = (unsigned char)pa[ia].p[na++], cb = (unsigned char)pb[ib].p[nb++];
        if (ca != cb)
            return ca < cb ? -1 : 1;
    }
}

int object_cmp_gapi(const struct object *a, const struct object *b)
{
    if (a->created_us != b->created_us)
        return a->created_us < b->created_us ? -1 : 1;
    return cmp_ns_name(a, b);
}

static int cmp_order(const void *pa, const void *pb)
{
    return object_cmp_istio(*(struct object *const *)pa, *(struct object *const *)pb);
}

static int cmp_place(const void *pa, const void *pb)
{
    const struct object *a = *(struct object *const *)pa, *b = *(struct object *const *)pb;
    int c = str_cmp(a->source->path, b->source->path);
    if (c == 0)
        c = (a->line > b->line) - (a->line < b->line);
    if (c == 0)
        c = (a->stale > b->stale) - (a->stale < b->stale);
    return c ? c : str_cmp(a->name, b->name);
}

static void index_grants(struct store *s)
{
    for (size_t i = 0; i < s->n_by_kind[KIND_REFERENCE_GRANT]; i++) {
        struct object *o = s->by_kind[KIND_REFERENCE_GRANT][i];
        struct object_list *l = map_get(&s->grants_by_ns, o->ns);
        if (!l) {
            l = arena_new(s->arena, struct object_list);
            map_put(&s->grants_by_ns, o->ns, l);
        }
        *ARENA_PUSH(s->arena, l) = o;
    }
}

/* As qsort, which costs twenty comparisons for each where one shows that all stand in order already. */
static void sort(struct object **v, size_t n, int (*cmp)(const void *, const void *))
{
    for (size_t i = 1; i < n; i++)
        if (cmp(&v[i - 1], &v[i]) > 0) {
            qsort(v, n, sizeof(*v), cmp);
            return;
        }
}

void store_finish(struct store *s)
{
    size_t n[KIND_COUNT] = {0};
    for (size_t i = 0; i < s->by_id.n; i++)
        n[((struct object *)s->by_id.v[i].val)->kind->id]++;
    for (size_t k = 0; k < KIND_COUNT; k++)
        s->by_kind[k] = arena_new_n(s->arena, struct object *, n[k]);
    for (size_t i = 0; i < s->by_id.n; i++) {
        struct object *o = s->by_id.v[i].val;
        s->by_kind[o->kind->id][s->n_by_kind[o->kind->id]++] = o;
    }
    for (size_t k = 0; k < KIND_COUNT; k++)
        sort(s->by_kind[k], n[k], cmp_order);
    sort(s->all, s->n_all, cmp_place);
    index_grants(s);
}

/* ---- asking ---- */

struct object *store_get(const struct store *s, enum kind_id kind, struct str ns, struct str name)
{
    char small[512];
    struct buf b = {0};
    struct object *o = map_get(&s->by_id, key_text(small, sizeof(small), &b, kind, ns, name));
    buf_fini(&b);
    return o;
}

const struct object *store_get_broken(const struct store *s, enum kind_id kind, struct str ns, struct str name)
{
    char small[512];
    struct buf b = {0};
    const struct object *o = map_get(&s->broken_by_id, key_text(small, sizeof(small), &b, kind, ns, name));
    buf_fini(&b);
    return o;
}

static struct str lookup(const struct str_map *m, struct str key, bool *found)
{
    for (size_t i = 0; i < m->n; i++) {
        if (str_eq(m->v[i].key, key)) {
            *found = true;
            return m->v[i].val;
        }
    }
    *found = false;
    return STR_NONE;
}

struct str object_label(const struct object *o, const char *key)
{
    bool found;
    return lookup(&o->labels, str_c(key), &found);
}

struct str object_annotation(const struct object *o, const char *key)
{
    bool found;
    return lookup(&o->annotations, str_c(key), &found);
}

struct str namespace_label(const struct store *s, struct str ns, struct str key, bool *found)
{
    bool dummy;
    found = found ? found : &dummy;
    *found = true;
    if (str_eqc(key, NAMESPACE_NAME_LABEL))
        return ns;
    const struct object *o = store_get(s, KIND_NAMESPACE, STR_NONE, ns);
    *found = false;
    return o ? lookup(&o->labels, key, found) : STR_NONE;
}

static bool is_among(struct str v, const struct node *values)
{
    for (size_t i = 0; values && values->type == NODE_LIST && i < values->n_kids; i++)
        if (str_eq(node_text(values->kids[i]), v))
            return true;
    return false;
}

/* As Kubernetes: NotIn is true for a label that is not there. */
static bool expression_matches(const struct node *e, struct str v, bool found)
{
    struct str op = node_text(node_get(e, "operator"));
    const struct node *values = node_get(e, "values");
    if (str_eqc(op, "In"))
        return found && is_among(v, values);
    if (str_eqc(op, "NotIn"))
        return !found || !is_among(v, values);
    if (str_eqc(op, "Exists"))
        return found;
    return str_eqc(op, "DoesNotExist") && !found;
}

bool selector_matches_namespace(const struct store *s, const struct node *selector, struct str ns)
{
    const struct node *labels = node_get(selector, "matchLabels");
    const struct node *expressions = node_get(selector, "matchExpressions");
    bool found;
    for (size_t i = 0; labels && labels->type == NODE_MAP && i < labels->n_kids; i++) {
        struct str v = namespace_label(s, ns, node_key(labels->kids[i]), &found);
        if (!found || !str_eq(v, node_text(labels->kids[i])))
            return false;
    }
    for (size_t i = 0; expressions && expressions->type == NODE_LIST && i < expressions->n_kids; i++) {
        const struct node *e = expressions->kids[i];
        struct str v = namespace_label(s, ns, node_text(node_get(e, "key")), &found);
        if (!expression_matches(e, v, found))
            return false;
    }
    return true;
}

/* ---- ReferenceGrant ---- */

static bool grant_from(const struct gapi_reference_grant_spec *g, struct str group, struct str kind, struct str ns)
{
    for (size_t i = 0; i < g->from.n; i++)
        if (str_eq(g->from.v[i].group, group) && str_eq(g->from.v[i].kind, kind) && str_eq(g->from.v[i].ns, ns))
            return true;
    return false;
}

static bool grant_to(const struct gapi_reference_grant_spec *g, struct str group, struct str kind, struct str name)
{
    for (size_t i = 0; i < g->to.n; i++)
        if (str_eq(g->to.v[i].group, group) && str_eq(g->to.v[i].kind, kind) &&
            (g->to.v[i].name.n == 0 || str_eq(g->to.v[i].name, name)))
            return true;
    return false;
}

bool grant_allows(const struct store *s, const char *from_group, const char *from_kind,
                  struct str from_ns, const char *to_group, const char *to_kind, struct str to_ns,
                  struct str to_name)
{
    if (str_eq(from_ns, to_ns))
        return true;
    const struct object_list *l = map_get(&s->grants_by_ns, to_ns);
    for (size_t i = 0; l && i < l->n; i++) {
        const struct gapi_reference_grant *g = l->v[i]->spec;
        if (g->spec && grant_from(g->spec, str_c(from_group), str_c(from_kind), from_ns) &&
            grant_to(g->spec, str_c(to_group), str_c(to_kind), to_name))
            return true;
    }
    return false;
}
