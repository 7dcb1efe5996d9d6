/*
 * admin_http_fuzz.c - any bytes to the operators' server, in pieces, over a socket pair. It must answer or close,
 * and what it hands to its handler must be a request.
 */
#include "worker/admin_http.h"
#include "shared/base/base.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct target {
    struct list parked;
    unsigned handled;
};

static void handle(void *arg, struct admin_conn *c, const struct admin_request *r)
{
    struct target *t = arg;
    t->handled++;
    must(r->method.n > 0);
    must(r->path.p == NULL || r->path.n == 0 || r->path.p[0] == '/' || r->path.p[0] == '*');
    if (r->path.n % 3 == 2)
        admin_park(c, &t->parked, 1, 1);
    else
        admin_answer_error(c, 200, STR_FMT, STR_ARG(r->path));
}

static void expired(void *arg, struct admin_conn *c)
{
    (void)arg;
    admin_answer_text(c, 200, "late");
}

/* A listening socket with an address that the kernel chooses, in the abstract namespace. */
static int listening(struct sockaddr_un *a, socklen_t *n)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    *n = sizeof(a->sun_family);
    must(fd >= 0 && bind(fd, (struct sockaddr *)a, *n) == 0 && listen(fd, 8) == 0);
    *n = sizeof(*a);
    must(getsockname(fd, (struct sockaddr *)a, n) == 0);
    return fd;
}

static void drink(int fd)
{
    char sink[65536];
    while (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uv_loop_t loop;
    struct log log;
    struct board_proc me = {0};
    struct target t = {0};
    struct sockaddr_un a;
    socklen_t n;
    must(uv_loop_init(&loop) == 0);
    log_init(&log, -1, "fuzz");
    list_init(&t.parked);
    struct admin_http_config c = {.loop = &loop, .me = &me, .log = &log, .limits = ADMIN_LIMITS_DEFAULT,
                                  .handle = handle, .expired = expired, .arg = &t};
    struct admin_http *h = admin_http_new(&c);
    int listener = listening(&a, &n), client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(h && admin_http_listen(h, 1, listener, true) == 0);
    must(connect(client, (struct sockaddr *)&a, n) == 0);
    uv_run(&loop, UV_RUN_NOWAIT);
    for (size_t at = 0; at < size;) {
        size_t piece = 1 + data[at] * 7u % 900; /* the input says how it is cut */
        piece = piece < size - at ? piece : size - at;
        if (send(client, data + at, piece, MSG_NOSIGNAL | MSG_DONTWAIT) <= 0)
            break;
        at += piece;
        uv_run(&loop, UV_RUN_NOWAIT);
        drink(client);
    }
    if (size % 2)
        shutdown(client, SHUT_WR);
    for (int i = 0; i < 3; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        drink(client);
    }
    must(t.handled == board_get(&me.counters.admin_requests));
    close(client);
    admin_http_free(h);
    uv_run(&loop, UV_RUN_DEFAULT);
    must(uv_loop_close(&loop) == 0);
    return 0;
}
