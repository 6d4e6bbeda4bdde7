#include "config.h"

#include "channel_fixture.h"

#include <stdlib.h>

#include "wsbridge/channels/emit.h"
#include "wsbridge/channels/envelope.h"

struct listener listeners[LISTENERS_MAX];
struct listener *const a = &listeners[0];
struct listener *const b = &listeners[1];
struct listener *const c = &listeners[2];
struct fake_history history;

/* Those that wait, the oldest first. */
static struct history_request {
	unsigned since, newest; /* behind it, up to what was the newest */
	uint32_t limit;
	history_fn done;
	void *owner;
} *requests[LISTENERS_MAX];

static void
reset(void)
{
	memset(listeners, 0, sizeof(listeners));
	history = (struct fake_history){ .oldest = 1, .page = 1000 };
}

static int
configure(int ret)
{
	if (ret == 0) {
		fixture_set("queue_messages=8");
		fixture_set("queue_bytes=4KiB");
		fixture_set("max_message=1KiB");
	}
	return ret;
}

int
channel_setup(void **state)
{
	reset();
	return configure(fixture_setup(state));
}

int
channel_setup_loop(void **state)
{
	reset();
	return configure(fixture_setup_loop(state));
}

int
channel_teardown(void **state)
{
	int ret = fixture_teardown(state);
	size_t i;

	for (i = 0; i < ROWS(listeners); i++) {
		ps_writer_deinit(&listeners[i].receiver.got);
		ps_writer_deinit(&listeners[i].got);
	}
	return ret;
}

void
listener_create(struct listener *l, const char *channel, const char *since)
{
	struct member_terms terms = { .channel = ps_slice_str(channel),
		.rights = { .token_id = 1 },
		.remote_addr = ps_slice_str("192.0.2.1"),
		.since = ps_slice_str(since) };
	struct refusal refusal;
	size_t i;

	for (i = 0; i < PS_TOKEN_LIMIT__COUNT; i++)
		terms.rights.limits.value[i] = PS_NO_LIMIT;
	l->session = member_create(&bridge, &terms, &refusal);
	assert_non_null(l->session);
	strcpy(l->id, l->session->id);
	strcpy(l->client, l->session->recipient->client);
}

void
listener_attach(struct listener *l)
{
	l->receiver.greedy = true;
	assert_true(fixture_attach(l->session, &l->receiver, UINT32_MAX));
	if (session_has_unsent(l->session))
		l->receiver.receiver.ops->deliver(&l->receiver.receiver);
}

void
channel_settle(void)
{
	unsigned turns = 0;

	do {
		fixture_advance(0);
		assert_true(turns++ < 10000);
	} while (!TAILQ_EMPTY(&bridge.fanout.due));
}

void
listener_join(struct listener *l, const char *channel)
{
	listener_create(l, channel, NULL);
	listener_attach(l);
	channel_settle();
	listener_got(l);
}

void
listeners_open_two(void)
{
	listener_join(a, "room");
	listener_join(b, "room");
	listener_got(a);
}

static void
replace(struct ps_writer *w, const char *from, const char *to)
{
	size_t n_from = strlen(from), n_to = strlen(to);
	char *at = w->data;

	assert_true(n_to <= n_from);
	while ((at = strstr(at, from)) != NULL) {
		memcpy(at, to, n_to);
		memmove(at + n_to, at + n_from,
		    strlen(at + n_from) + 1);
		at += n_to;
	}
}

const char *
listener_got(struct listener *l)
{
	char number[16];
	size_t i;

	ps_writer_reset(&l->got);
	ps_writer_bytes(&l->got, l->receiver.got.data, l->receiver.got.len);
	ps_writer_u8(&l->got, '\0');
	ps_writer_reset(&l->receiver.got);
	for (i = 0; i < ROWS(listeners); i++) {
		snprintf(number, sizeof(number), "#%zu", i);
		if (listeners[i].client[0] != '\0')
			replace(&l->got, listeners[i].client, number);
	}
	replace(&l->got, "t:{\"type\":\"", "");
	replace(&l->got, "\",\"payload\":", " ");
	replace(&l->got, "};", ";");
	for (i = 1; i < 1000; i++) {
		char event[64];

		snprintf(number, sizeof(number), "%zu", i);
		snprintf(event, sizeof(event),
		    "{\"n\":%zu},\"eventID\":\"evt_%08zu\"", i, i);
		replace(&l->got, event, number);
	}
	replace(&l->got, ",\"replayed\":true", "*");
	return l->got.data;
}

struct member *
listener_member(const struct listener *l)
{
	return member_of(l->session);
}

int
listener_say(struct listener *l, const char *frame)
{
	struct ps_ipc_send m = { .socket = ps_slice_str(l->session->id) };
	struct ps_writer w = { 0 };
	struct ps_reader r;
	const char *limit;
	size_t begin;
	int ret;

	ps_ipc_send_begin(&w, &m);
	begin = ps_ipc_event_begin(&w, PS_EVENT_TEXT);
	ps_writer_str(&w, frame);
	ps_ipc_event_end(&w, begin);
	ps_ipc_events_end(&w, 1);
	ps_reader_init(&r, w.data + 5, w.len - 5);
	assert_int_equal(ps_ipc_decode_send(&r, &m), PS_OK);
	ret = session_from_client(l->session, &m, &limit);
	ps_writer_deinit(&w);
	return ret;
}

