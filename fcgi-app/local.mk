# polysocket.fcgi: reads FastCGI requests, checks them, hands them over. All
# but main.c is a library, for the unit tests.

noinst_LIBRARIES += %D%/libfcgiapp.a
pkglibexec_PROGRAMS += %D%/polysocket.fcgi

%C%_libfcgiapp_a_SOURCES = \
	%D%/acceptors.c %D%/acceptors.h \
	%D%/applications.c %D%/applications.h \
	%D%/authorise.c %D%/authorise.h \
	%D%/channels.c %D%/channels.h \
	%D%/emit.c \
	%D%/handoff.c %D%/handoff.h \
	%D%/limit.c %D%/limit.h \
	%D%/params.c %D%/params.h \
	%D%/relay.c %D%/relay.h \
	%D%/request.c %D%/request.h \
	%D%/rights.c %D%/rights.h \
	%D%/routes.c %D%/routes.h \
	%D%/service.c %D%/service.h \
	%D%/sockjs.c %D%/sockjs.h \
	%D%/supervisor.c %D%/supervisor.h

%C%_polysocket_fcgi_SOURCES = %D%/main.c
%C%_polysocket_fcgi_LDADD = $(libfcgiapp_LIBS)

libfcgiapp_LIBS = %D%/libfcgiapp.a $(libps_LIBS) $(FCGI_LIBS) -lpthread
