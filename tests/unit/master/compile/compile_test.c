#include "shared/base/err.h"
#include "shared/tls/keys.h"
#include "tests/unit/master/compile/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* One of everything that a model can say. */
static void everything(struct sample *s)
{
    sample_init(s);
    struct arena *a = &s->arena;
    struct model_host *one = sample_host(s, "a.example.com"), *any = sample_host(s, "*");
    one->fallback = any;
    any->https_redirect = true;
    struct model_match *m = sample_entry(s, one, PATH_EXACT, "/Login");
    m->path_ignore_case = true;
    m->method = sample_text(s, STRMATCH_EXACT, "GET");
    m->scheme = sample_text(s, STRMATCH_EXACT, "http");
    m->authority = sample_text(s, STRMATCH_PREFIX, "a.");
    m->name = STR("login");
    sample_header(s, m, "x-a", STRMATCH_REGEX, "v[0-9]")->ignore_case = true;
    sample_header(s, m, "x-b", STRMATCH_PRESENT, "")->invert = true;
    sample_query(s, m, "q", STRMATCH_EXACT, "1");
    sample_entry(s, one, PATH_PREFIX_ELEMENT, "");
    sample_query(s, sample_entry(s, any, PATH_REGEX, "/r/.*"), "p", STRMATCH_PREFIX, "x");
    any->entries.v[0].match->query_raw = true;
    struct model_rule *r = s->m.rules.v[0];
    struct model_filter *f = ARENA_PUSH(a, &r->filters);
    f->type = FILTER_REQUEST_HEADERS;
    *ARENA_PUSH(a, &f->u.headers) = (struct model_header_op){HEADER_SET, STR("X-Set"), STR("%PROTOCOL%"), true};
    *ARENA_PUSH(a, &f->u.headers) = (struct model_header_op){HEADER_REMOVE, STR("X-Gone"), STR(""), false};
    f = ARENA_PUSH(a, &r->splits.v[0].filters);
    f->type = FILTER_REWRITE;
    f->u.rewrite.host = STR("inner");
    f->u.rewrite.path = (struct model_path_rewrite){REWRITE_REGEX, STR("/\\1"), STR("/x/(.*)")};
    *ARENA_PUSH(a, &r->splits) = (struct model_split){.weight = 2, .status = 500, .reason = REASON_INVALID_BACKEND,
                                                      .name = STR("default/gone:80"), .origin = r->origin};
    r->has_request_timeout = true;
    r->retry = (struct model_retry){.attempts = 2, .on = RETRY_ON_RESET | RETRY_ON_5XX, .backoff_ms = 25};
    r->header_merge = HEADER_MERGE_SPLIT_FIRST;
    r = s->m.rules.v[1];
    r->action = ACTION_REDIRECT;
    r->redirect = arena_new(&s->arena, struct model_redirect);
    *r->redirect = (struct model_redirect){.scheme = STR("https"), .status = 301, .port_mode = PORT_FIXED, .port = 8443,
                                          .path = {REWRITE_PREFIX_ELEMENT, STR("/new"), STR_NONE}};
    r = s->m.rules.v[2];
    r->action = ACTION_DIRECT;
    r->direct = arena_new(&s->arena, struct model_direct);
    *r->direct = (struct model_direct){418, STR("tea\n"), STR("text/plain")};
    struct model_endpoint *e = arena_new(a, struct model_endpoint);
    *e = (struct model_endpoint){.key = STR("db.internal:80"), .address = STR("db.internal"), .port = 80, .weight = 3, .dns = true};
    *ARENA_PUSH(a, &s->cluster->endpoints) = e;
    e = arena_new(a, struct model_endpoint);
    *e = (struct model_endpoint){.key = STR("unix:/run/x"), .address = STR("unix:/run/x"), .weight = 1};
    *ARENA_PUSH(a, &s->cluster->endpoints) = e;
    e = arena_new(a, struct model_endpoint);
    *e = (struct model_endpoint){.key = STR("[::1]:80"), .address = STR("::1"), .port = 80, .weight = 1};
    *ARENA_PUSH(a, &s->cluster->endpoints) = e;
    s->cluster->lb = LB_LEAST_REQUEST;
    s->cluster->max_requests = 9;
    s->m.settings.via = 1;
    s->m.rules.v[0]->grpc = true;
    sample_streams(s);
}

