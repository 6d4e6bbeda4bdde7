#include "config.h"

#include "figures.h"

#include "wsbridge/channels/channel.h"
#include "wsbridge/channels/member.h"
#include "wsbridge/http/exchange.h"

static void
add_session(struct figures *figures, const struct session *session)
{
	struct ps_traffic *traffic = &figures->traffic;
	size_t count = 0, bytes = 0;

	figures->sessions[session->kind][session->state]
			 [session->receiver != NULL]++;
	figures->queued_messages[DOWN] += session->queue.count;
	figures->queued_bytes[DOWN] += session->queue.bytes;
	if (session->peer_ops != NULL)
		session->peer_ops->count_queued(session->peer, &count, &bytes);
	figures->queued_messages[UP] += count;
	figures->queued_bytes[UP] += bytes;
	traffic->messages_up += session->traffic.messages_up;
	traffic->messages_down += session->traffic.messages_down;
	traffic->bytes_up += session->traffic.bytes_up;
	traffic->bytes_down += session->traffic.bytes_down;
}

static void
add_channel(struct figures *figures, const struct channel *channel)
{
	const struct member *member;

	figures->n_channels++;
	figures->n_members += channel->n_members;
	TAILQ_FOREACH(member, &channel->joining, by_age)
		figures->n_joining++;
	figures->n_log_entries += channel->log.end - channel->log.begin;
}

void
figures_count(struct figures *figures, const struct bridge *bridge)
{
	const struct exchange *exchange;
	const struct session *session;
	const struct channel *channel;

	*figures = (struct figures){ .bridge = bridge,
		.store = store_status(bridge->store),
		.traffic = bridge->totals.ended };
	outbox_status(bridge, &figures->outbox);
	TAILQ_FOREACH(session, &bridge->sessions, all)
		add_session(figures, session);
	TAILQ_FOREACH(channel, &bridge->channels, all)
		add_channel(figures, channel);
	LIST_FOREACH(exchange, &bridge->exchanges, all) {
		figures->n_exchanges++;
		figures->n_held +=
		    exchange->ops != NULL && exchange->ops->is_held;
		figures->unsent_bytes += exchange->pending_len;
	}
}
