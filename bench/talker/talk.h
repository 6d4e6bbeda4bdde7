/*
 * What the parts of `talk` share. A talker is a client in a conversation with
 * `talk-target`: both number their messages and check those of the other, and
 * the talker goes on as a good client does when a request fails. What it says
 * and how it says it again is a struct tongue, one for each protocol.
 */
#ifndef BENCH_TALK_H
#define BENCH_TALK_H

#include "bench/lib/histogram.h"
#include "bench/lib/http.h"
#include "bench/load/load.h"
#include "score.h"
#include "talk-queue.h"

enum { TALK_MAX_CLIENTS = 4000 };

/* How long to wait before a request is made again. */
struct back_off {
	uint64_t until_ns;
	unsigned ms;
};

/* When the first message made after the last fault arrived, 0: not yet; and
 * the longest time that a message was under way since. */
struct recovery {
	uint64_t up_ns, down_ns, slowest_ns;
};

struct talker {
	const struct tongue *tongue;
	unsigned index;
	enum { OPENING, TALKING, ASKING, CLOSING, RESTING, ENDED } state;
	bool is_heard;   /* OPENING: receives already */
	bool is_over;    /* the session has ended; noticed at the next turn */
	bool is_asking;  /* says no more, wants the target's count */
	bool is_closed;  /* the target has ended the conversation */
	bool is_shut;    /* takes no sends any more; what comes says the rest */
	bool has_opened; /* some session, some time */
	bool has_lines;  /* the answer being received had something in it */
	unsigned n_sessions; /* so far */
	unsigned step;       /* OPENING: which request */
	unsigned transport;
	struct http in, out;
	struct back_off in_back_off, out_back_off;
	uint64_t in_seen_ns, out_began_ns, in_began_ns;
	struct text in_text, out_text;

	/* the session */
	char session[96];
	char pid[48], offset[48]; /* Socket.IO: to recover it */
	uint64_t n_taken;         /* events that the server has answered for */
	uint64_t ack;             /* number of the last event received */

	/* the conversation, which may outlive sessions */
	unsigned conversation;         /* its number, unique for this client */
	struct item queue[TALK_QUEUE]; /* a ring */
	unsigned first, n_queued, n_in_flight;
	uint64_t n_created, due_ns, interval_ns, asked_ns;
	unsigned bytes, target_life;
	/* --churn: how it ends, unless the target does it, and how slowly it
	 * polls */
	uint64_t end_ns;
	bool vanishes;
	unsigned pause_ms;
	struct score down;
	struct recovery recovery;
};

struct tongue {
	const char *name;
	unsigned n_transports;
	/* Whether a session outlives a request that failed, and knows what of
	 * it was taken before. */
	bool is_resumed;
	int sent_status;
	/* Before a request or session is tried again; doubled each time, and
	 * half more or less at random. */
	unsigned back_off_ms, max_back_off_ms;
	/* Makes request `step` on `out`; NULL: receiving opens the session. */
	void (*open)(struct talker *talker);
	/* Reads its answer from out_text; sets is_heard or calls
	 * talker_opened() when it was the last. Returns false: not opened. */
	bool (*opened)(struct talker *talker);
	void (*receive)(struct talker *talker);
	/* Sends the n first items of the queue, as texts. */
	void (*send)(struct talker *talker, unsigned n);
	/* On `out`; NULL: there is nothing to say. */
	void (*close)(struct talker *talker);
	/* Understands a line received, and may change it. Calls
	 * talker_message(), sets is_over. */
	void (*line)(struct talker *talker, char *line);
	char line_end;
};

struct direction {
	uint64_t created, received, doubled, disordered;
};

/* What all talkers have in common, and what is found out. */
struct talk {
	const struct tongue *tongue;
	double rate;    /* messages a second of each talker and of its target */
	bool is_mixed;  /* change transport now and then */
	bool is_ending; /* a session that ends is not opened anew */
	bool is_finishing;
	bool is_churning;  /* conversations end, and others begin */
	unsigned epoch;    /* faults so far */
	uint64_t fault_ns; /* when the last one was made */
	uint64_t told_ns;  /* and when we knew that it was done */
	uint64_t n_opened, n_refused, n_retries, n_timeouts, n_switches;
	uint64_t n_open; /* talkers whose first session is open */
	/* conversations whose numbers both sides have compared, that the
	 * target ended, and of clients that went without a word */
	uint64_t n_settled, n_closed, n_vanished;
	struct direction up, down;
	struct histogram latency; /* of messages to the talkers, us */
};

extern struct talk talk;
extern const struct tongue relay_tongue, sockjs_tongue, socketio_tongue;

/* talker.c, for the main program */
void talker_start(struct talker *talker, unsigned index);
void talker_turn(struct talker *talker, uint64_t now);
void talker_cut(struct talker *talker, void (*cut)(struct http *http));
void talker_count(const struct talker *talker);
void talker_free(struct talker *talker);

/* and for tongues */
/* A new one, or the one before, which the server has found again. */
void talker_opened(struct talker *talker, bool is_new);
/* Understands a message of the target; it ends at the first `"` or 0. */
void talker_message(struct talker *talker, const char *text);

/* talk.c: how the next conversation is to be: interval, bytes, and so on. */
void talk_manner(struct talker *talker);
/* One is over. Returns whether there is another, from due_ns on. */
bool talk_ended(struct talker *talker);
uint32_t talk_random(uint32_t below);

#endif
