/*
 * grpc_fuzz.c - content types, deadlines and messages of gRPC, and base64 of gRPC-Web: cut anywhere it is the same, and
 * what was encoded, in pieces, is decoded to itself.
 */
#include "worker/proxy/grpc_web.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_words(struct str s)
{
    struct str suffix;
    uint64_t ms;
    uint16_t status;
    (void)grpc_kind_of(s, &suffix);
    must(suffix.n == 0 || (suffix.p >= s.p && suffix.p + suffix.n <= s.p + s.n));
    must(!grpc_timeout_read(s, &ms) || ms >= 1);
    (void)grpc_status_read(s, &status);
    char *out = malloc(3 * s.n + 1);
    size_t n = grpc_message_write(s, out);
    must(n <= 3 * s.n);
    for (size_t i = 0; i < n; i++)
        must(out[i] >= 0x20 && out[i] < 0x7f);
    free(out);
}

static void check_decode(struct str s, size_t cut)
{
    struct grpc_web_decoder one = {0}, two = {0};
    char *a = malloc(s.n * 3 / 4 + 3), *b = malloc(cut * 3 / 4 + 3), *c = malloc((s.n - cut) * 3 / 4 + 3);
    size_t n = grpc_web_decode(&one, s.p, s.n, a), first = grpc_web_decode(&two, s.p, cut, b);
    size_t rest = first == GRPC_WEB_BAD ? first : grpc_web_decode(&two, s.p + cut, s.n - cut, c);
    must((n == GRPC_WEB_BAD) == (rest == GRPC_WEB_BAD));
    if (n != GRPC_WEB_BAD) {
        must(n == first + rest && memcmp(a, b, first) == 0 && memcmp(a + first, c, rest) == 0);
        must(grpc_web_decoded(&one) == grpc_web_decoded(&two));
    }
    free(a);
    free(b);
    free(c);
}

static void check_encode(struct str s, size_t cut)
{
    struct grpc_web_decoder d = {0};
    size_t room = GRPC_WEB_ENCODED(cut) + GRPC_WEB_ENCODED(s.n - cut);
    char *text = malloc(room + 1), *back = malloc(room * 3 / 4 + 3);
    size_t n = grpc_web_encode(s.p, cut, text);
    n += grpc_web_encode(s.p + cut, s.n - cut, text + n);
    must(n == room);
    must(grpc_web_decode(&d, text, n, back) == s.n && memcmp(back, s.p, s.n) == 0 && grpc_web_decoded(&d));
    free(text);
    free(back);
}

static void check_frame(struct str s, size_t cut)
{
    const struct http_field f[] = {{.name = str_head(s, cut), .value = str_skip(s, cut)}};
    size_t size = grpc_web_frame_size(f, 1);
    char *out = malloc(size);
    must(grpc_web_frame_write(f, 1, out) == size);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct str s = str_of((const char *)data + 1, size - 1);
    size_t cut = data[0] % (s.n + 1);
    check_words(s);
    check_decode(s, cut);
    check_encode(s, cut);
    check_frame(s, cut);
    return 0;
}
