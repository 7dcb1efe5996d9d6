noinst_LIBRARIES += libwbalance.a
libwbalance_a_SOURCES = %D%/balance.c %D%/balance.h
EXTRA_DIST += %D%/README.md
