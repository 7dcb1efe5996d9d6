/*
 * driver.c - a worker without a master, for tests and measurements: a dataplane over a snapshot that is made
 * from the command line. It serves until standard input ends; each line there is one order:
 *
 *   reload      compiles the same configuration as a new generation and commits it
 *   drain [MS]  as dataplane_drain, 5 s or as said, then exits
 *   turn        new keys of session tickets; prints "turned"
 *   counters    prints the process's counters as key=value lines, ended by a line "."
 *
 *   driver [--port N] [--log] [--set name=value]... [--cluster NAME=host:port[*weight],...[;option=value]]...
 *          [--tls 'name=... mode=... cert=FILE ...']... [--trusted CIDR]... (driver_tls.h)
 *          [--rule 'prefix=/x cluster=NAME[*weight][,NAME] ...']... [--tcp RULE]... [--udp RULE]...
 *
 * Prints "port N" when it serves, then on the same line "tcp N" and "udp N" for each of those. Options of a rule: prefix= element= exact= host= redirect=URL direct=STATUS:TEXT
 * rewrite=PREFIX request_ms= backend_ms= retry=N:bits[:code+code] set=Name:value (request) rset=Name:value
 * (response) remove=Name; of those for --tcp and --udp: cluster=, idle_ms=, address= (of the socket), sockets= (of a
 * udp one). Options of a cluster: lb=N h2c=1 alpn=1 connect_ms= max_connections= max_pending= max_requests= proxy=1|2.
 */
#include "master/compile/compile.h"
#include "shared/base/clock.h"
#include "shared/tls/keys.h"
#include "shared/tls/tls_build.h"
#include "tests/unit/worker/proxy/driver_tls.h"
#include "worker/proxy/access_log.h"
#include "worker/proxy/dataplane.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

struct driver {
    struct arena arena;
    struct model model;
    struct model_listener *listener;
    struct model_host *hosts[64];
    size_t n_hosts;
    uint32_t rank;
    uint64_t generation;
    uint32_t slots;
    uv_loop_t loop;
    uv_poll_t input;
    struct board *board;
    struct dataplane *dp;
    struct log log;
    int access_fd;
    uint16_t port;
    uint64_t ticket_s;
    struct layer4 {
        struct model_bind *bind;
        int fds[8];
        unsigned n_fds;
    } l4[16];
    size_t n_l4;
};

static bool option(struct str piece, const char *name, struct str *value)
{
    struct str n = str_c(name);
    if (!str_starts(piece, n))
        return false;
    *value = str_skip(piece, n.n);
    return true;
}

static uint32_t number(struct str s)
{
    uint64_t v = 0;
    if (!str_u64(s, &v))
        die("not a number: " STR_FMT, STR_ARG(s));
    return (uint32_t)v;
}

