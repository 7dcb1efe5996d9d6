/*
 * role_scout.c - the process that asks the world on behalf of all: which addresses the names of endpoints have.
 *
 * Answers go to the board; N workers never ask N times, and no worker and no start ever waits for a name. Rules
 *
 *  1. A and AAAA are asked and kept apart: what one of them fails to say does not delay or undo the other.
 *  2. The last good answer is kept as long as nothing better comes, over restarts of this process too (it
 *     begins with what is on the board). An authoritative "no such name" is a failure as well: DNS lies, and
 *     addresses that do not answer cost less than a backend without any.
 *  3. A name is asked again after 90-100 % of its TTL (1 s to 300 s); after a failure in 1 s, 2 s ... 30 s.
 *  4. At most MAX_FLIGHTS questions are on their way; the rest wait their turn.
 *  5. /etc/hosts comes first, and localhost is this machine (RFC 6761). It and resolv.conf are read before the
 *     sandbox; when they change, this process ends and the master starts a fresh one.
 */
#include "shared/base/clock.h"
#include "shared/base/err.h"
#include "shared/base/hash.h"
#include "shared/base/list.h"
#include "shared/snap/snap.h"
#include "worker/hosts.h"
#include "worker/worker.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#define MAX_FLIGHTS    64
#define TTL_MIN_S      1
#define TTL_MAX_S      300
#define BACKOFF_MIN_MS 1000
#define BACKOFF_MAX_MS 30000
#define TRY_MS         2000
#define TRIES          2
#define HOSTS_MAX      (4u << 20)
#define SETTLE_MS      200

struct name;

/* One kind of question about a name. */
struct question {
    struct name *name;
    int family;                /* 4, 6 */
    bool flying;
    int status;                /* of the last answer */
    uint64_t due_ms;
    uint32_t backoff_ms;       /* of the next failure; 0 = the last one was good */
    struct board_dns_answer good;
};

struct name {
    struct scout *scout;
    uint32_t slot;
    char *text;
    bool gone;                 /* no generation wants it: freed when nothing flies */
    bool fixed;                /* from /etc/hosts: never asked */
    uint64_t expires_wall_s;
    struct question q[2];
};

/* A socket of c-ares on the loop. */
struct flight {
    struct list link;
    uv_poll_t poll;
    ares_socket_t fd;
    struct scout *scout;
};

struct scout {
    struct worker *w;
    ares_channel channel;
    bool has_channel;
    uv_timer_t *ask, *ares;    /* the next name that is due; the next timeout of c-ares */
    uv_timer_t *settle;        /* after a change of resolv.conf or hosts */
    uv_poll_t *changes;        /* inotify */
    int inotify;
    char resolv_name[NAME_MAX + 1]; /* base name of what resolv.conf links to */
    struct list flights;       /* sockets */
    unsigned flying;           /* questions */
    struct name *names[BOARD_MAX_DNS];
    struct snap *offered;
    struct buf hosts;
    struct rng rng;
};

static void plan(struct scout *s);

/* ---- answers to the board ---- */

static void publish(struct name *n)
{
    struct board_dns *d = board_dns(n->scout->w->board, n->slot);
    struct board_dns_answer a = {0};
    for (int i = 0; i < 2; i++)
        for (uint32_t k = 0; k < n->q[i].good.n; k++)
            hosts_add(&a, n->q[i].good.v[k].family, n->q[i].good.v[k].addr);
    /* Failing: no address at all, or a family that has some can't be asked any more. */
    for (int i = 0; i < 2; i++)
        if (n->q[i].status != ARES_SUCCESS && (a.n == 0 || n->q[i].good.n > 0))
            a.status = (uint32_t)n->q[i].status;
    a.expires_wall_s = n->expires_wall_s;
    board_dns_write(d, &a);
    atomic_store(&d->key, hash_str_lower(str_c(n->text), 0));
}

static void name_free_if_gone(struct name *n)
{
    if (!n->gone || n->q[0].flying || n->q[1].flying)
        return;
    free(n->text);
    free(n);
}

static uint32_t jitter(struct scout *s, uint64_t ms)
{
    return (uint32_t)(ms - rng_below(&s->rng, (uint32_t)(ms / 10 + 1)));
}

