#include "tests/unit/shared/base/base_test.h"
#include "worker/proxy/flow_table.h"

#include <stdlib.h>

#define MANY 5000

static struct flow_table table;
static struct flow_node nodes[MANY];

static int setup(void **state)
{
    (void)state;
    memset(nodes, 0, sizeof(nodes));
    return flow_table_init(&table, 42) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    struct flow_node *v;
    while ((v = flow_table_victim(&table, 0, NULL)))
        flow_table_del(&table, v);
    flow_table_fini(&table);
    return 0;
}

static struct flow_node *add(unsigned i)
{
    nodes[i].key.port = (uint16_t)i;
    nodes[i].key.family = 4;
    flow_table_add(&table, &nodes[i]);
    return &nodes[i];
}

static struct flow_node *find(unsigned i)
{
    struct flow_key k = {.port = (uint16_t)i, .family = 4};
    return flow_table_find(&table, &k);
}

static void flows_are_found_by_all_of_their_key(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MANY; i++)
        add(i);
    for (unsigned i = 0; i < MANY; i++)
        assert_ptr_equal(find(i), &nodes[i]);
    struct flow_key k = nodes[7].key;
    k.bind_id = 1;
    assert_null(flow_table_find(&table, &k));
    k = nodes[7].key;
    k.local[3] = 1;
    assert_null(flow_table_find(&table, &k));
    for (unsigned i = 0; i < MANY; i += 2)
        flow_table_del(&table, &nodes[i]);
    for (unsigned i = 0; i < MANY; i++)
        assert_ptr_equal(find(i), i % 2 ? &nodes[i] : NULL);
    assert_int_equal(table.n, MANY / 2);
}

static void the_longest_idle_one_goes_first(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        add(i);
    assert_ptr_equal(flow_table_victim(&table, 4, NULL), &nodes[0]);
    flow_table_touch(&table, &nodes[0]);
    assert_ptr_equal(flow_table_victim(&table, 4, NULL), &nodes[1]);
    assert_ptr_equal(flow_table_victim(&table, 4, &nodes[1]), &nodes[2]);
}

static void proven_flows_go_after_young_ones(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 16; i++)
        add(i);
    for (unsigned i = 0; i < 8; i++)
        flow_table_prove(&table, &nodes[i]);
    flow_table_prove(&table, &nodes[3]); /* twice is once */
    assert_int_equal(table.n_young, 8);
    assert_ptr_equal(flow_table_victim(&table, 16, NULL), &nodes[8]);
}

static void somebody_new_has_a_chance_in_a_table_full_of_proven_flows(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 16; i++)
        add(i);
    for (unsigned i = 0; i < 15; i++)
        flow_table_prove(&table, &nodes[i]);
    assert_ptr_equal(flow_table_victim(&table, 16, NULL), &nodes[0]);
}

static void the_one_that_is_being_made_is_no_victim(void **state)
{
    (void)state;
    assert_null(flow_table_victim(&table, 16, NULL));
    add(0);
    assert_null(flow_table_victim(&table, 16, &nodes[0]));
    flow_table_prove(&table, &nodes[0]);
    add(1);
    assert_ptr_equal(flow_table_victim(&table, 0, &nodes[1]), &nodes[0]);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(flows_are_found_by_all_of_their_key),
        T(the_longest_idle_one_goes_first),
        T(proven_flows_go_after_young_ones),
        T(somebody_new_has_a_chance_in_a_table_full_of_proven_flows),
        T(the_one_that_is_being_made_is_no_victim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
