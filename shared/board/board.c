#include "shared/board/copy.h"
#include "shared/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where things are is computed from the constants of the header, never read from the shared memory. */
#define PAGE         4096u
#define PAGE_UP(n)   (((n) + PAGE - 1) / PAGE * PAGE)
#define AT_TICKETS   PAGE_UP(sizeof(struct board_head))
#define TICKETS_SIZE PAGE_UP(sizeof(struct board_tickets))
#define AT_PROC      (AT_TICKETS + TICKETS_SIZE)
#define AT_ENDPOINTS (AT_PROC + PAGE_UP(sizeof(struct board_proc) * BOARD_MAX_PROC))
#define AT_DNS       (AT_ENDPOINTS + PAGE_UP(sizeof(struct board_endpoint) * BOARD_MAX_ENDPOINTS))
#define AT_CLAIMS    (AT_DNS + PAGE_UP(sizeof(struct board_dns) * BOARD_MAX_DNS))
#define AT_SHARES    (AT_CLAIMS + PAGE_UP(sizeof(uint64_t) * BOARD_CLAIMS))
#define SHARES_SIZE  PAGE_UP(sizeof(_Atomic uint32_t) * BOARD_MAX_ENDPOINTS)
#define AT_SLABS     (AT_SHARES + SHARES_SIZE * BOARD_MAX_PROC)
#define SLAB_SIZE    PAGE_UP(sizeof(struct board_series) * BOARD_MAX_SLOTS)
#define BOARD_SIZE   (AT_SLABS + (size_t)SLAB_SIZE * BOARD_MAX_PROC)

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "the board holds no locks");
_Static_assert(sizeof(struct board_dns_answer) % sizeof(uint32_t) == 0, "copied word by word");

const uint32_t BOARD_HIST_US[BOARD_HIST_BUCKETS] = {
    500,    1000,   2500,   5000,    10000,   25000,   50000,   100000,
    250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000,
};

struct board {
    char *base;
    int fd; /* own duplicate: board_row_reset asks it which pages were ever used */
};

/* Rule 7. Kernels and limits that can't are no reason not to serve: core files are off anyway. */
static void hide_tickets(struct board *b)
{
    mlock(b->base + AT_TICKETS, TICKETS_SIZE); /* not to swap */
    madvise(b->base + AT_TICKETS, TICKETS_SIZE, MADV_DONTDUMP);
    madvise(b->base + AT_TICKETS, TICKETS_SIZE, MADV_DONTFORK);
}

static int board_map(struct board **out, int fd)
{
    struct board *b = calloc(1, sizeof(*b));
    if (!b)
        return GH_E_NOMEM;
    b->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    void *base = b->fd < 0 ? MAP_FAILED
                           : mmap(NULL, BOARD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, b->fd, 0);
    if (base == MAP_FAILED) {
        if (b->fd >= 0)
            close(b->fd);
        free(b);
        return GH_E_SYSTEM;
    }
    b->base = base;
    hide_tickets(b);
    *out = b;
    return 0;
}

int board_make(struct board **out, int *fd_out)
{
    int fd = memfd_create("gatehouse-board", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return GH_E_SYSTEM;
    struct board *b;
    int rc = GH_E_SYSTEM;
    if (ftruncate(fd, (off_t)BOARD_SIZE) != 0 || fcntl(fd, F_ADD_SEALS, SEALS) != 0 ||
        (rc = board_map(&b, fd)) != 0) {
        close(fd);
        return rc;
    }
    struct board_head *h = board_head(b);
    h->version = BOARD_VERSION;
    h->n_proc = BOARD_MAX_PROC;
    h->n_slots = BOARD_MAX_SLOTS;
    h->n_endpoints = BOARD_MAX_ENDPOINTS;
    h->n_dns = BOARD_MAX_DNS;
    h->size = BOARD_SIZE;
    h->magic = BOARD_MAGIC;
    *out = b;
    *fd_out = fd;
    return 0;
}

int board_open(struct board **out, int fd)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || fstat(fd, &st) != 0)
        return GH_E_FORMAT;
    if ((seals & SEALS) != SEALS)
        return GH_E_UNSEALED;
    if ((uint64_t)st.st_size != BOARD_SIZE)
        return GH_E_VERSION;
    struct board *b;
    int rc = board_map(&b, fd);
    if (rc != 0)
        return rc;
    const struct board_head *h = board_head(b);
    if (h->magic != BOARD_MAGIC)
        rc = GH_E_FORMAT;
    else if (h->version != BOARD_VERSION || h->n_proc != BOARD_MAX_PROC || h->n_slots != BOARD_MAX_SLOTS ||
             h->n_endpoints != BOARD_MAX_ENDPOINTS || h->n_dns != BOARD_MAX_DNS || h->size != BOARD_SIZE)
        rc = GH_E_VERSION;
    if (rc != 0) {
        board_close(b);
        return rc;
    }
    *out = b;
    return 0;
}

