/* metrics_test.c - what the board and a generation become in the exposition formats. */
#include "shared/base/clock.h"
#include "tests/unit/master/compile/sample.h"
#include "worker/metrics.h"
#include "worker/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
    struct sample s;
    struct snap *snap;
    struct board *board;
    int fd;
    struct metrics_input in;
    struct buf out;
};

static void begin(struct fixture *f, int rules)
{
    *f = (struct fixture){0};
    sample_init(&f->s);
    struct model_host *h = sample_host(&f->s, "*");
    for (int i = 0; i < rules; i++) {
        char path[32];
        snprintf(path, sizeof(path), "/%d", i);
        sample_entry(&f->s, h, PATH_EXACT, path);
    }
    f->snap = sample_open(&f->s);
    assert_int_equal(board_make(&f->board, &f->fd), 0);
    f->in = (struct metrics_input){.board = f->board, .snap = f->snap, .version = STR("1\"\\\n"), .max_series = 1000};
}

static void end(struct fixture *f)
{
    buf_fini(&f->out);
    snap_drop(f->snap);
    sample_fini(&f->s);
    board_close(f->board);
    close(f->fd);
}

static uint32_t slot_of(struct fixture *f, uint32_t what, uint32_t index)
{
    for (uint32_t i = 0; i < f->snap->n[SNAP_SERIES]; i++)
        if (f->snap->SERIES[i].what == what && f->snap->SERIES[i].index == index)
            return f->snap->SERIES[i].slot;
    fail();
    return 0;
}

static void worker(struct fixture *f, uint32_t row)
{
    struct board_proc *p = board_proc(f->board, row);
    atomic_store(&p->role, ROLE_WORKER);
    atomic_store(&p->started_ns, 1);
    atomic_store(&p->state, PROC_ACTIVE);
}

static void write_out(struct fixture *f)
{
    buf_clear(&f->out);
    metrics_write(&f->in, &f->out);
}

static void assert_line(struct fixture *f, const char *line)
{
    struct buf whole = {0};
    buf_addf(&whole, "\n%s\n", line);
    if (!strstr(buf_cstr(&f->out), buf_cstr(&whole)))
        fail_msg("\"%s\" is not in:\n%s", line, buf_cstr(&f->out));
    buf_fini(&whole);
}

static void series_are_sums_over_workers_alive_and_dead(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 2);
    uint32_t slot = slot_of(&f, SERIES_RULE, 1);
    for (uint32_t row = 0; row < 3; row++) {
        worker(&f, row);
        struct board_series *s = board_series(f.board, row, slot);
        board_add(&s->requests[2], 10 + row);
        board_add(&s->duration[board_hist_bucket(700)], 3);
        board_add(&s->duration[board_hist_bucket(99999999)], 1);
        board_add(&s->duration_sum_us, 1500000);
        board_add(&s->reasons[REASON_NO_ENDPOINTS], 1);
    }
    board_row_reset(f.board, 1);
    board_add(&board_series(f.board, 100, slot)->requests[2], 1000); /* a row nobody ever had */
    write_out(&f);
    const char *labels = "route=\"default/shop/1\",key=\"HTTPRoute/default/shop/1\"";
    char line[512];
    static const char *const wanted[] = {
        "gatehouse_route_requests_total{%s,code_class=\"2xx\"} 33",
        "gatehouse_route_request_duration_seconds_bucket{%s,le=\"0.0005\"} 0",
        "gatehouse_route_request_duration_seconds_bucket{%s,le=\"0.001\"} 9",
        "gatehouse_route_request_duration_seconds_bucket{%s,le=\"30\"} 9",
        "gatehouse_route_request_duration_seconds_bucket{%s,le=\"+Inf\"} 12",
        "gatehouse_route_request_duration_seconds_count{%s} 12",
        "gatehouse_route_request_duration_seconds_sum{%s} 4.500000",
        "gatehouse_route_reasons_total{%s,reason=\"no_endpoints\"} 3",
    };
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        snprintf(line, sizeof(line), wanted[i], labels);
        assert_line(&f, line);
    }
    assert_line(&f, "gatehouse_build_info{version=\"1\\\"\\\\\\n\"} 1");
    assert_line(&f, "gatehouse_endpoint_requests_total{cluster=\"default/web:80\",key=\"Service/default/web:80\","
                    "endpoint=\"10.0.0.1:8080\"} 0");
    end(&f);
}

