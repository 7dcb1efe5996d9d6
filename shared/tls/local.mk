noinst_LIBRARIES += libtls.a
libtls_a_SOURCES = \
	%D%/cert.c %D%/cert.h \
	%D%/der.c %D%/der.h \
	%D%/hello.c %D%/hello.h \
	%D%/key_fits.c %D%/key_fits.h \
	%D%/keys.c %D%/keys.h \
	%D%/ocsp.c %D%/ocsp.h \
	%D%/peer_name.c %D%/peer_name.h \
	%D%/tls_build.c %D%/tls_build.h \
	%D%/x509.c %D%/x509.h
EXTRA_DIST += %D%/README.md %D%/wolfssl-build %D%/wolfssl.patch
