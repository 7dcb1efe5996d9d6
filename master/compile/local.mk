noinst_LIBRARIES += libcompile.a
libcompile_a_SOURCES = \
	%D%/chains.c %D%/clusters.c %D%/compile.c %D%/compile.h %D%/hosts.c %D%/intern.c %D%/keys.c %D%/layout.h %D%/routes.c \
	%D%/rules.c %D%/seal.c %D%/tls.c %D%/tree.c
EXTRA_DIST += %D%/README.md