void board_close(struct board *b)
{
    if (!b)
        return;
    munmap(b->base, BOARD_SIZE);
    close(b->fd);
    free(b);
}

struct board_head *board_head(struct board *b)
{
    return (struct board_head *)(void *)b->base;
}

struct board_proc *board_proc(struct board *b, uint32_t row)
{
    return row < BOARD_MAX_PROC ? (struct board_proc *)(void *)(b->base + AT_PROC) + row : NULL;
}

struct board_series *board_series(struct board *b, uint32_t row, uint32_t slot)
{
    must(row < BOARD_MAX_PROC);
    struct board_series *slab = (void *)(b->base + AT_SLABS + (size_t)SLAB_SIZE * row);
    return slab + (slot < BOARD_MAX_SLOTS ? slot : 0);
}

bool board_series_used(struct board *b, uint32_t row, uint32_t from, uint32_t *first, uint32_t *end)
{
    const size_t elem = sizeof(struct board_series);
    must(row < BOARD_MAX_PROC);
    off_t slab = (off_t)(AT_SLABS + (size_t)SLAB_SIZE * row), stop = slab + (off_t)(elem * BOARD_MAX_SLOTS);
    off_t data = from < BOARD_MAX_SLOTS ? lseek(b->fd, slab + (off_t)(elem * from), SEEK_DATA) : -1;
    if (data < 0 || data >= stop)
        return false;
    off_t hole = lseek(b->fd, data, SEEK_HOLE);
    if (hole < 0 || hole > stop)
        hole = stop;
    *first = (uint32_t)((size_t)(data - slab) / elem);
    *end = (uint32_t)(((size_t)(hole - slab) + elem - 1) / elem);
    return true;
}

struct board_endpoint *board_endpoint(struct board *b, uint32_t slot)
{
    return slot < BOARD_MAX_ENDPOINTS ? (struct board_endpoint *)(void *)(b->base + AT_ENDPOINTS) + slot : NULL;
}

struct board_dns *board_dns(struct board *b, uint32_t slot)
{
    return slot < BOARD_MAX_DNS ? (struct board_dns *)(void *)(b->base + AT_DNS) + slot : NULL;
}

struct board_tickets *board_tickets(struct board *b)
{
    return (struct board_tickets *)(void *)(b->base + AT_TICKETS);
}

_Atomic uint64_t *board_claims(struct board *b)
{
    return (_Atomic uint64_t *)(void *)(b->base + AT_CLAIMS);
}

static _Atomic uint32_t *share(struct board *b, uint32_t row, uint32_t slot)
{
    must(row < BOARD_MAX_PROC);
    return (_Atomic uint32_t *)(void *)(b->base + AT_SHARES + (size_t)SHARES_SIZE * row) + slot;
}

