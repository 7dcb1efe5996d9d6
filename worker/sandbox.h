/*
 * sandbox.h - what a process of ours can do after it is ready: its loop, its sockets, its memory.
 *
 * Layers, entered once and in this order:
 *   1. another user, no groups, no capabilities (bounding set too), no_new_privs, not dumpable, no core files
 *   2. Landlock, where the kernel has it: no file of any kind, no bind; for the admin no connect; no signals
 *      or abstract sockets outside
 *   3. seccomp: the system calls of sandbox.def for the role; any other ends the process
 *
 * Builds with sanitizers enter layer 1 only, and stay dumpable: their runtime opens files and traces.
 */
#ifndef GH_WORKER_SANDBOX_H
#define GH_WORKER_SANDBOX_H

#include "shared/base/str.h"

/* Which rows of sandbox.def and which rights of Landlock. Bits. */
enum sandbox_role { SANDBOX_WORKER = 1, SANDBOX_SCOUT = 2, SANDBOX_ADMIN = 4 };

#define SANDBOX_STAY UINT32_MAX

struct sandbox {
    enum sandbox_role role;
    uint32_t user_id, group_id; /* SANDBOX_STAY: as it is */
};

/* What was reached, for the log and --check-sandbox. */
struct sandbox_result {
    int landlock_abi;   /* 0: this kernel has none */
    bool seccomp;       /* false in builds with sanitizers */
    unsigned n_calls;   /* allowed */
};

/* Closes every descriptor from `first` on. For the start of main, before anything is opened. */
void sandbox_close_from(int first);
/* All of it or a negative gh_err and a sentence; the process must end then. */
int sandbox_enter(const struct sandbox *s, struct sandbox_result *r, struct buf *why);

/* `gatehouse-worker --check-sandbox`: enters it in children, tries what must not work, prints a table.
 * 0 all as designed, 1 not, 77 nothing to check in this build. */
int sandbox_check(void);

#endif
