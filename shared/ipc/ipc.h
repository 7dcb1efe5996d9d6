/*
 * ipc.h - messages between the master and its children, with descriptors.
 *
 * SOCK_SEQPACKET socket pairs: one packet is one message, a header and a fixed-size payload struct (plus
 * a text tail for a few), and up to IPC_MAX_FDS descriptors. Everything is read to the end: a short, long
 * or unknown message, or descriptors where none belong, is GH_E_FORMAT, and the receiver ends the
 * connection: the master kills that child, a child exits. Sends never block: a full socket is GH_E_AGAIN
 * and the master treats a child that does not read as stuck.
 *
 * The list of messages is tbl/message.def: name, direction, payload struct, number of descriptors.
 *
 * The life of a child, as messages:
 *
 *   M->C  HELLO  RESCUE  LOG  LISTENER ...  [SNAPSHOT  COMMIT]     at once after exec; [ ] when a generation exists
 *   C->M  STATE(PROC_SPARE)                                        ready: unprivileged, sandboxed; ACK and ACTIVE for [ ]
 *   M->C  PROMOTE                                                  accept now; C->M STATE(PROC_ACTIVE)
 *   M->C  LISTENER ...  SNAPSHOT   C->M  ACK                       an offer, any number of times
 *   M->C  COMMIT  C->M  ACTIVE, or M->C  WITHDRAW                  how it ends; then LISTENER_GONE for what left
 *   M->C  DRAIN                    C->M  STATE(PROC_DRAINING)      finish, exit with status 0
 *
 * The scout and the admin live the same life (spare, promoted, offered generations, drained). For the admin a
 * SNAPSHOT and COMMIT of the generation it has already means: only the STATUS image is new.
 */
#ifndef GH_IPC_IPC_H
#define GH_IPC_IPC_H

#include "shared/base/str.h"

#define IPC_MAX_FDS  8
#define IPC_MAX_TEXT 8192

/* Descriptors a child of the master is exec'd with, besides stderr (2) for its log. */
#define IPC_FD_LINK  3 /* its end of the pair */
#define IPC_FD_BOARD 4

/* Names in the run directory. */
#define RUN_ADMIN_SOCKET "admin.sock"   /* HTTP, as on the admin address; for the command line */
#define RUN_PID_FILE     "gatehouse.pid" /* locked by the master while it runs */

/* Bind ids of the listening sockets of the admin process (IPC_LISTENER). */
#define IPC_BIND_ADMIN_TCP  1
#define IPC_BIND_ADMIN_UNIX 2

/* Payloads: fixed width, no pointers, no padding left undefined. */
struct ipc_hello {            /* master -> child, first message */
    uint32_t role;            /* enum board_role */
    uint32_t row;             /* on the board */
    uint32_t user_id, group_id; /* to become; 0xffffffff = stay */
    uint32_t n_workers;
    uint32_t log_level;
    uint64_t drain_ms;
};
struct ipc_listener {         /* one listening socket, or a bound UDP one; 1 descriptor */
    uint64_t bind_id;         /* snapshot bind id: hash of address, port and datagram */
    uint16_t port;
    uint16_t datagram;        /* 0: it listens; n: the n-th UDP socket of its bind */
    uint32_t family;
};
struct ipc_listener_gone { uint64_t bind_id; }; /* all sockets of it */
struct ipc_snapshot {         /* descriptors: SNAPSHOT; for admin also STATUS; for workers also KEYS (shared/tls/keys.h) */
    uint64_t generation;
    uint32_t n_listeners;     /* listeners that will have been passed before this message */
    uint32_t spare;
};
struct ipc_commit { uint64_t generation; };     /* switch to it (it was offered and acked) */
struct ipc_withdraw { uint64_t generation; };   /* forget the offer */
struct ipc_ack { uint64_t generation; int32_t result; uint32_t spare; }; /* + text: why not */
struct ipc_active { uint64_t generation; };     /* child -> master: now serving it */
struct ipc_state { uint32_t state, spare; };    /* enum board_state; READY is PROC_SPARE */
struct ipc_drain { uint64_t deadline_ms; };     /* monotonic (clock_ms); stop accepting, finish, exit */
struct ipc_promote { uint32_t row, spare; };    /* spare -> active; row: the one it was told in HELLO (a process keeps its row) */
struct ipc_log { uint32_t which, spare; };      /* 1 descriptor: access log sink (re)opened */
struct ipc_request { uint64_t id; uint32_t verb, spare; };  /* admin -> master; enum ipc_verb; + text */
struct ipc_reply { uint64_t id; int32_t result; uint32_t spare; }; /* 0 or gh_err; + text: a JSON object */
struct ipc_bind { uint64_t bind_id; uint32_t port, datagram; }; /* compiler -> master; + text: address */
struct ipc_bound { uint64_t bind_id; int32_t error; uint32_t spare; }; /* master -> compiler */
/*
 * compiler -> master. MADE has the descriptors SNAPSHOT, KEYS: a new generation that may be offered; the RESULT that follows
 * it, of the same generation, has STATUS, STATE. Without MADE, RESULT has SNAPSHOT, STATUS, STATE, KEYS, or none.
 */
