/* Clusters over reloads, names, picks, and leases on connections to real sockets. */
#include "tests/unit/shared/base/base_test.h"
#include "master/compile/compile.h"
#include "worker/upstream/upstream.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

struct rig {
    uv_loop_t loop;
    struct log log;
    struct board *board;
    struct net net;
    struct upstream up;
    struct model_cluster cluster; /* settings of the next load */
    char endpoints[4][64];        /* "127.0.0.1:80" or "name:80" */
    size_t n_endpoints;
    uint64_t generation;
    struct snap *snaps[8];
    struct buf images[8];
    size_t n_snaps;
    int listener[2];
    uint16_t port[2];
};

static uint32_t slot(void *ctx, const char *table, struct str key)
{
    (void)ctx;
    return strcmp(table, "dns") == 0 ? 3 : (uint32_t)(hash_str(key, 0) % 100) + 1;
}

/* One cluster with the rig's endpoints, as a new generation. */
static const struct snap *load(struct rig *r)
{
    struct arena a;
    struct model m;
    struct buf *image = &r->images[r->n_snaps], why = {0};
    arena_init(&a, 0, NULL);
    model_init(&m, &a);
    struct model_bind *b = model_bind(&m, STR(""), 80);
    struct model_listener *l = model_listener_add(b, &a, STR("l"), STR("*"));
    struct model_host *h = model_host(&m, b, STR("*"), l);
    struct model_rule *rule = model_rule_add(&m, STR("r"));
    struct model_cluster *c = model_cluster(&m, STR("c"), NULL);
    c->lb = r->cluster.lb;
    c->max_connections = r->cluster.max_connections;
    c->max_pending = r->cluster.max_pending;
    c->max_requests = r->cluster.max_requests;
    c->connect_timeout_ms = r->cluster.connect_timeout_ms;
    for (size_t i = 0; i < r->n_endpoints; i++) {
        struct str text = str_c(r->endpoints[i]);
        ptrdiff_t colon = str_rchr(text, ':');
        struct model_endpoint *e = arena_new(&a, struct model_endpoint);
        e->key = text;
        e->address = str_head(text, (size_t)colon);
        e->port = (uint16_t)atoi(text.p + colon + 1);
        e->weight = 1;
        e->dns = ascii_is_alpha(text.p[0]);
        *ARENA_PUSH(&a, &c->endpoints) = e;
    }
    *ARENA_PUSH(&a, &rule->splits) = (struct model_split){.weight = 1, .cluster = c};
    *ARENA_PUSH(&a, &h->entries) = (struct model_entry){arena_new(&a, struct model_match), rule, 0};
    struct compile_input in = {.model = &m, .generation = ++r->generation, .slot = slot};
    assert_int_equal(compile_bytes(&in, image, &why), 0);
    assert_int_equal(snap_open_bytes(&r->snaps[r->n_snaps], buf_str(image), &why), 0);
    arena_fini(&a);
    buf_fini(&why);
    return r->snaps[r->n_snaps++];
}

static int listen_here(uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(fd, 10), 0);
    getsockname(fd, (struct sockaddr *)&at, &len);
    *port = ntohs(at.sin_port);
    return fd;
}

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    int board_fd = -1;
    *state = r;
    uv_loop_init(&r->loop);
    log_init(&r->log, 2, "test");
    assert_int_equal(board_make(&r->board, &board_fd), 0);
    close(board_fd);
    board_proc(r->board, 1)->role = ROLE_WORKER;
    assert_int_equal(net_init(&r->net, &r->loop, &board_proc(r->board, 1)->counters, &r->log), 0);
    assert_int_equal(upstream_init(&r->up, &r->net, r->board, 1), 0);
    for (int i = 0; i < 2; i++) {
        r->listener[i] = listen_here(&r->port[i]);
        snprintf(r->endpoints[i], sizeof(r->endpoints[i]), "127.0.0.1:%u", r->port[i]);
    }
    r->n_endpoints = 2;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    net_enter(&r->net);
    upstream_close(&r->up);
    net_leave(&r->net);
    net_turn(&r->net, 0);
    assert_int_equal(r->up.n_conns, 0);
    assert_int_equal(r->up.n_clusters, 0);
    upstream_fini(&r->up);
    net_fini(&r->net);
    for (size_t i = 0; i < r->n_snaps; i++) {
        snap_drop(r->snaps[i]);
        buf_fini(&r->images[i]);
    }
    close(r->listener[0]);
    close(r->listener[1]);
    board_close(r->board);
    uv_loop_close(&r->loop);
    free(r);
    return 0;
}

