/*
 * tell.c - what a child is told, besides the transaction (reload.c).
 */
#include "config.h"
#include "master/master.h"
#include "shared/ipc/text.h"

#include <stdlib.h>

static void put_setting(struct buf *text, const char *key, const char *value)
{
    if (value[0]) /* an absent key means the default */
        ipc_text_put(text, key, str_c(value));
}

void tell_hello(struct child *c)
{
    const struct settings *s = &c->m->settings;
    struct ipc_msg msg = {.type = IPC_HELLO};
    struct buf text = {0};
    char series[24];
    msg.u.as_HELLO = (struct ipc_hello){
        .role = c->role->role,
        .row = c->row,
        .user_id = c->m->identity.user,
        .group_id = c->m->identity.group,
        .n_workers = settings_workers(s),
        .log_level = (uint32_t)s->log_level,
        .drain_ms = s->drain_timeout_ms,
    };
    put_setting(&text, "version", PACKAGE_VERSION);
    put_setting(&text, "run_dir", s->run_dir);
    put_setting(&text, "access_log_format", s->access_log_format);
    put_setting(&text, "dns_servers", s->dns_servers);
    ipc_text_put(&text, "metrics_max_series",
                 str_of(series, (size_t)snprintf(series, sizeof(series), "%llu", (unsigned long long)s->metrics_max_series)));
    if (!text.oom && text.n <= IPC_MAX_TEXT) {
        memcpy(msg.text, text.p, text.n);
        msg.text_n = text.n;
    } else {
        log_error(&c->m->log, "the settings are too long to be told to %s", c->role->word);
    }
    buf_fini(&text);
    link_send(&c->link, &msg);
}

static bool has_listener(const struct child *c, uint64_t bind_id, uint16_t number)
{
    for (size_t i = 0; i < c->n_listeners; i++)
        if (c->listeners[i].bind_id == bind_id && c->listeners[i].number == number)
            return true;
    return false;
}

static bool note_listener(struct child *c, uint64_t bind_id, uint16_t number)
{
    if (c->n_listeners == c->cap_listeners) {
        size_t cap = c->cap_listeners ? c->cap_listeners * 2 : 16;
        struct told_listener *v = realloc(c->listeners, cap * sizeof(*v));
        if (!v)
            return false;
        c->listeners = v;
        c->cap_listeners = cap;
    }
    c->listeners[c->n_listeners++] = (struct told_listener){bind_id, number};
    return true;
}

static void tell_listener(struct child *c, const struct listener *l)
{
    if (l->fd < 0 || has_listener(c, l->bind_id, l->number) || !note_listener(c, l->bind_id, l->number))
        return;
    struct ipc_msg msg = {.type = IPC_LISTENER, .n_fds = 1, .fds = {l->fd}};
    msg.u.as_LISTENER = (struct ipc_listener){.bind_id = l->bind_id, .port = l->port, .family = (uint32_t)l->family};
    msg.u.as_LISTENER.datagram = l->datagram ? (uint16_t)(l->number + 1) : 0;
    msg.text_n = GH_MIN(strlen(l->address), (size_t)IPC_MAX_TEXT);
    memcpy(msg.text, l->address, msg.text_n);
    link_send(&c->link, &msg);
}

static void tell_admin_listener(struct child *c, uint64_t bind_id, int fd, const char *address)
{
    struct listener l = {.bind_id = bind_id, .fd = fd};
    snprintf(l.address, sizeof(l.address), "%.*s", (int)sizeof(l.address) - 1, address);
    tell_listener(c, &l);
}

uint32_t tell_listeners(struct child *c)
{
    const struct master *m = c->m;
    if (c->role->operators) {
        tell_admin_listener(c, IPC_BIND_ADMIN_TCP, m->admin.tcp, m->admin.address);
        tell_admin_listener(c, IPC_BIND_ADMIN_UNIX, m->admin.un, RUN_ADMIN_SOCKET);
    }
    if (c->role->traffic)
        for (size_t i = 0; i < m->listeners.n; i++)
            tell_listener(c, &m->listeners.v[i]);
    return (uint32_t)c->n_listeners;
}

void tell_listener_gone(struct child *c, uint64_t bind_id)
{
    size_t n = c->n_listeners;
    for (size_t i = n; i-- > 0;)
        if (c->listeners[i].bind_id == bind_id)
            c->listeners[i] = c->listeners[--c->n_listeners];
    struct ipc_msg msg = {.type = IPC_LISTENER_GONE, .u.as_LISTENER_GONE = {.bind_id = bind_id}};
    if (c->n_listeners < n)
        link_send(&c->link, &msg);
}

void tell_log(struct child *c)
{
    if (!c->role->traffic || c->m->log_fd < 0)
        return;
    struct ipc_msg msg = {.type = IPC_LOG, .n_fds = 1, .fds = {c->m->log_fd}};
    link_send(&c->link, &msg);
}

void tell_note(struct child *c, uint64_t generation, uint64_t wall_us, int result, const char *why)
{
    struct ipc_msg msg = {.type = IPC_NOTE};
    msg.u.as_NOTE = (struct ipc_note){.generation = generation, .wall_us = wall_us, .result = result};
    msg.text_n = GH_MIN(strlen(why), (size_t)IPC_MAX_TEXT);
    memcpy(msg.text, why, msg.text_n);
    link_send(&c->link, &msg);
}
