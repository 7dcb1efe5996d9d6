/*
 * keys.h - the KEYS image: private keys of one generation, for traffic workers only.
 *
 *   0      struct keys_header: magic, version, n, size, generation, checksum
 *   64     struct keys_row[n], ordered by id
 *   ...    PEM texts, each followed by a NUL
 *
 * A sealed memfd of its own beside the snapshot: the compiler makes it, the master passes it on without looking
 * into it, a worker maps it read-only. Mappings are locked and left out of core files (mlock, MADV_DONTDUMP). The
 * admin, the scout and the command line never get it. `id` is snap_cert.id.
 */
#ifndef GH_TLS_KEYS_H
#define GH_TLS_KEYS_H

#include "shared/base/str.h"

#define KEYS_MAGIC   0x5359454b4148UL
#define KEYS_VERSION 1

struct keys_header {
    uint64_t magic;
    uint32_t version, n;
    uint64_t size, generation;
    uint64_t checksum;   /* of everything with this member 0 */
    uint8_t spare[24];
};
struct keys_row { uint64_t id; uint32_t off, len; };

#define KEYS_IMAGE_MAX ((size_t)256 << 20)

struct keys;             /* a mapping */

/* Maps and verifies: seals, magic, version, size, checksum, order of ids, ranges, NULs. Negative gh_err and a sentence
 * in `why` (may be NULL). The descriptor stays the caller's. */
int keys_open(struct keys **out, int fd, struct buf *why);
/* As keys_open, of bytes aligned to 8 that stay the caller's; seals and memory are not looked at. */
int keys_open_bytes(struct keys **out, struct str image, struct buf *why);
/* Of which generation an image is, by its head alone: for those who pass it on and must not look into it. */
int keys_peek(int fd, uint64_t *generation);
void keys_close(struct keys *k);                /* wipes nothing: it is shared; NULL-safe */
uint64_t keys_generation(const struct keys *k);
uint32_t keys_count(const struct keys *k);
/* 0, or why its memory could not be locked (errno): the keys could be written to swap. No reason not to serve, but one to say so. */
int keys_lock_error(const struct keys *k);
/* PEM, with a NUL behind it; p is NULL when there is none of that id. Valid until keys_close. */
struct str keys_find(const struct keys *k, uint64_t id);

/*
 * Writer. Rows may come in any order; of equal ids the first one counts. `out` must be empty and never have held
 * anything: its memory is taken in one piece, so that no copy is left in freed memory. The caller wipes it (keys_wipe)
 * before buf_fini. 0, GH_E_NOMEM, GH_E_LIMIT.
 */
struct keys_entry { uint64_t id; struct str pem; };
int keys_bytes(const struct keys_entry *v, size_t n, uint64_t generation, struct buf *out);
void keys_wipe(struct buf *b);                  /* overwrites all it has; it is empty then */

#endif
