#include "config.h"

#include "emit_wait.h"

#include <stdlib.h>

#include "acks.h"
#include "ps_json.h"
#include "ps_log.h"

void
emit_wait_leave(struct emit_asker *asker)
{
	LIST_REMOVE(asker, all);
	asker->wait->n_askers--;
	asker->wait = NULL;
}

void
emit_wait_free(struct emit_wait *wait)
{
	if (wait == NULL)
		return;
	if (wait->id != NULL)
		wait->id->holder = NULL;
	LIST_REMOVE(wait, all);
	ack_wait_destroy(wait->acks);
	ps_writer_deinit(&wait->members);
	free(wait);
}

void
emit_tell(struct emit_asker *asker, const struct refusal *refusal,
    struct ps_slice members)
{
	struct emit_answer answer = { .status = 200, .refusal = refusal };
	const struct ps_code_info *info;
	struct ps_writer json = { 0 };

	if (refusal == NULL) {
		ps_writer_str(&json, "{\"success\":true");
	} else {
		info = ps_code_info(refusal->code);
		answer.status = info->status;
		ps_writer_str(&json, "{\"success\":false,\"error\":");
		ps_json_string(&json, ps_slice_str(info->sentence));
		ps_writer_printf(&json, ",\"code\":\"%s\"", info->word);
		if (refusal->limit != NULL)
			ps_writer_printf(&json, ",\"limit\":\"%s\"",
			    refusal->limit);
	}
	if (members.len > 0) {
		ps_writer_str(&json, ",");
		ps_writer_bytes(&json, members.data, members.len);
	}
	ps_writer_str(&json, "}");
	if (!json.failed)
		answer.json = ps_slice(json.data, json.len);
	answer.members = members;
	asker->answer(asker, &answer);
	ps_writer_deinit(&json);
}

void
emit_tell_result(struct emit_asker *asker, bool in_time,
    struct ps_slice members)
{
	static const struct refusal timeout = { .code = PS_CODE_ACK_TIMEOUT };

	emit_tell(asker, in_time ? NULL : &timeout, members);
}

void
emit_wait_join(struct emit_wait *wait, struct emit_asker *asker)
{
	asker->wait = wait;
	LIST_INSERT_HEAD(&wait->askers, asker, all);
	wait->n_askers++;
}

void
emit_wait_end_if_unwanted(struct emit_wait *wait)
{
	if (LIST_EMPTY(&wait->askers) && wait->id == NULL && !wait->is_over)
		emit_wait_free(wait);
}

void
emit_forget(struct emit_asker *asker)
{
	struct emit_wait *wait = asker->wait;

	if (wait == NULL)
		return;
	emit_wait_leave(asker);
	emit_wait_end_if_unwanted(wait);
}

/* Puts in what has become of it, if there is memory for that. */
static void
describe_acks(struct emit_wait *wait)
{
	struct ps_writer *members = &wait->members;
	size_t begin = members->len;

	ps_writer_str(members, ",");
	ack_wait_describe(wait->acks, members);
	if (members->failed)
		members->len = begin;
}

/* All is acknowledged, or the time is over. */
static void
on_acks(struct ack_wait *acks, void *owner)
{
	struct emit_wait *wait = owner;
	bool in_time = ack_wait_is_met(acks);
	struct emit_asker *asker;
	struct ps_slice members;

	describe_acks(wait);
	ack_wait_destroy(acks);
	wait->acks = NULL;
	members = ps_slice(wait->members.data, wait->members.len);
	if (wait->id != NULL &&
	    !emit_id_set_answer(&wait->emits->ids, wait->id, in_time, members))
		ps_warning("emit: an answer is remembered in part (out of "
			   "memory)");
	wait->is_over = true;
	while ((asker = LIST_FIRST(&wait->askers)) != NULL) {
		emit_wait_leave(asker);
		emit_tell_result(asker, in_time, members);
	}
	emit_wait_free(wait);
}

struct emit_wait *
emit_wait_create(struct emits *emits, struct channel *channel,
    const char *event_id, struct member *const *members, uint32_t count,
    uint32_t min_acks)
{
	struct emit_wait *wait = calloc(1, sizeof(*wait));

	if (wait == NULL)
		return NULL;
	wait->emits = emits;
	LIST_INIT(&wait->askers);
	LIST_INSERT_HEAD(&emits->waits, wait, all);
	wait->acks = ack_wait_create(channel, event_id, members, count,
	    min_acks, on_acks, wait);
	if (wait->acks == NULL) {
		emit_wait_free(wait);
		return NULL;
	}
	return wait;
}
