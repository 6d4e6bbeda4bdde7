/*
 * A bridge for tests: with a clock of its own, small limits, and things that
 * stand in for what a session has on its two sides. They count what they are
 * told. One fixture at a time; setup and teardown are for cmocka.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include "unit.h"

#include "wsbridge/bridge.h"
#include "wsbridge/http/exchange.h"
#include "wsbridge/session/session.h"

extern struct bridge bridge;

/* The configuration's limits, as the tests name them. */
enum {
	QUEUE_MESSAGES = 4,
	QUEUE_BYTES = 40,
	MAX_MESSAGE = 20,
	CONNECT_TIMEOUT_MS = 5000,
	FIRST_GRACE_MS = 15000,
	GRACE_MS = 4000,
	LINGER_MS = 13000,
	STALL_MS = 60000,
	STREAM_BYTES = 4096,
	REPLY_BYTES = 1000,
};

/* Without a loop: what needs none of descriptors and handles. */
int fixture_setup(void **state);
/* With one; nothing runs but in fixture_turn(). */
int fixture_setup_loop(void **state);
int fixture_teardown(void **state);

/* Sets an option, such as "max_sessions=1". */
void fixture_set(const char *assignment);
/* Lets time pass, fires the timers, and ends the turn. */
void fixture_advance(uint64_t ms);
/* Ends the turn: frees what was to be freed, runs the loop if there is one. */
void fixture_turn(void);

struct fake_peer {
	size_t room_count, room_bytes; /* at first plenty */
	size_t queued_count, queued_bytes; /* for count_queued() */
	bool fail_send;
	struct ps_writer sent; /* "t:text;" or "b:bytes;" for each message */
	size_t n_sent;
	unsigned n_pause, n_resume;
	void (*on_resume)(void); /* if set: what comes at once */
	unsigned n_close, close_code;
	char close_reason[PS_CLOSE_REASON_MAX + 1];
	unsigned n_abandon, abandon_code;
};

struct fake_receiver {
	struct receiver receiver; /* first */
	unsigned n_deliver, n_expire, n_release;
	uint64_t hold_ms; /* expire() moves the deadline by it, if not 0 */
	bool greedy;	  /* deliver() takes and confirms all */
	/* If set: what happens in the very callback. */
	void (*on_deliver)(struct fake_receiver *r);
	void (*on_expire)(struct fake_receiver *r);
	void (*on_release)(struct fake_receiver *r);
	struct ps_writer got; /* as in struct fake_peer, and "close;" */
};

struct fake_opener {
	unsigned n_opened, n_failed;
	enum ps_code code;
	int http_status;
	char protocol[32];
};

/* All of these are zeroed by setup and released by teardown. */
extern struct fake_peer peer;
extern struct fake_receiver receiver, other_receiver;
extern struct fake_opener opener;

/* The time of day at the start of a test: 2020-06-01 12:00:00 UTC. */
#define FIXTURE_NOON_S 1591012800

/* The quota of token 1, which sessions here have. */
struct quota *fixture_quota(void);
/* A session of 192.0.2.1 with `peer` and `opener`: connecting, or open. */
struct session *fixture_connecting(void);
struct session *fixture_open(void);
/* A connecting one of another token. */
struct session *fixture_connecting_of(struct quota *quota);
/* A message from the target. */
void fixture_from_peer(struct session *session, const char *text);
/* One of so many bytes: more than a web server's connection takes at once. */
#define FIXTURE_LARGE 1000000
void fixture_large_from_peer(struct session *session);
/*
 * What a client sends in one request: "t:text;b:bytes;...". The result of
 * session_from_client(), and the limit that it named.
 */
int fixture_send(struct session *session, const char *events, bool more,
    const char **limit_r);
/* The same with the number of its first event. */
int fixture_send_from(struct session *session, uint64_t first,
    const char *events, bool more, const char **limit_r);
/* Attaches `r`, whose deadline is `hold_ms` from now; false: all is over. */
bool fixture_attach(struct session *session, struct fake_receiver *r,
    uint64_t hold_ms);
/*
 * Attaches `r` for a client that acknowledges, or that will, as an EventSource
 * does; it has no deadline. The result of session_acknowledge().
 */
int fixture_attach_ack(struct session *session, struct fake_receiver *r,
    uint64_t ack);
int fixture_attach_keeping(struct session *session, struct fake_receiver *r);
/* The same as one of SockJS, whose loss is the end. */
int fixture_attach_breaking(struct session *session, struct fake_receiver *r);
/* Takes all that is unsent, as a receiver does; notes it in `r->got`. */
void fixture_take(struct session *session, struct fake_receiver *r);

/* The other end of an exchange. */
struct web_server {
	int fd; /* -1: closed, or never opened */
	struct ps_writer raw; /* not yet a whole record */
	struct ps_writer out; /* content of the STDOUT records */
	unsigned n_records;   /* of STDOUT with content */
	size_t largest;	      /* content of one */
	bool out_ended, ended, eof;
};

extern struct web_server web, other_web;

#define REQUEST_ID 0x1234

/* Makes `w` new; returns the connection of its request, for the bridge. */
int web_server_open(struct web_server *w);
/* The exchange of a request that `w` has sent; the style may be NULL. */
struct exchange *fixture_exchange(struct web_server *w,
    const struct ps_style *style);
/* Reads what is there and checks that it is records of the request. */
void web_server_read(struct web_server *w);
/* Reads and lets the loop turn until the request has ended or nothing comes. */
void web_server_read_all(struct web_server *w);
/* The client or the server goes away. */
void web_server_close(struct web_server *w);

#endif
