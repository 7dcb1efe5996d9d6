noinst_LIBRARIES += libboard.a
libboard_a_SOURCES = \
	%D%/board.c %D%/board.h
EXTRA_DIST += %D%/README.md
