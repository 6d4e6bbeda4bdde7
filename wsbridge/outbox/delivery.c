#include "config.h"

#include "delivery.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "circuit.h"
#include "ps_log.h"
#include "ps_url.h"
#include "reply.h"
#include "wsbridge/applications/authorization.h"

/* Before something is done again that there was no memory for. */
#define NO_MEMORY_MS 1000

static uint64_t
now(const struct lane *lane)
{
	return lane->outbox->bridge->now_ms();
}

static void on_timer(struct timer *timer);

static void
set_timer(struct lane *lane, uint64_t at_ms)
{
	lane->timer.fire = on_timer;
	timers_set(&lane->outbox->bridge->timers, &lane->timer, at_ms);
}

static void
rest(struct lane *lane, uint64_t ms)
{
	lane->state = LANE_RESTING;
	set_timer(lane, now(lane) + ms);
}

static struct authorization *
find_authorization(const struct lane *lane)
{
	return authorization_find_client(lane->outbox->bridge,
	    lane->application->token_id, ps_slice_str(lane->client));
}

/* That of the authorization, since it may have been renewed meanwhile; or
 * where that is gone, the one that the row came with. */
static const char *
find_url(const struct lane *lane)
{
	const struct authorization *authorization = find_authorization(lane);
	const struct outbox_row *row = TAILQ_FIRST(&lane->rows);

	if (authorization != NULL)
		return authorization->callback;
	return row == NULL ? NULL : row->callback;
}

static void
enter(struct lane *lane)
{
	if (!circuit_enter(lane, find_url(lane)))
		rest(lane, NO_MEMORY_MS);
	else if (lane->outbox->kept_bytes > OUTBOX_BYTES)
		lane_drop_rows(lane);
}

static void
read_on(struct lane *lane)
{
	lane->state = LANE_READING;
	lane->page.after = lane->after;
	TAILQ_INSERT_TAIL(&lane->outbox->readers, lane, entry);
	outbox_wake(lane->outbox);
}

/* What is left of a row while that is written: its body is needed no more. */
static void
note_change(struct lane *lane, struct outbox_row *row, enum row_change change,
    const char *error)
{
	struct outbox_row *rest;

	if (!outbox_is_stored(lane->outbox)) {
		row_destroy(row);
		return;
	}
	row->body = ps_slice(NULL, 0);
	row->callback = NULL;
	if ((rest = realloc(row, sizeof(*row))) != NULL)
		row = rest;
	row->change = change;
	row->error = error == NULL ? NULL : strdup(error);
	lane->n_changes++;
	TAILQ_INSERT_TAIL(&lane->outbox->collecting->changes, row, of_batch);
	outbox_wake(lane->outbox);
}

/*
 * When the row has been tried for long enough: both since it was accepted, or
 * made ready again, and since the lane began to fail. So what comes behind one
 * that fails for ever has an attempt of its own at least, and a bridge that was
 * down does not make what it finds too old to be tried.
 */
static uint64_t
over_at_ms(const struct lane *lane, const struct outbox_row *row)
{
	const struct bridge *bridge = lane->outbox->bridge;
	int64_t age_ms = bridge->unix_s() * 1000 - row->since_ms;
	uint64_t since_ms = lane->failing_since_ms;

	if (age_ms < 0)
		age_ms = 0;
	if (now(lane) - since_ms > (uint64_t)age_ms)
		since_ms = now(lane) - (uint64_t)age_ms;
	return since_ms + bridge->config->callback_retry;
}

static void
bury(struct lane *lane, const char *error)
{
	struct outbox_row *row = lane_take(lane);

	ps_warning("outbox: session %s: callback %" PRIu64 " is %s (%s)",
	    lane_name(lane), row->number,
	    outbox_is_stored(lane->outbox) ? "dead" : "lost", error);
	lane->outbox->dead++;
	note_change(lane, row, ROW_DEAD, error);
}

/* The first row was tried in vain. */
static void
fail(struct lane *lane, const char *error)
{
	struct outbox_row *row = TAILQ_FIRST(&lane->rows);
	struct bridge *bridge = lane->outbox->bridge;
	uint64_t number = row->number;

	lane->outbox->failed++;
	if (lane->failing_since_ms == 0)
		lane->failing_since_ms = now(lane);
	ps_debug("outbox: session %s: callback %" PRIu64 " failed (%s)",
	    lane_name(lane), number, error);
	if (now(lane) >= over_at_ms(lane, row)) {
		bury(lane, error);
		lane->n_failures = 0;
		delivery_update(lane);
		return;
	}
	rest(lane, circuit_backoff(bridge, ++lane->n_failures));
	if (!outbox_is_stored(lane->outbox))
		return;
	/* It is read again, with those behind it, when it is tried again. */
	note_change(lane, lane_take(lane), ROW_FAILED, error);
	lane_drop_rows(lane);
	lane_set_stored(lane, lane->n_stored + 1, number - 1);
}

