/*
 * instr.c - the hot paths of a worker, played for callgrind; tests/bench/instructions.py runs it.
 *
 *   tests/bench/instr_play [--only ROW]... CONFIGURATION...
 *
 * Each row is a data plane of its own: warmed up, then some hundred requests, recorded as browsers and tools send
 * them, of which callgrind counts what the gateway does. The counts go to callgrind's file under the row's name and
 * the number of requests. Without valgrind it plays the same and counts nothing.
 */
#include "tests/bench/instr/peers.h"
#include "shared/tls/tls_build.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define PORT_PLAIN 8080
#define PORT_TLS   8443
#define PORT_BYTES 8081
#define PORT_MANY  8082 /* 1,000 routes */

#define BROWSER                                                                                                        \
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"                           \
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"                \
    "Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"                                  \
    "Referer: https://a.example.com/shop/index.html\r\n"                                                               \
    "Cookie: session=2f9c1d7e5b3a48e6; theme=dark; consent=all\r\n"                                                    \
    "Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\nPriority: u=0, i\r\n"      \
    "Connection: keep-alive\r\n"
#define GET(host, path) "GET " path " HTTP/1.1\r\nHost: " host "\r\n" BROWSER "\r\n"

#define NV(name, value) {(uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1, 0}

static const nghttp2_nv PAGE[] = {
    NV(":method", "GET"), NV(":scheme", "http"), NV(":authority", "a.example.com"), NV(":path", "/shop/items/17?page=2"),
    NV("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    NV("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    NV("accept-language", "en-US,en;q=0.5"), NV("accept-encoding", "gzip, deflate, br, zstd"),
    NV("referer", "https://a.example.com/shop/index.html"), NV("cookie", "session=2f9c1d7e5b3a48e6"),
    NV("cookie", "theme=dark"), NV("sec-fetch-dest", "document"), NV("sec-fetch-mode", "navigate"),
    NV("sec-fetch-site", "same-origin"), NV("priority", "u=0, i"),
};
static const nghttp2_nv SECURE_PAGE[] = {
    NV(":method", "GET"), NV(":scheme", "https"), NV(":authority", "a.example.com"), NV(":path", "/shop/items/17?page=2"),
    NV("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    NV("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    NV("accept-language", "en-US,en;q=0.5"), NV("accept-encoding", "gzip, deflate, br, zstd"),
    NV("referer", "https://a.example.com/shop/index.html"), NV("cookie", "session=2f9c1d7e5b3a48e6"),
    NV("cookie", "theme=dark"), NV("sec-fetch-dest", "document"), NV("sec-fetch-mode", "navigate"),
    NV("sec-fetch-site", "same-origin"), NV("priority", "u=0, i"),
};
static const nghttp2_nv CALL[] = {
    NV(":method", "POST"), NV(":scheme", "http"), NV(":authority", "grpc.example.com"), NV(":path", "/users.v1.Users/Get"),
    NV("te", "trailers"), NV("content-type", "application/grpc"), NV("user-agent", "grpc-go/1.64.0"),
    NV("grpc-accept-encoding", "gzip"), NV("grpc-timeout", "5S"),
    NV("authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2lnbmF0dXJl"),
};
static const char MESSAGE[5 + 48] = {0, 0, 0, 0, 48};

struct row {
    const char *name;
    unsigned warm, n;        /* calls of `step`, not counted and counted */
    unsigned requests;       /* of one call */
    void (*begin)(struct peers *p);
    void (*step)(struct peers *p, unsigned i);
};

static void open_plain(struct peers *p)
{
    client_open(p, PORT_PLAIN, NULL);
}

static void get(struct peers *p, unsigned i)
{
    (void)i;
    client_say(p, STR(GET("a.example.com", "/shop/items/17?page=2")));
    client_h1_answer(p, 200);
}

static void get_large(struct peers *p, unsigned i)
{
    (void)i;
    client_say(p, STR(GET("a.example.com", "/large/film.mp4")));
    client_h1_answer(p, 200);
}

static void post(struct peers *p, unsigned i)
{
    static char body[16 * 1024];
    (void)i;
    memset(body, 'x', sizeof(body));
    client_say(p, STR("POST /shop/upload HTTP/1.1\r\nHost: a.example.com\r\nUser-Agent: curl/8.9.1\r\nAccept: */*\r\n"
                      "Content-Type: application/octet-stream\r\nContent-Length: 16384\r\n\r\n"));
    client_say(p, str_of(body, sizeof(body)));
    client_h1_answer(p, 200);
}

static void get_edited(struct peers *p, unsigned i)
{
    (void)i;
    client_say(p, STR(GET("edit.example.com", "/old/items/17?page=2")));
    client_h1_answer(p, 200);
}

static void open_many(struct peers *p)
{
    client_open(p, PORT_MANY, NULL);
}

/* An exact path, a short and a long prefix, and a header; hosts from all over the table. */
static void get_of_many(struct peers *p, unsigned i)
{
    static const struct str asks[] = {
        STR(GET("h007.example.com", "/exact/page")),        STR(GET("h101.example.com", "/api/items/17?page=2")),
        STR(GET("h149.example.com", "/api/v2/items/17")),   STR(GET("h201.example.com", "/elsewhere")),
        STR("GET /tenant HTTP/1.1\r\nHost: h249.example.com\r\nX-Tenant: blue\r\n" BROWSER "\r\n"),
    };
    client_say(p, asks[i % ARRAY_LEN(asks)]);
    client_h1_answer(p, i % ARRAY_LEN(asks) == 3 ? 404 : 200);
}

static void get_new(struct peers *p, unsigned i)
{
    open_plain(p);
    get(p, i);
    client_close(p);
}

static void open_tls(struct peers *p)
{
    client_open(p, PORT_TLS, "http/1.1");
}

static void get_new_tls(struct peers *p, unsigned i)
{
    open_tls(p);
    get(p, i);
    client_close(p);
}

/* With the ticket of the connection before. */
static void get_resumed(struct peers *p, unsigned i)
{
    open_tls(p);
    get(p, i);
    wolfSSL_SESSION_free(p->session);
    p->session = wolfSSL_get1_session(p->client.ssl);
    must(p->session);
    client_close(p);
}

static void open_h2c(struct peers *p)
{
    open_plain(p);
    client_h2_begin(p);
}

static void ten_streams(struct peers *p, unsigned i)
{
    (void)i;
    client_h2_ask(p, &(struct h2_request){PAGE, ARRAY_LEN(PAGE), STR_NONE}, 10, 1024);
}

static void open_h2(struct peers *p)
{
    client_open(p, PORT_TLS, "h2");
    client_h2_begin(p);
}

static void one_stream(struct peers *p, unsigned i)
{
    (void)i;
    client_h2_ask(p, &(struct h2_request){SECURE_PAGE, ARRAY_LEN(SECURE_PAGE), STR_NONE}, 1, 1024);
}

static void call(struct peers *p, unsigned i)
{
    (void)i;
    client_h2_ask(p, &(struct h2_request){CALL, ARRAY_LEN(CALL), {MESSAGE, sizeof(MESSAGE)}}, 1, 69);
}

static void open_chat(struct peers *p)
{
    open_plain(p);
    client_say(p, STR("GET /chat HTTP/1.1\r\nHost: a.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"));
    client_h1_answer(p, 101);
}

static void chat(struct peers *p, unsigned i)
{
    static const char frame[2 + 4 + 64] = {(char)0x82, (char)0xc0, 1, 2, 3, 4};
    (void)i;
    client_say(p, str_of(frame, sizeof(frame)));
    client_take(p, 2 + 64);
}

static void open_bytes(struct peers *p)
{
    client_open(p, PORT_BYTES, NULL);
}

static void bytes_new(struct peers *p, unsigned i)
{
    static char message[512] = "m";
    (void)i;
    open_bytes(p);
    client_say(p, str_of(message, sizeof(message)));
    client_take(p, sizeof(message));
    client_close(p);
}

static void converse(struct peers *p, unsigned i)
{
    static char message[512] = "m";
    (void)i;
    client_say(p, str_of(message, sizeof(message)));
    client_take(p, sizeof(message));
}

static void bulk(struct peers *p, unsigned i)
{
    (void)i;
    client_say(p, STR("B"));
    client_take(p, BULK);
}

static const struct row ROWS[] = {
    {"h1 GET 1 KiB", 100, 400, 1, open_plain, get},
    {"h1 GET 64 KiB", 20, 60, 1, open_plain, get_large},
    {"h1 POST 16 KiB", 50, 200, 1, open_plain, post},
    {"h1 GET, filters", 50, 200, 1, open_plain, get_edited},
    {"h1 GET, 1000 routes", 50, 200, 1, open_many, get_of_many},
    {"h1 new connection", 30, 100, 1, NULL, get_new},
    {"h1 over TLS", 50, 200, 1, open_tls, get},
    {"new TLS connection", 5, 15, 1, NULL, get_new_tls},
    {"resumed TLS connection", 5, 15, 1, NULL, get_resumed},
    {"h2c, 10 streams", 10, 30, 10, open_h2c, ten_streams},
    {"h2 over TLS", 50, 200, 1, open_h2, one_stream},
    {"gRPC unary", 50, 200, 1, open_h2c, call},
    {"WebSocket message", 50, 200, 1, open_chat, chat},
    {"TCP message", 50, 200, 1, open_bytes, converse},
    {"TCP 1 MiB", 10, 40, 1, open_bytes, bulk},
    {"TCP new connection", 30, 100, 1, NULL, bytes_new},
};

static void play(struct world *w, struct peers *p, const struct row *r)
{
    char name[96];
    world_begin(w);
    if (r->begin)
        r->begin(p);
    for (unsigned i = 0; i < r->warm + r->n; i++) {
        w->counting = i >= r->warm;
        r->step(p, i);
        world_tick(100);
    }
    w->counting = false;
    snprintf(name, sizeof(name), "%s|%u", r->name, r->n * r->requests);
    world_report(name);
    peers_hang_up(p);
    world_turn(w);
    world_end(w);
    peers_play(p);
    peers_hang_up(p);
    if (!world_is_counted())
        printf("%s: %u requests\n", r->name, r->n * r->requests);
}

int main(int argc, char **argv)
{
    struct world w = {0};
    struct peers p;
    const char *only[ARRAY_LEN(ROWS)];
    size_t n_only = 0;
    int i = 1;
    signal(SIGPIPE, SIG_IGN);
    for (; i + 1 < argc && !strcmp(argv[i], "--only") && n_only < ARRAY_LEN(only); i += 2)
        only[n_only++] = argv[i + 1];
    if (i >= argc)
        die("usage: instr_play [--only ROW]... CONFIGURATION...");
    tls_build_start();
    world_load(&w, (const char *const *)argv + i, (size_t)(argc - i));
    peers_init(&p, &w);
    for (size_t k = 0; k < ARRAY_LEN(ROWS); k++) {
        bool wanted = n_only == 0;
        for (size_t o = 0; o < n_only; o++)
            wanted |= !strcmp(only[o], ROWS[k].name);
        if (wanted)
            play(&w, &p, &ROWS[k]);
    }
    peers_fini(&p);
    world_unload(&w);
    return 0;
}
