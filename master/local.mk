include master/yaml/local.mk
include master/kinds/local.mk
include master/store/local.mk
include master/model/local.mk
include master/lower/local.mk
include master/compile/local.mk
include master/ctl/local.mk

# From files to images, as one function; used by the compiler child and by commands.
noinst_LIBRARIES += libbuild.a
libbuild_a_SOURCES = \
	%D%/build.c %D%/build.h \
	%D%/instance.c %D%/instance.h \
	%D%/status_image.c %D%/status_image.h

EXTRA_DIST += %D%/README.md
noinst_LIBRARIES += libmaster.a
libmaster_a_SOURCES = \
	%D%/adopt.c %D%/adopt.h \
	%D%/compiler.c %D%/compiler.h %D%/compiler_child.c \
	%D%/link.c %D%/link.h \
	%D%/listen.c %D%/listen.h \
	%D%/master.h \
	%D%/notify.c %D%/notify.h \
	%D%/privilege.c %D%/privilege.h \
	%D%/reload.c %D%/reload.h \
	%D%/rundir.c %D%/rundir.h \
	%D%/serve.c \
	%D%/settings.c %D%/settings.h %D%/setting.def \
	%D%/settle.c %D%/settle.h \
	%D%/sink.c %D%/sink.h \
	%D%/spawn.c \
	%D%/state.c %D%/state.h \
	%D%/supervise.c %D%/supervise.h \
	%D%/tell.c \
	%D%/upgrade.c %D%/upgrade.h \
	%D%/watch.c %D%/watch.h %D%/watch_internal.h %D%/watch_outside.c

bin_PROGRAMS += gatehouse
gatehouse_SOURCES = %D%/main.c
gatehouse_LDADD = $(GATEHOUSE_LIBS)

# What a program needs that loads and compiles; a room uses only rooms to its right.
GATEHOUSE_LIBS = libmaster.a libctl.a libbuild.a libcompile.a liblower.a libmodel.a libstore.a libkinds.a libyamltree.a libsnap.a libregex.a libhttp.a libipc.a libboard.a libtls.a libbase.a \
	$(UV_LIBS) $(YAML_LIBS) $(SYSTEMD_LIBS) $(PCRE2_LIBS) $(SECCOMP_LIBS) $(WOLFSSL_LIBS) -lm
