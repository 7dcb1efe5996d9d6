/*
 * instance.c - the table of kind Instance, and its values laid over the defaults.
 *
 * A setting of shared/tbl/setting.def has a field in one of the groups timeouts, limits and http below; the
 * copies at the end of this file are the only other place that names it.
 */
#include "master/instance.h"
#include "shared/http/log_format.h"
#include "master/kinds/format.h"
#include "master/yaml/parse.h"
#include "shared/base/log.h"

#define MAX_MS        (int64_t)(30 * 24 * 3600) * 1000
#define MAX_TICKET_MS (int64_t)(7 * 24 * 3600) * 1000 /* RFC 8446 4.6.1 */
#define MAX_SILENT_MS 60000
#define MAX_SIZE      (int64_t)1 << 40
#define MAX_COUNT     1000000

struct instance_timeouts {
    const struct node *node;
    struct opt_ms header, idle, silent, body_grace, send_grace, request, backend, stream_idle, tunnel_idle, tcp_idle, udp_idle, connect,
        upstream_idle, drain, ticket;
};

struct instance_limits {
    const struct node *node;
    struct opt_int max_header_bytes, max_uri_bytes, max_fields, max_body_bytes, buffer_bytes, replay_bytes, body_min_rate,
        send_min_rate, max_requests_per_connection, max_streams, max_connections, udp_flows, upstream_pool_idle;
};

enum refuse_keep { REFUSE, KEEP };

struct instance_http {
    const struct node *node;
    int32_t escaped_slash, path_parameters, underscore_headers;
    struct opt_bool merge_slashes, via, forwarded, request_id, server_header;
    struct opt_int trusted_hops;
};

struct instance_access_log {
    const struct node *node;
    struct str path, format;
};

struct instance_metrics {
    const struct node *node;
    struct opt_int max_series;
};

struct instance_mesh {
    const struct node *node;
    struct str certificate, private_key, root_certificate, trust_domain, root_ns;
};

struct instance_spec {
    const struct node *node;
    struct int_or_str workers;
    struct str user, conf_dir, state_dir, run_dir, admin_address, ns, cluster_domain, address_pool;
    struct str_map labels;
    struct str_list controllers, dns_servers;
    int32_t load_balancer, log_level;
    struct instance_access_log *access_log;
    struct instance_metrics *metrics;
    struct instance_mesh *mesh;
    struct instance_timeouts *timeouts;
    struct instance_limits *limits;
    struct instance_http *http;
};

struct instance_doc {
    const struct node *node;
    struct instance_spec *spec;
};

#define DURATION(member, name, text) \
    FIELD_DURATION(T, member, name, 0, FMT_GO_DURATION, text, .min = -1, .max = MAX_MS)
