/*
 * grpc_web.h - the bridge for browsers (PROTOCOL-WEB.md of grpc/grpc): what they can say of gRPC without HTTP/2's trailers,
 * translated as it passes, in constant memory.
 *
 *   application/grpc-web         request: as it is.    answer: messages as they are, then a frame 0x80 with the trailers
 *   application/grpc-web-text    request: base64, in one or several padded pieces.   answer: each piece padded for itself
 *
 * Pure; bridge.c joins it to requests.
 */
#ifndef GH_PROXY_GRPC_WEB_H
#define GH_PROXY_GRPC_WEB_H

#include "shared/http/field.h"
#include "worker/proxy/grpc.h"

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

/* What a request keeps of it (bridge.c). */
struct grpc_web {
    struct grpc_web_decoder decoder;
    char *room;     /* for what is being translated; NULL = nothing ever is */
    struct str suffix;
    bool on;        /* this request is translated */
    bool text_in, text_out;
    bool answer;    /* and so is its answer, which is one of gRPC */
};

#endif
