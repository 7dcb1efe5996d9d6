noinst_LIBRARIES += libctl.a
libctl_a_SOURCES = \
	%D%/ctl.h %D%/verbs.def \
	%D%/client.c %D%/client.h \
	%D%/cmd_explain.c %D%/explain.c %D%/explain.h %D%/explain_json.c %D%/explain_text.c %D%/explain_words.c \
	%D%/cmd_check.c %D%/cmd_echo.c %D%/cmd_explain_field.c
