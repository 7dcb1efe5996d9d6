/*
 * The interpreter of field tables: walks a map of the document beside a table of fields. Values that are no
 * sub struct are value.c's business.
 */
#include "master/kinds/schema.h"
#include "master/kinds/value.h"
#include "shared/base/arena.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_FIELDS       64 /* of one struct: the set of fields seen is one word */
#define SUGGEST_DISTANCE 3

/* Lets a finding point at the key instead of the value. */
static void point_at_key(struct diag *g, const struct node *n)
{
    if (n->key_line > 0) {
        g->line = n->key_line;
        g->column = n->key_column;
    }
}

/* ---- names ---- */

static bool is_called(const struct field *f, struct str key)
{
    return f->name_n == key.n && f->name[0] == key.p[0] && memcmp(f->name, key.p, key.n) == 0;
}

/* Looks from row `from` on, then before it: most people write fields in the order of the tables. */
static size_t find_from(const struct schema *s, struct str key, size_t from)
{
    for (size_t i = from; i < s->n_fields; i++)
        if (is_called(&s->fields[i], key))
            return i;
    for (size_t i = 0; i < from; i++)
        if (is_called(&s->fields[i], key))
            return i;
    return s->n_fields;
}

static size_t find_exact(const struct schema *s, struct str key)
{
    return find_from(s, key, 0);
}

/* "http_match_request" for "httpMatchRequest": equal when the words are. */
static bool equal_but_snake(const char *camel, struct str snake)
{
    size_t i = 0;
    for (; *camel && i < snake.n; camel++) {
        bool capital = *camel >= 'A' && *camel <= 'Z';
        if (capital && snake.p[i] == '_')
            i++;
        if (i == snake.n || ascii_lower(*camel) != ascii_lower(snake.p[i++]))
            return false;
    }
    return *camel == '\0' && i == snake.n;
}

static size_t find_snake(const struct schema *s, struct str key)
{
    if (str_chr(key, '_') < 0)
        return s->n_fields;
    for (size_t i = 0; i < s->n_fields; i++)
        if (equal_but_snake(s->fields[i].name, key))
            return i;
    return s->n_fields;
}

static const char *nearest(const struct schema *s, struct str key)
{
    const char *name = NULL;
    unsigned best = key.n <= 3 ? 1 : key.n <= 5 ? 2 : SUGGEST_DISTANCE;
    size_t snake = find_snake(s, key);
    if (snake < s->n_fields)
        return s->fields[snake].name;
    for (size_t i = 0; i < s->n_fields; i++) {
        const struct field *f = &s->fields[i];
        if (f->flags & FIELD_SILENT)
            continue;
        if (str_ieq(key, str_c(f->name)))
            return f->name;
        unsigned dist = str_distance(key, str_c(f->name), best);
        if (dist <= best && (!name || dist < best)) {
            best = dist;
            name = f->name;
        }
    }
    return name;
}

/* The field whose sub struct has a field `key`, or NULL: the key stands one level too high. */
static const char *one_below(const struct schema *s, struct str key)
{
    for (size_t i = 0; i < s->n_fields; i++)
        if (s->fields[i].sub && find_exact(s->fields[i].sub, key) < s->fields[i].sub->n_fields)
            return s->fields[i].name;
    return NULL;
}

static struct str all_names(struct arena *a, const struct schema *s)
{
    struct buf b = {0};
    size_t n = 0;
    for (size_t i = 0; i < s->n_fields; i++)
        if (!(s->fields[i].flags & FIELD_SILENT))
            buf_addf(&b, "%s%s", n++ ? ", " : "known here: ", s->fields[i].name);
    struct str text = n > 0 && n <= 8 ? arena_str(a, buf_str(&b)) : STR_NONE;
    buf_fini(&b);
    return text;
}

static void unknown_field(struct decoder *d, const struct schema *s, const struct node *n)
{
    struct arena *a = d->arena;
    const char *near, *below;
    struct str hint;
    if (d->outer && find_exact(d->outer, node_key(n)) < d->outer->n_fields)
        hint = arena_strf(a, "it belongs one level up; is it indented too far?");
    else if ((below = one_below(s, node_key(n))) != NULL)
        hint = arena_strf(a, "it belongs under \"%s\"", below);
    else if ((near = nearest(s, node_key(n))) != NULL)
        hint = arena_strf(a, "did you mean \"%s\"?", near);
    else
        hint = all_names(a, s);
    point_at_key(diag_at(d->diags, DIAG_UnknownField, n, hint.p, "unknown field"), n);
}

/* ---- sub structs ---- */

static bool decode_map(struct decoder *d, const struct schema *s, const struct node *n, void *obj);

