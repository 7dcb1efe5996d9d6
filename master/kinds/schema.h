/*
 * schema.h - a kind is a table of fields, and one interpreter reads those tables.
 *
 * The table is the single source for decoding into a C struct, defaults, validation messages,
 * `gatehouse explain-field`, JSON Schemas and the reference pages. What a table can't say (relations
 * between fields) goes into the struct's `check` function.
 *
 *   static const struct enum_row ENUM_HEADER_MATCH[] = {{"Exact", GAPI_MATCH_EXACT}, {"RegularExpression", ...}, {0}};
 *   static const struct field HTTP_HEADER_MATCH_FIELDS[] = {
 *       FIELD_ENUM(struct gapi_header_match, type, "type", ENUM_HEADER_MATCH, GAPI_MATCH_EXACT, "How to compare."),
 *       FIELD_STR(struct gapi_header_match, name, "name", FIELD_REQUIRED, "The header.", .max = 256, .format = FMT_HEADER_NAME),
 *   };
 *   const struct schema SCHEMA_HTTP_HEADER_MATCH = SCHEMA(struct gapi_header_match, HTTP_HEADER_MATCH_FIELDS, check_fn, "doc");
 *
 * Rules
 *  1. A decoded struct begins with `const struct node *node`, the map it came from; a check reports at
 *     node_get(x->node, "field") or with diag_at_key.
 *  2. Absent members are zero/NULL/empty, or the field's default. Where "absent" differs from "zero",
 *     the member is an `opt_*` struct, or ask node_get(x->node, "field"). A default sets the value of an
 *     opt_* member and leaves `set` false: `set` means "written in the file".
 *  3. Lists decode to { T *v; size_t n; } (see LIST_OF); elements of struct type are stored inline.
 *  4. A field marked FIELD_NOT_SERVED is validated like any other, then reported with NotServed when
 *     present. A field not in the table is an UnknownField with a "did you mean".
 *  5. Decoding never stops at the first finding; it returns false if the object has any error.
 *  6. snake_case spellings are accepted with a Deprecated finding where the decoder says so (Istio); so
 *     are the words of an enum by their number, without a finding.
 *  7. An explicit null counts as absent (as in Kubernetes) with an Ignored finding, without one if
 *     FIELD_NULL_OK is set; for a required field it is the same error as leaving it out. A null element
 *     of an FT_OBJECT_MAP with FIELD_NULL_OK is an element of which only `node` is set.
 *  8. At the root of a document the keys apiVersion, kind, metadata and status are none of the schema's
 *     business: kinds.h decodes metadata with a table of its own.
 *  9. A sub object that is absent is not decoded: its defaults apply only when it is written. A struct
 *     that must always be there (allowedRoutes ...) is made by the lowering or by `check`.
 */
#ifndef GH_KINDS_SCHEMA_H
#define GH_KINDS_SCHEMA_H

#include "master/yaml/diag.h"

struct arena;

enum field_type {
    FT_STR,        /* struct str */
    FT_STR_LIST,   /* struct str_list; `format` and `enums` are of the elements */
    FT_STR_MAP,    /* struct str_map: values must be strings. FMT_HEADER_NAME: keys are header names and
                      values header values; FMT_LABEL_KEY: labels; other formats: of the keys */
    FT_BYTES_MAP,  /* struct str_map: values base64-decoded (Secret.data) */
    FT_BOOL,       /* struct opt_bool */
    FT_INT,        /* struct opt_int, range min..max */
    FT_NUMBER,     /* struct opt_num: int or float, range min..max */
    FT_ENUM,       /* int32_t, from an enum table */
    FT_DURATION,   /* struct opt_ms; `format` says which syntax; min and max are milliseconds */
    FT_OBJECT,     /* pointer to sub struct, NULL when absent */
    FT_LIST,       /* LIST_OF(sub struct) */
    FT_OBJECT_MAP, /* LIST_OF(sub struct): a map with free keys; the key is element.node->key */
    FT_INT_OR_STR, /* struct int_or_str; range min..max when it is an integer */
    FT_INT_LIST,   /* struct int_list; range min..max of the elements */
    FT_TIME,       /* struct opt_time: RFC 3339 */
    FT_NODE,       /* const struct node *: kept as it is (free-form) */
};

enum field_flag {
    FIELD_REQUIRED = 1 << 0,
    FIELD_NOT_SERVED = 1 << 1, /* known and validated; this release does not act on it */
    FIELD_DEPRECATED = 1 << 2,
    FIELD_IGNORED = 1 << 3,    /* known, harmless, without effect here: says so as Ignored */
    FIELD_NONEMPTY = 1 << 4,   /* string, list or map must not be empty */
    FIELD_NULL_OK = 1 << 5,    /* an explicit null means absent without a finding */
    FIELD_SILENT = 1 << 6,     /* known bookkeeping (managedFields, status): not decoded, no finding */
    FIELD_LOWER_ENUM = 1 << 7, /* enum compare ignores case */
    FIELD_UNIQUE = 1 << 8,     /* FT_STR_LIST: no element twice */
    FIELD_SECRET = 1 << 9,     /* key material: no finding shows the value (FT_BYTES_MAP never does) */
};

