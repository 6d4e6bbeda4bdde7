# What an administrator edits is installed once and then left alone: the
# configuration and those of the web servers. systemd's units belong to us.

ps_admin_files = \
	%D%/polysocket.conf \
	%D%/lighttpd/polysocket.conf \
	%D%/apache/polysocket.conf

ps_systemd_files = \
	%D%/systemd/polysocket-fcgi.service \
	%D%/systemd/polysocket-fcgi.socket \
	%D%/systemd/wsbridge.service

if INSTALL_SYSTEMD
systemdsystemunit_DATA = $(ps_systemd_files)
sysusersdir = $(prefix)/lib/sysusers.d
endif

ps_generated += $(ps_admin_files) $(ps_systemd_files) \
	%D%/systemd/polysocket.sysusers
noinst_DATA += $(ps_admin_files) $(ps_systemd_files) \
	%D%/systemd/polysocket.sysusers

# Source and installed name of each administrator's file.
ps_admin_installs = \
	%D%/polysocket.conf:polysocket.conf \
	%D%/lighttpd/polysocket.conf:lighttpd.conf \
	%D%/apache/polysocket.conf:apache.conf
ps_admin_dir = $(DESTDIR)$(sysconfdir)/polysocket

install-data-local: $(ps_generated)
	$(MKDIR_P) "$(ps_admin_dir)"
	@for pair in $(ps_admin_installs); do \
	  to="$(ps_admin_dir)/$${pair#*:}"; \
	  if test -e "$$to"; then \
	    echo "$$to exists and is left as it is"; \
	  else \
	    echo "$(INSTALL_DATA) $${pair%:*} $$to"; \
	    $(INSTALL_DATA) "$${pair%:*}" "$$to" || exit 1; \
	  fi; \
	done
if INSTALL_SYSTEMD
	$(MKDIR_P) "$(DESTDIR)$(sysusersdir)"
	$(INSTALL_DATA) %D%/systemd/polysocket.sysusers \
	  "$(DESTDIR)$(sysusersdir)/polysocket.conf"
endif

# An edited file stays.
uninstall-local:
	@for pair in $(ps_admin_installs); do \
	  file="$(ps_admin_dir)/$${pair#*:}"; \
	  if cmp -s "$${pair%:*}" "$$file"; then \
	    echo "rm -f $$file"; \
	    rm -f "$$file"; \
	  fi; \
	done
	-rmdir "$(ps_admin_dir)" 2>/dev/null
if INSTALL_SYSTEMD
	rm -f "$(DESTDIR)$(sysusersdir)/polysocket.conf"
endif

# After a change to common/ps_options.c: the sample and the manual again. A
# house test fails as long as they differ from the table.
update-options: wsbridge/wsbridge$(EXEEXT)
	wsbridge/wsbridge --print-config | $(SED) \
	  -e 's,= $(runstatedir)/,= @''runstatedir@/,' \
	  -e 's,= $(localstatedir)/,= @''localstatedir@/,' \
	  >$(srcdir)/%D%/polysocket.conf.in
	$(AWK) -v sample=$(srcdir)/%D%/polysocket.conf.in \
	  -f $(srcdir)/doc/options.awk $(srcdir)/doc/polysocket.conf.5.in \
	  >polysocket.conf.5.tmp
	mv polysocket.conf.5.tmp $(srcdir)/doc/polysocket.conf.5.in

.PHONY: update-options
