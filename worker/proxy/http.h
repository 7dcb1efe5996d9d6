/*
 * http.h - the pipeline: one HTTP request from its first byte to its line in the access log.
 *
 *   http.c     the steps of a request, top to bottom, and the events of the client's stream
 *   try.c      tries: endpoint, lease, send, answer, retry; the events of the upstream's stream
 *   reply.c    answers made here
 *   bridge.c   browsers that speak gRPC-Web to backends of gRPC
 *   account.c  counters and the access record, at the end
 *   letgo.c    long answers give their generation back
 *
 * Who frees what: a request belongs to its exchange's end. http_finish releases both streams, accounts
 * and recycles it; after it, and after any function here that says "may end it", `r` must not be touched.
 */
#ifndef GH_PROXY_HTTP_H
#define GH_PROXY_HTTP_H

#include "worker/codec/h1_server.h"
#include "worker/filter/filter.h"
#include "worker/http/exchange.h"
#include "worker/http/pipe.h"
#include "worker/proxy/dataplane.h"
#include "worker/proxy/generation.h"
#include "worker/proxy/grpc_web.h"
#include "worker/proxy/retry.h"
#include "worker/upstream/upstream.h"

#define TRIED_MAX 8

/* What all requests of a worker share; part of the dataplane. */
struct http_proxy {
    struct server_host host;    /* what codecs call */
    struct net *net;
    struct board *board;
    uint32_t row;
    struct board_series *series;/* of that row, all slots; set by http_init */
    struct upstream *upstream;
    struct access_log *access;  /* NULL = none */
    struct snap *(*current)(void *ctx);                       /* NULL: nothing to serve yet */
    bool (*keep)(void *ctx, uint64_t bind_id, uint32_t requests);
    void (*ended)(void *ctx);   /* a request has ended */
    void *ctx;
    struct list busy;           /* struct request.node, in the order of their beginning */
    struct list kept;           /* those that have let go of their generation */
    struct list spare;          /* recycled ones */
    uint32_t n_busy, n_spare;
    uint32_t most_busy, peak_busy; /* at a time, since http_settle and before it */
    char hostname[65];
    char date[32];              /* of Date */
    uint64_t date_s;
};

/* All is zero in the beginning but `x.arena`, which is the first, and what stands behind `warm`. */
struct request {
    struct exchange x;
    struct http_proxy *p;
    struct generation *gen;
    struct filter_facts facts;
    struct tls_facts tls;       /* of the client's connection */

    struct cluster *cluster;
    const struct snap_retry *policy;

    enum grpc_kind grpc;        /* what the content type of the request says */
    bool call;                  /* of gRPC, and goes to a backend that can speak it: may stream for hours */
    struct grpc_web web;

    /* The present try. */
    struct lease lease;
    struct endpoint *ep;        /* of the lease */
    struct stream *up;          /* NULL until it has one */
    bool head_seen;             /* final head of the answer */

    /* Over all tries. */
    uint32_t n_tried;
    uint16_t retries, failovers;
    bool stale_used;

    bool has_body, has_head;    /* of the request: content; the head is complete */
    bool tunnel, client_end, up_end; /* tunnels: that side will send nothing more */
    bool counted;               /* in the gauges of its listener and rule */
    bool limited;               /* a time limit of the rule covers the whole answer */
    struct str *shown;          /* values for the access log's response headers; NULL = none */

    /* Deadlines, ms; 0 = none. The timer fires at the earliest. */
    uint64_t request_end_ms, try_end_ms, backoff_end_ms;
    uint64_t active_ms;         /* last time something moved */
    uint32_t idle_limit_ms;     /* 0 = none */

    char warm[0];
    struct timer timer;         /* may be filed in the wheel still */
    struct list node;
    struct filter_ctx ctx;      /* over x, for every run of filters; made by the step `sender` */
    struct pipe body;           /* of the request; only with has_body */
    struct endpoint *tried[TRIED_MAX]; /* n_tried of them, to compare with, never to look into */
};

int http_init(struct http_proxy *p); /* the members above `busy` are set; negative gh_err */
void http_fini(struct http_proxy *p);
void http_trim(struct http_proxy *p); /* gives recycled requests back to the heap */
void http_settle(struct http_proxy *p); /* every few seconds: those that were not needed lately */
/* Ends everything that runs. */
void http_cut(struct http_proxy *p);
/* The generation was replaced: requests whose answer is on its way need theirs no more. When to come again, in ms; 0 = all
 * that run are of the current one, or have let go. */
#define LET_GO_MS 1000
uint64_t http_let_go(struct http_proxy *p);

/* --- between the files --- */
void http_finish(struct request *r);               /* releases both streams; r is gone */
void http_set_timer(struct request *r);            /* after any deadline has changed */
void http_touch(struct request *r);                /* something moved */

/* try.c. May end it. */
void try_start(struct request *r);
void try_cancel(struct request *r);                /* drops the present try; ends nothing */
void try_timeout(struct request *r);
void try_again(struct request *r);                 /* the backoff is over */

/* reply.c. Each ends the request, unless something worse did. */
void reply_reason(struct request *r, enum reason why);
void reply_reason_as(struct request *r, enum reason why, uint16_t status);
void reply_redirect(struct request *r, struct str location, uint16_t status);
void reply_options(struct request *r);             /* what is served, at large */
void reply_direct(struct request *r, uint16_t status, struct str type, struct str body);
struct str reply_date(struct http_proxy *p);
bool request_keeps_underscores(const struct request *r); /* names with '_' pass: the setting, or a rule of gRPC */
bool request_is_grpc(const struct request *r);     /* its answers are those of gRPC */
/* Keeps the grpc-status among these fields of the backend's answer. */
void account_grpc(struct request *r, const struct http_field *f, size_t n);

/*
 * bridge.c: requests of gRPC-Web are translated for a backend that speaks or may speak HTTP/2, or a rule of gRPC; decided once, by
 * bridge_begin, before the head is edited for the backend.
 */
bool bridge_begin(struct request *r);              /* false: no memory */
/* Content on its way up: to the pipe. REASON_OK, or why not. */
enum reason bridge_up(struct request *r, const char *data, size_t n, bool end);
/* The head of the answer, as it goes to the client. False: no memory. */
bool bridge_head(struct request *r, struct http_head *h, bool end);
/* Content on its way down; true: the client is full. Adds to bytes_out what translation does. */
bool bridge_down(struct request *r, const char *data, size_t n, bool end);
/* The trailers, and the end. False: no memory, nothing was sent. */
bool bridge_trailers(struct request *r, const struct http_field *f, size_t n);

/* account.c */
struct http_head;
void account_response(struct request *r, const struct http_head *h); /* the head that goes to the client */
const struct snap_listener *account_listener(const struct request *r); /* which it counts for; NULL = none */
void account_begin(struct request *r);             /* the route is known */
void account_end(struct request *r);

/* What a reason says to people. */
struct str reason_word(enum reason r);
struct str reason_text(enum reason r);
uint16_t reason_status(enum reason r);

#endif
