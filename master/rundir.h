/*
 * rundir.h - one master for one run directory.
 *
 * The pid file is locked (flock) while the master lives; the lock goes with the process however it ends, and over an
 * exec in place (upgrade.c) with the descriptor. A second master finds it locked and refuses.
 */
#ifndef GH_MASTER_RUNDIR_H
#define GH_MASTER_RUNDIR_H

#include "shared/base/str.h"
#include <sys/types.h>

/* Makes the directory when it is missing (parents too, mode `mode`). 0 or GH_E_SYSTEM (errno). */
int dir_make(const char *path, mode_t mode);

/* Takes the lock and writes our pid. The descriptor to keep; GH_E_EXISTS (another master; its pid in *holder, 0 when
 * unknown), GH_E_SYSTEM (errno). */
int rundir_lock(const char *run_dir, pid_t *holder);
/* Removes the pid file and gives up the lock. */
void rundir_unlock(const char *run_dir, int fd);

#endif
