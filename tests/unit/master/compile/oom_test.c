/*
 * Running out of memory at every single allocation: compiling and opening say so and lose nothing. The linker
 * hands us malloc, calloc and realloc (--wrap); AddressSanitizer sees what is lost.
 */
#include "shared/base/err.h"
#include "tests/unit/master/compile/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

/* Allocations that still succeed; negative: all. The one variable at file scope: the linker's functions have
 * nowhere else to look. */
static long left = -1;

static bool fails(void)
{
    return left >= 0 && left-- == 0;
}
void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

static void fill(struct sample *s)
{
    char text[32];
    sample_init(s);
    struct model_host *h = sample_host(s, "a.example.com");
    h->fallback = sample_host(s, "*");
    for (int i = 0; i < 400; i++) { /* enough for tables to grow, and a list */
        snprintf(text, sizeof(text), "/path/%d", i);
        sample_entry(s, h, i % 3 ? PATH_EXACT : PATH_PREFIX_STRING, text)->path_ignore_case = i % 7 == 0;
        snprintf(text, sizeof(text), "v%d", i);
        sample_header(s, sample_entry(s, h, PATH_ANY, ""), "x", STRMATCH_EXACT, text);
    }
    sample_entry(s, h, PATH_REGEX, "/r/[0-9]+");
    sample_streams(s);
}

static void every_failed_allocation_of_the_compiler_is_told(void **state)
{
    struct sample s;
    int rc = GH_E_NOMEM;
    long n = 0;
    (void)state;
    fill(&s);
    for (; rc != 0; n++) {
        struct compile_input in = {.model = &s.m, .generation = 1, .slot = sample_slot, .slot_ctx = &s};
        struct buf image = {0}, why = {0};
        buf_addc(&why, "-");
        buf_clear(&why);
        left = n;
        rc = compile_bytes(&in, &image, &why);
        left = -1;
        if (rc != 0) {
            assert_int_equal(rc, GH_E_NOMEM);
            assert_int_equal(image.n, 0);
        }
        buf_fini(&image);
        buf_fini(&why);
    }
    assert_true(n > 20);
    sample_fini(&s);
}

static void opening_without_memory_is_told(void **state)
{
    struct sample s;
    struct snap *snap;
    struct buf why = {0};
    (void)state;
    fill(&s);
    snap_drop(sample_open(&s));
    buf_addc(&why, "room for a sentence that is longer than a few words, so that it need not grow");
    buf_clear(&why);
    left = 0;
    int rc = snap_open_bytes(&snap, buf_str(&s.image), &why);
    left = -1;
    assert_int_equal(rc, GH_E_NOMEM);
    assert_null(snap);
    assert_int_equal(snap_open_bytes(&snap, buf_str(&s.image), NULL), 0);
    struct snap_regexes *r = NULL;
    for (long n = 0; !r; n++) {
        left = n;
        r = snap_regexes_new(snap);
        left = -1;
    }
    left = 0; /* a regex that can't be compiled now does not match, and is tried again */
    assert_false(snap_regexes_match(r, 0, STR("/r/1")));
    left = -1;
    assert_true(snap_regexes_match(r, 0, STR("/r/1")));
    snap_regexes_free(r);
    snap_drop(snap);
    buf_fini(&why);
    sample_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failed_allocation_of_the_compiler_is_told),
        cmocka_unit_test(opening_without_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
