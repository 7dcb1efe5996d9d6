noinst_LIBRARIES += libtls.a
libtls_a_SOURCES = %D%/hello.c %D%/hello.h
EXTRA_DIST += %D%/README.md