enum field_format {
    FMT_NONE,
    FMT_DNS_LABEL,     /* RFC 1123 label */
    FMT_DNS_SUBDOMAIN, /* RFC 1123 subdomain, lower case */
    FMT_OBJECT_NAME,   /* Kubernetes object name */
    FMT_HOSTNAME,      /* Gateway API Hostname: lower case, optional leading "*.", no IP */
    FMT_PRECISE_HOSTNAME,
    FMT_FQDN_WILDCARD, /* Istio: FQDN, '*' only in the first label */
    FMT_HEADER_NAME,   /* RFC 9110 token */
    FMT_HEADER_VALUE,
    FMT_PATH,          /* Gateway API path value rules (section 1.2) */
    FMT_IP,
    FMT_CIDR,
    FMT_REGEX,         /* RE2 subset, must compile */
    FMT_GEP_DURATION,  /* GEP-2257 */
    FMT_GO_DURATION,   /* Go duration text, >= 1 ms unless min says otherwise */
    FMT_LABEL_KEY,
    FMT_LABEL_VALUE,
    FMT_QUALIFIED_NAME, /* as a label key; of an annotation, whose values are free */
};

struct opt_bool { bool set, v; };
struct opt_int { bool set; int64_t v; };
struct opt_num { bool set; double v; };
struct opt_ms { bool set; uint64_t ms; };
struct opt_time { bool set; uint64_t us; };
struct int_or_str { bool set, is_int; int64_t i; struct str s; };
struct str_list { struct str *v; size_t n; };
struct str_pair { struct str key, val; };
struct str_map { struct str_pair *v; size_t n; }; /* file order */
struct int_list { int64_t *v; size_t n; };
struct any_list { void *v; size_t n; }; /* how the interpreter sees every LIST_OF */
#define LIST_OF(type) struct { type *v; size_t n; }

struct enum_row { const char *name; int32_t v; };

struct schema;
struct field {
    const char *name;
    uint32_t name_n;             /* its length; the FIELD_ macros see to it */
    enum field_type type;
    uint32_t flags;
    uint32_t offset;             /* of the member in the struct */
    enum field_format format;
    const struct schema *sub;    /* FT_OBJECT, FT_LIST, FT_OBJECT_MAP */
    uint32_t elem;               /* size of the sub struct as the member says; equals sub->size */
    const struct enum_row *enums;/* FT_ENUM, ends with {NULL}; also FT_STR with a closed list of words */
    /* Numbers and durations: the range; strings: characters; lists and maps: elements. min and max both 0
     * = unbounded; max 0 alone = no upper bound. FT_INT_LIST: of the elements. */
    int64_t min, max;
    int64_t def;                 /* FT_ENUM/FT_INT/FT_BOOL/FT_DURATION default when has_def */
    bool has_def;
    const char *def_str;         /* FT_STR default */
    const char *doc;             /* one or two sentences for explain-field and the manual */
    const char *hint;            /* with NOT_SERVED, DEPRECATED, IGNORED: what to do about it; may be NULL */
};

/*
 * Rows of a field table: FIELD_x(struct, member, "name", flags, "doc", further .members). The member's C type
 * is checked by the compiler; of sub structs, schema_verify compares the size.
 */
#define FIELD_AT_(T, m, want)                                                                      \
    (uint32_t)(offsetof(T, m) + 0 * sizeof(char[_Generic(((T *)0)->m, want : 1, default : -1)]))
