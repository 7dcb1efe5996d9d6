/*
 * snap.h - reading a snapshot: open and verify once, then plain array access.
 *
 * A `struct snap` is one mapped generation. It is reference counted within a process: the holder of the
 * current generation has one, every exchange that began on it has one; the last drop unmaps. Not
 * thread-safe (workers are single-threaded).
 */
#ifndef GH_SNAP_SNAP_H
#define GH_SNAP_SNAP_H

#include "shared/base/str.h"
#include "shared/snap/format.h"

struct snap {
    const struct snap_header *head;
    size_t size;
    uint32_t refs;
    void *user;                  /* of the process: compiled regexes etc. */
    void (*user_free)(void *user);
#define X(name, type) const type *name;
    SNAP_SECTIONS(X)
#undef X
    uint32_t n[SNAP_SECTION_COUNT];
    bool heap;                   /* made by snap_open_bytes */
};

/* Maps `fd` read-only (the descriptor stays the caller's) and verifies every invariant. On failure a
 * negative gh_err and a sentence in `why` (may be NULL). refs = 1. */
int snap_open(struct snap **out, int fd, struct buf *why);
/* As snap_open over bytes that the caller keeps alive; seals are not looked at. */
int snap_open_bytes(struct snap **out, struct str image, struct buf *why);
struct snap *snap_hold(struct snap *s);
void snap_drop(struct snap *s); /* NULL-safe */

static inline struct str snap_text(const struct snap *s, struct snap_str r)
{
    return (struct str){s->STRINGS + r.off, r.len};
}
#define SNAP_AT(s, SECTION, i) ((i) == SNAP_NONE ? NULL : &(s)->SECTION[i])
/* for (uint32_t i = r.first; i < r.first + r.n; i++) */
#define SNAP_EACH(i, range) for (uint32_t i = (range).first, i##_end = (range).first + (range).n; i < i##_end; i++)

/* Text form of everything, for golden tests and `gatehouse dump`. */
void snap_dump(const struct snap *s, struct buf *out);

#endif
