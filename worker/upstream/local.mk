noinst_LIBRARIES += libwupstream.a
libwupstream_a_SOURCES = %D%/cluster.c %D%/endpoint.h %D%/pool.c %D%/raw.c %D%/raw.h %D%/secure.c %D%/secure.h %D%/upstream.h
EXTRA_DIST += %D%/README.md
