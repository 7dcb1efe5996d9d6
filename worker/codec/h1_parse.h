/*
 * h1_parse.h - HTTP/1.1 messages from bytes (RFC 9112, with RFC 9110 for what fields mean).
 *
 * Pure: no allocation, no clock, no I/O. What could be read in two ways is refused, never repaired:
 * bare LF, folding, white space before a colon, Content-Length with Transfer-Encoding, any coding but
 * `chunked` alone, control bytes. Two things are made clean instead: leading zeros of Content-Length
 * (the number counts, and is what the writer sends), and chunk extensions (dropped).
 *
 * Incremental: give the parser all bytes of the message so far, each time from the first one; it
 * remembers where it stopped and looks at no byte twice. The buffer may move between calls (slices
 * follow it), its bytes may not change. The result does not depend on how the bytes were cut.
 *
 *     h1_parser_request(&p, &head, fields, n, &limits);
 *     while ((r = h1_parse(&p, data, n)) == H1_MORE) read more;
 *     H1_DONE: p.used bytes were the head (with the empty line, and the one CRLF that may precede a
 *              request); `head` points into data. The body begins at data + p.used.
 *     H1_ERROR: p.error; answer h1_error_status(p.error) and close. A response: 502 and close.
 *
 * Chunked content: h1_chunked_* until H1_CHUNK_LAST, then h1_parser_trailers and h1_parse once more.
 */
#ifndef GH_H1_PARSE_H
#define GH_H1_PARSE_H

#include "shared/http/field.h"
#include "shared/http/host.h"
#include "shared/http/method.h"
#include "shared/http/uri.h"

enum h1_error {
    H1_E_NONE,
#define X(id, status, text) H1_E_##id,
#include "worker/codec/h1_error.def"
#undef X
    H1_E_COUNT
};
const char *h1_error_name(enum h1_error e);      /* "BARE_LF" */
const char *h1_error_text(enum h1_error e);      /* "an LF without CR" */
unsigned h1_error_status(enum h1_error e);       /* of the answer to a bad request */

enum h1_result {
    H1_MORE,  /* not all of it is there yet */
    H1_DONE,
    H1_ERROR, /* p->error says why; the parser stays in this state */
};

struct h1_limits {
    uint32_t max_head;   /* bytes of start line, fields and the empty line; with the leading CRLF */
    uint32_t max_line;   /* bytes of one line with its CRLF; a longer start line is 414, a field 431 */
    uint16_t max_fields; /* lines; never more than the array given to the parser */
};
#define H1_LIMITS_DEFAULT ((struct h1_limits){64 * 1024, 16 * 1024, 100})
#define H1_MAX_METHOD     32

enum h1_body {
    H1_BODY_NONE,   /* the message ends with the head */
    H1_BODY_LENGTH, /* `length` bytes follow (may be 0) */
    H1_BODY_CHUNKED,
    H1_BODY_CLOSE,  /* a response that ends when the connection does */
};

/* The result; owned by the caller, filled by the parser, complete after H1_DONE only. */
struct h1_head {
    /* Request. */
    struct str method;         /* as written */
    struct str target;         /* as written */
    struct http_target parts;  /* of the target; path is still raw */
    struct http_host host;     /* of the absolute form, else of Host; kind HOST_EMPTY when none */
    struct str authority;      /* the text `host` was read from: what to send as Host */
    enum http_method method_id;
    /* Response. */
    uint16_t status;
    struct str reason;
    /* Both. */
    uint8_t minor;             /* HTTP/1.minor: 0 or 1 */
    uint8_t body;              /* enum h1_body */
    bool keep_alive;           /* the sender lets the connection live after this message */
    bool upgrade;              /* Connection: upgrade with an Upgrade that may be forwarded (never h2c) */
    bool expect_continue;      /* Expect: 100-continue, HTTP/1.1, and content is to come */
    bool te_trailers;          /* TE: trailers, and Connection names TE */
    bool has_length;           /* Content-Length was there, if only in an answer to HEAD or a 304 */
    uint64_t length;           /* what it said; of the content when body is H1_BODY_LENGTH */
    struct str upgrade_to;     /* the value of Upgrade, when `upgrade` */
    struct http_field *fields; /* the caller's array */
    uint16_t n_fields;
    uint16_t any_flags;        /* FIELD_F_ that names not in the table have got: FIELD_F_UNDERSCORE */
    struct field_set ids;      /* of the lines */
};

/* State between calls; private but for the first three members. */
struct h1_parser {
    size_t used;              /* after H1_DONE: bytes of data that belong to the head */
    enum h1_error error;      /* after H1_ERROR */
    enum uri_fault uri_fault; /* with H1_E_TARGET: what is wrong with it */
    struct h1_head *head;
    const char *base;         /* `data` of the last call */
    uint32_t at;              /* next byte to look at */
    uint32_t line;            /* where the line begins */
    uint32_t mark;            /* where the part of the line begins */
    uint32_t stop;            /* first byte behind what this line may take */
    uint32_t max_head, max_line;
    uint16_t max_fields;
    uint16_t host_at, upgrade_at; /* indices of these fields, when seen */
    uint16_t seen;            /* what the fields said so far (h1_frame.c) */
    uint8_t kind, phase;
    uint8_t request_method;   /* responses: enum http_method of the request */
};

/* `fields` has room for `n` lines and lives as long as the head. */
void h1_parser_request(struct h1_parser *p, struct h1_head *head, struct http_field *fields,
                       uint16_t n, const struct h1_limits *limits);
/* `method` is that of the request this answers: HEAD has no content whatever the fields say. An
 * interim response (1xx) is one head with H1_BODY_NONE; begin again with the bytes behind it. */
void h1_parser_response(struct h1_parser *p, struct h1_head *head, struct http_field *fields,
                        uint16_t n, const struct h1_limits *limits, enum http_method method);
/* The trailer section behind the last chunk; fills fields and n_fields of `head` only. */
void h1_parser_trailers(struct h1_parser *p, struct h1_head *head, struct http_field *fields,
                        uint16_t n, const struct h1_limits *limits);
/* `data` begins where it began in the first call. */
enum h1_result h1_parse(struct h1_parser *p, const char *data, size_t n);

/* The first field with that id, or NULL. */
const struct http_field *h1_head_find(const struct h1_head *head, enum http_field_id id);

/* --- chunked content (RFC 9112 section 7.1) ------------------------------------------------------ */

enum h1_chunk {
    H1_CHUNK_MORE,  /* all bytes were used; more are needed */
    H1_CHUNK_DATA,  /* *payload is the next piece of content, a slice of data */
    H1_CHUNK_LAST,  /* the line of the last chunk was used; the trailer section follows */
    H1_CHUNK_ERROR, /* c->error */
};

/* 24 bytes; zero-initialise to begin. */
struct h1_chunked {
    uint64_t left;       /* of the chunk: size while its line is read, then bytes to come */
    enum h1_error error;
    uint32_t extensions; /* bytes of extensions in the whole message */
    uint16_t line;       /* bytes of this line */
    uint8_t phase;
};

/* Uses some of [data, data + n) and says how many in *used; call again with the rest. Never asks for a
 * byte twice, holds none back. */
enum h1_chunk h1_chunked_next(struct h1_chunked *c, const char *data, size_t n, size_t *used,
                              struct str *payload);

#endif
