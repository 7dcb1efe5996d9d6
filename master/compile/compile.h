/*
 * compile.h - the model to a sealed snapshot. Sees model/ only.
 */
#ifndef GH_COMPILE_COMPILE_H
#define GH_COMPILE_COMPILE_H

#include "master/model/model.h"

struct compile_input {
    const struct model *model;
    uint64_t generation;
    uint64_t now_wall_us;
    /* Place on the board for a key ("rule/...", "endpoint/...", "dns/..."); 0 = overflow. Never NULL. */
    uint32_t (*slot)(void *ctx, const char *table, struct str key);
    void *slot_ctx;
};

/* The image as bytes (caller frees with buf_fini). 0, or negative gh_err with a sentence in why. The
 * content_hash in the header ignores generation and time, so equal configurations can be told. */
int compile_bytes(const struct compile_input *in, struct buf *image, struct buf *why);
/* The KEYS image of the same model (shared/tls/keys.h): private keys of the certificates that are used. `image` must never
 * have held anything, and is wiped by the caller (keys_wipe). 0, GH_E_NOMEM, GH_E_LIMIT. */
int compile_keys(const struct model *m, uint64_t generation, struct buf *image);
/* Bytes to a sealed memfd (close-on-exec). The descriptor, or negative gh_err. */
int image_seal(const char *name, struct str bytes);

#endif
