#include "config.h"
#include "worker/sandbox.h"
#include "shared/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int complain(struct buf *why, const char *what)
{
    buf_addf(why, "%s: %s", what, strerror(errno));
    return GH_E_SYSTEM;
}

void sandbox_close_from(int first)
{
    if (syscall(SYS_close_range, (unsigned)first, ~0u, 0) == 0)
        return;
    long max = sysconf(_SC_OPEN_MAX); /* a kernel before 5.9 */
    for (int fd = first; fd < (max > 0 ? max : 65536); fd++)
        close(fd);
}

/* ---- layer 1: who we are ---- */

static int drop_bounding_set(struct buf *why)
{
    for (unsigned long c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
        if (prctl(PR_CAPBSET_DROP, c, 0, 0, 0) != 0)
            return errno == EPERM ? 0 : complain(why, "cannot empty the capability bounding set");
    return 0; /* EPERM: without CAP_SETPCAP; no_new_privs makes the set meaningless then */
}

static int become(const struct sandbox *s, struct buf *why)
{
    if (s->group_id != SANDBOX_STAY) {
        if (geteuid() == 0 && setgroups(0, NULL) != 0)
            return complain(why, "cannot leave the supplementary groups");
        if (setresgid(s->group_id, s->group_id, s->group_id) != 0)
            return complain(why, "cannot become the group to run as");
    }
    if (s->user_id != SANDBOX_STAY) {
        if (setresuid(s->user_id, s->user_id, s->user_id) != 0)
            return complain(why, "cannot become the user to run as");
        if (s->user_id != 0 && (setuid(0) == 0 || geteuid() != s->user_id)) {
            buf_addc(why, "could become root again after leaving it");
            return GH_E_SYSTEM;
        }
    }
    return 0;
}

static int drop_capabilities(struct buf *why)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}}, now[2] = {{0}};
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &head, none) != 0 || syscall(SYS_capget, &head, now) != 0)
        return complain(why, "cannot drop the capabilities");
    for (int i = 0; i < 2; i++)
        if (now[i].effective | now[i].permitted | now[i].inheritable) {
            buf_addc(why, "some capabilities could not be dropped");
            return GH_E_SYSTEM;
        }
    return 0;
}

static int drop_privileges(const struct sandbox *s, struct buf *why)
{
    const struct rlimit none = {0, 0};
    int rc = drop_bounding_set(why);
    rc = rc ? rc : become(s, why);
    rc = rc ? rc : drop_capabilities(why);
    if (rc)
        return rc;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return complain(why, "cannot set no_new_privs");
    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return complain(why, "cannot forbid core files");
#ifdef GH_SANITIZED
    const int dumpable = 1; /* the leak checker traces */
#else
    const int dumpable = 0;
#endif
    if (prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0) != 0)
        return complain(why, "cannot become undumpable");
    return 0;
}

#ifndef GH_SANITIZED

/* ---- layer 2: Landlock. Own declarations: the headers of the build machine may be older than its kernel ---- */

struct landlock_attr {
    uint64_t fs, net, scoped;
};

enum {
    LANDLOCK_CREATE = 444,
    LANDLOCK_RESTRICT = 446,
    LANDLOCK_VERSION = 1,
};
#define LANDLOCK_NET_BIND    1u
#define LANDLOCK_NET_CONNECT 2u
#define LANDLOCK_SCOPE_ALL   3u /* abstract sockets, signals */

static struct landlock_attr landlock_rights(int abi, enum sandbox_role role)
{
    static const uint8_t fs_bits[] = {0, 13, 14, 15, 15, 16}; /* rights known to each version */
    unsigned known = fs_bits[GH_MIN((size_t)abi, ARRAY_LEN(fs_bits) - 1)];
    struct landlock_attr a = {.fs = (1ull << known) - 1};
    if (abi >= 4)
        a.net = role == SANDBOX_ADMIN  ? LANDLOCK_NET_BIND | LANDLOCK_NET_CONNECT
                : role == SANDBOX_WORKER ? LANDLOCK_NET_BIND
                                         : 0; /* DNS over TCP binds where there is a source address */
    if (abi >= 6)
        a.scoped = LANDLOCK_SCOPE_ALL;
    return a;
}

/* A ruleset without any rule: everything it handles is refused. */
static int enter_landlock(enum sandbox_role role, struct sandbox_result *r, struct buf *why)
{
    long abi = syscall(LANDLOCK_CREATE, NULL, 0, LANDLOCK_VERSION);
    if (abi < 0) {
        r->landlock_abi = 0; /* ENOSYS, EOPNOTSUPP: not built in, or not switched on */
        return 0;
    }
    struct landlock_attr a = landlock_rights((int)abi, role);
    size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
    int fd = (int)syscall(LANDLOCK_CREATE, &a, size, 0);
    if (fd < 0)
        return complain(why, "cannot make a Landlock ruleset");
    long rc = syscall(LANDLOCK_RESTRICT, fd, 0);
    close(fd);
    if (rc != 0)
        return complain(why, "cannot enter the Landlock ruleset");
    r->landlock_abi = (int)abi;
    return 0;
}

