#include "config.h"
#include "master/privilege.h"
#include "shared/base/err.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COMPILER_CPU_S  60
#define COMPILER_MEMORY (8ull << 30) /* of address space: a runaway ends here, not in the machine's swap */
#define COMPILER_FILES  4096

/* ---- capabilities, by the system calls themselves ---- */

static uint64_t cap_bit(int cap)
{
    return 1ull << cap;
}

static bool caps_set(uint64_t keep)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {.effective = (uint32_t)keep, .permitted = (uint32_t)keep},
        {.effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32)},
    };
    return syscall(SYS_capset, &head, data) == 0;
}

static uint64_t caps_permitted(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    if (syscall(SYS_capget, &head, data) != 0)
        return 0;
    return data[0].permitted | (uint64_t)data[1].permitted << 32;
}

/* Removes from the bounding set what is not in `keep`. */
static void caps_bound(uint64_t keep)
{
    for (int cap = 0; cap < 64; cap++) {
        if (!(keep & cap_bit(cap)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
            return; /* past the last one, or not ours to drop */
    }
}

/* ---- who ---- */

int identity_of(struct identity *id, const char *user, struct log *log)
{
    *id = (struct identity){ID_STAY, ID_STAY};
    if (geteuid() != 0)
        return 0;
    if (!user[0] || strcmp(user, "root") == 0) {
        log_warn(log, "workers stay root: `user` is %s", user[0] ? "root" : "empty");
        return 0;
    }
    const struct passwd *pw = getpwnam(user);
    if (!pw && strcmp(user, "gatehouse") == 0) {
        pw = getpwnam("nobody");
        if (pw)
            log_warn(log, "there is no user 'gatehouse': workers run as 'nobody'");
    }
    if (!pw)
        return GH_E_NOT_FOUND;
    *id = (struct identity){pw->pw_uid, pw->pw_gid};
    return 0;
}

static bool is_foreign(const char *dir)
{
    struct stat st;
    return dir[0] && stat(dir, &st) == 0 && st.st_uid != geteuid();
}

void privilege_limit(const char *const *dirs, struct log *log)
{
    if (geteuid() == 0) {
        uint64_t keep = cap_bit(CAP_NET_BIND_SERVICE) | cap_bit(CAP_SETUID) | cap_bit(CAP_SETGID) |
                        cap_bit(CAP_SETPCAP) | cap_bit(CAP_KILL) | cap_bit(CAP_DAC_READ_SEARCH) | cap_bit(CAP_CHOWN);
        for (; *dirs; dirs++)
            if (is_foreign(*dirs))
                keep |= cap_bit(CAP_DAC_OVERRIDE);
        keep &= caps_permitted();
        caps_bound(keep);
        if (!caps_set(keep))
            log_warn(log, "capabilities could not be given up: %s", strerror(errno));
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

uint64_t privilege_raise_nofile(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return 1024;
    if (r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
        getrlimit(RLIMIT_NOFILE, &r);
    }
    return r.rlim_cur;
}

/* ---- the compiler's box ---- */

static void limit(int what, uint64_t soft, uint64_t hard)
{
    struct rlimit r;
    if (getrlimit((__rlimit_resource_t)what, &r) != 0)
        return;
    r.rlim_max = GH_MIN(r.rlim_max, (rlim_t)hard);
    r.rlim_cur = GH_MIN(r.rlim_max, (rlim_t)soft);
    setrlimit((__rlimit_resource_t)what, &r);
}

static void limit_compiler(void)
{
    limit(RLIMIT_CPU, COMPILER_CPU_S, COMPILER_CPU_S + 5); /* SIGXCPU, then SIGKILL */
    limit(RLIMIT_CORE, 0, 0);
    limit(RLIMIT_NOFILE, COMPILER_FILES, COMPILER_FILES);
#ifndef GH_SANITIZED /* its shadow takes terabytes of address space */
    limit(RLIMIT_AS, COMPILER_MEMORY, COMPILER_MEMORY);
#endif
}

/* Nothing below / may be written, made or removed from now on, whatever file modes say. Where the kernel has no Landlock,
 * file modes have to do. */
static void forbid_writing(void)
{
    struct landlock_ruleset_attr rules = {
        .handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                             LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
                             LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                             LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM,
    };
    int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
    if (fd < 0)
        return;
    syscall(SYS_landlock_restrict_self, fd, 0);
    close(fd);
}

/* No network, no programs, no other processes. What is not named stays: the compiler is our own code over hostile
 * text, the workers are the ones with an allow list. open_by_handle_at would turn CAP_DAC_READ_SEARCH into more than
 * it is meant for. */
static bool forbid_calls(void)
{
    static const int calls[] = {
        SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4),
        SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(clone), SCMP_SYS(clone3),
        SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(kill), SCMP_SYS(tkill),
        SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_send_signal), SCMP_SYS(pidfd_getfd), SCMP_SYS(open_by_handle_at),
        SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(chroot), SCMP_SYS(bpf),
        SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup), SCMP_SYS(keyctl), SCMP_SYS(add_key),
        SCMP_SYS(request_key), SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(kexec_load), SCMP_SYS(reboot),
    };
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    bool good = ctx != NULL;
    for (size_t i = 0; good && i < ARRAY_LEN(calls); i++)
        good = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), calls[i], 0) == 0;
    /* abort() may signal itself, nobody else. */
    good = good && seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(tgkill), 1,
                                    SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid())) == 0;
    good = good && seccomp_load(ctx) == 0;
    if (ctx)
        seccomp_release(ctx);
    return good;
}

bool privilege_confine_compiler(const struct identity *id, const char **what)
{
    uint64_t keep = caps_permitted() & cap_bit(CAP_DAC_READ_SEARCH);
    limit_compiler();
    *what = "user";
    if (id->user != ID_STAY) {
        prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
        if (setgroups(0, NULL) != 0 || setresgid(id->group, id->group, id->group) != 0 ||
            setresuid(id->user, id->user, id->user) != 0)
            return false;
        *what = "capabilities";
        if (!caps_set(keep))
            return false;
    } else if (geteuid() != 0 && !caps_set(keep)) { /* ports are the master's business */
        *what = "capabilities";
        return false;
    }
    *what = "no_new_privs";
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return false;
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* a core_pattern with a pipe asks for no limit */
    forbid_writing();
    *what = "system call filter";
    return forbid_calls();
}
