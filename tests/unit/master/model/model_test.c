/* The builders find what is there, the check names every broken invariant, the dump is stable. */
#include "master/model/model.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct model m;
    struct model_bind *bind;
    struct model_listener *listener;
    struct model_host *exact, *wild;
    struct model_rule *rule;
    struct model_match match;
};

static void build(struct fixture *f)
{
    arena_init(&f->arena, 0, NULL);
    model_init(&f->m, &f->arena);
    f->bind = model_bind(&f->m, STR(""), 80);
    f->listener = model_listener_add(f->bind, &f->arena, STR("Gateway/default/edge/http"), STR(""));
    f->listener->name = STR("default/edge/http");
    f->exact = model_host(&f->m, f->bind, STR("a.example.com"), f->listener);
    f->wild = model_host(&f->m, f->bind, STR("*.example.com"), f->listener);
    f->exact->fallback = f->wild;
    f->rule = model_rule_add(&f->m, STR("HTTPRoute/default/shop/0"));
    f->rule->no_backend_status = 500;
    f->match = (struct model_match){.path = PATH_PREFIX_ELEMENT};
    *ARENA_PUSH(&f->arena, &f->exact->entries) = (struct model_entry){&f->match, f->rule, 0};
}

static void things_are_found_again_by_key(void **state)
{
    (void)state;
    struct fixture f;
    build(&f);
    bool made;
    assert_ptr_equal(model_bind(&f.m, STR(""), 80), f.bind);
    assert_ptr_not_equal(model_bind(&f.m, STR("127.0.0.1"), 80), f.bind);
    assert_ptr_equal(model_host(&f.m, f.bind, STR("a.example.com"), f.listener), f.exact);
    assert_string_equal(f.listener->hostname.p, "*");
    struct model_cluster *c = model_cluster(&f.m, STR("Service/a/b:80"), &made);
    assert_true(made);
    assert_ptr_equal(model_cluster(&f.m, STR("Service/a/b:80"), &made), c);
    assert_false(made);
    assert_int_equal(f.m.settings.idle_timeout_ms, 75000);
    arena_fini(&f.arena);
}

static void the_check_finds_every_broken_invariant(void **state)
{
    (void)state;
    struct fixture f;
    build(&f);
    assert_null(model_check(&f.m));

    f.exact->name = STR("A.example.com");
    assert_non_null(model_check(&f.m));
    f.exact->name = STR("a.example.com");

    f.exact->entries.v[0].rank = 1;
    assert_non_null(model_check(&f.m));
    f.exact->entries.v[0].rank = 0;

    f.wild->fallback = f.exact; /* a loop */
    assert_non_null(model_check(&f.m));
    f.wild->fallback = f.wild;
    assert_non_null(model_check(&f.m));
    f.wild->fallback = NULL;

    f.rule->no_backend_status = 0;
    assert_non_null(model_check(&f.m));
    f.rule->no_backend_status = 500;

    *ARENA_PUSH(&f.arena, &f.rule->splits) = (struct model_split){.weight = 1};
    assert_non_null(model_check(&f.m)); /* neither cluster nor status */
    f.rule->splits.v[0].status = 500;
    assert_null(model_check(&f.m));
    f.rule->splits.v[0].weight = 1000001;
    assert_non_null(model_check(&f.m));
    f.rule->splits.v[0].weight = 1;

    f.match.path_value = STR("/a/");
    assert_non_null(model_check(&f.m));
    f.match.path_value = STR("/a");
    assert_null(model_check(&f.m));
    arena_fini(&f.arena);
}

/* Ports 443 with a chain of every mode, 5432 with a stream. */
static void build_streams(struct fixture *f)
{
    struct cert_info info = {.subject = STR("CN=a"), .issuer = STR("CN=ca"), .serial = STR("01"), .key_type = KEY_RSA,
                             .key_bits = 2048, .not_before_s = 0, .not_after_s = 1800000000};
    build(f);
    struct model_bind *tls = model_bind(&f->m, STR(""), 443), *tcp = model_bind(&f->m, STR("127.0.0.1"), 5432);
    struct model_listener *l = model_listener_add(tls, &f->arena, STR("Gateway/default/edge/tls"), STR(""));
    l->name = STR("default/edge/tls");
    l->protocol = LISTENER_TLS;
    struct model_rule *r = model_rule_add(&f->m, STR("TLSRoute/default/db/0"));
    r->no_backend_status = 503;
    r->idle_timeout_ms = 60000;
    struct model_tls_server *t = model_tls_server_add(&f->m);
    *ARENA_PUSH(&f->arena, &t->certs) = model_cert(&f->m, STR("cert"), STR("key"), &info);
    t->alpn = TLS_ALPN_HTTP1;
    model_chain_add(&f->m, tls, STR("a.example.com"), l, CHAIN_HTTP)->tls = t;
    struct model_chain *c = model_chain_add(&f->m, tls, STR("b.example.com"), l, CHAIN_TCP);
    c->tls = t;
    c->rule = r;
    model_chain_add(&f->m, tls, STR("*.example.com"), l, CHAIN_PASSTHROUGH)->rule = r;
    model_chain_add(&f->m, tls, STR("*"), l, CHAIN_REFUSE)->why = STR("no certificate");
    tcp->stream_rule = r;
    *ARENA_PUSH(&f->arena, &tcp->proxy_trusted) = (struct model_cidr){.family = 4, .bits = 8, .ip = {10}};
    struct model_cluster *k = model_cluster(&f->m, STR("Service/default/db:5432"), NULL);
    k->name = STR("default/db:5432");
    k->tls = model_tls_client_add(&f->m);
    k->tls->system_ca = true;
    k->proxy_header = PROXY_HEADER_V1;
}

