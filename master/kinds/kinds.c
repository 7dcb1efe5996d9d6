#include "master/kinds/kinds.h"
#include "shared/base/arena.h"

static const struct kind_info KINDS[] = {
#define KIND(id, group, versions, kind, words, scope, schema) \
    [KIND_##id] = {KIND_##id, group, versions, kind, words, scope, schema},
#include "master/kinds/kinds.def"
#undef KIND
};

/* ---- metadata ---- */

#define T struct object_meta
static const struct field META_FIELDS[] = {
    FIELD_STR(T, name, "name", FIELD_REQUIRED | FIELD_NONEMPTY, "The object's name, unique in its namespace and kind.",
              .format = FMT_OBJECT_NAME),
    FIELD_STR(T, ns, "namespace", FIELD_NULL_OK,
              "The namespace. Without it: the directory conf.d/ns/NAME/ the file is in, else \"default\".",
              .format = FMT_DNS_LABEL),
    FIELD_STR_MAP(T, labels, "labels", FIELD_NULL_OK, "Labels, for selectors.", .format = FMT_LABEL_KEY),
    FIELD_STR_MAP(T, annotations, "annotations", FIELD_NULL_OK, "Annotations.", .format = FMT_QUALIFIED_NAME),
    FIELD_STR(T, uid, "uid", FIELD_NULL_OK, "Identity; made and kept in the state directory when not written."),
    FIELD_INT(T, generation, "generation", FIELD_NULL_OK, 0, INT64_MAX,
              "Counts changes of the spec; kept in the state directory when not written."),
    FIELD_TIME(T, created, "creationTimestamp", FIELD_NULL_OK,
               "Decides between objects that claim the same; when not written, the first time the object was seen."),
    FIELD_NAMED("generateName", FIELD_SILENT, "Bookkeeping of a cluster."),
    FIELD_NAMED("resourceVersion", FIELD_SILENT, "Bookkeeping of a cluster."),
    FIELD_NAMED("selfLink", FIELD_SILENT, "Bookkeeping of a cluster."),
    FIELD_NAMED("managedFields", FIELD_SILENT, "Bookkeeping of a cluster."),
    FIELD_NAMED("ownerReferences", FIELD_SILENT, "Bookkeeping of a cluster."),
    FIELD_NAMED("finalizers", FIELD_SILENT, "Bookkeeping of a cluster."),
    FIELD_NAMED("deletionTimestamp", FIELD_SILENT, "Bookkeeping of a cluster."),
    FIELD_NAMED("deletionGracePeriodSeconds", FIELD_SILENT, "Bookkeeping of a cluster."),
    FIELD_NAMED("clusterName", FIELD_SILENT, "Bookkeeping of a cluster."),
};
#undef T
const struct schema SCHEMA_OBJECT_META =
    SCHEMA(struct object_meta, META_FIELDS, NULL, "What every object says about itself.");

/* ---- finding kinds ---- */

static bool listed(const char *comma_list, struct str word)
{
    struct str rest = str_c(comma_list), piece;
    while (str_split(&rest, ',', &piece))
        if (str_eq(piece, word))
            return true;
    return false;
}

static void split_api_version(struct str api_version, struct str *group, struct str *version)
{
    ptrdiff_t slash = str_chr(api_version, '/');
    *group = slash < 0 ? STR("") : str_head(api_version, (size_t)slash);
    *version = slash < 0 ? api_version : str_skip(api_version, (size_t)slash + 1);
}

const struct kind_info *kind_info(enum kind_id id)
{
    return &KINDS[id];
}

const struct kind_info *kind_find(struct str api_version, struct str kind, bool *known_group)
{
    struct str group, version;
    split_api_version(api_version, &group, &version);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        const struct kind_info *k = &KINDS[i];
        if (kind.n > 0 && kind.p[0] == k->kind[0] && str_eqc(kind, k->kind) && str_eqc(group, k->group) && listed(k->versions, version)) {
            if (known_group)
                *known_group = true;
            return k;
        }
    }
    for (size_t i = 0; known_group && i < KIND_COUNT; i++)
        if ((*known_group = str_eqc(group, KINDS[i].group)))
            break;
    return NULL;
}

