/*
 * core_config.h - Namespace, ConfigMap and Secret.
 */
#ifndef GH_KINDS_CORE_CONFIG_H
#define GH_KINDS_CORE_CONFIG_H

#include "master/kinds/schema.h"

struct core_namespace { /* object->spec; what matters of a namespace are its labels */
    const struct node *node;
};
extern const struct schema SCHEMA_NAMESPACE;

struct core_config_map { /* object->spec */
    const struct node *node;
    struct str_map data;
    struct str_map binary_data; /* decoded */
    struct opt_bool immutable;
};
extern const struct schema SCHEMA_CONFIG_MAP;

/* Values are key material: never in a finding, a dump, or the snapshot. */
struct core_secret { /* object->spec */
    const struct node *node;
    struct str type; /* Opaque when absent */
    struct str_map data;        /* decoded */
    struct str_map string_data; /* wins over data */
    struct opt_bool immutable;
};
extern const struct schema SCHEMA_SECRET;
/* The value under `key`, stringData first; p is NULL when there is none. */
struct str core_secret_value(const struct core_secret *s, const char *key);

#endif
