#include "tests/unit/shared/base/base_test.h"
#include "tests/unit/master/yaml/yaml_test.h"
#include "master/instance.h"
#include "shared/base/log.h"

struct fixture {
    struct arena arena;
    struct diags diags;
    struct source source;
    struct instance in;
    struct buf out;
    bool good;
};

static void read_text(struct fixture *f, struct str text)
{
    memset(f, 0, sizeof(*f));
    arena_init(&f->arena, 0, test_oom);
    diags_init(&f->diags, &f->arena);
    f->source = (struct source){.path = STR("gatehouse.yaml"), .text = arena_str(&f->arena, text)};
    instance_defaults(&f->in);
    f->good = instance_parse(&f->in, &f->arena, &f->source, &f->diags);
    diags_sort(&f->diags);
    for (size_t i = 0; i < f->diags.n; i++)
        diag_text(&f->diags.v[i], &f->out);
}

static void read_spec(struct fixture *f, const char *spec)
{
    struct buf b = {0};
    buf_addf(&b, "apiVersion: gatehouse.dev/v1alpha1\nkind: Instance\nspec:\n%s", spec);
    read_text(f, buf_str(&b));
    buf_fini(&b);
}

static void fini(struct fixture *f)
{
    buf_fini(&f->out);
    arena_fini(&f->arena);
}

static bool same_str(struct str a, struct str b)
{
    return str_eq(a, b);
}

static void assert_defaults(const struct instance *in)
{
    struct instance d;
    instance_defaults(&d);
    assert_int_equal(in->workers, d.workers);
    assert_true(same_str(in->user, d.user) && same_str(in->conf_dir, d.conf_dir) && same_str(in->state_dir, d.state_dir) &&
                same_str(in->run_dir, d.run_dir) && same_str(in->admin_address, d.admin_address) && same_str(in->ns, d.ns) &&
                same_str(in->cluster_domain, d.cluster_domain) && same_str(in->address_pool, d.address_pool));
    assert_int_equal(in->labels.n, 1);
    assert_true(str_eqc(in->labels.v[0].key, "istio") && str_eqc(in->labels.v[0].val, "ingressgateway"));
    assert_int_equal(in->controllers.n, 2);
    assert_true(same_str(in->controllers.v[0], d.controllers.v[0]) && same_str(in->controllers.v[1], d.controllers.v[1]));
    assert_int_equal(in->load_balancer, d.load_balancer);
    assert_int_equal(in->log_level, d.log_level);
    assert_int_equal(in->dns_servers.n, 0);
    assert_int_equal(in->metrics_max_series, d.metrics_max_series);
    assert_int_equal(in->mesh.certificate.n + in->mesh.private_key.n + in->mesh.root_certificate.n, 0);
    assert_true(same_str(in->mesh.trust_domain, d.mesh.trust_domain) && same_str(in->mesh.root_ns, d.mesh.root_ns));
    assert_true(in->access_log.json && same_str(in->access_log.path, d.access_log.path) && in->access_log.format.n == 0);
#define X(name, type, def, text) assert_int_equal(in->settings.name, (type)(def));
#include "shared/tbl/setting.def"
#undef X
}

static void no_file_text_or_setting_gives_the_defaults(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "# nothing\n", "apiVersion: gatehouse.dev/v1alpha1\nkind: Instance\nspec:\n",
                                        "apiVersion: gatehouse.dev/v1alpha1\nkind: Instance\nmetadata: {name: x}\nspec: {timeouts: {}, limits: {}, http: {}}\n"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct fixture f;
        read_text(&f, str_c(texts[i]));
        assert_string_equal(buf_cstr(&f.out), "");
        assert_true(f.good);
        assert_defaults(&f.in);
        fini(&f);
    }
}

/* "  #key: value" is a setting that may be switched on; "  # text" explains. */
static struct buf uncomment(struct str text)
{
    struct buf b = {0};
    struct str line;
    while (str_split(&text, '\n', &line)) {
        size_t n = 0;
        while (n < line.n && line.p[n] == ' ')
            n++;
        bool setting = n > 0 && n < line.n && line.p[n] == '#' && n + 2 < line.n &&
                       (line.p[n + 1] != ' ' || (line.p[n + 1] == ' ' && line.p[n + 2] == ' '));
        buf_adds(&b, str_head(line, n));
        buf_adds(&b, str_skip(line, setting ? n + 1 : n));
        buf_addch(&b, '\n');
    }
    return b;
}

