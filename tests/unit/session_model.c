#include "config.h"

#include "session_model.h"

#include <inttypes.h>

struct run run;
struct model model;

#define AS_NAME(number, name) name,

static const char *const event_names[] = { EVENTS(AS_NAME) };

const char *
event_name(enum event event)
{
	return event_names[event];
}

void
print_trail(void)
{
	size_t i = run.n_trail < N_TRAIL ? 0 : run.n_trail - N_TRAIL;

	for (; i < run.n_trail; i++)
		printf("# step %" PRIu64 ": %*s%s %" PRIu64 "\n",
		    run.trail[i % N_TRAIL].step,
		    2 * (int)run.trail[i % N_TRAIL].depth, "",
		    event_names[run.trail[i % N_TRAIL].event],
		    run.trail[i % N_TRAIL].value);
	printf("# POLYSOCKET_SEED=%" PRIu64 ", step %" PRIu64 "\n", run.seed,
	    run.step);
	fflush(stdout);
}

void
set_callbacks(void (*deliver)(struct fake_receiver *r),
    void (*expire)(struct fake_receiver *r),
    void (*release)(struct fake_receiver *r), void (*resume)(void))
{
	size_t i;

	for (i = 0; i < ROWS(run.receivers); i++) {
		run.receivers[i].on_deliver = deliver;
		run.receivers[i].on_expire = expire;
		run.receivers[i].on_release = release;
	}
	peer.on_resume = resume;
}

void
fail_at(const char *condition, const char *file, int line)
{
	fail_msg("%s:%d: %s, POLYSOCKET_SEED=%" PRIu64 ", step %" PRIu64,
	    file, line, condition, run.seed, run.step);
}

void
note(enum event event, uint64_t value)
{
	size_t i = run.n_trail++ % N_TRAIL;

	run.counts[event]++;
	run.trail[i].step = run.step;
	run.trail[i].depth = run.depth;
	run.trail[i].event = event;
	run.trail[i].value = value;
}

/* --- the rules --- */

uint64_t
model_last(void)
{
	return model.close != 0 ? model.close : model.said;
}

uint64_t
model_queued(void)
{
	return model.said - smaller(model.gone, model.said);
}

uint64_t
model_queued_bytes(void)
{
	uint64_t bytes = 0, i;

	for (i = model.gone + 1; i <= model.said; i++)
		bytes += model.known[i % N_KNOWN]->len;
	return bytes;
}

bool
model_is_full(void)
{
	return model_queued() >= bridge.config->queue_messages ||
	    (model_queued() > 0 &&
		model_queued_bytes() >= bridge.config->queue_bytes);
}

bool
model_is_roomy(void)
{
	return model_queued() <= bridge.config->queue_messages / 2 &&
	    model_queued_bytes() <= bridge.config->queue_bytes / 2;
}

void
model_weigh(void)
{
	if (model.state != SESSION_OPEN)
		return;
	if (!model.paused && model_is_full()) {
		note(PAUSED, model_queued());
		model.paused = true;
		model.n_pauses++;
		model.stall_at_ms =
		    bridge.now_ms() + bridge.config->stall_timeout;
	} else if (model.paused && model_is_roomy()) {
		note(RESUMED, model_queued());
		model.paused = false;
		model.n_resumes++;
		model.stall_at_ms = UINT64_MAX;
	}
}

void
model_arrive(size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		uint64_t number = model.wire[i];

		if (number == model.close && model.seen == number) {
			check(model.breaks);
			note(CLOSE_ARRIVED_AGAIN, number);
			continue;
		}
		if (model.client == FAITHFUL)
			check(number == model.seen + 1);
		while (++model.seen < number)
			check(model.missable[model.seen % N_KNOWN] ||
			    model.said - model.seen >= N_KNOWN);
		check(model.seen == number);
		note(number == model.close ? CLOSE_ARRIVED : ARRIVED, number);
	}
	model.n_wire -= count;
	model.n_sure -= smaller(model.n_sure, count);
	memmove(model.wire, model.wire + count,
	    model.n_wire * sizeof(model.wire[0]));
}

size_t
model_readable(void)
{
	return model.client == PLAIN || model.client == FRAGILE ?
	    model.n_sure :
	    model.n_wire;
}

void
model_detach(size_t count)
{
	if (once_in(2))
		model_arrive((size_t)below(count + 1));
	if (model.n_wire > 0)
		note(NEVER_ARRIVED, model.n_wire);
	model.n_wire = model.n_sure = 0;
	model.receiver = NULL;
}

void
model_release(size_t count)
{
	model_detach(count);
	model.taken = model.written;
	model.idle_at_ms = bridge.now_ms() + GRACE_MS;
	if (model.breaks && model.close != 0 && !bridge.ending)
		model.end_at_ms = bridge.now_ms() + model_linger_ms();
}

/* Within `resume` it may still have to be closed, which it is no more. */
void
model_lose_peer(void)
{
	model.has_peer = model.paused = false;
	model.n_closes = peer.n_close;
}

void
model_end(enum event how)
{
	note(how, model.said);
	if (how == ENDED_FETCHED && model.client == FAITHFUL)
		check(model.seen == model.close);
	if (model.has_peer)
		model.n_abandons++;
	model_lose_peer();
	model.leaving = model.receiver;
	if (model.receiver != NULL)
		model_detach(model.n_wire);
	model.over = true;
	model.state = SESSION_CLOSED;
}

void
model_drop_to(uint64_t number)
{
	model.gone = model.written = model.taken = number;
	if (model.close != 0 && number == model.close)
		model_end(ENDED_FETCHED);
	else
		model_weigh();
}

void
model_begin_closing(void)
{
	model.state = SESSION_CLOSING;
	model.stall_at_ms = UINT64_MAX;
	if (model.paused)
		model.n_resumes++;
	model.paused = false;
	model.n_closes++;
}

void
model_expel(uint16_t code)
{
	if (model.state == SESSION_CONNECTING) {
		model.n_failures++;
		model_end(ENDED_NOT_OPENED);
	} else if (model.state == SESSION_OPEN) {
		note(EXPELLED, code);
		model.expel_code = code;
		model_begin_closing();
	} else {
		note(EXPELLED_IN_VAIN, code);
	}
}

void
model_break(void)
{
	uint64_t i;

	model.deaf = true;
	for (i = model.gone + 1; i <= model.said; i++)
		model.missable[i % N_KNOWN] = true;
	if (model.state == SESSION_OPEN)
		model_expel(1002);
	model_drop_to(model.said);
}

uint64_t
model_linger_ms(void)
{
	if (model.breaks)
		return GRACE_MS;
	return bridge.ending ? smaller(GRACE_MS, LINGER_MS) : LINGER_MS;
}

void
model_remember(struct message *message)
{
	size_t i = ++model.said % N_KNOWN;

	if (model.known[i] != NULL) {
		check(model.known[i]->refs == 1);
		message_unref(model.known[i]);
	}
	model.known[i] = message_ref(message);
	model.missable[i] = false;
}
