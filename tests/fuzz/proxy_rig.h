/*
 * proxy_rig.h - a dataplane over real (unix) sockets with one rule for everything, for fuzz targets.
 */
#ifndef GH_FUZZ_PROXY_RIG_H
#define GH_FUZZ_PROXY_RIG_H

#include "master/compile/compile.h"
#include "worker/proxy/dataplane.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

struct rig {
    uv_loop_t loop;
    struct log log;
    struct board *board;
    struct dataplane *dp;
    int listener, backend;
    struct sockaddr_un at_listener, at_backend;
    socklen_t n_listener, n_backend;
};

/* What differs. */
struct rig_rule {
    bool retries;
    enum upstream_protocol protocol;
    uint32_t buffer_bytes; /* 0 = the default */
};

/* At an abstract address that the kernel chooses. */
static inline int rig_listener(struct sockaddr_un *a, socklen_t *n)
{
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(fd >= 0 && bind(fd, (struct sockaddr *)a, sizeof(a->sun_family)) == 0 && listen(fd, 128) == 0);
    *n = sizeof(*a);
    must(getsockname(fd, (struct sockaddr *)a, n) == 0);
    return fd;
}

static inline uint32_t rig_slot(void *ctx, const char *table, struct str key)
{
    (void)ctx;
    (void)table;
    (void)key;
    return 0;
}

static inline void rig_load(struct rig *r, uint64_t generation, const struct rig_rule *what)
{
    static const struct model_settings defaults = {
#define X(name, type, value, text) .name = (value),
#include "shared/tbl/setting.def"
#undef X
    };
    struct arena a;
    struct model m;
    struct buf image = {0}, why = {0};
    arena_init(&a, 0, NULL);
    model_init(&m, &a);
    m.settings = defaults;
    if (what->buffer_bytes)
        m.settings.buffer_bytes = what->buffer_bytes;
    struct model_bind *b = model_bind(&m, STR("127.0.0.1"), 80);
    struct model_listener *l = model_listener_add(b, &a, STR("l"), STR("*"));
    struct model_host *h = model_host(&m, b, STR("*"), l);
    struct model_rule *rule = model_rule_add(&m, STR("r"));
    struct model_cluster *c = model_cluster(&m, STR("c"), NULL);
    struct model_endpoint *e = arena_new(&a, struct model_endpoint);
    e->key = STR("e");
    e->address = arena_strf(&a, "unix:@%s", r->at_backend.sun_path + 1);
    e->weight = 1;
    *ARENA_PUSH(&a, &c->endpoints) = e;
    *ARENA_PUSH(&a, &rule->splits) = (struct model_split){.weight = 1, .cluster = c};
    c->protocol = what->protocol;
    if (what->retries)
        rule->retry = (struct model_retry){.attempts = 2, .on = RETRY_ON_5XX | RETRY_ON_RESET, .backoff_ms = 1};
    struct model_match *match = arena_new(&a, struct model_match);
    *ARENA_PUSH(&a, &h->entries) = (struct model_entry){match, rule, 0};
    struct compile_input in = {.model = &m, .generation = generation, .slot = rig_slot};
    must(compile_bytes(&in, &image, &why) == 0);
    int fd = image_seal("fuzz", buf_str(&image));
    must(fd >= 0 && dataplane_offer(r->dp, fd, -1, &why) == 0 && dataplane_commit(r->dp, generation));
    close(fd);
    buf_fini(&image);
    buf_fini(&why);
    arena_fini(&a);
}

static inline struct rig *rig_get(void)
{
    static struct rig *rig; /* made once: a fuzz target has no other place for it */
    if (rig)
        return rig;
    struct rig *r = calloc(1, sizeof(*r));
    int board_fd;
    must(r && uv_loop_init(&r->loop) == 0 && board_make(&r->board, &board_fd) == 0);
    close(board_fd);
    log_init(&r->log, 2, "fuzz");
    r->backend = rig_listener(&r->at_backend, &r->n_backend);
    r->listener = rig_listener(&r->at_listener, &r->n_listener);
    struct board_proc *me = board_proc(r->board, 1);
    me->role = ROLE_WORKER;
    me->state = PROC_ACTIVE;
    r->dp = dataplane_new(&(struct dataplane_config){.loop = &r->loop, .board = r->board, .row = 1, .log = &r->log, .system_ca_fd = -1});
    must(r->dp);
    must(dataplane_listener_add(r->dp, snap_bind_id(STR("127.0.0.1"), 80, false), dup(r->listener), false) == 0);
    rig_load(r, 1, &(struct rig_rule){0});
    dataplane_set_active(r->dp, true);
    return rig = r;
}

static inline uint64_t rig_gauge(const _Atomic uint64_t *g)
{
    return board_get(g);
}

#endif
