/*
 * schema.h - a kind is a table of fields, and one interpreter reads those tables.
 *
 * The table is the single source for decoding into a C struct, defaults, validation messages,
 * `gatehouse explain-field`, JSON Schemas and the reference pages. What a table can't say (relations
 * between fields) goes into the struct's `check` function.
 *
 *   static const struct field HTTP_HEADER_MATCH_FIELDS[] = {
 *       FIELD_ENUM(struct gapi_header_match, type, "type", ENUM_HEADER_MATCH, GAPI_MATCH_EXACT, "..."),
 *       FIELD_STR(struct gapi_header_match, name, "name", FIELD_REQUIRED, .max = 256, .format = FMT_HEADER_NAME, ...),
 *   };
 *   const struct schema SCHEMA_HTTP_HEADER_MATCH = SCHEMA(struct gapi_header_match, HTTP_HEADER_MATCH_FIELDS, check_fn, "doc");
 *
 * Rules
 *  1. A decoded struct begins with `const struct node *node`, the map it came from; a check reports at
 *     node_get(x->node, "field") or with diag_at_key.
 *  2. Absent members are zero/NULL/empty, or the field's default. Where "absent" differs from "zero",
 *     the member is an `opt_*` struct, or ask node_get(x->node, "field").
 *  3. Lists decode to { T *v; size_t n; } (see LIST_OF); elements of struct type are stored inline.
 *  4. A field marked FIELD_NOT_SERVED is validated like any other, then reported with NotServed when
 *     present. A field not in the table is an UnknownField with a "did you mean".
 *  5. Decoding never stops at the first finding; it returns false if the object has any error.
 *  6. snake_case spellings are accepted with a Deprecated finding where the schema says so (Istio).
 */
#ifndef GH_KINDS_SCHEMA_H
#define GH_KINDS_SCHEMA_H

#include "master/yaml/diag.h"

enum field_type {
    FT_STR,      /* struct str */
    FT_STR_LIST, /* struct str_list */
    FT_STR_MAP,  /* struct str_map: values must be strings */
    FT_BYTES_MAP,/* struct str_map: values base64-decoded (Secret.data) */
    FT_BOOL,     /* struct opt_bool */
    FT_INT,      /* struct opt_int, range min..max */
    FT_NUMBER,   /* struct opt_num: int or float */
    FT_ENUM,     /* int32_t, from an enum table */
    FT_DURATION, /* struct opt_ms; `format` says which syntax */
    FT_OBJECT,   /* pointer to sub struct, NULL when absent */
    FT_LIST,     /* struct any_list of sub structs */
    FT_INT_OR_STR, /* struct int_or_str */
    FT_TIME,     /* struct opt_time: RFC 3339 */
    FT_NODE,     /* const struct node *: kept as it is (free-form) */
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
#define LIST_OF(type) struct { type *v; size_t n; }

struct enum_row { const char *name; int32_t v; };

struct schema;
struct field {
    const char *name;
    enum field_type type;
    uint32_t flags;
    uint32_t offset;             /* of the member in the struct */
    enum field_format format;
    const struct schema *sub;    /* FT_OBJECT, FT_LIST */
    const struct enum_row *enums;/* FT_ENUM, ends with {NULL}; also FT_STR with a closed list of words */
    int64_t min, max;            /* value, or length of strings, lists, maps; max 0 = unbounded */
    int64_t def;                 /* FT_ENUM/FT_INT/FT_BOOL default when has_def */
    bool has_def;
    const char *def_str;         /* FT_STR default */
    const char *doc;             /* one or two sentences for explain-field and the manual */
};

struct decoder {
    struct arena *arena;
    struct diags *diags;
    bool snake_case_ok;  /* rule 6 */
    size_t errors;       /* of this object so far */
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

#endif
