/*
 * What a session promises, as a model of one: for test_session_model.c, which
 * lets anything happen to it and to a session, and compares.
 *
 * The functions below are the rules. Each changes the model alone, before its
 * like is done to the session, so that callbacks find the model as it has to
 * be.
 */
#ifndef SESSION_MODEL_H
#define SESSION_MODEL_H

#include "fixture.h"

/* Steps that are printed when one fails. */
#define N_TRAIL 30
/* Messages that the model knows; far more than any queue here has. */
#define N_KNOWN 256

/* What can happen: counted, and told when a step fails. */
// clang-format off
#define EVENTS(X) \
	X(CREATED, "created") \
	X(OPENED, "opened") \
	X(SAID, "said") \
	X(SAID_WHILE_PAUSED, "said while paused") \
	X(SAID_FROM_RESUME, "said from resume") \
	X(CLOSED_FROM_RESUME, "closed from resume") \
	X(SAID_IN_RELEASE, "said in release") \
	X(FELL_ON_DEAF_EARS, "fell on deaf ears") \
	X(PAUSED, "paused") \
	X(RESUMED, "resumed") \
	X(DELIVERED, "delivered") \
	X(TOOK, "took") \
	X(TOOK_CLOSE, "took close") \
	X(CONFIRMED_AND_KEPT, "confirmed and kept") \
	X(CONFIRMED_AND_DROPPED, "confirmed and dropped") \
	X(LOST, "lost") \
	X(LOST_WITH_TAKEN, "lost with taken") \
	X(DONE, "done") \
	X(BROKEN, "broken") \
	X(BROKEN_WITH_TAKEN, "broken with taken") \
	X(ARRIVED, "arrived") \
	X(CLOSE_ARRIVED, "close arrived") \
	X(CLOSE_ARRIVED_AGAIN, "close arrived again") \
	X(NEVER_ARRIVED, "never arrived") \
	X(ATTACHED_WITH_ACK, "attached with ack") \
	X(ATTACHED_KEEPING, "attached keeping") \
	X(ATTACHED_WITHOUT_ACK, "attached without ack") \
	X(ATTACHED_BREAKING, "attached breaking") \
	X(ATTACHED_LATE, "attached late") \
	X(REPLAYED, "replayed") \
	X(REPLACED, "replaced") \
	X(ACK_ABOVE_CEILING, "ack above ceiling") \
	X(ACK_TOO_OLD, "ack too old") \
	X(ACK_OF_THE_FUTURE, "ack of the future") \
	X(EXPIRED, "expired") \
	X(WAITED, "waited") \
	X(WAITED_JUST_NOT, "waited just not") \
	X(WAITED_TO_THE_MS, "waited to the ms") \
	X(WAITED_TOO_LONG, "waited too long") \
	X(SLOW_CLIENT, "slow client") \
	X(SENT, "sent") \
	X(SENT_NOTHING, "sent nothing") \
	X(SENT_AGAIN, "sent again") \
	X(SENT_OVERLAPPING, "sent overlapping") \
	X(SENT_MORE, "sent more") \
	X(SEND_LEFT_A_GAP, "send left a gap") \
	X(SEND_OF_BAD_TYPE, "send of bad type") \
	X(SEND_TOO_LARGE, "send too large") \
	X(SEND_TO_FULL_PEER, "send to full peer") \
	X(SEND_OVER_QUOTA, "send over quota") \
	X(SEND_OUT_OF_MEMORY, "send out of memory") \
	X(SEND_FAILED_BY_PEER, "send failed by peer") \
	X(SEND_REFUSED_AS_CLOSED, "send refused as closed") \
	X(SAID_OVER_QUOTA, "said over quota") \
	X(SAID_OUT_OF_MEMORY, "said out of memory") \
	X(CLIENT_CLOSED, "client closed") \
	X(CLIENT_CLOSED_AGAIN, "client closed again") \
	X(PEER_CLOSED, "peer closed") \
	X(PEER_CLOSED_WITH_KEPT, "peer closed with kept") \
	X(EXPELLED, "expelled") \
	X(EXPELLED_IN_VAIN, "expelled in vain") \
	X(DRAINED, "drained") \
	X(ENDED_FETCHED, "ended: fetched") \
	X(ENDED_WITHOUT_RECEIVER, "ended: without receiver") \
	X(ENDED_LINGERED, "ended: lingered") \
	X(ENDED_OUT_OF_MEMORY, "ended: out of memory") \
	X(ENDED_BY_FORCE, "ended: by force") \
	X(ENDED_NOT_OPENED, "ended: not opened")