static void
succeed(struct lane *lane, struct ps_slice reply)
{
	struct bridge *bridge = lane->outbox->bridge;

	lane->outbox->delivered++;
	lane->n_failures = 0;
	lane->failing_since_ms = lane->look_at_ms = 0;
	note_change(lane, lane_take(lane), ROW_DELIVERED, NULL);
	reply_deliver(bridge, ps_slice_str(lane_name(lane)), reply);
	delivery_update(lane);
}

static void
withdraw(struct lane *lane)
{
	struct bridge *bridge = lane->outbox->bridge;
	struct authorization *authorization = find_authorization(lane);

	lane->give_up = "410 Gone";
	if (authorization != NULL) {
		/* Nor does it want to hear that its sessions end. */
		authorization->events = false;
		authorization_withdraw(bridge, authorization, "410 Gone");
	}
	delivery_update(lane);
}

/* What a host says who stands in front of one that does not answer. */
static bool
is_of_gateway(int status)
{
	return status >= 502 && status <= 504;
}

static void
on_called(void *owner, const struct callback_result *result)
{
	struct lane *lane = owner;
	struct outbox *outbox = lane->outbox;
	char error[32];
	const char *why = result->error;

	lane->callback = NULL;
	TAILQ_REMOVE(&outbox->calling, lane, entry);
	lane->state = LANE_IDLE;
	if (result->status != 0) {
		snprintf(error, sizeof(error), "HTTP %d", result->status);
		why = error;
	}
	if (result->status == 0 || is_of_gateway(result->status))
		circuit_failed(lane, why);
	else
		circuit_answered(lane);
	if (result->status >= 200 && result->status < 300)
		succeed(lane, result->body);
	else if (result->status == 410)
		withdraw(lane);
	else
		fail(lane, why);
	outbox_wake(outbox); /* somebody may wait for it to be over */
}

/* The registry knows it, and need not take the URL apart each time. */
static bool
is_covered(const struct lane *lane)
{
	const struct authorization *authorization = find_authorization(lane);

	return authorization != NULL &&
	    authorization_find(lane->outbox->bridge,
		ps_slice_str(authorization->socket_id)) != NULL;
}

/* NULL, or why the token does not let this URL be called. */
static const char *
find_fault(const struct lane *lane, const char *url,
    const struct ps_token **token_r)
{
	const struct bridge *bridge = lane->outbox->bridge;
	const struct ps_token *token = bridge->policy == NULL ?
	    NULL :
	    ps_policy_find_id(bridge->policy, lane->application->token_id);
	struct ps_target target;
	const char *fault;

	*token_r = token;
	if (token == NULL)
		return "the token is gone";
	if (!ps_token_is_valid(token, bridge->unix_s()))
		return "the token is disabled or expired";
	if (token->callback_key_len == 0)
		return "the token's callback_key cannot be decoded";
	if (is_covered(lane))
		return NULL;
	if ((fault = ps_callback_parse(&target, ps_slice_str(url))) != NULL)
		return fault;
	return ps_token_allows_callback(token, &target) ?
	    NULL :
	    "the token does not cover the callback";
}

static void
call(struct lane *lane)
{
	const struct outbox_row *row = TAILQ_FIRST(&lane->rows);
	const char *url = find_url(lane), *fault;
	struct callback_request request = { .url = url, .body = row->body };
	const struct ps_token *token;
	char id[CALLBACK_ID_MAX + 1];

	if (!circuit_is_right(lane, url)) {
		circuit_release(lane);
		enter(lane);
		return;
	}
	if ((fault = find_fault(lane, url, &token)) != NULL) {
		circuit_release(lane);
		fail(lane, fault);
		return;
	}
	snprintf(id, sizeof(id), "msg_%s_%" PRIu64, lane_name(lane),
	    row->number);
	request.id = id;
	request.key = ps_slice((const char *)token->callback_key,
	    token->callback_key_len);
	lane->callback = callback_start(lane->outbox->bridge->callbacks,
	    &request, on_called, lane);
	if (lane->callback == NULL) {
		circuit_release(lane);
		rest(lane, NO_MEMORY_MS);
		return;
	}
	lane->state = LANE_CALLING;
	TAILQ_INSERT_TAIL(&lane->outbox->calling, lane, entry);
}

unsigned
delivery_start(struct outbox *outbox, unsigned max)
{
	struct lane *lane;
	unsigned n = 0;

	while (n < max && (lane = circuit_next(outbox)) != NULL) {
		timers_cancel(&outbox->bridge->timers, &lane->timer);
		if (lane->n_rows > 0)
			call(lane);
		else
			read_on(lane);
		n++;
	}
	return n;
}

