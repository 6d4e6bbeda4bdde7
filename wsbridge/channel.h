/*
 * A channel: its members, and the log of what is on its way to all of them.
 *
 * An event for everybody goes into the log once. Members stand in a line, the
 * one that has got least of the log first; the fan-out takes it from there,
 * queues all that it has not got at its session, delivers, and puts it at the
 * end. So an event costs nothing until the fan-out comes, several that wait go
 * out together, all members see one order, and a turn of the loop does a slice
 * of FANOUT_SLICE members: of channels with something to deliver one slice
 * each in turn, so that a large one does not keep a small one waiting.
 *
 * An event for one member passes the log: what that member has not got of the
 * log yet is delivered to it first, so it sees events in the order in which
 * they were sent, too.
 *
 * Ownership: the bridge owns channels; one is there while it has members or
 * something refers to it. A member is the peer of a session and ends with it.
 */
#ifndef CHANNEL_H
#define CHANNEL_H

#include "bridge.h"
#include "member.h"
#include "message.h"

/* One event in the log. */
struct channel_entry {
	STAILQ_ENTRY(channel_entry) next;
	uint64_t number;
	struct message *message;
};

TAILQ_HEAD(member_list, member);

struct channel {
	struct table_node node; /* first: by name */
	struct garbage garbage;
	struct bridge *bridge;
	TAILQ_ENTRY(channel) due; /* while `is_due` */
	bool is_due;		  /* the fan-out has something to do here */

	struct member_list by_age;  /* all members, oldest first */
	struct member_list by_log;  /* the same, by `log_at` */
	struct member_list joining; /* wait for a place in the channel */
	struct member **members;    /* all, in any order; see member.index */
	uint32_t n_members, capacity;

	STAILQ_HEAD(, channel_entry) log; /* numbers without gaps */
	uint64_t log_end;		  /* number of the next entry */
	uint64_t n_log, log_bytes;

	struct ack_wait_list waits; /* emits that wait; see acks.h */

	char name[PS_CHANNEL_MAX + 1];
};

/* NULL when there is none. */
struct channel *channel_find(struct bridge *bridge, struct ps_slice name);
/* Made where there is none; NULL when memory is out. */
struct channel *channel_get(struct bridge *bridge, struct ps_slice name);
/* Frees it when nobody is there: after channel_get() for whatever failed. */
void channel_release(struct channel *channel);

/* The log holds as much as may wait: emits are refused. */
bool channel_is_busy(const struct channel *channel);
/*
 * To all members that are there now, but `except` (may be NULL), who must have
 * got all of the log. Takes over a reference. False when memory is out.
 */
PS_MUST_CHECK bool channel_send(struct channel *channel,
    struct message *message, struct member *except);
/* To one, behind what it has not got of the log. Takes over a reference. */
void channel_send_to(struct member *member, struct message *message);

/* By its client id. NULL: it is not there. */
struct member *channel_find_member(const struct channel *channel,
    struct ps_slice client);

#endif
