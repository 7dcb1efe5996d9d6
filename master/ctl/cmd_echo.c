/*
 * cmd_echo.c - `gatehouse echo`: a small backend that answers with what it was asked.
 *
 * For the quick start, examples and benchmarks, so that trying the gateway needs nothing else. It is no
 * product: HTTP/1.1 without TLS, one process, bounded heads. Paths: /bytes/N answers N bytes, /status/N
 * that status, /delay/MS waits first; anything else (these too, where they have no such number) answers
 * JSON: name, method, path, headers and the number of body bytes.
 */
#include "master/ctl/ctl.h"
#include "shared/base/str.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#define ECHO_HEAD_MAX  65536
#define ECHO_BYTES_MAX (64u << 20)

struct echo {
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_signal_t sigint, sigterm;
    const char *name;
    bool quiet;
};

enum echo_phase { ECHO_HEAD, ECHO_BODY, ECHO_CHUNK_SIZE, ECHO_CHUNK_DATA, ECHO_TRAILERS };

/* One client connection; owned by its uv handles, freed when both are closed. */
struct echo_conn {
    uv_tcp_t tcp;
    uv_timer_t delay;
    struct echo *echo;
    struct buf in;      /* bytes not yet understood */
    struct buf head;    /* of the current request */
    enum echo_phase phase;
    uint64_t left;      /* body or chunk bytes to come */
    uint64_t body;      /* body bytes seen */
    bool close;         /* after this answer */
    bool busy;          /* an answer is waiting for its delay */
    unsigned handles;
};

struct echo_write {
    uv_write_t req;
    struct buf out;
};

static void conn_read(struct echo_conn *c);

static void on_closed(uv_handle_t *h)
{
    struct echo_conn *c = h->data;
    if (--c->handles > 0)
        return;
    buf_fini(&c->in);
    buf_fini(&c->head);
    free(c);
}

static void conn_close(struct echo_conn *c)
{
    if (uv_is_closing((uv_handle_t *)&c->tcp))
        return;
    uv_close((uv_handle_t *)&c->tcp, on_closed);
    uv_close((uv_handle_t *)&c->delay, on_closed);
}

static void on_written(uv_write_t *req, int status)
{
    struct echo_write *w = CONTAINER_OF(req, struct echo_write, req);
    struct echo_conn *c = req->handle->data;
    buf_fini(&w->out);
    free(w);
    if (status < 0 || c->close)
        conn_close(c);
}

static void conn_send(struct echo_conn *c, struct buf *out)
{
    uv_buf_t b = uv_buf_init(out->p, (unsigned)out->n);
    int n = out->oom ? UV_ENOMEM : uv_try_write((uv_stream_t *)&c->tcp, &b, 1);
    if (n == (int)out->n || (n < 0 && n != UV_EAGAIN)) {
        buf_fini(out);
        if (n < 0 || c->close)
            conn_close(c);
        return;
    }
    struct echo_write *w = calloc(1, sizeof(*w));
    if (!w) {
        buf_fini(out);
        conn_close(c);
        return;
    }
    w->out = *out;
    b.base += n > 0 ? n : 0;
    b.len -= (size_t)(n > 0 ? n : 0);
    if (uv_write(&w->req, (uv_stream_t *)&c->tcp, &b, 1, on_written) != 0) {
        buf_fini(&w->out);
        free(w);
        conn_close(c);
    }
}

/* "/bytes/12?x" -> 12 for prefix "/bytes/"; false when it is not that. */
static bool path_number(struct str path, const char *prefix, uint64_t *n)
{
    struct str p = str_c(prefix);
    ptrdiff_t q = str_chr(path, '?');
    if (q >= 0)
        path.n = (size_t)q;
    return str_starts(path, p) && str_u64(str_skip(path, p.n), n);
}

struct echo_request {
    struct str method, path, headers; /* headers: the lines behind the request line */
};

static struct echo_request request_of(const struct echo_conn *c)
{
    struct echo_request r = {0};
    struct str rest = buf_str(&c->head), line = {0};
    str_split(&rest, '\n', &line);
    r.headers = rest;
    str_split(&line, ' ', &r.method);
    str_split(&line, ' ', &r.path);
    return r;
}

