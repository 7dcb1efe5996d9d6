/*
 * istio_match.c - StringMatch and header operations of the Istio kinds (istio_common.h).
 */
#include "master/kinds/istio_common.h"
#include "shared/http/field.h"
#include "shared/http/host.h"
#include "shared/regex/regex.h"
#include "shared/tbl/enums.h"

/* ---- StringMatch --------------------------------------------------------------------------- */

static const struct field STRING_MATCH_FIELDS[] = {
    FIELD_STR(struct istio_string_match, exact, "exact", 0, "The whole value."),
    FIELD_STR(struct istio_string_match, prefix, "prefix", 0, "How the value begins; plain bytes, no path elements."),
    FIELD_STR(struct istio_string_match, regex, "regex", 0,
              "RE2 expression that must match the whole value; 1 to 1024 bytes."),
};
const struct schema SCHEMA_ISTIO_STRING_MATCH =
    SCHEMA(struct istio_string_match, STRING_MATCH_FIELDS, NULL,
           "One of exact, prefix and regex. Without any of them: the value must be there (of uri: everything).");

struct str istio_match_value(const struct istio_string_match *m)
{
    return m->type == ISTIO_MATCH_EXACT ? m->exact : m->type == ISTIO_MATCH_PREFIX ? m->prefix : m->regex;
}

bool istio_regex_check(struct decoder *d, const struct node *where, struct str pattern)
{
    if (pattern.n == 0 || pattern.n > 1024) {
        diag_at(d->diags, DIAG_BadValue, where, NULL, "a regular expression has 1 to 1024 bytes, not %zu",
                pattern.n);
        return false;
    }
    struct buf why = {0};
    size_t offset = 0;
    struct regex *r = regex_compile(pattern, false, &why, &offset);
    if (!r)
        diag_at(d->diags, DIAG_BadValue, where, "RE2 syntax, matched against the whole string",
                "not a usable regular expression: %s (at byte %zu)", buf_cstr(&why), offset);
    regex_free(r);
    buf_fini(&why);
    return r != NULL;
}

void istio_string_match_check(struct decoder *d, struct istio_string_match *m, unsigned flags)
{
    static const char *const NAMES[] = {"exact", "prefix", "regex"};
    const struct node *first = NULL;
    m->type = ISTIO_MATCH_NONE;
    for (int i = 0; i < 3; i++) {
        const struct node *v = node_get(m->node, NAMES[i]);
        if (!v || v->type == NODE_NULL)
            continue;
        if (first) {
            diag_at(d->diags, DIAG_Exclusive, v, "keep one of exact, prefix and regex",
                    "\"" STR_FMT "\" is set already", STR_ARG(node_key(first)));
            continue;
        }
        first = v;
        m->type = (enum istio_match_type)(ISTIO_MATCH_EXACT + i);
    }
    if (m->type == ISTIO_MATCH_NONE && (flags & ISTIO_SM_REQUIRED))
        diag_at(d->diags, DIAG_Required, m->node, NULL, "one of exact, prefix and regex is required");
    if (m->type == ISTIO_MATCH_PREFIX && m->prefix.n == 0 && !(flags & ISTIO_SM_EMPTY_PREFIX))
        diag_at(d->diags, DIAG_BadValue, first, "{} tests for presence", "an empty prefix is not possible here");
    if (m->type == ISTIO_MATCH_REGEX) {
        if (str_eqc(m->regex, "*") && (flags & ISTIO_SM_STAR_REGEX))
            m->type = ISTIO_MATCH_NONE;
        else
            istio_regex_check(d, first, m->regex);
    }
}

/* ---- values with substitutions --------------------------------------------------------------- */

static bool command_name_char(char c)
{
    return (c >= 'A' && c <= 'Z') || ascii_is_digit(c) || c == '_';
}

