/* Who opens the image of keys may rely on it; what is written is found; what is wiped is gone. */
#include "shared/tls/keys.h"
#include "shared/base/err.h"
#include "shared/base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

static const struct keys_entry THREE[] = {
    {77, {"key of 77", 9}}, {5, {"key of 5", 8}}, {UINT64_MAX, {"", 0}}, {5, {"another", 7}}};

static struct buf image(void)
{
    struct buf b = {0};
    assert_int_equal(keys_bytes(THREE, ARRAY_LEN(THREE), 42, &b), 0);
    return b;
}

static int memory_file(struct str bytes, int seals)
{
    int fd = memfd_create("keys-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.p, bytes.n), (ssize_t)bytes.n);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static void check_contents(const struct keys *k)
{
    assert_int_equal(keys_generation(k), 42);
    assert_int_equal(keys_count(k), 3);
    assert_true(str_eqc(keys_find(k, 77), "key of 77"));
    assert_true(str_eqc(keys_find(k, 5), "key of 5"));
    assert_int_equal(keys_find(k, 5).p[8], '\0');
    assert_int_equal(keys_find(k, UINT64_MAX).n, 0);
    assert_non_null(keys_find(k, UINT64_MAX).p);
    assert_null(keys_find(k, 0).p);
    assert_null(keys_find(k, 6).p);
    assert_null(keys_find(k, UINT64_MAX - 1).p);
}

static void what_is_written_is_found(void **state)
{
    struct buf b = image();
    struct keys *k;
    (void)state;
    assert_int_equal(keys_open_bytes(&k, buf_str(&b), NULL), 0);
    check_contents(k);
    keys_close(k);
    int fd = memory_file(buf_str(&b), SEALS);
    uint64_t generation = 0;
    assert_int_equal(keys_peek(fd, &generation), 0);
    assert_int_equal(generation, 42);
    assert_int_equal(keys_open(&k, fd, NULL), 0);
    close(fd);
    check_contents(k);
    keys_close(k);
    keys_close(NULL);
    keys_wipe(&b);
    buf_fini(&b);
}

static void no_keys_are_an_image_too(void **state)
{
    struct buf b = {0};
    struct keys *k;
    (void)state;
    assert_int_equal(keys_bytes(NULL, 0, 1, &b), 0);
    assert_int_equal(keys_open_bytes(&k, buf_str(&b), NULL), 0);
    assert_int_equal(keys_count(k), 0);
    assert_null(keys_find(k, 1).p);
    keys_close(k);
    buf_fini(&b);
}

static void only_a_sealed_descriptor_is_taken(void **state)
{
    struct buf b = image(), why = {0};
    struct keys *k;
    (void)state;
    int fd = memory_file(buf_str(&b), SEALS & ~F_SEAL_WRITE);
    assert_int_equal(keys_open(&k, fd, &why), GH_E_UNSEALED);
    assert_null(k);
    close(fd);
    fd = memory_file(STR(""), SEALS);
    assert_int_equal(keys_open(&k, fd, &why), GH_E_LIMIT);
    close(fd);
    assert_int_equal(keys_open(&k, -1, &why), GH_E_UNSEALED);
    uint64_t generation;
    fd = memory_file(STR("no image of keys at all, though it is long enough to have the head of one"), SEALS);
    assert_int_equal(keys_peek(fd, &generation), GH_E_FORMAT);
    close(fd);
    fd = memory_file(STR("short"), SEALS);
    assert_int_equal(keys_peek(fd, &generation), GH_E_TRUNCATED);
    close(fd);
    assert_int_equal(keys_peek(-1, &generation), GH_E_UNSEALED);
    buf_fini(&why);
    buf_fini(&b);
}

/* Opens with a mended checksum. */
static int reopen(struct buf *b, struct buf *why)
{
    struct keys_header *h = (void *)b->p;
    struct keys *k = NULL;
    h->checksum = 0;
    uint64_t sum = hash_bytes(h, sizeof(*h), h->generation);
    h->checksum = hash_bytes(b->p + sizeof(*h), b->n - sizeof(*h), sum);
    int rc = keys_open_bytes(&k, buf_str(b), why);
    assert_int_equal(rc == 0, k != NULL);
    keys_close(k);
    return rc;
}

#define REFUSED(change, code)                                                                      \
    do {                                                                                           \
        struct buf b = image(), why = {0};                                                         \
        struct keys_header *h = (void *)b.p;                                                       \
        struct keys_row *r = (void *)(b.p + sizeof(*h));                                           \
        (void)r;                                                                                   \
        change;                                                                                    \
        assert_int_equal(reopen(&b, &why), code);                                                  \
        assert_true(why.n > 0);                                                                    \
        buf_fini(&b);                                                                              \
        buf_fini(&why);                                                                            \
    } while (0)

static void every_slip_is_found(void **state)
{
    (void)state;
    REFUSED(h->magic++, GH_E_FORMAT);
    REFUSED(h->version++, GH_E_VERSION);
    REFUSED(h->size++, GH_E_TRUNCATED);
    REFUSED(b.n--, GH_E_TRUNCATED);
    REFUSED(h->n = 0x7fffffff, GH_E_RANGE);
    REFUSED(r[1].id = 5, GH_E_RANGE);
    REFUSED(r[1].id = 4, GH_E_RANGE);
    REFUSED(r[0].off = 0, GH_E_RANGE);
    REFUSED(r[0].off = (uint32_t)b.n, GH_E_RANGE);
    REFUSED(r[0].len = 0xffffffff, GH_E_RANGE);
    REFUSED(r[2].len = 1, GH_E_RANGE);
    REFUSED(r[0].len--, GH_E_FORMAT);
    struct buf b = image(), why = {0};
    struct keys *k;
    b.p[b.n - 2] ^= 1;
    assert_int_equal(keys_open_bytes(&k, buf_str(&b), &why), GH_E_CHECKSUM);
    assert_int_equal(keys_open_bytes(&k, str_of(b.p, 63), &why), GH_E_TRUNCATED);
    assert_int_equal(keys_open_bytes(&k, STR_NONE, &why), GH_E_TRUNCATED);
    assert_int_equal(str_find(buf_str(&why), STR("key of")), -1); /* no sentence has any of a key */
    buf_fini(&b);
    buf_fini(&why);
}

static void memory_that_can_t_be_locked_is_said_and_no_reason(void **state)
{
    struct buf b = image();
    struct keys *k;
    struct rlimit old, none = {0};
    (void)state;
    int fd = memory_file(buf_str(&b), SEALS);
    getrlimit(RLIMIT_MEMLOCK, &old);
    none.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_MEMLOCK, &none);
    assert_int_equal(keys_open(&k, fd, NULL), 0);
    if (geteuid() != 0) /* who may do everything is not limited */
        assert_int_not_equal(keys_lock_error(k), 0);
    keys_close(k);
    setrlimit(RLIMIT_MEMLOCK, &old);
    close(fd);
    buf_fini(&b);
}

static void a_wiped_image_has_nothing_left(void **state)
{
    struct buf b = image();
    (void)state;
    keys_wipe(&b);
    assert_int_equal(b.n, 0);
    for (size_t i = 0; i < b.cap; i++)
        assert_int_equal(b.p[i], 0);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_found),
        cmocka_unit_test(no_keys_are_an_image_too),
        cmocka_unit_test(only_a_sealed_descriptor_is_taken),
        cmocka_unit_test(every_slip_is_found),
        cmocka_unit_test(memory_that_can_t_be_locked_is_said_and_no_reason),
        cmocka_unit_test(a_wiped_image_has_nothing_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
