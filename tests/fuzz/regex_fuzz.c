/*
 * Pattern, NUL, subject, NUL, replacement. What is accepted compiles; with and without the just-in-time
 * compiler the answer is one; a match begins with the literal prefix, and is it when the prefix is whole.
 */
#include "shared/regex/regex.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_of((const char *)data, size), pattern = {0}, subject = {0}, to = {0};
    struct buf why = {0}, out = {0};
    char scratch[256];
    bool limit[2], whole;

    if (size == 0 || size > 2048)
        return 0;
    str_split(&rest, '\0', &pattern);
    str_split(&rest, '\0', &subject);
    str_split(&rest, '\0', &to);
    struct regex *jit = regex_compile(pattern, 0, &why, NULL);
    struct regex *plain = regex_compile(pattern, REGEX_NO_JIT, NULL, NULL);
    struct regex *search = regex_compile(pattern, REGEX_SEARCH | REGEX_NO_JIT, NULL, NULL);
    must(!jit == !plain && !jit == !search && !jit == (why.n > 0));
    if (jit) {
        bool a = regex_match(jit, subject, &limit[0]), b = regex_match(plain, subject, &limit[1]);
        must(a == b || limit[0] || limit[1]);
        struct str prefix = regex_literal_prefix(pattern, scratch, sizeof(scratch), &whole);
        must(!a || str_starts(subject, prefix));
        must(!a || !whole || str_eq(subject, prefix));
        must(a || limit[0] || !whole || !str_eq(subject, prefix));
        (void)regex_replace(search, subject, to, &out);
        (void)regex_replacement_valid(search, to, NULL);
    }
    regex_free(jit);
    regex_free(plain);
    regex_free(search);
    buf_fini(&why);
    buf_fini(&out);
    return 0;
}