static void the_image_says_what_the_model_says(void **state)
{
    struct sample s;
    struct buf model = {0}, image = {0};
    (void)state;
    everything(&s);
    struct snap *snap = sample_open(&s);
    model_dump(&s.m, &model);
    snap_dump_model(snap, &image);
    assert_string_equal(buf_cstr(&image), buf_cstr(&model));
    snap_drop(snap);
    buf_fini(&model);
    buf_fini(&image);
    sample_fini(&s);
}

static void endpoints_know_their_family(void **state)
{
    struct sample s;
    (void)state;
    everything(&s);
    struct snap *snap = sample_open(&s);
    static const uint8_t FAMILY[] = {4, 0, 1, 6};
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(snap->ENDPOINTS[i].family, FAMILY[i]);
    assert_int_equal(snap->ENDPOINTS[0].ip[0], 10);
    assert_int_equal(snap->ENDPOINTS[3].ip[15], 1);
    assert_int_equal(snap->ENDPOINTS[0].dns_slot, SNAP_NONE);
    assert_int_not_equal(snap->ENDPOINTS[1].dns_slot, SNAP_NONE);
    assert_int_equal(snap->CLUSTERS[0].has_dns, 1);
    snap_drop(snap);
    sample_fini(&s);
}

static void the_same_model_gives_the_same_bytes(void **state)
{
    struct sample a, b;
    (void)state;
    everything(&a);
    everything(&b);
    snap_drop(sample_open(&a));
    snap_drop(sample_open(&b));
    assert_true(str_eq(buf_str(&a.image), buf_str(&b.image)));
    sample_fini(&a);
    sample_fini(&b);
}

static uint64_t content_of(struct sample *s, uint64_t generation, uint32_t first_slot)
{
    struct compile_input in = {.model = &s->m, .generation = generation, .now_wall_us = generation * 1000,
                               .slot = sample_slot, .slot_ctx = s};
    s->next_slot = first_slot;
    assert_int_equal(compile_bytes(&in, &s->image, NULL), 0);
    return ((struct snap_header *)(void *)s->image.p)->content_hash;
}

static void the_content_hash_knows_the_configuration_only(void **state)
{
    struct sample s;
    (void)state;
    everything(&s);
    uint64_t hash = content_of(&s, 1, 0);
    assert_true(hash == content_of(&s, 2, 100));
    s.m.rules.v[0]->splits.v[0].weight++;
    assert_true(hash != content_of(&s, 2, 100));
    sample_fini(&s);
}

static void a_bind_that_failed_is_left_out(void **state)
{
    struct sample s;
    (void)state;
    everything(&s);
    struct model_bind *b = model_bind(&s.m, STR(""), 81);
    struct model_listener *l = model_listener_add(b, &s.arena, STR("Gateway/default/edge/other"), STR("*"));
    l->name = STR("default/edge/other");
    model_host(&s.m, b, STR("*"), l);
    struct snap *snap = sample_open(&s);
    assert_int_equal(snap->n[SNAP_BINDS], 5);
    assert_int_equal(snap->BINDS[4].id, snap_bind_id(STR(""), 81, false));
    snap_drop(snap);
    b->bind_error = 98;
    model_bind(&s.m, STR(""), 443)->bind_error = 98;
    snap = sample_open(&s);
    assert_int_equal(snap->n[SNAP_BINDS], 3);
    assert_int_equal(snap->n[SNAP_LISTENERS], 3);
    assert_int_equal(snap->n[SNAP_CHAINS], 0);
    snap_drop(snap);
    sample_fini(&s);
}

