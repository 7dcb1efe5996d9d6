#include "shared/ipc/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void a_value_comes_back_as_it_was_put(void **state)
{
    (void)state;
    struct buf text = {0}, value = {0};
    ipc_text_put(&text, "version", STR("0.1"));
    ipc_text_put(&text, "access_log_format", STR("%A% \\n\n=x"));
    ipc_text_put(&text, "empty", STR(""));

    assert_true(ipc_text_get(buf_str(&text), "access_log_format", &value));
    assert_true(str_eqc(buf_str(&value), "%A% \\n\n=x"));
    buf_clear(&value);
    assert_true(ipc_text_get(buf_str(&text), "empty", &value));
    assert_int_equal(value.n, 0);
    assert_false(ipc_text_get(buf_str(&text), "ver", &value));
    assert_false(ipc_text_get(buf_str(&text), "versions", &value));
    assert_false(ipc_text_get(STR("novalue\n=x\n\\"), "key", &value));
    assert_true(ipc_text_get(STR("key=a\\"), "key", &value));
    assert_true(str_eqc(buf_str(&value), "a\\"));
    buf_fini(&text);
    buf_fini(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_value_comes_back_as_it_was_put)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