struct ipc_result {
    uint64_t generation;
    uint64_t content_hash;    /* of the snapshot: equal = the same configuration */
    uint64_t findings_hash;   /* of the errors and warnings: equal = they were logged before */
    int32_t result;           /* 0; GH_E_EXISTS = the snapshot would be the one that is served */
    uint32_t errors, warnings, objects;
};                            /* + text: one line for the log */
struct ipc_settings { uint32_t n_errors; uint32_t spare; };  /* compiler -> master; + text: key=value lines of master/setting.def */
/* compiler -> master, before RESULT, at most 256; + text: absolute path. Which version was read; all 0: it is not there. */
struct ipc_watch { uint64_t dev, ino, size, mtime_ns, ctime_ns; };
struct ipc_note { uint64_t generation; uint64_t wall_us; int32_t result; uint32_t spare; }; /* + text: one sentence */
/* master -> child; 1 descriptor: a unix SOCK_SEQPACKET socket, bound in the run dir, not yet listening.
 *
 * When its link ends without DRAIN the child is an orphan: it goes on serving and calls listen(fd, 4) on
 * this socket (itself: SO_PEERCRED of a connection is then the child). A new master connects. The child
 * checks SO_PEERCRED of the connection (user id 0, or that of the master that started it: SO_PEERCRED of
 * the old link), takes it as its new link, stops polling the socket and sends ORPHAN (with the board), then
 * n_listeners LISTENER messages (with its listening sockets; bind_id, port, family and address as it was told
 * them), as fast as the link takes them. On that link the master sends DRAIN when its own processes serve, and
 * nothing else; the child answers nothing more and exits when it has drained. If the link ends before
 * that, the child is an orphan again. */
struct ipc_rescue { uint32_t spare; };
struct ipc_orphan {           /* child -> master, first message on a rescue connection; 1 descriptor: the board */
    uint32_t role, row;
    uint32_t n_listeners, spare;
    uint64_t generation;
};
struct ipc_empty { uint32_t spare; };

/* What an operator may order through the admin process. The reply comes when it is done: RELOAD once every
 * worker serves the new generation (0; GH_E_EXISTS: nothing had changed; GH_E_REFUSED: a worker or the
 * compiler said no, the old generation stays), DRAIN once new connections are refused. */
enum ipc_verb { IPC_VERB_NONE, IPC_VERB_RELOAD, IPC_VERB_DRAIN, IPC_VERB_COUNT };

enum ipc_type {
    IPC_NONE,
#define X(name, payload, fds_min, fds_max, has_text, text) IPC_##name,
#include "shared/tbl/message.def"
#undef X
    IPC_TYPE_COUNT
};

union ipc_payload {
#define X(name, payload, fds_min, fds_max, has_text, text) struct payload as_##name;
#include "shared/tbl/message.def"
#undef X
};

struct ipc_msg {
    enum ipc_type type;
    union ipc_payload u;
    char text[IPC_MAX_TEXT + 1];
    size_t text_n;
    int fds[IPC_MAX_FDS]; /* the receiver owns them */
    size_t n_fds;
};

const char *ipc_type_name(enum ipc_type t);
/* A pair, close-on-exec and non-blocking. */
int ipc_pair(int fds[2]);
/* Sends m->type with its payload, text and descriptors (which stay the caller's). 0, GH_E_AGAIN,
 * GH_E_CLOSED, GH_E_SYSTEM. */
int ipc_send(int fd, const struct ipc_msg *m);
/* Receives one. 1 = a message, 0 = nothing now, negative: GH_E_CLOSED, GH_E_FORMAT, GH_E_SYSTEM. On any
 * negative result no descriptor is left open. */
int ipc_recv(int fd, struct ipc_msg *m);
void ipc_msg_close_fds(struct ipc_msg *m);

#endif
