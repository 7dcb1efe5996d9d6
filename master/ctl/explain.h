/*
 * explain.h - which rule serves a request, and why the others do not: inside this room.
 *
 * explain_run reads the request as the worker does (shared/http, route_path), asks the same matcher
 * (shared/snap/route.c), and keeps what explain_text and explain_json then say. Everything is in the
 * arena of `struct explain` or in the snapshot.
 */
#ifndef GH_CTL_EXPLAIN_H
#define GH_CTL_EXPLAIN_H

#include "shared/base/arena.h"
#include "shared/http/host.h"
#include "shared/snap/route.h"

#define EXPLAIN_NEAR 20 /* candidates that lost by something else than the path */
#define EXPLAIN_FAR  5  /* those whose path comes nearest */

struct explain_header { struct str name, value; };

struct explain_candidate {
    const struct snap_entry *entry;
    const struct snap_host *host;
    enum route_lost lost;
    const struct snap_cond *cond;
    size_t common; /* bytes that path and wanted path share at their beginning */
};

struct explain {
    /* the question: set by the caller */
    const struct snap *snap;
    const struct snap_regexes *regexes;
    struct str method, url;
    struct { struct explain_header *v; size_t n, cap; } headers; /* Host among them wins over the URL's */
    struct str from;     /* client address; may be empty */
    struct str sni;      /* server name of the ClientHello, with has_sni; empty = the client sends none */
    bool has_sni;        /* false: the name in the URL */
    uint16_t port;       /* of the listener; 0 = the URL's, or the scheme's */
    struct str address;  /* of the listener where several have the port; may be empty */
    struct arena arena;

    /* what the worker would see */
    struct http_target target;
    struct http_host host;
    struct str host_name, authority, path, scheme;
    uint16_t asked_port;

    /* the answer */
    /* "route", "redirect", "direct", a status, "no_listener", or "closed": the connection ends without an answer */
    const char *outcome;
    unsigned status;     /* that the gateway answers by itself; 0 = the upstream's */
    enum reason reason;
    struct str fault;    /* a sentence, when there is more to say than the reason does */
    struct str note;     /* what was assumed */
    const struct snap_bind *bind;
    struct str server_name;         /* on TLS binds: what `chain` was found by */
    const struct snap_chain *chain; /* NULL: plain text, or nobody serves the name */
    bool stream;                    /* bytes: hit has a listener and a rule, no host and no entry */
    struct route_hit hit;
    bool https_redirect; /* the host answers before any rule */

    struct explain_candidate near[EXPLAIN_NEAR], far[EXPLAIN_FAR];
    size_t n_near, n_far, n_candidates, n_hosts;
    const struct snap_host *last_host;
};

/* Fills the answer. Always has an outcome. */
void explain_run(struct explain *x);
/* Does a rule serve it (route, redirect, direct)? */
bool explain_is_served(const struct explain *x);

void explain_text(const struct explain *x, bool color, struct buf *out);
void explain_json(const struct explain *x, struct buf *out);

/* Words for both: explain_words.c. Each appends a phrase. */
void explain_add_reason(const struct explain *x, struct buf *out);
const char *explain_reason_word(enum reason r);
/* "path below /api", "any path" */
void explain_add_path(const struct snap *s, const struct snap_entry *e, struct buf *out);
/* "header x-a is \"1\"" */
void explain_add_cond(const struct snap *s, const struct snap_cond *c, struct buf *out);
/* "header x-a is \"2\", not \"1\"" */
void explain_add_lost(const struct explain *x, const struct explain_candidate *c, struct buf *out);
/* "rewrite the path: prefix /api becomes /"; one filter may have several phrases: `i` counts them, false at the end. */
bool explain_add_filter(const struct snap *s, const struct snap_filter *f, uint32_t i, struct buf *out);
/* "terminated, TLS 1.2 to 1.3, client certificate required", "passed through" */
void explain_add_chain(const struct snap *s, const struct snap_chain *c, struct buf *out);
void explain_add_redirect(const struct snap *s, const struct snap_redirect *r, struct buf *out);
/* "2 retries on reset, connect-failure" */
void explain_add_retry(const struct snap *s, const struct snap_retry *r, struct buf *out);
/* Value of a header as the matcher sees it. */
bool explain_header(const void *ctx, struct str lower_name, struct str *value);
/* A weight's share of its rule, in percent. */
double explain_share(const struct snap_rule *r, const struct snap_split *p);

#endif
