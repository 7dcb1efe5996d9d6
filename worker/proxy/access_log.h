/*
 * access_log.h - one line per exchange, never blocking.
 *
 * Lines are formatted into a ring of fixed size and written in batches (32 KiB, of a file 128 KiB, or what
 * there is 20 ms after the first line); what the sink does not take stays until the ring is full, then the oldest
 * whole lines are dropped and counted (board: log_dropped). JSON by default, or a format string in
 * Envoy's style (%REQ(user-agent)%, %RESPONSE_CODE%, ...; docs/access-log.md).
 *
 * Rules
 *  1. A write carries whole lines. To a pipe at most PIPE_BUF, so that the lines of several workers do
 *     not mix; to a datagram socket one line, as an entry of journald; a longer line goes alone.
 *  2. Nothing here waits: sockets are asked with MSG_DONTWAIT, pipes are made non-blocking, a terminal
 *     is polled first. A regular file is written as it is (a full disk is an error, not a wait).
 *  3. After any error the lines stay, and the sink is tried again when it is writable or a second
 *     later. An oldest line of which a part is written is never dropped.
 *  4. What a client sent never breaks a line: JSON strings are escaped, in text formats control bytes
 *     are written \xNN. A value is cut at ACCESS_VALUE_MAX bytes.
 */
#ifndef GH_PROXY_ACCESS_LOG_H
#define GH_PROXY_ACCESS_LOG_H

#include "shared/base/log.h"
#include "shared/board/board.h"
#include "shared/snap/snap.h"

#define ACCESS_VALUE_MAX  2048
#define ACCESS_WANTED_MAX 16

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
    struct str local_address;         /* address:port the client connected to */
    struct str server_name;           /* of the TLS handshake */
    struct str tls_version, tls_cipher, client_cert; /* the subject of the client's certificate */
    struct str detail;                /* more about the reason */
    uint16_t status;                  /* sent; 0 = none */
    enum reason reason;
    bool has_grpc_status;
    uint16_t grpc_status;             /* of a call of gRPC */
    uint64_t bytes_in, bytes_out;     /* bodies */
    struct str listener, route, rule_key, cluster, endpoint;
    uint16_t tries;
    uint64_t generation;
    /* Any other request header of a format string, and response headers: those that access_log_wanted names
     * (the response is gone when the line is written). NULL allowed. */
    bool (*header)(const void *ctx, bool response, struct str lower_name, struct str *value);
    const void *header_ctx;
};

struct access_log_config {
    struct uv_loop_s *loop;
    struct board_proc *me;
    struct log *log;
    bool json;
    struct str format;                /* when not json; checked before (shared/http/log_format.h) */
};

struct access_log *access_log_new(const struct access_log_config *c); /* NULL: memory, or the format */
/* Takes over a descriptor (file, pipe, terminal, stream socket or datagram socket to journald). What the
 * old one does not take at once goes to the new one. -1 and /dev/null = off: lines are neither
 * made nor counted. */
void access_log_set_fd(struct access_log *l, int fd);
void access_log_write(struct access_log *l, const struct access_record *r);
void access_log_flush(struct access_log *l);
void access_log_free(struct access_log *l); /* flushes what fits without waiting; NULL-safe */
/* Names, in lower case, of the response headers that lines show; at most ACCESS_WANTED_MAX. */
size_t access_log_wanted(const struct access_log *l, const struct str **names);
/* Lines show the address that the client connected to. False for NULL. */
bool access_log_shows_local(const struct access_log *l);
size_t access_log_pending(const struct access_log *l);  /* bytes not yet taken by the sink */

#endif
