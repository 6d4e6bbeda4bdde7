# What the benchmarks measure with: their load generator and the ceiling of the
# front. Built with everything, so that they are not found broken when needed.

noinst_PROGRAMS += %D%/loadgen %D%/fcgi-ceiling %D%/talk %D%/talk-target \
	%D%/fanout-load %D%/fanout-floor %D%/callback-echo

ps_bench_lib = \
	%D%/lib/histogram.c %D%/lib/histogram.h \
	%D%/lib/http.c %D%/lib/http.h \
	%D%/lib/link.c %D%/lib/link.h \
	%D%/lib/options.c %D%/lib/options.h \
	%D%/lib/processes.c %D%/lib/processes.h \
	%D%/lib/relay.c %D%/lib/relay.h

%C%_loadgen_SOURCES = $(ps_bench_lib) \
	%D%/load/exchange.c %D%/load/exchange.h \
	%D%/load/load.h \
	%D%/load/loadgen.c \
	%D%/load/mode-ceiling.c \
	%D%/load/mode-create.c \
	%D%/load/mode-emit.c \
	%D%/load/mode-hold.c \
	%D%/load/mode-relay.c \
	%D%/load/mode-sockjs.c \
	%D%/load/mode-ws.c
%C%_loadgen_LDADD =

%C%_fanout_load_SOURCES = \
	%D%/fanout/fanout.c %D%/fanout/fanout.h \
	%D%/fanout/frame.c \
	%D%/fanout/member-poll.c \
	%D%/fanout/member-stream.c \
	%D%/fanout/member-ws.c \
	%D%/fanout/publisher.c \
	%D%/fanout/text.c %D%/fanout/text.h \
	%D%/lib/histogram.c %D%/lib/histogram.h \
	%D%/lib/http.c %D%/lib/http.h \
	%D%/lib/link.c %D%/lib/link.h \
	%D%/lib/options.c %D%/lib/options.h \
	%D%/lib/processes.c %D%/lib/processes.h
%C%_fanout_load_LDADD =

%C%_fanout_floor_SOURCES = \
	%D%/fanout/floor.c \
	%D%/lib/link.c %D%/lib/link.h \
	%D%/lib/server.c %D%/lib/server.h \
	tests/tools/ws-frame.c tests/tools/ws-frame.h
%C%_fanout_floor_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/tools
%C%_fanout_floor_LDADD = $(CRYPTO_LIBS)

%C%_talk_SOURCES = $(ps_bench_lib) \
	%D%/load/load.h \
	%D%/talker/score.c %D%/talker/score.h \
	%D%/talker/talk-queue.c %D%/talker/talk-queue.h \
	%D%/talker/talk-relay.c \
	%D%/talker/talk-socketio.c \
	%D%/talker/talk-sockjs.c \
	%D%/talker/talk.c %D%/talker/talk.h \
	%D%/talker/talker.c
%C%_talk_LDADD =

%C%_talk_target_SOURCES = \
	%D%/lib/link.c %D%/lib/link.h \
	%D%/lib/server.c %D%/lib/server.h \
	%D%/talker/score.c %D%/talker/score.h \
	%D%/talker/talk-target.c \
	tests/tools/ws-frame.c tests/tools/ws-frame.h
%C%_talk_target_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/tools
%C%_talk_target_LDADD = $(CRYPTO_LIBS)

%C%_callback_echo_SOURCES = %D%/callback-echo.c \
	%D%/lib/link.c %D%/lib/link.h \
	%D%/lib/server.c %D%/lib/server.h
%C%_callback_echo_LDADD =

%C%_fcgi_ceiling_SOURCES = %D%/fcgi-ceiling.c
%C%_fcgi_ceiling_LDADD = $(FCGI_LIBS) -lpthread

EXTRA_DIST += \
	%D%/DELIVERY.md \
	%D%/HOSTILE.md \
	%D%/README.md \
	%D%/APPLICATIONS.md %D%/CHANNELS.md \
	%D%/RESULTS.md \
	%D%/accepted.py \
	%D%/applications \
	%D%/beside.py \
	%D%/broadcasts.py \
	%D%/builds.py \
	%D%/callbacks.py \
	%D%/called.py \
	%D%/changes.py \
	%D%/channels \
	%D%/conversation.py \
	%D%/creates.py \
	%D%/crowd.py \
	%D%/crowd_memory.py \
	%D%/delivery \
	%D%/emits.py \
	%D%/fairness.py \
	%D%/fanout-node/package.json \
	%D%/fanout-node/sockjs.js \
	%D%/fanout-node/ws.js \
	%D%/faults.py \
	%D%/front.py \
	%D%/hostile \
	%D%/hostility.py \
	%D%/memory.py \
	%D%/publishes.py \
	%D%/relay \
	%D%/report.py \
	%D%/soak \
	%D%/sockjs-callback/package.json \
	%D%/sockjs-callback/server.js \
	%D%/sockjs-echo/package.json \
	%D%/sockjs-echo/server.js \
	%D%/talk-node/clients.js \
	%D%/talk-node/package.json \
	%D%/talk-node/socketio.js \
	%D%/talk-node/sockjs.js \
	%D%/trips.py
