#include "master/master.h"
#include "shared/base/clock.h"
#include "shared/base/err.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct role ROLES[] = {
    {.role = ROLE_WORKER, .word = "worker", .spares = 1, .traffic = true},
    {.role = ROLE_SCOUT, .word = "scout"},
    {.role = ROLE_ADMIN, .word = "admin", .operators = true},
};

/* ---- the table ---- */

#define STAY(state) {CHILD_##state, ACT_NONE}

static const struct child_step STEPS[CHILD_STATE_COUNT][EV_COUNT] = {
    [CHILD_STARTING] = {
        [EV_READY] = {CHILD_READY, ACT_NONE},
        [EV_PROMOTE] = STAY(STARTING),
        [EV_DRAIN] = {CHILD_DRAINING, ACT_DRAIN},
        [EV_STUCK] = {CHILD_ENDING, ACT_ABORT},
        [EV_BROKEN] = {CHILD_ENDING, ACT_KILL},
        [EV_TIMEOUT] = {CHILD_ENDING, ACT_ABORT},
        [EV_EXIT] = {CHILD_GONE, ACT_BURY},
    },
    [CHILD_READY] = {
        [EV_READY] = STAY(READY),
        [EV_PROMOTE] = {CHILD_ACTIVE, ACT_PROMOTE},
        [EV_DRAIN] = {CHILD_DRAINING, ACT_DRAIN},
        [EV_STUCK] = {CHILD_ENDING, ACT_ABORT},
        [EV_BROKEN] = {CHILD_ENDING, ACT_KILL},
        [EV_TIMEOUT] = STAY(READY),
        [EV_EXIT] = {CHILD_GONE, ACT_BURY},
    },
    [CHILD_ACTIVE] = {
        [EV_READY] = STAY(ACTIVE),
        [EV_PROMOTE] = STAY(ACTIVE),
        [EV_DRAIN] = {CHILD_DRAINING, ACT_DRAIN},
        [EV_STUCK] = {CHILD_ENDING, ACT_ABORT},
        [EV_BROKEN] = {CHILD_ENDING, ACT_KILL},
        [EV_TIMEOUT] = STAY(ACTIVE),
        [EV_EXIT] = {CHILD_GONE, ACT_BURY},
    },
    [CHILD_DRAINING] = {
        [EV_READY] = STAY(DRAINING),
        [EV_PROMOTE] = STAY(DRAINING),
        [EV_DRAIN] = {CHILD_DRAINING, ACT_DRAIN}, /* with a nearer deadline */
        [EV_STUCK] = {CHILD_ENDING, ACT_ABORT},
        [EV_BROKEN] = STAY(DRAINING), /* its link ends before it does */
        [EV_TIMEOUT] = {CHILD_ENDING, ACT_KILL},
        [EV_EXIT] = {CHILD_GONE, ACT_BURY},
    },
    [CHILD_ENDING] = {
        [EV_READY] = STAY(ENDING),
        [EV_PROMOTE] = STAY(ENDING),
        [EV_DRAIN] = STAY(ENDING),
        [EV_STUCK] = STAY(ENDING),
        [EV_BROKEN] = STAY(ENDING),
        [EV_TIMEOUT] = {CHILD_ENDING, ACT_KILL},
        [EV_EXIT] = {CHILD_GONE, ACT_BURY},
    },
    [CHILD_GONE] = {
        [EV_READY] = STAY(GONE),
        [EV_PROMOTE] = STAY(GONE),
        [EV_DRAIN] = STAY(GONE),
        [EV_STUCK] = STAY(GONE),
        [EV_BROKEN] = STAY(GONE),
        [EV_TIMEOUT] = STAY(GONE),
        [EV_EXIT] = STAY(GONE),
    },
};

struct child_step child_step(enum child_state state, enum child_event event)
{
    must(state < CHILD_STATE_COUNT && event < EV_COUNT);
    return STEPS[state][event];
}

/* ---- back-off and places ---- */

void backoff_died(struct backoff *b, uint64_t spawned_ms, uint64_t ready_ms, uint64_t now_ms)
{
    if (ready_ms && now_ms - spawned_ms >= CHILD_QUICK_MS) {
        *b = (struct backoff){0};
        return;
    }
    if (b->failures && spawned_ms < b->since_ms)
        return; /* it was started before the last failure was known: the same one */
    uint64_t wait = BACKOFF_LAST_MS;
    if (b->failures < 6)
        wait = GH_MIN((uint64_t)BACKOFF_FIRST_MS << b->failures, (uint64_t)BACKOFF_LAST_MS);
    b->failures++;
    b->since_ms = now_ms;
    b->not_before_ms = now_ms + wait;
}

