/*
 * notify.h - what systemd is told: READY, RELOADING, STOPPING, STATUS, WATCHDOG, and descriptors to keep.
 *
 * libsystemd's sd_notify() blocks when nobody reads the socket; a master that waits for its manager serves nobody.
 * So the datagrams (sd_notify(3)) are sent from here without waiting; what the socket does not take now waits in a short
 * queue, in order. When that is full the oldest word is dropped, never a descriptor. Reading the environment
 * (LISTEN_FDS, WATCHDOG_USEC) is left to libsystemd.
 *
 * The descriptor store: what is stored under a name comes back by LISTEN_FDS when systemd starts the next master, after
 * whatever end this one had. Names are made by who stores (adopt.h). It is used only when there is one (FDSTORE, since
 * systemd 254; before that SYSTEMD_EXEC_PID tells that systemd itself started us): descriptors sent to somebody who does
 * not read would keep ports open that nobody serves.
 */
#ifndef GH_MASTER_NOTIFY_H
#define GH_MASTER_NOTIFY_H

#include "shared/base/str.h"

#define NOTIFY_QUEUE 256

struct notify_item {
    char *text;
    size_t n;
    int fd; /* own duplicate, or -1 */
};

/* Owned by its user. Without NOTIFY_SOCKET everything here does nothing. */
struct notify {
    int fd; /* -1 = nobody is listening */
    bool has_store;
    struct notify_item queue[NOTIFY_QUEUE];
    size_t n_queue;
    uint64_t watchdog_ms; /* a sign of life is wanted this often; 0 = none */
    uint64_t dropped;
};

void notify_open(struct notify *n);
void notify_close(struct notify *n);

/* Each text is "KEY=value" lines; the STATUS line is made from `status` (may be NULL). */
void notify_ready(struct notify *n, const char *status);
void notify_reloading(struct notify *n, const char *status); /* with MONOTONIC_USEC; ends with notify_ready */
void notify_stopping(struct notify *n, const char *status);
void notify_status(struct notify *n, const char *status);
void notify_watchdog(struct notify *n);
/* The descriptor stays the caller's. */
void notify_store(struct notify *n, const char *name, int fd);
void notify_unstore(struct notify *n, const char *name);

/* Sends what waits; true when something still does (try again a little later). */
bool notify_flush(struct notify *n);

#endif