const struct kind_info *kind_by_word(struct str word)
{
    char lower[128];
    if (word.n == 0 || word.n > sizeof(lower))
        return NULL;
    for (size_t i = 0; i < word.n; i++)
        lower[i] = ascii_lower(word.p[i]);
    word.p = lower;
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (listed(KINDS[i].plural, word))
            return &KINDS[i];
    ptrdiff_t dot = str_chr(word, '.');
    if (dot <= 0)
        return NULL;
    struct str name = str_head(word, (size_t)dot), group = str_skip(word, (size_t)dot + 1);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        struct str plural = str_c(KINDS[i].plural), first;
        bool hit = str_ieq(name, str_c(KINDS[i].kind));
        while (str_split(&plural, ',', &first))
            hit |= str_eq(name, first);
        if (hit && str_eqc(group, KINDS[i].group))
            return &KINDS[i];
    }
    return NULL;
}

const char *kind_suggest(struct str kind)
{
    const char *name = NULL;
    unsigned best = kind.n <= 4 ? 1 : 3;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        struct str candidate = str_c(KINDS[i].kind);
        unsigned d = str_ieq(kind, candidate) ? 0 : str_distance(kind, candidate, best);
        if (d <= best && (!name || d < best)) {
            best = d;
            name = KINDS[i].kind;
        }
    }
    return name;
}

/* The known group nearest to `group`, or NULL. */
static const char *group_suggest(struct str group)
{
    const char *name = NULL;
    unsigned best = 3;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        unsigned d = KINDS[i].group[0] ? str_distance(group, str_c(KINDS[i].group), best) : best + 1;
        if (d <= best && (!name || d < best)) {
            best = d;
            name = KINDS[i].group;
        }
    }
    return name;
}

/* "group/version" of a row's newest version. */
static struct str newest(struct arena *a, const struct kind_info *k)
{
    struct str rest = str_c(k->versions), version;
    str_split(&rest, ',', &version);
    return k->group[0] ? arena_strf(a, "%s/" STR_FMT, k->group, STR_ARG(version)) : version;
}

struct str kind_hint(struct arena *a, struct str api_version, struct str kind)
{
    struct str group, version;
    const struct kind_info *same_kind = NULL;
    const char *near;
    split_api_version(api_version, &group, &version);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (!str_eqc(kind, KINDS[i].kind))
            continue;
        if (str_eqc(group, KINDS[i].group))
            return arena_strf(a, "known versions of %s: %s", KINDS[i].kind, KINDS[i].versions);
        if (!same_kind)
            same_kind = &KINDS[i];
    }
    if (same_kind) {
        near = group_suggest(group);
        for (size_t i = 0; near && i < KIND_COUNT; i++)
            if (str_eqc(kind, KINDS[i].kind) && strcmp(near, KINDS[i].group) == 0)
                same_kind = &KINDS[i];
        struct str v = newest(a, same_kind);
        return arena_strf(a, "did you mean apiVersion: " STR_FMT "?", STR_ARG(v));
    }
    near = kind_suggest(kind);
    return near ? arena_strf(a, "did you mean kind: %s?", near) : STR_NONE;
}

/* ---- reading an object ---- */

bool kind_decode(struct decoder *d, const struct kind_info *k, const struct node *root,
                 struct object_meta *meta, void **spec)
{
    const struct node *m = node_get(root, "metadata");
    bool ok = true;
    *spec = NULL;
    *meta = (struct object_meta){0};
    d->snake_case_ok = str_ends(str_c(k->group), STR("istio.io"));
    if (m && m->type != NODE_NULL) {
        ok = schema_decode(d, &SCHEMA_OBJECT_META, m, meta);
    } else {
        diag_at_key(d->diags, DIAG_Required, root, "metadata", "an object needs at least metadata.name",
                    "this required field is missing");
        ok = false;
    }
    if (k->schema) {
        *spec = arena_alloc(d->arena, k->schema->size);
        ok &= schema_decode(d, k->schema, root, *spec);
    }
    return ok;
}
