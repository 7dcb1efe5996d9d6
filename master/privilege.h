/*
 * privilege.h - as whom the master and its children run.
 *
 * The usual way (etc/systemd/gatehouse.service) is that nothing here is needed: the master is the user `gatehouse` with
 * one capability. Started as root it keeps a handful of capabilities, and children become `user`:
 * workers by themselves after exec (ipc_hello.user_id), the compiler in compiler_child.c.
 *
 *   CAP_NET_BIND_SERVICE        low ports
 *   CAP_SETUID SETGID SETPCAP   children become somebody else and give up the rest
 *   CAP_KILL                    signals to children that are somebody else
 *   CAP_DAC_READ_SEARCH         configuration and secrets that only root may read (watch, compiler)
 *   CAP_CHOWN                   the group of the admin socket
 *   CAP_DAC_OVERRIDE            only when the state or run directory belongs to another user
 */
#ifndef GH_MASTER_PRIVILEGE_H
#define GH_MASTER_PRIVILEGE_H

#include "shared/base/log.h"
#include <sys/types.h>

#define ID_STAY 0xffffffffu

struct identity {
    uid_t user;
    gid_t group; /* ID_STAY: no change */
};

/* Whom children become. Not root: nobody's change. `user` that does not exist: GH_E_NOT_FOUND, but for the default
 * "gatehouse", which becomes nobody with a warning. "" = stay root (with a warning). */
int identity_of(struct identity *id, const char *user, struct log *log);
/* Root: gives up every capability but those above; of `dirs` (NULL at the end) all must be usable. */
void privilege_limit(const char *const *dirs, struct log *log);
/* Raises RLIMIT_NOFILE to its hard limit; returns it. */
uint64_t privilege_raise_nofile(void);

/* For the compiler, after fork: becomes `id`, keeping only CAP_DAC_READ_SEARCH when root (secrets are often readable by
 * root alone; this lets it read, not write, and it has no way out: no network, no exec, no new privileges). Sets
 * no_new_privs, limits and file system restrictions; no core file is made of it, for it sees Secrets. False and a word
 * in *what when a step fails. */
bool privilege_confine_compiler(const struct identity *id, const char **what);

#endif