static void set(struct driver *d, struct str text)
{
    struct str name = str_head(text, (size_t)GH_MAX(str_chr(text, '='), 0)), value = str_skip(text, name.n + 1);
#define X(setting, type, def, what)                                                                \
    if (str_eqc(name, #setting)) {                                                                 \
        d->model.settings.setting = number(value);                                                 \
        return;                                                                                    \
    }
#include "shared/tbl/setting.def"
#undef X
    die("no setting " STR_FMT, STR_ARG(name));
}

static void add_endpoints(struct driver *d, struct model_cluster *c, struct str list)
{
    struct str one;
    while (str_split(&list, ',', &one)) {
        struct model_endpoint *e = arena_new(&d->arena, struct model_endpoint);
        ptrdiff_t star = str_rchr(one, '*');
        e->weight = star < 0 ? 1 : number(str_skip(one, (size_t)star + 1));
        if (star >= 0)
            one = str_head(one, (size_t)star);
        e->key = arena_str(&d->arena, one);
        if (str_starts(one, STR("unix:"))) {
            e->address = e->key;
        } else {
            ptrdiff_t colon = str_rchr(one, ':');
            e->address = str_head(one, (size_t)GH_MAX(colon, 0));
            e->port = (uint16_t)number(str_skip(one, (size_t)colon + 1));
        }
        *ARENA_PUSH(&d->arena, &c->endpoints) = e;
    }
}

static void cluster(struct driver *d, struct str text)
{
    struct str part, v, name = str_head(text, (size_t)GH_MAX(str_chr(text, '='), 0));
    struct str rest = str_skip(text, name.n + 1);
    bool made;
    struct model_cluster *c = model_cluster(&d->model, name, &made);
    c->name = name;
    if (str_split(&rest, ';', &part) && part.n)
        add_endpoints(d, c, part);
    while (rest.p && str_split(&rest, ';', &part)) {
        if (option(part, "lb=", &v))
            c->lb = (enum lb_policy)number(v);
        else if (option(part, "h2c=", &v))
            c->protocol = number(v) ? UPSTREAM_H2 : UPSTREAM_HTTP1;
        else if (option(part, "alpn=", &v))
            c->protocol = number(v) ? UPSTREAM_AUTO : UPSTREAM_HTTP1;
        else if (option(part, "connect_ms=", &v))
            c->connect_timeout_ms = number(v);
        else if (option(part, "max_connections=", &v))
            c->max_connections = number(v);
        else if (option(part, "max_pending=", &v))
            c->max_pending = number(v);
        else if (option(part, "max_requests=", &v))
            c->max_requests = number(v);
        else if (option(part, "proxy=", &v))
            c->proxy_header = (enum proxy_header)number(v);
        else if (!driver_cluster_tls(&d->model, c, part))
            die("no option " STR_FMT, STR_ARG(part));
    }
}

static struct model_host *host(struct driver *d, struct str name, struct model_listener *l)
{
    for (size_t i = 0; i < d->n_hosts; i++)
        if (str_eq(d->hosts[i]->name, name))
            return d->hosts[i];
    return d->hosts[d->n_hosts++] = model_host(&d->model, d->listener->bind, name, l);
}

static void header_op(struct driver *d, struct model_rule *r, enum filter_type type, enum header_op op, struct str v)
{
    struct model_filter *f = ARENA_PUSH(&d->arena, &r->filters);
    f->type = type;
    ptrdiff_t colon = str_chr(v, ':');
    struct str name = colon < 0 ? v : str_head(v, (size_t)colon);
    struct str value = colon < 0 ? STR("") : str_skip(v, (size_t)colon + 1);
    *ARENA_PUSH(&d->arena, &f->u.headers) = (struct model_header_op){op, name, value, str_chr(value, '%') >= 0};
}

static void retry(struct driver *d, struct model_rule *r, struct str v)
{
    struct str part;
    str_split(&v, ':', &part);
    r->retry.attempts = (uint16_t)number(part);
    if (v.p && str_split(&v, ':', &part))
        r->retry.on = number(part);
    if (v.p && str_split(&v, ':', &part)) {
        r->retry.codes = arena_new_n(&d->arena, uint16_t, 16);
        struct str code;
        while (str_split(&part, '+', &code))
            r->retry.codes[r->retry.n_codes++] = (uint16_t)number(code);
    }
    r->retry.backoff_ms = 5;
}

static void splits(struct driver *d, struct model_rule *r, struct str list)
{
    struct str one;
    while (str_split(&list, ',', &one)) {
        ptrdiff_t star = str_rchr(one, '*');
        struct model_split *s = ARENA_PUSH(&d->arena, &r->splits);
        bool made;
        s->weight = star < 0 ? 1 : number(str_skip(one, (size_t)star + 1));
        s->name = star < 0 ? one : str_head(one, (size_t)star);
        s->cluster = str_eqc(s->name, "invalid") ? NULL : model_cluster(&d->model, s->name, &made);
        s->status = 500;
        s->reason = REASON_INVALID_BACKEND;
    }
}

static void redirect(struct driver *d, struct model_rule *r, struct str v)
{
    r->action = ACTION_REDIRECT;
    r->redirect = arena_new(&d->arena, struct model_redirect);
    *r->redirect = (struct model_redirect){.status = 302, .host = v, .port_mode = PORT_LISTENER};
}

static void rule(struct driver *d, struct str text)
{
    struct model_rule *r = model_rule_add(&d->model, arena_strf(&d->arena, "rule/%u", d->rank));
    struct model_match *m = arena_new(&d->arena, struct model_match);
    struct str piece, v, name = STR("*");
    struct model_listener *l = d->listener;
    r->name = r->key;
    while (str_split(&text, ' ', &piece)) {
        if (option(piece, "prefix=", &v)) {
            m->path = PATH_PREFIX_STRING;
            m->path_value = v;
        } else if (option(piece, "element=", &v)) {
            m->path = PATH_PREFIX_ELEMENT;
            m->path_value = v;
        } else if (option(piece, "exact=", &v)) {
            m->path = PATH_EXACT;
            m->path_value = v;
        } else if (option(piece, "host=", &v)) {
            name = v;
        } else if (option(piece, "listener=", &v)) {
            l = driver_listener(&d->model, d->listener->bind, v, LISTENER_HTTPS);
        } else if (option(piece, "cluster=", &v)) {
            splits(d, r, v);
        } else if (option(piece, "redirect=", &v)) {
            redirect(d, r, v);
        } else if (option(piece, "direct=", &v)) {
            r->action = ACTION_DIRECT;
            r->direct = arena_new(&d->arena, struct model_direct);
            r->direct->status = (uint16_t)number(str_head(v, 3));
            r->direct->body = v.n > 4 ? str_skip(v, 4) : STR("");
        } else if (option(piece, "rewrite=", &v)) {
            struct model_filter *f = ARENA_PUSH(&d->arena, &r->filters);
            f->type = FILTER_REWRITE;
            f->u.rewrite.path = (struct model_path_rewrite){REWRITE_PREFIX_STRING, v, STR_NONE};
        } else if (option(piece, "set=", &v)) {
            header_op(d, r, FILTER_REQUEST_HEADERS, HEADER_SET, v);
        } else if (option(piece, "remove=", &v)) {
            header_op(d, r, FILTER_REQUEST_HEADERS, HEADER_REMOVE, v);
        } else if (option(piece, "rset=", &v)) {
            header_op(d, r, FILTER_RESPONSE_HEADERS, HEADER_SET, v);
        } else if (option(piece, "request_ms=", &v)) {
            r->has_request_timeout = true;
            r->request_timeout_ms = number(v);
        } else if (option(piece, "backend_ms=", &v)) {
            r->has_backend_timeout = true;
            r->backend_timeout_ms = number(v);
        } else if (option(piece, "retry=", &v)) {
            retry(d, r, v);
        } else {
            die("no option " STR_FMT, STR_ARG(piece));
        }
    }
    if (r->action == ACTION_SPLIT && !r->splits.n)
        r->no_backend_status = 500;
    struct model_host *h = host(d, name, l);
    uint32_t rank = (uint32_t)h->entries.n;
    *ARENA_PUSH(&d->arena, &h->entries) = (struct model_entry){m, r, rank};
    d->rank++;
}

static uint32_t slot(void *ctx, const char *table, struct str key)
{
    (void)table;
    return (uint32_t)(hash_str(key, 0) % 1000) + 1 + 0 * ((struct driver *)ctx)->slots;
}

static int load(struct driver *d)
{
    struct buf image = {0}, keys = {0}, why = {0};
    struct compile_input in = {.model = &d->model, .generation = ++d->generation, .slot = slot, .slot_ctx = d};
    int fd = -1, keys_fd = -1;
    if (compile_bytes(&in, &image, &why) || (fd = image_seal("driver", buf_str(&image))) < 0 ||
        compile_keys(&d->model, d->generation, &keys) || (keys_fd = image_seal("driver", buf_str(&keys))) < 0 ||
        dataplane_offer(d->dp, fd, keys_fd, &why) || !dataplane_commit(d->dp, d->generation))
        die("snapshot: " STR_FMT, STR_ARG(buf_str(&why)));
    close(fd);
    close(keys_fd);
    keys_wipe(&keys);
    buf_fini(&keys);
    buf_fini(&image);
    buf_fini(&why);
    return 0;
}

/* A bound socket; *port 0 becomes the one it got. `shared`: others may bind the same. */
static int socket_at(struct str address, uint16_t *port, int type, bool shared)
{
    char text[64];
    bool six = str_chr(address, ':') >= 0;
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(*port)};
    struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(*port)};
    struct sockaddr *a = six ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4;
    socklen_t len = six ? sizeof(a6) : sizeof(a4);
    snprintf(text, sizeof(text), STR_FMT, STR_ARG(address));
    int fd = socket(a->sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, shared ? SO_REUSEPORT : SO_REUSEADDR, &(int){1}, sizeof(int));
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int));
    if (inet_pton(a->sa_family, text, six ? (void *)&a6.sin6_addr : (void *)&a4.sin_addr) != 1 || bind(fd, a, len) ||
        (type == SOCK_STREAM && listen(fd, 4096)) || getsockname(fd, a, &len))
        die("cannot bind %s: %s", text, strerror(errno));
    *port = ntohs(six ? a6.sin6_port : a4.sin_port);
    return fd;
}

