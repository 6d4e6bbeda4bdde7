#include "config.h"

#include "emit.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "acks.h"
#include "channel.h"
#include "emit_targets.h"
#include "emit_wait.h"
#include "envelope.h"
#include "history.h"
#include "wsbridge/session/record.h"

/* Askers of one emit at a time; those beyond have to ask again. */
#define ASKERS_MAX 256

/* An event on its way. */
struct event {
	char id[PS_EVENT_ID_LEN + 1];
	struct ps_slice payload;
	struct message *message; /* NULL: there is nobody to send it to */
};

/* An emit that is carried out: first all that may fail, then the sending. */
struct run {
	struct bridge *bridge;
	const struct ps_ipc_emit *emit;
	struct quota *quota;
	struct channel *channel; /* NULL: nobody is there */
	struct emit_targets targets;
	struct event *events;
	uint64_t bytes;		  /* of all payloads */
	struct ps_writer members; /* of the answer */
	struct emit_wait now;	  /* what the asker waits for meanwhile */
	struct emit_wait *wait;
	struct emit_id *id;
	struct refusal refusal;
};

bool
emit_init(struct bridge *bridge)
{
	struct emits *emits = calloc(1, sizeof(*emits));

	if (emits == NULL)
		return false;
	if (!emit_ids_init(&emits->ids, bridge)) {
		free(emits);
		return false;
	}
	LIST_INIT(&emits->waits);
	bridge->emits = emits;
	return true;
}

void
emit_deinit(struct bridge *bridge)
{
	struct emits *emits = bridge->emits;

	if (emits == NULL)
		return;
	while (!LIST_EMPTY(&emits->waits)) {
		struct emit_wait *wait = LIST_FIRST(&emits->waits);

		while (!LIST_EMPTY(&wait->askers))
			emit_wait_leave(LIST_FIRST(&wait->askers));
		emit_wait_free(wait);
	}
	emit_ids_deinit(&emits->ids);
	free(emits);
	bridge->emits = NULL;
}

size_t
emit_count_ids(const struct bridge *bridge)
{
	return bridge->emits->ids.by_key.count;
}

/* What was listed and is not there. */
static void
put_unknown(struct run *run)
{
	const struct ps_writer *unknown = &run->targets.unknown;

	ps_writer_str(&run->members, "\"unknown\":[");
	ps_writer_bytes(&run->members, unknown->data, unknown->len);
	ps_writer_str(&run->members, "]");
}

static void
put_result(struct run *run)
{
	struct ps_writer *members = &run->members;
	uint16_t i;

	ps_writer_str(members,
	    run->emit->batch ? "\"eventIDs\":[" : "\"eventID\":");
	for (i = 0; i < run->emit->count; i++)
		ps_writer_printf(members, "%s\"%s\"", i == 0 ? "" : ",",
		    run->events[i].id);
	ps_writer_printf(members, "%s,\"delivered\":%" PRIu32,
	    run->emit->batch ? "]" : "", run->targets.count);
	if (run->targets.unknown.len > 0) {
		ps_writer_str(members, ",");
		put_unknown(run);
	}
	if (run->emit->requires_ack && run->targets.count == 0) {
		ps_writer_str(members, ",");
		ack_wait_describe(NULL, members);
	}
}

/* What was written of an answer does not become one. */
static bool
refuse(struct run *run, enum ps_code code, const char *limit)
{
	ps_writer_reset(&run->members);
	run->refusal = (struct refusal){ .code = code, .limit = limit };
	return false;
}

static bool
take_payloads(struct run *run)
{
	const struct quota *quota = run->quota;
	struct ps_reader events = run->emit->events;
	uint64_t max = run->bridge->config->max_message;
	const char *limit = "max_message";
	uint16_t i;

	if (run->emit->count == 0)
		return refuse(run, PS_CODE_NO_PAYLOAD, NULL);
	if (run->emit->count > 1 && run->emit->requires_ack)
		return refuse(run, PS_CODE_BAD_PARAMETER, NULL);
	if (quota->limits.value[PS_LIMIT_MESSAGE_BYTES] < max) {
		max = quota->limits.value[PS_LIMIT_MESSAGE_BYTES];
		limit = ps_token_limit_name(PS_LIMIT_MESSAGE_BYTES);
	}
	run->events = calloc(run->emit->count, sizeof(*run->events));
	if (run->events == NULL)
		return refuse(run, PS_CODE_BRIDGE_FULL, NULL);
	for (i = 0; i < run->emit->count; i++) {
		ps_ipc_next_event(&events, &run->events[i].payload);
		if (run->events[i].payload.len > max)
			return refuse(run, PS_CODE_MESSAGE_TOO_LARGE, limit);
		run->bytes += run->events[i].payload.len;
	}
	return true;
}

