/* The table of figures, and where each is from. */
#include "config.h"

#include "metrics_format.h"

#include <inttypes.h>
#include <stdio.h>

#include "intake.h"
#include "wsbridge/base/resolver.h"
#include "wsbridge/channels/emit.h"

#define DAY_S 86400
/* So that a scrape takes no longer than the loop can wait. */
#define TOKENS_MAX 500

static const char *const directions[] = { [UP] = "up", [DOWN] = "down" };

/* `labels` has a value for each of the metric's labels. */
static void
put_value(struct output *out, const char *const *labels, uint64_t value)
{
	out->format->value(out, labels, value);
	out->is_first = false;
}

#define LABELS(...) ((const char *const[]){ __VA_ARGS__ })

static void
put_info(struct output *out)
{
	const struct bridge *bridge = out->figures->bridge;

	put_value(out,
	    LABELS(PACKAGE_VERSION, bridge->config->node, bridge->tag), 1);
}

static void
put_start_time(struct output *out)
{
	put_value(out, NULL, (uint64_t)out->figures->bridge->started_unix_s);
}

static void
put_draining(struct output *out)
{
	put_value(out, NULL, out->figures->bridge->draining);
}

static void
put_sessions_of(struct output *out, enum ps_session_kind kind)
{
	const char *name = ps_session_kind_name(kind);
	enum session_state state;

	for (state = 0; state < SESSION_CLOSED; state++) {
		const uint64_t *n = out->figures->sessions[kind][state];

		put_value(out, LABELS(name, session_state_name(state), "no"),
		    n[0]);
		put_value(out, LABELS(name, session_state_name(state), "yes"),
		    n[1]);
	}
}

static void
put_sessions(struct output *out)
{
	enum ps_session_kind kind;

	for (kind = 0; kind < PS_SESSION_KIND__COUNT; kind++)
		put_sessions_of(out, kind);
}

static void
put_directions(struct output *out, uint64_t up, uint64_t down)
{
	put_value(out, LABELS(directions[UP]), up);
	put_value(out, LABELS(directions[DOWN]), down);
}

static void
put_queued_messages(struct output *out)
{
	const uint64_t *queued = out->figures->queued_messages;

	put_directions(out, queued[UP], queued[DOWN]);
}

static void
put_queued_bytes(struct output *out)
{
	const uint64_t *queued = out->figures->queued_bytes;

	put_directions(out, queued[UP], queued[DOWN]);
}

static void
put_addresses(struct output *out)
{
	put_value(out, NULL,
	    addresses_count_busy(&out->figures->bridge->addresses));
}

static void
put_exchanges(struct output *out)
{
	put_value(out, NULL, out->figures->n_exchanges);
}

static void
put_held(struct output *out)
{
	put_value(out, NULL, out->figures->n_held);
}

static void
put_unsent(struct output *out)
{
	put_value(out, NULL, out->figures->unsent_bytes);
}

static void
put_timers(struct output *out)
{
	put_value(out, NULL, out->figures->bridge->timers.count);
}

static void
put_workers(struct output *out)
{
	put_value(out, NULL, intake_count_workers(out->figures->bridge));
}

static void
put_resolving(struct output *out)
{
	put_value(out, NULL, resolver_count());
}

/* A token is in use since it was first used, until it is deleted. */
static void
put_tokens(struct output *out,
    uint64_t (*count)(const struct quota *quota, int64_t today))
{
	const struct bridge *bridge = out->figures->bridge;
	const struct ps_token *token;
	const struct quota *quota;
	int64_t today = bridge->unix_s() / DAY_S;
	uint64_t value, n = 0, rest = 0;
	char id[24];

	TAILQ_FOREACH(quota, &bridge->quotas.all, all) {
		if (quota->day != today && TAILQ_EMPTY(&quota->sessions))
			continue;
		value = count(quota, today);
		if (n++ >= TOKENS_MAX) {
			rest += value;
			continue;
		}
		token = bridge->policy == NULL ?
		    NULL :
		    ps_policy_find_id(bridge->policy, quota->token_id);
		snprintf(id, sizeof(id), "%" PRId64, quota->token_id);
		put_value(out, LABELS(id, token == NULL ? "" : token->name),
		    value);
	}
	if (rest > 0)
		put_value(out, LABELS("", "others"), rest);
}

