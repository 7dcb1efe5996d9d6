/*
 * condition.h - one condition of an object's status as JSON (metav1.Condition).
 *
 * lastTransitionTime is kept as long as the status word stays the same. The earlier time is found in the
 * text of the previous status, without parsing it: conditions are always written by condition_add, so type,
 * status and time stand side by side, and quotes inside of messages are escaped.
 */
#ifndef GH_LOWER_CONDITION_H
#define GH_LOWER_CONDITION_H

#include "shared/base/str.h"

struct condition {
    const char *type;   /* "Accepted" */
    bool is_true;
    bool unknown;       /* wins over is_true */
    const char *reason; /* CamelCase */
    struct str message; /* a sentence; may be empty */
};

/*
 * Appends {"type":...}. `prev`: the part of the previous status in which the first condition of this type is
 * this one (see condition_scope); empty = there was none.
 */
void condition_add(struct buf *out, struct str prev, const struct condition *c, uint64_t generation, uint64_t now_us);
/* What follows the first `"key":"value"` in prev; empty when there is none. For lists of things with conditions of
 * their own (listeners, parents), whose name is written in front of them. */
struct str condition_scope(struct str prev, const char *key, struct str value);

#endif