void
delivery_cancel(struct outbox *outbox)
{
	struct lane *lane;

	while ((lane = TAILQ_FIRST(&outbox->calling)) != NULL) {
		callback_cancel(lane->callback);
		lane->callback = NULL;
		TAILQ_REMOVE(&outbox->calling, lane, entry);
		lane->state = LANE_IDLE;
		circuit_release(lane);
	}
}

/* Its host is down: what has waited for too long does not wait for it to come
 * up. */
static void
expire(struct lane *lane)
{
	const struct outbox_row *row;

	while (lane->host != NULL && lane->host->is_down &&
	    lane->n_changes < LANE_ROWS) {
		row = TAILQ_FIRST(&lane->rows);
		if (row == NULL && lane->n_stored > 0) {
			lane->is_expiring = true;
			read_on(lane);
			return;
		}
		if (row == NULL)
			break;
		lane->look_at_ms = over_at_ms(lane, row);
		if (now(lane) < lane->look_at_ms)
			break;
		bury(lane,
		    lane->host->error == NULL ? "the host does not answer" :
						lane->host->error);
		lane->is_expiring = true;
	}
	if (lane->n_changes < LANE_ROWS)
		lane->is_expiring = false;
	delivery_update(lane);
}

static void
on_timer(struct timer *timer)
{
	struct lane *lane = PS_CONTAINER(timer, struct lane, timer);

	if (lane->state == LANE_RESTING) {
		lane->state = LANE_IDLE;
		delivery_update(lane);
	} else if (lane->state == LANE_WAITING && lane->host->is_down) {
		circuit_leave(lane);
		expire(lane);
	}
}

void
delivery_host_down(struct lane *lane)
{
	uint64_t at_ms;

	if (lane->failing_since_ms == 0)
		lane->failing_since_ms = now(lane);
	at_ms = lane->failing_since_ms +
	    lane->outbox->bridge->config->callback_retry;
	set_timer(lane, at_ms > lane->look_at_ms ? at_ms : lane->look_at_ms);
	lane_drop_rows(lane);
}

void
delivery_on_page(struct lane *lane)
{
	bool failed = lane->page.failed;

	lane->state = LANE_IDLE;
	lane_take_page(lane);
	if (lane->n_rows > 0 && lane->has_slot && !lane->is_revived &&
	    !lane->outbox->is_settling) {
		call(lane);
		return;
	}
	circuit_release(lane);
	if (failed && lane->n_rows == 0)
		rest(lane, NO_MEMORY_MS);
	else
		delivery_update(lane);
}

static void
end(struct lane *lane)
{
	lane_drop_rows(lane);
	if (!outbox_is_stored(lane->outbox)) {
		while (lane->n_rows > 0)
			bury(lane, lane->give_up);
		lane->give_up = NULL;
		delivery_update(lane);
		return;
	}
	lane->state = LANE_ENDING;
	TAILQ_INSERT_TAIL(&lane->outbox->collecting->ends, lane, entry);
	outbox_wake(lane->outbox);
}

void
delivery_on_end(struct lane *lane)
{
	ps_warning("outbox: session %s: %" PRIu64 " callbacks are dead (%s)",
	    lane_name(lane), lane->n_stored, lane->give_up);
	lane->outbox->dead += lane->n_stored;
	lane_set_stored(lane, 0, lane->after);
	lane->give_up = NULL;
	lane->state = LANE_IDLE;
	delivery_update(lane);
}

/* What is in memory is behind what has to be read. */
static void
rewind_rows(struct lane *lane)
{
	lane_drop_rows(lane);
	lane_set_stored(lane, lane->n_stored == 0 ? 1 : lane->n_stored, 0);
	lane->is_guessed = true;
	lane->is_revived = lane->is_expiring = false;
	lane->n_failures = 0;
	lane->failing_since_ms = lane->look_at_ms = 0;
}

void
delivery_revive(struct lane *lane, uint64_t n_stored)
{
	lane->is_revived = true;
	if (lane->state == LANE_WAITING)
		circuit_leave(lane);
	if (lane->state == LANE_RESTING)
		lane->state = LANE_IDLE;
	if (lane->state == LANE_IDLE && n_stored > lane->n_stored)
		lane_set_stored(lane, n_stored, lane->after);
	timers_cancel(&lane->outbox->bridge->timers, &lane->timer);
	delivery_update(lane);
}

void
delivery_update(struct lane *lane)
{
	if (lane->state != LANE_IDLE)
		return;
	if (lane->give_up != NULL) {
		end(lane);
		return;
	}
	if (lane->is_revived)
		rewind_rows(lane);
	if (lane->n_rows == 0 && lane->n_stored == 0) {
		if (lane->n_unwritten > 0 || lane->n_changes > 0)
			return;
		circuit_forget(lane);
		lane_destroy(lane);
	} else if (lane->n_changes >= LANE_ROWS) {
		return; /* goes on once they are written */
	} else if (lane->is_expiring) {
		expire(lane);
	} else {
		enter(lane);
	}
}