/* --- leases ----------------------------------------------------------------------------------------- */

struct claim {
    struct lease l;
    struct stream *s;
    enum reason failed;
    bool done;
};
static void ready(struct lease *l, struct stream *s)
{
    struct claim *c = CONTAINER_OF(l, struct claim, l);
    c->s = s;
    c->done = true;
}
static void failed(struct lease *l, enum reason why)
{
    struct claim *c = CONTAINER_OF(l, struct claim, l);
    c->failed = why;
    c->done = true;
}
static const struct lease_events EVENTS = {ready, failed};

static void ear_head(struct stream *s, struct http_head *h, bool end)
{
    (void)s;
    (void)h;
    (void)end;
}
static void ear_abort(struct stream *s, enum reason why)
{
    (void)why;
    s->ops->release(s);
}
static const struct stream_events EARS = {.on_head = ear_head, .on_abort = ear_abort};

static enum lease_result claim(struct rig *r, struct claim *c, struct endpoint *e)
{
    enum reason why;
    *c = (struct claim){.failed = REASON_OK};
    net_enter(&r->net);
    enum lease_result got = lease_begin(&c->l, e, false, &EVENTS, &c->s, &why);
    net_leave(&r->net);
    if (got == LEASE_REFUSED)
        c->failed = why;
    return got;
}

static void wait_for(struct rig *r, struct claim *c)
{
    for (int i = 0; i < 2000 && !c->done; i++)
        net_turn(&r->net, 5);
    assert_true(c->done);
}

/* A whole request and answer on the claimed stream; gives it back. */
static void use(struct rig *r, struct claim *c, int backend)
{
    static struct arena arena;
    char text[1024];
    arena_init(&arena, 0, NULL);
    net_enter(&r->net);
    c->s->ev = &EARS;
    c->s->user = c;
    c->s->arena = &arena;
    struct http_head h = {.method = STR("GET"), .method_id = METHOD_GET, .path = STR("/"), .authority = STR("a")};
    assert_true(c->s->ops->send_head(c->s, &h, true));
    net_leave(&r->net);
    int fd = accept(r->listener[backend], NULL, NULL);
    assert_true(fd >= 0);
    assert_true(read(fd, text, sizeof(text)) > 0);
    assert_int_equal(write(fd, "HTTP/1.1 204 No\r\n\r\n", 19), 19);
    for (int i = 0; i < 10; i++)
        net_turn(&r->net, 5);
    net_enter(&r->net);
    c->s->ops->release(c->s);
    lease_end(&c->l);
    net_leave(&r->net);
    arena_fini(&arena);
    /* the descriptor stays open: it is the other end of a pooled connection */
}

static void a_connection_is_used_again_the_youngest_first(void **state)
{
    struct rig *r = *state;
    struct cluster *c = cluster_get(&r->up, load(r), 0);
    struct claim one, two;
    assert_int_equal(claim(r, &one, c->v[0]), LEASE_LATER);
    assert_int_equal(claim(r, &two, c->v[0]), LEASE_LATER);
    wait_for(r, &one);
    wait_for(r, &two);
    struct stream *young = two.s;
    use(r, &one, 0);
    use(r, &two, 0);
    assert_int_equal(c->v[0]->n_idle, 2);
    assert_int_equal(claim(r, &one, c->v[0]), LEASE_READY);
    assert_ptr_equal(one.s, young);
    assert_true(one.s->flags & STREAM_F_REUSED);
    net_enter(&r->net);
    one.s->user = NULL;
    lease_end(&one.l);
    net_leave(&r->net);
    cluster_drop(c);
}

