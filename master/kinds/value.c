#include "master/kinds/value.h"
#include "master/kinds/format.h"
#include "shared/base/arena.h"
#include "shared/base/clock.h"
#include "shared/base/hash.h"

#include <string.h>

#define SUGGEST_DISTANCE 3

const char *value_type_name(enum field_type t)
{
    static const char *const names[] = {
        [FT_STR] = "a string",
        [FT_STR_LIST] = "a list of strings",
        [FT_STR_MAP] = "a map of strings",
        [FT_BYTES_MAP] = "a map of base64 strings",
        [FT_BOOL] = "true or false",
        [FT_INT] = "an integer",
        [FT_NUMBER] = "a number",
        [FT_ENUM] = "a string",
        [FT_DURATION] = "a duration such as \"30s\"",
        [FT_OBJECT] = "a map",
        [FT_LIST] = "a list",
        [FT_OBJECT_MAP] = "a map",
        [FT_INT_OR_STR] = "an integer or a string",
        [FT_INT_LIST] = "a list of integers",
        [FT_TIME] = "a time such as \"2026-01-31T12:00:00Z\"",
        [FT_NODE] = "a value",
    };
    return names[t];
}

/* ---- findings ---- */

static bool is_number_with_zero(struct str s)
{
    return s.n > 1 && s.p[0] == '0' && ascii_is_digit(s.p[1]);
}

static bool is_yaml11_bool(struct str s)
{
    static const char *const words[] = {"yes", "no", "on", "off", "y", "n", "true", "false"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_ieq(s, str_c(words[i])))
            return true;
    return false;
}

static bool wants_list(enum field_type t)
{
    return t == FT_LIST || t == FT_STR_LIST || t == FT_INT_LIST;
}

static bool wants_map(enum field_type t)
{
    return t == FT_OBJECT || t == FT_OBJECT_MAP || t == FT_STR_MAP || t == FT_BYTES_MAP;
}

/* Names of the fields of a schema, for a hint; empty when there are too many. */
static struct str field_names(struct arena *a, const struct schema *s)
{
    struct buf b = {0};
    size_t n = 0;
    for (size_t i = 0; s && i < s->n_fields; i++)
        if (!(s->fields[i].flags & FIELD_SILENT))
            buf_addf(&b, "%s%s", n++ ? ", " : "its fields are ", s->fields[i].name);
    struct str text = n > 0 && n <= 10 ? arena_str(a, buf_str(&b)) : STR_NONE;
    buf_fini(&b);
    return text;
}

static struct str type_hint(struct arena *a, const struct field *f, const struct node *n)
{
    bool scalar = n->type != NODE_LIST && n->type != NODE_MAP;
    bool element = n->parent && n->parent->type == NODE_LIST;
    enum field_type t = f->type;
    if (n->type == NODE_LIST && wants_map(t))
        return STR("take the '-' away: one map is expected");
    if (n->type == NODE_MAP && t == FT_LIST && !element)
        return STR("begin every element with \"- \"");
    if (scalar && t == FT_STR_LIST && !element)
        return arena_strf(a, "write it as a list: [%s]", diag_quote(a, node_text(n)));
    if (n->type == NODE_BOOL || n->type == NODE_INT || n->type == NODE_FLOAT)
        return wants_map(t) || (wants_list(t) && t != FT_STR_LIST) || t == FT_BOOL || t == FT_INT || t == FT_NUMBER
                   ? STR_NONE
                   : arena_strf(a, "put it in quotes: %s", diag_quote(a, node_text(n)));
    if (n->type == NODE_STRING && t == FT_BOOL && is_yaml11_bool(node_text(n)))
        return n->quoted ? STR("take the quotes away") : STR("only true and false are boolean");
    if (n->type == NODE_STRING && (t == FT_INT || t == FT_NUMBER)) {
        int64_t v;
        if (is_number_with_zero(node_text(n)))
            return STR("a leading zero means octal to some readers: leave it out");
        return str_i64(node_text(n), &v) && n->quoted ? STR("take the quotes away") : STR_NONE;
    }
    if (scalar && (t == FT_OBJECT || element))
        return field_names(a, f->sub);
    return STR_NONE;
}