static struct str header_of(struct str lines, const char *name)
{
    struct str line;
    while (str_split(&lines, '\n', &line)) {
        ptrdiff_t colon = str_chr(line, ':');
        if (colon > 0 && str_ieq(str_head(line, (size_t)colon), str_c(name)))
            return str_trim(str_skip(line, (size_t)colon + 1), " \t\r");
    }
    return STR_NONE;
}

static void add_json(struct echo_conn *c, const struct echo_request *r, struct buf *body)
{
    struct str lines = r->headers, line;
    const char *comma = "";
    buf_addc(body, "{\"name\":");
    buf_json(body, str_c(c->echo->name));
    buf_addc(body, ",\"method\":");
    buf_json(body, r->method);
    buf_addc(body, ",\"path\":");
    buf_json(body, r->path);
    buf_addc(body, ",\"headers\":[");
    while (str_split(&lines, '\n', &line)) {
        ptrdiff_t colon = str_chr(line, ':');
        if (colon <= 0)
            continue;
        buf_addf(body, "%s[", comma);
        buf_json(body, str_head(line, (size_t)colon));
        buf_addc(body, ",");
        buf_json(body, str_trim(str_skip(line, (size_t)colon + 1), " \t\r"));
        buf_addc(body, "]");
        comma = ",";
    }
    buf_addf(body, "],\"body_bytes\":%llu}\n", (unsigned long long)c->body);
}

static void answer(struct echo_conn *c)
{
    struct echo_request r = request_of(c);
    struct buf out = {0}, body = {0};
    uint64_t n = 0, status = 200;
    const char *type = "application/json";

    if (path_number(r.path, "/bytes/", &n) && n <= ECHO_BYTES_MAX) {
        type = "application/octet-stream";
        if (buf_reserve(&body, n)) {
            memset(body.p + body.n, 'x', n);
            body.n += n;
        }
    } else {
        if (!path_number(r.path, "/status/", &status) || status < 200 || status > 599)
            status = 200;
        if (status != 204 && status != 304)
            add_json(c, &r, &body);
    }
    buf_addf(&out, "HTTP/1.1 %u %s\r\n", (unsigned)status, status == 200 ? "OK" : "Status");
    if (status != 204)
        buf_addf(&out, "content-type: %s\r\ncontent-length: %zu\r\n", type, body.n);
    buf_addf(&out, "x-backend: %s\r\n%s\r\n", c->echo->name, c->close ? "connection: close\r\n" : "");
    if (!str_eqc(r.method, "HEAD"))
        buf_adds(&out, buf_str(&body));
    out.oom |= body.oom;
    buf_fini(&body);
    if (!c->echo->quiet)
        printf("%s " STR_FMT " " STR_FMT " %u\n", c->echo->name, STR_ARG(r.method), STR_ARG(r.path), (unsigned)status);
    buf_clear(&c->head);
    c->body = 0;
    c->phase = ECHO_HEAD;
    conn_send(c, &out);
}

static void on_delay(uv_timer_t *t)
{
    struct echo_conn *c = t->data;
    c->busy = false;
    answer(c);
    if (!uv_is_closing((uv_handle_t *)&c->tcp))
        conn_read(c);
}

static void request_done(struct echo_conn *c)
{
    struct echo_request r = request_of(c);
    uint64_t ms;
    if (path_number(r.path, "/delay/", &ms) && ms > 0 && ms <= 3600000) {
        c->busy = true;
        uv_timer_start(&c->delay, on_delay, ms, 0);
        return;
    }
    answer(c);
}