#define FIELD_NAME_(nm) .name = "" nm "", .name_n = sizeof("" nm "") - 1
#define FIELD_(ft, T, m, want, nm, fl, text, ...)                                                  \
    {FIELD_NAME_(nm), .type = (ft), .flags = (fl), .offset = FIELD_AT_(T, m, want), .doc = (text), ##__VA_ARGS__}
#define FIELD_LISTED_(ft, T, m, nm, fl, subschema, text, ...)                                      \
    {FIELD_NAME_(nm), .type = (ft), .flags = (fl), .sub = (subschema), .doc = (text),                 \
     .offset = (uint32_t)(offsetof(T, m) +                                                         \
                          0 * sizeof(char[sizeof(((T *)0)->m) == sizeof(struct any_list) ? 1 : -1])), \
     .elem = sizeof(*((T *)0)->m.v), ##__VA_ARGS__}

#define FIELD_STR(T, m, nm, fl, text, ...) FIELD_(FT_STR, T, m, struct str, nm, fl, text, ##__VA_ARGS__)
#define FIELD_STR_LIST(T, m, nm, fl, text, ...) FIELD_(FT_STR_LIST, T, m, struct str_list, nm, fl, text, ##__VA_ARGS__)
#define FIELD_STR_MAP(T, m, nm, fl, text, ...) FIELD_(FT_STR_MAP, T, m, struct str_map, nm, fl, text, ##__VA_ARGS__)
#define FIELD_BYTES_MAP(T, m, nm, fl, text, ...) FIELD_(FT_BYTES_MAP, T, m, struct str_map, nm, fl, text, ##__VA_ARGS__)
#define FIELD_BOOL(T, m, nm, fl, text, ...) FIELD_(FT_BOOL, T, m, struct opt_bool, nm, fl, text, ##__VA_ARGS__)
/* lo and hi both 0: any integer. */
#define FIELD_INT(T, m, nm, fl, lo, hi, text, ...) \
    FIELD_(FT_INT, T, m, struct opt_int, nm, fl, text, .min = (lo), .max = (hi), ##__VA_ARGS__)
#define FIELD_INT_LIST(T, m, nm, fl, lo, hi, text, ...) \
    FIELD_(FT_INT_LIST, T, m, struct int_list, nm, fl, text, .min = (lo), .max = (hi), ##__VA_ARGS__)
#define FIELD_NUMBER(T, m, nm, fl, text, ...) FIELD_(FT_NUMBER, T, m, struct opt_num, nm, fl, text, ##__VA_ARGS__)
/* With a default; FIELD_ENUM_REQ without (0 when absent and not required). */
#define FIELD_ENUM(T, m, nm, rows, dflt, text, ...) \
    {FIELD_NAME_(nm), .type = FT_ENUM, .offset = FIELD_AT_(T, m, int32_t), .doc = (text), .enums = (rows), \
     .def = (dflt), .has_def = true, ##__VA_ARGS__} /* flags, where needed: .flags = FIELD_x */
#define FIELD_ENUM_REQ(T, m, nm, fl, rows, text, ...) \
    FIELD_(FT_ENUM, T, m, int32_t, nm, fl, text, .enums = (rows), ##__VA_ARGS__)
#define FIELD_DURATION(T, m, nm, fl, fmt, text, ...) \
    FIELD_(FT_DURATION, T, m, struct opt_ms, nm, fl, text, .format = (fmt), ##__VA_ARGS__)
#define FIELD_OBJ(T, m, nm, fl, subschema, text, ...) \
    {FIELD_NAME_(nm), .type = FT_OBJECT, .flags = (fl), .sub = (subschema), .doc = (text), .offset = offsetof(T, m), \
     .elem = sizeof(*((T *)0)->m), ##__VA_ARGS__}
#define FIELD_LIST(T, m, nm, fl, subschema, text, ...) FIELD_LISTED_(FT_LIST, T, m, nm, fl, subschema, text, ##__VA_ARGS__)
#define FIELD_OBJ_MAP(T, m, nm, fl, subschema, text, ...) \
    FIELD_LISTED_(FT_OBJECT_MAP, T, m, nm, fl, subschema, text, ##__VA_ARGS__)
#define FIELD_INT_OR_STR(T, m, nm, fl, text, ...) FIELD_(FT_INT_OR_STR, T, m, struct int_or_str, nm, fl, text, ##__VA_ARGS__)
#define FIELD_TIME(T, m, nm, fl, text, ...) FIELD_(FT_TIME, T, m, struct opt_time, nm, fl, text, ##__VA_ARGS__)
#define FIELD_NODE(T, m, nm, fl, text, ...) FIELD_(FT_NODE, T, m, const struct node *, nm, fl, text, ##__VA_ARGS__)
/* A field that is only named: kept nowhere. FIELD_SILENT, or FIELD_NOT_SERVED / FIELD_IGNORED without
 * looking at its value. */
#define FIELD_NAMED(nm, fl, text, ...) {FIELD_NAME_(nm), .type = FT_NODE, .flags = (fl), .offset = FIELD_NOWHERE, .doc = (text), ##__VA_ARGS__}
#define FIELD_NOWHERE UINT32_MAX

struct decoder {
    struct arena *arena;
    struct diags *diags;
    bool snake_case_ok;  /* rule 6 */
    size_t errors;       /* of this object so far */
    /* Private to schema.c. */
    const struct schema *outer; /* of the map around the one being read; for hints */
    unsigned unserved;          /* > 0: inside a FIELD_NOT_SERVED field, which is told once */
};

struct schema {
    const char *name;
    size_t size;
    const struct field *fields;
    size_t n_fields;
    /* Relations between fields; reports through d->diags (and counts by diags). May be NULL. `obj` is
     * fully decoded. Must cope with members that had findings of their own (zero). */
    void (*check)(struct decoder *d, void *obj);
    const char *doc;
    bool open; /* unknown fields are allowed (free-form maps, labels) */
};
#define SCHEMA(type, table, check_fn, doc_text)                                                    \
    {.name = #type, .size = sizeof(type), .fields = (table), .n_fields = ARRAY_LEN(table),         \
     .check = (check_fn), .doc = (doc_text)}

/* Decodes map `n` into the zeroed struct at `obj`. False when a finding of severity error was made. */
bool schema_decode(struct decoder *d, const struct schema *s, const struct node *n, void *obj);
/* Looks up "spec.rules.matches" from `s`; NULL when there is none. For explain-field. */
const struct field *schema_field(const struct schema *s, const char *path);
/* Looks for slips in a table and all below it: sizes that differ, missing sub schemas, names twice. False
 * with a sentence in `why`. For the tests; tables are not checked at run time. */
bool schema_verify(const struct schema *s, struct buf *why);

#endif
