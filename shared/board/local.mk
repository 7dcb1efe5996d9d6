noinst_LIBRARIES += libboard.a
libboard_a_SOURCES = \
	%D%/board.c %D%/board.h %D%/claims.c
EXTRA_DIST += %D%/README.md
