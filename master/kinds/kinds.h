/*
 * kinds.h - every kind this program knows, one row each (kinds.def).
 *
 * A row with a schema is decoded and checked; a row without is known but not served yet: its objects
 * get the verdict "unserved" and one NotServed finding that names the kind. apiVersions of one kind
 * share one schema (v1, v1beta1, v1alpha3 ...), differing spellings are listed in the row.
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

const struct kind_info *kind_info(enum kind_id id);
/* By apiVersion ("gateway.networking.k8s.io/v1") and kind; NULL when unknown. *known_group tells
 * whether the group is one of ours (better hint). */
const struct kind_info *kind_find(struct str api_version, struct str kind, bool *known_group);
/* By the word a person types: "httproute", "HTTPRoute", "vs", "gateways.networking.istio.io". */
const struct kind_info *kind_by_word(struct str word);
/* Nearest known kind for a hint, or NULL. */
const char *kind_suggest(struct str kind);

#endif