static void a_reload_keeps_connections_and_retires_endpoints_that_are_gone(void **state)
{
    struct rig *r = *state;
    struct cluster *c = cluster_get(&r->up, load(r), 0), *again;
    struct claim one, two;
    claim(r, &one, c->v[0]);
    claim(r, &two, c->v[1]);
    wait_for(r, &one);
    wait_for(r, &two);
    use(r, &one, 0);
    use(r, &two, 1);
    struct endpoint *kept = c->v[0], *gone = c->v[1];
    endpoint_hold(gone);
    again = cluster_get(&r->up, load(r), 0); /* the same endpoints */
    assert_ptr_equal(again, c);
    assert_ptr_equal(c->v[1], gone);
    assert_int_equal(r->up.n_idle, 2);
    r->n_endpoints = 1;
    assert_ptr_equal(cluster_get(&r->up, load(r), 0), c);
    assert_int_equal(c->n, 1);
    assert_ptr_equal(c->v[0], kept);
    assert_int_equal(kept->n_idle, 1);
    assert_int_equal(gone->n_idle, 0);
    assert_int_equal(gone->index, BALANCE_NONE);
    endpoint_drop(gone);
    cluster_drop(c);
    cluster_drop(c);
    cluster_drop(c);
    assert_int_equal(r->up.n_clusters, 1); /* its pool outlasts the generations for a while */
}

static void an_older_generation_does_not_turn_the_settings_back(void **state)
{
    struct rig *r = *state;
    const struct snap *old = load(r);
    r->n_endpoints = 1;
    struct cluster *c = cluster_get(&r->up, load(r), 0);
    assert_int_equal(c->n, 1);
    assert_ptr_equal(cluster_get(&r->up, old, 0), c);
    assert_int_equal(c->n, 1);
    cluster_drop(c);
    cluster_drop(c);
}

static void every_address_of_a_name_is_an_endpoint(void **state)
{
    struct rig *r = *state;
    snprintf(r->endpoints[0], sizeof(r->endpoints[0]), "db.internal:%u", r->port[0]);
    r->n_endpoints = 1;
    struct cluster *c = cluster_get(&r->up, load(r), 0);
    assert_null(cluster_pick(c, NULL, 0)); /* no answer yet */
    struct board_dns *row = board_dns(r->board, 3);
    struct board_dns_answer a = {.n = 2};
    a.v[0].family = a.v[1].family = 4;
    memcpy(a.v[0].addr, "\x7f\0\0\1", 4);
    memcpy(a.v[1].addr, "\x7f\0\0\2", 4);
    atomic_store(&row->key, hash_str_lower(STR("db.internal"), 0));
    board_dns_write(row, &a);
    struct endpoint *first = cluster_pick(c, NULL, 0);
    assert_non_null(first);
    assert_int_equal(c->n, 2);
    struct endpoint *stays = c->v[1];
    memcpy(a.v[0].addr, "\x7f\0\0\3", 4);
    a.n = 2;
    board_dns_write(row, &a);
    assert_non_null(cluster_pick(c, NULL, 0));
    assert_int_equal(c->n, 2);
    assert_ptr_equal(c->v[1], stays); /* what stays the same keeps its state */
    assert_true(str_starts(c->v[0]->name, STR("127.0.0.3:")));
    a.n = 0;
    board_dns_write(row, &a);
    assert_null(cluster_pick(c, NULL, 0));
    cluster_drop(c);
}

