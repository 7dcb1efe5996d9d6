#include "tests/bench/instr/peers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_HEAD 9
enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

/* --- bytes -------------------------------------------------------------------------------------------- */

static void wire_open(struct wire *x, int fd)
{
    *x = (struct wire){.fd = fd};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

static void wire_close(struct wire *x)
{
    wolfSSL_free(x->ssl);
    if (x->fd >= 0)
        close(x->fd);
    buf_fini(&x->in);
    buf_fini(&x->out);
    if (x->hpack)
        nghttp2_hd_deflate_del(x->hpack);
    *x = (struct wire){.fd = -1};
}

static void drop(struct buf *b, size_t n)
{
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

static void flush(struct wire *x)
{
    while (x->out.n) {
        ssize_t n = x->ssl ? wolfSSL_write(x->ssl, x->out.p, (int)x->out.n)
                           : send(x->fd, x->out.p, x->out.n, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        drop(&x->out, (size_t)n);
    }
}

static void say(struct wire *x, struct str s)
{
    buf_adds(&x->out, s);
    flush(x);
}

static void hear(struct wire *x)
{
    while (x->fd >= 0 && !x->ended) {
        buf_reserve(&x->in, 65536);
        ssize_t n = x->ssl ? wolfSSL_read(x->ssl, x->in.p + x->in.n, 65536) : recv(x->fd, x->in.p + x->in.n, 65536, 0);
        if (n > 0)
            x->in.n += (size_t)n;
        else if (x->ssl ? wolfSSL_get_error(x->ssl, (int)n) == WOLFSSL_ERROR_WANT_READ : n < 0 && errno == EAGAIN)
            return;
        else
            x->ended = true;
    }
}

/* --- HTTP/1.1 ----------------------------------------------------------------------------------------- */

/* The length of the message that `s` begins with, and of its head; 0: there is more to come. */
static size_t h1_message(struct str s, size_t *head)
{
    ptrdiff_t end = str_find(s, STR("\r\n\r\n"));
    uint64_t content = 0;
    if (end < 0)
        return 0;
    *head = (size_t)end + 4;
    struct str rest = str_head(s, (size_t)end), line;
    while (str_split(&rest, '\n', &line)) {
        struct str name = STR("content-length:");
        if (line.n > name.n && str_ieq(str_head(line, name.n), name))
            must(str_u64(str_trim(str_skip(line, name.n), " \r"), &content));
        must(!str_ieq(str_head(line, 18), STR("transfer-encoding:")));
    }
    return s.n < *head + content ? 0 : *head + content;
}

static void serve_h1(struct peers *p, struct wire *x)
{
    size_t n, head;
    while ((n = h1_message(buf_str(&x->in), &head)) != 0) {
        drop(&x->in, n);
        say(x, buf_str(x->as == BACKEND_LARGE ? &p->large : &p->small));
    }
}

/* --- HTTP/2 ------------------------------------------------------------------------------------------- */

static void frame(struct buf *out, uint8_t type, uint8_t flags, uint32_t stream, struct str payload)
{
    uint8_t h[FRAME_HEAD] = {(uint8_t)(payload.n >> 16), (uint8_t)(payload.n >> 8), (uint8_t)payload.n, type, flags};
    stream = htonl(stream);
    memcpy(h + 5, &stream, 4);
    buf_add(out, h, sizeof(h));
    buf_adds(out, payload);
}

static void block(struct wire *x, uint8_t flags, uint32_t stream, const nghttp2_nv *f, size_t n)
{
    uint8_t to[4096];
    ssize_t len = nghttp2_hd_deflate_hd(x->hpack, to, sizeof(to), f, n);
    must(len > 0);
    frame(&x->out, HEADERS, (uint8_t)(flags | END_HEADERS), stream, str_of((char *)to, (size_t)len));
}

#define NV(name, value) {(uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1, 0}

/* Windows so large that nobody ever has to ask for more. */
static void h2_begin(struct wire *x)
{
    must(nghttp2_hd_deflate_new(&x->hpack, 4096) == 0);
    frame(&x->out, SETTINGS, 0, 0, STR("\0\4\0\x10\0\0\0\3\0\0\0\xc8"));
    frame(&x->out, WINDOW_UPDATE, 0, 0, STR("\x3f\xff\0\0"));
}

static void answer_call(struct wire *x, uint32_t stream)
{
    static const nghttp2_nv head[] = {NV(":status", "200"), NV("content-type", "application/grpc"),
                                      NV("grpc-accept-encoding", "identity, deflate, gzip")};
    static const nghttp2_nv trailers[] = {NV("grpc-status", "0"), NV("grpc-message", "")};
    static const char message[69] = {0, 0, 0, 0, 64};
    block(x, 0, stream, head, ARRAY_LEN(head));
    frame(&x->out, DATA, 0, stream, str_of(message, sizeof(message)));
    block(x, END_STREAM, stream, trailers, ARRAY_LEN(trailers));
}

static void on_frame(struct wire *x, bool backend, uint8_t type, uint8_t flags, uint32_t stream, struct str payload)
{
    bool end = (type == DATA || type == HEADERS) && flags & END_STREAM;
    if (type == RST_STREAM || type == GOAWAY)
        die("the gateway ended %s", type == GOAWAY ? "an HTTP/2 connection" : "a stream");
    if (type == SETTINGS && !(flags & ACK))
        frame(&x->out, SETTINGS, ACK, 0, STR(""));
    if (type == PING && !(flags & ACK))
        frame(&x->out, PING, ACK, 0, payload);
    x->body += type == DATA ? payload.n : 0;
    if (end && backend)
        answer_call(x, stream);
    x->whole += end;
}

static void serve_h2(struct wire *x, bool backend)
{
    size_t at = 0;
    if (backend && !x->begun) {
        if (x->in.n < 24)
            return;
        at = 24; /* the preface */
        x->begun = true;
        h2_begin(x);
    }
    while (x->in.n - at >= FRAME_HEAD) {
        const uint8_t *h = (const uint8_t *)x->in.p + at;
        size_t n = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
        if (x->in.n - at < FRAME_HEAD + n)
            break;
        uint32_t stream = ((uint32_t)h[5] << 24 | (uint32_t)h[6] << 16 | (uint32_t)h[7] << 8 | h[8]) & 0x7fffffff;
        on_frame(x, backend, h[3], h[4], stream, str_of(x->in.p + at + FRAME_HEAD, n));
        at += FRAME_HEAD + n;
    }
    if (at)
        drop(&x->in, at);
    flush(x);
}

/* --- backends ----------------------------------------------------------------------------------------- */

/* A frame of a browser: masked, 64 bytes; the answer, not masked. */
#define CHAT_ASK  (2 + 4 + 64)
#define CHAT_TELL (2 + 64)

static void serve_chat(struct wire *x)
{
    static const char tell[CHAT_TELL] = {(char)0x82, 64};
    size_t head;
    if (!x->begun) {
        if (!h1_message(buf_str(&x->in), &head))
            return;
        drop(&x->in, head);
        x->begun = true;
        say(x, STR("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                   "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
    }
    for (; x->in.n >= CHAT_ASK; drop(&x->in, CHAT_ASK))
        say(x, str_of(tell, sizeof(tell)));
}

/* "m" and 511 more bytes: the same back. "B": a megabyte. */
static void serve_bytes(struct peers *p, struct wire *x)
{
    while (x->in.n) {
        size_t n = x->in.p[0] == 'B' ? 1 : 512;
        if (x->in.n < n)
            return;
        buf_adds(&x->out, n == 1 ? buf_str(&p->bulk) : str_of(x->in.p, n));
        drop(&x->in, n);
    }
}

static void serve(struct peers *p, struct wire *x)
{
    hear(x);
    switch (x->as) {
    case BACKEND_GRPC:
        serve_h2(x, true);
        break;
    case BACKEND_CHAT:
        serve_chat(x);
        break;
    case BACKEND_BYTES:
        serve_bytes(p, x);
        break;
    default:
        serve_h1(p, x);
    }
    flush(x);
    if (x->ended)
        wire_close(x);
}

static void take_new(struct peers *p, enum backend b)
{
    size_t i = 0;
    int fd;
    while ((fd = (int)accept(p->listening[b], NULL, NULL)) >= 0) {
        while (i < ARRAY_LEN(p->served) && p->served[i].fd >= 0)
            i++;
        must(i < ARRAY_LEN(p->served));
        wire_open(&p->served[i], fd);
        p->served[i].as = b;
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){256 * 1024}, sizeof(int));
        must(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    }
}

void peers_play(void *peers)
{
    struct peers *p = peers;
    for (enum backend b = 0; b < BACKENDS; b++)
        take_new(p, b);
    for (size_t i = 0; i < ARRAY_LEN(p->served); i++)
        if (p->served[i].fd >= 0)
            serve(p, &p->served[i]);
    if (p->client.fd < 0)
        return;
    if (p->client.ssl && !wolfSSL_is_init_finished(p->client.ssl))
        wolfSSL_connect(p->client.ssl);
    else
        flush(&p->client);
    if (!p->client.ssl || wolfSSL_is_init_finished(p->client.ssl))
        hear(&p->client);
    if (p->client.hpack)
        serve_h2(&p->client, false);
}

void peers_hang_up(struct peers *p)
{
    wire_close(&p->client);
    for (size_t i = 0; i < ARRAY_LEN(p->served); i++)
        if (p->served[i].fd >= 0)
            wire_close(&p->served[i]);
    wolfSSL_SESSION_free(p->session);
    p->session = NULL;
}

static void answer(struct buf *b, size_t n)
{
    buf_addf(b,
             "HTTP/1.1 200 OK\r\nServer: app/3.2\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
             "Content-Type: application/json; charset=utf-8\r\nContent-Length: %zu\r\nCache-Control: no-cache\r\n"
             "ETag: \"5f3c-6a1b2c3d\"\r\nVary: Accept-Encoding\r\nX-Runtime: 0.004211\r\n\r\n", n);
    for (size_t i = 0; i < n; i++)
        buf_addch(b, (char)('a' + i % 26));
}

void peers_init(struct peers *p, struct world *w)
{
    *p = (struct peers){.w = w, .client.fd = -1, .tls = wolfSSL_CTX_new(wolfTLSv1_3_client_method())};
    must(p->tls);
    wolfSSL_CTX_set_verify(p->tls, WOLFSSL_VERIFY_NONE, NULL);
    wolfSSL_CTX_UseSessionTicket(p->tls);
    must(wolfSSL_CTX_set_groups(p->tls, &(int){WOLFSSL_ECC_X25519}, 1) == WOLFSSL_SUCCESS);
    for (enum backend b = 0; b < BACKENDS; b++)
        p->listening[b] = world_listen((uint16_t)(BACKEND_PORT + b));
    for (size_t i = 0; i < ARRAY_LEN(p->served); i++)
        p->served[i].fd = -1;
    answer(&p->small, 1024);
    answer(&p->large, 65536);
    for (size_t i = 0; i < BULK; i++)
        buf_addch(&p->bulk, (char)i);
    w->play = peers_play;
    w->peers = p;
}

void peers_fini(struct peers *p)
{
    peers_hang_up(p);
    for (enum backend b = 0; b < BACKENDS; b++)
        close(p->listening[b]);
    wolfSSL_CTX_free(p->tls);
    buf_fini(&p->small);
    buf_fini(&p->large);
    buf_fini(&p->bulk);
}

/* --- the client --------------------------------------------------------------------------------------- */

static bool shaken(void *peers)
{
    return wolfSSL_is_init_finished(((struct peers *)peers)->client.ssl);
}

void client_open(struct peers *p, uint16_t port, const char *alpn)
{
    struct wire *x = &p->client;
    wire_open(x, world_connect(port));
    if (!alpn)
        return;
    x->ssl = wolfSSL_new(p->tls);
    must(x->ssl && wolfSSL_UseSNI(x->ssl, WOLFSSL_SNI_HOST_NAME, "a.example.com", 13) == WOLFSSL_SUCCESS);
    must(wolfSSL_UseALPN(x->ssl, (char *)(size_t)alpn, (unsigned)strlen(alpn), WOLFSSL_ALPN_FAILED_ON_MISMATCH) ==
         WOLFSSL_SUCCESS);
    wolfSSL_set_fd(x->ssl, x->fd);
    if (p->session)
        must(wolfSSL_set_session(x->ssl, p->session) == WOLFSSL_SUCCESS);
    world_run(p->w, shaken, p);
    must(!p->session || wolfSSL_session_reused(x->ssl));
}

void client_close(struct peers *p)
{
    if (p->client.ssl)
        wolfSSL_shutdown(p->client.ssl);
    wire_close(&p->client);
    world_turn(p->w);
}

void client_say(struct peers *p, struct str bytes)
{
    say(&p->client, bytes);
}

static bool h1_whole(void *peers)
{
    size_t head;
    struct wire *x = &((struct peers *)peers)->client;
    if (x->ended)
        die("the gateway closed the connection");
    return h1_message(buf_str(&x->in), &head) != 0;
}

void client_h1_answer(struct peers *p, unsigned status)
{
    struct wire *x = &p->client;
    size_t head = 0;
    uint64_t got = 0;
    world_run(p->w, h1_whole, p);
    size_t n = h1_message(buf_str(&x->in), &head);
    if (!str_u64(str_of(x->in.p + 9, 3), &got) || got != status)
        die("an answer that is not expected: " STR_FMT, STR_ARG(buf_str(&x->in)));
    drop(&x->in, n);
}

struct bytes { struct wire *x; size_t n; };

static bool enough(void *arg)
{
    struct bytes *b = arg;
    size_t n = GH_MIN(b->n, b->x->in.n);
    if (b->x->ended)
        die("the gateway closed the connection");
    drop(&b->x->in, n);
    return (b->n -= n) == 0;
}

void client_take(struct peers *p, size_t n)
{
    world_run(p->w, enough, &(struct bytes){&p->client, n});
}

void client_h2_begin(struct peers *p)
{
    buf_addc(&p->client.out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    h2_begin(&p->client);
    flush(&p->client);
    world_turn(p->w);
    world_turn(p->w);
}

static bool h2_whole(void *peers)
{
    struct wire *x = &((struct peers *)peers)->client;
    if (x->ended)
        die("the gateway closed the connection");
    return x->whole == x->streams;
}

void client_h2_ask(struct peers *p, const struct h2_request *q, unsigned n, size_t content)
{
    struct wire *x = &p->client;
    uint64_t before = x->body;
    for (unsigned i = 0; i < n; i++) {
        uint32_t stream = 2 * x->streams++ + 1;
        block(x, q->body.n ? 0 : END_STREAM, stream, q->fields, q->n_fields);
        if (q->body.n)
            frame(&x->out, DATA, END_STREAM, stream, q->body);
    }
    flush(x);
    world_run(p->w, h2_whole, p);
    if (x->body - before != n * content)
        die("answers of another length");
}
