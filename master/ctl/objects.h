/*
 * objects.h - the objects of the running instance, and choosing among them as kubectl does.
 *
 * /status says of every object where it was written and how it was judged; /objects has the whole objects that
 * hold. An object that was rejected (and has no earlier good version) is in the first list only.
 */
#ifndef GH_CTL_OBJECTS_H
#define GH_CTL_OBJECTS_H

#include "master/ctl/ask.h"
#include "master/kinds/kinds.h"

struct ctl_object {
    const struct kind_info *kind;  /* NULL: this program does not know it */
    struct str api_version, kind_name, ns, name, file, verdict;
    int64_t line;
    bool stale;                    /* an earlier version is served: the one in the file is broken */
    const struct node *judged;     /* in /status */
    const struct node *full;       /* in /objects; NULL when rejected */
};

struct ctl_objects {
    const struct node *status;     /* all of /status */
    struct { struct ctl_object *v; size_t n, cap; } all;
};

struct ctl_choice {
    bool all_kinds;
    const struct kind_info *kinds[16];
    size_t n_kinds;
    const char *const *names;      /* none = every one */
    size_t n_names;
    const char *ns;                /* NULL = all namespaces */
    const char *labels;            /* a=b,c!=d,e,!f; NULL = any */
};

/* False after a complaint. */
bool ctl_objects_load(struct ctl *c, struct ctl_objects *o);
/* "httproutes,vs" or "all"; false after a complaint. */
bool ctl_choice_kinds(const struct ctl *c, struct ctl_choice *choice, const char *words);
bool ctl_chosen(const struct ctl_choice *choice, const struct ctl_object *o);
/* The chosen ones, grouped by kind in the order of the kinds, then by namespace and name. */
size_t ctl_choose(struct ctl *c, const struct ctl_objects *o, const struct ctl_choice *choice,
                  const struct ctl_object ***out);

/* Appends what `path` leads to, joined by commas: "spec.listeners[*].port", keys of a map with "data{}". At most
 * `max` values, then "+N"; 0 = all. */
void ctl_collect(const struct node *n, const char *path, size_t max, struct buf *out);
/* The status of a condition over all parents: "False" if anywhere false; empty when nowhere said. */
struct str ctl_condition(const struct ctl_object *o, const char *type);
/* One word: Accepted, Rejected, NotServed, Stale, or the reason of the first condition that is false. */
struct str ctl_verdict(const struct ctl_object *o);
/* "5d", "3h", "12m", "40s" since creationTimestamp; empty when unknown. */
struct str ctl_age(struct ctl *c, const struct ctl_object *o);
/* Calls fn for every list of conditions: the object's own, those of each parent with its name, and those of a
 * Gateway's listeners ("listener http"). */
void ctl_each_conditions(const struct ctl_object *o,
                         void (*fn)(void *arg, struct str parent, const struct node *conditions), void *arg);

#endif