void value_wrong_type(struct decoder *d, const struct field *f, const struct node *n, const char *want)
{
    bool secret = (f->flags & FIELD_SECRET) || f->type == FT_BYTES_MAP;
    struct str hint = secret ? STR_NONE : type_hint(d->arena, f, n);
    if (secret)
        diag_at(d->diags, DIAG_WrongType, n, NULL, "expected %s, found %s", want, node_type_name(n->type));
    else if (n->type == NODE_STRING && node_text(n).n > 0)
        diag_at(d->diags, DIAG_WrongType, n, hint.p, "expected %s, found the string %s", want,
                diag_quote(d->arena, node_text(n)));
    else if (n->type == NODE_INT || n->type == NODE_FLOAT || n->type == NODE_BOOL)
        diag_at(d->diags, DIAG_WrongType, n, hint.p, "expected %s, found " STR_FMT, want, STR_ARG(node_text(n)));
    else
        diag_at(d->diags, DIAG_WrongType, n, hint.p, "expected %s, found %s", want, node_type_name(n->type));
}

static bool wrong_type(struct decoder *d, const struct field *f, const struct node *n)
{
    value_wrong_type(d, f, n, value_type_name(f->type));
    return false;
}

bool value_check_count(struct decoder *d, const struct field *f, const struct node *n, size_t count,
                       const char *unit)
{
    if (count == 0 && (f->flags & FIELD_NONEMPTY))
        diag_at(d->diags, DIAG_OutOfRange, n, NULL, "must not be empty");
    else if (f->max > 0 && count > (uint64_t)f->max)
        diag_at(d->diags, DIAG_OutOfRange, n, NULL, "has %zu %s, at most %lld are allowed", count, unit,
                (long long)f->max);
    else if (f->min > 0 && count < (uint64_t)f->min)
        diag_at(d->diags, DIAG_OutOfRange, n, NULL, "has %zu %s, at least %lld are needed", count, unit,
                (long long)f->min);
    else
        return true;
    return false;
}

static bool check_range(struct decoder *d, const struct field *f, const struct node *n, double v,
                        const char *unit)
{
    if (f->min == 0 && f->max == 0)
        return true;
    bool low = v < (double)f->min, high = (f->max != 0 || f->min < 0) && v > (double)f->max;
    if (!low && !high)
        return true;
    if (f->max > f->min && f->max < INT64_MAX)
        diag_at(d->diags, DIAG_OutOfRange, n, NULL, STR_FMT " is out of range: %lld to %lld%s are allowed",
                STR_ARG(node_text(n)), (long long)f->min, (long long)f->max, unit);
    else if (low)
        diag_at(d->diags, DIAG_OutOfRange, n, NULL, STR_FMT " is too small: at least %lld%s",
                STR_ARG(node_text(n)), (long long)f->min, unit);
    else
        diag_at(d->diags, DIAG_OutOfRange, n, NULL, STR_FMT " is too big: at most %lld%s",
                STR_ARG(node_text(n)), (long long)f->max, unit);
    return false;
}

static bool check_format(struct decoder *d, enum field_format fmt, const struct node *n, struct str s)
{
    struct buf why = {0};
    if (fmt == FMT_NONE)
        return true;
    bool ok = format_check(fmt, s, &why);
    if (!ok)
        diag_at(d->diags, DIAG_BadValue, n, NULL, "%s is not %s: %s", diag_quote(d->arena, s),
                format_name(fmt), buf_cstr(&why));
    buf_fini(&why);
    return ok;
}

/* ---- words of a closed list ---- */

static const struct enum_row *enum_find(const struct field *f, struct str word)
{
    for (const struct enum_row *e = f->enums; e->name; e++)
        if (f->flags & FIELD_LOWER_ENUM ? str_ieq(word, str_c(e->name))
                                        : word.n > 0 && word.p[0] == e->name[0] && str_eqc(word, e->name))
            return e;
    return NULL;
}