static bool decode_sub(struct decoder *d, const struct field *f, const struct node *n, void *obj)
{
    if (n->type == NODE_MAP)
        return decode_map(d, f->sub, n, obj);
    *(const struct node **)obj = n; /* an element always has its node, so that a check may point at it */
    if (n->type == NODE_NULL && f->type == FT_OBJECT_MAP && (f->flags & FIELD_NULL_OK))
        return true;
    value_wrong_type(d, f, n, "a map");
    return false;
}

static bool decode_object(struct decoder *d, const struct field *f, const struct node *n, void *member)
{
    if (n->type != NODE_MAP) {
        value_wrong_type(d, f, n, "a map");
        return false;
    }
    if (n->n_kids == 0 && (f->flags & FIELD_NONEMPTY)) {
        diag_at(d->diags, DIAG_OutOfRange, n, NULL, "must not be empty");
        return false;
    }
    void *sub = arena_alloc(d->arena, f->sub->size);
    *(void **)member = sub;
    return decode_map(d, f->sub, n, sub);
}

/* FT_LIST and FT_OBJECT_MAP. */
static bool decode_elements(struct decoder *d, const struct field *f, const struct node *n, void *member)
{
    struct any_list *out = member;
    if (n->type != (f->type == FT_LIST ? NODE_LIST : NODE_MAP)) {
        value_wrong_type(d, f, n, value_type_name(f->type));
        return false;
    }
    bool ok = value_check_count(d, f, n, n->n_kids, f->type == FT_LIST ? "elements" : "entries");
    char *v = arena_array(d->arena, n->n_kids, f->sub->size);
    for (size_t i = 0; i < n->n_kids; i++)
        ok &= decode_sub(d, f, n->kids[i], v + i * f->sub->size);
    *out = (struct any_list){v, n->n_kids};
    return ok;
}

/* ---- one field ---- */

static void tell_flags(struct decoder *d, const struct field *f, const struct node *n)
{
    static const struct {
        uint32_t flag;
        enum diag_code code;
        const char *text;
    } rows[] = {
        {FIELD_NOT_SERVED, DIAG_NotServed, "not served yet by this release"},
        {FIELD_DEPRECATED, DIAG_Deprecated, "deprecated, still accepted"},
        {FIELD_IGNORED, DIAG_Ignored, "accepted without effect"},
    };
    if (!(f->flags & (FIELD_NOT_SERVED | FIELD_DEPRECATED | FIELD_IGNORED)))
        return;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!(f->flags & rows[i].flag))
            continue;
        point_at_key(diag_at(d->diags, rows[i].code, n, f->hint, "%s", rows[i].text), n);
    }
}

static void required(struct decoder *d, const struct field *f, const struct node *map)
{
    diag_at_key(d->diags, DIAG_Required, map, f->name, NULL, "this required field is missing");
}

/* `n` is not null. */
static bool decode_value(struct decoder *d, const struct field *f, const struct node *n, void *obj)
{
    if (f->offset == FIELD_NOWHERE)
        return true;
    void *member = (char *)obj + f->offset;
    switch (f->type) {
    case FT_OBJECT: return decode_object(d, f, n, member);
    case FT_LIST:
    case FT_OBJECT_MAP: return decode_elements(d, f, n, member);
    default: return value_decode(d, f, n, member);
    }
}

/* False when the field counts as absent. */
static bool decode_field(struct decoder *d, const struct field *f, const struct node *n, void *obj, bool *ok)
{
    if (f->flags & FIELD_SILENT)
        return true;
    if (n->type == NODE_NULL) {
        if (!(f->flags & (FIELD_NULL_OK | FIELD_REQUIRED)))
            diag_at(d->diags, DIAG_Ignored, n, NULL, "has no value; it counts as not written");
        return false;
    }
    bool unserved = (f->flags & FIELD_NOT_SERVED) != 0;
    if (d->unserved == 0)
        tell_flags(d, f, n);
    d->unserved += unserved;
    *ok &= decode_value(d, f, n, obj);
    d->unserved -= unserved;
    return true;
}

static bool is_object_key(const struct node *n)
{
    static const char *const names[] = {"apiVersion", "kind", "metadata", "status"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eqc(node_key(n), names[i]))
            return true;
    return false;
}

/* The row of `n`, or n_fields with a finding (unless the key is to be passed over). `from` is a guess. */
static size_t find_field(struct decoder *d, const struct schema *s, const struct node *map,
                         const struct node *n, size_t from, bool *ok)
{
    size_t i = node_key(n).n > 0 ? find_from(s, node_key(n), from) : s->n_fields;
    if (i < s->n_fields || (!map->parent && is_object_key(n)) || s->open)
        return i;
    if (d->snake_case_ok && (i = find_snake(s, node_key(n))) < s->n_fields) {
        struct str hint = arena_strf(d->arena, "write \"%s\"", s->fields[i].name);
        point_at_key(diag_at(d->diags, DIAG_Deprecated, n, hint.p, "old spelling, still accepted"), n);
        return i;
    }
    unknown_field(d, s, n);
    *ok = false;
    return s->n_fields;
}

