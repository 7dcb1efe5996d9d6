noinst_LIBRARIES += libtls.a
libtls_a_SOURCES = %D%/tls_build.c %D%/tls_build.h
EXTRA_DIST += %D%/README.md %D%/wolfssl-build %D%/wolfssl.patch