struct role_plan role_plan(const struct role_counts *c)
{
    struct role_plan p = {0};
    if (c->active > c->wanted)
        p.drain_active = c->active - c->wanted;
    else
        p.promote = GH_MIN(c->ready, c->wanted - c->active);
    uint32_t stay = c->active - p.drain_active, waiting = c->ready + c->starting, full = c->wanted + c->spares;
    if (stay + waiting < full)
        p.start = full - stay - waiting;
    else
        p.drain_waiting = stay + waiting - full;
    return p;
}

/* ---- children ---- */

void supervise_init(struct supervisor *s)
{
    *s = (struct supervisor){0};
    list_init(&s->children);
}

static bool row_is_taken(struct master *m, uint32_t row)
{
    LIST_EACH(it, &m->supervisor.children)
        if (CHILD_OF(it)->row == row && !CHILD_OF(it)->reaped)
            return true;
    return adopt_has_row(m, row);
}

/* The lowest free row: places on the board are reused, so that its slabs stay few. */
static bool take_row(struct master *m, uint32_t *row)
{
    for (uint32_t i = 0; i < BOARD_MAX_PROC; i++) {
        if (!row_is_taken(m, i)) {
            *row = i;
            return true;
        }
    }
    return false;
}

static void prepare_row(struct master *m, const struct child *c)
{
    struct board_proc *p = board_proc(m->board, c->row);
    board_row_reset(m->board, c->row); /* whatever the one before left there */
    if (atomic_load(&p->started_ns))
        atomic_fetch_add(&p->restarts, 1);
    atomic_store(&p->role, (uint32_t)c->role->role);
    atomic_store(&p->row, c->row);
    atomic_store(&p->pid, (uint32_t)c->pid);
    atomic_store(&p->heartbeat_ns, clock_ns());
    atomic_store(&p->started_ns, clock_ns());
    atomic_store(&p->state, PROC_STARTING);
}

static void rescue_path(const struct master *m, uint32_t row, struct buf *path)
{
    buf_addf(path, "%s/worker-%u.sock", m->settings.run_dir, row);
}

static void tell_rescue(struct child *c)
{
    struct buf path = {0};
    rescue_path(c->m, c->row, &path);
    int fd = listen_rescue(buf_cstr(&path));
    if (fd >= 0) {
        struct ipc_msg msg = {.type = IPC_RESCUE, .n_fds = 1, .fds = {fd}};
        link_send(&c->link, &msg);
        close(fd);
    } else {
        log_warn(&c->m->log, "%s: %s; a new master could not find this process", buf_cstr(&path), strerror(errno));
    }
    buf_fini(&path);
}

static void child_free_if_done(struct child *c)
{
    if (!c->reaped || !c->link_closed)
        return;
    list_del(&c->node);
    free(c->listeners);
    free(c);
}

static void on_link_closed(struct link *l)
{
    struct child *c = l->owner;
    c->link_closed = true;
    child_free_if_done(c);
}

static void on_message(struct link *l, struct ipc_msg *msg);

static void on_link_end(struct link *l, int why)
{
    struct child *c = l->owner;
    if (why != GH_E_CLOSED)
        log_error(&c->m->log, "%s (pid %d): its link: %s", c->role->word, (int)c->pid, err_text(why));
    link_close(l);
    supervise_event(c, EV_BROKEN);
}

static bool start_child(struct master *m, const struct role *role)
{
    struct child *c = calloc(1, sizeof(*c));
    int fd;
    if (!c || !take_row(m, &c->row)) {
        free(c);
        return false;
    }
    c->m = m;
    c->role = role;
    c->link = (struct link){.owner = c, .on_message = on_message, .on_end = on_link_end, .on_closed = on_link_closed};
    c->spawned_ms = clock_ms();
    c->deadline_ms = c->spawned_ms + CHILD_START_MS;
    c->pid = spawn_worker(m, role, &fd);
    if (c->pid < 0) {
        log_error(&m->log, "a %s could not be started: %s", role->word, strerror(errno));
        free(c);
        return false;
    }
    prepare_row(m, c);
    list_push(&m->supervisor.children, &c->node);
    if (link_open(&c->link, &m->loop, fd) != 0) {
        c->link_closed = true;
        supervise_event(c, EV_BROKEN);
        return true;
    }
    log_debug(&m->log, "%s started, pid %d, row %u", role->word, (int)c->pid, c->row);
    tell_hello(c);
    tell_rescue(c);
    tell_log(c);
    tell_listeners(c);
    reload_tell_new_child(c);
    return true;
}

