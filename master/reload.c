#include "master/master.h"
#include "shared/base/clock.h"
#include "shared/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static void proceed(struct master *m);
static void finish(struct master *m);

void reload_init(struct reload *r)
{
    *r = (struct reload){0};
    list_init(&r->compilers);
    images_init(&r->current);
    images_init(&r->next);
}

void reload_fini(struct reload *r)
{
    images_close(&r->current);
    images_close(&r->next);
}

/* ---- telling ---- */

static void tell_admins(struct master *m)
{
    const struct reload *r = &m->reload;
    LIST_EACH(it, &m->supervisor.children)
        if (CHILD_OF(it)->role->operators && r->note_wall_us)
            tell_note(CHILD_OF(it), r->current.generation, r->note_wall_us, r->note_result, r->note);
}

static void tell_snapshot(struct child *c, const struct images *im)
{
    uint32_t n = tell_listeners(c);
    struct ipc_msg msg = {.type = IPC_SNAPSHOT, .n_fds = 1, .fds = {im->snapshot}};
    msg.u.as_SNAPSHOT = (struct ipc_snapshot){.generation = im->generation, .n_listeners = c->role->traffic ? n : 0};
    if (c->role->operators && im->status >= 0)
        msg.fds[msg.n_fds++] = im->status;
    if (c->role->traffic) /* nobody else is ever given the keys */
        msg.fds[msg.n_fds++] = im->keys;
    link_send(&c->link, &msg);
}

static void tell_commit(struct child *c, uint64_t generation, uint64_t patience_ms)
{
    struct ipc_msg msg = {.type = IPC_COMMIT, .u.as_COMMIT = {.generation = generation}};
    link_send(&c->link, &msg);
    c->told = generation;
    c->answer_ms = clock_ms() + CHILD_ANSWER_MS;
    c->patience_ms = patience_ms;
}

static bool takes_part(const struct child *c)
{
    return c->state == CHILD_READY || c->state == CHILD_ACTIVE;
}

/* Rule 8: serves what it was told to. */
static bool is_settled(const struct child *c)
{
    return takes_part(c) && c->active == c->told;
}

/* Rules 4 and 8. */
static bool is_asked(const struct child *c)
{
    return is_settled(c) && !c->offered && !c->role->operators;
}

static void offer(struct child *c)
{
    const struct reload *r = &c->m->reload;
    tell_snapshot(c, &r->next);
    c->offered = r->next.generation;
    c->acked = false;
    c->answer_ms = clock_ms() + CHILD_ANSWER_MS;
    c->patience_ms = r->look_ms;
}

static void tell_current(struct child *c)
{
    struct reload *r = &c->m->reload;
    tell_snapshot(c, &r->current);
    tell_commit(c, r->current.generation, CHILD_SILENT_MS);
    c->told_status = r->status_serial;
}

static void withdraw(struct child *c)
{
    struct ipc_msg msg = {.type = IPC_WITHDRAW, .u.as_WITHDRAW = {.generation = c->offered}};
    if (!c->offered)
        return;
    link_send(&c->link, &msg);
    c->offered = 0;
    c->answer_ms = 0;
}

static void listener_closed(void *ctx, const struct listener *l)
{
    struct master *m = ctx;
    LIST_EACH(it, &m->supervisor.children)
        tell_listener_gone(CHILD_OF(it), l->bind_id);
    adopt_unstore_listener(m, l);
}

/* ---- wishes ---- */

void reload_want(struct master *m, const char *why)
{
    struct reload *r = &m->reload;
    if (m->phase != MASTER_RUNNING)
        return;
    if (!r->wanted)
        snprintf(r->why, sizeof(r->why), "%s", why);
    r->wanted = true;
    proceed(m);
}

void reload_order(struct master *m, uint64_t id)
{
    struct reload *r = &m->reload;
    if (r->n_orders == RELOAD_ORDERS_MAX || m->phase != MASTER_RUNNING) {
        master_answer(m, id, GH_E_LIMIT, "{\"error\":\"not now: stopping, or too many orders wait\"}");
        return;
    }
    r->orders[r->n_orders++] = (struct reload_order){.id = id};
    reload_want(m, "order");
}

