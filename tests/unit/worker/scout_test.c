/* scout_test.c - names become addresses on the board, whatever the DNS server does. The server is in this file. */
#include "shared/base/hash.h"
#include "tests/unit/worker/child.h"

/* What the server does with a question. */
struct dns {
    int fd;
    uint16_t port;
    int rcode;           /* 0 answer, 2 SERVFAIL, 3 NXDOMAIN, -1 silence */
    bool silent_aaaa;    /* answers A only */
    uint8_t last4, n4;   /* A: 192.0.2.last4 and n4-1 more */
    uint8_t n6;          /* AAAA: 2001:db8::1 ... */
    uint32_t ttl;
    unsigned asked;
    char name[256];      /* of the last question */
};

static void dns_open(struct dns *d)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(in);
    *d = (struct dns){.last4 = 1, .n4 = 1, .ttl = 1};
    d->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(d->fd, (struct sockaddr *)&in, n), 0);
    assert_int_equal(getsockname(d->fd, (struct sockaddr *)&in, &n), 0);
    d->port = ntohs(in.sin_port);
}

static void put16(struct buf *b, unsigned v)
{
    buf_addch(b, (char)(v >> 8));
    buf_addch(b, (char)v);
}

static void put_answer(struct dns *d, struct buf *b, unsigned type, uint8_t last)
{
    put16(b, 0xc00c); /* the name of the question */
    put16(b, type);
    put16(b, 1);
    put16(b, d->ttl >> 16);
    put16(b, d->ttl & 0xffff);
    if (type == 1) {
        const unsigned char a[] = {192, 0, 2, last};
        put16(b, 4);
        buf_add(b, a, 4);
    } else {
        const unsigned char a[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = last};
        put16(b, 16);
        buf_add(b, a, 16);
    }
}

/* Answers one question if there is one within `ms`. */
static void dns_serve(struct dns *d, int ms)
{
    struct sockaddr_in from;
    socklen_t from_n = sizeof(from);
    unsigned char q[512];
    struct pollfd p = {.fd = d->fd, .events = POLLIN};
    if (poll(&p, 1, ms) != 1)
        return;
    ssize_t n = recvfrom(d->fd, q, sizeof(q), 0, (struct sockaddr *)&from, &from_n);
    assert_true(n > 16);
    size_t at = 12, name_n = 0;
    while (q[at]) {
        memcpy(d->name + name_n, q + at + 1, q[at]);
        name_n += q[at];
        d->name[name_n++] = '.';
        at += q[at] + 1u;
    }
    d->name[name_n ? name_n - 1 : 0] = '\0';
    unsigned type = (unsigned)q[at + 1] << 8 | q[at + 2];
    at += 5;
    d->asked++;
    if (d->rcode < 0 || (d->silent_aaaa && type == 28))
        return;
    unsigned count = d->rcode ? 0 : type == 1 ? d->n4 : d->n6;
    struct buf b = {0};
    buf_add(&b, q, 2);
    put16(&b, 0x8180 | (unsigned)d->rcode);
    put16(&b, 1);
    put16(&b, count);
    put16(&b, 0);
    put16(&b, 0);
    buf_add(&b, q + 12, at - 12);
    for (unsigned i = 0; i < count; i++)
        put_answer(d, &b, type, (uint8_t)(type == 1 ? d->last4 + i : 1 + i));
    sendto(d->fd, b.p, b.n, 0, (struct sockaddr *)&from, from_n);
    buf_fini(&b);
}

struct fixture {
    struct dns dns;
    struct sample s;
    struct snap *snap;
    struct child c;
    uint32_t slot;
};

static void start_scout(struct fixture *f, enum board_role role)
{
    char settings[64];
    snprintf(settings, sizeof(settings), "dns_servers=127.0.0.1:%u\n", f->dns.port);
    if (!f->c.board)
        child_start(&f->c, role, settings);
    else
        child_fork(&f->c, role, settings);
    child_expect_state(&f->c, PROC_SPARE);
    child_promote(&f->c);
    child_offer(&f->c, buf_str(&f->s.image), 7, NULL, true);
    assert_int_equal(child_expect(&f->c, IPC_ACK)->u.as_ACK.result, 0);
    child_expect(&f->c, IPC_ACTIVE);
}

static void begin(struct fixture *f, const char *name)
{
    memset(f, 0, sizeof(*f));
    dns_open(&f->dns);
    sample_init(&f->s);
    sample_entry(&f->s, sample_host(&f->s, "*"), PATH_PREFIX_STRING, "/");
    struct model_endpoint *e = arena_new(&f->s.arena, struct model_endpoint);
    *e = (struct model_endpoint){.key = str_c(name), .address = str_c(name), .port = 80, .weight = 1, .dns = true};
    *ARENA_PUSH(&f->s.arena, &f->s.cluster->endpoints) = e;
    f->snap = sample_open(&f->s);
    for (uint32_t i = 0; i < f->snap->n[SNAP_ENDPOINTS]; i++)
        if (f->snap->ENDPOINTS[i].dns_slot != SNAP_NONE)
            f->slot = f->snap->ENDPOINTS[i].dns_slot;
    assert_true(f->slot < BOARD_MAX_DNS);
}

static void end(struct fixture *f)
{
    snap_drop(f->snap);
    sample_fini(&f->s);
    child_end(&f->c);
    close(f->dns.fd);
}

static bool has(const struct board_dns_answer *a, uint8_t family, uint8_t last)
{
    for (uint32_t i = 0; i < a->n; i++)
        if (a->v[i].family == family && a->v[i].addr[family == 4 ? 3 : 15] == last)
            return true;
    return false;
}