#define T struct instance_timeouts
static const struct field TIMEOUT_FIELDS[] = {
    DURATION(header, "header", "A request head must be complete within this time of its first byte. Default 10s"),
    DURATION(idle, "idle", "A keep-alive connection without a request is closed after this. Default 75s"),
    FIELD_DURATION(T, silent, "silent", 0, FMT_GO_DURATION, "A client of HTTP or TLS that says nothing is accepted after this, in whole seconds; 0s = at once. Default 1s",
                   .min = -1, .max = MAX_SILENT_MS),
    DURATION(body_grace, "bodyGrace", "A request body may be slower than limits.bodyMinRate for this long. Default 10s"),
    DURATION(send_grace, "sendGrace", "A client may take no byte of an answer for this long. Default 30s"),
    DURATION(request, "request", "The whole exchange, where the rule says nothing; 0s = none, the default"),
    DURATION(backend, "backend", "From sending the request to the head of the answer, where the rule says nothing. Default 60s"),
    DURATION(stream_idle, "streamIdle", "No byte in either direction of a running exchange. Default 5m"),
    DURATION(tunnel_idle, "tunnelIdle", "No byte in either direction of a WebSocket, another tunnel, or a call of gRPC. Default 1h"),
    DURATION(tcp_idle, "tcpIdle", "No byte in either direction of a TCP or passed through TLS connection, where the rule says nothing; 0s = none. Default 1h"),
    FIELD_DURATION(T, udp_idle, "udpIdle", 0, FMT_GO_DURATION, "No datagram in either direction of a UDP flow, where the rule says nothing. Default 60s", .min = 1000, .max = MAX_MS),
    DURATION(connect, "connect", "TCP connect to an endpoint. Default 5s"),
    DURATION(upstream_idle, "upstreamIdle", "A pooled upstream connection without a request is closed after this. Default 55s"),
    FIELD_DURATION(T, ticket, "tlsTicket", 0, FMT_GO_DURATION, "A TLS session can be resumed for this long; its key changes twice in that time. 0s = never. Default 24h",
                   .min = -1, .max = MAX_TICKET_MS),
    DURATION(drain, "drain", "A graceful stop: what is not finished then is cut. Default 30s"),
};
#undef T
static const struct schema SCHEMA_TIMEOUTS =
    SCHEMA(struct instance_timeouts, TIMEOUT_FIELDS, NULL, "How long things may take; absolute, not per read");

#define T struct instance_limits
static const struct field LIMIT_FIELDS[] = {
    FIELD_INT(T, max_header_bytes, "maxHeaderBytes", 0, 1024, 1 << 20, "Size of a message head. Default 65536"),
    FIELD_INT(T, max_uri_bytes, "maxUriBytes", 0, 128, 1 << 16, "Size of a request target. Default 16384"),
    FIELD_INT(T, max_fields, "maxFields", 0, 8, 1000, "Header fields of a message. Default 100"),
    FIELD_INT(T, max_body_bytes, "maxBodyBytes", 0, 0, MAX_SIZE, "Size of a request body; 0 = unlimited, the default"),
    FIELD_INT(T, buffer_bytes, "bufferBytes", 0, 16384, 1 << 30, "Bytes held per direction of an exchange before the sender is paused. Default 262144"),
    FIELD_INT(T, replay_bytes, "replayBytes", 0, 0, 1 << 26, "Request body kept for a retry. Default 65536"),
    FIELD_INT(T, body_min_rate, "bodyMinRate", 0, 0, 1 << 30, "Bytes per second a request body must arrive with after timeouts.bodyGrace; 0 = any. Default 240"),
    FIELD_INT(T, send_min_rate, "sendMinRate", 0, 0, 1 << 30, "Bytes per second a client must take an answer with after timeouts.sendGrace; 0 = any. Default 240"),
    FIELD_INT(T, max_requests_per_connection, "maxRequestsPerConnection", 0, 0, INT32_MAX, "Keep-alive requests of a client connection; 0 = unlimited, the default"),
    FIELD_INT(T, max_streams, "maxStreams", 0, 1, 10000, "Requests that a client may have at a time on one HTTP/2 connection. Default 128"),
    FIELD_INT(T, max_connections, "maxConnections", 0, 0, MAX_COUNT, "Client connections of a worker; 0 = from the descriptor limit, the default"),
    FIELD_INT(T, udp_flows, "udpFlows", 0, 16, MAX_COUNT, "UDP flows of a worker; the longest idle one makes room. Default 8192"),
    FIELD_INT(T, upstream_pool_idle, "upstreamPoolIdle", 0, 0, MAX_COUNT, "Idle connections kept per endpoint and worker; more than these, for 2s. Default 256"),
};
#undef T
static const struct schema SCHEMA_LIMITS = SCHEMA(struct instance_limits, LIMIT_FIELDS, NULL, "Sizes, rates and counts");

static const struct enum_row REFUSE_KEEP[] = {{"refuse", REFUSE}, {"keep", KEEP}, {NULL, 0}};
static const struct enum_row DROP_PASS[] = {{"drop", 0}, {"pass", 1}, {NULL, 0}};