static void answer_orders(struct master *m, int result)
{
    struct reload *r = &m->reload;
    size_t kept = 0;
    struct buf text = {0};
    buf_addf(&text, "{\"generation\":%llu,\"errors\":%u,\"warnings\":%u,\"objects\":%u,\"message\":",
             (unsigned long long)r->current.generation, r->current.errors, r->current.warnings, r->current.objects);
    buf_json(&text, str_c(r->note));
    buf_addch(&text, '}');
    for (size_t i = 0; i < r->n_orders; i++) {
        if (r->orders[i].begun)
            master_answer(m, r->orders[i].id, result, buf_cstr(&text));
        else
            r->orders[kept++] = r->orders[i];
    }
    r->n_orders = kept;
    buf_fini(&text);
}

/* ---- how it ended ---- */

static void publish_board(struct master *m, bool good)
{
    const struct reload *r = &m->reload;
    struct board_head *h = board_head(m->board);
    atomic_fetch_add(good ? &h->reloads_ok : &h->reloads_failed, 1);
    atomic_store(&h->reload_last_failed, !good);
    atomic_store(&h->reload_last_ms, clock_ms() - r->began_ms);
    atomic_store(&h->reload_last_wall_us, clock_wall_us());
    atomic_store(&h->generation, r->current.generation);
    atomic_store(&h->config_errors, r->current.errors);
    atomic_store(&h->config_warnings, r->current.warnings);
}

/* The transaction is over; the next may begin. */
static void settle_it(struct master *m, int result, const char *note)
{
    struct reload *r = &m->reload;
    bool good = result == 0 || result == GH_E_EXISTS;
    r->phase = RELOAD_IDLE;
    r->compiler = NULL;
    r->tried = true;
    r->failed = !good;
    r->note_result = good ? 0 : result;
    r->note_wall_us = clock_wall_us();
    snprintf(r->note, sizeof(r->note), "%s", note);
    if (good && !r->unrecorded) {
        r->crashes = 0;
        r->retry_ms = 0;
    }
    r->unrecorded = false;
    publish_board(m, good);
    tell_admins(m);
    answer_orders(m, result);
    master_reloaded(m);
    proceed(m);
}

/* Nothing was committed: everything is as before. */
static void refuse(struct master *m, int result, const char *why)
{
    struct reload *r = &m->reload;
    log_error(&m->log, "the change is not served: %s; generation %llu stays", why, (unsigned long long)r->current.generation);
    LIST_EACH(it, &m->supervisor.children)
        withdraw(CHILD_OF(it));
    if (r->compiler)
        compiler_cancel(r->compiler);
    images_close(&r->next);
    r->canary = NULL;
    listen_withdraw(&m->listeners, listener_closed, m);
    settle_it(m, result, why);
}

static void keep_trying(struct reload *r)
{
    uint64_t wait = RELOAD_RETRY_LAST_MS;
    if (r->crashes < 6)
        wait = GH_MIN((uint64_t)RELOAD_RETRY_FIRST_MS << r->crashes, (uint64_t)RELOAD_RETRY_LAST_MS);
    r->crashes++;
    r->retry_ms = clock_ms() + wait;
}

/* ---- compiling ---- */

/* Rule 6. At the start there is nothing to keep: a missing directory is an empty one. */
static bool may_load(struct master *m)
{
    struct reload *r = &m->reload;
    struct buf why = {0};
    bool may = !r->tried || watch_root_is_there(&m->watch, &why);
    if (!may) {
        buf_addc(&why, "; what is served stays");
        r->wanted = false;
        r->began_ms = clock_ms();
        for (size_t i = 0; i < r->n_orders; i++)
            r->orders[i].begun = true;
        settle_it(m, GH_E_NOT_FOUND, buf_cstr(&why));
    }
    buf_fini(&why);
    return may;
}

static void begin(struct master *m)
{
    struct reload *r = &m->reload;
    uint64_t now = clock_ms();
    watch_load_begins(&m->watch, now);
    if (!may_load(m))
        return;
    r->wanted = false;
    r->retry_ms = 0;
    r->began_ms = now;
    r->status_only = false;
    r->phase = RELOAD_COMPILING;
    for (size_t i = 0; i < r->n_orders; i++)
        r->orders[i].begun = true;
    listen_begin(&m->listeners);
    m->listeners.spread = settings_workers(&m->settings);
    struct compiler_job job = {
        .conf_dir = m->settings.conf_dir,
        .config = m->config,
        .state_fd = r->current.state,
        .generation = r->generation + 1,
        .content_hash = r->current.content_hash,
        .findings_hash = r->current.findings_hash,
        .serving = r->current.generation > 0 && r->current.snapshot >= 0,
        .identity = &m->identity,
        .log = &m->log,
    };
    log_debug(&m->log, "loading (%s)", r->why);
    r->compiler = compiler_start(m, &job);
    if (!r->compiler) {
        keep_trying(r);
        refuse(m, GH_E_SYSTEM, "no process for the compiler could be made");
    } else if (m->was_ready) {
        notify_reloading(&m->notify, NULL);
    }
}

