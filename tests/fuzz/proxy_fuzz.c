/*
 * proxy_fuzz.c - the whole data plane (F8): bytes of a client and of its upstream in, bytes to both out.
 *
 * A dataplane over real (unix) sockets with one rule for everything. Oracles:
 *   1. what each upstream connection gets parses, by the slow parser, strictly as requests without anything
 *      hostile; nothing is left over but a request that was cut off;
 *   2. if the upstream behaves, these are exactly the requests that the slow parser finds in the client's
 *      bytes: same methods, same contents, same order, none that is not there;
 *   3. what the client gets parses strictly as responses, at most one for each request;
 *   4. at the end everything is gone: no exchange, no connection, no byte in a queue.
 *
 * Input: a byte of flags, one of how to cut, two with the length of the client's part; that part; what
 * the upstream says.
 */
#include "tests/fuzz/h1_slow.h"
#include "tests/fuzz/proxy_rig.h"
#include "worker/codec/h2_frames.h"

#include <errno.h>
#include <stdio.h>

enum {
    GOOD_UPSTREAM = 1 << 0, /* answers each request properly; else with the input's bytes */
    HANGS_UP = 1 << 1,      /* ... and closes behind each answer */
    CLIENT_LEAVES = 1 << 2, /* without waiting for answers */
    HALF_CLOSES = 1 << 3,
    WITH_RETRIES = 1 << 4,
    UPSTREAM_FIRST = 1 << 5,/* says something before it is asked */
};

#define MAX_PEERS 64
#define MAX_SIZE 8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct peer {
    int fd;
    size_t at;          /* judged up to here */
    struct buf got;
};

struct request_seen {
    struct str method, content; /* copies in `texts` */
};

/* One input. */
struct play {
    struct rig *rig;
    unsigned flags;
    struct str client, upstream;
    size_t said;        /* bytes of `upstream` used */
    int fd;             /* the client's */
    struct buf answers;
    struct peer peers[MAX_PEERS];
    size_t n_peers;
    struct arena arena;
    struct request_seen *seen;
    size_t n_seen;
};

static const struct h1_limits WIDE = {UINT32_MAX, UINT32_MAX, SLOW_MAX_FIELDS};
static const struct h1_limits OURS = {64 * 1024, 16 * 1024 + H1_MAX_METHOD + 12, 100};

/* --- oracles ------------------------------------------------------------------------------------------ */

static struct str copy(struct play *p, struct str s)
{
    return arena_str(&p->arena, s);
}

/* The content at the front of `rest` (framing as in m): true when it is complete; *used counts its bytes. */
static bool content(struct play *p, struct str rest, enum h1_body kind, uint64_t length, bool chunked_strict,
                    struct str *out, size_t *used)
{
    *out = STR("");
    *used = 0;
    if (kind == H1_BODY_LENGTH) {
        if (rest.n < length)
            return false;
        *out = copy(p, str_head(rest, (size_t)length));
        *used = (size_t)length;
    } else if (kind == H1_BODY_CHUNKED) {
        char *text = arena_room(&p->arena, rest.n + 1);
        size_t n = 0;
        static struct slow_message t;
        enum slow_verdict v = slow_chunked(rest, text, &n, used);
        must(v != SLOW_BAD || !chunked_strict);
        if (v != SLOW_GOOD)
            return false;
        v = slow_trailers(str_skip(rest, *used), &WIDE, &t);
        must(v != SLOW_BAD || !chunked_strict);
        if (v != SLOW_GOOD)
            return false;
        if (chunked_strict)
            for (size_t i = 0; i < t.n_fields; i++)
                must(!(t.fields[i].flags & (FIELD_F_NEVER | FIELD_F_UNDERSCORE)));
        *used += t.used;
        *out = str_of(text, n);
    }
    return true;
}

static void check_fields(const struct slow_message *m)
{
    const unsigned hostile = FIELD_F_ALIAS | FIELD_F_UNDERSCORE;
    for (size_t i = 0; i < m->n_fields; i++)
        must(!(m->fields[i].flags & hostile));
}

