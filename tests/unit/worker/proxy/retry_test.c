#include "tests/unit/shared/base/base_test.h"
#include "worker/proxy/retry.h"

static const uint16_t CODES[] = {500, 503};
static const struct snap SNAP = {.CODES = CODES};

static struct snap_retry policy(uint16_t attempts, uint32_t on)
{
    return (struct snap_retry){.attempts = attempts, .on = on, .codes = {0, 2}};
}

static struct try_state state(const struct snap_retry *p)
{
    return (struct try_state){.snap = &SNAP, .policy = p, .method = METHOD_GET, .replayable = true, .others = true};
}

static void a_stale_connection_is_repeated_once_and_only_when_that_is_safe(void **unused)
{
    (void)unused;
    struct try_state s = state(NULL);
    struct try_outcome o = {.end = TRY_RESET, .wrote = true, .reused = true};
    assert_int_equal(retry_decide(&s, &o), RETRY_STALE);
    s.stale_used = true;
    assert_int_equal(retry_decide(&s, &o), RETRY_NO);
    s = state(NULL);
    s.method = METHOD_POST;
    assert_int_equal(retry_decide(&s, &o), RETRY_NO);
    o.wrote = false; /* nothing of it reached the peer: any method */
    assert_int_equal(retry_decide(&s, &o), RETRY_STALE);
    s = state(NULL);
    o = (struct try_outcome){.end = TRY_RESET, .wrote = true, .reused = true, .heard = true};
    assert_int_equal(retry_decide(&s, &o), RETRY_NO);
    o = (struct try_outcome){.end = TRY_RESET, .wrote = true};
    assert_int_equal(retry_decide(&s, &o), RETRY_NO);
    o = (struct try_outcome){.end = TRY_RESET, .wrote = true, .reused = true};
    s.replayable = false;
    assert_int_equal(retry_decide(&s, &o), RETRY_NO);
}

static void a_refused_stream_is_sent_once_more_whatever_the_method(void **unused)
{
    (void)unused;
    struct try_state s = state(NULL);
    struct try_outcome o = {.end = TRY_RESET, .refused = true};
    s.method = METHOD_POST;
    s.others = false;
    assert_int_equal(retry_decide(&s, &o), RETRY_STALE);
    s.stale_used = true;
    assert_int_equal(retry_decide(&s, &o), RETRY_NO);
    s.others = true;
    assert_int_equal(retry_decide(&s, &o), RETRY_FAILOVER);
    s = state(NULL);
    s.replayable = false;
    assert_int_equal(retry_decide(&s, &o), RETRY_NO);
}

static void a_call_is_tried_again_for_the_statuses_that_the_rule_names(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t on;
        uint16_t status;
    } ROWS[] = {{RETRY_ON_GRPC_CANCELLED, 1}, {RETRY_ON_GRPC_DEADLINE_EXCEEDED, 4}, {RETRY_ON_GRPC_RESOURCE_EXHAUSTED, 8},
                {RETRY_ON_GRPC_INTERNAL, 13}, {RETRY_ON_GRPC_UNAVAILABLE, 14}};
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        for (uint16_t status = 0; status < 20; status++) {
            struct snap_retry p = policy(1, ROWS[i].on);
            struct try_state s = state(&p);
            struct try_outcome o = {.end = TRY_STATUS, .status = 200, .grpc = status, .wrote = true, .heard = true};
            s.method = METHOD_POST;
            assert_int_equal(retry_decide(&s, &o), status == ROWS[i].status ? RETRY_POLICY : RETRY_NO);
        }
}

static void without_a_policy_what_had_no_effect_goes_elsewhere(void **unused)
{
    (void)unused;
    struct try_state s = state(NULL);
    struct try_outcome o = {.end = TRY_CONNECT};
    assert_int_equal(retry_decide(&s, &o), RETRY_FAILOVER);
    s.failovers = RETRY_MAX_FAILOVERS;
    assert_int_equal(retry_decide(&s, &o), RETRY_NO);
    s = state(NULL);
    s.others = false;
    assert_int_equal(retry_decide(&s, &o), RETRY_NO);
    s = state(NULL);
    o = (struct try_outcome){.end = TRY_TIMEOUT, .wrote = true};
    assert_int_equal(retry_decide(&s, &o), RETRY_NO);
    o = (struct try_outcome){.end = TRY_STATUS, .status = 503, .wrote = true, .heard = true};
    assert_int_equal(retry_decide(&s, &o), RETRY_NO);
}