#define T struct instance_http
static const struct field HTTP_FIELDS[] = {
    FIELD_BOOL(T, merge_slashes, "mergeSlashes", 0, "Whether // in a path counts as /. Default true"),
    FIELD_ENUM(T, escaped_slash, "escapedSlash", REFUSE_KEEP, REFUSE, "%2F and %5C in a path: refuse with 400, or keep as they are. Default refuse"),
    FIELD_ENUM(T, path_parameters, "pathParameters", REFUSE_KEEP, REFUSE, "';' in a path: refuse with 400, or keep as it is. Default refuse: servers differ about what belongs to the name"),
    FIELD_ENUM(T, underscore_headers, "underscoreHeaders", DROP_PASS, 0, "Header names with '_': drop or pass. Aliases of framing headers are always dropped. Default drop"),
    FIELD_INT(T, trusted_hops, "trustedHops", 0, 0, 32, "Proxies in front whose X-Forwarded-For and -Proto are believed, where a Gateway does not say it. Default 0"),
    FIELD_BOOL(T, request_id, "requestId", 0, "Whether to make X-Request-Id where a request has none. Default true"),
    FIELD_BOOL(T, via, "via", 0, "Whether to add Via to requests and responses. Default false"),
    FIELD_BOOL(T, forwarded, "forwarded", 0, "Whether to add Forwarded (RFC 7239) beside X-Forwarded-*. Default false"),
    FIELD_BOOL(T, server_header, "serverHeader", 0, "Whether answers made here carry Server: gatehouse. Default false"),
};
#undef T
static const struct schema SCHEMA_HTTP = SCHEMA(struct instance_http, HTTP_FIELDS, NULL, "How messages are read and written");

#define T struct instance_access_log
static const struct field ACCESS_LOG_FIELDS[] = {
    FIELD_STR(T, path, "path", FIELD_NONEMPTY, "stdout, journal, off, or a file. Default stdout", .max = 1024),
    FIELD_STR(T, format, "format", 0, "Empty or json for JSON, a preset's name, or a format string such as %START_TIME% %REQ(:METHOD)%; see docs/access-log.md", .max = 2000),
};
#undef T
static void check_log_path(struct decoder *d, const struct instance_access_log *log)
{
    static const char *const words[] = {"stdout", "journal", "off"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_eqc(log->path, words[i]))
            return;
    if (log->path.n > 0 && log->path.p[0] != '/')
        diag_at_key(d->diags, DIAG_BadValue, log->node, "path", NULL, "must be stdout, journal, off, or a path that begins with '/'");
}

static void check_access_log(struct decoder *d, void *obj)
{
    const struct instance_access_log *log = obj;
    struct log_format f;
    struct buf why = {0};
    check_log_path(d, log);
    if (log->format.n > 0 && !str_eqc(log->format, "json") && log_format_parse(log->format, &f, &why) < 0)
        diag_at_key(d->diags, DIAG_BadValue, log->node, "format", NULL, "%s", buf_cstr(&why));
    buf_fini(&why);
}
static const struct schema SCHEMA_ACCESS_LOG =
    SCHEMA(struct instance_access_log, ACCESS_LOG_FIELDS, check_access_log, "One line for each request");

#define T struct instance_metrics
static const struct field METRICS_FIELDS[] = {
    FIELD_INT(T, max_series, "maxSeries", 0, 10, 100000, "Label sets of one metric family; more are summed as other. Default 1000"),
};
#undef T
static const struct schema SCHEMA_METRICS = SCHEMA(struct instance_metrics, METRICS_FIELDS, NULL, "The metrics endpoint");