/* Oracle 1. True when another whole request was found. */
static bool judge_upstream(struct play *p, struct peer *u)
{
    static struct slow_message m;
    struct str rest = str_skip(buf_str(&u->got), u->at), body;
    size_t used;
    if (!rest.n)
        return false;
    enum slow_verdict v = slow_request(rest, &WIDE, &m);
    must(v != SLOW_BAD);
    if (v == SLOW_CUT)
        return false;
    check_fields(&m);
    struct str method = copy(p, m.method);
    if (!content(p, str_skip(rest, m.used), m.body, m.length, true, &body, &used))
        return false;
    u->at += m.used + used;
    p->seen[p->n_seen++] = (struct request_seen){method, body};
    return true;
}

/* Oracle 2. */
static void compare(struct play *p)
{
    static struct slow_message m;
    struct str rest = p->client, body;
    size_t used;
    for (size_t i = 0; i < p->n_seen; i++) {
        /* The gateway takes one empty line before a request, and so does the slow parser. */
        must(slow_request(rest, &OURS, &m) == SLOW_GOOD);
        must(str_eq(m.method, p->seen[i].method));
        must(content(p, str_skip(rest, m.used), m.body, m.length, false, &body, &used));
        must(str_eq(body, p->seen[i].content));
        rest = str_skip(rest, m.used + used);
    }
}

/* Oracle 3: `methods` of the requests are not known to the client's side here; an answer to HEAD is told by
 * the request at its place in the client's bytes. */
static void judge_answers(struct play *p)
{
    static struct slow_message q, m;
    struct str rest = buf_str(&p->answers), asked = p->client, body;
    size_t used;
    while (rest.n) {
        bool known = slow_request(asked, &OURS, &q) == SLOW_GOOD;
        bool head = known && str_eqc(q.method, "HEAD");
        enum slow_verdict v = slow_response(rest, &WIDE, head, &m);
        must(v != SLOW_BAD);
        if (v == SLOW_CUT)
            return;
        if (m.status == 101)
            return; /* raw bytes from here on */
        rest = str_skip(rest, m.used);
        if (m.status < 200)
            continue;
        if (m.body == H1_BODY_CLOSE || !content(p, rest, m.body, m.length, true, &body, &used))
            return;
        rest = str_skip(rest, used);
        if (!known || !content(p, str_skip(asked, q.used), q.body, q.length, false, &body, &used)) {
            must(!rest.n); /* behind the answer to a request that is no good nothing comes */
            return;
        }
        asked = str_skip(asked, q.used + used);
    }
}

/* --- playing ------------------------------------------------------------------------------------------ */

