#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

/* What a child may know of our environment: where it is, how to log, how the sanitizers are to behave. */
static bool may_inherit(const char *entry)
{
    static const char *const names[] = {"TZ=", "JOURNAL_STREAM=", "LD_LIBRARY_PATH=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=",
                                        "LSAN_OPTIONS=", "TSAN_OPTIONS=", "LLVM_PROFILE_FILE=", "GCOV_PREFIX="};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strncmp(entry, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static char **clean_environment(void)
{
    size_t n = 0, kept = 0;
    while (environ[n])
        n++;
    char **env = calloc(n + 1, sizeof(*env));
    for (size_t i = 0; env && i < n; i++)
        if (may_inherit(environ[i]))
            env[kept++] = environ[i];
    return env;
}

/* Only calls that are safe after fork. Everything that has no number below is close-on-exec, and closed besides. */
GH_NORETURN static void child_exec(const struct master *m, int link_fd, char *const argv[], char *const env[])
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (int s = 1; s < NSIG; s++)
        sigaction(s, &standard, NULL); /* the loop's handlers write into a pipe that we share with the master */
    sigset_t none;
    sigemptyset(&none);
    setsid(); /* the terminal's signals are for the master */
    int link = fcntl(link_fd, F_DUPFD, 16), board = fcntl(m->board_fd, F_DUPFD, 16);
    if (link >= 0 && board >= 0 && dup2(m->null_fd, STDIN_FILENO) >= 0 && dup2(m->null_fd, STDOUT_FILENO) >= 0 &&
        dup2(link, IPC_FD_LINK) >= 0 && dup2(board, IPC_FD_BOARD) >= 0) {
        syscall(SYS_close_range, IPC_FD_BOARD + 1, ~0u, 0);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execve(m->worker_program, argv, env);
    }
    static const char text[] = "gatehouse: the worker program could not be started\n";
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(127);
}

pid_t spawn_worker(const struct master *m, const struct role *role, int *link_fd)
{
    int pair[2];
    sigset_t all, old;
    if (ipc_pair(pair) != 0)
        return -1;
    char **env = clean_environment();
    char *argv[] = {(char *)"gatehouse-worker", (char *)role->word, NULL}; /* the second word is for ps */
    pid_t pid = -1;
    if (env) {
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, &old); /* no signal may run our handlers in the child */
        pid = fork();
        if (pid == 0)
            child_exec(m, pair[1], argv, env);
        int err = errno;
        sigprocmask(SIG_SETMASK, &old, NULL);
        errno = err;
    }
    int err = errno;
    free(env);
    close(pair[1]);
    if (pid < 0)
        close(pair[0]);
    else
        *link_fd = pair[0];
    errno = err;
    return pid;
}