static bool
find_targets(struct run *run)
{
	enum ps_code code;

	run->channel = channel_find(run->bridge, run->emit->channel);
	if (!emit_targets_find(&run->targets, run->bridge, run->channel,
		run->emit, &code)) {
		refuse(run, code, NULL);
		if (code == PS_CODE_CLIENTS_UNKNOWN)
			put_unknown(run);
		return false;
	}
	if (run->targets.count > 0 && channel_is_busy(run->channel))
		return refuse(run, PS_CODE_CHANNEL_BUSY, NULL);
	return true;
}

static bool
make_event(struct run *run, struct event *event)
{
	struct bridge *bridge = run->bridge;

	do {
		if (!envelope_make_id(event->id, "evt_"))
			return false;
	} while (table_find(&bridge->ack_waits, ps_slice_str(event->id)) !=
	    NULL);
	if (run->targets.count == 0)
		return true;
	event->message = envelope_data(event->payload, event->id,
	    run->emit->requires_ack, false);
	return event->message != NULL;
}

static bool
make_events(struct run *run)
{
	uint16_t i;

	for (i = 0; i < run->emit->count; i++) {
		if (!make_event(run, &run->events[i]))
			return refuse(run, PS_CODE_BRIDGE_FULL, NULL);
	}
	put_result(run);
	if (run->members.failed ||
	    (run->targets.are_all && run->targets.count > 0 &&
		!channel_reserve(run->channel, run->emit->count)))
		return refuse(run, PS_CODE_BRIDGE_FULL, NULL);
	return true;
}

/* Its answer has to wait for acknowledgements. */
static bool
waits(const struct run *run)
{
	return run->emit->requires_ack && run->targets.count > 0;
}

static bool
begin_wait(struct run *run)
{
	if (run->bridge->ack_waits.count >= run->bridge->config->max_held)
		return refuse(run, PS_CODE_TOO_MANY_HELD, "max_held");
	if (!acks_have_room(run->bridge, run->targets.count))
		return refuse(run, PS_CODE_TOO_MANY_HELD, NULL);
	run->wait = emit_wait_create(run->bridge->emits, run->channel,
	    run->events[0].id, run->targets.members, run->targets.count,
	    run->emit->min_acks);
	return run->wait != NULL || refuse(run, PS_CODE_BRIDGE_FULL, NULL);
}

static bool
remember(struct run *run)
{
	struct emit_ids *ids = &run->bridge->emits->ids;

	if (!emit_ids_have_room(ids))
		return refuse(run, PS_CODE_BRIDGE_FULL, "max_emit_ids");
	run->id = emit_ids_add(ids, run->emit->channel, run->emit->key);
	if (run->id == NULL ||
	    !emit_id_set_answer(ids, run->id, !waits(run),
		ps_slice(run->members.data, run->members.len)))
		return refuse(run, PS_CODE_BRIDGE_FULL, NULL);
	if (run->wait != NULL) {
		run->wait->id = run->id;
		run->id->holder = &run->wait->id;
	}
	return true;
}

static bool
take_quota(struct run *run)
{
	struct bridge *bridge = run->bridge;
	int64_t now_s = bridge->unix_s();
	const char *limit = quota_take(&bridge->quotas, run->quota, PS_UP,
	    run->emit->count, run->bytes, now_s);

	if (limit != NULL) {
		refuse(run, PS_CODE_DAILY_LIMIT, limit);
		run->refusal.retry_after_s = quota_day_left_s(now_s);
	}
	records_wake(bridge);
	return limit == NULL;
}

