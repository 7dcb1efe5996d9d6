noinst_LIBRARIES += libboard.a
libboard_a_SOURCES = \
	%D%/board.c %D%/board.h %D%/claims.c %D%/copy.h %D%/tickets.c
EXTRA_DIST += %D%/README.md
