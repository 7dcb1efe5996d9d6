#include "master/upgrade.h"
#include "master/master.h"
#include "shared/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define VARIABLE "GATEHOUSE_INHERIT"

/* ---- before ---- */

static pid_t ask_version(const struct master *m)
{
    sigset_t all, old;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    pid_t pid = fork();
    if (pid == 0) {
        struct sigaction standard = {.sa_handler = SIG_DFL};
        for (int s = 1; s < NSIG; s++)
            sigaction(s, &standard, NULL);
        sigprocmask(SIG_SETMASK, &old, NULL);
        dup2(m->null_fd, STDIN_FILENO);
        dup2(m->null_fd, STDOUT_FILENO);
        execl(m->program, "gatehouse", "--version", (char *)NULL);
        _exit(127);
    }
    int err = errno;
    sigprocmask(SIG_SETMASK, &old, NULL);
    errno = err;
    return pid;
}

void upgrade(struct master *m)
{
    if (m->phase != MASTER_RUNNING || m->upgrade.probe || m->upgrade.good)
        return;
    m->upgrade.probe = ask_version(m);
    m->upgrade.until_ms = clock_ms() + UPGRADE_PROBE_MS;
    if (m->upgrade.probe > 0) {
        log_info(&m->log, "upgrade: trying %s", m->program);
        return;
    }
    log_error(&m->log, "upgrade: no process could be made: %s", strerror(errno));
    m->upgrade.probe = 0;
}

/* ---- the exec ---- */

static void add(struct buf *text, const char *name, int fd)
{
    if (fd < 0)
        return;
    buf_addf(text, " %s=%d", name, fd);
}

static void name_all(const struct master *m, struct buf *text)
{
    const struct images *im = &m->reload.current;
    char name[64];
    buf_addf(text, "%d", (int)getpid());
    add(text, "lock", m->lock_fd);
    add(text, "board", m->board_fd);
    add(text, "admin-tcp", m->admin.tcp);
    for (size_t i = 0; i < m->listeners.n; i++)
        add(text, m->listeners.v[i].keep ? "unit" : "bind", m->listeners.v[i].fd);
    if (im->snapshot >= 0 && im->status >= 0 && im->state >= 0 && im->keys >= 0) {
        const struct { const char *word; int fd; } parts[] = {
            {"snapshot", im->snapshot}, {"status", im->status}, {"state", im->state}, {"keys", im->keys}};
        for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
            snprintf(name, sizeof(name), "%s-%llu", parts[i].word, (unsigned long long)im->generation);
            add(text, name, parts[i].fd);
        }
    }
    listen_each_given(&m->listeners, text, add);
}

/* Next pair of the list. */
static bool next_pair(struct str *rest, struct str *name, int *fd)
{
    struct str word;
    uint64_t number;
    while (str_split(rest, ' ', &word)) {
        ptrdiff_t at = str_chr(word, '=');
        if (at <= 0 || !str_u64(str_skip(word, (size_t)at + 1), &number) || number > INT32_MAX)
            continue;
        *name = str_head(word, (size_t)at);
        *fd = (int)number;
        return true;
    }
    return false;
}

static void set_cloexec(struct str list, int flag)
{
    struct str name;
    int fd;
    while (next_pair(&list, &name, &fd))
        fcntl(fd, F_SETFD, flag);
}

static void become_new(struct master *m)
{
    struct buf text = {0};
    sigset_t all, old;
    name_all(m, &text);
    m->upgrade.good = false;
    if (text.oom || setenv(VARIABLE, buf_cstr(&text), 1) != 0) {
        log_error(&m->log, "upgrade: out of memory");
        goto out;
    }
    log_info(&m->log, "upgrade: becoming %s", m->program);
    notify_reloading(&m->notify, "upgrading the program in place");
    notify_flush(&m->notify);
    set_cloexec(buf_str(&text), 0);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    execv(m->program, m->argv - 1); /* argv as main had it: the verb is its second word */
    int err = errno;
    sigprocmask(SIG_SETMASK, &old, NULL);
    set_cloexec(buf_str(&text), FD_CLOEXEC);
    unsetenv(VARIABLE);
    log_error(&m->log, "upgrade: %s: %s; this program goes on", m->program, strerror(err));
    master_reloaded(m); /* READY again */
out:
    buf_fini(&text);
}

static void try_it(struct master *m)
{
    if (m->upgrade.good && m->phase == MASTER_RUNNING && m->reload.phase == RELOAD_IDLE && !m->saver)
        become_new(m);
}

bool upgrade_reaped(struct master *m, pid_t pid, int status)
{
    if (!m->upgrade.probe || pid != m->upgrade.probe)
        return false;
    m->upgrade.probe = 0;
    m->upgrade.good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!m->upgrade.good)
        log_error(&m->log, "upgrade: %s could not say its version (%s %d); this program goes on", m->program,
                  WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    try_it(m);
    return true;
}

void upgrade_tick(struct master *m, uint64_t now_ms)
{
    if (m->upgrade.probe && now_ms >= m->upgrade.until_ms) {
        kill(m->upgrade.probe, SIGKILL);
        m->upgrade.until_ms = UINT64_MAX;
    }
    try_it(m);
}

/* ---- after ---- */

/* The list, if it is for this process. */
static struct str inherited(void)
{
    struct str list = str_c(getenv(VARIABLE)), word;
    uint64_t pid;
    if (!str_split(&list, ' ', &word) || !str_u64(word, &pid) || pid != (uint64_t)getpid())
        return STR_NONE;
    return list;
}

int upgrade_lock_fd(void)
{
    struct str list = inherited(), name;
    int fd;
    while (next_pair(&list, &name, &fd)) {
        if (str_eqc(name, "lock") && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
            return fd;
    }
    return -1;
}

void upgrade_inherited(void (*take)(void *ctx, struct str name, int fd), void *ctx)
{
    struct str list = inherited(), name;
    int fd;
    while (next_pair(&list, &name, &fd))
        if (!str_eqc(name, "lock") && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
            take(ctx, name, fd);
    unsetenv(VARIABLE);
}
