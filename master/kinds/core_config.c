/* core_config.c - tables and checks of Namespace, ConfigMap and Secret. */
#include "master/kinds/core_config.h"
#include "shared/base/hash.h"

/* ---- Namespace ------------------------------------------------------------------------------- */

static const struct field NAMESPACE_FIELDS[] = {
    FIELD_NAMED("spec", FIELD_SILENT, "Bookkeeping of a cluster"),
};
const struct schema SCHEMA_NAMESPACE =
    SCHEMA(struct core_namespace, NAMESPACE_FIELDS, NULL,
           "Labels of a namespace, for selectors. A namespace exists without an object, too");

/* ---- ConfigMap ------------------------------------------------------------------------------- */

static bool map_has(const struct str_map *m, struct str key)
{
    for (size_t i = 0; i < m->n; i++)
        if (str_eq(m->v[i].key, key))
            return true;
    return false;
}

static void check_keys(struct decoder *d, const struct node *node, const char *field,
                       const struct str_map *m)
{
    const struct node *map = node_get(node, field);
    for (size_t i = 0; i < m->n; i++) {
        struct str key = m->v[i].key;
        bool ok = key.n > 0 && key.n <= 253 && !str_eqc(key, ".") && !str_eqc(key, "..");
        for (size_t j = 0; j < key.n; j++)
            ok &= ascii_is_alpha(key.p[j]) || ascii_is_digit(key.p[j]) || key.p[j] == '-' ||
                  key.p[j] == '_' || key.p[j] == '.';
        if (!ok)
            diag_at(d->diags, DIAG_BadValue, map ? map : node, NULL,
                    "key \"" STR_FMT "\" may hold only letters, digits, '-', '_' and '.'",
                    STR_ARG(key));
    }
}

static void check_config_map(struct decoder *d, void *obj)
{
    struct core_config_map *c = obj;
    check_keys(d, c->node, "data", &c->data);
    check_keys(d, c->node, "binaryData", &c->binary_data);
    struct map texts; /* both may hold hundreds of thousands of keys */
    map_init(&texts, d->arena);
    for (size_t i = 0; c->binary_data.n > 0 && i < c->data.n; i++)
        map_put(&texts, c->data.v[i].key, c);
    for (size_t i = 0; i < c->binary_data.n; i++)
        if (map_get(&texts, c->binary_data.v[i].key))
            diag_at_key(d->diags, DIAG_Exclusive, c->node, "binaryData", "keep one of them",
                        "key " STR_FMT " stands in data and in binaryData",
                        STR_ARG(c->binary_data.v[i].key));
}

#define T struct core_config_map
static const struct field CONFIG_MAP_FIELDS[] = {
    FIELD_STR_MAP(T, data, "data", FIELD_NULL_OK, "Texts by key"),
    FIELD_BYTES_MAP(T, binary_data, "binaryData", FIELD_NULL_OK, "Bytes by key, in base64"),
    FIELD_BOOL(T, immutable, "immutable", FIELD_NULL_OK, "Bookkeeping of a cluster"),
};
#undef T
const struct schema SCHEMA_CONFIG_MAP =
    SCHEMA(struct core_config_map, CONFIG_MAP_FIELDS, check_config_map,
           "Texts that other objects refer to, for instance CA certificates");

/* ---- Secret ---------------------------------------------------------------------------------- */

struct str core_secret_value(const struct core_secret *s, const char *key)
{
    for (size_t i = 0; i < s->string_data.n; i++)
        if (str_eqc(s->string_data.v[i].key, key))
            return s->string_data.v[i].val;
    for (size_t i = 0; i < s->data.n; i++)
        if (str_eqc(s->data.v[i].key, key))
            return s->data.v[i].val;
    return STR_NONE;
}

static void check_secret(struct decoder *d, void *obj)
{
    struct core_secret *s = obj;
    static const char *const TLS_KEYS[] = {"tls.crt", "tls.key"};
    check_keys(d, s->node, "data", &s->data);
    check_keys(d, s->node, "stringData", &s->string_data);
    for (size_t i = 0; i < ARRAY_LEN(TLS_KEYS) && str_eqc(s->type, "kubernetes.io/tls"); i++)
        if (!map_has(&s->data, str_c(TLS_KEYS[i])) && !map_has(&s->string_data, str_c(TLS_KEYS[i])))
            diag_at(d->diags, DIAG_Required, s->node,
                    "a Secret of type kubernetes.io/tls has tls.crt and tls.key",
                    "key %s is missing", TLS_KEYS[i]);
}

#define T struct core_secret
static const struct field SECRET_FIELDS[] = {
    FIELD_STR(T, type, "type", 0,
              "kubernetes.io/tls for a certificate and its key; Opaque when absent", .max = 253,
              .def_str = "Opaque"),
    FIELD_BYTES_MAP(T, data, "data", FIELD_NULL_OK, "Values by key, in base64"),
    FIELD_STR_MAP(T, string_data, "stringData", FIELD_NULL_OK | FIELD_SECRET,
                  "Values by key, as text; wins over data"),
    FIELD_BOOL(T, immutable, "immutable", FIELD_NULL_OK, "Bookkeeping of a cluster"),
};
#undef T
const struct schema SCHEMA_SECRET =
    SCHEMA(struct core_secret, SECRET_FIELDS, check_secret,
           "Certificates and keys. The file should be readable by the gateway's user only");
