include worker/net/local.mk
include worker/http/local.mk
include worker/codec/local.mk
include worker/filter/local.mk
include worker/balance/local.mk
include worker/upstream/local.mk
include worker/proxy/local.mk

# The root of the worker as a library, so that unit tests can have its parts.
noinst_LIBRARIES += libwroot.a
libwroot_a_SOURCES = \
	%D%/admin_http.c %D%/admin_http.h %D%/drain.c %D%/heart.c %D%/hosts.c %D%/hosts.h %D%/link.c \
	%D%/metrics.c %D%/metrics.h %D%/metrics_series.c %D%/metrics_write.c %D%/metrics_write.h %D%/role.c \
	%D%/role.h %D%/role_admin.c %D%/role_scout.c %D%/role_worker.c %D%/sandbox.c %D%/sandbox.def \
	%D%/sandbox.h %D%/sandbox_check.c %D%/status.c %D%/status.h %D%/worker.h
EXTRA_DIST += %D%/dashboard.html %D%/README.md

# The dashboard as one C string.
%D%/dashboard_html.h: $(srcdir)/%D%/dashboard.html
	$(AM_V_GEN)$(MKDIR_P) %D% && { echo 'static const char DASHBOARD_HTML[] ='; \
	  sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/"/' -e 's/$$/\\n"/' $(srcdir)/%D%/dashboard.html; echo ';'; } > $@.tmp && mv $@.tmp $@
%D%/role_admin.$(OBJEXT): %D%/dashboard_html.h
CLEANFILES += %D%/dashboard_html.h

pkglibexec_PROGRAMS += gatehouse-worker
gatehouse_worker_SOURCES = %D%/main.c
gatehouse_worker_LDADD = libwroot.a libwproxy.a libwupstream.a libwbalance.a libwfilter.a libwcodec.a libwhttp.a libwnet.a libsnap.a libtls.a libhttp.a libipc.a libboard.a libregex.a libbase.a \
	$(UV_LIBS) $(CARES_LIBS) $(SECCOMP_LIBS) $(PCRE2_LIBS) $(WOLFSSL_LIBS)
