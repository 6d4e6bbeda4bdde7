# Tests that `make check` runs, all speaking TAP. A unit test is one line in
# the list below: tests/unit/test_ps_url is built from tests/unit/test_ps_url.c
# and linked with everything but the two main.c. The integration tests need
# pytest and both web servers; scripts/check runs them.

unit_tests = \
	%D%/unit/test_address \
	%D%/unit/test_application \
	%D%/unit/test_applications \
	%D%/unit/test_applications_answers \
	%D%/unit/test_assembly \
	%D%/unit/test_authorization \
	%D%/unit/test_authorization_row \
	%D%/unit/test_backlog \
	%D%/unit/test_backlog_events \
	%D%/unit/test_bridge \
	%D%/unit/test_callback \
	%D%/unit/test_callback_addresses \
	%D%/unit/test_callback_memory \
	%D%/unit/test_channel \
	%D%/unit/test_channel_fanout \
	%D%/unit/test_channel_model \
	%D%/unit/test_client_frame \
	%D%/unit/test_deflate \
	%D%/unit/test_emit \
	%D%/unit/test_emit_acks \
	%D%/unit/test_emit_ids \
	%D%/unit/test_emit_memory \
	%D%/unit/test_enforce \
	%D%/unit/test_envelope \
	%D%/unit/test_exchange \
	%D%/unit/test_frames \
	%D%/unit/test_framing \
	%D%/unit/test_handoff \
	%D%/unit/test_history \
	%D%/unit/test_history_reply \
	%D%/unit/test_handshake \
	%D%/unit/test_intake \
	%D%/unit/test_jobs \
	%D%/unit/test_kept \
	%D%/unit/test_limit \
	%D%/unit/test_memory \
	%D%/unit/test_message \
	%D%/unit/test_metrics \
	%D%/unit/test_outbox \
	%D%/unit/test_outbox_delivery \
	%D%/unit/test_outbox_memory \
	%D%/unit/test_outbox_model \
	%D%/unit/test_params \
	%D%/unit/test_parked \
	%D%/unit/test_parked_sockjs \
	%D%/unit/test_probe \
	%D%/unit/test_ps_base64 \
	%D%/unit/test_ps_bytes \
	%D%/unit/test_ps_channel \
	%D%/unit/test_ps_clock \
	%D%/unit/test_ps_code \
	%D%/unit/test_ps_config \
	%D%/unit/test_ps_db \
	%D%/unit/test_ps_db_applications \
	%D%/unit/test_ps_db_bridges \
	%D%/unit/test_ps_db_events \
	%D%/unit/test_ps_ipc \
	%D%/unit/test_ps_json \
	%D%/unit/test_ps_json_literal \
	%D%/unit/test_ps_json_parts \
	%D%/unit/test_ps_log \
	%D%/unit/test_ps_network \
	%D%/unit/test_ps_pattern \
	%D%/unit/test_ps_place \
	%D%/unit/test_ps_policy \
	%D%/unit/test_ps_reply \
	%D%/unit/test_ps_request \
	%D%/unit/test_ps_schema \
	%D%/unit/test_ps_socket \
	%D%/unit/test_ps_url \
	%D%/unit/test_ps_utf8 \
	%D%/unit/test_quota \
	%D%/unit/test_replay \
	%D%/unit/test_request \
	%D%/unit/test_resolver \
	%D%/unit/test_record \
	%D%/unit/test_rights \
	%D%/unit/test_service \
	%D%/unit/test_session \
	%D%/unit/test_session_delivery \
	%D%/unit/test_session_interleavings \
	%D%/unit/test_session_model \
	%D%/unit/test_session_quota \
	%D%/unit/test_sockjs \
	%D%/unit/test_sockjs_paths \
	%D%/unit/test_store \
	%D%/unit/test_store_applications \
	%D%/unit/test_table \
	%D%/unit/test_target \
	%D%/unit/test_timers \
	%D%/unit/test_turns \
	%D%/unit/test_webhook \
	%D%/unit/test_ws_style

if HAVE_CMOCKA
check_LIBRARIES = %D%/unit/libunit.a
%C%_unit_libunit_a_SOURCES = \
	%D%/unit/database.c %D%/unit/database.h \
	%D%/unit/fixture.c %D%/unit/fixture.h \
	%D%/unit/loop.h \
	%D%/unit/unit.h
libunit_LIBS = %D%/unit/libunit.a

