/*
 * adopt.h - what a master takes over from the one before it, and what it leaves for the next.
 *
 * There are three ways to follow a master, and one way to take over:
 *
 *   restarted by systemd     the descriptor store gives back sockets, board and images (LISTEN_FDS)
 *   exec in place (SIGUSR2)  the same, by a variable of our own; see upgrade.h
 *   started by hand          nothing is given; but the orphans are there
 *
 * In all of them the workers of the old master may live on, and serve. They wait at run_dir/worker-ROW.sock (ipc.h:
 * RESCUE) and hand over the board and their listening sockets, so that not even the first of these is needed. When the
 * new master's own workers serve a generation, the orphans are told to drain.
 *
 * Names in the store: "board", "bind-ID" (listening sockets), "snapshot-G" "status-G" "state-G" "keys-G" (images of
 * generation G), "admin-tcp". A name without one of these forms is of a socket unit.
 *
 * An orphan is input, as every child: who it is says SO_PEERCRED, not its words; its sockets are looked at, its board is
 * checked (sealed, of our layout) or not used.
 */
#ifndef GH_MASTER_ADOPT_H
#define GH_MASTER_ADOPT_H

#include "master/listen.h"

#define ADOPT_WAIT_MS  2000 /* for all orphans together, at the start */
#define ADOPT_AGAIN_MS 1000 /* between attempts to reach one that was stopped then */

struct master;
struct images;

/* At the start, after the lock of the run directory is held and before the loop runs: LISTEN_FDS, then orphans. Fills
 * m->board, m->board_fd, m->listeners, m->admin.tcp and *images where it can. */
void adopt_begin(struct master *m, struct images *images);
/* Makes an inherited generation usable: *images is whole and of our format afterwards, and its sockets are wanted; or it is
 * empty. */
void adopt_generation(struct master *m, struct images *images);
/* Connects the orphans with the loop. */
void adopt_watch(struct master *m);
/* Tells orphans to drain once our own workers serve; ends those that do not. */
void adopt_tick(struct master *m, uint64_t now_ms);
/* Our own workers serve: orphans are to finish. */
void adopt_drain(struct master *m);
bool adopt_none_left(const struct master *m);
void adopt_fini(struct master *m);
/* Is a row of the board in use by an orphan? */
bool adopt_has_row(const struct master *m, uint32_t row);

/* Hands to the descriptor store what is not there yet, and takes out what is old. */
void adopt_store(struct master *m);
void adopt_unstore_listener(struct master *m, const struct listener *l);

#endif