static const struct enum_row *enum_check(struct decoder *d, const struct field *f, const struct node *n)
{
    const struct enum_row *hit = enum_find(f, node_text(n)), *near = NULL;
    if (hit)
        return hit;
    unsigned best = node_text(n).n <= 3 ? 1 : SUGGEST_DISTANCE;
    struct buf all = {0};
    for (const struct enum_row *e = f->enums; e->name; e++) {
        unsigned dist = str_ieq(node_text(n), str_c(e->name)) ? 0 : str_distance(node_text(n), str_c(e->name), best);
        if (dist <= best && (!near || dist < best)) {
            best = dist;
            near = e;
        }
        buf_addf(&all, "%s\"%s\"", all.n ? ", " : "", e->name);
    }
    struct str hint = near ? arena_strf(d->arena, "did you mean \"%s\"?", near->name) : STR_NONE;
    diag_at(d->diags, DIAG_BadValue, n, hint.p, "%s is not allowed; it must be %s%s",
            diag_quote(d->arena, node_text(n)), f->enums[0].name && f->enums[1].name ? "one of " : "",
            buf_cstr(&all));
    buf_fini(&all);
    return NULL;
}

/* ---- one function per type ---- */

static size_t count_characters(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

/* Whether the length of `s` has to be counted: most are within any bounds by their bytes already. */
static bool bounds_matter(const struct field *f, struct str s)
{
    return s.n == 0 || f->min > 1 || (f->max > 0 && s.n > (uint64_t)f->max);
}

/* A string as itself or as an element; `length` says whether min and max are of its length. */
static bool check_string(struct decoder *d, const struct field *f, const struct node *n, bool length)
{
    if (n->type != NODE_STRING) {
        value_wrong_type(d, f, n, "a string");
        return false;
    }
    if (length && bounds_matter(f, node_text(n)) && !value_check_count(d, f, n, count_characters(node_text(n)), "characters"))
        return false;
    if (f->enums)
        return enum_check(d, f, n) != NULL;
    if (node_text(n).n == 0 && !(f->flags & (FIELD_NONEMPTY | FIELD_REQUIRED)) && length)
        return true; /* an empty string that is allowed to be absent is as good as absent */
    return check_format(d, f->format, n, node_text(n));
}

static bool decode_str(struct decoder *d, const struct field *f, const struct node *n, void *member)
{
    if (!check_string(d, f, n, true))
        return false;
    *(struct str *)member = node_text(n);
    return true;
}

/* A finding for every element that stands in the list before; false when there is one. */
static bool check_unique(struct decoder *d, const struct node *list)
{
    struct map seen;
    bool ok = true;
    map_init(&seen, d->arena);
    for (size_t i = 0; i < list->n_kids; i++) {
        if (list->kids[i]->type != NODE_STRING || !map_put(&seen, node_text(list->kids[i]), d))
            continue;
        diag_at(d->diags, DIAG_BadValue, list->kids[i], NULL, "%s stands twice in this list",
                diag_quote(d->arena, node_text(list->kids[i])));
        ok = false;
    }
    return ok;
}

static bool decode_str_list(struct decoder *d, const struct field *f, const struct node *n, void *member)
{
    struct str_list *out = member;
    if (n->type != NODE_LIST)
        return wrong_type(d, f, n);
    if (!value_check_count(d, f, n, n->n_kids, "elements"))
        return false;
    struct str *v = arena_new_n(d->arena, struct str, n->n_kids);
    bool ok = true;
    for (size_t i = 0; i < n->n_kids; i++) {
        ok &= check_string(d, f, n->kids[i], false);
        v[i] = node_text(n->kids[i]);
    }
    if (f->flags & FIELD_UNIQUE)
        ok &= check_unique(d, n);
    *out = (struct str_list){v, n->n_kids};
    return ok;
}

static bool check_pair(struct decoder *d, const struct field *f, const struct node *n)
{
    if (n->type != NODE_STRING) {
        struct field as_string = *f;
        as_string.flags |= f->type == FT_BYTES_MAP ? FIELD_SECRET : 0;
        as_string.type = FT_STR;
        value_wrong_type(d, &as_string, n, "a string");
        return false;
    }
    if (!check_format(d, f->format, n, node_key(n)))
        return false;
    if (f->format == FMT_LABEL_KEY)
        return check_format(d, FMT_LABEL_VALUE, n, node_text(n));
    return f->format == FMT_HEADER_NAME ? check_format(d, FMT_HEADER_VALUE, n, node_text(n)) : true;
}

static bool decode_str_map(struct decoder *d, const struct field *f, const struct node *n, void *member)
{
    struct str_map *out = member;
    if (n->type != NODE_MAP)
        return wrong_type(d, f, n);
    if (!value_check_count(d, f, n, n->n_kids, "entries"))
        return false;
    struct str_pair *v = arena_new_n(d->arena, struct str_pair, n->n_kids);
    bool ok = true;
    for (size_t i = 0; i < n->n_kids; i++) {
        ok &= check_pair(d, f, n->kids[i]);
        v[i] = (struct str_pair){node_key(n->kids[i]), node_text(n->kids[i])};
    }
    *out = (struct str_map){v, n->n_kids};
    return ok;
}

static bool decode_bytes_map(struct decoder *d, const struct field *f, const struct node *n, void *member)
{
    struct str_map *out = member;
    if (!decode_str_map(d, f, n, out))
        return false;
    bool ok = true;
    for (size_t i = 0; i < out->n; i++) {
        if (format_base64(d->arena, out->v[i].val, &out->v[i].val))
            continue;
        diag_at(d->diags, DIAG_BadValue, n->kids[i], "plain text belongs into stringData", "is not base64");
        ok = false;
    }
    return ok;
}

static bool decode_bool(struct decoder *d, const struct field *f, const struct node *n, void *member)
{
    if (n->type != NODE_BOOL)
        return wrong_type(d, f, n);
    *(struct opt_bool *)member = (struct opt_bool){true, node_int(n) != 0};
    return true;
}

static bool decode_int(struct decoder *d, const struct field *f, const struct node *n, void *member)
{
    if (n->type != NODE_INT)
        return wrong_type(d, f, n);
    if (!check_range(d, f, n, (double)node_int(n), ""))
        return false;
    *(struct opt_int *)member = (struct opt_int){true, node_int(n)};
    return true;
}

static bool decode_int_list(struct decoder *d, const struct field *f, const struct node *n, void *member)
{
    struct int_list *out = member;
    struct opt_int one = {0};
    bool ok = true;
    if (n->type != NODE_LIST)
        return wrong_type(d, f, n);
    if (n->n_kids == 0 && (f->flags & FIELD_NONEMPTY)) {
        diag_at(d->diags, DIAG_OutOfRange, n, NULL, "must not be empty");
        return false;
    }
    int64_t *v = arena_new_n(d->arena, int64_t, n->n_kids);
    struct field elem = *f;
    elem.type = FT_INT;
    for (size_t i = 0; i < n->n_kids; i++) {
        ok &= decode_int(d, &elem, n->kids[i], &one);
        v[i] = one.v;
    }
    *out = (struct int_list){v, n->n_kids};
    return ok;
}

static bool decode_number(struct decoder *d, const struct field *f, const struct node *n, void *member)
{
    if (n->type != NODE_INT && n->type != NODE_FLOAT)
        return wrong_type(d, f, n);
    double v = n->type == NODE_INT ? (double)node_int(n) : node_float(n);
    if (v != v) {
        diag_at(d->diags, DIAG_BadValue, n, NULL, "is not a number");
        return false;
    }
    if (!check_range(d, f, n, v, ""))
        return false;
    *(struct opt_num *)member = (struct opt_num){true, v};
    return true;
}

static bool decode_enum(struct decoder *d, const struct field *f, const struct node *n, void *member)
{
    if (n->type == NODE_INT && d->snake_case_ok) /* protobuf's habit: words by their number */
        for (const struct enum_row *w = f->enums; w->name; w++)
            if (w->v == node_int(n)) {
                *(int32_t *)member = w->v;
                return true;
            }
    if (n->type != NODE_STRING)
        return wrong_type(d, f, n);
    const struct enum_row *e = enum_check(d, f, n);
    if (!e)
        return false;
    *(int32_t *)member = e->v;
    return true;
}

static bool decode_duration(struct decoder *d, const struct field *f, const struct node *n, void *member)
{
    struct opt_ms *out = member;
    uint64_t ms = 0;
    bool exact = true;
    if (n->type != NODE_STRING) {
        struct str hint = n->type == NODE_INT ? arena_strf(d->arena, "add a unit: \"" STR_FMT "s\"", STR_ARG(node_text(n)))
                                              : STR_NONE;
        diag_at(d->diags, DIAG_WrongType, n, hint.p, "expected %s, found %s", value_type_name(f->type),
                node_type_name(n->type));
        return false;
    }
    bool go = f->format == FMT_GO_DURATION;
    if (!check_format(d, go ? FMT_GO_DURATION : FMT_GEP_DURATION, n, node_text(n)))
        return false;
    if (go)
        format_go_duration(node_text(n), &ms, &exact);
    else
        format_gep_duration(node_text(n), &ms);
    if (!exact) {
        diag_at(d->diags, DIAG_BadValue, n, NULL, STR_FMT " is no multiple of 1ms", STR_ARG(node_text(n)));
        return false;
    }
    struct field limits = *f;
    if (go && f->min == 0)
        limits.min = 1;
    else if (f->min < 0)
        limits.min = 0;
    if (!check_range(d, &limits, n, (double)ms, " milliseconds"))
        return false;
    *out = (struct opt_ms){true, ms};
    return true;
}

static bool decode_int_or_str(struct decoder *d, const struct field *f, const struct node *n, void *member)
{
    struct int_or_str *out = member;
    if (n->type == NODE_INT) {
        if (!check_range(d, f, n, (double)node_int(n), ""))
            return false;
        *out = (struct int_or_str){.set = true, .is_int = true, .i = node_int(n), .s = node_text(n)};
        return true;
    }
    if (n->type != NODE_STRING)
        return wrong_type(d, f, n);
    *out = (struct int_or_str){.set = true, .s = node_text(n)};
    return true;
}

static bool decode_time(struct decoder *d, const struct field *f, const struct node *n, void *member)
{
    struct opt_time *out = member;
    if (n->type != NODE_STRING)
        return wrong_type(d, f, n);
    if (!clock_parse(node_text(n), &out->us)) {
        diag_at(d->diags, DIAG_BadValue, n, NULL, "%s is not %s", diag_quote(d->arena, node_text(n)),
                value_type_name(f->type));
        return false;
    }
    out->set = true;
    return true;
}

static bool decode_node(struct decoder *d, const struct field *f, const struct node *n, void *member)
{
    (void)d;
    (void)f;
    *(const struct node **)member = n;
    return true;
}

bool value_decode(struct decoder *d, const struct field *f, const struct node *n, void *member)
{
    static bool (*const by_type[])(struct decoder *, const struct field *, const struct node *, void *) = {
        [FT_STR] = decode_str,           [FT_STR_LIST] = decode_str_list, [FT_STR_MAP] = decode_str_map,
        [FT_BYTES_MAP] = decode_bytes_map, [FT_BOOL] = decode_bool,       [FT_INT] = decode_int,
        [FT_NUMBER] = decode_number,     [FT_ENUM] = decode_enum,         [FT_DURATION] = decode_duration,
        [FT_INT_OR_STR] = decode_int_or_str, [FT_INT_LIST] = decode_int_list, [FT_TIME] = decode_time,
        [FT_NODE] = decode_node,
    };
    must(f->type < ARRAY_LEN(by_type) && by_type[f->type]);
    return by_type[f->type](d, f, n, member);
}

void value_default(const struct field *f, void *member)
{
    if (f->type == FT_STR && f->def_str)
        *(struct str *)member = str_c(f->def_str);
    if (!f->has_def)
        return;
    switch (f->type) {
    case FT_ENUM: *(int32_t *)member = (int32_t)f->def; break;
    case FT_INT: ((struct opt_int *)member)->v = f->def; break;
    case FT_BOOL: ((struct opt_bool *)member)->v = f->def != 0; break;
    case FT_DURATION: ((struct opt_ms *)member)->ms = (uint64_t)f->def; break;
    default: break;
    }
}
