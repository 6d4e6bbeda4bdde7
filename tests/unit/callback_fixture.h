/*
 * Callbacks for tests, beside fixture.h: to an application that is responder.h,
 * with what became of them.
 */
#ifndef CALLBACK_FIXTURE_H
#define CALLBACK_FIXTURE_H

#include "fixture.h"
#include "loop.h"
#include "responder.h"

#include "wsbridge/outbox/callback.h"

/* One request and what became of it. */
struct call {
	struct callback *callback; /* NULL: over */
	unsigned n_done;
	int status;
	char error[256];
	struct ps_writer body;
	void (*on_done)(void);
};

extern struct responder responder;
extern char url[64]; /* of it */
extern uint64_t later_ms; /* by which the bridge's clock is ahead */
extern struct call call, other;

int callback_setup(void **state);
int callback_teardown(void **state);

void start_to(struct call *c, const char *to);
void start(struct call *c);
void wait_for(struct call *c);
/* Both. */
void request(struct call *c);

/* The value of a field of the request, such as "\r\nwebhook-id: "; NULL:
 * it has none. */
const char *header(const char *name);

#endif
