# What the benchmarks measure with: their load generator and the ceiling of the
# front. Built with everything, so that they are not found broken when needed.

noinst_PROGRAMS += %D%/loadgen %D%/fcgi-ceiling %D%/talk %D%/talk-target

%C%_loadgen_SOURCES = \
	%D%/exchange.c %D%/exchange.h \
	%D%/histogram.c %D%/histogram.h \
	%D%/http.c %D%/http.h \
	%D%/link.c %D%/link.h \
	%D%/load.h \
	%D%/loadgen.c \
	%D%/mode-ceiling.c \
	%D%/mode-create.c \
	%D%/mode-hold.c \
	%D%/mode-relay.c \
	%D%/mode-sockjs.c \
	%D%/mode-ws.c \
	%D%/relay.c %D%/relay.h
%C%_loadgen_LDADD =

%C%_talk_SOURCES = \
	%D%/histogram.c %D%/histogram.h \
	%D%/http.c %D%/http.h \
	%D%/link.c %D%/link.h \
	%D%/load.h \
	%D%/relay.c %D%/relay.h \
	%D%/score.c %D%/score.h \
	%D%/talk-queue.c %D%/talk-queue.h \
	%D%/talk-relay.c \
	%D%/talk-socketio.c \
	%D%/talk-sockjs.c \
	%D%/talk.c %D%/talk.h \
	%D%/talker.c
%C%_talk_LDADD =

%C%_talk_target_SOURCES = \
	%D%/link.c %D%/link.h \
	%D%/score.c %D%/score.h \
	%D%/talk-target.c \
	tests/tools/ws-frame.c tests/tools/ws-frame.h
%C%_talk_target_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/tools
%C%_talk_target_LDADD = $(CRYPTO_LIBS)

%C%_fcgi_ceiling_SOURCES = %D%/fcgi-ceiling.c
%C%_fcgi_ceiling_LDADD = $(FCGI_LIBS) -lpthread

EXTRA_DIST += \
	%D%/README.md \
	%D%/RESULTS.md \
	%D%/beside.py \
	%D%/builds.py \
	%D%/changes.py \
	%D%/conversation.py \
	%D%/creates.py \
	%D%/delivery \
	%D%/faults.py \
	%D%/front.py \
	%D%/hostile \
	%D%/hostility.py \
	%D%/memory.py \
	%D%/relay \
	%D%/report.py \
	%D%/soak \
	%D%/sockjs-echo/package.json \
	%D%/sockjs-echo/server.js \
	%D%/talk-node/clients.js \
	%D%/talk-node/package.json \
	%D%/talk-node/socketio.js \
	%D%/talk-node/sockjs.js \
	%D%/trips.py

# A script; without this make would compile it from relay.c.
%D%/relay:
	@:
