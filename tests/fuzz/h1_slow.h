/*
 * h1_slow.h - a second HTTP/1.1 parser, written from the grammar and the rules of h1_parse.h and not
 * from its code: it cuts a complete head into lines, lines into parts, and looks at each as often as it
 * likes. The fuzz targets compare the two; nobody else uses it.
 */
#ifndef GH_FUZZ_H1_SLOW_H
#define GH_FUZZ_H1_SLOW_H

#include "worker/codec/h1_parse.h"

enum slow_verdict {
    SLOW_GOOD,
    SLOW_BAD, /* a complete line, or the complete head, breaks a rule */
    SLOW_CUT, /* no complete head, and nothing wrong with its complete lines */
};

#define SLOW_MAX_FIELDS 128

struct slow_message {
    size_t used;
    struct str method, target, reason;
    unsigned status, minor;
    struct http_field fields[SLOW_MAX_FIELDS]; /* flags without FIELD_F_LINE */
    size_t n_fields;
    enum h1_body body;
    uint64_t length;
    bool keep_alive, upgrade, expect_continue, te_trailers;
    struct str authority;
};

enum slow_verdict slow_request(struct str data, const struct h1_limits *limits, struct slow_message *m);
enum slow_verdict slow_response(struct str data, const struct h1_limits *limits, bool to_head,
                                struct slow_message *m);
enum slow_verdict slow_trailers(struct str data, const struct h1_limits *limits,
                                struct slow_message *m);
/* Content of a chunked body up to the line of its last chunk; *used counts that in. */
enum slow_verdict slow_chunked(struct str data, char *content, size_t *n, size_t *used);

#endif
