/*
 * A channel: its members, and the log of what is on its way to all of them.
 *
 * An event for everybody goes into the log once. Members stand in a line, the
 * one that has got least of the log first; the fan-out takes it from there,
 * queues all that it has not got at its session, delivers, and puts it at the
 * end. So an event costs nothing until the fan-out comes, several that wait go
 * out together, all members see one order, and a turn of the loop does a slice
 * of members: of channels with something to deliver one slice each in turn, so
 * that a large one does not keep a small one waiting.
 *
 * An event for one member passes the log: what that member has not got of the
 * log yet is queued for it first, so it sees events in the order in which they
 * were sent, too.
 *
 * A member that is still given what it has missed (replay.h), or has not taken
 * its CONNECTED yet, is behind: its part of the log is held for it, up to half
 * of what may wait, and then it has to read that again from the history.
 *
 * Ownership: the bridge owns channels; one is there while it has members or
 * emits that wait. A member is the peer of a session and ends with it.
 */
#ifndef CHANNEL_H
#define CHANNEL_H

#include "acks.h"
#include "channel_log.h"
#include "member.h"
#include "wsbridge/base/fanout.h"
#include "wsbridge/base/message.h"
#include "wsbridge/bridge.h"

TAILQ_HEAD(member_list, member);

struct channel {
	struct table_node node; /* first: by name */
	struct garbage garbage;
	struct bridge *bridge;
	TAILQ_ENTRY(channel) all;
	struct fanout_job job;
	/* A round gives all members what is in the log in front of round_end;
	 * between two that follow one another is a pause. */
	uint64_t round_end, round_began_ms;
	struct timer pause;

	struct member_list by_age; /* all members, oldest first */
	struct member_list by_log; /* those served, by `log_at` */
	struct member_list behind; /* the others, by `log_at` */
	struct member_list joining; /* wait for a place in the channel */
	struct member_list undelivered; /* with more in their session's queue */
	struct member **members; /* all, in any order; see member.index */
	uint32_t n_members, capacity;

	struct channel_log log;
	struct ack_wait_list waits; /* emits that wait; see acks.h */
	bool is_gone;		    /* freed after the turn */

	char name[PS_CHANNEL_MAX + 1];
};

/* NULL when there is none. */
struct channel *channel_find(struct bridge *bridge, struct ps_slice name);
/* The first one that has members, or will have. */
struct channel *channel_find_used(struct bridge *bridge);
/* Made where there is none; NULL when memory is out. */
struct channel *channel_get(struct bridge *bridge, struct ps_slice name);
/* Frees it when nobody is there and nothing waits. Whoever called
 * channel_get(), and has not made a member, calls it in the end. */
void channel_release(struct channel *channel);

/* The log holds as much as may wait: emits are refused. */
bool channel_is_busy(const struct channel *channel);
/* Room for so many entries more, so that as many channel_send() cannot fail.
 * False when memory is out. */
PS_MUST_CHECK bool channel_reserve(struct channel *channel, uint32_t count);
/* Whether nobody needs the entry of that number any more, of those who are not
 * behind. */
bool channel_all_have(const struct channel *channel, uint64_t number);
/*
 * To all members that are there now, but `except` (may be NULL), who must have
 * got all of the log. Takes over a reference. False when memory is out.
 */
PS_MUST_CHECK bool channel_send(struct channel *channel,
    struct message *message, struct member *except);
/*
 * To one, behind what it has not got of the log, at once unless many have been
 * given something in this turn. Takes over a reference. The member may have
 * left when it returns.
 */
void channel_send_to(struct member *member, struct message *message);

/* By its client id. NULL: it is not there. */
struct member *channel_find_member(const struct channel *channel,
    struct ps_slice client);

/* What follows is for members. Whether one that comes may join at once. */
bool channel_may_join_now(const struct channel *channel);
/* A place in the line of those who wait to join, and no place any more. */
void channel_enter_line(struct channel *channel, struct member *member);
void channel_leave_line(struct channel *channel, struct member *member);
/* A place in the channel, false when memory is out, and none any more. */
PS_MUST_CHECK bool channel_add(struct channel *channel,
    struct member *member);
void channel_remove(struct channel *channel, struct member *member);
/* What is in its session's queue is with its receiver. */
void channel_delivered(struct member *member);
/* From now on the member has to catch up; it has done so, and gets what was
 * held for it. */
void channel_fall_behind(struct member *member);
void channel_catch_up(struct member *member);
/* What is held for one that is behind; NULL beyond the end. */
const struct channel_entry *channel_held(const struct member *member,
    uint64_t number);
/* At the end of a member that is not replayed anything: all that was sent to
 * it by now is queued. False: it has left. */
bool channel_give_rest(struct member *member);
/* Events are not held any more, all else is queued. False: it has left. */
bool channel_let_go(struct member *member);

#endif