/* Places are lines below the rule; a part above its rule or of another object has a row of its own. */
static void parts_of_rules_know_their_lines_and_equal_splits_are_one(void **state)
{
    struct sample s;
    (void)state;
    sample_init(&s);
    struct model_host *h = sample_host(&s, "a.example.com");
    for (int i = 0; i < 5; i++)
        sample_entry(&s, h, PATH_EXACT, (const char *[]){"/a", "/b", "/c", "/d", "/e"}[i]);
    h->entries.v[1].match->origin.source = sample_source(&s, STR("delegate"), STR("conf.d/shop.yaml"));
    h->entries.v[4].rule->splits.v[0].weight = 2;
    struct snap *snap = sample_open(&s);
    assert_int_equal(snap->n[SNAP_SPLITS], 2);
    for (uint32_t i = 0; i < snap->n[SNAP_ENTRIES]; i++) {
        const struct snap_entry *e = &snap->ENTRIES[i];
        const struct snap_rule *r = &snap->RULES[e->rule];
        struct snap_origin at = snap_place(snap, r, e->place), split = snap_place(snap, r, snap->SPLITS[r->splits.first].place);
        struct str name = snap_name(snap, snap->OBJECTS[at.object].name);
        assert_int_equal(at.line, 12); /* rules stand in lines 10 to 14 */
        assert_true(str_eqc(name, e->rank == 1 ? "delegate" : "shop"));
        assert_true(str_eqc(snap_name(snap, e->section), "matches[0]"));
        assert_int_equal(split.line, snap->ORIGINS[r->origin].line + 1);
    }
    snap_drop(snap);
    sample_fini(&s);
}

static uint32_t no_slot(void *ctx, const char *table, struct str key)
{
    (void)ctx;
    (void)table;
    (void)key;
    return 0;
}

static void without_places_on_the_board_there_are_no_series(void **state)
{
    struct sample s;
    struct snap *snap;
    (void)state;
    everything(&s);
    struct compile_input in = {.model = &s.m, .generation = 1, .slot = no_slot};
    assert_int_equal(compile_bytes(&in, &s.image, NULL), 0);
    assert_int_equal(snap_open_bytes(&snap, buf_str(&s.image), NULL), 0);
    assert_int_equal(snap->n[SNAP_SERIES], 0);
    snap_drop(snap);
    snap = sample_open(&s);
    for (uint32_t i = 0; i < snap->n[SNAP_SERIES]; i++)
        assert_true(snap_series_name(snap, &snap->SERIES[i]).n > 0);
    assert_int_equal(snap->n[SNAP_SERIES], snap->n[SNAP_LISTENERS] + snap->n[SNAP_RULES] + snap->n[SNAP_CLUSTERS]);
    snap_drop(snap);
    sample_fini(&s);
}

static void chains_and_streams_are_there_as_the_worker_needs_them(void **state)
{
    struct sample s;
    (void)state;
    sample_init(&s);
    sample_streams(&s);
    struct snap *snap = sample_open(&s);
    const struct snap_bind *tls = &snap->BINDS[1], *tcp = &snap->BINDS[2], *udp = &snap->BINDS[3];
    assert_int_equal(tls->chains.n, 4);
    assert_int_equal(tls->default_chain, tls->chains.first + 3);
    assert_int_equal(tls->protocol, LISTENER_HTTPS);
    assert_int_equal(tcp->chains.n, 0);
    assert_int_equal(tcp->default_chain, SNAP_NONE);
    assert_int_equal(snap->RULES[tcp->stream_rule].idle_timeout_ms, 600000);
    assert_int_equal(tcp->proxy_trusted.n, 2);
    assert_int_equal(snap->CIDRS[tcp->proxy_trusted.first].ip[0], 10);
    assert_int_equal(udp->flags, SNAP_BIND_DATAGRAM);
    assert_true(udp->id == snap_bind_id(STR(""), 53, true) && udp->id != snap_bind_id(STR(""), 53, false));
    const struct snap_cluster *c = &snap->CLUSTERS[1];
    assert_int_equal(c->proxy_header, PROXY_HEADER_V2);
    assert_int_equal(snap->TLS_CLIENTS[c->tls].cert, 0);
    assert_int_equal(snap->CERTS[0].ocsp.len, 9);
    snap_drop(snap);
    sample_fini(&s);
}

