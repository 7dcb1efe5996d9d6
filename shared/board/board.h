/*
 * board.h - the memory that workers write: counters, gauges, heartbeats, endpoint health, DNS answers.
 *
 * One memfd, made by the master, mapped by every process; it outlives workers and generations, so
 * counters never go back. Only atomics, never a lock: a process killed at any instruction leaves it
 * consistent. Trust: the master and admin treat every value as input (indices from here are checked).
 *
 *   ┌ head ┬ tickets ┬ process rows ┬ endpoint rows ┬ dns rows ┬ claims ┬ shares 0 ┬ ... ┬ slab 0 ┬ slab 1 ┬ ...
 *
 * A slab is the series of one process row; its shares are its own part of every endpoint's `active`, so that
 * the master can take back what a dead process had added (rule 6).
 *
 * Rules
 *  1. Single writer: only the process that owns a row writes its row and its slab; plain relaxed
 *     stores of its own counters are enough (board_add). Readers sum over slabs.
 *  2. Endpoint rows are shared by all workers: read-modify-write atomics.
 *  3. A row is taken over by the next process of that row number; counters stay, gauges are zeroed by
 *     the master when the owner is gone (board_row_reset).
 *  4. Slot 0 of a slab is the overflow place for identities beyond the cap. Slot numbers come from the
 *     snapshot (assigned per identity by the compiler's state), so they mean the same over reloads.
 *  5. Memory is touched only when used: untouched slots cost address space, not pages.
 *  6. board_endpoint.active is changed only by board_endpoint_enter and board_endpoint_leave: the shared count
 *     rises before and falls after the own share, so a process killed in between leaves at most one too many.
 *  7. The keys of session tickets have pages of their own: locked in memory, left out of core files, and not
 *     inherited by a fork (the compiler child has no mapping of them).
 */
#ifndef GH_BOARD_BOARD_H
#define GH_BOARD_BOARD_H

#include "shared/base/str.h"
#include "shared/tbl/enums.h"
#include <stdatomic.h>

#define BOARD_MAGIC     0x44524f424147UL /* "GABORD" */
#define BOARD_VERSION   4
#define BOARD_MAX_PROC  160    /* rows: workers, spares, scout, admin */
#define BOARD_MAX_SLOTS 16384  /* series per slab: listeners, rules, clusters */
#define BOARD_MAX_ENDPOINTS 16384
#define BOARD_MAX_DNS   1024
#define BOARD_DNS_ADDRS 32
#define BOARD_CLAIMS    4096  /* words, a power of two: sockets of which one process is the reader */
#define BOARD_NOBODY    UINT32_MAX
#define BOARD_HIST_BUCKETS 15

extern const uint32_t BOARD_HIST_US[BOARD_HIST_BUCKETS]; /* upper bounds, microseconds; the last bucket is +Inf beyond */

enum board_role { ROLE_NONE, ROLE_WORKER, ROLE_SCOUT, ROLE_ADMIN };
enum board_state { PROC_EMPTY, PROC_STARTING, PROC_SPARE, PROC_ACTIVE, PROC_DRAINING, PROC_GONE };

/* One counter per member; single writer. Sums over all slabs are what /metrics shows. */
struct board_series {
    _Atomic uint64_t requests[6];           /* by class: [0] none (aborted), 1xx..5xx */
    _Atomic uint64_t duration[BOARD_HIST_BUCKETS + 1];
    _Atomic uint64_t duration_sum_us;
    _Atomic uint64_t bytes_in, bytes_out;   /* from and to the client (listener, rule); from and to the backend (cluster) */
    _Atomic uint64_t active;                /* gauge */
    _Atomic uint64_t reasons[REASON_COUNT];
    _Atomic uint64_t retries, connects, connect_failures; /* clusters */
    _Atomic uint64_t grpc[GRPC_STATUS_COUNT + 1]; /* calls of gRPC by status; the last: numbers that are not known */
    _Atomic uint64_t streams;               /* TCP connections and UDP flows begun; their bytes are in bytes_in, bytes_out */
    _Atomic uint64_t streams_active;        /* gauge */
};

/* Process-wide counters: rows of tbl/counter.def. */
struct board_counters {
#define X(name, type, unit, text) _Atomic uint64_t name;
#include "shared/tbl/counter.def"
#undef X
};