static void proceed(struct master *m)
{
    struct reload *r = &m->reload;
    if (r->phase == RELOAD_IDLE && r->wanted && m->phase == MASTER_RUNNING)
        begin(m);
}

/* Rule 5: workers keep what they have; state and status are new. */
static void renew_status(struct master *m, struct images *next)
{
    struct reload *r = &m->reload;
    next->generation = r->current.generation;
    int snapshot = r->current.snapshot, keys = r->current.keys;
    r->current.snapshot = r->current.keys = -1;
    images_close(&r->current);
    close(next->snapshot);
    close(next->keys);
    next->snapshot = snapshot; /* those that are mapped already */
    next->keys = keys;
    r->current = *next;
    images_init(next);
    r->status_only = true;
    r->status_serial++;
    listen_commit(&m->listeners, listener_closed, m);
    LIST_EACH(it, &m->supervisor.children) /* one that had no socket at the takeover may have one now */
        tell_listeners(CHILD_OF(it));
}

static void offer_to_all(struct master *m)
{
    m->reload.canary = NULL;
    LIST_EACH(it, &m->supervisor.children)
        if (is_asked(CHILD_OF(it)))
            offer(CHILD_OF(it)); /* the others when they are settled */
}

/* Rule 7: the spare looks at it first. */
static void begin_offer(struct master *m)
{
    struct reload *r = &m->reload;
    r->generation = r->next.generation; /* a number that was seen by a worker is never given again */
    r->phase = RELOAD_OFFERED;
    r->died = r->unsettled_died = 0;
    r->looked = false;
    r->look_ms = GH_MIN((uint64_t)CHILD_SILENT_MS, CHILD_STUCK_MS + 4 * (clock_ms() - r->began_ms));
    r->canary = supervise_spare(m);
    if (r->canary)
        offer(r->canary);
    else
        offer_to_all(m);
}

/* Rule 8: the generation that is served lets no worker live. */
static bool may_go_unseen(const struct master *m)
{
    const struct reload *r = &m->reload;
    return r->current.generation && r->unsettled_died && !supervise_any_worker(m);
}

/* Everybody who was asked has said yes, and a worker is among them. */
static bool all_acked(struct master *m)
{
    if (m->reload.canary || (!m->reload.looked && !may_go_unseen(m)))
        return false;
    LIST_EACH(it, &m->supervisor.children) {
        const struct child *c = CHILD_OF(it);
        if (takes_part(c) && c->offered == m->reload.next.generation && !c->acked)
            return false;
    }
    return true;
}

static bool all_serve(struct master *m, bool operators)
{
    LIST_EACH(it, &m->supervisor.children) {
        const struct child *c = CHILD_OF(it);
        if (takes_part(c) && c->role->operators == operators && c->told == m->reload.current.generation &&
            (c->active != c->told || c->answer_ms))
            return false;
    }
    return true;
}

/* Who comes after us finds a generation with its records. */
static void keep_it(struct master *m)
{
    adopt_store(m);
    master_save_state(m);
}

/* Rule 4. */
static void take_next(struct reload *r)
{
    struct images *now = &r->current, *next = &r->next;
    if (r->compiler) {
        next->status = now->status;
        next->state = now->state;
        now->status = now->state = -1;
    }
    images_close(now);
    *now = *next;
    images_init(next);
    r->status_serial++;
}

static void commit(struct master *m)
{
    struct reload *r = &m->reload;
    if (!r->looked)
        log_warn(&m->log, "generation %llu lets no worker live; generation %llu is taken without one that has looked at it",
                 (unsigned long long)r->current.generation, (unsigned long long)r->next.generation);
    take_next(r);
    r->phase = RELOAD_COMMITTED;
    LIST_EACH(it, &m->supervisor.children) {
        struct child *c = CHILD_OF(it);
        bool offered = c->offered;
        if (c->role->operators || !takes_part(c))
            continue;
        c->offered = 0;
        if (offered)
            tell_commit(c, r->current.generation, r->look_ms);
        else
            tell_current(c); /* has just become ready */
    }
    listen_commit(&m->listeners, listener_closed, m);
    if (!r->compiler)
        keep_it(m);
}

