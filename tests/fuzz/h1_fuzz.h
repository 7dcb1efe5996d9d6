/*
 * h1_fuzz.h - what the targets for heads share: parsing in pieces, and comparing with the slow parser.
 */
#ifndef GH_FUZZ_H1_FUZZ_H
#define GH_FUZZ_H1_FUZZ_H

#include "tests/fuzz/h1_slow.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum fuzz_kind { FUZZ_REQUEST, FUZZ_RESPONSE, FUZZ_RESPONSE_TO_HEAD, FUZZ_TRAILERS };

struct fuzz_parse {
    enum h1_result result;
    struct h1_parser p;
    struct h1_head head;
    struct http_field fields[SLOW_MAX_FIELDS];
    char *data; /* the last buffer; the slices point into it */
};

static inline void fuzz_begin(struct fuzz_parse *r, enum fuzz_kind kind, const struct h1_limits *l)
{
    if (kind == FUZZ_REQUEST)
        h1_parser_request(&r->p, &r->head, r->fields, SLOW_MAX_FIELDS, l);
    else if (kind == FUZZ_TRAILERS)
        h1_parser_trailers(&r->p, &r->head, r->fields, SLOW_MAX_FIELDS, l);
    else
        h1_parser_response(&r->p, &r->head, r->fields, SLOW_MAX_FIELDS, l,
                           kind == FUZZ_RESPONSE ? METHOD_GET : METHOD_HEAD);
}

/* In pieces whose lengths come from `seed` (0: in one), each time in another buffer that ends with the
 * data, so that a look at one byte too many is found. */
static inline void fuzz_parse(struct fuzz_parse *r, enum fuzz_kind kind, struct str text,
                              const struct h1_limits *limits, unsigned seed)
{
    size_t n = 0;
    memset(r, 0, sizeof(*r));
    fuzz_begin(r, kind, limits);
    r->result = H1_MORE;
    do {
        size_t step = seed ? 1 + (seed = seed * 1103515245u + 12345u) / 65536u % 24 : text.n;
        n = GH_MIN(n + step, text.n);
        char *next = malloc(n ? n : 1);
        must(next != NULL);
        if (n)
            memcpy(next, text.p, n);
        r->result = h1_parse(&r->p, next, n);
        free(r->data);
        r->data = next;
    } while (n < text.n && r->result == H1_MORE);
}

static inline enum slow_verdict fuzz_slow(enum fuzz_kind kind, struct str text,
                                          const struct h1_limits *limits, struct slow_message *m)
{
    return kind == FUZZ_REQUEST    ? slow_request(text, limits, m)
           : kind == FUZZ_TRAILERS ? slow_trailers(text, limits, m)
                                   : slow_response(text, limits, kind == FUZZ_RESPONSE_TO_HEAD, m);
}

static inline void fuzz_same_cut(const struct fuzz_parse *a, const struct fuzz_parse *b)
{
    must(a->result == b->result && a->p.error == b->p.error && a->p.uri_fault == b->p.uri_fault);
    if (a->result != H1_DONE)
        return;
    const struct h1_head *x = &a->head, *y = &b->head;
    must(a->p.used == b->p.used && x->n_fields == y->n_fields && x->body == y->body);
    must(x->length == y->length && x->keep_alive == y->keep_alive && x->upgrade == y->upgrade);
    must(x->status == y->status && x->minor == y->minor && x->te_trailers == y->te_trailers);
    must(str_eq(x->method, y->method) && str_eq(x->target, y->target) && str_eq(x->reason, y->reason));
    must(str_eq(x->authority, y->authority) && str_eq(x->upgrade_to, y->upgrade_to));
    must(str_eq(x->parts.path, y->parts.path) && str_eq(x->parts.query, y->parts.query));
    for (size_t i = 0; i < x->n_fields; i++)
        must(str_eq(x->fields[i].name, y->fields[i].name) &&
             str_eq(x->fields[i].value, y->fields[i].value) && x->fields[i].id == y->fields[i].id &&
             x->fields[i].flags == y->fields[i].flags);
}

static inline void fuzz_same_message(const struct fuzz_parse *r, const struct slow_message *m)
{
    const struct h1_head *h = &r->head;
    must(r->p.used == m->used && h->n_fields == m->n_fields);
    for (size_t i = 0; i < m->n_fields; i++) {
        must(str_eq(h->fields[i].name, m->fields[i].name));
        must(str_eq(h->fields[i].value, m->fields[i].value));
        must(h->fields[i].id == m->fields[i].id);
        must((h->fields[i].flags & ~FIELD_F_LINE) == m->fields[i].flags);
    }
    if (h->status == 0 && h->method.n == 0) /* trailers */
        return;
    must(h->body == m->body && h->keep_alive == m->keep_alive && h->upgrade == m->upgrade);
    must(h->body != H1_BODY_LENGTH || h->length == m->length);
    must(h->minor == m->minor && h->status == m->status && h->te_trailers == m->te_trailers);
    must(h->expect_continue == m->expect_continue && str_eq(h->authority, m->authority));
    must(str_eq(h->method, m->method) && str_eq(h->target, m->target) && str_eq(h->reason, m->reason));
}

/* An error before the end of the head: no continuation may be a good message. */
static inline void fuzz_no_way_out(enum fuzz_kind kind, struct str text, const struct h1_limits *limits,
                                   struct slow_message *m)
{
    static const char *const ends[] = {"\r\n\r\n", "\n\r\n", "\n", "x\r\n\r\n", "x: y\r\n\r\n",
                                       ": y\r\n\r\n", " / HTTP/1.1\r\nHost: a\r\n\r\n",
                                       " HTTP/1.1\r\nHost: a\r\n\r\n", "1\r\nHost: a\r\n\r\n",
                                       "\nHost: a\r\n\r\n", "\r\nHost: a\r\n\r\n", "00 OK\r\n\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        size_t n = strlen(ends[i]);
        char *longer = malloc(text.n + n);
        must(longer != NULL);
        memcpy(longer, text.p, text.n);
        memcpy(longer + text.n, ends[i], n);
        must(fuzz_slow(kind, str_of(longer, text.n + n), limits, m) != SLOW_GOOD);
        free(longer);
    }
}

/* The whole comparison; true when the message is good, and then r is the parse in one piece (its data
 * are the caller's to free). */
static inline bool fuzz_compare(enum fuzz_kind kind, struct str text, const struct h1_limits *limits,
                                unsigned seed, struct fuzz_parse *r)
{
    static struct fuzz_parse cut;
    static struct slow_message m;
    fuzz_parse(r, kind, text, limits, 0);
    fuzz_parse(&cut, kind, text, limits, seed);
    fuzz_same_cut(r, &cut);
    free(cut.data);
    switch (fuzz_slow(kind, text, limits, &m)) {
    case SLOW_GOOD:
        must(r->result == H1_DONE);
        fuzz_same_message(r, &m);
        return true;
    case SLOW_BAD:
        must(r->result == H1_ERROR);
        break;
    case SLOW_CUT:
        must(r->result != H1_DONE);
        if (r->result == H1_ERROR && text.n)
            fuzz_no_way_out(kind, text, limits, &m);
        break;
    }
    free(r->data);
    return false;
}

/* The first three bytes of an input. */
static inline struct h1_limits fuzz_limits(const uint8_t *data)
{
    if (data[0] & 1)
        return H1_LIMITS_DEFAULT;
    return (struct h1_limits){.max_head = 32u + data[1] * 4u, .max_line = 24u + data[2], .max_fields = data[0] / 16};
}

#endif