/* ---- what a child says ---- */

static bool take_state(struct child *c, struct ipc_msg *msg)
{
    uint32_t state = msg->u.as_STATE.state;
    if (state == PROC_EMPTY || state > PROC_GONE)
        return false;
    c->said = (enum board_state)state;
    if (state == PROC_SPARE)
        supervise_event(c, EV_READY);
    else if (state == PROC_DRAINING)
        master_children_changed(c->m);
    return true;
}

static bool take_ack(struct child *c, struct ipc_msg *msg)
{
    reload_ack(c, msg->u.as_ACK.generation, msg->u.as_ACK.result, msg->text);
    return true;
}

static bool take_active(struct child *c, struct ipc_msg *msg)
{
    reload_active(c, msg->u.as_ACTIVE.generation);
    return true;
}

static bool take_request(struct child *c, struct ipc_msg *msg)
{
    if (!c->role->operators)
        return false;
    master_ordered(c->m, c, msg);
    return true;
}

static const struct {
    enum ipc_type type;
    bool (*take)(struct child *c, struct ipc_msg *msg); /* false: it may not say this */
} WORDS[] = {
    {IPC_STATE, take_state},
    {IPC_ACK, take_ack},
    {IPC_ACTIVE, take_active},
    {IPC_REQUEST, take_request},
};

static void on_message(struct link *l, struct ipc_msg *msg)
{
    struct child *c = l->owner;
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
        if (WORDS[i].type == msg->type && WORDS[i].take(c, msg))
            return;
    log_error(&c->m->log, "%s (pid %d) says %s, which is not for it to say", c->role->word, (int)c->pid,
              ipc_type_name(msg->type));
    link_close(l);
    supervise_event(c, EV_BROKEN); /* rule 4 */
}

/* ---- events ---- */

static void signal_child(const struct child *c, int sig)
{
    if (!c->reaped && c->pid > 0)
        kill(c->pid, sig);
}

static void act_promote(struct child *c)
{
    struct ipc_msg msg = {.type = IPC_PROMOTE, .u.as_PROMOTE = {.row = c->row}};
    link_send(&c->link, &msg);
    c->deadline_ms = UINT64_MAX;
}

static void act_drain(struct child *c)
{
    struct ipc_msg msg = {.type = IPC_DRAIN, .u.as_DRAIN = {.deadline_ms = c->drain_ms}};
    link_send(&c->link, &msg);
    c->told_to_end = true;
    c->deadline_ms = c->drain_ms + CHILD_LATE_MS;
}

static void act_abort(struct child *c)
{
    struct board_head *h = board_head(c->m->board);
    atomic_fetch_add(&h->stuck_kills, 1);
    signal_child(c, SIGABRT);
    c->deadline_ms = clock_ms() + CHILD_ABORT_MS;
}

static void act_kill(struct child *c)
{
    signal_child(c, SIGKILL);
    c->deadline_ms = UINT64_MAX;
}

static void act_bury(struct child *c)
{
    struct buf path = {0};
    rescue_path(c->m, c->row, &path);
    unlink(buf_cstr(&path));
    buf_fini(&path);
    board_row_reset(c->m->board, c->row);
    link_close(&c->link);
}

static void (*const ACTS[])(struct child *c) = {
    [ACT_NONE] = NULL,         [ACT_PROMOTE] = act_promote, [ACT_DRAIN] = act_drain,
    [ACT_ABORT] = act_abort,   [ACT_KILL] = act_kill,       [ACT_BURY] = act_bury,
};

void supervise_event(struct child *c, enum child_event e)
{
    struct child_step step = child_step(c->state, e);
    bool moved = step.next != c->state, left = moved && (step.next == CHILD_ENDING || step.next == CHILD_GONE);
    if (step.next == CHILD_READY && moved) {
        c->ready_ms = clock_ms();
        c->deadline_ms = UINT64_MAX;
        log_debug(&c->m->log, "%s (pid %d) is ready", c->role->word, (int)c->pid);
    }
    c->state = step.next;
    c->hung |= moved && e == EV_STUCK;
    if (left && !c->told_to_end && !c->counted) { /* before its place is filled */
        c->counted = true;
        backoff_died(&c->m->supervisor.backoff[c->role->role], c->spawned_ms, c->ready_ms, clock_ms());
    }
    if (ACTS[step.act])
        ACTS[step.act](c);
    if (!moved)
        return;
    if (step.next == CHILD_READY)
        reload_child_ready(c);
    if (left || step.next == CHILD_DRAINING)
        reload_child_gone(c);
    supervise_reconcile(c->m);
    master_children_changed(c->m);
}

