/*
 * kinds.h - every kind this program knows, one row each (kinds.def).
 *
 * A row with a schema is decoded and checked; a row without is known but not served yet: its objects
 * get the verdict "unserved" and one NotServed finding that names the kind. apiVersions of one kind
 * share one schema (v1, v1beta1, v1alpha3 ...), differing spellings are listed in the row.
 *
 * Of an object's document, apiVersion and kind choose the row; metadata is read by the one table
 * SCHEMA_OBJECT_META; status is passed over in silence; every other key belongs to the kind's schema. So
 * SCHEMA_GATEWAY has a field `spec`, and SCHEMA_SECRET the fields type, data, stringData, immutable.
 */
#ifndef GH_KINDS_KINDS_H
#define GH_KINDS_KINDS_H

#include "master/kinds/schema.h"

enum kind_id {
#define KIND(id, group, versions, kind, plural, scope, schema) KIND_##id,
#include "master/kinds/kinds.def"
#undef KIND
    KIND_COUNT
};

enum kind_scope { SCOPE_NAMESPACED, SCOPE_CLUSTER };

struct kind_info {
    enum kind_id id;
    const char *group;    /* "" for the core group */
    const char *versions; /* comma list: "v1,v1beta1" */
    const char *kind;     /* "HTTPRoute" */
    const char *plural;   /* "httproutes", as `get` takes it, with short forms: "httproutes,httproute" */
    enum kind_scope scope;
    const struct schema *schema; /* of the whole object below metadata: see struct object; NULL = not served yet */
};

/* The tables of the kinds, one file each in this room. */
#define KIND_SERVED(s) extern const struct schema s
KIND_SERVED(SCHEMA_GATEWAY_CLASS);
KIND_SERVED(SCHEMA_GATEWAY);
KIND_SERVED(SCHEMA_HTTP_ROUTE);
KIND_SERVED(SCHEMA_GRPC_ROUTE);
KIND_SERVED(SCHEMA_TLS_ROUTE);
KIND_SERVED(SCHEMA_TCP_ROUTE);
KIND_SERVED(SCHEMA_UDP_ROUTE);
KIND_SERVED(SCHEMA_BACKEND_TLS_POLICY);
KIND_SERVED(SCHEMA_REFERENCE_GRANT);
KIND_SERVED(SCHEMA_NAMESPACE);
KIND_SERVED(SCHEMA_SERVICE);
KIND_SERVED(SCHEMA_ENDPOINTS);
KIND_SERVED(SCHEMA_CONFIG_MAP);
KIND_SERVED(SCHEMA_SECRET);
KIND_SERVED(SCHEMA_ENDPOINT_SLICE);
KIND_SERVED(SCHEMA_ISTIO_GATEWAY);
KIND_SERVED(SCHEMA_VIRTUAL_SERVICE);
KIND_SERVED(SCHEMA_SERVICE_ENTRY);
KIND_SERVED(SCHEMA_DESTINATION_RULE);
KIND_SERVED(SCHEMA_WORKLOAD_ENTRY);
#undef KIND_SERVED

struct object_meta {
    const struct node *node;
    struct str name, ns;
    struct str_map labels, annotations;
    struct str uid;
    struct opt_int generation;
    struct opt_time created;
};
extern const struct schema SCHEMA_OBJECT_META;

const struct kind_info *kind_info(enum kind_id id);
/* By apiVersion ("gateway.networking.k8s.io/v1") and kind; NULL when unknown. *known_group tells
 * whether the group is one of ours (better hint). */
const struct kind_info *kind_find(struct str api_version, struct str kind, bool *known_group);
/* By the word a person types: "httproute", "HTTPRoute", "vs", "gateways.networking.istio.io". */
const struct kind_info *kind_by_word(struct str word);
/* Nearest known kind for a hint, or NULL. */
const char *kind_suggest(struct str kind);
/* What to say about an apiVersion and kind that kind_find does not know: "did you mean ...". May be empty. */
struct str kind_hint(struct arena *a, struct str api_version, struct str kind);

/* Reads metadata and, when the kind is served, the rest of the document into a new struct of its schema.
 * False when a finding of severity error was made. meta->name is the key of a broken object, where it is a
 * string. */
bool kind_decode(struct decoder *d, const struct kind_info *k, const struct node *root,
                 struct object_meta *meta, void **spec);

#endif
