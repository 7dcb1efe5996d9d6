/*
 * status.h - the `.status` of an object as JSON: conditions and the rules they follow.
 *
 *  1. Every condition carries observedGeneration = the generation of the object it sits on, and all
 *     conditions of one object are written together (GATEWAY-API-RULES 1.3).
 *  2. lastTransitionTime changes only when `status` changes: the time of the previous load's
 * condition of the same type, in the same list, is kept otherwise.
 *  3. At most 8 conditions in a list.
 *
 * A writer is used for one object after the other:
 *
 *   status_begin(w, object);
 *   buf_addc(&w->out, "\"conditions\":");
 *   status_conditions(w, &conds, STR_NONE, STR_NONE);
 *   status_end(w);                             -> object->status_json
 *
 * When nothing but times would differ from the previous status, that text is kept as it is: a
 * reload of 100,000 unchanged routes parses none of them.
 */
#ifndef GH_LOWER_STATUS_H
#define GH_LOWER_STATUS_H

#include "master/store/store.h"
#include "shared/base/arena.h"

enum cond_status { COND_FALSE, COND_TRUE, COND_UNKNOWN };
struct cond {
    const char *type, *reason;
    enum cond_status status;
    struct str message;
};
#define CONDS_MAX 8
struct conds {
    struct cond v[CONDS_MAX];
    size_t n;
};
/* Sets or replaces the condition of this type. `message` is kept, not copied. */
void cond_set(struct conds *cs, const char *type, enum cond_status status, const char *reason,
              struct str message);
bool cond_is_true(const struct conds *cs, const char *type);

struct status_mark; /* where a time stands in the text, and whose it is */
struct status_writer {
    struct arena *arena;  /* of the load: what stays */
    struct arena scratch; /* per object */
    struct buf out;       /* the text; what is between the braces may be written freely */
    char now[32];
    struct object *object;
    struct str last; /* text written last: equal statuses share one */
    struct {
        struct status_mark *v;
        size_t n, cap;
    } marks; /* in scratch */
    uint64_t serial;     /* of status_begin */
    uint64_t generation; /* of the object that `out` was written for */
    bool pure;           /* `out` has no time but `now`: it would be written so again */
};

void status_init(struct status_writer *w, struct arena *a, uint64_t now_wall_us);
void status_fini(struct status_writer *w);
void status_begin(struct status_writer *w, struct object *o);
/*
 * Writes the list. `list` and `id` say which one it is, for rule 2: STR_NONE twice for
 * `.status.conditions`; else the key of the list of entries ("listeners", "parents", "ancestors") and
 * the JSON text of the entry's identity, as written before under "name", "parentRef" or "ancestorRef".
 */
void status_conditions(struct status_writer *w, const struct conds *cs, struct str list,
                       struct str id);
void status_end(struct status_writer *w);
/* For an object that would get the very text that was written last, as most routes of a Gateway do: the same without
 * writing it. False: it can't be said without writing. The caller knows (by `serial`) that the last one was its own. */
bool status_again(struct status_writer *w, struct object *o);

#endif
