/*
 * role.h - what a process of this program may be: one row per role.
 *
 * A row says which sandbox the process enters, which messages it may be told (any other ends it: the master
 * and it do not agree who it is), and how it begins, is promoted, drains and ends.
 */
#ifndef GH_WORKER_ROLE_H
#define GH_WORKER_ROLE_H

#include "shared/board/board.h"
#include "shared/ipc/ipc.h"
#include "worker/sandbox.h"

struct worker;

/* 0; negative gh_err: the message makes no sense, the process ends. Descriptors that were not taken with
 * link_take_fd are closed by the caller. */
typedef int role_message_fn(struct worker *w, struct ipc_msg *m);

struct role_message {
    enum ipc_type type;
    role_message_fn *fn;
};

struct role {
    enum board_role id;
    const char *name;
    enum sandbox_role sandbox;
    const struct role_message *messages;
    size_t n_messages;
    /* Before the sandbox. 0, or negative with a sentence: the process ends. */
    int (*start)(struct worker *w, struct buf *why);
    /* Runs until `quit`; NULL = the libuv loop. */
    void (*run)(struct worker *w);
    void (*quit)(struct worker *w);
    void (*promoted)(struct worker *w);
    /* Finish; then worker_exit(w, 0), at `deadline_ms` at the latest. Called once. */
    void (*drain)(struct worker *w, uint64_t deadline_ms);
    /* Closes all handles and frees; the loop runs once more afterwards. */
    void (*stop)(struct worker *w);
};

const struct role *role_of(uint32_t id); /* NULL: no such role */
/* NULL: this role is not told such things. */
role_message_fn *role_handler(const struct role *r, enum ipc_type type);

extern const struct role ROLE_ROW_WORKER, ROLE_ROW_SCOUT, ROLE_ROW_ADMIN;

#endif
