/*
 * upgrade.h - SIGUSR2: the program is replaced in place, by exec, with the same pid and the same sockets.
 *
 *   SIGUSR2 ──► the new program is asked for its version, in a child ──► no transaction runs ──► exec
 *                     │ it can't even say that: this one goes on                                 │ fails: this one goes on
 *
 * What goes over the exec are descriptors: listening sockets, board, images, the lock of the run directory. They keep
 * their numbers; GATEHOUSE_INHERIT says which is what ("PID name=fd name=fd ..."; names as in adopt.h, and "unit" for
 * sockets of a socket unit). The links to the workers do not go over: they become orphans for a moment, serve on, are
 * found by the new program like those of a master that died, and drain when its own workers serve.
 *
 * Signals are blocked over the exec, so that none finds the new program without its handlers.
 */
#ifndef GH_MASTER_UPGRADE_H
#define GH_MASTER_UPGRADE_H

#include "shared/base/str.h"
#include <sys/types.h>

#define UPGRADE_PROBE_MS 10000

struct master;

/* Begins; once it may, the process is another one. */
void upgrade(struct master *m);
/* waitpid found `pid`; false when it is not the child that was asked. */
bool upgrade_reaped(struct master *m, pid_t pid, int status);
/* Goes on when a transaction ended, ends a child that does not answer. */
void upgrade_tick(struct master *m, uint64_t now_ms);

/* In the new program: calls `take` for every descriptor that came over (close-on-exec again) and forgets the variable. */
void upgrade_inherited(void (*take)(void *ctx, struct str name, int fd), void *ctx);
/* The lock alone, which is needed first. -1: there was no exec. */
int upgrade_lock_fd(void);

#endif
