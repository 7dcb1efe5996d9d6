/*
 * log.h - lines for the operator: what happened in this process, not the access log.
 *
 * One line per call, never blocking: the descriptor is written once; what the kernel does not take is
 * dropped and counted. Under journald (JOURNAL_STREAM) or when `prefix_level` is set a line starts
 * with the syslog "<N>" prefix; otherwise with an RFC 3339 time. Owned by the process's root struct
 * and passed down; there is no global.
 */
#ifndef GH_LOG_H
#define GH_LOG_H

#include "shared/base/str.h"

enum log_level { LOG_LV_ERROR = 3, LOG_LV_WARN = 4, LOG_LV_INFO = 6, LOG_LV_DEBUG = 7 };

struct log {
    int fd;
    enum log_level level; /* lines above it are not written */
    bool journal;         /* "<N>" prefix instead of the time */
    char ident[32];       /* "master", "worker/2", ... */
    uint64_t dropped;     /* lines the descriptor did not take */
};

void log_init(struct log *l, int fd, const char *ident);
void log_line(struct log *l, enum log_level level, const char *fmt, ...) GH_PRINTF(3, 4);

#define log_error(l, ...) log_line((l), LOG_LV_ERROR, __VA_ARGS__)
#define log_warn(l, ...)  log_line((l), LOG_LV_WARN, __VA_ARGS__)
#define log_info(l, ...)  log_line((l), LOG_LV_INFO, __VA_ARGS__)
#define log_debug(l, ...) log_line((l), LOG_LV_DEBUG, __VA_ARGS__)

/* Start-up only: one line to stderr, exit status 1. */
GH_NORETURN void die(const char *fmt, ...) GH_PRINTF(1, 2);

#endif