static void question_good(struct question *q, const struct board_dns_answer *a, int ttl)
{
    struct scout *s = q->name->scout;
    uint64_t ttl_s = (uint64_t)GH_MIN(GH_MAX(ttl, TTL_MIN_S), TTL_MAX_S);
    q->good = *a;
    q->backoff_ms = 0;
    q->due_ms = clock_ms() + jitter(s, ttl_s * 1000);
    q->name->expires_wall_s = clock_wall_us() / 1000000 + ttl_s;
}

static void question_bad(struct question *q)
{
    struct scout *s = q->name->scout;
    if (q->backoff_ms == 0)
        log_warn(&s->w->log, "%s: no %s answer (%s); %s", q->name->text, q->family == 4 ? "A" : "AAAA",
                 ares_strerror(q->status), q->good.n ? "the last good one is used" : "asking again");
    q->backoff_ms = q->backoff_ms ? GH_MIN(2 * q->backoff_ms, (uint32_t)BACKOFF_MAX_MS) : BACKOFF_MIN_MS;
    q->due_ms = clock_ms() + jitter(s, q->backoff_ms);
    board_add(&s->w->me->counters.dns_failures, 1);
}

static int by_address(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(((struct board_dns_answer *)0)->v[0]));
}

/* All addresses of a reply, sorted, so that an answer in another order is the same answer. Returns an ares
 * status; ARES_ENODATA: the name exists and has none of that family, which is an answer too. */
static int read_reply(int family, const unsigned char *reply, int len, struct board_dns_answer *out, int *ttl)
{
    enum { ROOM = 256 };
    struct ares_addrttl a4[ROOM];
    struct ares_addr6ttl a6[ROOM];
    struct { uint8_t family, addr[16]; } all[ROOM];
    int n = ROOM;
    int rc = family == 4 ? ares_parse_a_reply(reply, len, NULL, a4, &n) : ares_parse_aaaa_reply(reply, len, NULL, a6, &n);
    if (rc != ARES_SUCCESS)
        return rc;
    *ttl = TTL_MAX_S;
    memset(all, 0, sizeof(all));
    for (int i = 0; i < n; i++) {
        all[i].family = (uint8_t)family;
        memcpy(all[i].addr, family == 4 ? (void *)&a4[i].ipaddr : (void *)&a6[i].ip6addr, family == 4 ? 4 : 16);
        *ttl = GH_MIN(*ttl, family == 4 ? a4[i].ttl : a6[i].ttl);
    }
    qsort(all, (size_t)n, sizeof(all[0]), by_address);
    for (int i = 0; i < n; i++)
        hosts_add(out, family, all[i].addr);
    return n ? ARES_SUCCESS : ARES_ENODATA;
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *reply, int len)
{
    struct question *q = arg;
    struct name *n = q->name;
    struct board_dns_answer a = {0};
    int ttl = 30; /* of "it has none of that family" */
    (void)timeouts;
    q->flying = false;
    n->scout->flying--;
    if (status == ARES_EDESTRUCTION || n->gone) {
        name_free_if_gone(n);
        return;
    }
    if (status == ARES_SUCCESS)
        status = read_reply(q->family, reply, len, &a, &ttl);
    q->status = status == ARES_ENODATA ? ARES_SUCCESS : status;
    if (q->status == ARES_SUCCESS)
        question_good(q, &a, ttl);
    else
        question_bad(q);
    publish(n);
    plan(n->scout);
}

/* ---- asking ---- */

static void fly(struct scout *s, struct question *q)
{
    q->flying = true;
    s->flying++;
    board_add(&s->w->me->counters.dns_queries, 1);
    /* May answer before it returns. */
    ares_search(s->channel, q->name->text, C_IN, q->family == 4 ? T_A : T_AAAA, on_answer, q);
}

static void on_ask(uv_timer_t *t);

static void ask_due(struct scout *s)
{
    uint64_t now = clock_ms(), next = UINT64_MAX;
    for (uint32_t i = 0; i < BOARD_MAX_DNS; i++)
        for (int k = 0; s->names[i] && !s->names[i]->fixed && k < 2; k++) {
            struct question *q = &s->names[i]->q[k];
            if (q->flying)
                continue;
            if (q->due_ms <= now && s->flying < MAX_FLIGHTS)
                fly(s, q);
            else if (q->due_ms > now)
                next = GH_MIN(next, q->due_ms);
        }
    /* What is due and found no room goes when an answer comes: on_answer plans. */
    if (next != UINT64_MAX)
        uv_timer_start(s->ask, on_ask, next > now ? next - now : 1, 0);
}

