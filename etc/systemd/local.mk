# The unit is made from a template that knows where the program will be.
# ConfigurationDirectory= means a directory of /etc; where the configuration is elsewhere, make install makes it.
UNIT_ETC = `test '$(sysconfdir)' = /etc || printf '%s' '-e/^ConfigurationDirectory=/d'`
systemdsystemunit_DATA = %D%/gatehouse.service
sysusersdir = $(prefix)/lib/sysusers.d
EXTRA_DIST += %D%/gatehouse.service.in %D%/gatehouse.socket.example %D%/gatehouse.sysusers %D%/notify-reload.conf
CLEANFILES += %D%/gatehouse.service

%D%/gatehouse.service: $(srcdir)/%D%/gatehouse.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && sed -e 's|@bindir[@]|$(bindir)|g' $(UNIT_ETC) $(srcdir)/%D%/gatehouse.service.in > $@.tmp && mv $@.tmp $@

install-data-local: install-sysusers
install-sysusers:
	$(MKDIR_P) '$(DESTDIR)$(sysusersdir)'
	$(INSTALL_DATA) $(srcdir)/%D%/gatehouse.sysusers '$(DESTDIR)$(sysusersdir)/gatehouse.conf'
uninstall-local: uninstall-sysusers
uninstall-sysusers:
	rm -f '$(DESTDIR)$(sysusersdir)/gatehouse.conf'
.PHONY: install-sysusers uninstall-sysusers