void
channel_emit(const char *name, unsigned number)
{
	struct channel *channel = channel_find(&bridge, ps_slice_str(name));
	char payload[32], id[PS_EVENT_ID_LEN + 8];
	struct message *message;

	snprintf(payload, sizeof(payload), "{\"n\":%u}", number);
	snprintf(id, sizeof(id), "evt_%08u", number);
	history.newest = number;
	message = envelope_data(ps_slice_str(payload), id, false, false);
	assert_non_null(message);
	assert_non_null(channel);
	assert_true(channel_send(channel, message, NULL));
}

struct history_request *__wrap_history_read(struct bridge *of,
    struct ps_slice channel, struct ps_slice since, uint32_t limit,
    history_fn done, void *owner);
struct history_request *__wrap_history_read_on(struct bridge *of,
    struct ps_slice channel, const struct ps_event_cursor *cursor,
    uint32_t limit, history_fn done, void *owner);
void __wrap_history_cancel(struct history_request *request);

static struct history_request *
ask(unsigned since, unsigned newest, uint32_t limit, history_fn done,
    void *owner)
{
	struct history_request *request;

	if (history.is_full)
		return NULL;
	request = malloc(sizeof(*request));
	assert_non_null(request);
	*request = (struct history_request){ since, newest,
		limit < history.page ? limit : history.page, done, owner };
	assert_true(history.n_waiting < ROWS(requests));
	requests[history.n_waiting++] = request;
	history.n_reads++;
	return request;
}

static void
forget(struct history_request *request)
{
	unsigned i = 0;

	while (requests[i] != request)
		assert_true(++i < history.n_waiting);
	history.n_waiting--;
	memmove(&requests[i], &requests[i + 1],
	    (history.n_waiting - i) * sizeof(requests[0]));
	free(request);
}

struct history_request *
__wrap_history_read(struct bridge *of, struct ps_slice channel,
    struct ps_slice since, uint32_t limit, history_fn done, void *owner)
{
	unsigned number = 0;

	(void)of;
	(void)channel;
	if (since.len > 4)
		number = (unsigned)atoi(since.data + 4);
	return ask(number, history.newest, limit, done, owner);
}

struct history_request *
__wrap_history_read_on(struct bridge *of, struct ps_slice channel,
    const struct ps_event_cursor *cursor, uint32_t limit, history_fn done,
    void *owner)
{
	(void)of;
	(void)channel;
	return ask((unsigned)cursor->after, (unsigned)cursor->end, limit,
	    done, owner);
}

void
__wrap_history_cancel(struct history_request *request)
{
	if (request != NULL)
		forget(request);
}

static void
make_event(struct history_event *event, unsigned number)
{
	static char payloads[1000][16];

	assert_true(number < ROWS(payloads));
	snprintf(event->id, sizeof(event->id), "evt_%08u", number % 100000000);
	snprintf(payloads[number], sizeof(payloads[number]), "{\"n\":%u}",
	    number);
	event->payload = ps_slice_str(payloads[number]);
}

void
history_answer(void)
{
	static struct history_event events[1000];
	struct history_result result = { .events = events };
	struct history_request request;
	unsigned number;

	assert_true(history.n_waiting > 0);
	request = *requests[0];
	forget(requests[0]);
	number = request.since + 1;
	result.gap = number < history.oldest || number > request.newest + 1;
	if (result.gap)
		number = history.oldest;
	for (; number <= request.newest && result.count < request.limit;
	     number++)
		make_event(&events[result.count++], number);
	result.more = number <= request.newest;
	result.cursor = (struct ps_event_cursor){ .after = number - 1,
		.end = request.newest,
		.end_id = 1 };
	request.done(request.owner, &result);
}

void
history_fail(void)
{
	struct history_result result = { .failed = true };
	struct history_request request;

	assert_true(history.n_waiting > 0);
	request = *requests[0];
	forget(requests[0]);
	request.done(request.owner, &result);
}

/* Other parts, which have tests of their own. */
bool __wrap_acks_take(struct bridge *of, struct member *member,
    struct ps_slice event_id);
void __wrap_acks_leave(struct member *member);
void __wrap_emit_run(struct bridge *of, const struct ps_ipc_emit *emit,
    struct quota *quota, struct emit_asker *asker);
void __wrap_emit_forget(struct emit_asker *asker);

bool
__wrap_acks_take(struct bridge *of, struct member *member,
    struct ps_slice event_id)
{
	(void)of;
	(void)member;
	return ps_slice_is(event_id, "evt_awaited_");
}

void
__wrap_acks_leave(struct member *member)
{
	assert_null(member->session);
}

void
__wrap_emit_run(struct bridge *of, const struct ps_ipc_emit *emit,
    struct quota *quota, struct emit_asker *asker)
{
	(void)of;
	(void)emit;
	(void)quota;
	(void)asker;
}

void
__wrap_emit_forget(struct emit_asker *asker)
{
	(void)asker;
}