/* Defaults of the fields that were not written; false when one of them must be. */
static bool decode_absent(struct decoder *d, const struct schema *s, const struct node *n, uint64_t seen, void *obj)
{
    bool ok = true;
    for (size_t i = 0; i < s->n_fields; i++) {
        const struct field *f = &s->fields[i];
        if (seen & (UINT64_C(1) << i) || f->offset == FIELD_NOWHERE)
            continue;
        if (f->has_def || f->def_str)
            value_default(f, (char *)obj + f->offset);
        if (f->flags & FIELD_REQUIRED) {
            required(d, f, n);
            ok = false;
        }
    }
    return ok;
}

static bool decode_map(struct decoder *d, const struct schema *s, const struct node *n, void *obj)
{
    const struct schema *outer = d->outer;
    uint64_t seen = 0;
    size_t from = 0;
    bool ok = true;
    *(const struct node **)obj = n;
    must(s->n_fields <= MAX_FIELDS);
    for (size_t k = 0; k < n->n_kids; k++) {
        const struct node *kid = n->kids[k];
        d->outer = outer;
        size_t i = find_field(d, s, n, kid, from, &ok);
        if (i == s->n_fields)
            continue;
        from = i + 1;
        if (seen & (UINT64_C(1) << i)) {
            if (node_get_str(n, node_key(kid)) == kid) /* the other spelling was first; of equal keys the parser spoke */
                point_at_key(diag_at(d->diags, DIAG_DuplicateKey, kid, NULL, "\"%s\" stands here twice", s->fields[i].name), kid);
            ok = false;
            continue;
        }
        d->outer = s;
        if (decode_field(d, &s->fields[i], kid, obj, &ok))
            seen |= UINT64_C(1) << i;
    }
    ok &= decode_absent(d, s, n, seen, obj);
    d->outer = outer;
    if (s->check) {
        size_t errors = d->diags->n_errors;
        s->check(d, obj);
        ok &= d->diags->n_errors == errors;
    }
    return ok;
}

bool schema_decode(struct decoder *d, const struct schema *s, const struct node *n, void *obj)
{
    size_t errors = d->diags->n_errors;
    bool ok = true;
    if (n->type == NODE_MAP) {
        ok = decode_map(d, s, n, obj);
    } else {
        diag_at(d->diags, DIAG_WrongType, n, NULL, "expected a map, found %s", node_type_name(n->type));
        ok = false;
    }
    d->errors += d->diags->n_errors - errors;
    return ok && d->diags->n_errors == errors;
}

/* ---- tables as data ---- */

const struct field *schema_field(const struct schema *s, const char *path)
{
    struct str rest = str_c(path), key;
    const struct field *f = NULL;
    while (str_split(&rest, '.', &key)) {
        ptrdiff_t bracket = str_chr(key, '[');
        if (bracket >= 0)
            key = str_head(key, (size_t)bracket);
        if (!s || key.n == 0)
            return NULL;
        size_t i = find_exact(s, key);
        if (i == s->n_fields)
            return NULL;
        f = &s->fields[i];
        s = f->sub;
    }
    return f;
}

static const char *field_slip(const struct schema *s, const struct field *f)
{
    bool sub = f->type == FT_OBJECT || f->type == FT_LIST || f->type == FT_OBJECT_MAP;
    if (!f->name || !f->name[0])
        return "has no name";
    if (find_exact(s, str_c(f->name)) != (size_t)(f - s->fields))
        return "stands twice";
    if (sub && !f->sub)
        return "has no sub schema";
    if (sub && f->elem != f->sub->size)
        return "has a member of another size than its sub schema";
    if (f->type == FT_ENUM && !f->enums)
        return "has no words";
    if (f->offset != FIELD_NOWHERE && f->offset >= s->size)
        return "lies outside its struct";
    if (f->offset < sizeof(struct node *))
        return "lies where the struct's node should be";
    if (!f->doc || !f->doc[0])
        return "has no doc";
    return NULL;
}

static bool verify(const struct schema *s, struct buf *why, unsigned depth)
{
    if (depth > 32) {
        buf_addf(why, "%s holds itself", s->name);
        return false;
    }
    if (s->n_fields > MAX_FIELDS || s->size < sizeof(struct node *)) {
        buf_addf(why, "%s has too many fields or no node", s->name);
        return false;
    }
    for (size_t i = 0; i < s->n_fields; i++) {
        const char *slip = field_slip(s, &s->fields[i]);
        if (slip) {
            buf_addf(why, "%s: field %s (row %zu) %s", s->name, s->fields[i].name ? s->fields[i].name : "?", i, slip);
            return false;
        }
        if (s->fields[i].sub && !verify(s->fields[i].sub, why, depth + 1))
            return false;
    }
    return true;
}

bool schema_verify(const struct schema *s, struct buf *why)
{
    return verify(s, why, 0);
}
