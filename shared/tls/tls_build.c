#include "shared/tls/tls_build.h"

#include "shared/base/str.h"

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/cpuid.h>

#include <stdint.h>

#ifdef GATEHOUSE_WOLFSSL
#define BUILT "built for speed"
#else
#define BUILT "the system's build"
#endif

#ifdef HAVE_CPUID_INTEL

#include <cpuid.h>

/* XCR0: the kernel saves and restores the SSE and the AVX halves of the registers. */
#define XCR0_AVX 0x6u

enum leaf { LEAF_1_ECX, LEAF_7_EBX, N_LEAVES };

/* What the processor says in the leaves that matter, and whether wide registers are usable. */
struct cpu {
    uint32_t leaf[N_LEAVES];
    bool wide;
};

struct feature {
    const char *name;
    word32 flag;     /* wolfCrypt's word for it */
    enum leaf leaf;
    uint32_t bits;   /* all of these must be there */
    bool wide;       /* code that uses it uses AVX registers too */
};

/* AES code multiplies with PCLMULQDQ and shuffles with SSSE3 and SSE4.1 without asking. */
#define AES_BITS (bit_AES | bit_PCLMUL | bit_SSSE3 | bit_SSE4_1)

static const struct feature FEATURES[] = {
    {"aesni", CPUID_AESNI, LEAF_1_ECX, AES_BITS, false},
    {"avx", CPUID_AVX1, LEAF_1_ECX, bit_AVX, true},
    {"avx2", CPUID_AVX2, LEAF_7_EBX, bit_AVX2, true},
    {"bmi1", CPUID_BMI1, LEAF_7_EBX, bit_BMI, false},
    {"bmi2", CPUID_BMI2, LEAF_7_EBX, bit_BMI2, false},
    {"adx", CPUID_ADX, LEAF_7_EBX, bit_ADX, false},
    {"movbe", CPUID_MOVBE, LEAF_1_ECX, bit_MOVBE, false},
    {"sha", CPUID_SHA, LEAF_7_EBX, bit_SHA, false},
};

static bool saves_wide_registers(uint32_t leaf_1_ecx)
{
    uint32_t lo, hi;
    if (!(leaf_1_ecx & bit_OSXSAVE))
        return false;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (lo & XCR0_AVX) == XCR0_AVX;
}

static struct cpu look(void)
{
    struct cpu c = {0};
    unsigned a, b, cx, d;
    if (__get_cpuid(1, &a, &b, &cx, &d)) {
        c.leaf[LEAF_1_ECX] = cx;
        c.wide = saves_wide_registers(cx);
    }
    if (__get_cpuid_count(7, 0, &a, &b, &cx, &d))
        c.leaf[LEAF_7_EBX] = b;
    return c;
}

static bool has(const struct cpu *c, const struct feature *f)
{
    return (c->leaf[f->leaf] & f->bits) == f->bits && (c->wide || !f->wide);
}

void tls_build_start(void)
{
    struct cpu c = look();
    word32 flags = 0;
    for (size_t i = 0; i < ARRAY_LEN(FEATURES); i++)
        if (has(&c, &FEATURES[i]))
            flags |= FEATURES[i].flag;
    wolfSSL_Init(); /* wolfCrypt looks here for the first time; what we select after it stays */
    cpuid_select_flags(flags);
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
    wolfSSL_Init();
}

static void add_features(struct buf *out)
{
#ifdef WOLFSSL_SP_ASM
    buf_addc(out, ": assembly for public keys");
#else
    buf_addc(out, ", without processor instructions");
#endif
}

#endif

void tls_build_describe(struct buf *out)
{
    buf_addf(out, "wolfSSL %s (" BUILT, wolfSSL_lib_version());
    add_features(out);
    buf_addc(out, ")");
}
