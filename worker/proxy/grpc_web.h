/*
 * grpc_web.h - the bridge for browsers (PROTOCOL-WEB.md of grpc/grpc): what they can say of gRPC without HTTP/2's trailers,
 * translated as it passes, in constant memory.
 *
 *   application/grpc-web         request: as it is.    answer: messages as they are, then a frame 0x80 with the trailers
 *   application/grpc-web-text    request: base64, in one or several padded pieces.   answer: each piece padded for itself
 *
 * The upper part is pure. The lower part joins it to a request: which requests are translated is decided once
 * (grpc_web_begin), by the content type and by a backend that speaks HTTP/2.
 */
#ifndef GH_PROXY_GRPC_WEB_H
#define GH_PROXY_GRPC_WEB_H

#include "shared/http/field.h"
#include "worker/proxy/grpc.h"

struct request;
struct http_head;

/* Base64 that comes in pieces. Zeroes begin one. */
struct grpc_web_decoder {
    uint32_t bits;
    uint8_t have;   /* characters of the present group of four */
    uint8_t pads;   /* '=' among them */
};
#define GRPC_WEB_BAD SIZE_MAX
/* Decodes; `out` has room for n * 3 / 4 + 3. Returns the bytes written, or GRPC_WEB_BAD: no base64. */
size_t grpc_web_decode(struct grpc_web_decoder *d, const char *in, size_t n, char *out);
static inline bool grpc_web_decoded(const struct grpc_web_decoder *d) /* not in the middle of a group */
{
    return d->have == 0;
}
#define GRPC_WEB_ENCODED(n) (((n) + 2) / 3 * 4)
size_t grpc_web_encode(const char *in, size_t n, char *out); /* returns GRPC_WEB_ENCODED(n) */

/* Trailers as the last frame of the content: 0x80, four bytes of length, "name: value\r\n" ... Fields that are not
 * sent are left out. */
size_t grpc_web_frame_size(const struct http_field *f, size_t n);
size_t grpc_web_frame_write(const struct http_field *f, size_t n, char *out);

/* --- of a request --- */

struct grpc_web {
    struct grpc_web_decoder decoder;
    char *room;     /* for what is being translated; NULL = nothing ever is */
    struct str suffix;
    bool on;        /* this request is translated */
    bool text_in, text_out;
    bool answer;    /* and so is its answer, which is one of gRPC */
};

/* Before the head is edited for the backend: it becomes a request of gRPC. False: no memory. */
bool grpc_web_begin(struct request *r);
/* Content on its way up: to the pipe. REASON_OK, or why not. */
enum reason grpc_web_up(struct request *r, const char *data, size_t n, bool end);
/* The head of the answer, as it goes to the client. False: no memory. */
bool grpc_web_head(struct request *r, struct http_head *h, bool end);
/* Content on its way down; true: the client is full. Adds to bytes_out what translation does. */
bool grpc_web_down(struct request *r, const char *data, size_t n, bool end);
/* The trailers, and the end. False: no memory, nothing was sent. */
bool grpc_web_trailers(struct request *r, const struct http_field *f, size_t n);

#endif
