/*
 * The way of a load:
 *
 *   files_read          every file in one order
 *   judge               every document: is it an object, of which kind, is it right, is it a duplicate
 *   revive              what the state knows and is not there now, though it was not deleted: the last good
 *                       version, marked stale
 *   store_finish        lists in object order
 *   remember            identities and texts for the next load
 */
#include "master/store/load.h"
#include "master/kinds/format.h"
#include "master/store/files.h"
#include "shared/base/arena.h"
#include "shared/base/clock.h"

#define DEFAULT_NAMESPACE "default"
#define LIST_DEPTH        2 /* a List in a List is enough */

/* What is known in this load of one identity. */
struct known {
    struct object *good;   /* the one that wins */
    struct object *broken; /* the first rejected one */
    bool created_written;  /* good: creationTimestamp stands in the file */
};

struct loader {
    struct arena *arena;
    struct store *store;
    struct diags *diags;
    const struct load_input *in;
    const struct yaml_limits *limits;
    struct load_stats *stats;
    struct map known;         /* "group/kind/ns/name" -> struct known */
    struct map broken_files;  /* path -> anything */
    struct rng rng;
    uint64_t now_us;
    size_t n_nodes;
};

/* ---- identity ---- */

/* A random UUID (RFC 9562, version 4). */
static struct str new_uid(struct loader *l)
{
    static const char hex[] = "0123456789abcdef";
    static const unsigned char at[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}; /* of each byte's two digits */
    uint64_t bits[2] = {rng_next(&l->rng), rng_next(&l->rng)};
    unsigned char bytes[16];
    char *p = arena_room(l->arena, 40);
    memcpy(bytes, bits, sizeof(bytes));
    bytes[6] = 0x40 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    for (int i = 0; i < 16; i++) {
        p[at[i]] = hex[bytes[i] >> 4];
        p[at[i] + 1] = hex[bytes[i] & 15];
    }
    p[8] = p[13] = p[18] = p[23] = '-';
    p[36] = '\0';
    return str_of(p, 36);
}

static uint64_t whole_seconds(uint64_t us)
{
    return us - us % 1000000;
}

/* Everything that is not bookkeeping. */
static uint64_t hash_of_spec(const struct node *root)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < root->n_kids; i++) {
        struct str key = node_key(root->kids[i]);
        if (!str_eqc(key, "metadata") && !str_eqc(key, "status") && !str_eqc(key, "apiVersion"))
            sum += hash_str(key, node_hash(root->kids[i]));
    }
    return sum;
}

static struct state_object *earlier(const struct loader *l, const struct object *o)
{
    if (!l->in->prev || o->kind == &KIND_INFO_UNKNOWN)
        return NULL;
    return state_find(l->in->prev, str_c(o->kind->group), o->kind_name, o->ns, o->name);
}

/* Of a text that stood here when it was good, the hash is known. */
static uint64_t spec_hash(const struct object *o, const struct state_object *was)
{
    return was && was->text.n > 0 && str_eq(was->text, o->text) ? was->spec_hash : hash_of_spec(o->root);
}

static void identify(struct loader *l, struct object *o, const struct state_object *was, const struct object_meta *meta)
{
    o->uid = meta->uid.n > 0 ? meta->uid : was ? was->uid : new_uid(l);
    if (meta->generation.set)
        o->generation = (uint64_t)meta->generation.v;
    else
        o->generation = !was ? 1 : was->generation + (was->spec_hash != o->spec_hash);
    o->created_us = whole_seconds(meta->created.set ? meta->created.us : was ? was->created_us : l->now_us);
    o->prev_status_json = was ? was->status_json : STR_NONE;
}

/* What stands here as it stood when it was good is not asked about again. */
static bool passes_vetting(struct loader *l, const struct object *o, const struct state_object *was)
{
    if (!l->in->vet || (was && was->spec_hash == o->spec_hash))
        return true;
    return l->in->vet(l->in->vet_ctx, o, l->diags);
}

/* ---- documents that are no objects ---- */

static const struct node *get_any_case(const struct node *root, const char *key)
{
    for (size_t i = 0; i < root->n_kids; i++)
        if (str_ieq(node_key(root->kids[i]), str_c(key)))
            return root->kids[i];
    return NULL;
}

