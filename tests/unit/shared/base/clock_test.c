#include "tests/unit/shared/base/base_test.h"
#include "shared/base/clock.h"
#include <time.h>

static void times_are_written_as_rfc_3339(void **state)
{
    (void)state;
    static const struct {
        uint64_t us;
        int digits;
        const char *text;
    } rows[] = {
        {0, 0, "1970-01-01T00:00:00Z"},
        {1, 6, "1970-01-01T00:00:00.000001Z"},
        {1763894100123999, 3, "2025-11-23T10:35:00.123Z"},
        {951782400000000, 0, "2000-02-29T00:00:00Z"},
        {2147483648000000, 0, "2038-01-19T03:14:08Z"},
        {4107542399999999, 6, "2100-02-28T23:59:59.999999Z"},
        {253402300799000000, 0, "9999-12-31T23:59:59Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[32];
        size_t n = clock_format(rows[i].us, rows[i].digits, text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(n, strlen(rows[i].text));
    }
    char text[32];
    assert_true(clock_format(UINT64_MAX, 6, text) < sizeof(text));
}

static void times_are_read_with_offsets_and_fractions(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t us;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2025-11-23T10:35:00.123Z", 1763894100123000},
        {"2025-11-23t10:35:00.1239999z", 1763894100123999},
        {"2025-11-23T12:35:00+02:00", 1763894100000000},
        {"2025-11-23T05:05:00-05:30", 1763894100000000},
        {"2000-02-29T00:00:00Z", 951782400000000},
        {"2016-12-31T23:59:60Z", 1483228800000000},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t us = 7;
        assert_true(clock_parse(str_c(rows[i].text), &us));
        assert_int_equal(us, rows[i].us);
    }
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "", "2025", "2025-11-23", "2025-11-23T10:35:00", "2025-11-23 10:35:00Z",
        "2025-13-01T00:00:00Z", "2025-00-01T00:00:00Z", "2025-02-29T00:00:00Z",
        "2025-04-31T00:00:00Z", "2025-01-00T00:00:00Z", "2025-01-01T24:00:00Z",
        "2025-01-01T00:60:00Z", "2025-01-01T00:00:61Z", "2025-01-01T00:00:00.Z",
        "2025-01-01T00:00:00+24:00", "2025-01-01T00:00:00+2:00", "2025-01-01T00:00:00Zx",
        "1969-12-31T23:59:59Z", "-025-01-01T00:00:00Z", "2100-02-29T00:00:00Z",
    };
    uint64_t us;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (clock_parse(str_c(rows[i]), &us))
            fail_msg("%s", rows[i]);
}

static void dates_agree_with_libc_for_four_centuries(void **state)
{
    (void)state;
    for (uint64_t day = 0; day < 150000; day += 13) {
        char text[32], libc[32];
        time_t t = (time_t)(day * 86400 + day % 86400);
        struct tm tm;
        uint64_t back;
        gmtime_r(&t, &tm);
        strftime(libc, sizeof(libc), "%Y-%m-%dT%H:%M:%SZ", &tm);
        clock_format((uint64_t)t * 1000000, 0, text);
        assert_string_equal(text, libc);
        assert_true(clock_parse(str_c(text), &back));
        assert_int_equal(back, (uint64_t)t * 1000000);
    }
}

static void clocks_go_forward(void **state)
{
    (void)state;
    uint64_t a = clock_ns(), b = clock_ns();
    assert_true(b >= a);
    assert_true(clock_ms() >= a / 1000000);
    assert_true(clock_wall_us() > 1700000000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_written_as_rfc_3339),
        cmocka_unit_test(times_are_read_with_offsets_and_fractions),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(dates_agree_with_libc_for_four_centuries),
        cmocka_unit_test(clocks_go_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
