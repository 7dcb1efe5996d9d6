noinst_LIBRARIES += libctl.a
libctl_a_SOURCES = \
	%D%/ctl.h %D%/verbs.def \
	%D%/client.c %D%/client.h \
	%D%/cmd_check.c %D%/cmd_echo.c %D%/cmd_explain_field.c