/* The head is in c->head; what follows it decides the phase. */
static void head_done(struct echo_conn *c)
{
    struct echo_request r = request_of(c);
    struct str cl = header_of(r.headers, "content-length");
    struct str te = header_of(r.headers, "transfer-encoding");
    struct str connection = header_of(r.headers, "connection");
    struct str expect = header_of(r.headers, "expect");
    c->close = str_ieq(connection, STR("close"));
    c->left = 0;
    if (str_ieq(expect, STR("100-continue"))) {
        struct buf b = {0};
        bool keep = c->close;
        c->close = false;
        buf_addc(&b, "HTTP/1.1 100 Continue\r\n\r\n");
        conn_send(c, &b);
        c->close = keep;
    }
    if (str_ieq(te, STR("chunked"))) {
        c->phase = ECHO_CHUNK_SIZE;
    } else if (cl.n > 0 && str_u64(cl, &c->left) && c->left > 0) {
        c->phase = ECHO_BODY;
    } else {
        request_done(c);
    }
}

static void drop_front(struct buf *b, size_t n)
{
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

/* A line of c->in without its CRLF; false when it is not complete. */
static bool take_line(struct echo_conn *c, struct buf *line)
{
    ptrdiff_t nl = str_chr(buf_str(&c->in), '\n');
    if (nl < 0)
        return false;
    buf_clear(line);
    buf_adds(line, str_trim(str_of(c->in.p, (size_t)nl), "\r"));
    drop_front(&c->in, (size_t)nl + 1);
    return true;
}

static bool step_head(struct echo_conn *c)
{
    ptrdiff_t end = str_find(buf_str(&c->in), STR("\r\n\r\n"));
    if (end < 0) {
        if (c->in.n > ECHO_HEAD_MAX)
            conn_close(c);
        return false;
    }
    buf_clear(&c->head);
    buf_add(&c->head, c->in.p, (size_t)end + 2);
    drop_front(&c->in, (size_t)end + 4);
    head_done(c);
    return true;
}

static bool step_body(struct echo_conn *c)
{
    size_t n = GH_MIN(c->left, c->in.n);
    if (n == 0)
        return false;
    drop_front(&c->in, n);
    c->left -= n;
    c->body += c->phase == ECHO_BODY || c->left >= 2 ? n : n - GH_MIN(n, 2 - c->left);
    if (c->left > 0)
        return true;
    if (c->phase == ECHO_BODY)
        request_done(c);
    else
        c->phase = ECHO_CHUNK_SIZE;
    return true;
}

static bool step_line(struct echo_conn *c)
{
    struct buf line = {0};
    if (!take_line(c, &line))
        return false;
    if (c->phase == ECHO_TRAILERS) {
        if (line.n == 0)
            request_done(c);
    } else {
        unsigned long long size = strtoull(buf_cstr(&line), NULL, 16);
        c->left = size + 2;
        c->phase = size == 0 ? ECHO_TRAILERS : ECHO_CHUNK_DATA;
    }
    buf_fini(&line);
    return true;
}

static void conn_read(struct echo_conn *c)
{
    bool more = true;
    while (more && !c->busy && !uv_is_closing((uv_handle_t *)&c->tcp)) {
        switch (c->phase) {
        case ECHO_HEAD: more = step_head(c); break;
        case ECHO_BODY:
        case ECHO_CHUNK_DATA: more = step_body(c); break;
        case ECHO_CHUNK_SIZE:
        case ECHO_TRAILERS: more = step_line(c); break;
        }
    }
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
    struct echo_conn *c = h->data;
    (void)hint;
    *b = buf_reserve(&c->in, 65536) ? uv_buf_init(c->in.p + c->in.n, 65536) : uv_buf_init(NULL, 0);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct echo_conn *c = s->data;
    (void)b;
    if (n < 0) {
        conn_close(c);
        return;
    }
    c->in.n += (size_t)n;
    conn_read(c);
}

static void on_connection(uv_stream_t *s, int status)
{
    struct echo *e = s->data;
    struct echo_conn *c = status == 0 ? calloc(1, sizeof(*c)) : NULL;
    if (!c)
        return;
    c->echo = e;
    c->handles = 2;
    uv_tcp_init(&e->loop, &c->tcp);
    uv_timer_init(&e->loop, &c->delay);
    c->tcp.data = c->delay.data = c;
    if (uv_accept(s, (uv_stream_t *)&c->tcp) != 0 ||
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0) {
        conn_close(c);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
}

static void close_one(uv_handle_t *h, void *arg)
{
    struct echo *e = arg;
    bool own = h == (uv_handle_t *)&e->listener || h == (uv_handle_t *)&e->sigint || h == (uv_handle_t *)&e->sigterm;
    if (!uv_is_closing(h))
        uv_close(h, own ? NULL : on_closed);
}

static void on_signal(uv_signal_t *h, int signum)
{
    struct echo *e = h->data;
    (void)signum;
    uv_walk(h->loop, close_one, e); /* nothing is left open: the loop ends */
}

static int echo_listen(struct echo *e, const char *where)
{
    char host[64];
    struct sockaddr_storage sa;
    const char *colon = strrchr(where, ':');
    int port = colon ? atoi(colon + 1) : -1;
    if (!colon || (size_t)(colon - where) >= sizeof(host) || port < 0 || port > 65535)
        return UV_EINVAL;
    snprintf(host, sizeof(host), "%.*s", (int)(colon - where), where);
    int r = uv_ip4_addr(host, port, (struct sockaddr_in *)&sa);
    if (r != 0)
        r = uv_ip6_addr(host, port, (struct sockaddr_in6 *)&sa);
    if (r == 0)
        r = uv_tcp_bind(&e->listener, (struct sockaddr *)&sa, 0);
    return r ? r : uv_listen((uv_stream_t *)&e->listener, 1024, on_connection);
}

static void print_address(struct echo *e)
{
    struct sockaddr_storage sa;
    int n = sizeof(sa);
    char text[64] = "";
    if (uv_tcp_getsockname(&e->listener, (struct sockaddr *)&sa, &n) != 0)
        return;
    uv_ip_name((struct sockaddr *)&sa, text, sizeof(text));
    unsigned port = sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
                                             : ((struct sockaddr_in *)&sa)->sin_port;
    printf("%s listens on %s:%u\n", e->name, text, (port >> 8) | ((port & 255) << 8));
    fflush(stdout);
}

static int usage(FILE *f, int rc)
{
    fputs("usage: gatehouse echo [--listen ADDRESS:PORT] [--name NAME] [--quiet]\n\n"
          "A small HTTP/1.1 backend for trying things out: answers with what it was asked.\n"
          "  /bytes/N   N bytes      /status/N  that status      /delay/MS  after a while\n\n"
          "  --listen ADDRESS:PORT   default 127.0.0.1:0 (a free port, printed)\n"
          "  --name NAME             shown in answers, default \"echo\"\n"
          "  --quiet                 no line per request\n",
          f);
    return rc;
}

int cmd_echo(int argc, char **argv)
{
    static const struct option options[] = {{"listen", required_argument, NULL, 'l'},
                                            {"name", required_argument, NULL, 'n'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct echo e = {.name = "echo"};
    const char *where = "127.0.0.1:0";
    int c;
    while ((c = getopt_long(argc, argv, "l:n:qh", options, NULL)) != -1) {
        switch (c) {
        case 'l': where = optarg; break;
        case 'n': e.name = optarg; break;
        case 'q': e.quiet = true; break;
        case 'h': return usage(stdout, 0);
        default: return usage(stderr, 2);
        }
    }
    if (uv_loop_init(&e.loop) != 0)
        return 1;
    uv_tcp_init(&e.loop, &e.listener);
    uv_signal_init(&e.loop, &e.sigint);
    uv_signal_init(&e.loop, &e.sigterm);
    e.listener.data = e.sigint.data = e.sigterm.data = &e;
    int r = echo_listen(&e, where);
    if (r != 0) {
        fprintf(stderr, "gatehouse echo: cannot listen on %s: %s\n", where, uv_strerror(r));
        return 1;
    }
    uv_signal_start(&e.sigint, on_signal, SIGINT);
    uv_signal_start(&e.sigterm, on_signal, SIGTERM);
    setvbuf(stdout, NULL, _IOLBF, 0);
    print_address(&e);
    uv_run(&e.loop, UV_RUN_DEFAULT);
    return uv_loop_close(&e.loop) == 0 ? 0 : 1;
}
