# What both programs link; knows neither FastCGI nor libwebsockets nor libuv.

noinst_LIBRARIES += %D%/libps.a

%C%_libps_a_SOURCES = \
	%D%/ps_base64.c %D%/ps_base64.h \
	%D%/ps_bytes.c %D%/ps_bytes.h \
	%D%/ps_channel.c %D%/ps_channel.h \
	%D%/ps_clock.c %D%/ps_clock.h \
	%D%/ps_code.c %D%/ps_code.h \
	%D%/ps_config.c %D%/ps_config.h \
	%D%/ps_container.h \
	%D%/ps_db.c %D%/ps_db.h \
	%D%/ps_db_authorizations.c %D%/ps_db_authorizations.h \
	%D%/ps_db_changes.c %D%/ps_db_changes.h \
	%D%/ps_db_events.c \
	%D%/ps_db_outbox.c %D%/ps_db_outbox.h \
	%D%/ps_db_policy.c \
	%D%/ps_db_records.c \
	%D%/ps_err.h \
	%D%/ps_ipc.c %D%/ps_ipc.h \
	%D%/ps_ipc_applications.c \
	%D%/ps_ipc_channels.c \
	%D%/ps_ipc_fields.h \
	%D%/ps_ipc_relay.c \
	%D%/ps_json.c %D%/ps_json.h \
	%D%/ps_json_literal.c %D%/ps_json_literal.h \
	%D%/ps_json_parts.c %D%/ps_json_parts.h \
	%D%/ps_limits.h \
	%D%/ps_log.c %D%/ps_log.h \
	%D%/ps_network.c %D%/ps_network.h \
	%D%/ps_options.c %D%/ps_options.h \
	%D%/ps_pattern.c %D%/ps_pattern.h \
	%D%/ps_place.c %D%/ps_place.h \
	%D%/ps_policy.c %D%/ps_policy.h \
	%D%/ps_reply.c %D%/ps_reply.h \
	%D%/ps_request.c %D%/ps_request.h \
	%D%/ps_schema.c %D%/ps_schema.h %D%/ps_schema_sql.h \
	%D%/ps_socket.c %D%/ps_socket.h \
	%D%/ps_sql.c %D%/ps_sql.h \
	%D%/ps_thread.c %D%/ps_thread.h \
	%D%/ps_url.c %D%/ps_url.h \
	%D%/ps_utf8.c %D%/ps_utf8.h

# The database's schema is part of the program.
nodist_%C%_libps_a_SOURCES = %D%/ps_schema_sql.c
CLEANFILES += %D%/ps_schema_sql.c
EXTRA_DIST += %D%/schema_to_c.sh

%D%/ps_schema_sql.c: %D%/schema_to_c.sh $(ps_schema_files)
	$(AM_V_GEN)$(MKDIR_P) %D% && $(SHELL) $(srcdir)/%D%/schema_to_c.sh \
	  $(ps_schema_files:%=$(srcdir)/%) >$@.tmp && mv $@.tmp $@

libps_LIBS = %D%/libps.a $(JSON_LIBS) $(SQLITE_LIBS) $(CRYPTO_LIBS) $(CURL_LIBS)