static void say(struct peer *u, struct str text)
{
    if (text.n)
        (void)!send(u->fd, text.p, text.n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* The next piece of what the input lets the upstream say: up to a NUL. */
static struct str next_words(struct play *p)
{
    struct str rest = str_skip(p->upstream, p->said);
    ptrdiff_t end = str_chr(rest, '\0');
    size_t n = end < 0 ? rest.n : (size_t)end;
    p->said += n + (end >= 0);
    return str_head(rest, n);
}

static void hang_up(struct peer *u)
{
    if (u->fd >= 0)
        close(u->fd);
    u->fd = -1;
}

static void answer(struct play *p, struct peer *u)
{
    if (p->flags & GOOD_UPSTREAM)
        say(u, STR("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    else
        say(u, next_words(p));
    if (p->flags & HANGS_UP)
        hang_up(u);
}

static bool read_all(int fd, struct buf *b)
{
    char text[4096];
    bool any = false;
    for (ssize_t n; fd >= 0 && (n = recv(fd, text, sizeof(text), MSG_DONTWAIT)) > 0; any = true)
        buf_add(b, text, (size_t)n);
    return any;
}

static bool serve(struct play *p)
{
    bool any = false;
    for (int fd; p->n_peers < MAX_PEERS && (fd = accept4(p->rig->backend, NULL, NULL, SOCK_NONBLOCK)) >= 0; any = true) {
        p->peers[p->n_peers++] = (struct peer){.fd = fd};
        if (p->flags & UPSTREAM_FIRST)
            say(&p->peers[p->n_peers - 1], next_words(p));
    }
    for (size_t i = 0; i < p->n_peers; i++) {
        struct peer *u = &p->peers[i];
        any = read_all(u->fd, &u->got) || any;
        while (p->n_seen < MAX_PEERS * 4 && judge_upstream(p, u))
            answer(p, u);
    }
    return any;
}

static void turn(struct play *p)
{
    int idle = 0;
    for (int i = 0; i < 100 && idle < 2; i++) {
        dataplane_turn(p->rig->dp, 0);
        bool any = serve(p);
        any = read_all(p->fd, &p->answers) || any;
        idle = any ? 0 : idle + 1;
    }
}

static void send_pieces(struct play *p, unsigned cut)
{
    struct str rest = p->client;
    while (rest.n) {
        size_t n = cut ? 1 + (cut * 7 + rest.n * 13) % (cut * 4) : rest.n;
        ssize_t k = send(p->fd, rest.p, GH_MIN(n, rest.n), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (k < 0 && errno != EAGAIN)
            return;
        if (k > 0)
            rest = str_skip(rest, (size_t)k);
        turn(p);
        if (k < 0)
            return;
    }
}

/* Oracle 4. */
static void end(struct play *p)
{
    struct board_counters *c = &board_proc(p->rig->board, 1)->counters;
    for (int i = 0; i < 2000; i++) {
        if (i == 0 || i % 20 == 0)
            for (size_t k = 0; k < p->n_peers; k++)
                hang_up(&p->peers[k]);
        if (i == 10 && p->fd >= 0) {
            close(p->fd);
            p->fd = -1;
        }
        dataplane_turn(p->rig->dp, i < 40 ? 0 : 1);
        serve(p);
        if (p->fd >= 0)
            read_all(p->fd, &p->answers);
        if (p->fd < 0 && !rig_gauge(&c->client_active) && !rig_gauge(&c->exchanges_active) &&
            !rig_gauge(&c->upstream_active))
            return;
    }
    fprintf(stderr, "left: %lu clients, %lu exchanges, %lu upstream\n", (unsigned long)rig_gauge(&c->client_active),
            (unsigned long)rig_gauge(&c->exchanges_active), (unsigned long)rig_gauge(&c->upstream_active));
    must(!"everything is gone at the end");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4 || size > MAX_SIZE)
        return 0;
    struct rig *r = rig_get();
    static uint64_t generation = 1;
    static bool with_retries;
    struct play p = {.rig = r, .flags = data[0]};
    size_t n = (size_t)data[2] | (size_t)data[3] << 8;
    struct str rest = str_of((const char *)data + 4, size - 4);
    if (with_retries != !!(p.flags & WITH_RETRIES)) {
        with_retries = !with_retries;
        rig_load(r, ++generation, &(struct rig_rule){.retries = with_retries});
    }
    arena_init(&p.arena, 64 * 1024, NULL);
    p.client = str_head(rest, n);
    p.upstream = str_skip(rest, p.client.n);
    p.seen = arena_new_n(&p.arena, struct request_seen, MAX_PEERS * 4 + 1);
    p.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(p.fd >= 0 && connect(p.fd, (struct sockaddr *)&r->at_listener, r->n_listener) == 0);
    send_pieces(&p, data[1]);
    if (p.flags & HALF_CLOSES)
        shutdown(p.fd, SHUT_WR);
    if (p.flags & CLIENT_LEAVES) {
        close(p.fd);
        p.fd = -1;
    }
    turn(&p);
    /* A preface of HTTP/2, as it stands or behind what the slow parser would still call one request. */
    bool h2 = str_starts(p.client, STR(H2_PREFACE));
    if (!h2 && (p.flags & (GOOD_UPSTREAM | HANGS_UP | UPSTREAM_FIRST)) == GOOD_UPSTREAM)
        compare(&p);
    end(&p);
    if (!h2)
        judge_answers(&p);
    for (size_t i = 0; i < p.n_peers; i++)
        buf_fini(&p.peers[i].got);
    buf_fini(&p.answers);
    arena_fini(&p.arena);
    return 0;
}