static void on_ares_time(uv_timer_t *t)
{
    struct scout *s = t->data;
    ares_process_fd(s->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    plan(s);
}

/* Sets both timers. What is due now is asked from the timer and not from here: this is called by callbacks of
 * c-ares. */
static void plan(struct scout *s)
{
    struct timeval tv, *left = ares_timeout(s->channel, NULL, &tv);
    if (left)
        uv_timer_start(s->ares, on_ares_time, (uint64_t)left->tv_sec * 1000 + (uint64_t)(left->tv_usec + 999) / 1000, 0);
    else
        uv_timer_stop(s->ares);
    uv_timer_start(s->ask, on_ask, 0, 0);
}

static void on_ask(uv_timer_t *t)
{
    struct scout *s = t->data;
    struct timeval tv, *left;
    ask_due(s);
    left = ares_timeout(s->channel, NULL, &tv);
    if (left && !uv_is_active((uv_handle_t *)s->ares))
        uv_timer_start(s->ares, on_ares_time, (uint64_t)left->tv_sec * 1000 + (uint64_t)(left->tv_usec + 999) / 1000, 0);
}

/* ---- sockets of c-ares ---- */

static void on_flight(uv_poll_t *p, int status, int events)
{
    struct flight *f = p->data;
    struct scout *s = f->scout;
    ares_socket_t fd = f->fd;
    bool failed = status < 0;
    ares_process_fd(s->channel, failed || (events & UV_READABLE) ? fd : ARES_SOCKET_BAD,
                    failed || (events & UV_WRITABLE) ? fd : ARES_SOCKET_BAD);
    plan(s);
}

static void on_flight_closed(uv_handle_t *h)
{
    free(h->data);
}

static struct flight *flight_of(struct scout *s, ares_socket_t fd)
{
    LIST_EACH(it, &s->flights) {
        struct flight *f = LIST_ITEM(it, struct flight, link);
        if (f->fd == fd)
            return f;
    }
    struct flight *f = calloc(1, sizeof(*f));
    if (!f || uv_poll_init(&s->w->loop, &f->poll, fd) != 0) {
        free(f);
        return NULL; /* the question runs into its timeout */
    }
    f->fd = fd;
    f->scout = s;
    f->poll.data = f;
    list_push(&s->flights, &f->link);
    return f;
}

static void on_socket(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct scout *s = arg;
    struct flight *f = flight_of(s, fd);
    if (!f)
        return;
    if (readable || writable) {
        uv_poll_start(&f->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0), on_flight);
        return;
    }
    list_del(&f->link);
    uv_close((uv_handle_t *)&f->poll, on_flight_closed);
}

/* ---- names of a generation ---- */

static bool is_localhost(struct str name)
{
    return str_ieq(name, STR("localhost")) || (name.n > 10 && str_ieq(str_skip(name, name.n - 10), STR(".localhost")));
}

/* Rule 5. */
static void fix_from_hosts(struct scout *s, struct name *n)
{
    static const uint8_t v4[4] = {127, 0, 0, 1}, v6[16] = {[15] = 1};
    struct str name = str_c(n->text);
    struct board_dns_answer *a = &n->q[0].good;
    n->fixed = hosts_lookup(buf_str(&s->hosts), name, a) > 0;
    if (!n->fixed && is_localhost(name)) {
        hosts_add(a, 4, v4);
        hosts_add(a, 6, v6);
        n->fixed = true;
    }
    if (n->fixed)
        publish(n);
}

/* Rule 2: what an earlier scout found. */
static void take_over(struct scout *s, struct name *n)
{
    struct board_dns *d = board_dns(s->w->board, n->slot);
    struct board_dns_answer a;
    if (board_get(&d->key) != hash_str_lower(str_c(n->text), 0) || !board_dns_read(d, &a)) {
        atomic_store(&d->key, 0);
        return;
    }
    for (uint32_t i = 0; i < a.n; i++)
        hosts_add(&n->q[a.v[i].family == 6].good, a.v[i].family == 6 ? 6 : 4, a.v[i].addr);
    n->expires_wall_s = a.expires_wall_s;
}

static struct name *name_new(struct scout *s, uint32_t slot, struct str text)
{
    struct name *n = calloc(1, sizeof(*n));
    char *copy = n ? strndup(text.p, text.n) : NULL;
    if (!copy) {
        free(n);
        log_error(&s->w->log, "out of memory for a name");
        return NULL;
    }
    n->scout = s;
    n->slot = slot;
    n->text = copy;
    for (int i = 0; i < 2; i++)
        n->q[i] = (struct question){.name = n, .family = i ? 6 : 4};
    take_over(s, n);
    fix_from_hosts(s, n);
    return n;
}

