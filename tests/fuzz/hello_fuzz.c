/*
 * hello_fuzz.c - ClientHellos (F11): the verdict does not depend on how the bytes come, nor on how the message is cut
 * into records; what is accepted is canonical and lies inside the input.
 *
 * Input: one byte of how to cut, then the bytes of a connection.
 */
#include "shared/http/host.h"
#include "shared/tls/hello.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(struct str s, struct str of)
{
    return s.n == 0 || (s.p >= of.p && s.p + s.n <= of.p + of.n);
}

static void same(const struct hello *a, const struct hello *b)
{
    must(str_eq(a->message, b->message) && str_eq(a->server_name, b->server_name) && str_eq(a->alpn, b->alpn));
    must(str_eq(a->ciphers, b->ciphers) && str_eq(a->groups, b->groups) && str_eq(a->signatures, b->signatures));
    must(a->has_1_2 == b->has_1_2 && a->has_1_3 == b->has_1_3 && a->has_older == b->has_older);
    must(a->tickets == b->tickets && a->resumes == b->resumes && a->early_data == b->early_data);
    must(a->fallback == b->fallback);
}

/* The same bytes, some at a time. */
static void check_pieces(struct str text, size_t step, enum hello_verdict whole, const struct hello *h)
{
    static char room[HELLO_BYTES_MAX];
    struct hello part;
    for (size_t n = 0;; n = GH_MIN(n + step, text.n)) {
        char *copy = malloc(n ? n : 1); /* so that a byte too much is seen */
        must(copy != NULL);
        memcpy(copy, text.p, n);
        enum hello_verdict v = hello_parse(str_of(copy, n), room, &part);
        if (v == HELLO_OK)
            same(&part, h);
        free(copy);
        if (v == HELLO_MORE) {
            must(n < HELLO_INPUT_MAX);
            if (n < text.n)
                continue;
            must(whole == HELLO_MORE);
            return;
        }
        must(v == whole);
        must(v != HELLO_BAD || (part.alert == h->alert && part.fault == h->fault));
        must(v != HELLO_OK || (part.used == h->used && n >= h->used));
        return;
    }
}

static void check_accepted(struct str text, const struct hello *h)
{
    struct http_host host;
    struct str rest = h->alpn, name;
    must(h->used <= text.n && h->message.n >= 4 && h->message.n <= HELLO_BYTES_MAX);
    must(h->n_records > 1 || inside(h->message, text));
    must(inside(h->alpn, h->message) && inside(h->ciphers, h->message) && inside(h->signatures, h->message));
    must(h->server_name.n == 0 ||
         (http_host_parse(h->server_name, &host) && host.kind == HOST_NAME && host.lower && host.port == 0 &&
          str_eq(host.name, h->server_name)));
    while (hello_alpn_next(&rest, &name))
        must(name.n > 0 && hello_alpn_has(h, name));
    must(rest.n == 0);
    for (int type = KEY_NONE; type <= KEY_ED25519; type++)
        hello_takes_key(h, (enum key_type)type, 256, true);
}

/* The same message in other records. */
static void check_recut(const struct hello *h, size_t piece)
{
    static char room[HELLO_BYTES_MAX], out[HELLO_INPUT_MAX];
    size_t n = 0;
    struct hello again;
    piece = GH_MAX(piece, (h->message.n + HELLO_RECORDS_MAX - 1) / HELLO_RECORDS_MAX);
    for (size_t at = 0; at < h->message.n; at += piece) {
        size_t len = GH_MIN(piece, h->message.n - at);
        memcpy(out + n, (char[]){22, 3, 1, (char)(len >> 8), (char)len}, 5);
        memcpy(out + n + 5, h->message.p + at, len);
        n += 5 + len;
    }
    must(hello_parse(str_of(out, n), room, &again) == HELLO_OK && again.used == n);
    same(&again, h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char room[HELLO_BYTES_MAX];
    struct hello h;
    if (size < 1)
        return 0;
    struct str text = str_of((const char *)data + 1, size - 1);
    enum hello_verdict v = hello_parse(text, room, &h);
    if (v == HELLO_OK)
        check_accepted(text, &h);
    check_pieces(text, data[0] + 1u + text.n / 512, v, &h);
    if (v == HELLO_OK)
        check_recut(&h, data[0] + 1u);
    return 0;
}