static bool looks_like_helm_values(const struct node *root)
{
    static const char *const keys[] = {"gateways", "global", "image", "replicaCount", "autoscaling", "autoscaleEnabled",
                                       "resources", "service", "ingress", "meshConfig", "pilot", "podAnnotations",
                                       "nodeSelector", "tolerations", "affinity", "nameOverride"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (node_get(root, keys[i]))
            return true;
    return str_find(node_source(root)->path, STR("values")) >= 0;
}

/* Says why a document is no object; false when it is one. */
static bool told_no_object(struct loader *l, const struct node *root)
{
    const struct node *version = node_get(root, "apiVersion"), *kind = node_get(root, "kind");
    const struct node *near = NULL;
    const char *hint = NULL, *missing = !version && !kind ? "apiVersion and kind are" : !version ? "apiVersion is" : "kind is";
    if (root->type != NODE_MAP) {
        hint = root->type == NODE_LIST ? "write the objects as documents with --- between them, or as kind: List" : NULL;
        diag_at(l->diags, DIAG_NotAnObject, root, hint, "expected an object, found %s", node_type_name(root->type));
        return true;
    }
    if (version && kind) {
        const struct node *odd = version->type != NODE_STRING || node_text(version).n == 0 ? version : kind;
        if (odd->type == NODE_STRING && node_text(odd).n > 0)
            return false;
        diag_at(l->diags, DIAG_NotAnObject, odd, NULL, "expected a string, found %s",
                odd->type == NODE_STRING ? "an empty one" : node_type_name(odd->type));
        return true;
    }
    if (!version && (near = get_any_case(root, "apiVersion")) != NULL)
        hint = "it is written apiVersion";
    else if (!kind && (near = get_any_case(root, "kind")) != NULL)
        hint = "it is written kind";
    else if (!version && !kind)
        hint = looks_like_helm_values(root) ? "this looks like Helm values: render the chart with helm template"
                                            : "an object begins with apiVersion: and kind:";
    diag_at(l->diags, DIAG_NotAnObject, near ? near : root, hint, "this is no object: %s missing", missing);
    return true;
}

/* ---- duplicates ---- */

/* 2: this is what served before, 1: it stands in that file. */
static int served_before(const struct loader *l, const struct object *o)
{
    const struct state_object *was = earlier(l, o);
    if (!was || !str_eq(was->file, o->source->path))
        return 0;
    return was->spec_hash == o->spec_hash ? 2 : 1;
}

/* Is `o`, which comes later in the order of files, to win over k->good? */
static bool wins(const struct loader *l, const struct known *k, const struct object *o, bool created_written)
{
    int a = served_before(l, k->good), b = served_before(l, o);
    if (a != b)
        return b > a;
    uint64_t was = k->created_written ? k->good->created_us : UINT64_MAX;
    return (created_written ? o->created_us : UINT64_MAX) < was;
}

static void lose(struct loader *l, struct object *loser, const struct object *winner)
{
    loser->verdict = VERDICT_REJECTED;
    loser->spec = NULL;
    struct str hint = arena_strf(l->arena, "remove one of them, or give it another name or namespace");
    diag_at(l->diags, DIAG_DuplicateObject, loser->root, hint.p, "the same object stands in " STR_FMT " line %u, and that one is used",
            STR_ARG(winner->source->path), winner->line);
}

static void accept(struct loader *l, struct known *k, struct object *o, bool created_written)
{
    if (k->good && !wins(l, k, o, created_written)) {
        lose(l, o, k->good);
        return;
    }
    if (k->good)
        lose(l, k->good, o);
    k->good = o;
    k->created_written = created_written;
}

/* ---- one document ---- */

static struct known *known_of(struct loader *l, const struct object *o)
{
    struct state_object id = {.kind_group = str_c(o->kind->group), .kind = o->kind_name, .ns = o->ns, .name = o->name};
    struct str key = state_key(l->arena, &id);
    struct known *k = map_get(&l->known, key);
    if (!k) {
        k = arena_new(l->arena, struct known);
        map_put(&l->known, key, k);
    }
    return k;
}

/* The document's text from the line of its first key on: comments above it are not kept in the state. */
static struct str text_from(struct str text, uint32_t first_line, uint32_t line)
{
    struct str rest = text, piece;
    for (; first_line < line && str_split(&rest, '\n', &piece); first_line++)
        ;
    return rest.p ? rest : text;
}

static void unknown_kind(struct loader *l, struct object *o)
{
    o->kind = &KIND_INFO_UNKNOWN;
    o->verdict = VERDICT_UNSERVED;
    struct str hint = kind_hint(l->arena, o->api_version, o->kind_name);
    if (str_starts(o->api_version, STR("gatehouse.dev/")) && str_eqc(o->kind_name, "Instance"))
        hint = STR("settings of the process belong into gatehouse.yaml, outside of conf.d");
    diag_at_key_hint(l->diags, DIAG_UnknownKind, o->root, "kind", hint, "%s of %s is no kind that gatehouse knows",
                     diag_quote(l->arena, o->kind_name), diag_quote(l->arena, o->api_version))->path = STR_NONE;
    store_list(l->store, o);
}

/* Which namespace holds, and what to say about it. */
static void place_in_namespace(struct loader *l, struct object *o, const struct conf_file *f)
{
    struct node_document *doc = node_document(o->root);
    if (o->kind->scope == SCOPE_CLUSTER) {
        bool written = doc->ns.n > 0;
        doc->ns = STR_NONE;
        if (written)
            diag_at(l->diags, DIAG_Ignored, node_walk(o->root, "metadata.namespace"), NULL,
                    "a %s belongs to no namespace", o->kind->kind);
    } else if (doc->ns.n == 0) {
        doc->ns = f->ns.n > 0 ? f->ns : STR(DEFAULT_NAMESPACE);
    }
    o->ns = doc->ns;
}

static void warn_world_readable(struct loader *l, struct conf_file *f, const struct object *o)
{
    if (o->kind->id != KIND_SECRET || !f->source.world_readable)
        return;
    diag_at(l->diags, DIAG_WorldReadable, o->root, "chmod o-r", "everybody on this machine can read this Secret");
    f->source.world_readable = false; /* once for each file */
}

static void judge_object(struct loader *l, struct conf_file *f, const struct node *root, struct str text, bool faulty)
{
    struct object *o = arena_new(l->arena, struct object);
    struct node_document *doc = node_document(root);
    struct decoder d = {.arena = l->arena, .diags = l->diags};
    struct object_meta meta;
    void *spec;

    *o = (struct object){.root = root, .source = &f->source, .line = root->line, .text = text,
                         .api_version = doc->api_version, .kind_name = doc->kind, .ns = doc->ns, .name = doc->name};
    o->kind = kind_find(doc->api_version, doc->kind, NULL);
    if (!o->kind) {
        unknown_kind(l, o);
        return;
    }
    place_in_namespace(l, o, f);
    bool ok = kind_decode(&d, o->kind, root, &meta, &spec) && !faulty;
    store_list(l->store, o);
    struct known *k = o->name.n > 0 ? known_of(l, o) : NULL;
    o->spec = ok ? spec : NULL;
    const struct state_object *was = ok ? earlier(l, o) : NULL;
    o->spec_hash = ok ? spec_hash(o, was) : 0;
    if (!ok || !k || !passes_vetting(l, o, was)) {
        o->verdict = VERDICT_REJECTED;
        o->spec = NULL;
        if (k && !k->broken)
            k->broken = o;
        return;
    }
    o->labels = meta.labels;
    o->annotations = meta.annotations;
    o->verdict = spec ? VERDICT_ACCEPTED : VERDICT_UNSERVED;
    identify(l, o, was, &meta);
    warn_world_readable(l, f, o);
    if (!spec)
        diag_at_key(l->diags, DIAG_NotServed, root, "kind", NULL, "%s is not served yet by this release", o->kind->kind)->path = STR_NONE;
    accept(l, k, o, meta.created.set);
}

static void judge(struct loader *l, struct conf_file *f, const struct node *root, struct str text, bool faulty, int depth);

/* `kind: List`, as kubectl writes it: every element is a document. */
static void judge_list(struct loader *l, struct conf_file *f, const struct node *root, bool faulty, int depth)
{
    const struct node *items = node_get(root, "items");
    struct buf json = {0};
    if (!items || items->type != NODE_LIST) {
        diag_at_key(l->diags, DIAG_NotAnObject, root, "items", NULL, "a List has its objects in a list called items");
        return;
    }
    for (size_t i = 0; i < items->n_kids; i++) {
        buf_clear(&json);
        node_json(items->kids[i], &json, NULL);
        struct str text = arena_str(l->arena, buf_str(&json));
        judge(l, f, &node_detach(l->arena, items->kids[i])->root, text, faulty, depth + 1);
    }
    buf_fini(&json);
}

static void judge(struct loader *l, struct conf_file *f, const struct node *root, struct str text, bool faulty, int depth)
{
    const struct node_document *doc = node_document(root);
    if (told_no_object(l, root))
        return;
    if (str_eqc(doc->kind, "List") && str_eqc(doc->api_version, "v1") && depth < LIST_DEPTH)
        judge_list(l, f, root, faulty, depth);
    else
        judge_object(l, f, root, text, faulty);
}

static void mark_broken(struct loader *l, struct conf_file *f)
{
    map_put(&l->broken_files, f->source.path, f);
}

static void judge_file(struct loader *l, struct conf_file *f)
{
    struct yaml_documents docs;
    if (f->broken || l->n_nodes > l->limits->max_all_nodes) {
        mark_broken(l, f);
        return;
    }
    yaml_parse(l->arena, &f->source, l->limits, l->diags, &docs);
    l->stats->files++;
    l->n_nodes += docs.n_nodes;
    if (docs.broken)
        mark_broken(l, f);
    for (size_t i = 0; i < docs.n; i++) {
        const struct yaml_document *doc = &docs.v[i];
        l->stats->documents++;
        if (doc->root)
            judge(l, f, doc->root, text_from(doc->text, doc->first_line, doc->root->line), doc->faulty, 0);
    }
    if (l->n_nodes > l->limits->max_all_nodes)
        diag_file(l->diags, DIAG_LimitExceeded, f->source.path, 0, 0,
                  "from here on nothing is read: all documents together have more than %zu nodes", l->limits->max_all_nodes);
}

/* ---- last good versions ---- */

static bool is_lost(const struct conf_files *files, struct str path)
{
    for (size_t i = 0; i < files->lost.n; i++) {
        struct str p = files->lost.v[i];
        if (str_starts(path, p) && (p.n == path.n || p.n == 0 || p.p[p.n - 1] == '/' || path.p[p.n] == '/'))
            return true;
    }
    return false;
}

/* The object as it was, read again from its text; NULL when this program does not accept it any more. */
static struct object *read_again(struct loader *l, const struct state_object *was)
{
    struct diags unheard;
    struct decoder d = {.arena = l->arena, .diags = &unheard};
    struct object *o = arena_new(l->arena, struct object);
    struct source *src = arena_new(l->arena, struct source);
    struct object_meta meta;
    void *spec;

    diags_init(&unheard, l->arena);
    *src = (struct source){.path = was->file, .text = was->text};
    const struct node *root = yaml_parse_document(l->arena, src, was->text, was->line, l->limits, &unheard);
    if (!root || root->type != NODE_MAP)
        return NULL;
    struct node_document *doc = node_document(root);
    const struct kind_info *kind = kind_find(doc->api_version, doc->kind, NULL);
    doc->ns = was->ns;
    if (!kind || !kind_decode(&d, kind, root, &meta, &spec))
        return NULL;
    *o = (struct object){.kind = kind, .api_version = doc->api_version, .kind_name = doc->kind, .ns = was->ns,
                         .name = was->name, .labels = meta.labels, .annotations = meta.annotations, .uid = was->uid,
                         .generation = was->generation, .created_us = whole_seconds(was->created_us), .root = root,
                         .source = src, .line = was->line, .text = was->text, .spec_hash = was->spec_hash, .spec = spec,
                         .verdict = spec ? VERDICT_ACCEPTED : VERDICT_UNSERVED, .stale = true,
                         .prev_status_json = was->status_json};
    return str_eq(doc->name, was->name) ? o : NULL;
}

static void tell_stale(struct loader *l, const struct state_object *was, const struct object *broken, bool kept)
{
    struct diag *d = diag_file(l->diags, DIAG_Stale, broken ? broken->source->path : was->file, broken ? broken->line : 0,
                               broken ? broken->root->column : 0, "%s",
                               kept ? "the last good version keeps serving until this is mended"
                                    : "the last good version can't be used any more either");
    d->kind = was->kind;
    d->ns = was->ns;
    d->name = was->name;
    d->api_version = broken ? broken->api_version : STR_NONE;
    if (!kept)
        d->severity = DIAG_ERROR;
}

static void revive(struct loader *l, const struct conf_files *files, struct str key, const struct state_object *was)
{
    struct known *k = map_get(&l->known, key);
    if (k && k->good)
        return;
    if (!(k && k->broken) && !map_get(&l->broken_files, was->file) && !is_lost(files, was->file))
        return; /* deleted */
    struct object *o = read_again(l, was);
    if (!o || o->spec) /* of an unserved kind only the identity is kept */
        tell_stale(l, was, k ? k->broken : NULL, o != NULL);
    if (!o)
        return;
    if (!k) {
        k = arena_new(l->arena, struct known);
        map_put(&l->known, key, k);
    }
    k->good = o;
    store_list(l->store, o);
}

/* ---- the state of the next load ---- */

static void remember(struct loader *l)
{
    struct state *st = l->in->prev;
    struct map objects;
    map_init(&objects, st->arena);
    map_reserve(&objects, l->known.n);
    for (size_t i = 0; i < l->known.n; i++) {
        const struct object *o = ((struct known *)l->known.v[i].val)->good;
        if (!o)
            continue;
        struct state_object *s = arena_new(st->arena, struct state_object);
        *s = (struct state_object){.kind_group = str_c(o->kind->group), .kind = o->kind_name, .ns = o->ns, .name = o->name,
                                   .uid = o->uid, .generation = o->generation, .created_us = o->created_us,
                                   .spec_hash = o->spec_hash, .file = o->source->path, .line = o->line, .text = o->text,
                                   .status_json = o->prev_status_json};
        map_put(&objects, l->known.v[i].key, s);
    }
    st->objects = objects;
}

void load_keep_status(const struct store *st, struct state *state)
{
    for (size_t i = 0; i < st->n_all; i++) {
        const struct object *o = st->all[i];
        if (o->verdict == VERDICT_REJECTED || o->status_json.n == 0)
            continue;
        struct state_object *s = state_find(state, str_c(o->kind->group), o->kind_name, o->ns, o->name);
        if (s)
            s->status_json = o->status_json;
    }
}

/* ---- the entry ---- */

void load_all(struct store *st, struct arena *a, struct diags *ds, const struct load_input *in,
              struct load_stats *stats)
{
    struct loader l = {.arena = a, .store = st, .diags = ds, .in = in, .stats = stats, .now_us = clock_wall_us(),
                       .limits = in->limits ? in->limits : &YAML_LIMITS_DEFAULT};
    struct conf_files files;

    *stats = (struct load_stats){0};
    store_init(st, a, ds);
    map_init(&l.known, a);
    if (in->prev)
        map_reserve(&l.known, in->prev->objects.n); /* most of them are still there */
    map_init(&l.broken_files, a);
    rng_seed(&l.rng);
    files_read(&files, a, ds, in, l.limits);
    for (size_t i = 0; i < files.list.n; i++)
        judge_file(&l, files.list.v[i]);
    for (size_t i = 0; in->prev && i < in->prev->objects.n; i++)
        revive(&l, &files, in->prev->objects.v[i].key, in->prev->objects.v[i].val);
    map_reserve(&st->by_id, l.known.n);
    for (size_t i = 0; i < l.known.n; i++) {
        struct object *o = ((struct known *)l.known.v[i].val)->good;
        const struct object *broken = ((struct known *)l.known.v[i].val)->broken;
        if (o && o->verdict == VERDICT_ACCEPTED)
            store_put(st, o);
        else if (!o && broken)
            store_put_broken(st, broken);
    }
    store_finish(st);
    if (in->prev)
        remember(&l);
}

/* ---- the report ---- */

static void report_object(const struct object *o, struct buf *out)
{
    static const char *const verdicts[] = {
        [VERDICT_ACCEPTED] = "accepted", [VERDICT_REJECTED] = "rejected", [VERDICT_UNSERVED] = "unserved"};
    const struct {
        const char *name;
        struct str value;
    } members[] = {{"{\"apiVersion\":", o->api_version}, {",\"kind\":", o->kind_name}, {",\"namespace\":", o->ns},
                   {",\"name\":", o->name},              {",\"file\":", o->source->path}};
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        buf_addc(out, members[i].name);
        buf_json(out, members[i].value);
    }
    buf_addf(out, ",\"line\":%u,\"verdict\":\"%s\"%s}", o->line, verdicts[o->verdict], o->stale ? ",\"stale\":true" : "");
}

void load_report_json(const struct store *st, const struct diags *ds, const struct load_stats *stats,
                      struct buf *out)
{
    size_t errors = 0, warnings = 0;
    buf_addc(out, "{\"objects\":[");
    for (size_t i = 0; i < st->n_all; i++) {
        buf_addc(out, i ? "," : "");
        report_object(st->all[i], out);
    }
    buf_addc(out, "],\"diagnostics\":[");
    for (size_t i = 0; i < ds->n; i++) {
        buf_addc(out, i ? "," : "");
        diag_json(&ds->v[i], out);
        errors += ds->v[i].severity == DIAG_ERROR;
        warnings += ds->v[i].severity == DIAG_WARNING;
    }
    buf_addf(out, "],\"summary\":{\"files\":%zu,\"objects\":%zu,\"errors\":%zu,\"warnings\":%zu}}", stats->files,
             st->n_all, errors, warnings);
}
