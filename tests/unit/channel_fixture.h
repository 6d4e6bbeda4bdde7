/*
 * Members of channels for tests, beside fixture.h: each with a receiver that
 * takes what it is given, unless a test says otherwise; and a history that
 * answers when it is told to.
 */
#ifndef CHANNEL_FIXTURE_H
#define CHANNEL_FIXTURE_H

#include "fixture.h"

#include "wsbridge/channels/channel.h"
#include "wsbridge/channels/history.h"
#include "wsbridge/channels/member.h"

#define LISTENERS_MAX 64

struct listener {
	struct fake_receiver receiver; /* first */
	struct session *session;       /* NULL: none */
	char id[PS_SESSION_ID_MAX + 1]; /* of the session */
	char client[PS_CLIENT_ID_LEN + 1];
	struct ps_writer got;
};

/* Zeroed by setup, released by teardown. */
extern struct listener listeners[LISTENERS_MAX];
/* The first of them. */
extern struct listener *const a, *const b, *const c;

int channel_setup(void **state);
int channel_setup_loop(void **state);
int channel_teardown(void **state);

/* Makes a member of `channel`; `since` may be NULL. Nobody reads. */
void listener_create(struct listener *l, const char *channel,
    const char *since);
/* Attaches its receiver, which takes what is there and what comes. */
void listener_attach(struct listener *l);
/* Both, and drops what it has got until the channel is quiet. */
void listener_join(struct listener *l, const char *channel);
/* `a` and `b` of "room", which have heard of each other. */
void listeners_open_two(void);
/*
 * What it has got since the last call, borrowed: "TYPE PAYLOAD;" for each
 * frame, "DATA 7;" for an event of channel_emit(), "*7" where it is replayed,
 * "#3" in place of the id of listeners[3], and "close;".
 */
const char *listener_got(struct listener *l);
struct member *listener_member(const struct listener *l);
/* A frame of the client; the result of session_from_client(). */
int listener_say(struct listener *l, const char *text);

/* A broadcast of the payload {"n":number}, which goes to the history, too. */
void channel_emit(const char *channel, unsigned number);
/* Lets the fan-out go on until nothing is due. */
void channel_settle(void);

/* The events that are kept: their numbers are oldest to newest. */
extern struct fake_history {
	unsigned oldest, newest;
	unsigned page; /* as many are in one result */
	bool is_full;  /* out of memory */
	unsigned n_reads, n_waiting;
} history;

/* Answers the first request that waits; or says that it cannot. */
void history_answer(void);
void history_fail(void);

#endif
