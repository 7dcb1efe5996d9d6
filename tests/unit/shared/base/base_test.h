/* What every unit test begins with: cmocka wants these headers, in this order. */
#ifndef GH_BASE_TEST_H
#define GH_BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shared/base/str.h"

#define assert_str(s, text)                                                                        \
    do {                                                                                           \
        struct str assert_str_s = (s);                                                             \
        assert_int_equal(assert_str_s.n, strlen(text));                                            \
        assert_memory_equal(assert_str_s.p ? assert_str_s.p : "", text, assert_str_s.n);           \
    } while (0)

#endif