#define T struct instance_mesh
static const struct field MESH_FIELDS[] = {
    FIELD_STR(T, certificate, "certificate", 0, "File with the certificate chain of this instance, PEM; shown to peers by mode ISTIO_MUTUAL. Watched. Default none", .max = 1024),
    FIELD_STR(T, private_key, "privateKey", 0, "File with its private key, PEM. Watched. Default none", .max = 1024),
    FIELD_STR(T, root_certificate, "rootCertificate", 0, "File with the CA certificates of the mesh, PEM: peers must have a certificate of theirs. Watched. Default none", .max = 1024),
    FIELD_STR(T, trust_domain, "trustDomain", FIELD_NONEMPTY, "Trust domain of identities, as in spiffe://cluster.local/ns/a/sa/b. Default cluster.local", .format = FMT_DNS_SUBDOMAIN),
    FIELD_STR(T, root_ns, "rootNamespace", FIELD_NONEMPTY, "Namespace whose DestinationRules count for all others. Default istio-system", .format = FMT_DNS_LABEL),
};
#undef T
static void check_mesh(struct decoder *d, void *obj)
{
    static const char *const FILES[] = {"certificate", "privateKey", "rootCertificate"};
    const struct instance_mesh *m = obj;
    const struct str v[] = {m->certificate, m->private_key, m->root_certificate};
    for (size_t i = 0; i < ARRAY_LEN(FILES); i++) {
        if (v[i].n && v[i].p[0] != '/')
            diag_at_key(d->diags, DIAG_BadValue, m->node, FILES[i], NULL, "a path begins with '/'");
        if (!v[i].n && (v[0].n || v[1].n || v[2].n))
            diag_at(d->diags, DIAG_Required, m->node, "certificate, privateKey and rootCertificate go together", "%s is missing", FILES[i]);
    }
}
static const struct schema SCHEMA_MESH =
    SCHEMA(struct instance_mesh, MESH_FIELDS, check_mesh, "Who this instance is to its peers, and what the mesh shares");

static const struct enum_row LOAD_BALANCERS[] = {
    {"round-robin", LB_ROUND_ROBIN}, {"least-request", LB_LEAST_REQUEST}, {"random", LB_RANDOM}, {NULL, 0}};
static const struct enum_row LOG_LEVELS[] = {
    {"error", LOG_LV_ERROR}, {"warning", LOG_LV_WARN}, {"info", LOG_LV_INFO}, {"debug", LOG_LV_DEBUG}, {NULL, 0}};

#define T struct instance_spec
static const struct field SPEC_FIELDS[] = {
    FIELD_INT_OR_STR(T, workers, "workers", 0, "Processes that serve traffic: a number, or auto for one per processor. Default auto"),
    FIELD_STR(T, user, "user", 0, "Whom workers and compilers become when the master was started as root. Default gatehouse", .max = 64),
    FIELD_STR(T, conf_dir, "confDir", FIELD_NONEMPTY, "Where the objects are. Default " GH_SYSCONFDIR "/conf.d", .max = 1024),
    FIELD_STR(T, state_dir, "stateDir", FIELD_NONEMPTY, "Where identities and last good versions are kept. Default /var/lib/gatehouse", .max = 1024),
    FIELD_STR(T, run_dir, "runDir", FIELD_NONEMPTY, "Where the sockets and the lock are. Default /run/gatehouse", .max = 90),
    FIELD_STR(T, admin_address, "adminAddress", 0, "ADDRESS:PORT of /metrics, /status and the dashboard; empty = only the socket in runDir. Default 127.0.0.1:9901", .max = 64),
    FIELD_STR_MAP(T, labels, "labels", 0, "Labels of this instance, which Istio's Gateway selectors match. Default istio: ingressgateway",
                  .format = FMT_LABEL_KEY),
    FIELD_STR(T, ns, "namespace", FIELD_NONEMPTY, "Namespace of this instance. Default istio-system", .format = FMT_DNS_LABEL),
    FIELD_STR(T, cluster_domain, "clusterDomain", FIELD_NONEMPTY, "Suffix of service names. Default cluster.local", .format = FMT_DNS_SUBDOMAIN),
    FIELD_STR_LIST(T, controllers, "controllerNames", FIELD_NONEMPTY, "controllerName of GatewayClasses that are ours. Default gatehouse.dev/gateway-controller, istio.io/gateway-controller", .max = 16),
    FIELD_STR(T, address_pool, "addressPool", 0, "CIDR from which every Gateway gets an address of its own; empty = all share the wildcard address, the default", .format = FMT_CIDR),
    FIELD_ENUM(T, load_balancer, "loadBalancer", LOAD_BALANCERS, LB_LEAST_REQUEST, "How an endpoint is chosen where nothing else says so. Default least-request"),
    FIELD_ENUM(T, log_level, "logLevel", LOG_LEVELS, LOG_LV_INFO, "What the processes write to stderr or the journal. Default info"),
    FIELD_STR_LIST(T, dns_servers, "dnsServers", 0, "Name servers to ask instead of those of resolv.conf", .max = 8),
    FIELD_OBJ(T, access_log, "accessLog", 0, &SCHEMA_ACCESS_LOG, "The access log"),
    FIELD_OBJ(T, metrics, "metrics", 0, &SCHEMA_METRICS, "The metrics endpoint"),
    FIELD_OBJ(T, mesh, "mesh", 0, &SCHEMA_MESH, "Who this instance is to its peers, and what the mesh shares"),
    FIELD_OBJ(T, timeouts, "timeouts", 0, &SCHEMA_TIMEOUTS, "Time limits"),
    FIELD_OBJ(T, limits, "limits", 0, &SCHEMA_LIMITS, "Sizes, rates and counts"),
    FIELD_OBJ(T, http, "http", 0, &SCHEMA_HTTP, "How HTTP messages are read and written"),
};
#undef T