/* Serves questions until the board says n addresses with that status (0, or 1 = any failure). */
static struct board_dns_answer until(struct fixture *f, const char *name, uint32_t n, bool failing)
{
    struct board_dns *d = board_dns(f->c.board, f->slot);
    struct board_dns_answer a = {0};
    uint64_t end_ms = clock_ms() + CHILD_WAIT_MS;
    while (clock_ms() < end_ms) {
        dns_serve(&f->dns, 20);
        if (board_get(&d->key) == hash_str_lower(str_c(name), 0) && board_dns_read(d, &a) && a.n == n &&
            (a.status != 0) == failing)
            return a;
    }
    fail_msg("%s: wanted %u addresses%s, there are %u with status %u", name, n, failing ? ", failing" : "", a.n, a.status);
    return a;
}

static void both_families_are_found_and_followed(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "API.example");
    f.dns.n4 = 2;
    f.dns.n6 = 1;
    start_scout(&f, ROLE_SCOUT);
    struct board_dns_answer a = until(&f, "api.example", 3, false);
    assert_true(has(&a, 4, 1) && has(&a, 4, 2) && has(&a, 6, 1));
    assert_string_equal(f.dns.name, "API.example");
    f.dns.last4 = 50; /* the TTL is a second */
    f.dns.n4 = 3;
    a = until(&f, "api.example", 4, false);
    assert_true(has(&a, 4, 50) && has(&a, 4, 52) && !has(&a, 4, 1));
    assert_true(a.expires_wall_s >= clock_wall_us() / 1000000);
    end(&f);
}

static void the_last_good_answer_is_kept_over_failure_and_restart(void **state)
{
    (void)state;
    static const int failures[] = {2, 3};
    struct fixture f;
    begin(&f, "api.example");
    start_scout(&f, ROLE_SCOUT);
    until(&f, "api.example", 1, false);
    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        f.dns.rcode = failures[i];
        struct board_dns_answer a = until(&f, "api.example", 1, true);
        assert_true(has(&a, 4, 1));
        f.dns.rcode = 0;
        until(&f, "api.example", 1, false);
    }
    f.dns.rcode = 2;
    kill(f.c.pid, SIGKILL);
    child_status(&f.c);
    close(f.c.link);
    start_scout(&f, ROLE_SCOUT); /* a new one, and the server still fails */
    struct board_dns_answer a = until(&f, "api.example", 1, true);
    assert_true(has(&a, 4, 1));
    assert_true(board_get(&board_proc(f.c.board, CHILD_ROW)->counters.dns_failures) > 0);
    end(&f);
}

static void a_silent_family_does_not_hold_the_other_up(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "api.example");
    f.dns.silent_aaaa = true;
    start_scout(&f, ROLE_SCOUT);
    until(&f, "api.example", 1, false);
    /* Nobody has given up on the other question yet. */
    assert_int_equal(board_get(&board_proc(f.c.board, CHILD_ROW)->counters.dns_failures), 0);
    end(&f);
}

static void a_dead_server_stops_nothing(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "api.example");
    f.dns.rcode = -1;
    start_scout(&f, ROLE_SCOUT); /* acknowledges and is active at once */
    dns_serve(&f.dns, 5000);
    assert_true(f.dns.asked > 0);
    child_send(&f.c, &(struct ipc_msg){.type = IPC_DRAIN, .u.as_DRAIN = {.deadline_ms = clock_ms() + 1000}});
    child_expect_state(&f.c, PROC_DRAINING);
    assert_int_equal(child_status(&f.c), 0);
    end(&f);
}

static void many_addresses_are_bounded(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "api.example");
    f.dns.n4 = 28;
    f.dns.n6 = 12;
    start_scout(&f, ROLE_SCOUT);
    until(&f, "api.example", BOARD_DNS_ADDRS, false);
    end(&f);
}

static void localhost_needs_no_server(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "a.localhost");
    f.dns.rcode = -1;
    start_scout(&f, ROLE_SCOUT);
    struct board_dns_answer a = until(&f, "a.localhost", 2, false);
    assert_true(has(&a, 4, 1) && has(&a, 6, 1));
    assert_int_equal(f.dns.asked, 0);
    end(&f);
}

static void a_name_that_left_is_asked_no_more(void **state)
{
    (void)state;
    struct fixture f, other;
    begin(&f, "old.example");
    f.dns.ttl = 300;
    start_scout(&f, ROLE_SCOUT);
    until(&f, "old.example", 1, false);
    begin(&other, "new.example");
    assert_int_equal(other.slot, f.slot); /* the place is given to another name */
    child_offer(&f.c, buf_str(&other.s.image), 7, NULL, true);
    assert_int_equal(child_expect(&f.c, IPC_ACK)->u.as_ACK.result, 0);
    until(&f, "new.example", 1, false);
    assert_string_equal(f.dns.name, "new.example");
    snap_drop(other.snap);
    sample_fini(&other.s);
    close(other.dns.fd);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_families_are_found_and_followed),
        cmocka_unit_test(the_last_good_answer_is_kept_over_failure_and_restart),
        cmocka_unit_test(a_silent_family_does_not_hold_the_other_up),
        cmocka_unit_test(a_dead_server_stops_nothing),
        cmocka_unit_test(many_addresses_are_bounded),
        cmocka_unit_test(localhost_needs_no_server),
        cmocka_unit_test(a_name_that_left_is_asked_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