static int listen_on(struct driver *d)
{
    return socket_at(STR("127.0.0.1"), &d->port, SOCK_STREAM, false);
}

/* A bind whose bytes or datagrams go to a cluster. */
static void layer4(struct driver *d, struct str text, bool datagram)
{
    struct layer4 *l = &d->l4[d->n_l4++];
    struct model_rule *r = model_rule_add(&d->model, arena_strf(&d->arena, "l4/%zu", d->n_l4));
    struct str piece, v, address = STR("127.0.0.1");
    uint16_t port = 0;
    l->n_fds = 1;
    r->name = r->key;
    while (str_split(&text, ' ', &piece)) {
        if (!piece.n)
            continue;
        if (option(piece, "cluster=", &v))
            splits(d, r, v);
        else if (option(piece, "idle_ms=", &v))
            r->idle_timeout_ms = number(v);
        else if (option(piece, "address=", &v))
            address = v;
        else if (option(piece, "sockets=", &v))
            l->n_fds = GH_MIN(number(v), (uint32_t)ARRAY_LEN(l->fds));
        else
            die("no option " STR_FMT, STR_ARG(piece));
    }
    r->no_backend_status = r->splits.n ? 0 : 500;
    for (unsigned i = 0; i < l->n_fds; i++)
        l->fds[i] = socket_at(address, &port, datagram ? SOCK_DGRAM : SOCK_STREAM, l->n_fds > 1);
    l->bind = datagram ? model_bind_udp(&d->model, address, port) : model_bind(&d->model, address, port);
    struct model_listener *k = model_listener_add(l->bind, &d->arena, arena_strf(&d->arena, "l4/listener/%zu", d->n_l4),
                                                  STR("*"));
    k->name = k->key;
    k->protocol = datagram ? LISTENER_UDP : LISTENER_TCP;
    l->bind->stream_rule = r;
}

