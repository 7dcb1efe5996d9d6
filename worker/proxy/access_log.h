/*
 * access_log.h - one line per exchange, never blocking.
 *
 * Lines are formatted into a ring of fixed size and written in batches (one write per loop turn or
 * 32 KiB); what the sink does not take stays until the ring is full, then whole lines are dropped and
 * counted (board: log_dropped). JSON by default, or a format string in Envoy's style
 * (%REQ(user-agent)%, %RESPONSE_CODE%, ...; docs/access-log.md).
 */
#ifndef GH_PROXY_ACCESS_LOG_H
#define GH_PROXY_ACCESS_LOG_H

#include "shared/base/log.h"
#include "shared/board/board.h"
#include "shared/snap/snap.h"

struct uv_loop_s;
struct access_log;

/* Everything a line may show; borrowed for the call. Absent texts are empty and print as "-"/null. */
struct access_record {
    uint64_t start_wall_us;
    uint64_t duration_us;
    uint64_t upstream_us;             /* head sent to head received; 0 = none */
    struct str method, path, protocol;/* path as received, with the query */
    struct str host, user_agent, referer, request_id, x_forwarded_for;
    struct str client_address;        /* after trust rules */
    uint16_t client_port;
    struct str peer_address;          /* of the TCP connection */
    uint16_t status;                  /* sent; 0 = none */
    enum reason reason;
    uint64_t bytes_in, bytes_out;     /* bodies */
    struct str listener, route, rule_key, cluster, endpoint;
    uint16_t tries;
    uint64_t generation;
    /* Any other request or response header of a format string; NULL allowed. */
    bool (*header)(const void *ctx, bool response, struct str lower_name, struct str *value);
    const void *header_ctx;
};

struct access_log_config {
    struct uv_loop_s *loop;
    struct board_proc *me;
    struct log *log;
    bool json;
    struct str format;                /* when not json */
};

struct access_log *access_log_new(const struct access_log_config *c);
/* Takes over a descriptor (stdout, file, pipe or datagram socket to journald); the old one is closed
 * after what was buffered for it. -1 = off. */
void access_log_set_fd(struct access_log *l, int fd);
void access_log_write(struct access_log *l, const struct access_record *r);
void access_log_flush(struct access_log *l);
void access_log_free(struct access_log *l); /* flushes what fits without waiting; NULL-safe */
/* Checks a format string; 0 or negative gh_err with a sentence. */
int access_log_check_format(struct str format, struct buf *why);

#endif