/* All that may fail; each part is false with `refusal`. */
static bool
prepare(struct run *run)
{
	return take_payloads(run) && find_targets(run) && make_events(run) &&
	    (!waits(run) || begin_wait(run)) &&
	    (run->emit->key.len == 0 || remember(run)) && take_quota(run);
}

static void
undo(struct run *run)
{
	if (run->id != NULL)
		emit_ids_remove(&run->bridge->emits->ids, run->id);
	emit_wait_free(run->wait);
}

/* Members may leave at what they are sent: their session is gone then. */
static void
send_event(struct run *run, struct event *event)
{
	struct emit_targets *targets = &run->targets;
	bool sent = true;
	uint32_t i;

	if (targets->are_all)
		history_put(run->bridge, run->emit->channel, event->id,
		    event->payload);
	if (event->message == NULL)
		return;
	if (targets->are_all) {
		sent = channel_send(run->channel, event->message, NULL);
		event->message = NULL;
	}
	assert(sent); /* since there was room for it */
	for (i = 0; !targets->are_all && i < targets->count; i++) {
		if (targets->members[i]->session != NULL)
			channel_send_to(targets->members[i],
			    message_ref(event->message));
	}
}

static void
send_events(struct run *run)
{
	struct totals *totals = &run->bridge->totals;
	uint16_t i;

	for (i = 0; i < run->emit->count; i++)
		send_event(run, &run->events[i]);
	totals->events += run->emit->count;
	totals->deliveries += (uint64_t)run->emit->count * run->targets.count;
}

/* A member that emits may leave at what it is sent, and is not there to be
 * told any more; see emit_forget(). */
static void
carry_out(struct run *run, struct emit_asker *asker)
{
	struct emit_wait *wait = run->wait;
	bool is_there;

	run->now.is_over = true;
	emit_wait_join(&run->now, asker);
	send_events(run);
	is_there = !LIST_EMPTY(&run->now.askers);
	if (is_there)
		emit_wait_leave(asker);
	if (wait == NULL) {
		if (is_there)
			emit_tell_result(asker, true,
			    ps_slice(run->members.data, run->members.len));
		return;
	}
	wait->members = run->members;
	run->members = (struct ps_writer){ 0 };
	if (is_there)
		emit_wait_join(wait, asker);
	emit_wait_end_if_unwanted(wait);
}

/* NULL: it has no id, or none that is known. */
static struct emit_id *
find_id(const struct bridge *bridge, const struct ps_ipc_emit *emit)
{
	return emit->key.len == 0 ?
	    NULL :
	    emit_ids_find(&bridge->emits->ids, emit->channel, emit->key);
}

bool
emit_may_wait(const struct bridge *bridge, const struct ps_ipc_emit *emit)
{
	const struct emit_id *id = find_id(bridge, emit);

	return id == NULL ? emit->requires_ack : id->holder != NULL;
}

/* It was sent already: the answer is that of the first one. */
static void
answer_again(struct emit_id *id, struct emit_asker *asker)
{
	static const struct refusal full = { .code = PS_CODE_TOO_MANY_HELD };
	struct emit_wait *wait;

	if (id->holder == NULL) {
		emit_tell_result(asker, id->in_time,
		    ps_slice(id->answer, id->answer_len));
		return;
	}
	wait = PS_CONTAINER(id->holder, struct emit_wait, id);
	if (wait->n_askers < ASKERS_MAX)
		emit_wait_join(wait, asker);
	else
		emit_tell(asker, &full, ps_slice(NULL, 0));
}

void
emit_run(struct bridge *bridge, const struct ps_ipc_emit *emit,
    struct quota *quota, struct emit_asker *asker)
{
	struct run run = { .bridge = bridge, .emit = emit, .quota = quota };
	struct emit_id *known = find_id(bridge, emit);
	uint16_t i;

	asker->wait = NULL;
	if (known != NULL) {
		answer_again(known, asker);
		return;
	}
	if (prepare(&run)) {
		carry_out(&run, asker);
	} else {
		undo(&run);
		emit_tell(asker, &run.refusal,
		    ps_slice(run.members.data, run.members.len));
	}
	for (i = 0; run.events != NULL && i < emit->count; i++)
		message_unref(run.events[i].message);
	free(run.events);
	emit_targets_deinit(&run.targets);
	ps_writer_deinit(&run.members);
}
