/*
 * store.h - all objects of one load, and what may refer to what.
 *
 * The store is filled by load.c and then only read by lower/, except for `status_json` and `verdict`,
 * which lowering writes. Everything lives in the load's arena.
 *
 * Identity (uid, generation, creationTimestamp, last good text) comes from the file when written there,
 * otherwise from the state of earlier loads (state.h), so that precedence does not depend on mtimes.
 */
#ifndef GH_STORE_STORE_H
#define GH_STORE_STORE_H

#include "master/kinds/kinds.h"
#include "shared/base/hash.h"

enum verdict { VERDICT_ACCEPTED, VERDICT_REJECTED, VERDICT_UNSERVED };

struct object {
    const struct kind_info *kind; /* never NULL: KIND_INFO_UNKNOWN (no schema, id KIND_COUNT) for kinds nobody knows */
    struct str api_version, kind_name, ns, name; /* ns is empty for cluster-scoped kinds */
    struct str_map labels, annotations;
    struct str uid;
    uint64_t generation;
    uint64_t created_us;     /* creationTimestamp or first seen, microseconds, cut to seconds */
    const struct node *root; /* the document */
    const struct source *source;
    uint32_t line;           /* where the document begins (its first key) */
    struct str text;         /* of the document, for the state; an element of a List is JSON */
    uint64_t spec_hash;      /* of everything but metadata and status */
    void *spec;              /* the struct of kind->schema, NULL when unserved or rejected */
    enum verdict verdict;
    bool stale;              /* this is the last good version; the file's own is broken */
    struct str status_json;  /* the `.status` object as JSON text; set by lower/ */
    struct str prev_status_json; /* of the previous generation, for lastTransitionTime; may be empty */
};

extern const struct kind_info KIND_INFO_UNKNOWN;

/* A rejected document, kept for the list of objects (`check -o json`, status). Its last good version,
 * when there is one, is a separate `struct object` with stale = true. */

struct store {
    struct arena *arena;
    struct diags *diags;
    struct map by_id;              /* "kind_id/ns/name" -> object (served ones) */
    struct object **all;           /* every document incl. rejected and unserved; by file and line */
    size_t n_all, cap_all;
    struct object **by_kind[KIND_COUNT]; /* accepted ones, object order (rule below) */
    size_t n_by_kind[KIND_COUNT];
    struct map broken_by_id;       /* as by_id: rejected ones that have no good version */
    struct map grants_by_ns;       /* namespace -> struct object_list of its ReferenceGrants */
};
struct object_list { struct object **v; size_t n, cap; };

/* What load.c does: an empty store, objects put in (NULL, or the object that has the identity already), the
 * lists made. */
void store_init(struct store *s, struct arena *a, struct diags *ds);
void store_list(struct store *s, struct object *o); /* into `all` */
struct object *store_put(struct store *s, struct object *o);
void store_put_broken(struct store *s, const struct object *o);
void store_finish(struct store *s);
/* The key of by_id. */
struct str store_key(struct arena *a, enum kind_id kind, struct str ns, struct str name);

/* Object order: created_us ascending, then name, then namespace (Istio). Gateway API code that needs
 * "namespace/name" sorts again with object_cmp_gapi. Times are whole seconds, as in Kubernetes. */
int object_cmp_istio(const struct object *a, const struct object *b);
int object_cmp_gapi(const struct object *a, const struct object *b);

/* The object of this identity was rejected, and no good version of it is known: it is missing, but not forgotten. NULL
 * when there is none. */
const struct object *store_get_broken(const struct store *s, enum kind_id kind, struct str ns, struct str name);
/* The accepted object, or NULL. */
struct object *store_get(const struct store *s, enum kind_id kind, struct str ns, struct str name);
/* Iterates accepted objects of a kind: for (i = 0; i < s->n_by_kind[k]; i++) s->by_kind[k][i]. */

/* Labels of a namespace; `kubernetes.io/metadata.name` is always there (section 1.1 of the rules). */
struct str namespace_label(const struct store *s, struct str ns, struct str key, bool *found);
struct str object_label(const struct object *o, const char *key);
struct str object_annotation(const struct object *o, const char *key);
/* matchLabels and matchExpressions of a LabelSelector node; NULL or an empty one matches all. */
bool selector_matches_namespace(const struct store *s, const struct node *selector, struct str ns);

/* ReferenceGrant, GATEWAY-API-RULES section 13. Same namespace: always true. */
bool grant_allows(const struct store *s, const char *from_group, const char *from_kind,
                  struct str from_ns, const char *to_group, const char *to_kind, struct str to_ns,
                  struct str to_name);

#endif