# What several tests share: sources, and the functions that they stand in for.
allocations = %D%/unit/allocations.c %D%/unit/allocations.h
backlog_fixture = %D%/unit/backlog_fixture.c %D%/unit/backlog_fixture.h
callback_fixture = \
	%D%/unit/callback_fixture.c %D%/unit/callback_fixture.h \
	%D%/unit/responder.c %D%/unit/responder.h
channel_fixture = \
	%D%/unit/channel_fixture.c %D%/unit/channel_fixture.h
channel_fixture_wraps = $(AM_LDFLAGS) \
	-Wl,--wrap=history_read \
	-Wl,--wrap=history_read_on,--wrap=history_cancel \
	-Wl,--wrap=acks_take,--wrap=acks_leave \
	-Wl,--wrap=emit_run,--wrap=emit_forget
emit_wraps = $(AM_LDFLAGS) \
	-Wl,--wrap=history_read,--wrap=history_read_on \
	-Wl,--wrap=history_cancel,--wrap=history_put \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
history_fixture = %D%/unit/history_fixture.c %D%/unit/history_fixture.h
history_wraps = $(AM_LDFLAGS) -Wl,--wrap=ps_clock_ms \
	-Wl,--wrap=ps_clock_unix_ms
outbox_fixture = %D%/unit/outbox_fixture.c %D%/unit/outbox_fixture.h
outbox_wraps = $(AM_LDFLAGS) \
	-Wl,--wrap=callback_start,--wrap=callback_cancel,--wrap=store_do \
	-Wl,--wrap=store_amend \
	-Wl,--wrap=ps_db_put_outbox,--wrap=ps_db_delete_outbox \
	-Wl,--wrap=ps_db_fail_outbox,--wrap=ps_db_fail_lane \
	-Wl,--wrap=ps_db_read_outbox,--wrap=ps_db_note_lane \
	-Wl,--wrap=ps_db_delete_authorization
emit_fixture = %D%/unit/emit_fixture.c %D%/unit/emit_fixture.h \
	$(allocations) $(channel_fixture)

%C%_unit_test_application_SOURCES = \
	%D%/unit/test_application.c $(allocations) $(outbox_fixture)
%C%_unit_test_application_LDFLAGS = $(outbox_wraps) \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
%C%_unit_test_applications_SOURCES = %D%/unit/test_applications.c \
	$(allocations)
%C%_unit_test_applications_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=store_do \
	-Wl,--wrap=ps_db_put_authorization \
	-Wl,--wrap=ps_db_delete_authorization \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
%C%_unit_test_applications_answers_SOURCES = \
	%D%/unit/test_applications_answers.c $(outbox_fixture)
%C%_unit_test_applications_answers_LDFLAGS = $(outbox_wraps) \
	-Wl,--wrap=ps_db_put_authorization
%C%_unit_test_authorization_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=store_do \
	-Wl,--wrap=ps_db_put_authorization \
	-Wl,--wrap=ps_db_delete_authorization
%C%_unit_test_authorization_row_SOURCES = \
	%D%/unit/test_authorization_row.c $(allocations)
%C%_unit_test_authorization_row_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=store_do \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
%C%_unit_test_backlog_SOURCES = %D%/unit/test_backlog.c $(backlog_fixture)
%C%_unit_test_backlog_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=ps_clock_ms
%C%_unit_test_backlog_events_SOURCES = \
	%D%/unit/test_backlog_events.c $(backlog_fixture)
%C%_unit_test_backlog_events_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=ps_clock_ms
%C%_unit_test_callback_SOURCES = %D%/unit/test_callback.c \
	$(callback_fixture)
%C%_unit_test_callback_addresses_SOURCES = \
	%D%/unit/test_callback_addresses.c $(callback_fixture)
%C%_unit_test_callback_memory_SOURCES = %D%/unit/test_callback_memory.c \
	$(allocations)
%C%_unit_test_callback_memory_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc \
	-Wl,--wrap=calloc,--wrap=realloc,--wrap=strdup
%C%_unit_test_channel_SOURCES = %D%/unit/test_channel.c $(channel_fixture)
%C%_unit_test_channel_LDFLAGS = $(channel_fixture_wraps)
%C%_unit_test_channel_fanout_SOURCES = \
	%D%/unit/test_channel_fanout.c $(channel_fixture)