/* ISTIO-RULES 3.9: which token asks for which outcome. */
static void a_policy_asks_for_what_its_words_say(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t on;
        struct try_outcome o;
        bool retried;
    } ROWS[] = {
        {RETRY_ON_CONNECT_FAILURE, {TRY_CONNECT}, true},
        {RETRY_ON_CONNECT_FAILURE, {TRY_RESET, .wrote = true}, false},
        {RETRY_ON_RESET, {TRY_RESET, .wrote = true}, true},
        {RETRY_ON_RESET, {TRY_TIMEOUT, .wrote = true}, true},
        {RETRY_ON_RESET, {TRY_CONNECT}, false},
        {RETRY_ON_RESET_BEFORE_REQUEST, {TRY_RESET, .wrote = true}, false},
        {RETRY_ON_RESET_BEFORE_REQUEST, {TRY_RESET}, true},
        {RETRY_ON_REFUSED_STREAM, {TRY_RESET}, true},
        {RETRY_ON_GATEWAY_ERROR, {TRY_STATUS, .status = 502, .wrote = true, .heard = true}, true},
        {RETRY_ON_GATEWAY_ERROR, {TRY_STATUS, .status = 504, .wrote = true, .heard = true}, true},
        {RETRY_ON_GATEWAY_ERROR, {TRY_STATUS, .status = 500, .wrote = true, .heard = true}, false},
        {RETRY_ON_GATEWAY_ERROR, {TRY_RESET, .wrote = true}, true},
        {RETRY_ON_GATEWAY_ERROR, {TRY_CONNECT}, true},
        {RETRY_ON_5XX, {TRY_STATUS, .status = 500, .wrote = true, .heard = true}, true},
        {RETRY_ON_5XX, {TRY_STATUS, .status = 499, .wrote = true, .heard = true}, false},
        {RETRY_ON_5XX, {TRY_TIMEOUT, .wrote = true}, true},
        {RETRY_ON_5XX, {TRY_BAD, .wrote = true, .heard = true}, true},
        {RETRY_ON_RESET, {TRY_BAD, .wrote = true, .heard = true}, false},
        {RETRY_ON_RETRIABLE_4XX, {TRY_STATUS, .status = 409, .wrote = true, .heard = true}, true},
        {RETRY_ON_RETRIABLE_4XX, {TRY_STATUS, .status = 404, .wrote = true, .heard = true}, false},
        {RETRY_ON_STATUS_CODES, {TRY_STATUS, .status = 503, .wrote = true, .heard = true}, true},
        {RETRY_ON_STATUS_CODES, {TRY_STATUS, .status = 502, .wrote = true, .heard = true}, false},
        {0, {TRY_CONNECT}, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct snap_retry p = policy(1, ROWS[i].on);
        struct try_state s = state(&p);
        s.stale_used = true;
        enum retry got = retry_decide(&s, &ROWS[i].o);
        if (got != (ROWS[i].retried ? RETRY_POLICY : RETRY_NO))
            fail_msg("row %zu: %d", i, got);
    }
}

static void attempts_are_counted_and_bodies_that_are_gone_are_not_sent_again(void **unused)
{
    (void)unused;
    struct snap_retry p = policy(2, RETRY_ON_5XX);
    struct try_state s = state(&p);
    struct try_outcome o = {TRY_STATUS, .status = 503, .wrote = true, .heard = true};
    s.stale_used = true;
    s.retries = 1;
    assert_int_equal(retry_decide(&s, &o), RETRY_POLICY);
    s.retries = 2;
    assert_int_equal(retry_decide(&s, &o), RETRY_NO);
    s.retries = 0;
    s.replayable = false;
    assert_int_equal(retry_decide(&s, &o), RETRY_NO);
}

static void the_backoff_is_the_least_and_jitter_only_adds(void **unused)
{
    (void)unused;
    struct snap_retry p = {.backoff_ms = 100};
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t ms = retry_backoff_ms(&p, i * 2654435761u);
        assert_in_range(ms, 100, 110);
    }
    p.backoff_ms = 0;
    assert_in_range(retry_backoff_ms(&p, 12345), 25, 28);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stale_connection_is_repeated_once_and_only_when_that_is_safe),
        cmocka_unit_test(a_refused_stream_is_sent_once_more_whatever_the_method),
        cmocka_unit_test(a_call_is_tried_again_for_the_statuses_that_the_rule_names),
        cmocka_unit_test(without_a_policy_what_had_no_effect_goes_elsewhere),
        cmocka_unit_test(a_policy_asks_for_what_its_words_say),
        cmocka_unit_test(attempts_are_counted_and_bodies_that_are_gone_are_not_sent_again),
        cmocka_unit_test(the_backoff_is_the_least_and_jitter_only_adds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
