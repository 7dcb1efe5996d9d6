#include "master/settings.h"
#include "shared/base/err.h"
#include "shared/ipc/text.h"

#include <sched.h>
#include <stdio.h>

static void set_text(char *to, const char *text)
{
    size_t n = strlen(text);
    must(n < SETTING_TEXT_MAX);
    memcpy(to, text, n + 1);
}

void settings_defaults(struct settings *s)
{
    memset(s, 0, sizeof(*s));
#define INITIAL_S(key, value) set_text(s->key, value);
#define INITIAL_N(key, value) s->key = (value);
#define X(key, kind, initial, live, text) INITIAL_##kind(key, initial)
#include "master/setting.def"
#undef X
}

/* Values end up in paths and messages: nothing invisible. */
static bool take_text(char *to, struct str value)
{
    if (value.n >= SETTING_TEXT_MAX)
        return false;
    memcpy(to, value.p, value.n);
    to[value.n] = '\0';
    return strlen(to) == value.n;
}

int settings_parse(struct settings *s, struct str text)
{
    struct buf value = {0};
    bool good = true;
#define TAKE_S(key) good = take_text(s->key, (struct str){buf_cstr(&value), value.n}) && good;
#define TAKE_N(key) good = str_u64(buf_str(&value), &s->key) && good;
#define X(key, kind, initial, live, about)                                                         \
    buf_clear(&value);                                                                             \
    if (ipc_text_get(text, #key, &value)) {                                                        \
        TAKE_##kind(key)                                                                           \
    }
#include "master/setting.def"
#undef X
    good = good && !value.oom;
    buf_fini(&value);
    return good ? 0 : GH_E_FORMAT;
}

void settings_write(const struct settings *s, struct buf *text)
{
    char number[24];
#define WRITE_S(key) ipc_text_put(text, #key, str_c(s->key));
#define WRITE_N(key)                                                                               \
    ipc_text_put(text, #key,                                                                       \
                 str_of(number, (size_t)snprintf(number, sizeof(number), "%llu", (unsigned long long)s->key)));
#define X(key, kind, initial, live, about) WRITE_##kind(key)
#include "master/setting.def"
#undef X
}

void settings_not_live(const struct settings *old, const struct settings *now, struct buf *names)
{
#define DIFFER_S(key) (strcmp(old->key, now->key) != 0)
#define DIFFER_N(key) (old->key != now->key)
#define X(key, kind, initial, live, about)                                                         \
    if (!(live) && DIFFER_##kind(key)) {                                                           \
        buf_addc(names, names->n ? ", " : "");                                                     \
        buf_addc(names, #key);                                                                     \
    }
#include "master/setting.def"
#undef X
}

/* Processors that the quota of this process's cgroup amounts to, rounded up; 0 = no quota. */
static uint32_t quota_processors(void)
{
    char line[1024], path[1200] = "";
    unsigned long long quota, period;
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f)
        return 0;
    while (fgets(line, sizeof(line), f))
        if (strncmp(line, "0::/", 4) == 0)
            snprintf(path, sizeof(path), "/sys/fs/cgroup%.*s/cpu.max", (int)strcspn(line + 3, "\n"), line + 3);
    fclose(f);
    f = path[0] ? fopen(path, "re") : NULL;
    if (!f)
        return 0;
    int n = fscanf(f, "%llu %llu", &quota, &period);
    fclose(f);
    if (n != 2 || period == 0) /* "max 100000" */
        return 0;
    return (uint32_t)GH_MIN((quota + period - 1) / period, 4096u);
}

uint32_t settings_workers(const struct settings *s)
{
    uint64_t n = s->workers;
    if (n == 0) {
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        n = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? (uint64_t)CPU_COUNT(&cpus) : 1;
        uint32_t quota = quota_processors();
        if (quota && quota < n)
            n = quota;
    }
    return (uint32_t)GH_MIN(GH_MAX(n, 1u), (uint64_t)WORKERS_MAX);
}