/* ---- layer 3: seccomp ---- */

enum condition { ANY, EMPTY_PATH, FCNTL, IOCTL, NO_EXEC, SETSOCKOPT, INET, UNIX, OWN_PID, REFUSE };

#define W SANDBOX_WORKER
#define S SANDBOX_SCOUT
#define A SANDBOX_ADMIN
#define E (SANDBOX_WORKER | SANDBOX_SCOUT | SANDBOX_ADMIN)
static const struct {
    int call;
    uint8_t roles, condition;
} CALLS[] = {
#define X(call, roles, condition) {SCMP_SYS(call), roles, condition},
#include "worker/sandbox.def"
#undef X
};
#undef W
#undef S
#undef A
#undef E

static int allow_values(scmp_filter_ctx c, int call, unsigned arg, const int *v, size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, call, 1, SCMP_CMP(arg, SCMP_CMP_EQ, (scmp_datum_t)v[i]));
    return rc;
}

static int allow(scmp_filter_ctx c, int call, enum condition condition)
{
    static const int fcntls[] = {F_GETFL, F_SETFL, F_GETFD, F_SETFD, F_GET_SEALS, F_DUPFD_CLOEXEC,
                                F_SETPIPE_SZ, F_GETPIPE_SZ};
    static const int ioctls[] = {FIONBIO, FIONREAD, FIOCLEX, TCGETS};
    static const int levels[] = {SOL_SOCKET, 6 /* TCP */, 0 /* IP */, 41 /* IPV6 */, 17 /* UDP */};
    static const int inet[] = {AF_INET, AF_INET6}, local[] = {AF_UNIX};
    switch (condition) {
    case ANY: return seccomp_rule_add(c, SCMP_ACT_ALLOW, call, 0);
    case FCNTL: return allow_values(c, call, 1, fcntls, ARRAY_LEN(fcntls));
    case IOCTL: return allow_values(c, call, 1, ioctls, ARRAY_LEN(ioctls));
    case SETSOCKOPT: return allow_values(c, call, 1, levels, ARRAY_LEN(levels));
    case INET: return allow_values(c, call, 0, inet, ARRAY_LEN(inet));
    case UNIX: return allow_values(c, call, 0, local, ARRAY_LEN(local));
    case EMPTY_PATH:
        return seccomp_rule_add(c, SCMP_ACT_ALLOW, call, 1, SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
    case OWN_PID: return seccomp_rule_add(c, SCMP_ACT_ALLOW, call, 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    case REFUSE: return seccomp_rule_add(c, SCMP_ACT_ERRNO(EACCES), call, 0);
    case NO_EXEC: { /* code that makes code is told no, and interprets instead (PCRE2) */
        int rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        return rc ? rc : seccomp_rule_add(c, SCMP_ACT_ERRNO(EACCES), call, 1,
                                          SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
    }
    }
    return -EINVAL;
}

static int enter_seccomp(enum sandbox_role role, struct sandbox_result *r, struct buf *why)
{
    scmp_filter_ctx c = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!c) {
        buf_addc(why, "cannot make a seccomp filter");
        return GH_E_NOMEM;
    }
    int rc = seccomp_attr_set(c, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a binary tree */
    for (size_t i = 0; i < ARRAY_LEN(CALLS) && rc == 0; i++) {
        if (!(CALLS[i].roles & role) || CALLS[i].call < 0) /* < 0: not a call of this architecture */
            continue;
        rc = allow(c, CALLS[i].call, CALLS[i].condition);
        r->n_calls += CALLS[i].condition != REFUSE;
    }
    if (rc == 0)
        rc = seccomp_load(c);
    seccomp_release(c);
    if (rc != 0) {
        buf_addf(why, "cannot enter the seccomp filter: %s", strerror(-rc));
        return GH_E_SYSTEM;
    }
    r->seccomp = true;
    return 0;
}

#endif

int sandbox_enter(const struct sandbox *s, struct sandbox_result *r, struct buf *why)
{
    *r = (struct sandbox_result){0};
    int rc = drop_privileges(s, why);
#ifndef GH_SANITIZED
    rc = rc ? rc : enter_landlock(s->role, r, why);
    rc = rc ? rc : enter_seccomp(s->role, r, why);
#endif
    return rc;
}