/* Handshakes of a process, by side, version (0: 1.2, 1: 1.3) and whether a session was resumed; and those that failed. */
enum { BOARD_TLS_CLIENTS, BOARD_TLS_UPSTREAM, BOARD_TLS_SIDES };
struct board_tls {
    _Atomic uint64_t handshakes[BOARD_TLS_SIDES][2][2];
    _Atomic uint64_t faults[BOARD_TLS_SIDES][TLS_FAULT_COUNT];
};

struct board_proc {
    _Atomic uint32_t role, state, pid, row;
    _Atomic uint64_t generation;    /* it serves */
    _Atomic uint64_t heartbeat_ns;  /* CLOCK_MONOTONIC of its last loop turn */
    _Atomic uint64_t started_ns;    /* 0: no process ever had this row, its slab is untouched */
    _Atomic uint32_t restarts;
    _Atomic uint32_t connections;   /* client connections now: accept balance */
    _Atomic uint32_t accepting;     /* 1 while it polls the listening sockets */
    _Atomic uint32_t generations_held;
    struct board_counters counters;
    struct board_tls tls;
} __attribute__((aligned(64)));

struct board_endpoint { /* shared by all workers */
    _Atomic uint64_t key;            /* snapshot endpoint id; 0 = free */
    _Atomic uint32_t active;         /* requests now, over all workers (least request) */
    _Atomic uint32_t failures;       /* consecutive */
    _Atomic uint64_t ejected_until_ns;
    _Atomic uint64_t requests, errors;
} __attribute__((aligned(64)));

/* An answer of the scout. Two copies; `turn` says which one is valid (turn & 1); the scout writes the
 * other one, then raises turn. A reader copies and checks turn again. */
struct board_dns_answer {
    uint32_t n;
    uint32_t status;                 /* 0 ok, else an ares status */
    uint64_t expires_wall_s;
    struct { uint8_t family, addr[16]; } v[BOARD_DNS_ADDRS]; /* family 4 or 6 */
};
struct board_dns {
    _Atomic uint64_t key;            /* hash_str_lower(name, 0); 0 = nothing known; check it before and after reading */
    _Atomic uint32_t turn;
    struct board_dns_answer copy[2];
};

/*
 * Keys of TLS session tickets (RFC 5077, RFC 8446 4.6.1), the same for all workers, so that a session resumes whoever
 * answers, over reloads, crashes of workers and of the master. Made and changed by the master only (tickets.c).
 *
 * v[0] encrypts and decrypts, the others only decrypt. A key encrypts for half the lifetime of a ticket, so three
 * cover every ticket that can still be alive: a ticket outlives its key's use by one lifetime at most.
 */
#define BOARD_TICKET_KEYS 3
struct board_ticket_key {
    uint8_t name[16];                /* in clear in the ticket */
    uint8_t key[32];                 /* of an AEAD */
    uint64_t made_wall_s;
};
struct board_ticket_keys {
    uint32_t n, spare;               /* v[0 .. n), newest first */
    struct board_ticket_key v[BOARD_TICKET_KEYS];
};
/* Two copies and a turn, as board_dns. */
struct board_tickets {
    _Atomic uint32_t turn;           /* 0: none were ever written */
    struct board_ticket_keys copy[2];
};

struct board_head {
    uint64_t magic;
    uint32_t version, n_proc, n_slots, n_endpoints, n_dns;
    uint64_t size;
    _Atomic uint64_t generation;     /* committed */
    _Atomic uint64_t draining;       /* 1: /readyz says no */
    _Atomic uint64_t reloads_ok, reloads_failed, reload_last_ms, reload_last_wall_us;
    _Atomic uint64_t reload_last_failed; /* 1: the last change was refused, the generation before it serves */
    _Atomic uint64_t workers_wanted, started_wall_us;
    _Atomic uint64_t config_errors, config_warnings;
    _Atomic uint64_t crashes, stuck_kills;
};

struct board; /* a mapping; made by board_make or board_open */

/* Makes the memfd (returned in *fd, caller closes) and maps it. Its size is sealed: no process that has it can
 * make another one fault. Negative gh_err. */