static void the_shipped_file_shows_every_setting_with_its_default(void **state)
{
    (void)state;
    char path[512], text[32768];
    const char *dir = getenv("srcdir");
    snprintf(path, sizeof(path), "%s/etc/gatehouse.yaml", dir ? dir : ".");
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s", path);
    size_t n = fread(text, 1, sizeof(text), file);
    fclose(file);
    struct fixture f;
    read_text(&f, str_of(text, n));
    assert_string_equal(buf_cstr(&f.out), "");
    assert_defaults(&f.in);
    fini(&f);
    struct buf b = uncomment(str_of(text, n));
    read_text(&f, buf_str(&b));
    assert_string_equal(buf_cstr(&f.out), "");
    assert_true(f.good);
    struct instance d;
    instance_defaults(&d);
    f.in.conf_dir = d.conf_dir; /* of this build's sysconfdir */
    assert_defaults(&f.in);
    /* every field of the tables is in the file */
    const struct schema *spec = SCHEMA_INSTANCE.fields[0].sub;
    for (size_t i = 0; i < spec->n_fields; i++) {
        const struct node *at = node_get(node_get(f.in.node, "spec"), spec->fields[i].name);
        if (!at)
            fail_msg("%s is not in etc/gatehouse.yaml", spec->fields[i].name);
        for (size_t k = 0; spec->fields[i].sub && k < spec->fields[i].sub->n_fields; k++)
            if (!node_get(at, spec->fields[i].sub->fields[k].name))
                fail_msg("%s.%s is not in etc/gatehouse.yaml", spec->fields[i].name, spec->fields[i].sub->fields[k].name);
    }
    buf_fini(&b);
    fini(&f);
}

static void what_is_written_is_taken(void **state)
{
    (void)state;
    struct fixture f;
    read_spec(&f, "  workers: 3\n  user: \"\"\n  confDir: /c\n  stateDir: /s\n  runDir: /r\n  adminAddress: \"[::1]:0\"\n"
                  "  labels: {a: b, c: d}\n  namespace: edge\n  clusterDomain: local\n  controllerNames: [x.y/z]\n"
                  "  addressPool: 127.0.1.0/24\n  loadBalancer: random\n  logLevel: debug\n  dnsServers: [1.1.1.1, \"[::1]:53\", \"::1\"]\n"
                  "  accessLog: {path: /var/log/a, format: \"%RESPONSE_CODE%\"}\n  metrics: {maxSeries: 50}\n"
                  "  mesh: {certificate: /m/c, privateKey: /m/k, rootCertificate: /m/r, trustDomain: td, rootNamespace: root}\n"
                  "  timeouts: {header: 1s, idle: 1s, silent: 1500ms, bodyGrace: 1s, sendGrace: 1s, request: 2s, backend: 0s, streamIdle: 1s, tunnelIdle: 1s,\n"
                  "    tcpIdle: 1s, udpIdle: 1s, connect: 1s, upstreamIdle: 1s, tlsTicket: 90m, drain: 1m30s}\n"
                  "  limits: {maxHeaderBytes: 2048, maxUriBytes: 1024, maxFields: 8, maxBodyBytes: 10000000000, bufferBytes: 20000, replayBytes: 1,\n"
                  "    bodyMinRate: 1, sendMinRate: 1, maxRequestsPerConnection: 1, maxStreams: 1, maxConnections: 1, udpFlows: 16,\n"
                  "    upstreamPoolIdle: 1}\n"
                  "  http: {mergeSlashes: false, escapedSlash: keep, pathParameters: keep, underscoreHeaders: pass, via: true, forwarded: true,\n"
                  "    requestId: false, serverHeader: true, trustedHops: 2}\n");
    assert_string_equal(buf_cstr(&f.out), "");
    assert_true(f.good);
    assert_int_equal(f.in.workers, 3);
    assert_int_equal(f.in.user.n, 0);
    assert_str(f.in.conf_dir, "/c");
    assert_str(f.in.admin_address, "[::1]:0");
    assert_int_equal(f.in.labels.n, 2);
    assert_str(f.in.ns, "edge");
    assert_int_equal(f.in.controllers.n, 1);
    assert_int_equal(f.in.load_balancer, LB_RANDOM);
    assert_int_equal(f.in.log_level, LOG_LV_DEBUG);
    assert_int_equal(f.in.dns_servers.n, 3);
    assert_false(f.in.access_log.json);
    assert_str(f.in.access_log.format, "%RESPONSE_CODE%");
    assert_int_equal(f.in.metrics_max_series, 50);
    assert_str(f.in.mesh.certificate, "/m/c");
    assert_str(f.in.mesh.private_key, "/m/k");
    assert_str(f.in.mesh.root_certificate, "/m/r");
    assert_str(f.in.mesh.trust_domain, "td");
    assert_str(f.in.mesh.root_ns, "root");
    assert_int_equal(f.in.settings.header_timeout_ms, 1000);
    assert_int_equal(f.in.settings.ticket_lifetime_s, 5400);
    assert_int_equal(f.in.settings.silent_s, 2);
    assert_int_equal(f.in.settings.request_timeout_ms, 2000);
    assert_int_equal(f.in.settings.backend_timeout_ms, 0);
    assert_int_equal(f.in.settings.drain_timeout_ms, 90000);
#define X(name, type, def, text) assert_int_not_equal(f.in.settings.name, (type)(def)); /* every setting has its field */
#include "shared/tbl/setting.def"
#undef X
    assert_true(f.in.settings.max_body_bytes == 10000000000u);
    assert_int_equal(f.in.settings.max_fields, 8);
    assert_int_equal(f.in.settings.trusted_hops, 2);
    assert_int_equal(f.in.settings.merge_slashes, 0);
    assert_int_equal(f.in.settings.escaped_slash, 1);
    assert_int_equal(f.in.settings.underscore_headers, 1);
    assert_int_equal(f.in.settings.via, 1);
    assert_int_equal(f.in.settings.request_id, 0);
    fini(&f);
}