static uint64_t
count_sockets(const struct quota *quota, int64_t today)
{
	const struct session *session;
	uint64_t count = 0;

	(void)today;
	TAILQ_FOREACH(session, &quota->sessions, of_token)
		count++;
	return count;
}

static void
put_token_sockets(struct output *out)
{
	put_tokens(out, count_sockets);
}

/* A token that is not used today still has what was used of its last day. */
static uint64_t
count_messages(const struct quota *quota, int64_t today)
{
	return quota->day == today ? quota->messages : 0;
}

static uint64_t
count_bytes(const struct quota *quota, int64_t today)
{
	return quota->day == today ? quota->bytes : 0;
}

static void
put_token_messages(struct output *out)
{
	put_tokens(out, count_messages);
}

static void
put_token_bytes(struct output *out)
{
	put_tokens(out, count_bytes);
}

static void
put_database_up(struct output *out)
{
	put_value(out, NULL, !out->figures->store.failing);
}

static void
put_records_waiting(struct output *out)
{
	put_value(out, NULL, out->figures->store.waiting);
}

static void
put_channels(struct output *out)
{
	put_value(out, NULL, out->figures->n_channels);
}

static void
put_members(struct output *out)
{
	put_value(out, LABELS("no"), out->figures->n_joining);
	put_value(out, LABELS("yes"), out->figures->n_members);
}

static void
put_log_entries(struct output *out)
{
	put_value(out, NULL, out->figures->n_log_entries);
}

static void
put_emits_waiting(struct output *out)
{
	put_value(out, NULL, out->figures->bridge->ack_waits.count);
}

static void
put_emit_ids(struct output *out)
{
	put_value(out, NULL, emit_count_ids(out->figures->bridge));
}

static void
put_authorizations(struct output *out)
{
	put_value(out, NULL, out->figures->bridge->authorizations.by_id.count);
}

static void
put_kept_bytes(struct output *out)
{
	put_value(out, NULL, out->figures->bridge->authorizations.kept_bytes);
}

static void
put_callbacks(struct output *out)
{
	const struct outbox_status *outbox = &out->figures->outbox;

	put_value(out, LABELS("waiting"),
	    outbox->waiting > outbox->in_flight ?
		outbox->waiting - outbox->in_flight :
		0);
	put_value(out, LABELS("called"), outbox->in_flight);
}

static void
put_callback_bytes(struct output *out)
{
	put_value(out, NULL, out->figures->outbox.bytes);
}

static void
put_callback_hosts(struct output *out)
{
	const struct outbox_status *outbox = &out->figures->outbox;

	put_value(out, LABELS("yes"), outbox->hosts - outbox->hosts_down);
	put_value(out, LABELS("no"), outbox->hosts_down);
}

static void
put_callbacks_accepted_total(struct output *out)
{
	put_value(out, NULL, out->figures->outbox.accepted);
}

static void
put_callbacks_total(struct output *out)
{
	const struct outbox_status *outbox = &out->figures->outbox;

	put_value(out, LABELS("delivered"), outbox->delivered);
	put_value(out, LABELS("failed"), outbox->failed);
	put_value(out, LABELS("dead"), outbox->dead);
}

static void
put_events_total(struct output *out)
{
	put_value(out, NULL, out->figures->bridge->totals.events);
}

static void
put_deliveries_total(struct output *out)
{
	put_value(out, NULL, out->figures->bridge->totals.deliveries);
}

static void
put_sessions_total(struct output *out)
{
	put_value(out, NULL, out->figures->bridge->n_sessions_ever);
}