static void name_drop(struct scout *s, uint32_t slot)
{
    struct name *n = s->names[slot];
    s->names[slot] = NULL;
    if (n) {
        n->gone = true;
        name_free_if_gone(n);
    }
}

static void use_names(struct scout *s, const struct snap *snap)
{
    bool wanted[BOARD_MAX_DNS] = {false};
    for (uint32_t i = 0; i < snap->n[SNAP_ENDPOINTS]; i++) {
        const struct snap_endpoint *e = &snap->ENDPOINTS[i];
        struct str text = snap_text(snap, e->address);
        if (e->dns_slot >= BOARD_MAX_DNS || wanted[e->dns_slot])
            continue;
        wanted[e->dns_slot] = true;
        if (s->names[e->dns_slot] && str_ieq(str_c(s->names[e->dns_slot]->text), text))
            continue;
        name_drop(s, e->dns_slot);
        s->names[e->dns_slot] = name_new(s, e->dns_slot, text);
    }
    for (uint32_t slot = 0; slot < BOARD_MAX_DNS; slot++)
        if (!wanted[slot])
            name_drop(s, slot);
    plan(s);
}

/* ---- messages ---- */

static int take_snapshot(struct worker *w, struct ipc_msg *m)
{
    struct scout *s = w->role_state;
    struct buf why = {0};
    snap_drop(s->offered);
    s->offered = NULL;
    int rc = snap_open(&s->offered, m->fds[0], &why);
    if (rc < 0) {
        board_add(&w->me->counters.snapshots_refused, 1);
        log_error(&w->log, "generation %llu refused: %s", (unsigned long long)m->u.as_SNAPSHOT.generation,
                  buf_cstr(&why));
    }
    link_send_ack(w, m->u.as_SNAPSHOT.generation, rc, buf_str(&why));
    buf_fini(&why);
    return 0;
}

static int take_commit(struct worker *w, struct ipc_msg *m)
{
    struct scout *s = w->role_state;
    uint64_t generation = m->u.as_COMMIT.generation;
    if (!s->offered || s->offered->head->generation != generation)
        return GH_E_NOT_FOUND;
    use_names(s, s->offered);
    snap_drop(s->offered);
    s->offered = NULL;
    worker_set_generation(w, generation);
    link_send_active(w, generation);
    return 0;
}

static int take_withdraw(struct worker *w, struct ipc_msg *m)
{
    struct scout *s = w->role_state;
    if (s->offered && s->offered->head->generation == m->u.as_WITHDRAW.generation) {
        snap_drop(s->offered);
        s->offered = NULL;
    }
    return 0;
}

static int take_nothing(struct worker *w, struct ipc_msg *m)
{
    (void)w, (void)m;
    return 0;
}

/* ---- files ---- */

static void read_hosts(struct scout *s)
{
    char chunk[4096];
    ssize_t n;
    int fd = open("/etc/hosts", O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && s->hosts.n < HOSTS_MAX && (n = read(fd, chunk, sizeof(chunk))) > 0)
        buf_add(&s->hosts, chunk, (size_t)n);
    if (fd >= 0)
        close(fd);
}

static void on_settled(uv_timer_t *t)
{
    struct scout *s = t->data;
    if (s->w->orphan || s->w->link.fd < 0 || s->w->link.rescued)
        return; /* nobody would start another one */
    log_info(&s->w->log, "resolv.conf or hosts changed; a fresh scout takes over");
    worker_exit(s->w, 0);
}