/* *rest stands behind the opening '%'. */
static bool command_next(struct str *rest, struct istio_value_piece *piece, const char **fault)
{
    struct str s = *rest;
    size_t n = 0;
    while (n < s.n && command_name_char(s.p[n]))
        n++;
    piece->command = true;
    piece->text = str_head(s, n);
    piece->arg = STR_NONE;
    if (n == 0) {
        *fault = "'%' begins a substitution; write %% for the character itself";
        return false;
    }
    s = str_skip(s, n);
    if (s.n && s.p[0] == '(') {
        ptrdiff_t close = str_chr(s, ')');
        if (close < 0) {
            *fault = "a substitution's '(' is not closed";
            return false;
        }
        piece->arg = str_of(s.p + 1, (size_t)close - 1);
        s = str_skip(s, (size_t)close + 1);
    }
    if (s.n && s.p[0] == ':') { /* ":n": at most n bytes of the value */
        s = str_skip(s, 1);
        while (s.n && ascii_is_digit(s.p[0]))
            s = str_skip(s, 1);
    }
    if (s.n == 0 || s.p[0] != '%') {
        *fault = "a substitution is not closed by '%'";
        return false;
    }
    *rest = str_skip(s, 1);
    return true;
}

bool istio_value_next(struct str *rest, struct istio_value_piece *piece, const char **fault)
{
    *fault = NULL;
    if (rest->n == 0)
        return false;
    if (rest->p[0] != '%') {
        ptrdiff_t n = str_chr(*rest, '%');
        *piece = (struct istio_value_piece){.text = n < 0 ? *rest : str_head(*rest, (size_t)n)};
        *rest = str_skip(*rest, piece->text.n);
        return true;
    }
    *rest = str_skip(*rest, 1);
    if (rest->n && rest->p[0] == '%') {
        *piece = (struct istio_value_piece){.text = str_head(*rest, 1)};
        *rest = str_skip(*rest, 1);
        return true;
    }
    return command_next(rest, piece, fault);
}

static const struct header_var_row {
    const char *name;
    enum header_var_arg arg;
    bool served;
} HEADER_VARS[] = {
#define X(id, name, argument, served, text) {name, argument, served},
#include "shared/tbl/header_var.def"
#undef X
};

static const struct header_var_row *header_var(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(HEADER_VARS); i++)
        if (str_eqc(name, HEADER_VARS[i].name))
            return &HEADER_VARS[i];
    return NULL;
}

bool istio_value_has_command(struct str value, bool *served)
{
    bool any = false;
    struct istio_value_piece piece;
    const char *fault;
    *served = true;
    while (istio_value_next(&value, &piece, &fault)) {
        if (!piece.command)
            continue;
        const struct header_var_row *var = header_var(piece.text);
        any = true;
        if (!var || !var->served)
            *served = false;
    }
    return any;
}

static void command_check(struct decoder *d, const struct node *at, const struct istio_value_piece *p)
{
    const struct header_var_row *var = header_var(p->text);
    if (!var)
        diag_at(d->diags, DIAG_BadValue, at, "write %% for the character itself",
                "no substitution is called \"%%" STR_FMT "%%\"", STR_ARG(p->text));
    else if (var->arg == HEADER_VAR_ARG_REQUIRED && p->arg.n == 0)
        diag_at(d->diags, DIAG_BadValue, at, NULL, "%%%s%% needs an argument: %%%s(...)%%", var->name, var->name);
    else if (var->arg == HEADER_VAR_ARG_NONE && p->arg.p)
        diag_at(d->diags, DIAG_BadValue, at, NULL, "%%%s%% takes no argument", var->name);
    else if (!var->served)
        diag_at(d->diags, DIAG_NotServed, at, "the operation on this field is left out",
                "%%%s%% has no value in this release", var->name);
}