static void publish(struct master *m)
{
    struct reload *r = &m->reload;
    r->phase = RELOAD_PUBLISHING;
    atomic_store(&board_head(m->board)->generation, r->current.generation);
    LIST_EACH(it, &m->supervisor.children) {
        struct child *c = CHILD_OF(it);
        if (!c->role->operators || !takes_part(c) ||
            (c->told == r->current.generation && c->told_status == r->status_serial))
            continue;
        tell_current(c);
    }
}

/* Moves on as far as the answers allow. */
static void advance(struct master *m)
{
    struct reload *r = &m->reload;
    if (r->phase == RELOAD_OFFERED && all_acked(m))
        commit(m);
    if (r->phase == RELOAD_COMMITTED && !r->compiler && all_serve(m, false))
        publish(m);
    if (r->phase == RELOAD_PUBLISHING && all_serve(m, true))
        finish(m);
}

static void finish(struct master *m)
{
    struct reload *r = &m->reload;
    unsigned long long took = clock_ms() - r->began_ms;
    if (r->status_only)
        log_debug(&m->log, "nothing changed for the workers: generation %llu stays (%s, %llu ms)",
                  (unsigned long long)r->current.generation, r->why, took);
    else
        log_info(&m->log, "generation %llu: %u objects, %u errors, %u warnings, %zu listeners (%s, %llu ms)",
                 (unsigned long long)r->current.generation, r->current.objects, r->current.errors, r->current.warnings,
                 listen_bound(&m->listeners), r->why, took);
    settle_it(m, r->status_only ? GH_E_EXISTS : 0, "");
}

void reload_made(struct master *m, struct images *made)
{
    must(m->reload.phase == RELOAD_COMPILING);
    m->reload.next = *made;
    begin_offer(m);
    advance(m);
}

/* Rule 4: the records of what was offered, or committed meanwhile. */
static void take_records(struct master *m, struct compiled *c)
{
    struct reload *r = &m->reload;
    struct images *of = r->phase == RELOAD_OFFERED ? &r->next : &r->current;
    if (c->result == 0) {
        if (of->status >= 0)
            close(of->status);
        if (of->state >= 0)
            close(of->state);
        of->status = c->images.status;
        of->state = c->images.state;
        r->status_serial++;
        if (r->phase != RELOAD_OFFERED)
            keep_it(m);
        advance(m);
        return;
    }
    images_close(&c->images);
    keep_trying(r);
    if (r->phase == RELOAD_OFFERED) {
        refuse(m, c->result, c->text);
        return;
    }
    log_error(&m->log, "generation %llu is served, but nothing is told about it: %s", (unsigned long long)r->current.generation,
              c->text);
    r->unrecorded = true;
    advance(m);
}

void reload_compiled(struct master *m, struct compiled *c)
{
    struct reload *r = &m->reload;
    must(r->compiler);
    r->compiler = NULL;
    bool loaded = c->result == 0 || c->result == GH_E_EXISTS;
    if (watch_outside(&m->watch, c->outside, c->n_outside, loaded, clock_ms()) != 0)
        log_error(&m->log, "out of memory: files outside the configuration directory are not watched");
    if (r->phase != RELOAD_COMPILING) {
        take_records(m, c);
    } else if (c->result == GH_E_EXISTS && r->current.generation) {
        renew_status(m, &c->images);
        master_save_state(m);
        publish(m);
        advance(m);
    } else if (c->result == 0) {
        r->next = c->images;
        begin_offer(m);
        advance(m);
    } else {
        images_close(&c->images);
        keep_trying(r);
        refuse(m, c->result, c->text);
    }
}

/* ---- children ---- */

void reload_tell_new_child(struct child *c)
{
    const struct reload *r = &c->m->reload;
    if (r->current.generation)
        tell_current(c);
    if (c->role->operators && r->note_wall_us)
        tell_note(c, r->current.generation, r->note_wall_us, r->note_result, r->note);
}

/* To one that was not settled when the others were asked. */
static void offer_late(struct child *c)
{
    const struct reload *r = &c->m->reload;
    if (r->phase == RELOAD_OFFERED && !r->canary && is_asked(c))
        offer(c);
}

void reload_child_ready(struct child *c)
{
    struct reload *r = &c->m->reload;
    if (r->current.generation &&
        (c->told != r->current.generation || (c->role->operators && c->told_status != r->status_serial)))
        tell_current(c); /* it began with an older one */
    offer_late(c);
}

