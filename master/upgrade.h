/*
 * upgrade.h - SIGUSR2: the program is replaced in place, by exec, with the same pid and the same sockets.
 *
 * What goes over the exec are descriptors, under the names of adopt.h (LISTEN_FDS), and the lock of the run directory.
 * The links to the workers do not: they become orphans for a moment, serve on, are found by the new program like those of
 * a master that died, and drain when its own workers serve.
 *
 * A program that can't run must not replace one that does: it is asked for its version first, in a child. If that fails, or
 * the exec itself, this one goes on.
 */
#ifndef GH_MASTER_UPGRADE_H
#define GH_MASTER_UPGRADE_H

struct master;

void upgrade(struct master *m);
/* The lock that came over an exec, or -1. Takes it out of the environment. */
int upgrade_lock_fd(void);

#endif
