/*
 * compiler.h - one attempt to load: a forked child that reads, checks, compiles, answers and dies.
 *
 *   master                                      child (compiler_child.c)
 *     fork ───────────────────────────────────►   its own process group, low priority, no privileges, no network
 *          ◄───────────── BIND ────────────────   an address that the configuration needs
 *            ───────────── BOUND ─────────────►   it is bound, or errno: part of the status
 *          ◄─────────── SETTINGS ──────────────   what the instance file says
 *          ◄───────────── WATCH ───────────────   a file outside that was read, or looked for
 *          ◄───────────── MADE ────────────────   a new generation: SNAPSHOT, KEYS as sealed memory
 *          ◄──────────── RESULT ───────────────   STATUS, STATE (nothing new: all four), or a sentence
 *     reap                                        exit
 *
 * Rules
 *  1. The child is forked and not exec'd: it inherits what it needs to know by memory, and begins afresh each time. The
 *     master holds no threads, and of secrets only descriptors, which the child closes first, and the keys of session
 *     tickets, whose pages are not inherited (board.h, rule 7): so there is nothing it could find.
 *  2. Its words are input. Images must be sealed and of sane size; more addresses than LISTEN_MAX end it.
 *  3. Whatever becomes of it (crash, time-out, rubbish) costs this attempt and nothing else.
 *  4. At most one at a time; when it has answered, its death is nobody's concern any more.
 */
#ifndef GH_MASTER_COMPILER_H
#define GH_MASTER_COMPILER_H

#include "master/link.h"
#include "master/privilege.h"
#include "master/state.h"

struct watch_file;

#define COMPILER_MS   60000
#define SNAPSHOT_MAX  (2048u << 20)

/* The images of a generation, as descriptors of sealed memory; -1 = none. */
struct images {
    uint64_t generation;
    uint64_t content_hash, findings_hash;
    int snapshot, status, state, keys; /* keys: private keys; passed on to traffic workers, never mapped here */
    uint32_t errors, warnings, objects;
};
void images_init(struct images *im);
void images_close(struct images *im);

struct compiler_job {
    const char *conf_dir;
    const char *config;            /* instance file or NULL */
    int state_fd;                  /* STATE image of the load before; -1 = none */
    uint64_t generation;           /* to give to the result */
    uint64_t content_hash;         /* of what is served, when serving is */
    uint64_t findings_hash;        /* what the log says already */
    bool serving;
    bool only_settings;            /* read the instance file, say SETTINGS, end */
    const struct identity *identity;
    struct log *log;
};

/* How an attempt ended. */
struct compiled {
    int result;                    /* 0, GH_E_EXISTS (the snapshot would be the same), or what went wrong */
    struct images images;          /* owned by whoever gets this */
    const char *text;              /* one line */
    const struct watch_file *outside; /* files outside that it has read or looked for; for the call only */
    size_t n_outside;
};

struct master;
struct compiler;

/* Begins an attempt; the answer is reload_compiled(), once, perhaps with a reload_made() before, unless compiler_cancel
 * comes first. NULL: no process could be
 * made (errno). */
struct compiler *compiler_start(struct master *m, const struct compiler_job *job);
/* It is not wanted any more. */
void compiler_cancel(struct compiler *c);
void compiler_tick(struct compiler *c, uint64_t now_ms);
/* waitpid found `pid`; false when it is no compiler. */
bool compiler_reaped(struct master *m, pid_t pid, int status);
/* No process is left of any attempt. */
bool compiler_none_left(const struct master *m);

/* At the start, before there is a loop: the settings of the instance file as text, waited for. 0; GH_E_FORMAT: the file
 * has errors (they have been logged); others: no answer. */
int compiler_read_settings(const struct compiler_job *job, struct buf *text);

/* ---- compiler_child.c ---- */
GH_NORETURN void compiler_child(int link_fd, const struct compiler_job *job);

#endif