static void beyond_the_cap_there_is_other(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 10);
    f.in.max_series = 4;
    worker(&f, 0);
    for (uint32_t i = 0; i < 10; i++)
        board_add(&board_series(f.board, 0, slot_of(&f, SERIES_RULE, i))->requests[5], 1u << i);
    write_out(&f);
    assert_line(&f, "gatehouse_route_requests_total{route=\"default/shop/3\",key=\"HTTPRoute/default/shop/3\",code_class=\"5xx\"} 8");
    assert_line(&f, "gatehouse_route_requests_total{route=\"_other\",key=\"_other\",code_class=\"5xx\"} 1008");
    assert_line(&f, "gatehouse_metrics_dropped_series{family=\"route\"} 6");
    assert_line(&f, "gatehouse_metrics_dropped_series{family=\"cluster\"} 0");
    assert_null(strstr(buf_cstr(&f.out), "default/shop/4"));
    end(&f);
}

static void reading_makes_no_memory(void **state)
{
    (void)state;
    struct fixture f;
    struct stat before, after;
    begin(&f, 200);
    for (uint32_t row = 0; row < BOARD_MAX_PROC; row++)
        worker(&f, row);
    board_add(&board_series(f.board, 3, slot_of(&f, SERIES_RULE, 199))->requests[2], 5);
    fstat(f.fd, &before);
    write_out(&f);
    fstat(f.fd, &after);
    assert_in_range(after.st_blocks - before.st_blocks, 0, 8 * 8); /* a few pages of rows, no slabs */
    assert_line(&f, "gatehouse_worker_requests_total{row=\"3\",code_class=\"2xx\"} 0"); /* rules are no listeners */
    end(&f);
}

static void without_a_generation_there_are_still_metrics(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 1);
    f.in.snap = NULL;
    f.in.openmetrics = true;
    write_out(&f);
    assert_line(&f, "# TYPE gatehouse_crashes counter");
    assert_true(str_ends(buf_str(&f.out), STR("\n# EOF\n")));
    end(&f);
}

static void files_with_errors_are_named(void **state)
{
    (void)state;
    struct fixture f;
    const struct status_file files[] = {{STR("a\\\"b\\\\c\\u0001.yaml"), 3}, {STR("dir/ok.yaml"), 1}};
    begin(&f, 1);
    f.in.files = files;
    f.in.n_files = 2;
    write_out(&f);
    assert_line(&f, "gatehouse_config_file_errors{file=\"a\\\"b\\\\c\\\\u0001.yaml\"} 3");
    assert_line(&f, "gatehouse_config_file_errors{file=\"dir/ok.yaml\"} 1");
    end(&f);
}

static void openmetrics_is_for_those_who_ask(void **state)
{
    (void)state;
    assert_false(metrics_wants_openmetrics(STR("")));
    assert_false(metrics_wants_openmetrics(STR("*/*")));
    assert_false(metrics_wants_openmetrics(STR("text/plain;version=0.0.4")));
    assert_false(metrics_wants_openmetrics(STR("text/plain, application/openmetrics-text")));
    assert_true(metrics_wants_openmetrics(STR("application/openmetrics-text;version=1.0.0;q=0.75,text/plain;q=0.5")));
    assert_true(metrics_wants_openmetrics(STR("application/vnd.google.protobuf;q=0.7,Application/OpenMetrics-Text")));
}

/* `metrics_test 10000`: time of one scrape with that many routes, for people. */
static int speed(int rules)
{
    struct fixture f;
    begin(&f, rules);
    f.in.max_series = (uint32_t)rules;
    for (uint32_t row = 0; row < 8; row++) {
        worker(&f, row);
        for (uint32_t slot = 0; slot < (uint32_t)rules; slot++)
            board_add(&board_series(f.board, row, slot)->requests[2], 1);
    }
    uint64_t start = clock_ns();
    write_out(&f);
    printf("%d routes, 8 workers: %zu bytes, %.1f ms\n", rules, f.out.n, (double)(clock_ns() - start) / 1e6);
    end(&f);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return speed(atoi(argv[1]));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(series_are_sums_over_workers_alive_and_dead),
        cmocka_unit_test(beyond_the_cap_there_is_other),
        cmocka_unit_test(reading_makes_no_memory),
        cmocka_unit_test(without_a_generation_there_are_still_metrics),
        cmocka_unit_test(files_with_errors_are_named),
        cmocka_unit_test(openmetrics_is_for_those_who_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
