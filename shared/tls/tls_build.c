#include "shared/tls/tls_build.h"

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/str.h"

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/cpuid.h>
#include <wolfssl/wolfcrypt/cryptocb.h>

#include <stdint.h>

#ifdef GATEHOUSE_WOLFSSL
#define BUILT "built for speed"
#else
#define BUILT "the system's build"
#endif

/* ---- seeds ---- */

#if defined(WOLF_CRYPTO_CB) && !defined(WOLFSSL_GETRANDOM)

#define DEVICE 0x6768 /* any number but those of wolfCrypt's own */

static int on_device(int device, wc_CryptoInfo *info, void *arg)
{
    (void)device;
    (void)arg;
    if (info->algo_type == WC_ALGO_TYPE_SEED)
        random_bytes(info->seed.seed, info->seed.sz);
    else if (info->algo_type == WC_ALGO_TYPE_RNG)
        random_bytes(info->rng.out, info->rng.sz);
    else
        return CRYPTOCB_UNAVAILABLE; /* then wolfCrypt does it itself */
    return 0;
}

static void start(void)
{
    wolfSSL_Init();
    if (wc_CryptoCb_RegisterDevice(DEVICE, on_device, NULL) != 0)
        die("wolfSSL takes no device");
}

int tls_build_device(void)
{
    return DEVICE;
}

#else

static void start(void)
{
    wolfSSL_Init();
}

int tls_build_device(void)
{
    return INVALID_DEVID;
}

#endif

/* ---- instructions ---- */

#if defined(HAVE_CPUID_INTEL) && defined(GATEHOUSE_WOLFSSL)

#include <cpuid.h>

/* XCR0: the kernel saves and restores the SSE and the AVX halves of the registers. */
#define XCR0_AVX 0x6u

/* What the processor says in the two leaves that matter; no AVX where the kernel does not save its registers. */
struct cpu {
    uint32_t ecx_1, ebx_7;
};

struct feature {
    const char *name;
    word32 flag;           /* wolfCrypt's word for it */
    uint32_t ecx_1, ebx_7; /* all of these must be there: its code takes them for granted */
};

/* Where one comes without the other is in virtual machines. */
#define SSE_1  (bit_SSSE3 | bit_SSE4_1)
#define AVX_1  (SSE_1 | bit_AVX)
#define AVX2_7 (bit_AVX2 | bit_BMI | bit_BMI2)

static const struct feature FEATURES[] = {
    {"aesni", CPUID_AESNI, SSE_1 | bit_AES | bit_PCLMUL, 0},
    {"avx", CPUID_AVX1, AVX_1, 0},
    {"avx2", CPUID_AVX2 | CPUID_BMI1 | CPUID_BMI2, AVX_1, AVX2_7},
    {"adx", CPUID_ADX, AVX_1, AVX2_7 | bit_ADX},
    {"movbe", CPUID_MOVBE, AVX_1 | bit_MOVBE, AVX2_7},
#ifdef CPUID_SHA /* since 5.6 */
    {"sha", CPUID_SHA, SSE_1, bit_SHA},
#endif
};

static bool saves_wide_registers(uint32_t ecx_1)
{
    uint32_t lo, hi;
    if (!(ecx_1 & bit_OSXSAVE))
        return false;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (lo & XCR0_AVX) == XCR0_AVX;
}

static struct cpu look(void)
{
    struct cpu c = {0};
    unsigned a, b, cx, d;
    if (__get_cpuid(1, &a, &b, &cx, &d))
        c.ecx_1 = saves_wide_registers(cx) ? cx : cx & ~(uint32_t)bit_AVX;
    if (__get_cpuid_count(7, 0, &a, &b, &cx, &d))
        c.ebx_7 = b;
    return c;
}

static bool has(const struct cpu *c, const struct feature *f)
{
    return (c->ecx_1 & f->ecx_1) == f->ecx_1 && (c->ebx_7 & f->ebx_7) == f->ebx_7;
}

void tls_build_start(void)
{
    struct cpu c = look();
    word32 flags = 0;
    for (size_t i = 0; i < ARRAY_LEN(FEATURES); i++)
        if (has(&c, &FEATURES[i]))
            flags |= FEATURES[i].flag;
    cpuid_get_flags(); /* it looks once, the first time; what is selected after that stays */
    cpuid_select_flags(flags);
    start();
}

static void add_features(struct buf *out)
{
    struct cpu c = look();
    bool any = false;
    for (size_t i = 0; i < ARRAY_LEN(FEATURES); i++)
        if (has(&c, &FEATURES[i])) {
            buf_addf(out, "%s%s", any ? " " : ": ", FEATURES[i].name);
            any = true;
        }
    if (!any)
        buf_addc(out, ", this processor has none of its instructions");
}

#else

void tls_build_start(void)
{
    start();
}

static void add_features(struct buf *out)
{
#ifdef WOLFSSL_AESNI
    buf_addc(out, ", with processor instructions");
#elif defined(WOLFSSL_SP_ASM)
    buf_addc(out, ", with assembly for public keys");
#else
    buf_addc(out, ", without processor instructions: slow");
#endif
}

#endif

void tls_build_describe(struct buf *out)
{
    buf_addf(out, "wolfSSL %s (" BUILT, wolfSSL_lib_version());
    add_features(out);
    buf_addc(out, ")");
}
