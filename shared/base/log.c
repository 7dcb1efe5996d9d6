#include "shared/base/log.h"
#include "shared/base/clock.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_LEN 2048 /* below PIPE_BUF, so that lines of several processes do not mix */

/* Is `fd` the stream that JOURNAL_STREAM ("device:inode") names? */
static bool is_journal(int fd)
{
    const char *env = getenv("JOURNAL_STREAM");
    struct stat st;
    char mine[64];
    if (!env || fstat(fd, &st) != 0)
        return false;
    snprintf(mine, sizeof(mine), "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    return strcmp(env, mine) == 0;
}

void log_init(struct log *l, int fd, const char *ident)
{
    *l = (struct log){.fd = fd, .level = LOG_LV_INFO, .journal = is_journal(fd)};
    snprintf(l->ident, sizeof(l->ident), "%s", ident);
}

static const char *level_name(enum log_level level)
{
    return level <= LOG_LV_ERROR ? "error"
           : level <= LOG_LV_WARN ? "warning"
           : level <= LOG_LV_INFO ? "info"
                                  : "debug";
}

/* Copies `text` with control bytes made visible: what a peer sent must not forge a second line. */
static size_t put_visible(char *out, size_t room, const char *text)
{
    size_t n = 0;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c >= 0x20 && c != 0x7f) {
            if (n + 1 > room)
                break;
            out[n++] = (char)c;
        } else {
            if (n + 4 > room)
                break;
            n += (size_t)snprintf(out + n, 5, "\\x%02x", c); /* the NUL is overwritten or dropped */
        }
    }
    return n;
}

void log_line(struct log *l, enum log_level level, const char *fmt, ...)
{
    if (level > l->level)
        return;
    int saved = errno;
    char text[LINE_MAX_LEN], line[LINE_MAX_LEN + 8], time[32];
    va_list ap;
    va_start(ap, fmt);
    int made = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (made < 0)
        text[0] = '\0';

    int head;
    if (l->journal) {
        head = snprintf(line, sizeof(line), "<%d>%s: ", (int)level, l->ident);
    } else {
        clock_format(clock_wall_us(), 3, time);
        head = snprintf(line, sizeof(line), "%s %s %s: ", time, level_name(level), l->ident);
    }
    size_t n = (size_t)head;
    n += put_visible(line + n, LINE_MAX_LEN - 1 - n, text);
    line[n++] = '\n';

    /* The descriptor is often shared and blocking; asking first keeps us from waiting on it. */
    struct pollfd ready = {.fd = l->fd, .events = POLLOUT};
    if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT) || write(l->fd, line, n) != (ssize_t)n)
        l->dropped++;
    errno = saved;
}

void die(const char *fmt, ...)
{
    va_list ap;
    fputs("gatehouse: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}