static void endpoints_that_failed_or_were_tried_come_last(void **state)
{
    struct rig *r = *state;
    struct cluster *c = cluster_get(&r->up, load(r), 0);
    struct endpoint *bad = c->v[0], *good = c->v[1];
    endpoint_result(bad, false);
    for (int i = 0; i < 10; i++)
        assert_ptr_equal(cluster_pick(c, NULL, 0), good);
    assert_ptr_equal(cluster_pick(c, &good, 1), bad);
    struct endpoint *both[] = {good, bad};
    assert_non_null(cluster_pick(c, both, 2));
    endpoint_result(bad, true);
    assert_ptr_equal(cluster_pick(c, &good, 1), bad);
    board_endpoint(r->board, good->board_slot)->ejected_until_ns = UINT64_MAX;
    for (int i = 0; i < 10; i++)
        assert_ptr_equal(cluster_pick(c, NULL, 0), bad);
    cluster_drop(c);
}

static void nothing_listens_there(void **state)
{
    struct rig *r = *state;
    struct claim one;
    uint16_t port;
    close(listen_here(&port));
    snprintf(r->endpoints[0], sizeof(r->endpoints[0]), "127.0.0.1:%u", port);
    struct cluster *c = cluster_get(&r->up, load(r), 0);
    assert_int_equal(claim(r, &one, c->v[0]), LEASE_LATER);
    wait_for(r, &one);
    assert_int_equal(one.failed, REASON_CONNECT_FAILED);
    assert_int_equal(c->v[0]->active, 0);
    cluster_drop(c);
}

static void requests_beyond_the_connections_wait_in_a_bounded_queue(void **state)
{
    struct rig *r = *state;
    struct claim one, two, three;
    r->cluster.max_connections = 1;
    r->cluster.max_pending = 1;
    struct cluster *c = cluster_get(&r->up, load(r), 0);
    claim(r, &one, c->v[0]);
    assert_int_equal(claim(r, &two, c->v[1]), LEASE_LATER);
    assert_int_equal(claim(r, &three, c->v[0]), LEASE_REFUSED);
    assert_int_equal(three.failed, REASON_OVERFLOW);
    wait_for(r, &one);
    assert_false(two.done);
    use(r, &one, 0);
    assert_true(two.done); /* got the connection that became free */
    assert_ptr_equal(two.l.ep, c->v[0]);
    net_enter(&r->net);
    lease_end(&two.l);
    net_leave(&r->net);
    cluster_drop(c);
}

static void a_request_that_goes_away_leaves_its_connection_to_the_next(void **state)
{
    struct rig *r = *state;
    struct claim one;
    struct cluster *c = cluster_get(&r->up, load(r), 0);
    claim(r, &one, c->v[0]);
    net_enter(&r->net);
    lease_end(&one.l);
    net_leave(&r->net);
    for (int i = 0; i < 100 && !c->v[0]->n_idle; i++)
        net_turn(&r->net, 5);
    assert_int_equal(c->v[0]->n_idle, 1);
    assert_int_equal(c->v[0]->active, 0);
    cluster_drop(c);
}

static void more_requests_than_the_cluster_takes_are_refused(void **state)
{
    struct rig *r = *state;
    struct claim one, two;
    r->cluster.max_requests = 1;
    struct cluster *c = cluster_get(&r->up, load(r), 0);
    claim(r, &one, c->v[0]);
    assert_int_equal(claim(r, &two, c->v[0]), LEASE_REFUSED);
    net_enter(&r->net);
    lease_end(&one.l);
    net_leave(&r->net);
    assert_int_equal(claim(r, &two, c->v[0]), LEASE_LATER);
    net_enter(&r->net);
    lease_end(&two.l);
    net_leave(&r->net);
    cluster_drop(c);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_connection_is_used_again_the_youngest_first),
        T(a_reload_keeps_connections_and_retires_endpoints_that_are_gone),
        T(an_older_generation_does_not_turn_the_settings_back),
        T(every_address_of_a_name_is_an_endpoint),
        T(endpoints_that_failed_or_were_tried_come_last),
        T(nothing_listens_there),
        T(requests_beyond_the_connections_wait_in_a_bounded_queue),
        T(a_request_that_goes_away_leaves_its_connection_to_the_next),
        T(more_requests_than_the_cluster_takes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
