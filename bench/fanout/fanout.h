/*
 * What the parts of the fan-out's load generator share: one publisher, many
 * members, and what they tell each other of events.
 *
 *   JOINING    members come, some at a time, until all are there and silent
 *   WARMING    events are published, nothing is counted
 *   MEASURING  deliveries and processor time are counted
 *   FINISHING  every member gets what was published
 */
#ifndef BENCH_FANOUT_H
#define BENCH_FANOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	MIN_TEXT = 32,
	MAX_TEXT = 4096,
	MAX_PATH = 256,
	MAX_ID = 64,
	MAX_WINDOW = 64
};

/* The first of what a kind of members has for each. */
struct member {
	unsigned index;
	uint64_t n_events; /* that it has got */
	bool has_joined;
	char client[MAX_ID]; /* what the server calls it, and its secret; */
	char key[MAX_ID];    /* both empty where it does not */
	/* Answers a PING; NULL: that is not expected. */
	void (*pong)(struct member *member);
};

/* A kind of members: a transport and the protocol of a server. */
struct kind {
	const char *name;
	size_t size;
	bool hears_joins; /* of those who come later */
	/* Opens a zeroed member, which calls member_joined() once. */
	void (*open)(struct member *member);
	/* Resets its connection, which web servers see sooner than its end. */
	void (*leave)(struct member *member);
};

struct fanout {
	const struct kind *kind;
	unsigned n_members;
	unsigned n_channels; /* over which they are spread */
	unsigned text_len;   /* of an event */
	unsigned window;     /* events that may be under way at once */
	unsigned rate;	     /* events per second; 0: all they can */
	uint16_t port;
	uint16_t ws_port;
	const char *path;	  /* of members, see member_path() */
	const char *publish_path; /* NULL: nobody publishes */
	enum phase { JOINING, WARMING, MEASURING, FINISHING } phase;
	uint64_t heard_ns; /* when a member got anything */
};

extern struct fanout fanout;

extern const struct kind ws_kind, raw_ws_kind, sockjs_ws_kind,
    sockjs_frames_kind, eventsource_kind, nchan_eventsource_kind, lines_kind,
    sockjs_lines_kind, poll_kind, nchan_poll_kind, sockjs_poll_kind;

/* The path with the member's channel in the place of `*`; until the next. */
const char *member_path(const struct member *member);
/* It is there, and knows of so many of its channel, with itself. */
void member_joined(struct member *member, unsigned n_known);
/* The member heard that another one has joined its channel. */
void member_heard(struct member *member);

/* The member got the text of an event. */
void member_event(struct member *member, const char *text, size_t len);

/* The member got a frame of polysocket's channels. */
void member_frame(struct member *member, const char *frame, size_t len);

/* And a frame of SockJS. */
void member_sockjs(struct member *member, const char *frame, size_t len);

/* How events are published. */
struct publisher {
	const char *name;
	void (*open)(void);
	/* False: not now, but after publisher_free() was called. */
	bool (*publish)(const char *text, size_t len);
};

extern const struct publisher json_publisher, message_publisher,
    post_publisher, ws_publisher;

void publisher_free(void);
/* A text was refused for now, and is published again. */
void publisher_refused(void);

#endif
