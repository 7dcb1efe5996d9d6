/*
 * admin_http.h - a small HTTP/1.1 server for operators: short requests without bodies, answers from memory.
 *
 * It shares the parser of the data plane and nothing else, so that a busy or broken data plane does not take it
 * away. TCP and unix connections are counted apart: whoever fills the TCP address does not lock out the command
 * line. Everything has a limit and a deadline (struct admin_limits); what exceeds one is answered where that is
 * possible, and closed.
 *
 * A connection, its timer and buffers belong to this file. A handler answers at once with admin_answer, or
 * parks the connection on a list of its own and answers later; a parked connection whose client goes away
 * leaves the list by itself.
 */
#ifndef GH_WORKER_ADMIN_HTTP_H
#define GH_WORKER_ADMIN_HTTP_H

#include "shared/base/list.h"
#include "shared/base/log.h"
#include "shared/board/board.h"
#include "shared/http/method.h"

struct uv_loop_s;
struct admin_http;
struct admin_conn;

#define ADMIN_PIECES 40

struct admin_limits {
    unsigned max_tcp, max_unix; /* connections */
    uint32_t head_ms;           /* from the first byte of a request to the end of its head, and of its body */
    uint32_t idle_ms;           /* between requests */
    uint32_t send_ms;           /* without the client taking a byte */
    uint64_t max_body;          /* of a request; it is read and thrown away */
    size_t max_held;            /* bytes of answers not yet taken, over all connections */
};
extern const struct admin_limits ADMIN_LIMITS_DEFAULT;

/* Slices are valid until the answer. */
struct admin_request {
    struct str method, path, query, accept;
    enum http_method method_id;
    bool local; /* came over the unix socket */
};

struct admin_answer {
    unsigned status;
    const char *type;             /* Content-Type */
    const char *allow;            /* of a 405, or NULL */
    const char *policy;           /* Content-Security-Policy, or NULL */
    struct buf body;              /* the callee owns it from then on */
    struct str pieces[ADMIN_PIECES]; /* behind the body, as they stand: borrowed until release(owner) */
    size_t n_pieces;
    void (*release)(void *owner); /* may be NULL */
    void *owner;
};

struct admin_http_config {
    struct uv_loop_s *loop;
    struct board_proc *me;
    struct log *log;
    struct admin_limits limits;
    void (*handle)(void *arg, struct admin_conn *c, const struct admin_request *r);
    void (*expired)(void *arg, struct admin_conn *c); /* the deadline of a parked one: answer now */
    void *arg;
};

struct admin_http *admin_http_new(const struct admin_http_config *c); /* NULL: memory */
/* Accepts from the listening socket, which is owned from then on; a socket of the same id is replaced. */
int admin_http_listen(struct admin_http *h, uint64_t id, int fd, bool local);
void admin_http_unlisten(struct admin_http *h, uint64_t id);
/* Stops accepting and closes idle connections; the others close with their answer. */
void admin_http_drain(struct admin_http *h);
size_t admin_http_connections(const struct admin_http *h);
/* Closes everything; `h` itself goes when libuv has closed its handles. NULL-safe. */
void admin_http_free(struct admin_http *h);

void admin_answer(struct admin_conn *c, const struct admin_answer *a);
void admin_answer_text(struct admin_conn *c, unsigned status, const char *text);
/* {"error":"..."} */
void admin_answer_error(struct admin_conn *c, unsigned status, const char *fmt, ...) GH_PRINTF(3, 4);

/* Puts the connection on `on` until it is answered, its client leaves, or `timeout_ms` have gone by. */
void admin_park(struct admin_conn *c, struct list *on, uint64_t data, uint64_t timeout_ms);
struct admin_conn *admin_parked(struct list *node);
uint64_t admin_parked_data(const struct admin_conn *c);

#endif
