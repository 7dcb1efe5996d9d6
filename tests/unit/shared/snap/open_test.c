/* Who opens a snapshot may rely on it: what is not as it must be is refused, with a sentence. */
#include "shared/base/err.h"
#include "tests/unit/master/compile/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>
#include <cmocka.h>

static struct sample full(void)
{
    struct sample s;
    sample_init(&s);
    struct model_host *h = sample_host(&s, "a.example.com");
    h->fallback = sample_host(&s, "*.example.com");
    for (int i = 0; i < 20; i++) {
        char text[16];
        snprintf(text, sizeof(text), "v%d", i);
        sample_header(&s, sample_entry(&s, h, PATH_PREFIX_STRING, "/a"), "x", STRMATCH_EXACT, text);
    }
    sample_entry(&s, h, PATH_PREFIX_STRING, "/ab");
    sample_entry(&s, h, PATH_PREFIX_STRING, "/ac");
    sample_entry(&s, h, PATH_EXACT, "/e");
    sample_entry(&s, h, PATH_REGEX, "/r[0-9]");
    sample_entry(&s, h, PATH_EXACT, "/F")->path_ignore_case = true;
    sample_streams(&s);
    snap_drop(sample_open(&s));
    return s;
}

/* Opens the image with a mended checksum; the sentence goes to `why`. */
static int reopen(struct sample *s, struct buf *why)
{
    struct snap *snap = NULL;
    struct snap_header *h = (void *)s->image.p;
    h->checksum = snap_checksum(buf_str(&s->image));
    int rc = snap_open_bytes(&snap, buf_str(&s->image), why);
    snap_drop(snap);
    return rc;
}

#define ROW_OF(s, NAME, type, i) ((type *)(void *)((s)->image.p + ((struct snap_header *)(void *)(s)->image.p)->sections[SNAP_##NAME].off) + (i))

struct number { uint32_t v; };

