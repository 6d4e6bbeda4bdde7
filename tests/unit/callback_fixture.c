#include "config.h"

#include "callback_fixture.h"

#include "ps_clock.h"

struct responder responder;
static uv_timer_t ticks;
char url[64];
uint64_t later_ms;
struct call call, other;

static uint64_t
clock_ms(void)
{
	return ps_clock_ms() + later_ms;
}

int
callback_setup(void **state)
{
	if (fixture_setup_loop(state) != 0)
		return -1;
	later_ms = 0;
	bridge.now_ms = clock_ms;
	bridge.callbacks = callbacks_create(&bridge);
	loop_start_ticks(bridge.loop, &ticks);
	responder_open(&responder, bridge.loop);
	fixture_set("allow_networks=127.0.0.1");
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/./hook?a=b%%20c",
	    responder.port);
	call = other = (struct call){ 0 };
	return bridge.callbacks == NULL ? -1 : 0;
}

int
callback_teardown(void **state)
{
	callbacks_destroy(bridge.callbacks);
	bridge.callbacks = NULL;
	responder_close(&responder);
	loop_stop_ticks(&ticks);
	ps_writer_deinit(&call.body);
	ps_writer_deinit(&other.body);
	return fixture_teardown(state);
}

static void
on_done(void *owner, const struct callback_result *result)
{
	struct call *c = owner;

	assert_non_null(c->callback);
	c->callback = NULL;
	c->n_done++;
	c->status = result->status;
	snprintf(c->error, sizeof(c->error), "%s", result->error);
	ps_writer_reset(&c->body);
	ps_writer_bytes(&c->body, result->body.data, result->body.len);
	if (c->on_done != NULL)
		c->on_done();
}

void
start_to(struct call *c, const char *to)
{
	const struct callback_request request = { .url = to,
		.key = ps_slice("\0key", 4),
		.id = "msg_a7k2xw-15_7",
		.body = ps_slice_str("{\"message\":\"hi\"}") };

	c->callback =
	    callback_start(bridge.callbacks, &request, on_done, c);
	assert_non_null(c->callback);
}

void
start(struct call *c)
{
	start_to(c, url);
}

void
wait_for(struct call *c)
{
	loop_run_until(bridge.loop, c->callback == NULL);
}

void
request(struct call *c)
{
	start(c);
	wait_for(c);
}

const char *
header(const char *name)
{
	static char value[256];
	const char *field = strstr(responder.request.data, name);

	if (field == NULL)
		return NULL;
	field += strlen(name);
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(field, "\r"),
	    field);
	return value;
}
