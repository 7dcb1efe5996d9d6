/*
 * tls_build.h - which TLS library this program runs with, and what it makes of this processor.
 *
 * wolfCrypt chooses its code by processor at run time, the first time an algorithm is used. It asks CPUID only: not
 * whether the kernel saves the wide registers, not for what usually comes together (AES with PCLMUL, ADX with AVX2), and
 * of Intel and AMD alone. tls_build_start() asks for all of it and tells wolfCrypt the answer, so that the same binary
 * runs on any x86-64 machine, as fast as it can.
 */
#ifndef GATEHOUSE_TLS_BUILD_H
#define GATEHOUSE_TLS_BUILD_H

struct buf;

/* Once per process, in main(), before anything of wolfSSL is used. Children of fork() inherit the choice. */
void tls_build_start(void);

/* The device that contexts and generators name (wolfSSL_CTX_SetDevId, wc_InitRng_ex). Libraries that read their seeds from
 * a file get them from the kernel through it, because workers cannot open files; ours asks the kernel itself, and this is
 * INVALID_DEVID. After tls_build_start(). */
int tls_build_device(void);

/* Appends e.g. "wolfSSL 5.7.2 (built for speed: aesni avx avx2 adx movbe sha)". After tls_build_start(). */
void tls_build_describe(struct buf *out);

#endif