/* Changes one member, expects the refusal to say `word`, puts it back. */
#define REFUSED(s, NAME, type, i, member, bad, word)                                               \
    do {                                                                                           \
        struct buf why = {0};                                                                      \
        type *row = ROW_OF(s, NAME, type, i), keep = *row;                                         \
        row->member = (bad);                                                                       \
        assert_true(reopen((s), &why) < 0);                                                        \
        if (strncmp(buf_cstr(&why), "section ", 8) != 0 || !strstr(buf_cstr(&why), word))          \
            fail_msg("%s.%s: %s", #NAME, #member, buf_cstr(&why));                                 \
        *ROW_OF(s, NAME, type, i) = keep;                                                          \
        buf_fini(&why);                                                                            \
    } while (0)

static void every_invariant_of_sockets_and_tls_has_a_check(void **state)
{
    struct sample s = full();
    (void)state;
    assert_int_equal(reopen(&s, NULL), 0);
    REFUSED(&s, ORIGINS, struct snap_origin, 0, object, 999, "object");
    REFUSED(&s, OBJECTS, struct snap_object, 0, name.off, 0x7fffffff, "name");
    REFUSED(&s, BINDS, struct snap_bind, 0, hosts.n, 99, "hosts");
    REFUSED(&s, BINDS, struct snap_bind, 0, default_host, 7, "default_host");
    REFUSED(&s, BINDS, struct snap_bind, 0, protocol, 77, "protocol");
    REFUSED(&s, BINDS, struct snap_bind, 0, flags, SNAP_BIND_DATAGRAM, "stream");
    REFUSED(&s, BINDS, struct snap_bind, 1, flags, 2, "flags");
    REFUSED(&s, BINDS, struct snap_bind, 1, stream_rule, 9999, "stream_rule");
    REFUSED(&s, BINDS, struct snap_bind, 1, stream_rule, 0, "stream");
    REFUSED(&s, BINDS, struct snap_bind, 1, chains.n, 99, "chains");
    REFUSED(&s, BINDS, struct snap_bind, 2, chains.n, 1, "chains");
    REFUSED(&s, BINDS, struct snap_bind, 1, default_chain, 9, "default_chain");
    REFUSED(&s, BINDS, struct snap_bind, 2, proxy_trusted.n, 9, "proxy_trusted");
    REFUSED(&s, CHAINS, struct snap_chain, 0, tls, SNAP_NONE, "tls");
    REFUSED(&s, CHAINS, struct snap_chain, 0, tls, 9, "tls");
    REFUSED(&s, CHAINS, struct snap_chain, 0, listener, 0, "chain");
    REFUSED(&s, CHAINS, struct snap_chain, 0, mode, 9, "mode");
    REFUSED(&s, CHAINS, struct snap_chain, 0, flags, 2, "flags");
    REFUSED(&s, CHAINS, struct snap_chain, 1, rule, SNAP_NONE, "rule");
    REFUSED(&s, CHAINS, struct snap_chain, 2, rule, SNAP_NONE, "rule");
    REFUSED(&s, CHAINS, struct snap_chain, 3, why.off, 0x7fffffff, "why");
    REFUSED(&s, CHAIN_SLOTS, struct snap_slot, 0, value, 12345, "value");
    REFUSED(&s, TLS_SERVERS, struct snap_tls_server, 0, certs.n, 0, "no certificate");
    REFUSED(&s, TLS_SERVERS, struct snap_tls_server, 0, certs.n, 99, "certs");
    REFUSED(&s, TLS_SERVERS, struct snap_tls_server, 0, client_auth, 9, "client_auth");
    REFUSED(&s, TLS_SERVERS, struct snap_tls_server, 0, min_version, 9, "min_version");
    REFUSED(&s, TLS_SERVERS, struct snap_tls_server, 0, max_version, 9, "max_version");
    REFUSED(&s, TLS_SERVERS, struct snap_tls_server, 0, alpn, 4, "alpn");
    REFUSED(&s, TLS_SERVERS, struct snap_tls_server, 1, sans.n, 99, "sans");
    REFUSED(&s, TLS_CLIENTS, struct snap_tls_client, 0, cert, 9, "cert");
    REFUSED(&s, TLS_CLIENTS, struct snap_tls_client, 0, flags, 0x80, "flags");
    REFUSED(&s, CERTS, struct snap_cert, 0, key_type, 9, "key_type");
    REFUSED(&s, CERTS, struct snap_cert, 0, names.n, 99, "names");
    REFUSED(&s, CERTS, struct snap_cert, 0, chain.len, 3, "NUL");
    REFUSED(&s, NAMES, struct snap_str, 0, len, 1, "NUL");
    REFUSED(&s, INDEXES, struct number, 0, v, 9, "certificate");
    REFUSED(&s, CIDRS, struct snap_cidr, 0, family, 5, "family");
    REFUSED(&s, CIDRS, struct snap_cidr, 0, bits, 33, "bits");
    REFUSED(&s, CIDRS, struct snap_cidr, 0, ip[1], 1, "bit 15");
    assert_int_equal(reopen(&s, NULL), 0);
    sample_fini(&s);
}

static void every_invariant_of_routes_has_a_check(void **state)
{
    struct sample s = full();
    (void)state;
    REFUSED(&s, LISTENERS, struct snap_listener, 0, bind, 5, "bind");
    REFUSED(&s, LISTENERS, struct snap_listener, 0, key.len, 3, "NUL");
    REFUSED(&s, HOSTS, struct snap_host, 0, fallback, 0, "fallback");
    REFUSED(&s, HOSTS, struct snap_host, 1, fallback, 0, "fallback");
    REFUSED(&s, HOSTS, struct snap_host, 0, flags, 64, "flags");
    REFUSED(&s, HOSTS, struct snap_host, 0, tree, 999, "tree");
    REFUSED(&s, HOSTS, struct snap_host, 0, any, 999, "any");
    REFUSED(&s, HOSTS, struct snap_host, 0, entries.n, 3, "entr");
    REFUSED(&s, HOST_SLOTS, struct snap_slot, 0, value, 12345, "value");
    REFUSED(&s, EXACT_SLOTS, struct snap_slot, 0, value, 12345, "value");
    REFUSED(&s, NODES, struct snap_node, 0, label_len, 0xffff, "label");
    REFUSED(&s, NODES, struct snap_node, 0, kids, 0, "kids");
    REFUSED(&s, NODES, struct snap_node, 1, byte, 'z', "kid");
    REFUSED(&s, NODES, struct snap_node, 1, label_len, 0, "kid");
    REFUSED(&s, NODES, struct snap_node, 0, set, 0x80000009, "set");
    REFUSED(&s, LISTS, struct snap_list, 0, level, 0, "level");
    REFUSED(&s, LISTS, struct snap_list, 0, log2, 31, "log2");
    REFUSED(&s, LISTS, struct snap_list, 0, rest, SNAP_SET_LIST, "rest");
    REFUSED(&s, LISTS, struct snap_list, 0, by, 9, "by");
    REFUSED(&s, LIST_SLOTS, struct snap_slot, 0, value, 12345, "value");
    REFUSED(&s, ENTRIES, struct snap_entry, 0, rule, 999, "rule");
    REFUSED(&s, ENTRIES, struct snap_entry, 0, path, 9, "path");
    REFUSED(&s, ENTRIES, struct snap_entry, 0, conds.n, 999, "conds");
    REFUSED(&s, CONDS, struct snap_cond, 0, type, 0, "type");
    REFUSED(&s, CONDS, struct snap_cond, 0, regex, 0, "regex");
    REFUSED(&s, REGEXES, struct snap_regex, 0, flags, SNAP_REGEX_SEARCH, "searching");
    REFUSED(&s, RULES, struct snap_rule, 0, total_weight, 7, "total_weight");
    REFUSED(&s, RULES, struct snap_rule, 0, action, ACTION_REDIRECT, "redirect");
    REFUSED(&s, RULES, struct snap_rule, 1, splits.first, 999, "splits");
    REFUSED(&s, SPLITS, struct snap_split, 0, place, 999, "place");
    REFUSED(&s, ENTRIES, struct snap_entry, 0, place, 999, "place");
    REFUSED(&s, ENTRIES, struct snap_entry, 0, section.off, 1u << 30, "section");
    REFUSED(&s, SPLITS, struct snap_split, 0, cluster, 9, "cluster");
    REFUSED(&s, RULES, struct snap_rule, 0, flags, 2, "flags");
    REFUSED(&s, CLUSTERS, struct snap_cluster, 0, endpoints.n, 9, "endpoints");
    REFUSED(&s, CLUSTERS, struct snap_cluster, 0, tls, 9, "tls");
    REFUSED(&s, CLUSTERS, struct snap_cluster, 0, protocol, 9, "protocol");
    REFUSED(&s, CLUSTERS, struct snap_cluster, 0, proxy_header, 9, "proxy_header");
    REFUSED(&s, ENDPOINTS, struct snap_endpoint, 0, family, 9, "family");
    REFUSED(&s, SERIES, struct snap_series, 0, index, 999, "index");
    assert_int_equal(reopen(&s, NULL), 0);
    sample_fini(&s);
}

static void ranks_and_runs_must_fit(void **state)
{
    struct sample s = full();
    (void)state;
    uint32_t *ranked = ROW_OF(&s, RANKED, uint32_t, 0);
    uint32_t t = ranked[0];
    ranked[0] = ranked[1];
    assert_int_equal(reopen(&s, NULL), GH_E_RANGE);
    ranked[0] = t;
    struct snap_header *h = (void *)s.image.p;
    struct snap_entry *e = ROW_OF(&s, ENTRIES, struct snap_entry, 0);
    uint32_t n = h->sections[SNAP_ENTRIES].n;
    assert_true(e[n - 1].flags & SNAP_ENTRY_LAST);
    e[n - 1].flags &= (uint8_t)~SNAP_ENTRY_LAST;
    assert_int_equal(reopen(&s, NULL), GH_E_RANGE);
    sample_fini(&s);
}

static void a_full_table_is_refused(void **state)
{
    struct sample s = full();
    (void)state;
    struct snap_header *h = (void *)s.image.p;
    for (uint32_t i = 0; i < h->sections[SNAP_EXACT_SLOTS].n; i++)
        ROW_OF(&s, EXACT_SLOTS, struct snap_slot, i)->value = 0;
    assert_int_equal(reopen(&s, NULL), GH_E_RANGE);
    sample_fini(&s);
}

static void the_outside_is_looked_at_first(void **state)
{
    struct sample s = full();
    struct snap *snap;
    struct buf why = {0};
    (void)state;
    struct snap_header *h = (void *)s.image.p, keep = *h;
    assert_int_equal(snap_open_bytes(&snap, str_of(s.image.p, 100), &why), GH_E_TRUNCATED);
    assert_int_equal(snap_open_bytes(&snap, str_of(s.image.p, s.image.n - 8), &why), GH_E_TRUNCATED);
    assert_int_equal(snap_open_bytes(&snap, STR(""), &why), GH_E_TRUNCATED);
    h->magic++;
    assert_int_equal(reopen(&s, &why), GH_E_FORMAT);
    *h = keep;
    h->version++;
    assert_int_equal(reopen(&s, &why), GH_E_VERSION);
    *h = keep;
    h->sections[SNAP_RULES].elem++;
    assert_int_equal(reopen(&s, &why), GH_E_VERSION);
    *h = keep;
    h->sections[SNAP_RULES].off -= SNAP_ALIGN;
    assert_int_equal(reopen(&s, &why), GH_E_RANGE);
    *h = keep;
    h->sections[SNAP_SERIES].n = 0x40000000;
    assert_int_equal(reopen(&s, &why), GH_E_RANGE);
    *h = keep;
    s.image.p[s.image.n - 1] ^= 1;
    assert_int_equal(snap_open_bytes(&snap, buf_str(&s.image), &why), GH_E_CHECKSUM);
    s.image.p[s.image.n - 1] ^= 1;
    h->generation++;
    assert_int_equal(snap_open_bytes(&snap, buf_str(&s.image), &why), GH_E_CHECKSUM);
    assert_null(snap);
    buf_fini(&why);
    sample_fini(&s);
}

static void only_a_sealed_descriptor_is_taken(void **state)
{
    struct sample s = full();
    struct snap *snap;
    struct buf why = {0};
    (void)state;
    int fd = image_seal("test", buf_str(&s.image));
    assert_true(fd >= 0);
    assert_int_equal(snap_open(&snap, fd, &why), 0);
    assert_int_equal(snap->head->generation, 7);
    assert_true(pwrite(fd, "x", 1, 0) < 0);
    close(fd);
    struct snap *again = snap_hold(snap);
    snap_drop(snap);
    assert_int_equal(again->n[SNAP_HOSTS], 3); /* still mapped */
    snap_drop(again);
    FILE *f = tmpfile();
    assert_non_null(f);
    assert_int_equal(snap_open(&snap, fileno(f), &why), GH_E_UNSEALED);
    fclose(f);
    assert_int_equal(snap_open(&snap, -1, &why), GH_E_UNSEALED);
    fd = image_seal("empty", STR(""));
    assert_int_equal(snap_open(&snap, fd, &why), GH_E_TRUNCATED);
    close(fd);
    buf_fini(&why);
    sample_fini(&s);
}

static void an_excerpt_needs_nothing_of_its_snapshot(void **state)
{
    (void)state;
    struct sample s = full();
    struct snap *snap = sample_open(&s);
    struct snap_part part = {&snap->LISTENERS[0], &snap->RULES[1], &snap->CLUSTERS[0]};
    uint32_t rule_slot = snap->RULES[1].slot, cluster_slot = snap->CLUSTERS[0].slot;
    uint64_t generation = snap->head->generation;
    struct buf names = {0}, again = {0};
    buf_adds(&names, snap_text(snap, part.listener->name));
    buf_adds(&names, snap_text(snap, part.rule->name));
    buf_adds(&names, snap_text(snap, part.rule->key));
    buf_adds(&names, snap_text(snap, part.cluster->name));
    struct snap *x = snap_excerpt(snap, &part), *y;
    assert_non_null(x);
    snap_drop(snap);
    memset(s.image.p, 0xff, s.image.n);
    assert_ptr_equal(part.rule, &x->RULES[0]);
    buf_adds(&again, snap_text(x, part.listener->name));
    buf_adds(&again, snap_text(x, part.rule->name));
    buf_adds(&again, snap_text(x, part.rule->key));
    buf_adds(&again, snap_text(x, part.cluster->name));
    assert_true(again.n > 0 && str_eq(buf_str(&again), buf_str(&names)));
    assert_int_equal(part.rule->slot, rule_slot);
    assert_int_equal(part.cluster->slot, cluster_slot);
    assert_int_equal(part.rule->splits.n, 0);
    assert_int_equal(x->head->generation, generation);
    part = (struct snap_part){0};
    y = snap_excerpt(x, &part); /* of nothing but settings */
    assert_non_null(y);
    assert_null(part.rule);
    snap_drop(y);
    snap_drop(x);
    buf_fini(&names);
    buf_fini(&again);
    sample_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_excerpt_needs_nothing_of_its_snapshot),
        cmocka_unit_test(every_invariant_of_sockets_and_tls_has_a_check),
        cmocka_unit_test(every_invariant_of_routes_has_a_check),
        cmocka_unit_test(ranks_and_runs_must_fit),
        cmocka_unit_test(a_full_table_is_refused),
        cmocka_unit_test(the_outside_is_looked_at_first),
        cmocka_unit_test(only_a_sealed_descriptor_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