%C%_unit_test_channel_fanout_LDFLAGS = $(channel_fixture_wraps)
%C%_unit_test_channel_model_SOURCES = \
	%D%/unit/test_channel_model.c $(channel_fixture)
%C%_unit_test_channel_model_LDFLAGS = $(channel_fixture_wraps)
%C%_unit_test_emit_SOURCES = %D%/unit/test_emit.c $(emit_fixture)
%C%_unit_test_emit_LDFLAGS = $(emit_wraps)
%C%_unit_test_emit_acks_SOURCES = %D%/unit/test_emit_acks.c $(emit_fixture)
%C%_unit_test_emit_acks_LDFLAGS = $(emit_wraps)
%C%_unit_test_emit_ids_SOURCES = %D%/unit/test_emit_ids.c $(emit_fixture)
%C%_unit_test_emit_ids_LDFLAGS = $(emit_wraps)
%C%_unit_test_emit_memory_SOURCES = \
	%D%/unit/test_emit_memory.c $(emit_fixture)
%C%_unit_test_emit_memory_LDFLAGS = $(emit_wraps)
%C%_unit_test_handoff_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=ps_clock_ms
%C%_unit_test_history_SOURCES = %D%/unit/test_history.c $(history_fixture)
%C%_unit_test_history_LDFLAGS = $(history_wraps)
%C%_unit_test_history_reply_SOURCES = \
	%D%/unit/test_history_reply.c $(history_fixture)
%C%_unit_test_history_reply_LDFLAGS = $(history_wraps)
%C%_unit_test_memory_SOURCES = %D%/unit/test_memory.c $(allocations)
%C%_unit_test_memory_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc \
	-Wl,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup
%C%_unit_test_metrics_SOURCES = %D%/unit/test_metrics.c $(channel_fixture)
%C%_unit_test_outbox_SOURCES = %D%/unit/test_outbox.c $(outbox_fixture)
%C%_unit_test_outbox_LDFLAGS = $(outbox_wraps)
%C%_unit_test_outbox_delivery_SOURCES = \
	%D%/unit/test_outbox_delivery.c $(outbox_fixture)
%C%_unit_test_outbox_delivery_LDFLAGS = $(outbox_wraps)
%C%_unit_test_outbox_memory_SOURCES = \
	%D%/unit/test_outbox_memory.c $(allocations) $(outbox_fixture)
%C%_unit_test_outbox_memory_LDFLAGS = $(outbox_wraps) \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
%C%_unit_test_outbox_model_SOURCES = \
	%D%/unit/test_outbox_model.c $(outbox_fixture)
%C%_unit_test_outbox_model_LDFLAGS = $(outbox_wraps)
%C%_unit_test_ps_policy_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=CRYPTO_memcmp
%C%_unit_test_record_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=time
%C%_unit_test_replay_SOURCES = %D%/unit/test_replay.c $(channel_fixture)
%C%_unit_test_replay_LDFLAGS = $(channel_fixture_wraps)
%C%_unit_test_resolver_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=uv_getaddrinfo,--wrap=uv_freeaddrinfo \
	-Wl,--wrap=lws_client_connect_via_info
%C%_unit_test_session_model_SOURCES = \
	%D%/unit/test_session_model.c \
	%D%/unit/session_model.c %D%/unit/session_model.h
%C%_unit_test_session_model_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=malloc,--wrap=calloc
%C%_unit_test_sockjs_SOURCES = %D%/unit/test_sockjs.c $(allocations) \
	$(outbox_fixture)
%C%_unit_test_sockjs_LDFLAGS = $(outbox_wraps) \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
%C%_unit_test_store_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=ps_clock_ms \
	-Wl,--wrap=time
%C%_unit_test_store_applications_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=ps_clock_ms

check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif

house_tests = \
	%D%/house/check_api.sh \
	%D%/house/check_codes.sh \
	%D%/house/check_documents.sh \
	%D%/house/check_layers.sh \
	%D%/house/check_options.sh

TESTS += $(house_tests)

# Fuzz targets. `make check` replays their corpus; libFuzzer looks for more:
#
#   configure CC=clang --enable-sanitizers=fuzzer-no-link,address,undefined
#   make fuzz FUZZ=ipc FUZZ_ARGS=-max_total_time=60
#
# What it finds is written to the working directory. It becomes a file of the
# corpus when it is mended, and a unit test where that says more.
fuzz_tests = \
	%D%/fuzz/fuzz_client \
	%D%/fuzz/fuzz_deflate \
	%D%/fuzz/fuzz_frames \
	%D%/fuzz/fuzz_ipc \
	%D%/fuzz/fuzz_literal \
	%D%/fuzz/fuzz_params \
	%D%/fuzz/fuzz_reply \
	%D%/fuzz/fuzz_url