void board_endpoint_enter(struct board *b, uint32_t row, uint32_t slot)
{
    struct board_endpoint *e = board_endpoint(b, slot);
    if (!e)
        return;
    _Atomic uint32_t *own = share(b, row, slot);
    atomic_fetch_add_explicit(&e->active, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* rule 6: in this order, even for a kill in between */
    atomic_store_explicit(own, atomic_load_explicit(own, memory_order_relaxed) + 1, memory_order_relaxed);
}

void board_endpoint_leave(struct board *b, uint32_t row, uint32_t slot)
{
    struct board_endpoint *e = board_endpoint(b, slot);
    if (!e)
        return;
    _Atomic uint32_t *own = share(b, row, slot);
    uint32_t mine = atomic_load_explicit(own, memory_order_relaxed);
    if (mine == 0)
        return; /* the slot was given away since: its count was taken back already */
    atomic_store_explicit(own, mine - 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_fetch_sub_explicit(&e->active, 1, memory_order_relaxed);
}

/* Calls fn for every used part of [at, at + n) of the memory, whole elements of `elem` bytes: pages that were
 * never written stay untouched (rule 5). */
static void each_used(struct board *b, size_t at, size_t n, size_t elem,
                      void (*fn)(struct board *b, size_t index, void *p))
{
    off_t end = (off_t)(at + n), from = (off_t)at;
    size_t done = 0; /* elements before this one were visited */
    while (from < end) {
        off_t data = lseek(b->fd, from, SEEK_DATA);
        if (data < 0 || data >= end)
            return; /* ENXIO: nothing more */
        off_t hole = lseek(b->fd, data, SEEK_HOLE);
        if (hole < 0 || hole > end)
            hole = end;
        size_t i = GH_MAX(done, ((size_t)data - at) / elem), stop = ((size_t)hole - at + elem - 1) / elem;
        stop = GH_MIN(stop, n / elem);
        for (; i < stop; i++)
            fn(b, i, b->base + at + i * elem);
        done = stop;
        from = hole;
    }
}

static void reset_series(struct board *b, size_t index, void *p)
{
    (void)b, (void)index;
    struct board_series *s = p;
    if (board_get(&s->active))
        atomic_store_explicit(&s->active, 0, memory_order_relaxed);
    if (board_get(&s->streams_active))
        atomic_store_explicit(&s->streams_active, 0, memory_order_relaxed);
}

static void take_back_share(struct board *b, size_t index, void *p)
{
    _Atomic uint32_t *own = p;
    uint32_t n = atomic_exchange_explicit(own, 0, memory_order_relaxed);
    struct board_endpoint *e = board_endpoint(b, (uint32_t)index);
    uint32_t was = atomic_load_explicit(&e->active, memory_order_relaxed);
    while (n && was) { /* never below zero, whatever a process wrote there */
        uint32_t now = was > n ? was - n : 0;
        if (atomic_compare_exchange_weak_explicit(&e->active, &was, now, memory_order_relaxed,
                                                  memory_order_relaxed))
            break;
    }
}

void board_row_reset(struct board *b, uint32_t row)
{
    struct board_proc *p = board_proc(b, row);
    must(p);
#define RESET_C(name)
#define RESET_G(name) atomic_store_explicit(&p->counters.name, 0, memory_order_relaxed);
#define X(name, type, unit, text) RESET_##type(name)
#include "shared/tbl/counter.def"
#undef X
#undef RESET_G
#undef RESET_C
    atomic_store(&p->connections, 0);
    atomic_store(&p->accepting, 0);
    atomic_store(&p->generations_held, 0);
    atomic_store(&p->generation, 0);
    atomic_store(&p->pid, 0);
    atomic_store(&p->state, PROC_EMPTY);
    board_unclaim_all(b, row);
    each_used(b, AT_SLABS + (size_t)SLAB_SIZE * row, sizeof(struct board_series) * BOARD_MAX_SLOTS,
              sizeof(struct board_series), reset_series);
    each_used(b, AT_SHARES + (size_t)SHARES_SIZE * row, sizeof(_Atomic uint32_t) * BOARD_MAX_ENDPOINTS,
              sizeof(_Atomic uint32_t), take_back_share);
}

uint64_t board_heartbeat(struct board *b, uint32_t row, uint64_t now_ns)
{
    struct board_proc *p = board_proc(b, row);
    must(p);
    uint64_t t = atomic_load(&p->heartbeat_ns);
    return t > now_ns ? now_ns : t;
}

void board_dns_write(struct board_dns *d, const struct board_dns_answer *a)
{
    uint32_t turn = atomic_load_explicit(&d->turn, memory_order_relaxed);
    atomic_thread_fence(memory_order_release); /* the last turn is seen before this copy changes */
    board_copy_words(&d->copy[(turn + 1) & 1], a, sizeof(*a));
    atomic_store_explicit(&d->turn, turn + 1, memory_order_release);
}

bool board_dns_read(const struct board_dns *d, struct board_dns_answer *out)
{
    for (int tries = 0; tries < 8; tries++) { /* two answers of the scout during one copy: hardly ever */
        uint32_t turn = atomic_load_explicit(&d->turn, memory_order_acquire);
        if (turn == 0)
            return false;
        board_copy_words(out, &d->copy[turn & 1], sizeof(*out));
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&d->turn, memory_order_relaxed) == turn)
            return out->n <= BOARD_DNS_ADDRS;
    }
    return false;
}