int board_make(struct board **b, int *fd);
/* Maps an inherited one (the descriptor stays the caller's) and checks its head. GH_E_UNSEALED, GH_E_VERSION
 * (another layout), GH_E_FORMAT, GH_E_SYSTEM. */
int board_open(struct board **b, int fd);
void board_close(struct board *b); /* unmaps; NULL-safe */

struct board_head *board_head(struct board *b);
struct board_proc *board_proc(struct board *b, uint32_t row);           /* NULL when out of range */
struct board_series *board_series(struct board *b, uint32_t row, uint32_t slot); /* slot out of range = 0 */
/* The next slots from `from` on that row `row` ever touched, as [*first, *end); false: no more. Readers of many
 * slots ask first, because reading an untouched page makes it exist (rule 5). */
bool board_series_used(struct board *b, uint32_t row, uint32_t from, uint32_t *first, uint32_t *end);
struct board_endpoint *board_endpoint(struct board *b, uint32_t slot);
struct board_dns *board_dns(struct board *b, uint32_t slot);
/* Zeroes the gauges of a row whose process is gone (rule 3) and takes back its shares (rule 6); counters, pid's
 * role and started_ns stay, the state is PROC_EMPTY. Master only. */
void board_row_reset(struct board *b, uint32_t row);
/* The heartbeat of `row` if it is not in the future, else `now_ns`: a child can't claim to be alive for ever. */
uint64_t board_heartbeat(struct board *b, uint32_t row, uint64_t now_ns);
/* A request of process `row` begins or ends on the endpoint (rule 6). Slots out of range do nothing. */
void board_endpoint_enter(struct board *b, uint32_t row, uint32_t slot);
void board_endpoint_leave(struct board *b, uint32_t row, uint32_t slot);

/*
 * Claims: which process reads a datagram socket that several have (claims.c). `key` names the socket, 1 ... 2^56 - 1.
 * A claim is one word, so a process killed at any instruction holds it or not; board_row_reset ends those of a dead
 * process, and a living one may take it from one that it thinks dead.
 */
uint32_t board_claimed(struct board *b, uint64_t key); /* the row that has it, or BOARD_NOBODY */
/* `row` takes it from `from` (a row, or BOARD_NOBODY). False: somebody was quicker, or there is no room. */
bool board_claim(struct board *b, uint32_t row, uint64_t key, uint32_t from);
void board_unclaim(struct board *b, uint32_t row, uint64_t key); /* nothing when it is not `row`'s */
void board_unclaim_all(struct board *b, uint32_t row);
_Atomic uint64_t *board_claims(struct board *b); /* for claims.c: BOARD_CLAIMS words */

/* Single-writer increment (rule 1). */
static inline void board_add(_Atomic uint64_t *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}
static inline uint64_t board_get(const _Atomic uint64_t *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}
static inline unsigned board_hist_bucket(uint64_t us)
{
    unsigned i = 0;
    while (i < BOARD_HIST_BUCKETS && us > BOARD_HIST_US[i])
        i++;
    return i;
}

void board_dns_write(struct board_dns *d, const struct board_dns_answer *a); /* scout only */
bool board_dns_read(const struct board_dns *d, struct board_dns_answer *out);

/* ---- tickets.c ---- */

struct board_tickets *board_tickets(struct board *b);
/* Which set of keys is there: changes with every write, 0 = none. One load; ask before copying again. */
uint32_t board_tickets_turn(const struct board_tickets *t);
/* Copies a whole set; the turn it belongs to, 0 when there is none (out->n is 0). Wipe the copy when done with it. */
uint32_t board_tickets_read(const struct board_tickets *t, struct board_ticket_keys *out);
void board_tickets_write(struct board_tickets *t, const struct board_ticket_keys *k); /* master only */
/*
 * What the set must be at `now_wall_s` for tickets that live `lifetime_s`: a new key first when the newest has had its
 * half lifetime, what can't be needed any more gone. A key from the future counts as made now. True when `k` changed.
 * lifetime_s 0: no keys at all. Randomness: getrandom.
 */
bool board_ticket_keys_turn(struct board_ticket_keys *k, uint64_t now_wall_s, uint64_t lifetime_s);
/* The master, now and then: read, turn, write. True when there are new keys. */
bool board_tickets_rotate(struct board_tickets *t, uint64_t now_wall_s, uint64_t lifetime_s);

#endif
