/*
 * snap.h - reading a snapshot: open and verify once, then plain array access.
 *
 * A `struct snap` is one mapped generation. It is reference counted within a process: the holder of the
 * current generation has one, every exchange that began on it has one; the last drop unmaps. Not
 * thread-safe (workers are single-threaded).
 */
#ifndef GH_SNAP_SNAP_H
#define GH_SNAP_SNAP_H

#include "shared/base/hash.h"
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
    bool mapped;                 /* false: made by snap_open_bytes */
};

/* Maps `fd` read-only (the descriptor stays the caller's) and verifies every invariant. On failure a
 * negative gh_err and a sentence in `why` (may be NULL). refs = 1. */
int snap_open(struct snap **out, int fd, struct buf *why);
/* As snap_open over bytes that the caller keeps alive, aligned to 8; seals are not looked at. */
int snap_open_bytes(struct snap **out, struct str image, struct buf *why);
struct snap *snap_hold(struct snap *s);
void snap_drop(struct snap *s); /* NULL-safe */

/*
 * A few rows of a snapshot and their texts, as a snapshot of its own that maps nothing: for what outlives the generation
 * with which it began. SETTINGS, the generation's number and the rows of `part` are there (a row may be NULL); *part points
 * into it afterwards. Rows refer to no others: ranges are empty, places none or 0, `user` is NULL. It is not for lookups,
 * and snap_drop frees it. refs = 1; NULL: out of memory.
 */
struct snap_part {
    const struct snap_listener *listener;
    const struct snap_rule *rule;
    const struct snap_cluster *cluster;
};
struct snap *snap_excerpt(const struct snap *s, struct snap_part *part);

static inline struct str snap_text(const struct snap *s, struct snap_str r)
{
    return (struct str){s->STRINGS + r.off, r.len};
}
static inline struct str snap_name(const struct snap *s, struct snap_name r)
{
    return str_c(s->STRINGS + r.off);
}
#define SNAP_AT(s, SECTION, i) ((i) == SNAP_NONE ? NULL : &(s)->SECTION[i])
/* for (uint32_t i = r.first; i < r.first + r.n; i++) */
#define SNAP_EACH(i, range) for (uint32_t i = (range).first, i##_end = (range).first + (range).n; i < i##_end; i++)

/* Identity of a listening socket, the same in the master, the compiler and the workers. */
static inline uint64_t snap_bind_id(struct str address, uint16_t port, bool datagram)
{
    return hash_str(address, port | (datagram ? 1u << 16 : 0));
}
/* What header.checksum must be for this image. */
uint64_t snap_checksum(struct str image);
/* The name of a series in /metrics; a rule's, listener's or cluster's name. */
struct str snap_series_name(const struct snap *s, const struct snap_series *row);

/* What of the image holds how much; one line per section. */
void snap_sizes(const struct snap *s, struct buf *out);
/* Text form of everything, for golden tests and `gatehouse dump`. The first half has the words of
 * model_dump, the second draws the matcher. */
void snap_dump(const struct snap *s, struct buf *out);
void snap_dump_model(const struct snap *s, struct buf *out);
void snap_dump_matcher(const struct snap *s, struct buf *out);

/*
 * The compiled regexes of one snapshot. Each is compiled when it is first asked for: a generation with
 * 100,000 of them costs nothing to switch to, and those nobody reaches cost nothing at all. The compiler
 * has compiled every one before, so that failing here means no memory: then it does not match. One that is used
 * often is compiled to machine code where the process may.
 */
struct regex;
struct snap_regexes;
struct snap_regexes *snap_regexes_new(const struct snap *s); /* NULL: out of memory; `s` must live longer */
void snap_regexes_free(void *r);                             /* NULL-safe; fits snap.user_free */
/* REGEXES[i], compiled; NULL: out of memory. */
const struct regex *snap_regexes_get(const struct snap_regexes *r, uint32_t i);
/* Fits route_request.regex with ctx = the struct snap_regexes. */
bool snap_regexes_match(const void *ctx, uint32_t i, struct str subject);

#endif
