# wsbridge: owns every live session. All but main.c is a library, for the
# unit tests.

noinst_LIBRARIES += %D%/libbridge.a
sbin_PROGRAMS += %D%/wsbridge

%C%_libbridge_a_SOURCES = \
	%D%/bridge.c %D%/bridge.h \
	%D%/drain.c %D%/drain.h \
	%D%/enforce.c %D%/enforce.h \
	%D%/figures.c %D%/figures.h \
	%D%/intake.c %D%/intake.h \
	%D%/ledger.c %D%/ledger.h \
	%D%/listener.c %D%/listener.h \
	%D%/metrics.c %D%/metrics.h \
	%D%/metrics_format.c %D%/metrics_format.h \
	%D%/parent.c %D%/parent.h \
	%D%/place.c %D%/place.h \
	%D%/service.c %D%/service.h \
	%D%/base/fanout.c %D%/base/fanout.h \
	%D%/base/message.c %D%/base/message.h \
	%D%/base/refusal.h \
	%D%/base/resolver.c %D%/base/resolver.h \
	%D%/base/socket_info.c %D%/base/socket_info.h \
	%D%/base/table.c %D%/base/table.h \
	%D%/base/timers.c %D%/base/timers.h \
	%D%/base/turns.c %D%/base/turns.h \
	%D%/base/watch.c %D%/base/watch.h \
	%D%/session/address.c %D%/session/address.h \
	%D%/session/peer.h \
	%D%/session/quota.c %D%/session/quota.h \
	%D%/session/receiver.h \
	%D%/session/recipient.c %D%/session/recipient.h \
	%D%/session/record.c %D%/session/record.h \
	%D%/session/session.c %D%/session/session.h \
	%D%/session/session_delivery.c \
	%D%/session/session_parts.h \
	%D%/session/session_quota.c \
	%D%/session/session_send.c \
	%D%/http/exchange.c %D%/http/exchange.h \
	%D%/http/parked.c %D%/http/parked.h \
	%D%/http/probe.c %D%/http/probe.h \
	%D%/websocket/assembly.c %D%/websocket/assembly.h \
	%D%/websocket/deflate.c %D%/websocket/deflate.h \
	%D%/websocket/downstream.c %D%/websocket/downstream.h \
	%D%/websocket/downstream_open.c \
	%D%/websocket/downstream_read.c \
	%D%/websocket/downstream_state.h \
	%D%/websocket/frames.c %D%/websocket/frames.h \
	%D%/websocket/handshake.c %D%/websocket/handshake.h \
	%D%/websocket/upgrade.c %D%/websocket/upgrade.h \
	%D%/websocket/websocket.c %D%/websocket/websocket.h \
	%D%/websocket/ws_style.h \
	%D%/websocket/ws_text.c %D%/websocket/ws_text.h \
	%D%/framing/channel.c %D%/framing/channel.h \
	%D%/framing/framing.h \
	%D%/framing/parts.c %D%/framing/parts.h \
	%D%/framing/relay.c \
	%D%/framing/sockjs.c %D%/framing/sockjs.h \
	%D%/relay/relay.c %D%/relay/relay.h \
	%D%/relay/target.c %D%/relay/target.h \
	%D%/relay/upstream.c %D%/relay/upstream.h \
	%D%/relay/upstream_open.c \
	%D%/relay/upstream_read.c \
	%D%/relay/upstream_state.h \
	%D%/channels/acks.c %D%/channels/acks.h \
	%D%/channels/channel.c %D%/channels/channel.h \
	%D%/channels/channel_log.c %D%/channels/channel_log.h \
	%D%/channels/channels.c %D%/channels/channels.h \
	%D%/channels/channels_emit.c \
	%D%/channels/client_frame.c \
	%D%/channels/emit.c %D%/channels/emit.h \
	%D%/channels/emit_ids.c %D%/channels/emit_ids.h \
	%D%/channels/emit_targets.c %D%/channels/emit_targets.h \
	%D%/channels/emit_wait.c %D%/channels/emit_wait.h \
	%D%/channels/envelope.c %D%/channels/envelope.h \
	%D%/channels/hearing.c %D%/channels/hearing.h \
	%D%/channels/history.c %D%/channels/history.h \
	%D%/channels/history_reply.c \
	%D%/channels/member.c %D%/channels/member.h \
	%D%/channels/member_frames.c %D%/channels/member_frames.h \
	%D%/channels/replay.c %D%/channels/replay.h \
	%D%/channels/ws_channel.c \
	%D%/applications/application.c %D%/applications/application.h \
	%D%/applications/applications.c %D%/applications/applications.h \
	%D%/applications/applications_publish.c \
	%D%/applications/authorization.c %D%/applications/authorization.h \
	%D%/applications/authorization_find.c \
	%D%/applications/authorization_row.c %D%/applications/authorization_row.h \
	%D%/applications/authorizations.c %D%/applications/authorizations.h \
	%D%/applications/changed_row.c %D%/applications/changed_row.h \
	%D%/applications/connection.c %D%/applications/connection.h \
	%D%/applications/kept.c %D%/applications/kept.h \
	%D%/applications/sockjs.c %D%/applications/sockjs.h \
	%D%/applications/sockjs_page.c \
	%D%/applications/ws_sockjs.c \
	%D%/outbox/callback.c %D%/outbox/callback.h \
	%D%/outbox/callback_easy.c \
	%D%/outbox/callback_error.c \
	%D%/outbox/callback_loop.c %D%/outbox/callback_loop.h \
	%D%/outbox/callback_state.h \
	%D%/outbox/circuit.c %D%/outbox/circuit.h \
	%D%/outbox/delivery.c %D%/outbox/delivery.h \
	%D%/outbox/lane.c %D%/outbox/lane.h \
	%D%/outbox/outbox.c %D%/outbox/outbox.h \
	%D%/outbox/outbox_batch.c %D%/outbox/outbox_batch.h \
	%D%/outbox/outbox_rows.c %D%/outbox/outbox_rows.h \
	%D%/outbox/reply.c %D%/outbox/reply.h \
	%D%/outbox/webhook.c %D%/outbox/webhook.h \
	%D%/store/backlog.c %D%/store/backlog.h \
	%D%/store/jobs.c %D%/store/jobs.h \
	%D%/store/reading.c %D%/store/reading.h \
	%D%/store/record_head.h \
	%D%/store/store.c %D%/store/store.h \
	%D%/store/store_jobs.c \
	%D%/store/store_look.c \
	%D%/store/store_news.c \
	%D%/store/store_thread.c %D%/store/store_thread.h \
	%D%/store/store_write.c \
	%D%/store/unwritten.c %D%/store/unwritten.h

%C%_wsbridge_SOURCES = %D%/main.c
%C%_wsbridge_LDADD = $(libbridge_LIBS)

libbridge_LIBS = %D%/libbridge.a $(libps_LIBS) $(LWS_LIBS) $(UV_LIBS) \
	$(ZLIB_LIBS) -lpthread