/* The id of TLS_SERVERS[1] after one change. */
static uint64_t server_id(void (*change)(struct sample *s, struct model_tls_server *t))
{
    struct sample s;
    sample_init(&s);
    sample_streams(&s);
    struct model_tls_server *t = s.m.tls_servers.v[1];
    if (change)
        change(&s, t);
    struct snap *snap = sample_open(&s);
    uint64_t id = snap->TLS_SERVERS[1].id;
    snap_drop(snap);
    sample_fini(&s);
    return id;
}

static void other_origin(struct sample *s, struct model_tls_server *t) { t->origin = sample_origin(s, 99, "x"); }
static void other_auth(struct sample *s, struct model_tls_server *t) { (void)s; t->client_auth = CLIENT_AUTH_OPTIONAL; }
static void other_ca(struct sample *s, struct model_tls_server *t) { (void)s; t->ca = STR("ca"); }
static void no_crl(struct sample *s, struct model_tls_server *t) { (void)s; t->crl = STR_NONE; }
static void other_cipher(struct sample *s, struct model_tls_server *t) { (void)s; t->ciphers = STR_NONE; }
static void other_min(struct sample *s, struct model_tls_server *t) { (void)s; t->min = TLS_VERSION_AUTO; }
static void other_alpn(struct sample *s, struct model_tls_server *t) { (void)s; t->alpn = TLS_ALPN_H2; }
static void other_cert(struct sample *s, struct model_tls_server *t) { t->certs.v[1] = sample_cert(s, "c"); }
static void other_staple(struct sample *s, struct model_tls_server *t) { (void)s; t->certs.v[1]->ocsp = STR("x"); }
static void other_list(struct sample *s, struct model_tls_server *t)
{
    (void)s;
    t->hashes.v[t->hashes.n++] = t->spki.v[--t->spki.n]; /* the same texts, other lists */
}

static void a_context_is_known_by_all_it_says_and_nothing_else(void **state)
{
    static void (*const CHANGES[])(struct sample *, struct model_tls_server *) = {
        other_auth, other_ca, no_crl, other_cipher, other_min, other_alpn, other_cert, other_staple, other_list};
    (void)state;
    uint64_t id = server_id(NULL);
    assert_true(id == server_id(NULL));
    assert_true(id == server_id(other_origin));
    for (size_t i = 0; i < ARRAY_LEN(CHANGES); i++)
        if (server_id(CHANGES[i]) == id)
            fail_msg("change %zu makes no other id", i);
}

static void a_key_is_in_no_image_but_its_own(void **state)
{
    struct sample s;
    (void)state;
    sample_init(&s);
    sample_streams(&s);
    /* people put the key beside the certificate */
    struct cert_info info = {.subject = STR("CN=c")};
    struct model_cert *c = model_cert(&s.m, STR("-----BEGIN CERTIFICATE-----\nleaf\n-----END CERTIFICATE-----\n"
                                                "-----BEGIN EC PRIVATE KEY-----\nsecret-c\n-----END EC PRIVATE KEY-----\n"
                                                "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nsecret-d\n"
                                                "-----END CERTIFICATE-----\n"
                                                "-----BEGIN CERTIFICATE-----\nca\n-----END CERTIFICATE-----"),
                                      STR("secret-c"), &info);
    assert_string_equal(c->chain.p, "-----BEGIN CERTIFICATE-----\nleaf\n-----END CERTIFICATE-----\n"
                                    "-----BEGIN CERTIFICATE-----\nca\n-----END CERTIFICATE-----");
    s.m.tls_servers.v[1]->ca = STR("-----BEGIN PRIVATE KEY-----\nsecret-e\n-----END PRIVATE KEY-----\n");
    struct snap *snap = sample_open(&s);
    assert_int_equal(str_find(buf_str(&s.image), STR("secret-")), -1);
    assert_int_equal(str_find(buf_str(&s.image), STR("PRIVATE KEY")), -1);
    struct buf dump = {0};
    model_dump(&s.m, &dump);
    assert_int_equal(str_find(buf_str(&dump), STR("secret-")), -1);
    buf_fini(&dump);
    snap_drop(snap);
    sample_fini(&s);
}

