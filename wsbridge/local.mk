# wsbridge: owns every live session. All but main.c is a library, for the
# unit tests.

noinst_LIBRARIES += %D%/libbridge.a
sbin_PROGRAMS += %D%/wsbridge

%C%_libbridge_a_SOURCES = \
	%D%/acks.c %D%/acks.h \
	%D%/address.c %D%/address.h \
	%D%/application.h \
	%D%/applications.c %D%/applications.h \
	%D%/applications_publish.c \
	%D%/application.c %D%/application.h \
	%D%/assembly.c %D%/assembly.h \
	%D%/authorization.c %D%/authorization.h \
	%D%/authorization_row.c %D%/authorization_row.h \
	%D%/authorizations.c %D%/authorizations.h \
	%D%/backlog.c %D%/backlog.h \
	%D%/bridge.c %D%/bridge.h \
	%D%/callback.c %D%/callback.h \
	%D%/callback_loop.c %D%/callback_loop.h \
	%D%/channel.c %D%/channel.h \
	%D%/channels.h %D%/channels_emit.c \
	%D%/circuit.c %D%/circuit.h \
	%D%/client_frame.c \
	%D%/channels.c %D%/channels.h \
	%D%/connection.c %D%/connection.h \
	%D%/deflate.c %D%/deflate.h \
	%D%/delivery.c %D%/delivery.h \
	%D%/downstream.c %D%/downstream.h \
	%D%/downstream_open.c %D%/downstream_read.c \
	%D%/downstream_state.h \
	%D%/drain.c %D%/drain.h \
	%D%/emit.c %D%/emit.h \
	%D%/emit_ids.c %D%/emit_ids.h \
	%D%/emit_targets.c %D%/emit_targets.h \
	%D%/enforce.c %D%/enforce.h \
	%D%/envelope.c %D%/envelope.h \
	%D%/exchange.c %D%/exchange.h \
	%D%/fanout.c %D%/fanout.h \
	%D%/figures.c %D%/figures.h \
	%D%/frames.c %D%/frames.h \
	%D%/framing/channel.c %D%/framing/channel.h \
	%D%/framing/framing.h \
	%D%/framing/parts.c %D%/framing/parts.h \
	%D%/framing/relay.c \
	%D%/framing/sockjs.c %D%/framing/sockjs.h \
	%D%/handshake.c %D%/handshake.h \
	%D%/hearing.c %D%/hearing.h \
	%D%/history.c %D%/history.h \
	%D%/history_reply.c \
	%D%/intake.c %D%/intake.h \
	%D%/jobs.c %D%/jobs.h \
	%D%/kept.c %D%/kept.h \
	%D%/ledger.c %D%/ledger.h \
	%D%/lane.c %D%/lane.h \
	%D%/listener.c %D%/listener.h \
	%D%/member.c %D%/member.h \
	%D%/message.c %D%/message.h \
	%D%/metrics.c %D%/metrics.h \
	%D%/outbox.c %D%/outbox.h \
	%D%/outbox_rows.c %D%/outbox_rows.h \
	%D%/parent.c %D%/parent.h \
	%D%/parked.c %D%/parked.h \
	%D%/peer.h \
	%D%/place.c %D%/place.h \
	%D%/probe.c %D%/probe.h \
	%D%/quota.c %D%/quota.h \
	%D%/reading.c %D%/reading.h \
	%D%/receiver.h \
	%D%/recipient.c %D%/recipient.h \
	%D%/record.c %D%/record.h \
	%D%/record_head.h \
	%D%/refusal.h \
	%D%/relay.c %D%/relay.h \
	%D%/replay.c %D%/replay.h \
	%D%/reply.c %D%/reply.h \
	%D%/resolver.c %D%/resolver.h \
	%D%/service.c %D%/service.h \
	%D%/session.c %D%/session.h \
	%D%/socket_info.c %D%/socket_info.h \
	%D%/sockjs.c %D%/sockjs.h \
	%D%/sockjs_page.c \
	%D%/store.c %D%/store.h \
	%D%/store_jobs.c \
	%D%/store_look.c \
	%D%/store_news.c \
	%D%/store_thread.c %D%/store_thread.h \
	%D%/store_write.c \
	%D%/table.c %D%/table.h \
	%D%/target.c %D%/target.h \
	%D%/timers.c %D%/timers.h \
	%D%/turns.c %D%/turns.h \
	%D%/unwritten.c %D%/unwritten.h \
	%D%/upgrade.c %D%/upgrade.h \
	%D%/upstream.c %D%/upstream.h \
	%D%/watch.c %D%/watch.h \
	%D%/webhook.c %D%/webhook.h \
	%D%/websocket.c %D%/websocket.h \
	%D%/ws_channel.c %D%/ws_style.h \
	%D%/ws_sockjs.c \
	%D%/ws_text.c %D%/ws_text.h

%C%_wsbridge_SOURCES = %D%/main.c
%C%_wsbridge_LDADD = $(libbridge_LIBS)

libbridge_LIBS = %D%/libbridge.a $(libps_LIBS) $(LWS_LIBS) $(UV_LIBS) \
	$(ZLIB_LIBS) -lpthread
