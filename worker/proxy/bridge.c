/*
 * bridge.c - requests of gRPC-Web and backends of gRPC: what is translated where. How: grpc_web.h.
 */
#include "worker/proxy/http.h"

#define PIECE 6144u /* bytes that are translated at a time; a multiple of 3 and of 4 */

static enum grpc_kind kind_of_head(const struct http_head *h, enum http_field_id id, struct str *suffix)
{
    const struct http_field *f = head_find(h, id);
    *suffix = STR_NONE;
    return f ? grpc_kind_of(f->value, suffix) : GRPC_NO;
}

static struct str type_with(struct request *r, struct str type, struct str suffix)
{
    return arena_strf(&r->x.arena, STR_FMT STR_FMT, STR_ARG(type), STR_ARG(suffix));
}

bool bridge_begin(struct request *r)
{
    struct http_head *h = &r->x.req;
    struct grpc_web *w = &r->web;
    struct str suffix;
    enum grpc_kind accepted = kind_of_head(h, FIELD_ACCEPT, &suffix), kind = kind_of_head(h, FIELD_CONTENT_TYPE, &suffix);
    w->on = true;
    w->suffix = suffix;
    w->text_in = kind == GRPC_WEB_TEXT;
    w->text_out = accepted == GRPC_WEB_TEXT || (w->text_in && accepted != GRPC_WEB);
    if (w->text_in || w->text_out) {
        w->room = arena_room(&r->x.arena, GRPC_WEB_ENCODED(PIECE));
        if (!w->room)
            return false;
    }
    if (w->text_in && h->body == BODY_LENGTH)
        h->body = BODY_STREAM;
    struct str type = type_with(r, STR("application/grpc"), suffix);
    h->te_trailers = true;
    return type.p && head_set_id(h, &r->x.arena, FIELD_CONTENT_TYPE, type);
}

enum reason bridge_up(struct request *r, const char *data, size_t n, bool end)
{
    struct grpc_web *w = &r->web;
    do {
        size_t piece = GH_MIN(n, PIECE);
        bool last = end && piece == n;
        size_t got = grpc_web_decode(&w->decoder, data, piece, w->room);
        if (got == GRPC_WEB_BAD || (last && !grpc_web_decoded(&w->decoder))) {
            r->x.detail = "the content of the gRPC-Web request is no base64";
            return REASON_BAD_REQUEST;
        }
        if (!pipe_take(&r->body, w->room, got, last))
            return REASON_MEMORY;
        net_flush(r->p->net); /* slices of the room may wait to be written */
        data += piece;
        n -= piece;
    } while (n);
    return REASON_OK;
}

bool bridge_head(struct request *r, struct http_head *h, bool end)
{
    struct grpc_web *w = &r->web;
    struct str suffix;
    if (kind_of_head(h, FIELD_CONTENT_TYPE, &suffix) != GRPC_CALL)
        return true; /* no answer of gRPC: it passes as it is */
    struct str name = w->text_out ? STR("application/grpc-web-text") : STR("application/grpc-web");
    struct str type = type_with(r, name, suffix.n ? suffix : w->suffix); /* many servers leave it out */
    if (!end) {
        w->answer = true;
        h->body = BODY_STREAM;
    }
    return type.p && head_set_id(h, &r->x.arena, FIELD_CONTENT_TYPE, type);
}

bool bridge_down(struct request *r, const char *data, size_t n, bool end)
{
    struct stream *client = r->x.client;
    bool full = false;
    if (!r->web.text_out || !n)
        return client->ops->send_body(client, data, n, end);
    while (n) {
        size_t piece = GH_MIN(n, PIECE);
        size_t len = grpc_web_encode(data, piece, r->web.room);
        data += piece;
        n -= piece;
        r->x.bytes_out += len - piece;
        full = client->ops->send_body(client, r->web.room, len, end && !n);
        net_flush(r->p->net);
    }
    return full;
}

bool bridge_trailers(struct request *r, const struct http_field *f, size_t n)
{
    struct stream *client = r->x.client;
    size_t size = grpc_web_frame_size(f, n);
    char *frame = arena_room(&r->x.arena, size), *out = frame;
    if (!frame)
        return false;
    grpc_web_frame_write(f, n, frame);
    if (r->web.text_out) {
        out = arena_room(&r->x.arena, GRPC_WEB_ENCODED(size));
        if (!out)
            return false;
        size = grpc_web_encode(frame, size, out);
    }
    r->x.bytes_out += size;
    client->ops->send_body(client, out, size, true);
    net_flush(r->p->net); /* the arena may end with the request */
    return true;
}