/* "IP:port" or "[IPv6]:port"; without the port, too, where it is not needed. */
static bool is_address(struct str s, bool port_needed)
{
    uint64_t port = 1;
    if (s.n > 0 && s.p[0] == '[') {
        ptrdiff_t close = str_chr(s, ']');
        if (close < 2 || str_chr(s, ':') > close || !format_check(FMT_IP, str_of(s.p + 1, (size_t)close - 1), NULL))
            return false;
        s = str_skip(s, (size_t)close + 1);
    } else {
        ptrdiff_t colon = str_chr(s, ':');
        bool bare_v6 = colon >= 0 && str_rchr(s, ':') != colon;
        struct str ip = colon < 0 || bare_v6 ? s : str_head(s, (size_t)colon);
        if (!format_check(FMT_IP, ip, NULL))
            return false;
        s = str_skip(s, ip.n);
    }
    if (s.n == 0)
        return !port_needed;
    return s.p[0] == ':' && str_u64(str_skip(s, 1), &port) && port <= 65535;
}

static void check_spec(struct decoder *d, void *obj)
{
    const struct instance_spec *s = obj;
    const struct node *n = node_get(s->node, "workers");
    if (n && (s->workers.is_int ? s->workers.i < 1 || s->workers.i > 64 : s->workers.set && !str_eqc(s->workers.s, "auto")))
        diag_at(d->diags, DIAG_BadValue, n, "a number from 1 to 64, or auto", "workers can't be %s", diag_quote(d->arena, node_text(n)));
    n = node_get(s->node, "adminAddress");
    if (n && s->admin_address.n && !is_address(s->admin_address, true))
        diag_at(d->diags, DIAG_BadValue, n, "for instance 127.0.0.1:9901 or \"[::1]:9901\"", "%s is no ADDRESS:PORT",
                diag_quote(d->arena, s->admin_address));
    n = node_get(s->node, "dnsServers");
    for (size_t i = 0; n && i < s->dns_servers.n; i++)
        if (!is_address(s->dns_servers.v[i], false))
            diag_at(d->diags, DIAG_BadValue, n->kids[i], NULL, "%s is no ADDRESS or ADDRESS:PORT",
                    diag_quote(d->arena, s->dns_servers.v[i]));
}
static const struct schema SCHEMA_SPEC = SCHEMA(struct instance_spec, SPEC_FIELDS, check_spec, "Settings of this process");

