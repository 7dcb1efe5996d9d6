/*
 * clock.h - time and randomness.
 *
 * Durations and deadlines are monotonic milliseconds or nanoseconds; wall time is only for logs,
 * certificates and what people read. Nothing waits here.
 */
#ifndef GH_CLOCK_H
#define GH_CLOCK_H

#include "shared/base/str.h"

uint64_t clock_ns(void);      /* CLOCK_MONOTONIC */
uint64_t clock_ms(void);      /* CLOCK_MONOTONIC / 10^6 */
uint64_t clock_wall_us(void); /* CLOCK_REALTIME, microseconds since 1970 */
/* RFC 3339 UTC with `digits` (0, 3 or 6) decimals: 2026-11-23T10:35:00.123Z; returns the length
 * (< 32) written to `out`. */
size_t clock_format(uint64_t wall_us, int digits, char out[32]);
/* Parses RFC 3339 (offsets allowed) into microseconds since 1970; false when it is none. */
bool clock_parse(struct str s, uint64_t *wall_us);

/* Fills from the kernel (getrandom); aborts only if the kernel has no randomness at all. */
void random_bytes(void *p, size_t n);

/* A small fast generator for balancing and jitter; one per owner, seeded once. */
struct rng {
    uint64_t s[2];
};
void rng_seed(struct rng *r);
uint64_t rng_next(struct rng *r);
/* Uniform in [0, n), n > 0. */
static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
    return (uint32_t)(((rng_next(r) >> 32) * n) >> 32);
}

#endif