// clang-format on

#define AS_NUMBER(number, name) number,

enum event { EVENTS(AS_NUMBER) EVENT__COUNT };

/* Who the client is. */
enum client {
	FAITHFUL, /* acknowledges what it has seen, and hears its receivers */
	PLAIN,	  /* never acknowledges */
	FRAGILE,  /* nor does this, and a receiver that is lost is its end */
	WILD,	  /* says anything; only the session's side is checked */
	CLIENT__COUNT,
};

/* Of a message that goes on; `type` 0: there is none. */
struct part {
	char type;
	char text[64];
};

/* The whole run. */
struct run {
	uint64_t seed, random, step;
	unsigned depth;
	bool has_passed;
	uint64_t counts[EVENT__COUNT];
	struct {
		uint64_t step;
		unsigned depth;
		enum event event;
		uint64_t value;
	} trail[N_TRAIL];
	size_t n_trail;
	struct fake_receiver receivers[2];
};

/*
 * What must be true of one session. Messages to the client have numbers from 1,
 * and the close event has the one behind the last, `close`. Those up to `gone`
 * are no longer kept, those up to `written` are with the web server, and those
 * up to `taken` with a receiver.
 */
struct model {
	struct session *session;
	enum session_state state;
	bool over;
	uint64_t said, close, gone, written, taken;
	struct message *known[N_KNOWN]; /* by number; with a reference */
	uint64_t n_down; /* of those said, what was counted */
	bool has_peer, paused, deaf;
	bool no_messages, no_bytes; /* are left of the day */
	uint16_t expel_code, close_code;
	struct fake_receiver *receiver; /* NULL: none is attached */
	bool keeps;
	bool breaks; /* its loss is the end, as is that of one before */
	bool delivers; /* the receiver is about to hear of something */
	uint64_t idle_at_ms, stall_at_ms, end_at_ms;

	/* A release that is expected, and then what is gone. */
	struct fake_receiver *leaving;
	uint64_t gone_next;

	/* The client: the last number it has seen; those on their way to it,
	 * of which `n_sure` were confirmed; and of those said, which it may
	 * miss. */
	enum client client;
	bool hears, has_polled;
	uint64_t seen;
	uint64_t wire[2 * N_KNOWN];
	size_t n_wire, n_sure;
	bool missable[N_KNOWN];

	/* From the client: the number of its next event, and messages of it
	 * that the peer has got. */
	uint64_t next, n_sent;
	struct part part;

	unsigned n_pauses, n_resumes, n_closes, n_abandons, n_failures;
};

extern struct run run;
extern struct model model;

/* In the trail and the counts. */
void note(enum event event, uint64_t value);
const char *event_name(enum event event);
/* For stdout, where it begins with # for TAP. */
void print_trail(void);
void set_callbacks(void (*deliver)(struct fake_receiver *r),
    void (*expire)(struct fake_receiver *r),
    void (*release)(struct fake_receiver *r), void (*resume)(void));

/* An assertion that says how to come here again. */
void fail_at(const char *condition, const char *file, int line);
#define check(condition) \
	do { \
		if (!(condition)) \
			fail_at(#condition, __FILE__, __LINE__); \
	} while (0)


static inline uint64_t
below(uint64_t bound)
{
	return (next_random(&run.random) >> 32) % bound;
}

static inline bool
once_in(uint64_t n)
{
	return below(n) == 0;
}

static inline uint64_t
smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The last number there is. */
uint64_t model_last(void);
/* What waits or is kept. */
uint64_t model_queued(void);
uint64_t model_queued_bytes(void);
bool model_is_full(void);
bool model_is_roomy(void);

/* The peer has said something that counts; it is referred to. */
void model_remember(struct message *message);
/* Holds the peer back, or lets it go on. */
void model_weigh(void);
/* The next `count` that are on their way arrive at the client. */
void model_arrive(size_t count);
/*
 * What can be of use to the client so far: who does not acknowledge waits for
 * the whole of an answer, and throws away one that broke off.
 */
size_t model_readable(void);
/* There is no receiver any more; at most `count` on their way arrive. */
void model_detach(size_t count);
/* The receiver has done its part, or is lost; so much may arrive still. */
void model_release(size_t count);
/* All up to `number` has been got, or counts as got. */
void model_drop_to(uint64_t number);
void model_begin_closing(void);
void model_expel(uint16_t code);
/* What a fragile client has not got, it never will. */
void model_break(void);
/* How long a close event is kept. */
uint64_t model_linger_ms(void);
void model_lose_peer(void);
void model_end(enum event how);

#endif