static const struct field DOC_FIELDS[] = {
    FIELD_OBJ(struct instance_doc, spec, "spec", FIELD_NULL_OK, &SCHEMA_SPEC, "Settings; every one has a default"),
    FIELD_NAMED("apiVersion", FIELD_SILENT, "gatehouse.dev/v1alpha1"),
    FIELD_NAMED("kind", FIELD_SILENT, "Instance"),
    FIELD_NAMED("metadata", FIELD_SILENT, "name; not used"),
};
const struct schema SCHEMA_INSTANCE =
    SCHEMA(struct instance_doc, DOC_FIELDS, NULL, "Process settings: " GH_SYSCONFDIR "/gatehouse.yaml");

void instance_defaults(struct instance *in)
{
    static const struct str_pair labels[] = {{{"istio", 5}, {"ingressgateway", 14}}};
    static const struct str controllers[] = {{"gatehouse.dev/gateway-controller", 32}, {"istio.io/gateway-controller", 27}};
    *in = (struct instance){
        .user = STR("gatehouse"),
        .conf_dir = STR(GH_SYSCONFDIR "/conf.d"),
        .state_dir = STR("/var/lib/gatehouse"),
        .run_dir = STR("/run/gatehouse"),
        .admin_address = STR("127.0.0.1:9901"),
        .labels = {(struct str_pair *)labels, ARRAY_LEN(labels)}, /* lists are only read */
        .ns = STR("istio-system"),
        .cluster_domain = STR("cluster.local"),
        .controllers = {(struct str *)controllers, ARRAY_LEN(controllers)},
        .load_balancer = LB_LEAST_REQUEST,
        .access_log = {.json = true, .path = STR("stdout")},
        .log_level = LOG_LV_INFO,
        .metrics_max_series = 1000,
        .mesh = {.trust_domain = STR("cluster.local"), .root_ns = STR("istio-system")},
        .settings = {
#define X(name, type, def, text) .name = (def),
#include "shared/tbl/setting.def"
#undef X
        },
    };
}

static void take_str(struct str *to, struct str from)
{
    if (from.p)
        *to = from;
}

static void take_timeouts(struct model_settings *s, const struct instance_timeouts *t)
{
#define TAKE(to, from) if (t->from.set) s->to = (uint32_t)t->from.ms
    TAKE(header_timeout_ms, header);
    TAKE(idle_timeout_ms, idle);
    TAKE(body_grace_ms, body_grace);
    TAKE(send_grace_ms, send_grace);
    TAKE(request_timeout_ms, request);
    TAKE(backend_timeout_ms, backend);
    TAKE(stream_idle_timeout_ms, stream_idle);
    TAKE(tunnel_idle_timeout_ms, tunnel_idle);
    TAKE(tcp_idle_timeout_ms, tcp_idle);
    TAKE(udp_idle_timeout_ms, udp_idle);
    TAKE(connect_timeout_ms, connect);
    TAKE(upstream_idle_timeout_ms, upstream_idle);
    TAKE(drain_timeout_ms, drain);
#undef TAKE
    if (t->silent.set)
        s->silent_s = (uint32_t)((t->silent.ms + 999) / 1000);
    if (t->ticket.set)
        s->ticket_lifetime_s = (uint32_t)((t->ticket.ms + 999) / 1000);
}

static void take_limits(struct model_settings *s, const struct instance_limits *l)
{
#define TAKE(member) if (l->member.set) s->member = (uint32_t)l->member.v
    TAKE(max_header_bytes);
    TAKE(max_uri_bytes);
    TAKE(max_fields);
    TAKE(buffer_bytes);
    TAKE(replay_bytes);
    TAKE(body_min_rate);
    TAKE(send_min_rate);
    TAKE(max_requests_per_connection);
    TAKE(max_streams);
    TAKE(max_connections);
    TAKE(udp_flows);
    TAKE(upstream_pool_idle);
#undef TAKE
    if (l->max_body_bytes.set)
        s->max_body_bytes = (uint64_t)l->max_body_bytes.v;
}

