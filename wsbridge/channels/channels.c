#include "config.h"

#include "channels.h"

#include <inttypes.h>
#include <stdlib.h>

#include "channel.h"
#include "member.h"
#include "member_frames.h"
#include "ps_clock.h"
#include "wsbridge/framing/channel.h"
#include "wsbridge/http/exchange.h"
#include "wsbridge/http/parked.h"

static struct ps_ipc_receive
receive_of(const struct ps_ipc_listen *m)
{
	return (struct ps_ipc_receive){ .dialect = PS_DIALECT_CHANNEL,
		.framing = m->framing,
		.hold_ms = m->hold_ms,
		/* Its client is told `seq`, and may say it next time. */
		.acknowledges = m->framing == PS_IPC_FRAMING_JSON ||
		    m->framing == PS_IPC_FRAMING_JSONP };
}

/* Whether it is a member of that channel, or has been one. */
static bool
is_of(const struct session *session, struct ps_slice channel)
{
	const struct member *member = member_of(session);

	return session->recipient != NULL &&
	    (member == NULL || ps_slice_is(channel, member->channel->name));
}

/* The session of a member that goes on; NULL: it has ended, or does so now
 * that its client has got all of it. */
static struct session *
find_before(struct bridge *bridge, const struct ps_ipc_listen *m)
{
	struct session *session =
	    m->key.len == 0 ? NULL : session_find(bridge, m->key);

	if (session == NULL || !is_of(session, m->channel) ||
	    session_acknowledge(session, &m->ack) != PS_OK)
		return NULL;
	return session;
}

/* A stream is not; a poll is with CONNECTED, unless that has to wait: then
 * its client would not know the key of the member that it has become. */
static bool
is_answered_at_once(struct bridge *bridge,
    const struct ps_ipc_listen *m)
{
	const struct channel *channel = channel_find(bridge, m->channel);

	return !framing_channel(m->framing)->is_stream &&
	    (channel == NULL || channel_may_join_now(channel));
}

static struct session *
create(struct bridge *bridge, const struct ps_ipc_listen *m,
    struct refusal *refusal_r)
{
	const struct member_terms terms = { .channel = m->channel,
		.rights = m->rights,
		.origin = m->origin,
		.agent = m->agent,
		.remote_addr = m->remote_addr,
		.presence = m->presence,
		.since = m->since,
		.tells_key = true };

	if (bridge->n_held >= bridge->config->max_held &&
	    !is_answered_at_once(bridge, m)) {
		*refusal_r = (struct refusal){ .code = PS_CODE_TOO_MANY_HELD,
			.limit = "max_held" };
		return NULL;
	}
	return member_create(bridge, &terms, refusal_r);
}

static void
listen_to(struct bridge *bridge, struct exchange *exchange,
    const struct ps_ipc_listen *m)
{
	struct ps_ipc_receive receive = receive_of(m);
	struct session *session = find_before(bridge, m);
	struct refusal refusal;

	if (session != NULL) {
		member_heard(session);
		receive.acknowledges = true;
		receive.ack = m->ack;
	} else if ((session = create(bridge, m, &refusal)) == NULL) {
		exchange_reply_refusal(exchange, &refusal);
		return;
	}
	parked_create(session, exchange, framing_channel(m->framing),
	    &receive);
}

int
channels_on_listen(struct bridge *bridge, struct ps_reader *r, int fd)
{
	struct ps_ipc_listen m;
	struct exchange *exchange;

	if (ps_ipc_decode_listen(r, &m) != PS_OK)
		return PS_ERR_MALFORMED;
	exchange = exchange_create(bridge, fd, &m.request);
	if (exchange != NULL)
		listen_to(bridge, exchange, &m);
	return PS_OK;
}

static void
put_member(struct ps_writer *json, const struct member *member)
{
	char since[PS_CLOCK_STAMP_BYTES];

	ps_clock_stamp_s(since, member->joined_at_s);
	member_frame_put(member, json);
	ps_writer_printf(json, ",\"since\":\"%s\"}", since);
}

static void
put_members(struct ps_writer *json, const struct channel *channel)
{
	const struct member *member;
	const char *separator = "";

	ps_writer_reset(json);
	ps_writer_str(json, "{\"members\":[");
	if (channel != NULL) {
		TAILQ_FOREACH(member, &channel->by_age, by_age) {
			ps_writer_str(json, separator);
			put_member(json, member);
			separator = ",";
		}
	}
	ps_writer_printf(json, "],\"count\":%" PRIu32 "}",
	    channel == NULL ? 0 : channel->n_members);
}

int
channels_on_members(struct bridge *bridge, struct ps_reader *r, int fd)
{
	struct ps_writer json = { 0 };
	struct ps_ipc_members m;
	struct exchange *exchange;

	if (ps_ipc_decode_members(r, &m) != PS_OK)
		return PS_ERR_MALFORMED;
	exchange = exchange_create(bridge, fd, &m.request);
	if (exchange == NULL)
		return PS_OK;
	put_members(&json, channel_find(bridge, m.channel));
	exchange_reply_built(exchange, &json);
	return PS_OK;
}
