/*
 * h1_response_fuzz.c - response heads, to GET and to HEAD, and trailer sections (F5): equal to the slow
 * parser, the same however the bytes are cut.
 *
 * Input: three bytes of limits, one of how to cut, one of what it is, then the bytes.
 */
#include "tests/fuzz/h1_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum fuzz_kind kinds[] = {FUZZ_RESPONSE, FUZZ_RESPONSE_TO_HEAD, FUZZ_TRAILERS};
    static struct fuzz_parse r;
    if (size < 5 || size > 8192)
        return 0;
    struct h1_limits limits = fuzz_limits(data);
    enum fuzz_kind kind = kinds[data[4] % ARRAY_LEN(kinds)];
    struct str text = str_of((const char *)data + 5, size - 5);
    if (!fuzz_compare(kind, text, &limits, data[3] + 1u, &r))
        return 0;
    if (kind == FUZZ_RESPONSE_TO_HEAD || r.head.status == 204 || r.head.status == 304)
        must(r.head.body == H1_BODY_NONE);
    must(r.head.body != H1_BODY_CLOSE || !r.head.keep_alive);
    free(r.data);
    return 0;
}
