/*
 * A channel in random circumstances: members come, with and without something
 * to catch up with, read or do not, speak, go in every way, and are served in
 * slices, while the history answers when it likes. Whatever happens, each
 * member
 *
 * - is connected first, and hears of each other one once that it comes, and
 *   once that it goes, so that it always knows who is there;
 * - gets the events in their order, none twice and none left out since it
 *   joined, or since what it asked from.
 *
 * "# seed N" is said first; POLYSOCKET_SEED=N repeats a run, POLYSOCKET_STEPS
 * makes it longer.
 */
#include "config.h"

#include "channel_fixture.h"

#include <inttypes.h>
#include <stdlib.h>

#define SLOTS 12
#define STEPS 20000
#define EVENTS_MAX 900 /* of one round; see make_event() of the fixture */

static uint64_t seed;

/* What a member was told. */
static struct view {
	bool is_connected, is_over;
	unsigned next; /* event */
	char there[SLOTS * 8][PS_CLIENT_ID_LEN + 1];
	size_t n_there;
} views[SLOTS];

static unsigned
draw(unsigned below)
{
	return (unsigned)(next_random(&seed) % below);
}

static size_t
find(const struct view *view, const char *client)
{
	size_t i;

	for (i = 0; i < view->n_there; i++) {
		if (strncmp(view->there[i], client, PS_CLIENT_ID_LEN) == 0)
			break;
	}
	return i;
}

static void
see(struct view *view, const char *client)
{
	assert_int_equal(find(view, client), view->n_there);
	assert_true(view->n_there < ROWS(view->there));
	memcpy(view->there[view->n_there++], client, PS_CLIENT_ID_LEN);
}

static void
miss(struct view *view, const char *client)
{
	size_t i = find(view, client);

	assert_true(i < view->n_there);
	memcpy(view->there[i], view->there[--view->n_there],
	    PS_CLIENT_ID_LEN);
}

static const char *
client_in(const char *frame)
{
	const char *at = strstr(frame, "\"clientID\":\"");

	return at == NULL ? NULL : at + 12;
}

static void
take_connected(struct view *view, const char *frame)
{
	assert_false(view->is_connected);
	view->is_connected = true;
	while ((frame = client_in(frame)) != NULL)
		see(view, frame);
}

static void
take_frame(struct view *view, const char *frame)
{
	const char *number = strstr(frame, "{\"n\":");

	assert_false(view->is_over);
	if (strncmp(frame, "close", 5) == 0) {
		view->is_over = true;
		return;
	}
	frame += strlen("t:{\"type\":\"");
	if (strncmp(frame, "CONNECTED", 9) == 0) {
		take_connected(view, frame);
		return;
	}
	assert_true(view->is_connected);
	if (strncmp(frame, "PRESENCE:JOINED", 15) == 0) {
		see(view, client_in(frame));
	} else if (strncmp(frame, "PRESENCE:LEFT", 13) == 0) {
		miss(view, client_in(frame));
	} else if (strncmp(frame, "PRESENCE:UPDATED", 16) == 0) {
		/* Its own is told to it as well. */
		assert_non_null(client_in(frame));
	} else if (strncmp(frame, "DATA", 4) == 0) {
		assert_non_null(number);
		assert_int_equal(strtoul(number + 5, NULL, 10), view->next);
		view->next++;
	} else {
		assert_null(strstr(frame, "HISTORY_GAP"));
	}
}

/* Reads what one has got, frame by frame. */
static void
look(unsigned slot)
{
	struct ps_writer *got = &listeners[slot].receiver.got;
	char *frame, *end;

	ps_writer_u8(got, '\0');
	for (frame = got->data; *frame != '\0'; frame = end + 1) {
		end = strchr(frame, ';');
		assert_non_null(end);
		*end = '\0';
		take_frame(&views[slot], frame);
	}
	ps_writer_reset(got);
}

static bool
is_there(unsigned slot)
{
	return listeners[slot].session != NULL &&
	    session_find(&bridge, ps_slice_str(listeners[slot].id)) != NULL &&
	    listeners[slot].session->state == SESSION_OPEN;
}

static void
come(unsigned slot)
{
	struct listener *l = &listeners[slot];
	char since[32];
	unsigned from = history.newest == 0 ? 0 : draw(history.newest) + 1;

	if (listeners[slot].session != NULL)
		return;
	views[slot] = (struct view){ .next = history.newest + 1 };
	if (draw(2) == 0 && from > 0) {
		views[slot].next = from + 1;
		snprintf(since, sizeof(since), "evt_%08u", from);
		listener_create(l, "room", since);
	} else {
		listener_create(l, "room", NULL);
	}
	/* Events that come before it has joined are not for it. */
	if (listener_member(l) != NULL && !listener_member(l)->has_joined)
		session_end(l->session, "waits in line");
	else
		listener_attach(l);
}