check_PROGRAMS += $(fuzz_tests)
TESTS += $(fuzz_tests)

fuzz_driver = %D%/fuzz/fuzz.h %D%/fuzz/replay.c
fuzz_LIBS = $(libbridge_LIBS) $(libfcgiapp_LIBS)
%C%_fuzz_fuzz_client_SOURCES = %D%/fuzz/fuzz_client.c $(fuzz_driver)
%C%_fuzz_fuzz_client_LDADD = $(fuzz_LIBS)
%C%_fuzz_fuzz_deflate_SOURCES = %D%/fuzz/fuzz_deflate.c $(fuzz_driver)
%C%_fuzz_fuzz_deflate_LDADD = $(fuzz_LIBS)
%C%_fuzz_fuzz_frames_SOURCES = %D%/fuzz/fuzz_frames.c $(fuzz_driver)
%C%_fuzz_fuzz_frames_LDADD = $(fuzz_LIBS)
%C%_fuzz_fuzz_ipc_SOURCES = %D%/fuzz/fuzz_ipc.c $(fuzz_driver)
%C%_fuzz_fuzz_ipc_LDADD = $(fuzz_LIBS)
%C%_fuzz_fuzz_literal_SOURCES = %D%/fuzz/fuzz_literal.c $(fuzz_driver)
%C%_fuzz_fuzz_literal_LDADD = $(fuzz_LIBS)
%C%_fuzz_fuzz_params_SOURCES = %D%/fuzz/fuzz_params.c $(fuzz_driver)
%C%_fuzz_fuzz_params_LDADD = $(fuzz_LIBS)
%C%_fuzz_fuzz_reply_SOURCES = %D%/fuzz/fuzz_reply.c $(fuzz_driver)
%C%_fuzz_fuzz_reply_LDADD = $(fuzz_LIBS)
%C%_fuzz_fuzz_url_SOURCES = %D%/fuzz/fuzz_url.c $(fuzz_driver)
%C%_fuzz_fuzz_url_LDADD = $(fuzz_LIBS)

FUZZ = ipc
FUZZ_ARGS =
fuzz: %D%/fuzz/fuzz_$(FUZZ)
	$(AM_V_CCLD)$(LINK) -fsanitize=fuzzer -o libfuzzer_$(FUZZ) \
	  %D%/fuzz/fuzz_$(FUZZ).$(OBJEXT) $(fuzz_LIBS)
	$(MKDIR_P) fuzz-corpus/$(FUZZ)
	./libfuzzer_$(FUZZ) $(FUZZ_ARGS) fuzz-corpus/$(FUZZ) \
	  $(srcdir)/%D%/fuzz/corpus/$(FUZZ)

.PHONY: fuzz
CLEANFILES += libfuzzer_*

# A WebSocket echo server, for the integration tests, the demo and the bench.
noinst_PROGRAMS += %D%/tools/ws-echo
%C%_tools_ws_echo_SOURCES = %D%/tools/ws-echo.c \
	%D%/tools/ws-frame.c %D%/tools/ws-frame.h
%C%_tools_ws_echo_LDADD = $(CRYPTO_LIBS)

# Default of every program that does not say otherwise, i.e. of the unit tests.
LDADD = $(libunit_LIBS) $(libbridge_LIBS) $(libfcgiapp_LIBS) $(CMOCKA_LIBS)

AM_TESTS_ENVIRONMENT = CMOCKA_MESSAGE_OUTPUT=TAP; export CMOCKA_MESSAGE_OUTPUT;
TEST_EXTENSIONS = .sh
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
SH_LOG_DRIVER = $(LOG_DRIVER)
SH_LOG_COMPILER = $(SHELL)

EXTRA_DIST += \
	$(house_tests) \
	%D%/house/tap.sh \
	%D%/fuzz/corpus \
	%D%/integration \
	%D%/lib \
	%D%/node \
	%D%/unit/golden

# Folders are copied whole, with what Python left in them.
dist-hook:
	find "$(distdir)" -depth \( -name __pycache__ -o -name .pytest_cache \) \
	  -exec rm -rf {} +