static void
put_requests_total(struct output *out)
{
	static const char *const types[] = {
		[PS_IPC_HELLO] = NULL, /* none that a client makes */
		[PS_IPC_CREATE] = "create",
		[PS_IPC_SEND] = "send",
		[PS_IPC_RECEIVE] = "receive",
		[PS_IPC_CLOSE] = "close",
		[PS_IPC_CHECK] = "check",
		[PS_IPC_REFUSE] = "refuse",
		[PS_IPC_READY] = "ready",
		[PS_IPC_PROBE] = "probe",
		[PS_IPC_STATS] = "stats",
		[PS_IPC_EMIT] = "emit",
		[PS_IPC_LISTEN] = "listen",
		[PS_IPC_MEMBERS] = "members",
		[PS_IPC_HISTORY] = "history",
		[PS_IPC_AUTHORIZE] = "authorize",
		[PS_IPC_WITHDRAW] = "withdraw",
		[PS_IPC_PUBLISH] = "publish",
		[PS_IPC_CONNECTIONS] = "connections",
		[PS_IPC_SOCKJS_PAGE] = "sockjs_page",
		[PS_IPC_SOCKJS_RECEIVE] = "sockjs_receive",
		[PS_IPC_SOCKJS_SEND] = "sockjs_send",
	};
	const uint64_t *requests = out->figures->bridge->totals.requests;
	size_t i;

	_Static_assert(sizeof(types) / sizeof(types[0]) == PS_IPC__COUNT,
	    "every type of message needs a name");
	for (i = 0; i < PS_IPC__COUNT; i++) {
		if (types[i] != NULL)
			put_value(out, LABELS(types[i]), requests[i]);
	}
}

static void
put_refusals_total(struct output *out)
{
	const uint64_t *refusals = out->figures->bridge->totals.refusals;
	enum ps_code code;

	for (code = 0; code < PS_CODE__COUNT; code++)
		put_value(out, LABELS(ps_code_info(code)->word),
		    refusals[code]);
}

static void
put_messages_total(struct output *out)
{
	const struct ps_traffic *traffic = &out->figures->traffic;

	put_directions(out, traffic->messages_up, traffic->messages_down);
}

static void
put_bytes_total(struct output *out)
{
	const struct ps_traffic *traffic = &out->figures->traffic;

	put_directions(out, traffic->bytes_up, traffic->bytes_down);
}

static void
put_written_total(struct output *out)
{
	put_value(out, NULL, out->figures->store.written);
}

static void
put_lost_total(struct output *out)
{
	put_value(out, NULL, out->figures->store.lost);
}

static void
put_failures_total(struct output *out)
{
	put_value(out, NULL, out->figures->store.failures);
}