static void
go(unsigned slot)
{
	if (!is_there(slot))
		return;
	switch (draw(3)) {
	case 0:
		session_close(listeners[slot].session, 1000,
		    ps_slice(NULL, 0));
		break;
	case 1:
		session_expel(listeners[slot].session, 1008, "test");
		break;
	default:
		session_end(listeners[slot].session, "test");
	}
}

/* It reads again, or does not any more. */
static void
turn_receiver(unsigned slot)
{
	struct listener *l = &listeners[slot];

	if (!is_there(slot))
		return;
	l->receiver.greedy = !l->receiver.greedy;
	if (l->receiver.greedy && l->receiver.receiver.session != NULL)
		l->receiver.receiver.ops->deliver(&l->receiver.receiver);
}

static void
step(void)
{
	unsigned slot = draw(SLOTS);

	switch (draw(10)) {
	case 0:
	case 1:
		come(slot);
		break;
	case 2:
		if (draw(3) == 0)
			go(slot);
		break;
	case 3:
		turn_receiver(slot);
		break;
	case 4:
		if (is_there(slot))
			(void)listener_say(&listeners[slot],
			    "{\"type\":\"PRESENCE\",\"payload\":{}}");
		break;
	case 5:
		if (history.n_waiting > 0)
			history_answer();
		break;
	case 6:
	case 7:
		if (channel_find(&bridge, ps_slice_str("room")) != NULL &&
		    !channel_is_busy(
			channel_find(&bridge, ps_slice_str("room"))))
			channel_emit("room", history.newest + 1);
		break;
	default:
		fixture_advance(draw(3));
	}
}

/* Those that are gone have been told all that they will be. */
static void
forget_gone(void)
{
	struct session *session;
	unsigned i;

	for (i = 0; i < SLOTS; i++) {
		look(i);
		if (listeners[i].session == NULL || is_there(i))
			continue;
		session = session_find(&bridge, ps_slice_str(listeners[i].id));
		if (session != NULL) /* nobody fetches the close event */
			session_end(session, "test");
		listeners[i].session = NULL;
	}
	bridge_free_garbage(&bridge);
}

static void
settle(void)
{
	unsigned i;

	for (i = 0; i < SLOTS; i++) {
		if (is_there(i) && !listeners[i].receiver.greedy)
			turn_receiver(i);
	}
	channel_settle();
	while (history.n_waiting > 0) {
		history_answer();
		channel_settle();
	}
	forget_gone();
}

/* Everyone that is there knows of everyone else, and has got all. */
static void
check_all(void)
{
	unsigned i, j, n = 0;

	for (i = 0; i < SLOTS; i++)
		n += is_there(i);
	for (i = 0; i < SLOTS; i++) {
		if (!is_there(i))
			continue;
		assert_int_equal(views[i].n_there, n - 1);
		assert_int_equal(views[i].next, history.newest + 1);
		for (j = 0; j < SLOTS; j++) {
			if (j != i && is_there(j))
				assert_true(find(&views[i],
						listeners[j].client) <
				    views[i].n_there);
		}
	}
}

static void
go_all(void)
{
	unsigned i;

	for (i = 0; i < SLOTS; i++) {
		if (is_there(i))
			session_end(listeners[i].session, "test");
	}
	channel_settle();
	forget_gone();
	assert_null(channel_find(&bridge, ps_slice_str("room")));
	history.newest = 0;
}

static void
all_hear_everything_once_and_in_order(void **state)
{
	const char *steps = getenv("POLYSOCKET_STEPS");
	const char *given = getenv("POLYSOCKET_SEED");
	uint64_t n = steps == NULL ? STEPS : strtoull(steps, NULL, 10), i;

	(void)state;
	seed = given == NULL ? (uint64_t)time(NULL) * 7919 + 1 :
			       strtoull(given, NULL, 10);
	print_message("# seed %" PRIu64 "\n", seed);
	for (i = 0; i < n; i++) {
		history.page = 1 + draw(8);
		step();
		forget_gone();
		if (draw(50) == 0 || history.newest > EVENTS_MAX) {
			settle();
			check_all();
		}
		if (history.newest > EVENTS_MAX)
			go_all();
	}
	settle();
	check_all();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    all_hear_everything_once_and_in_order, channel_setup,
		    channel_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
