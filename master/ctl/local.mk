noinst_LIBRARIES += libctl.a
EXTRA_DIST += %D%/README.md
libctl_a_SOURCES = \
	%D%/ctl.h %D%/verbs.def \
	%D%/cmd_diff.c %D%/diff.c %D%/diff.h %D%/diff_objects.c %D%/diff_routes.c \
	%D%/cmd_explain.c %D%/explain.c %D%/explain.h %D%/explain_json.c %D%/explain_text.c %D%/explain_words.c \
	%D%/ask.c %D%/ask.h %D%/client.c %D%/client.h %D%/objects.c %D%/objects.h %D%/samples.c %D%/samples.h %D%/table.c %D%/table.h \
	%D%/yaml_out.c %D%/yaml_out.h \
	%D%/cmd_certs.c %D%/snap_source.c %D%/snap_source.h \
	%D%/cmd_get.c %D%/cmd_reload.c %D%/cmd_status.c %D%/cmd_top.c \
	%D%/cmd_check.c %D%/cmd_echo.c %D%/cmd_explain_field.c