static void take_http(struct model_settings *s, const struct instance_http *h)
{
    s->escaped_slash = h->escaped_slash == KEEP;
    s->path_parameters = h->path_parameters == KEEP;
    s->underscore_headers = (uint32_t)h->underscore_headers;
#define TAKE(member) if (h->member.set) s->member = (uint32_t)h->member.v
    TAKE(merge_slashes);
    TAKE(via);
    TAKE(forwarded);
    TAKE(request_id);
    TAKE(server_header);
    TAKE(trusted_hops);
#undef TAKE
}

static void take_spec(struct instance *in, const struct instance_spec *s)
{
    if (s->workers.set)
        in->workers = s->workers.is_int ? (uint32_t)s->workers.i : 0;
    take_str(&in->user, s->user);
    take_str(&in->conf_dir, s->conf_dir);
    take_str(&in->state_dir, s->state_dir);
    take_str(&in->run_dir, s->run_dir);
    take_str(&in->admin_address, s->admin_address);
    take_str(&in->ns, s->ns);
    take_str(&in->cluster_domain, s->cluster_domain);
    take_str(&in->address_pool, s->address_pool);
    if (node_get(s->node, "labels"))
        in->labels = s->labels;
    if (s->controllers.n)
        in->controllers = s->controllers;
    in->dns_servers = s->dns_servers;
    in->load_balancer = (enum lb_policy)s->load_balancer;
    in->log_level = s->log_level;
    if (s->access_log) {
        take_str(&in->access_log.path, s->access_log->path);
        take_str(&in->access_log.format, s->access_log->format);
        in->access_log.json = in->access_log.format.n == 0 || str_eqc(in->access_log.format, "json");
        if (in->access_log.json)
            in->access_log.format = STR_NONE;
    }
    if (s->metrics && s->metrics->max_series.set)
        in->metrics_max_series = (uint32_t)s->metrics->max_series.v;
    if (s->mesh) {
        take_str(&in->mesh.certificate, s->mesh->certificate);
        take_str(&in->mesh.private_key, s->mesh->private_key);
        take_str(&in->mesh.root_certificate, s->mesh->root_certificate);
        take_str(&in->mesh.trust_domain, s->mesh->trust_domain);
        take_str(&in->mesh.root_ns, s->mesh->root_ns);
    }
    if (s->timeouts)
        take_timeouts(&in->settings, s->timeouts);
    if (s->limits)
        take_limits(&in->settings, s->limits);
    if (s->http)
        take_http(&in->settings, s->http);
}

bool instance_parse(struct instance *in, struct arena *a, const struct source *src, struct diags *ds)
{
    struct yaml_documents docs = {0};
    struct decoder d = {.arena = a, .diags = ds};
    struct instance_doc doc = {0};
    yaml_parse(a, src, &YAML_LIMITS_DEFAULT, ds, &docs);
    if (docs.broken)
        return false;
    if (docs.n == 0)
        return true;
    const struct node *root = docs.v[0].root;
    if (docs.n > 1 || root->type != NODE_MAP || !str_eqc(node_text(node_get(root, "kind")), "Instance") ||
        !str_eqc(node_text(node_get(root, "apiVersion")), "gatehouse.dev/v1alpha1")) {
        diag_file(ds, DIAG_NotAnObject, src->path, root->line, 1,
                  "one object of apiVersion gatehouse.dev/v1alpha1, kind Instance is expected here");
        return false;
    }
    if (!schema_decode(&d, &SCHEMA_INSTANCE, root, &doc) || docs.v[0].faulty)
        return false;
    in->node = root;
    if (doc.spec)
        take_spec(in, doc.spec);
    return true;
}