static void value_check(struct decoder *d, const struct node *at, struct str value)
{
    if (!http_field_value_valid(value))
        diag_at(d->diags, DIAG_BadValue, at, NULL,
                "a header value has no control bytes and no blanks at its ends");
    struct str rest = value;
    struct istio_value_piece piece;
    const char *fault;
    while (istio_value_next(&rest, &piece, &fault))
        if (piece.command)
            command_check(d, at, &piece);
    if (fault)
        diag_at(d->diags, DIAG_BadValue, at, NULL, "%s", fault);
}

/* ---- header operations ---------------------------------------------------------------------- */

bool istio_is_host_header(struct str name)
{
    return str_ieq(name, STR("host")) || str_ieq(name, STR(":authority"));
}

static void name_check(struct decoder *d, const struct node *at, struct str name, bool host_ok)
{
    if (name.n == 0)
        diag_at(d->diags, DIAG_BadValue, at, NULL, "a header name is empty");
    else if (istio_is_host_header(name)) {
        if (!host_ok)
            diag_at(d->diags, DIAG_BadValue, at, "only request.set and request.add may name Host",
                    "Host can't be changed here");
    } else if (name.p[0] == ':')
        diag_at(d->diags, DIAG_BadValue, at, NULL, "the pseudo header \"" STR_FMT "\" can't be changed",
                STR_ARG(name));
    else if (!http_field_name_valid(name))
        diag_at(d->diags, DIAG_BadValue, at, NULL, "\"" STR_FMT "\" is no header name", STR_ARG(name));
}

/* Host is text: no command can stand in it. */
static void host_check(struct decoder *d, const struct node *at, struct str value)
{
    struct http_host h;
    if (!http_host_parse(value, &h) || h.kind == HOST_EMPTY)
        diag_at(d->diags, DIAG_BadValue, at, "host or host:port", "\"" STR_FMT "\" can't be the host of a request",
                STR_ARG(value));
}

static void ops_check(struct decoder *d, void *obj)
{
    struct istio_header_ops *ops = obj;
    bool request = str_eqc(node_key(ops->node), "request");
    static const char *const MAPS[] = {"set", "add"};
    for (int m = 0; m < 2; m++) {
        const struct node *map = node_get(ops->node, MAPS[m]);
        const struct str_map *kv = m ? &ops->add : &ops->set;
        for (size_t i = 0; i < kv->n; i++) {
            const struct node *at = map ? istio_kid(map, kv->v[i].key) : ops->node;
            name_check(d, at, kv->v[i].key, request);
            if (istio_is_host_header(kv->v[i].key))
                host_check(d, at, kv->v[i].val);
            else
                value_check(d, at, kv->v[i].val);
        }
    }
    for (size_t i = 0; i < ops->remove.n; i++)
        name_check(d, istio_item(ops->node, "remove", i), ops->remove.v[i], false);
}

static const struct field HEADER_OPS_FIELDS[] = {
    FIELD_STR_MAP(struct istio_header_ops, set, "set", 0,
                  "Fields that get this value, whatever was there. %NAME% substitutes, %% is a percent sign."),
    FIELD_STR_MAP(struct istio_header_ops, add, "add", 0, "Fields that are added to those of the same name."),
    FIELD_STR_LIST(struct istio_header_ops, remove, "remove", 0, "Fields that are removed, before set and add."),
};
static const struct schema SCHEMA_HEADER_OPS =
    SCHEMA(struct istio_header_ops, HEADER_OPS_FIELDS, ops_check, "Changes to header fields: remove, then set, then add.");

static const struct field HEADERS_FIELDS[] = {
    FIELD_OBJ(struct istio_headers, request, "request", 0, &SCHEMA_HEADER_OPS, "Changes to the request for the backend."),
    FIELD_OBJ(struct istio_headers, response, "response", 0, &SCHEMA_HEADER_OPS, "Changes to the response for the client."),
};
const struct schema SCHEMA_ISTIO_HEADERS =
    SCHEMA(struct istio_headers, HEADERS_FIELDS, NULL, "Changes to header fields of requests and responses.");