// clang-format off
static const struct metric metrics[] = {
	{ "info", GAUGE, { "version", "node", "tag" }, put_info,
	  "Always 1; tells the version, the option node, and the tag that names of sessions start with." },
	{ "start_time_seconds", GAUGE, { NULL }, put_start_time,
	  "Unix time at which wsbridge started." },
	{ "draining", GAUGE, { NULL }, put_draining,
	  "1 while wsbridge shuts down." },
	{ "sessions", GAUGE, { "kind", "state", "receiver" }, put_sessions,
	  "Sessions, by kind, by state, and by whether their client receives at the moment." },
	{ "queued_messages", GAUGE, { "direction" }, put_queued_messages,
	  "Messages that wait in sessions, up to the target or down to the client." },
	{ "queued_bytes", GAUGE, { "direction" }, put_queued_bytes,
	  "Bytes of the messages that wait in sessions." },
	{ "remote_addresses", GAUGE, { NULL }, put_addresses,
	  "Addresses of clients that have sessions." },
	{ "open_requests", GAUGE, { NULL }, put_exchanges,
	  "Requests that are not answered to their end, this one included." },
	{ "held_requests", GAUGE, { NULL }, put_held,
	  "Polls, streams, probes and emits that wait among them, which max_held bounds." },
	{ "unsent_bytes", GAUGE, { NULL }, put_unsent,
	  "Bytes of answers that the web server has not taken yet." },
	{ "timers", GAUGE, { NULL }, put_timers,
	  "Timers that are set, of sessions and requests." },
	{ "worker_connections", GAUGE, { NULL }, put_workers,
	  "Threads of polysocket.fcgi that are connected." },
	{ "names_resolving", GAUGE, { NULL }, put_resolving,
	  "Names of targets that are being resolved." },
	{ "token_sockets", GAUGE, { "id", "token" }, put_token_sockets,
	  "Sessions of a token that are connecting or open; max_sockets bounds them." },
	{ "token_messages_today", GAUGE, { "id", "token" }, put_token_messages,
	  "Messages of a token since midnight (UTC), in both directions." },
	{ "token_bytes_today", GAUGE, { "id", "token" }, put_token_bytes,
	  "Bytes of these messages." },
	{ "channels", GAUGE, { NULL }, put_channels,
	  "Channels that have members, or emits that wait." },
	{ "channel_members", GAUGE, { "joined" }, put_members,
	  "Members of channels, and those who wait for room to join." },
	{ "channel_log_entries", GAUGE, { NULL }, put_log_entries,
	  "Events and notices that not all members of their channel have been given yet." },
	{ "emits_waiting", GAUGE, { NULL }, put_emits_waiting,
	  "Emits that wait for acknowledgements; max_held bounds them." },
	{ "emit_ids", GAUGE, { NULL }, put_emit_ids,
	  "Ids of emits that are remembered, at most max_emit_ids." },
	{ "authorizations", GAUGE, { NULL }, put_authorizations,
	  "Clients of applications that may connect, at most max_authorizations." },
	{ "kept_bytes", GAUGE, { NULL }, put_kept_bytes,
	  "Bytes of messages that were published to nobody and are kept for the next session." },
	{ "callbacks", GAUGE, { "state" }, put_callbacks,
	  "Callbacks that are accepted and not delivered: called just now, or waiting for their turn or another attempt." },
	{ "callback_bytes", GAUGE, { NULL }, put_callback_bytes,
	  "Bytes of bodies of callbacks in memory." },
	{ "callback_hosts", GAUGE, { "up" }, put_callback_hosts,
	  "Hosts of applications that are called, by whether they have answered lately." },
	{ "database_up", GAUGE, { NULL }, put_database_up,
	  "0 while the database cannot be written or what waits for it is not written yet." },
	{ "records_waiting", GAUGE, { NULL }, put_records_waiting,
	  "Records that are not written yet, at most max_unwritten." },
	{ "sessions_total", COUNTER, { NULL }, put_sessions_total,
	  "Sessions that were begun." },
	{ "requests_total", COUNTER, { "type" }, put_requests_total,
	  "Requests that polysocket.fcgi handed over." },
	{ "refusals_total", COUNTER, { "code" }, put_refusals_total,
	  "Refusals, by their code; without what polysocket.fcgi refuses alone." },
	{ "messages_total", COUNTER, { "direction" }, put_messages_total,
	  "Messages, up from clients and down from targets." },
	{ "message_bytes_total", COUNTER, { "direction" }, put_bytes_total,
	  "Bytes of these messages." },
	{ "events_total", COUNTER, { NULL }, put_events_total,
	  "Events that were emitted to channels." },
	{ "event_deliveries_total", COUNTER, { NULL }, put_deliveries_total,
	  "Members that these were for, when they were emitted." },
	{ "callbacks_accepted_total", COUNTER, { NULL }, put_callbacks_accepted_total,
	  "Callbacks that were accepted." },
	{ "callbacks_total", COUNTER, { "outcome" }, put_callbacks_total,
	  "Callbacks that were delivered; attempts that failed; callbacks that were given up." },
	{ "records_written_total", COUNTER, { NULL }, put_written_total,
	  "Records of sessions and of use that were written." },
	{ "records_lost_total", COUNTER, { NULL }, put_lost_total,
	  "Records that were lost since too many waited." },
	{ "database_failures_total", COUNTER, { NULL }, put_failures_total,
	  "Attempts to write that failed; an administrator's lock of some seconds is none." },
};
// clang-format on

void
metrics_put(const struct metric_format *format, struct ps_writer *w,
    const struct bridge *bridge)
{
	struct figures figures;
	struct output out = { .w = w, .format = format, .figures = &figures };

	figures_count(&figures, bridge);
	for (; out.n < sizeof(metrics) / sizeof(metrics[0]); out.n++) {
		out.metric = &metrics[out.n];
		out.is_first = true;
		format->begin(&out);
		out.metric->put(&out);
		format->end(&out);
	}
}