static void on_change(uv_poll_t *p, int status, int events)
{
    struct scout *s = p->data;
    char room[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n;
    (void)status, (void)events;
    while ((n = read(s->inotify, room, sizeof(room))) > 0)
        for (char *at = room; at < room + n;) {
            const struct inotify_event *e = (const struct inotify_event *)(void *)at;
            at += sizeof(*e) + e->len;
            if (e->len && (strcmp(e->name, "hosts") == 0 || strcmp(e->name, "resolv.conf") == 0 ||
                           strcmp(e->name, s->resolv_name) == 0))
                uv_timer_start(s->settle, on_settled, SETTLE_MS, 0);
        }
}

/* Without inotify a change is noticed at the next start; not worth failing for. */
static void watch_files(struct scout *s)
{
    const uint32_t mask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE;
    char real[PATH_MAX];
    s->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (s->inotify < 0)
        return;
    inotify_add_watch(s->inotify, "/etc", mask);
    if (realpath("/etc/resolv.conf", real)) {
        char *slash = strrchr(real, '/');
        *slash = '\0';
        strncpy(s->resolv_name, slash + 1, sizeof(s->resolv_name) - 1);
        inotify_add_watch(s->inotify, real[0] ? real : "/", mask);
    }
    s->changes = malloc(sizeof(*s->changes));
    if (!s->changes || uv_poll_init(&s->w->loop, s->changes, s->inotify) != 0) {
        free(s->changes);
        s->changes = NULL;
        return;
    }
    s->changes->data = s;
    uv_poll_start(s->changes, UV_READABLE, on_change);
}

/* ---- life ---- */

static void on_closed(uv_handle_t *h)
{
    free(h);
}

static uv_timer_t *timer_new(struct scout *s)
{
    uv_timer_t *t = malloc(sizeof(*t));
    if (t) {
        uv_timer_init(&s->w->loop, t);
        t->data = s;
    }
    return t;
}

static int open_channel(struct scout *s, struct buf *why)
{
    struct ares_options o = {.timeout = TRY_MS, .tries = TRIES, .sock_state_cb = on_socket, .sock_state_cb_data = s,
                             .lookups = (char *)(uintptr_t)"b"};
    struct buf servers = {0};
    unsetenv("HOSTALIASES"); /* would be a file to open at every question */
    int rc = ares_library_init(ARES_LIB_INIT_ALL);
    if (rc == ARES_SUCCESS)
        rc = ares_init_options(&s->channel, &o, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB |
                                                    ARES_OPT_LOOKUPS);
    s->has_channel = rc == ARES_SUCCESS;
    if (rc == ARES_SUCCESS && worker_setting(s->w, "dns_servers", &servers) && servers.n)
        rc = ares_set_servers_ports_csv(s->channel, buf_cstr(&servers));
    buf_fini(&servers);
    if (rc == ARES_SUCCESS)
        return 0;
    buf_addf(why, "the resolver: %s", ares_strerror(rc));
    return GH_E_SYSTEM;
}

static int start(struct worker *w, struct buf *why)
{
    struct scout *s = calloc(1, sizeof(*s));
    w->role_state = s;
    if (!s)
        return buf_addc(why, "out of memory"), GH_E_NOMEM;
    s->w = w;
    s->inotify = -1;
    list_init(&s->flights);
    rng_seed(&s->rng);
    s->ask = timer_new(s);
    s->ares = timer_new(s);
    s->settle = timer_new(s);
    if (!s->ask || !s->ares || !s->settle)
        return buf_addc(why, "out of memory"), GH_E_NOMEM;
    watch_files(s); /* before they are read: a change in between is not lost */
    read_hosts(s);
    return open_channel(s, why);
}

static void promoted(struct worker *w)
{
    (void)w;
}

static void drain(struct worker *w, uint64_t deadline_ms)
{
    (void)deadline_ms;
    worker_exit(w, 0);
}

static void close_timer(uv_timer_t *t)
{
    if (t)
        uv_close((uv_handle_t *)t, on_closed);
}

static void stop(struct worker *w)
{
    struct scout *s = w->role_state;
    if (!s)
        return;
    if (s->has_channel)
        ares_destroy(s->channel); /* every question is answered: EDESTRUCTION */
    ares_library_cleanup();
    for (uint32_t i = 0; i < BOARD_MAX_DNS; i++)
        name_drop(s, i);
    close_timer(s->ask);
    close_timer(s->ares);
    close_timer(s->settle);
    if (s->changes)
        uv_close((uv_handle_t *)s->changes, on_closed);
    uv_run(&w->loop, UV_RUN_NOWAIT);
    if (s->inotify >= 0)
        close(s->inotify);
    snap_drop(s->offered);
    buf_fini(&s->hosts);
    free(s);
    w->role_state = NULL;
}

static const struct role_message MESSAGES[] = {
    {IPC_SNAPSHOT, take_snapshot}, {IPC_COMMIT, take_commit}, {IPC_WITHDRAW, take_withdraw}, {IPC_LOG, take_nothing},
};

const struct role ROLE_ROW_SCOUT = {
    .id = ROLE_SCOUT, .name = "scout", .sandbox = SANDBOX_SCOUT,
    .messages = MESSAGES, .n_messages = ARRAY_LEN(MESSAGES),
    .start = start, .promoted = promoted, .drain = drain, .stop = stop,
};
