#include "config.h"

#include "emit_fixture.h"

struct asked first, second;
struct ps_ipc_emit terms;
struct ps_writer kept;

void __wrap_history_put(struct bridge *of, struct ps_slice channel,
    const char *event_id, struct ps_slice payload);

void
__wrap_history_put(struct bridge *of, struct ps_slice channel,
    const char *event_id, struct ps_slice payload)
{
	assert_ptr_equal(of, &bridge);
	assert_int_equal(strlen(event_id), PS_EVENT_ID_LEN);
	ps_writer_printf(&kept, "%.*s %.*s;", (int)channel.len, channel.data,
	    (int)payload.len, payload.data);
}

static void
on_answer(struct emit_asker *asker, const struct emit_answer *answer)
{
	struct asked *asked = PS_CONTAINER(asker, struct asked, asker);

	asked->n++;
	asked->status = answer->status;
	assert_true(answer->json.len > 0 || allocation_failed);
	assert_true(answer->json.len < sizeof(asked->json));
	if (answer->json.len > 0)
		memcpy(asked->json, answer->json.data, answer->json.len);
	asked->json[answer->json.len] = '\0';
	asked->refusal = (struct refusal){ 0 };
	if (answer->refusal != NULL)
		asked->refusal = *answer->refusal;
}

static void
reset_terms(void)
{
	terms = (struct ps_ipc_emit){ .channel = ps_slice_str("room") };
}

void
emit_failing(struct asked *asked, const char *payloads, long succeed)
{
	struct ps_writer events = { 0 };
	size_t begin, len;

	*asked = (struct asked){ .asker.answer = on_answer };
	while (*payloads != '\0') {
		len = strcspn(payloads, "|");
		begin = ps_ipc_event_begin(&events, PS_EVENT_TEXT);
		ps_writer_bytes(&events, payloads, len);
		ps_ipc_event_end(&events, begin);
		payloads += len + (payloads[len] == '|');
		terms.count++;
	}
	terms.batch = terms.batch || terms.count > 1;
	ps_reader_init(&terms.events, events.data, events.len);
	allocations_left = succeed;
	emit_run(&bridge, &terms, fixture_quota(), &asked->asker);
	allocations_left = -1;
	ps_writer_deinit(&events);
	reset_terms();
}

void
emit(struct asked *asked, const char *payloads)
{
	emit_failing(asked, payloads, -1);
}

bool
was_told(const struct asked *asked, int status)
{
	return asked->n == 1 && asked->status == status;
}

bool
was_refused(const struct asked *asked, enum ps_code code)
{
	return was_told(asked, ps_code_info(code)->status) &&
	    asked->refusal.code == code &&
	    strstr(asked->json, ps_code_info(code)->word) != NULL &&
	    (strstr(asked->json, "eventID") != NULL) ==
		(code == PS_CODE_ACK_TIMEOUT) &&
	    strncmp(asked->json, "{\"success\":false,", 17) == 0;
}

bool
says(const struct asked *asked, const char *part)
{
	return strstr(asked->json, part) != NULL;
}

const char *
event_id(const char *text, unsigned index)
{
	static char id[PS_EVENT_ID_LEN + 1];

	while ((text = strstr(text, "\"evt_")) != NULL && index-- > 0)
		text += 5;
	assert_non_null(text);
	memcpy(id, text + 1, PS_EVENT_ID_LEN);
	return id;
}

bool
had_nothing(struct listener *l)
{
	channel_settle();
	return listener_got(l)[0] == '\0';
}

bool
were_kept(const char *events)
{
	bool same = ps_slice_is(written(&kept), events);

	ps_writer_reset(&kept);
	return same;
}

void
open_room(size_t n_members)
{
	size_t i;

	for (i = 0; i < n_members; i++)
		listener_join(&listeners[i], "room");
	channel_settle();
	for (i = 0; i < n_members; i++)
		listener_got(&listeners[i]);
}

void
acknowledge(struct listener *l, const char *id)
{
	char frame[128];

	snprintf(frame, sizeof(frame),
	    "{\"type\":\"ACK\",\"payload\":{\"eventID\":\"%s\"}}", id);
	assert_int_equal(listener_say(l, frame), PS_OK);
}

void
leave(struct listener *l)
{
	session_close(l->session, 1000, ps_slice(NULL, 0));
	channel_settle();
}

void
list(const char *clients)
{
	terms.clients = PS_IPC_CLIENTS_LISTED;
	terms.listed = ps_slice_str(clients);
}

int
emit_setup(void **state)
{
	reset_terms();
	allocation_failed = false;
	assert_non_null(ps_writer_reserve(&kept, 4096));
	return channel_setup(state);
}

int
emit_teardown(void **state)
{
	ps_writer_deinit(&kept);
	return channel_teardown(state);
}

unsigned
count_data(struct listener *l)
{
	const char *text = listener_got(l);
	unsigned n = 0;

	while ((text = strstr(text, "DATA ")) != NULL) {
		text++;
		n++;
	}
	return n;
}
