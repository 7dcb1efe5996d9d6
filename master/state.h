/*
 * state.h - the last good state on disk: STATE_DIR/state.
 *
 * A head of the master's own, the text of the settings, and the STATE image of the compiler (store/state.h), which the
 * master carries and does not read:
 *
 *   "GHSTATE1" │ generation │ bytes of settings │ bytes of image │ checksum of all this │ settings │ image
 *
 * Written to a temporary name, synced, renamed, directory synced: a crash at any instruction leaves the old file or the
 * new one. Writing may wait for the disk, so a forked child does it (state_save). Only the owner may read the file: it
 * holds the text of Secrets.
 */
#ifndef GH_MASTER_STATE_H
#define GH_MASTER_STATE_H

#include "shared/base/log.h"
#include "shared/base/str.h"
#include <sys/types.h>

#define STATE_FILE      "state"
#define STATE_IMAGE_MAX (1024u << 20)

/* What a start finds. Zero-initialise with image_fd = -1. */
struct state_file {
    uint64_t generation;
    struct buf settings;
    int image_fd; /* sealed memfd; -1 = none */
};

/* 0; GH_E_NOT_FOUND, GH_E_SYSTEM (errno), or what is wrong with it: TRUNCATED, FORMAT, VERSION, CHECKSUM. */
int state_read_file(struct state_file *f, const char *dir);
void state_file_fini(struct state_file *f);
/* Blocks. 0 or GH_E_SYSTEM (errno). */
int state_write_file(const char *dir, uint64_t generation, struct str settings, int image_fd);
/* state_write_file in a child, which logs what went wrong and exits with 0 or 1. Its pid, or -1. */
pid_t state_save(const char *dir, uint64_t generation, struct str settings, int image_fd, struct log *log);

/* Bytes to a sealed memfd, close-on-exec; -1 and errno. */
int sealed_memfd(const char *name, struct str bytes);
/* Is `fd` a memfd that nobody can change any more, of 1..max bytes? Its size, 0 = no. */
size_t sealed_size(int fd, size_t max);

#endif