#define BROKEN(what)                                                                               \
    do {                                                                                           \
        what;                                                                                      \
        assert_non_null(model_check(&f.m));                                                        \
        arena_fini(&f.arena);                                                                      \
        build_streams(&f);                                                                         \
        tls = f.m.binds.v[1];                                                                      \
        tcp = f.m.binds.v[2];                                                                      \
        assert_null(model_check(&f.m));                                                            \
    } while (0)

static void the_check_finds_what_is_wrong_with_chains_and_streams(void **state)
{
    struct fixture f;
    (void)state;
    build_streams(&f);
    struct model_bind *tls = f.m.binds.v[1], *tcp = f.m.binds.v[2];
    assert_null(model_chain_add(&f.m, tls, STR("*"), tls->listeners.v[0], CHAIN_REFUSE)); /* there is one */
    BROKEN(tls->chains.v[1]->name = STR("a.example.com"));
    BROKEN(tls->chains.v[0]->name = STR("A.example.com"));
    BROKEN(tls->chains.v[0]->name = STR(""));
    BROKEN(tls->chains.v[0]->tls = NULL);
    BROKEN(tls->chains.v[0]->tls->certs.n = 0);
    BROKEN(tls->chains.v[1]->tls = NULL);
    BROKEN(tls->chains.v[1]->rule = NULL);
    BROKEN(tls->chains.v[2]->rule->action = ACTION_REDIRECT; tls->chains.v[2]->rule->redirect = &(struct model_redirect){.status = 301});
    BROKEN(tls->chains.v[3]->rule = tls->chains.v[2]->rule);
    BROKEN(tls->chains.v[0]->listener = f.listener);
    BROKEN(tls->stream_rule = tcp->stream_rule);
    BROKEN(f.bind->stream_rule = tcp->stream_rule);
    BROKEN(f.bind->datagram = true);
    BROKEN(tcp->proxy_trusted.v[0].bits = 33);
    BROKEN(tcp->proxy_trusted.v[0].ip[1] = 1);
    BROKEN(f.m.tls_servers.v[0]->client_auth = CLIENT_AUTH_REQUIRED);
    BROKEN(f.m.tls_clients.v[0]->system_ca = false);
    BROKEN(f.m.certs.v[0]->chain = STR("-----BEGIN PRIVATE KEY-----"));
    BROKEN(f.m.certs.v[0]->private_key = STR(""));
    arena_fini(&f.arena);
}

static void the_dump_shows_chains_and_no_keys(void **state)
{
    struct fixture f;
    struct buf out = {0};
    (void)state;
    build_streams(&f);
    f.m.binds.n--; /* the first bind is of another test */
    f.m.binds.v++;
    f.m.rules.v++;
    f.m.rules.n--;
    model_dump(&f.m, &out);
    assert_string_equal(
        buf_cstr(&out),
        "bind * port 443\n"
        "  listener Gateway/default/edge/tls named default/edge/tls, tls *\n"
        "  chain a.example.com of Gateway/default/edge/tls, http, tls server 0\n"
        "  chain b.example.com of Gateway/default/edge/tls, tcp, tls server 0 -> TLSRoute/default/db/0\n"
        "  chain *.example.com of Gateway/default/edge/tls, passthrough -> TLSRoute/default/db/0\n"
        "  chain * of Gateway/default/edge/tls, refuse: \"no certificate\"\n"
        "bind 127.0.0.1 port 5432\n"
        "  stream -> TLSRoute/default/db/0\n"
        "  proxy header from 10.0.0.0/8\n"
        "rule TLSRoute/default/db/0\n"
        "  idle timeout 60000ms\n"
        "  without backend 503\n"
        "cluster Service/default/db:5432 named default/db:5432, round robin, http1\n"
        "  tls client 0\n"
        "  proxy header v1\n"
        "tls server 0\n"
        "  certificate 0\n"
        "  alpn http/1.1\n"
        "tls client 0\n"
        "  ca of the system\n"
        "certificate 0 \"CN=a\" by \"CN=ca\", rsa 2048, serial 01\n"
        "  valid 1970-01-01T00:00:00Z to 2027-01-15T08:00:00Z\n"
        "  sha256 0000000000000000000000000000000000000000000000000000000000000000\n"
        "  chain 6d935ce16a5e2b2d, 4 bytes\n");
    buf_fini(&out);
    arena_fini(&f.arena);
}

static void the_dump_reads_like_the_configuration(void **state)
{
    (void)state;
    struct fixture f;
    struct buf out = {0};
    build(&f);
    f.m.settings.idle_timeout_ms = 1000;
    model_dump(&f.m, &out);
    assert_string_equal(buf_cstr(&out),
                        "setting idle_timeout_ms 1000\n"
                        "bind * port 80\n"
                        "  listener Gateway/default/edge/http named default/edge/http, http *\n"
                        "  host a.example.com of Gateway/default/edge/http, else *.example.com\n"
                        "    0 prefix \"/\" -> HTTPRoute/default/shop/0\n"
                        "  host *.example.com of Gateway/default/edge/http\n"
                        "rule HTTPRoute/default/shop/0\n"
                        "  without backend 500\n");
    buf_fini(&out);
    arena_fini(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(things_are_found_again_by_key),
        cmocka_unit_test(the_check_finds_every_broken_invariant),
        cmocka_unit_test(the_check_finds_what_is_wrong_with_chains_and_streams),
        cmocka_unit_test(the_dump_shows_chains_and_no_keys),
        cmocka_unit_test(the_dump_reads_like_the_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