static void drained(void *arg)
{
    dataplane_quit(((struct driver *)arg)->dp);
}

static void print_counters(struct driver *d)
{
    struct board_counters *c = &board_proc(d->board, 1)->counters;
#define X(name, type, unit, text) printf("%s=%llu\n", #name, (unsigned long long)board_get(&c->name));
#include "shared/tbl/counter.def"
#undef X
    struct board_tls *t = &board_proc(d->board, 1)->tls;
    static const char *const faults[] = {
#define X(name, word, text) word,
#include "shared/tbl/tls_fault.def"
#undef X
    };
    for (int side = 0; side < BOARD_TLS_SIDES; side++) {
        for (int i = 0; i < 4; i++)
            printf("tls%d_1.%d_%d=%llu\n", side, 2 + i / 2, i % 2, (unsigned long long)board_get(&t->handshakes[side][i / 2][i % 2]));
        for (int i = 1; i < TLS_FAULT_COUNT; i++)
            printf("tls%d_%s=%llu\n", side, faults[i], (unsigned long long)board_get(&t->faults[side][i]));
    }
    printf(".\n");
    fflush(stdout);
}

static void on_input(uv_poll_t *p, int status, int events)
{
    struct driver *d = p->data;
    char line[256];
    (void)events;
    ssize_t n = status ? 0 : read(0, line, sizeof(line) - 1);
    if (n <= 0) {
        dataplane_quit(d->dp);
        uv_poll_stop(p);
        return;
    }
    line[n] = '\0';
    if (!strncmp(line, "reload", 6))
        load(d);
    else if (!strncmp(line, "turn", 4)) {
        board_tickets_rotate(board_tickets(d->board), d->ticket_s += 50000, 86400);
        printf("turned\n");
        fflush(stdout);
    }
    else if (!strncmp(line, "drain", 5))
        dataplane_drain(d->dp, clock_ms() + (n > 7 ? strtoull(line + 6, NULL, 10) : 5000), drained, d);
    else if (!strncmp(line, "counters", 8))
        print_counters(d);
    if (!strncmp(line, "reload", 6)) {
        printf("generation %llu\n", (unsigned long long)d->generation);
        fflush(stdout);
    }
}