/* ---- how many ---- */

uint32_t supervise_count(const struct master *m, enum board_role role, enum child_state state)
{
    uint32_t n = 0;
    LIST_EACH(it, &m->supervisor.children)
        n += CHILD_OF(it)->role->role == role && CHILD_OF(it)->state == state;
    return n;
}

bool supervise_none_left(const struct master *m, enum board_role role)
{
    LIST_EACH(it, &m->supervisor.children)
        if ((role == ROLE_NONE || CHILD_OF(it)->role->role == role) && !CHILD_OF(it)->reaped)
            return false;
    return true;
}

/* The youngest child of a role in one of two states. */
static struct child *youngest(struct master *m, const struct role *role, enum child_state a, enum child_state b)
{
    struct child *found = NULL;
    LIST_EACH(it, &m->supervisor.children) { /* pushed at the end */
        struct child *c = CHILD_OF(it);
        if (c->role == role && (c->state == a || c->state == b))
            found = c;
    }
    return found;
}

static struct child *oldest_ready(struct master *m, const struct role *role)
{
    LIST_EACH(it, &m->supervisor.children)
        if (CHILD_OF(it)->role == role && CHILD_OF(it)->state == CHILD_READY)
            return CHILD_OF(it);
    return NULL;
}

struct child *supervise_spare(struct master *m)
{
    LIST_EACH(it, &m->supervisor.children) {
        struct child *c = CHILD_OF(it);
        if (c->role->traffic && c->state == CHILD_READY && c->active == c->told)
            return c;
    }
    return NULL;
}

bool supervise_any_worker(const struct master *m)
{
    return supervise_count(m, ROLE_WORKER, CHILD_STARTING) || supervise_count(m, ROLE_WORKER, CHILD_READY) ||
           supervise_count(m, ROLE_WORKER, CHILD_ACTIVE);
}

static void drain_one(struct child *c)
{
    c->drain_ms = clock_ms() + c->m->settings.drain_timeout_ms;
    supervise_event(c, EV_DRAIN);
}

/* Those that end before they were ever ready hold their place until they are gone: nobody misses them, and only then
 * the back-off knows of them. */
static uint32_t failed_starts(const struct master *m, const struct role *role)
{
    uint32_t n = 0;
    LIST_EACH(it, &m->supervisor.children)
        n += CHILD_OF(it)->role == role && CHILD_OF(it)->state == CHILD_ENDING && !CHILD_OF(it)->ready_ms;
    return n;
}

/* One step towards the plan; every event calls this again, so it does one thing at a time. */
static bool reconcile_role(struct master *m, const struct role *role)
{
    struct role_counts counts = {
        .wanted = role->role == ROLE_WORKER ? settings_workers(&m->settings) : 1,
        .spares = role->spares,
        .active = supervise_count(m, role->role, CHILD_ACTIVE),
        .ready = supervise_count(m, role->role, CHILD_READY),
        .starting = supervise_count(m, role->role, CHILD_STARTING) + failed_starts(m, role),
    };
    struct role_plan plan = role_plan(&counts);
    if (plan.promote) {
        supervise_event(oldest_ready(m, role), EV_PROMOTE);
        return true;
    }
    if (plan.drain_active) {
        drain_one(youngest(m, role, CHILD_ACTIVE, CHILD_ACTIVE));
        return true;
    }
    if (plan.drain_waiting) {
        drain_one(youngest(m, role, CHILD_READY, CHILD_STARTING));
        return true;
    }
    struct backoff *b = &m->supervisor.backoff[role->role];
    if (!plan.start || clock_ms() < b->not_before_ms)
        return false;
    if (start_child(m, role))
        return true;
    uint64_t now = clock_ms(); /* out of processes, descriptors or memory: as if it had died */
    backoff_died(b, now, 0, now);
    return false;
}

void supervise_reconcile(struct master *m)
{
    if (m->supervisor.stopping || m->supervisor.reconciling)
        return;
    m->supervisor.reconciling = true; /* events of a step come back here: one loop is enough */
    for (size_t i = 0; i < ARRAY_LEN(ROLES); i++)
        while (reconcile_role(m, &ROLES[i]))
            ;
    m->supervisor.reconciling = false;
    atomic_store(&board_head(m->board)->workers_wanted, settings_workers(&m->settings));
}

