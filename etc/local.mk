include etc/systemd/local.mk
EXTRA_DIST += %D%/gatehouse.yaml

# The settings, all of them comments, and a place for objects. Neither an upgrade nor a removal takes what somebody wrote.
confdir = $(sysconfdir)/gatehouse
CLEANFILES += %D%/installed.yaml

%D%/installed.yaml: $(srcdir)/%D%/gatehouse.yaml Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && $(TO_ETC) $(srcdir)/%D%/gatehouse.yaml > $@.tmp && mv $@.tmp $@

install-data-local: install-conf
install-conf: %D%/installed.yaml
	$(MKDIR_P) '$(DESTDIR)$(confdir)/conf.d'
	test -e '$(DESTDIR)$(confdir)/gatehouse.yaml' || \
	  $(INSTALL_DATA) %D%/installed.yaml '$(DESTDIR)$(confdir)/gatehouse.yaml'
uninstall-local: uninstall-conf
uninstall-conf: %D%/installed.yaml
	cd '$(DESTDIR)$(confdir)' 2>/dev/null || exit 0; \
	  cmp -s gatehouse.yaml '$(abs_builddir)/%D%/installed.yaml' && rm -f gatehouse.yaml; \
	  rmdir conf.d 2>/dev/null; cd .. && rmdir gatehouse 2>/dev/null; true
.PHONY: install-conf uninstall-conf
