/*
 * base.h - the few words every file of gatehouse speaks.
 *
 * This room depends on libc only. It holds no state: nothing here has a mutable variable at file
 * scope, and nothing here prints.
 *
 * The four error words, never mixed:
 *   must(x)    our own bug; aborts with file and line, in release builds too. Never for anything a
 *              peer, a file, a size or memory pressure can cause.
 *   die()      start-up only, in main files (see log.h).
 *   negative   the world's fault: functions return 0 or a negative code of err.h.
 *   diag       the user's configuration: a value with a position (master/yaml/diag.h).
 */
#ifndef GH_BASE_H
#define GH_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))
#define GH_MIN(a, b) ((a) < (b) ? (a) : (b))
#define GH_MAX(a, b) ((a) > (b) ? (a) : (b))

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define GH_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define GH_UNUSED            __attribute__((unused))
#define GH_NORETURN          __attribute__((noreturn))
#define GH_NOINLINE          __attribute__((noinline))

/* Aborts with a line on stderr. Only for internal assumptions; see the head of this file. */
#define must(cond) ((void)(likely(cond) || (must_failed(#cond, __FILE__, __LINE__), 0)))
GH_NORETURN void must_failed(const char *cond, const char *file, int line);

#endif