static void parse(struct driver *d, int argc, char **argv)
{
    const struct model_settings def = {
#define X(name, type, value, text) .name = (value),
#include "shared/tbl/setting.def"
#undef X
    };
    model_init(&d->model, &d->arena);
    d->model.settings = def;
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--port") && i + 1 < argc)
            d->port = (uint16_t)number(str_c(argv[++i]));
    int fd = listen_on(d);
    struct model_bind *b = model_bind(&d->model, STR("127.0.0.1"), d->port);
    d->listener = model_listener_add(b, &d->arena, STR("test/listener"), STR("*"));
    d->listener->name = STR("test/listener");
    for (int i = 1; i < argc; i++) {
        struct str v = i + 1 < argc ? str_c(argv[i + 1]) : STR("");
        if (!strcmp(argv[i], "--set"))
            set(d, v);
        else if (!strcmp(argv[i], "--cluster"))
            cluster(d, v);
        else if (!strcmp(argv[i], "--rule"))
            rule(d, v);
        else if (!strcmp(argv[i], "--tls"))
            driver_chain(&d->model, b, d->listener, v);
        else if (!strcmp(argv[i], "--trusted"))
            driver_trusted(&d->model, b, v);
        else if (!strcmp(argv[i], "--tcp") || !strcmp(argv[i], "--udp"))
            layer4(d, v, !strcmp(argv[i], "--udp"));
        else if (!strcmp(argv[i], "--log"))
            d->access_fd = 2;
        if (strcmp(argv[i], "--log"))
            i++;
    }
    const char *wrong = model_check(&d->model);
    if (wrong)
        die("model: %s", wrong);
    int board_fd;
    if (board_make(&d->board, &board_fd))
        die("board");
    close(board_fd);
    board_tickets_rotate(board_tickets(d->board), d->ticket_s = 1000, 86400);
    struct board_proc *me = board_proc(d->board, 1);
    me->role = ROLE_WORKER;
    me->state = PROC_ACTIVE;
    struct access_log *access = NULL;
    if (d->access_fd >= 0) {
        access = access_log_new(&(struct access_log_config){.loop = &d->loop, .me = me, .log = &d->log, .json = true});
        access_log_set_fd(access, dup(d->access_fd));
    }
    d->dp = dataplane_new(&(struct dataplane_config){
        .loop = &d->loop, .board = d->board, .row = 1, .log = &d->log, .access = access, .fd_limit = 20000,
        .system_ca_fd = open("/etc/ssl/certs/ca-certificates.crt", O_RDONLY | O_CLOEXEC)});
    if (!d->dp)
        die("dataplane");
    dataplane_listener_add(d->dp, snap_bind_id(STR("127.0.0.1"), d->port, false), fd, false);
    for (size_t k = 0; k < d->n_l4; k++)
        for (unsigned s = 0; s < d->l4[k].n_fds; s++) {
            struct model_bind *at = d->l4[k].bind;
            dataplane_listener_add(d->dp, snap_bind_id(at->address, at->port, at->datagram), d->l4[k].fds[s],
                                   at->datagram);
        }
    load(d);
    dataplane_set_active(d->dp, true);
    printf("port %u", d->port);
    for (size_t k = 0; k < d->n_l4; k++)
        printf(" %s %u", d->l4[k].bind->datagram ? "udp" : "tcp", d->l4[k].bind->port);
    printf("\n");
    fflush(stdout);
    uv_poll_init(&d->loop, &d->input, 0);
    d->input.data = d;
    uv_poll_start(&d->input, UV_READABLE, on_input);
    dataplane_run(d->dp);
    dataplane_free(d->dp);
    access_log_free(access);
}

int main(int argc, char **argv)
{
    struct driver d = {.access_fd = -1};
    signal(SIGPIPE, SIG_IGN);
    tls_build_start();
    arena_init(&d.arena, 0, NULL);
    uv_loop_init(&d.loop);
    log_init(&d.log, 2, "driver");
    parse(&d, argc, argv);
    uv_close((uv_handle_t *)&d.input, NULL);
    uv_run(&d.loop, UV_RUN_DEFAULT);
    uv_loop_close(&d.loop);
    board_close(d.board);
    arena_fini(&d.arena);
    return 0;
}
