/*
 * h1_request_fuzz.c - request heads (F4): equal to the slow parser; the same however the bytes are cut;
 * and what we would forward is, to the slow parser, the same request, without anything hostile in it.
 *
 * Input: three bytes of limits, one of how to cut, then the bytes of a connection.
 */
#include "tests/fuzz/h1_fuzz.h"
#include "worker/codec/h1_write.h"

/* As the upstream side does: Host and framing made anew, the rest as parsed. */
static size_t forward(const struct h1_head *h, struct str path, char *out, size_t cap)
{
    struct h1_writer w = h1_writer_on(out, cap);
    h1_write_request_line(&w, h->method, path, h->parts.query);
    for (uint16_t i = 0; i < h->n_fields; i++)
        if (h->fields[i].id == FIELD_HOST)
            h->fields[i].flags |= FIELD_F_HOP;
    h1_write_field(&w, STR("Host"), h->authority);
    h1_write_parsed(&w, h->fields, h->n_fields, FIELD_F_NEVER | FIELD_F_UNDERSCORE);
    if (h->body == H1_BODY_LENGTH)
        h1_write_length(&w, h->length);
    else if (h->body == H1_BODY_CHUNKED)
        h1_write_field(&w, STR("Transfer-Encoding"), STR("chunked"));
    h1_write_end(&w);
    must(h1_writer_ok(&w));
    return h1_writer_len(&w);
}

static void check_forwarded(const struct h1_head *h, char *out, size_t cap)
{
    static struct slow_message again;
    const struct h1_limits wide = {UINT32_MAX, UINT32_MAX, SLOW_MAX_FIELDS};
    struct str path = h->parts.path;
    char *room = malloc(HTTP_PATH_ROOM(path.n));
    must(room != NULL);
    bool fine = str_eqc(path, "*") || http_path_canonical(path, PATH_DEFAULT, room, &path) == URI_OK;
    if (fine) {
        size_t n = forward(h, path, out, cap);
        must(slow_request(str_of(out, n), &wide, &again) == SLOW_GOOD);
        must(again.used == n && again.body == h->body && !again.upgrade);
        must(again.body != H1_BODY_LENGTH || again.length == h->length);
        must(str_eq(again.method, h->method) && str_eq(again.authority, h->authority));
        must(str_starts(again.target, path));
        const unsigned hostile = FIELD_F_ALIAS | FIELD_F_UNDERSCORE | FIELD_F_HOP;
        for (size_t i = 0; i < again.n_fields; i++) /* Transfer-Encoding is ours */
            must(!(again.fields[i].flags & hostile) || (again.fields[i].flags & FIELD_F_FRAMING));
    }
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_parse r;
    if (size < 4 || size > 8192)
        return 0;
    struct h1_limits limits = fuzz_limits(data);
    struct str text = str_of((const char *)data + 4, size - 4);
    if (!fuzz_compare(FUZZ_REQUEST, text, &limits, data[3] + 1u, &r))
        return 0;
    size_t cap = 4 * size + 256;
    char *out = malloc(cap);
    must(out != NULL);
    check_forwarded(&r.head, out, cap);
    free(out);
    free(r.data);
    return 0;
}
