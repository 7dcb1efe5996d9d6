#include "shared/board/copy.h"
#include "shared/base/clock.h"

_Static_assert(sizeof(struct board_ticket_keys) % sizeof(uint32_t) == 0, "copied word by word");

uint32_t board_tickets_turn(const struct board_tickets *t)
{
    return atomic_load_explicit(&t->turn, memory_order_acquire);
}

uint32_t board_tickets_read(const struct board_tickets *t, struct board_ticket_keys *out)
{
    for (int tries = 0; tries < 8; tries++) { /* keys change every few hours: once is enough, nearly always */
        uint32_t turn = board_tickets_turn(t);
        if (turn == 0)
            break;
        board_copy_words(out, &t->copy[turn & 1], sizeof(*out));
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&t->turn, memory_order_relaxed) == turn && out->n <= BOARD_TICKET_KEYS)
            return turn;
    }
    explicit_bzero(out, sizeof(*out));
    return 0;
}

void board_tickets_write(struct board_tickets *t, const struct board_ticket_keys *k)
{
    const struct board_ticket_keys none = {0};
    uint32_t turn = atomic_load_explicit(&t->turn, memory_order_relaxed);
    uint32_t next = turn + 1 ? turn + 1 : 2; /* 0 means none; the other copy's parity holds */
    atomic_thread_fence(memory_order_release); /* the last turn is seen before this copy changes */
    board_copy_words(&t->copy[next & 1], k, sizeof(*k));
    atomic_store_explicit(&t->turn, next, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    /* Keys that are given up should be nowhere: the copy of the turn before goes too. */
    board_copy_words(&t->copy[(next + 1) & 1], &none, sizeof(none));
}

/* A clock that was set back must not keep a key for ever: what is from the future was made now. */
static bool no_future(struct board_ticket_keys *k, uint64_t now_wall_s)
{
    bool changed = false;
    for (uint32_t i = 0; i < k->n; i++) {
        if (k->v[i].made_wall_s <= now_wall_s)
            continue;
        k->v[i].made_wall_s = now_wall_s;
        changed = true;
    }
    return changed;
}

static void add_new(struct board_ticket_keys *k, uint64_t now_wall_s)
{
    memmove(&k->v[1], &k->v[0], sizeof(k->v[0]) * (BOARD_TICKET_KEYS - 1));
    k->n = GH_MIN(k->n + 1, (uint32_t)BOARD_TICKET_KEYS);
    random_bytes(k->v[0].name, sizeof(k->v[0].name));
    random_bytes(k->v[0].key, sizeof(k->v[0].key));
    k->v[0].made_wall_s = now_wall_s;
}

/* A key was used until the next one was made; its last ticket lives one lifetime longer. */
static bool drop_old(struct board_ticket_keys *k, uint64_t now_wall_s, uint64_t lifetime_s)
{
    uint32_t before = k->n;
    while (k->n > 1 && now_wall_s - k->v[k->n - 2].made_wall_s >= lifetime_s)
        explicit_bzero(&k->v[--k->n], sizeof(k->v[0]));
    return k->n != before;
}

bool board_ticket_keys_turn(struct board_ticket_keys *k, uint64_t now_wall_s, uint64_t lifetime_s)
{
    if (lifetime_s == 0 || k->n > BOARD_TICKET_KEYS) {
        bool had = k->n > 0;
        explicit_bzero(k, sizeof(*k));
        if (lifetime_s == 0)
            return had;
    }
    bool changed = no_future(k, now_wall_s);
    if (k->n == 0 || now_wall_s - k->v[0].made_wall_s >= (lifetime_s + 1) / 2) {
        add_new(k, now_wall_s);
        changed = true;
    }
    return drop_old(k, now_wall_s, lifetime_s) || changed;
}

bool board_tickets_rotate(struct board_tickets *t, uint64_t now_wall_s, uint64_t lifetime_s)
{
    struct board_ticket_keys k = {0};
    board_tickets_read(t, &k);
    bool changed = board_ticket_keys_turn(&k, now_wall_s, lifetime_s);
    if (changed)
        board_tickets_write(t, &k);
    explicit_bzero(&k, sizeof(k));
    return changed;
}