/* Rule 7: how many may die of it? */
static bool dies_of_it(struct master *m, const struct child *c)
{
    struct reload *r = &m->reload;
    uint32_t acked = 0;
    if (r->canary == c)
        return true;
    LIST_EACH(it, &m->supervisor.children) {
        const struct child *other = CHILD_OF(it);
        acked += other != c && other->role->traffic && other->offered && other->acked && takes_part(other);
    }
    return ++r->died > 1 || acked == 0;
}

void reload_child_gone(struct child *c)
{
    struct reload *r = &c->m->reload;
    bool unanswered = r->phase == RELOAD_OFFERED && c->offered && !c->acked && c->role->traffic && !c->told_to_end;
    if (unanswered && dies_of_it(c->m, c)) {
        char text[128];
        snprintf(text, sizeof(text), "a worker (pid %d) %s while it looked at generation %llu", (int)c->pid,
                 c->hung ? "hung" : "died", (unsigned long long)r->next.generation);
        c->offered = 0;
        keep_trying(r); /* perhaps it was chance */
        refuse(c->m, GH_E_REFUSED, text);
        return;
    }
    if (r->phase == RELOAD_OFFERED && c->role->traffic && !c->told_to_end && c->active != c->told)
        r->unsettled_died++;
    if (r->canary == c) { /* told to end */
        c->offered = 0;
        offer_to_all(c->m);
    }
    c->offered = 0;
    c->answer_ms = 0;
    advance(c->m);
}

void reload_silent(struct child *c)
{
    struct reload *r = &c->m->reload;
    char text[128];
    must(r->phase == RELOAD_OFFERED && c->offered);
    snprintf(text, sizeof(text), "%s (pid %d) did not answer within %d s", c->role->word, (int)c->pid, CHILD_ANSWER_MS / 1000);
    keep_trying(r);
    refuse(c->m, GH_E_TIMEOUT, text);
}

void reload_ack(struct child *c, uint64_t generation, int result, const char *why)
{
    struct reload *r = &c->m->reload;
    if (generation == c->told && generation != c->offered) { /* of what it began with */
        if (result == 0)
            return;
        log_error(&c->m->log, "%s (pid %d) can't serve generation %llu: %s", c->role->word, (int)c->pid,
                  (unsigned long long)generation, why);
        supervise_event(c, EV_STUCK);
        return;
    }
    if (r->phase != RELOAD_OFFERED || generation != c->offered)
        return; /* withdrawn meanwhile */
    if (result != 0) {
        char text[512];
        snprintf(text, sizeof(text), "%s (pid %d) refused generation %llu: %s", c->role->word, (int)c->pid,
                 (unsigned long long)generation, why[0] ? why : err_text(result));
        refuse(c->m, GH_E_REFUSED, text);
        return;
    }
    c->acked = true;
    c->answer_ms = 0;
    r->looked |= c->role->traffic;
    if (r->canary == c)
        offer_to_all(c->m);
    advance(c->m);
}

void reload_active(struct child *c, uint64_t generation)
{
    if (generation > c->told) {
        supervise_event(c, EV_BROKEN); /* nobody told it to */
        return;
    }
    c->active = generation;
    if (generation == c->told && !c->offered)
        c->answer_ms = 0;
    offer_late(c);
    advance(c->m);
}

/* ---- time ---- */

void reload_tick(struct master *m, uint64_t now_ms)
{
    struct reload *r = &m->reload;
    if (r->compiler)
        compiler_tick(r->compiler, now_ms);
    if (r->retry_ms && now_ms >= r->retry_ms) {
        r->retry_ms = 0;
        reload_want(m, "retry");
    }
}

void reload_abort(struct master *m)
{
    struct reload *r = &m->reload;
    r->wanted = false;
    r->retry_ms = 0;
    if (r->phase == RELOAD_OFFERED) {
        refuse(m, GH_E_CLOSED, "stopping");
    } else if (r->compiler) {
        compiler_cancel(r->compiler);
        r->compiler = NULL;
        if (r->phase == RELOAD_COMPILING) {
            listen_withdraw(&m->listeners, NULL, NULL);
            r->phase = RELOAD_IDLE;
        }
    }
    for (size_t i = 0; i < r->n_orders; i++)
        master_answer(m, r->orders[i].id, GH_E_CLOSED, "{\"error\":\"stopping\"}");
    r->n_orders = 0;
}