/* ---- time ---- */

static bool is_silent(const struct child *c, uint64_t now_ms)
{
    uint64_t now_ns = clock_ns();
    uint64_t quiet_ms = (now_ns - board_heartbeat(c->m->board, c->row, now_ns)) / 1000000u;
    uint64_t allowed = c->answer_ms ? c->patience_ms : CHILD_STUCK_MS;
    if (c->state == CHILD_STARTING)
        allowed = CHILD_SILENT_MS;
    return quiet_ms >= allowed && now_ms >= c->m->supervisor.grace_ms;
}

static void tick_child(struct child *c, uint64_t now_ms)
{
    if (c->state == CHILD_GONE)
        return;
    if (now_ms >= c->deadline_ms) {
        if (c->state == CHILD_STARTING)
            log_error(&c->m->log, "%s (pid %d) did not become ready within %d s", c->role->word, (int)c->pid,
                      CHILD_START_MS / 1000);
        supervise_event(c, EV_TIMEOUT);
    } else if (c->state != CHILD_ENDING && is_silent(c, now_ms)) {
        log_error(&c->m->log, "%s (pid %d) is stuck: it gives no sign of life; it is replaced", c->role->word, (int)c->pid);
        supervise_event(c, EV_STUCK);
    } else if (c->offered && c->answer_ms && now_ms >= c->answer_ms) {
        reload_silent(c);
    } else if (c->state != CHILD_ENDING && c->answer_ms && now_ms >= c->answer_ms) {
        log_error(&c->m->log, "%s (pid %d) gave no answer for %d s; it is replaced", c->role->word, (int)c->pid,
                  CHILD_ANSWER_MS / 1000);
        c->answer_ms = 0;
        supervise_event(c, EV_STUCK);
    }
}

void supervise_tick(struct master *m, uint64_t now_ms)
{
    struct supervisor *s = &m->supervisor;
    if (s->tick_ms && now_ms - s->tick_ms > CHILD_STUCK_MS / 2)
        s->grace_ms = now_ms + CHILD_STUCK_MS; /* rule 3: we were away ourselves */
    s->tick_ms = now_ms;
    LIST_EACH(it, &s->children) /* nobody is freed here: that takes a turn of the loop */
        tick_child(CHILD_OF(it), now_ms);
    supervise_reconcile(m);
}

/* ---- the end of a process ---- */

static void log_death(const struct child *c, int status, uint64_t now_ms)
{
    char how[64];
    double lived = (double)(now_ms - c->spawned_ms) / 1000;
    if (WIFSIGNALED(status))
        snprintf(how, sizeof(how), "was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(how, sizeof(how), "exited with status %d", WEXITSTATUS(status));
    if (c->told_to_end && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        log_debug(&c->m->log, "%s (pid %d) is done", c->role->word, (int)c->pid);
    else
        log_warn(&c->m->log, "%s (pid %d) %s after %.1f s, generation %llu", c->role->word, (int)c->pid, how, lived,
                 (unsigned long long)c->active);
}

bool supervise_reaped(struct master *m, pid_t pid, int status)
{
    LIST_EACH(it, &m->supervisor.children) {
        struct child *c = CHILD_OF(it);
        if (c->pid != pid || c->reaped)
            continue;
        uint64_t now = clock_ms();
        c->reaped = true;
        log_death(c, status, now);
        if (!c->told_to_end && (WIFSIGNALED(status) || WEXITSTATUS(status) != 0))
            atomic_fetch_add(&board_head(m->board)->crashes, 1);
        supervise_event(c, EV_EXIT);
        child_free_if_done(c);
        return true;
    }
    return false;
}

/* ---- the end of all ---- */

void supervise_drain(struct master *m, enum board_role role, uint64_t deadline_ms)
{
    m->supervisor.stopping = true;
    LIST_EACH(it, &m->supervisor.children) {
        struct child *c = CHILD_OF(it);
        if (role != ROLE_NONE && c->role->role != role)
            continue;
        c->drain_ms = deadline_ms;
        supervise_event(c, EV_DRAIN);
    }
}

void supervise_kill_all(struct master *m)
{
    m->supervisor.stopping = true;
    LIST_EACH(it, &m->supervisor.children) {
        CHILD_OF(it)->told_to_end = true;
        signal_child(CHILD_OF(it), SIGKILL);
    }
}