static void the_image_of_keys_has_those_that_are_used(void **state)
{
    struct sample s;
    struct keys *k;
    struct buf image = {0};
    (void)state;
    sample_init(&s);
    sample_streams(&s);
    struct model_cert *unused = sample_cert(&s, "unused"), *out = sample_cert(&s, "client");
    s.m.clusters.v[0]->tls = model_tls_client_add(&s.m);
    s.m.clusters.v[0]->tls->cert = out;
    assert_int_equal(compile_keys(&s.m, 9, &image), 0);
    assert_int_equal(keys_open_bytes(&k, buf_str(&image), NULL), 0);
    assert_int_equal(keys_generation(k), 9);
    assert_int_equal(keys_count(k), 3);
    assert_true(str_eq(keys_find(k, s.m.certs.v[0]->id), s.m.certs.v[0]->private_key));
    assert_true(str_eq(keys_find(k, out->id), out->private_key));
    assert_null(keys_find(k, unused->id).p);
    keys_close(k);
    keys_wipe(&image);
    buf_fini(&image);
    s.m.binds.v[1]->bind_error = 98; /* nobody can reach it */
    assert_int_equal(compile_keys(&s.m, 9, &image), 0);
    assert_int_equal(keys_open_bytes(&k, buf_str(&image), NULL), 0);
    assert_int_equal(keys_count(k), 2); /* of the clusters */
    keys_close(k);
    buf_fini(&image);
    sample_fini(&s);
}

static void equal_certificates_are_one(void **state)
{
    struct sample s;
    (void)state;
    sample_init(&s);
    struct model_cert *a = sample_cert(&s, "a");
    assert_ptr_equal(sample_cert(&s, "a"), a);
    struct model_cert *other_key = model_cert(&s.m, a->chain, STR("another key"), a->info);
    assert_ptr_not_equal(other_key, a);
    assert_true(other_key->id != a->id);
    assert_int_equal(s.m.certs.n, 2);
    sample_fini(&s);
}

static void an_empty_model_is_an_image_too(void **state)
{
    struct arena a;
    struct model m;
    struct buf image = {0};
    struct snap *snap;
    (void)state;
    arena_init(&a, 0, NULL);
    model_init(&m, &a);
    struct compile_input in = {.model = &m, .generation = 1, .slot = no_slot};
    assert_int_equal(compile_bytes(&in, &image, NULL), 0);
    assert_int_equal(snap_open_bytes(&snap, buf_str(&image), NULL), 0);
    assert_int_equal(snap->n[SNAP_BINDS], 0);
    snap_drop(snap);
    buf_fini(&image);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_image_says_what_the_model_says),
        cmocka_unit_test(endpoints_know_their_family),
        cmocka_unit_test(parts_of_rules_know_their_lines_and_equal_splits_are_one),
        cmocka_unit_test(the_same_model_gives_the_same_bytes),
        cmocka_unit_test(the_content_hash_knows_the_configuration_only),
        cmocka_unit_test(a_bind_that_failed_is_left_out),
        cmocka_unit_test(without_places_on_the_board_there_are_no_series),
        cmocka_unit_test(chains_and_streams_are_there_as_the_worker_needs_them),
        cmocka_unit_test(a_context_is_known_by_all_it_says_and_nothing_else),
        cmocka_unit_test(a_key_is_in_no_image_but_its_own),
        cmocka_unit_test(the_image_of_keys_has_those_that_are_used),
        cmocka_unit_test(equal_certificates_are_one),
        cmocka_unit_test(an_empty_model_is_an_image_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