static void mistakes_are_findings_and_change_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *want;
    } rows[] = {
        {"  workers: 0\n", "4:12: error: Instance: spec.workers: workers can't be \"0\" (a number from 1 to 64, or auto)\n"},
        {"  workers: many\n", "4:12: error: Instance: spec.workers: workers can't be \"many\" (a number from 1 to 64, or auto)\n"},
        {"  wrokers: 1\n", "4:3: error: Instance: spec.wrokers: unknown field (did you mean \"workers\"?)\n"},
        {"  header: 1s\n", "4:3: error: Instance: spec.header: unknown field (it belongs under \"timeouts\")\n"},
        {"  timeouts: {header: 10}\n", "4:22: error: Instance: spec.timeouts.header: expected a duration such as \"30s\", found an integer (add a unit: \"10s\")\n"},
        {"  adminAddress: localhost\n", "4:17: error: Instance: spec.adminAddress: \"localhost\" is no ADDRESS:PORT (for instance 127.0.0.1:9901 or \"[::1]:9901\")\n"},
        {"  adminAddress: 127.0.0.1:99999\n", "4:17: error: Instance: spec.adminAddress: \"127.0.0.1:99999\" is no ADDRESS:PORT (for instance 127.0.0.1:9901 or \"[::1]:9901\")\n"},
        {"  dnsServers: [1.1.1.1, dns.example]\n", "4:25: error: Instance: spec.dnsServers[1]: \"dns.example\" is no ADDRESS or ADDRESS:PORT\n"},
        {"  confDir: \"\"\n", "4:12: error: Instance: spec.confDir: must not be empty\n"},
        {"  accessLog: {path: log}\n", "4:15: error: Instance: spec.accessLog.path: must be stdout, journal, off, or a path that begins with '/'\n"},
        {"  addressPool: 10.0.0.0\n", "4:16: error: Instance: spec.addressPool: \"10.0.0.0\" is not an address range: must be address/bits, such as 10.0.0.0/8\n"},
        {"  user: x\n  user: y\n", "5:3: error: the key \"user\" stands here twice, first in line 4 (the values would hide each other; merge them or take one away)\n"},
        {"  user: x\n---\na: 1\n", "1:1: error: one object of apiVersion gatehouse.dev/v1alpha1, kind Instance is expected here\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        char want[512];
        snprintf(want, sizeof(want), "gatehouse.yaml:%s", rows[i].want);
        read_spec(&f, rows[i].spec);
        assert_string_equal(buf_cstr(&f.out), want);
        assert_false(f.good);
        assert_defaults(&f.in);
        fini(&f);
    }
    struct fixture f;
    read_text(&f, STR("apiVersion: v1\nkind: Service\n"));
    assert_false(f.good);
    assert_non_null(strstr(buf_cstr(&f.out), "one object of apiVersion gatehouse.dev/v1alpha1, kind Instance is expected here"));
    fini(&f);
    read_text(&f, STR("a: [\n"));
    assert_false(f.good);
    fini(&f);
}

static void the_tables_have_no_slips(void **state)
{
    (void)state;
    struct buf why = {0};
    bool ok = schema_verify(&SCHEMA_INSTANCE, &why);
    assert_string_equal(buf_cstr(&why), "");
    assert_true(ok);
    buf_fini(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_file_text_or_setting_gives_the_defaults),
        cmocka_unit_test(the_shipped_file_shows_every_setting_with_its_default),
        cmocka_unit_test(what_is_written_is_taken),
        cmocka_unit_test(mistakes_are_findings_and_change_nothing),
        cmocka_unit_test(the_tables_have_no_slips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
