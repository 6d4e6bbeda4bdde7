/*
 * What stands in for the database and for applications in tests of the outbox:
 * rows in memory, a store that does a job when the test says so, and callbacks
 * that the test answers. A test that has this among its sources is linked with
 * outbox_wraps (tests/local.mk). Setup and teardown are for cmocka; they have
 * those of fixture.h in them.
 */
#ifndef OUTBOX_FIXTURE_H
#define OUTBOX_FIXTURE_H

#include "fixture.h"

#include "wsbridge/outbox/callback.h"
#include "wsbridge/store/jobs.h"
#include "wsbridge/outbox/outbox.h"

#define FAKE_ROWS_MAX 4096
#define FAKE_CALLS_MAX 512
/* The application of most tests, and its patterns: anything. */
#define TOKEN 1

struct fake_row {
	char session[24], client[24], callback[64], error[64];
	uint64_t number;
	int64_t token_id, accepted_at_ms, since_ms;
	unsigned attempts;
	bool is_dead;
	char body[64]; /* its beginning; the rest is of 'x' */
	size_t len;
};

/* The table; rows are in the order in which they were put. */
extern struct fake_row fake_rows[FAKE_ROWS_MAX];
extern size_t n_fake_rows;
/* Puts of this session are refused by the schema; empty: of none. The one with
 * that number alone, or with 0 all of them. */
extern char refused_session[24];
extern uint64_t refused_number;
/* Puts that were noted for other bridges. */
extern unsigned n_notes;

struct fake_call {
	bool is_active;
	char url[64], id[80], key[16], body[256];
	size_t len; /* of the body */
	callback_done_fn done;
	void *owner;
};

/* Those that were started, in their order; the places of old ones are taken
 * again when there is no other. */
extern struct fake_call fake_calls[FAKE_CALLS_MAX];
extern size_t n_fake_calls, n_active_calls, most_active_calls;
/* NULL, or who hears of each. */
extern void (*on_fake_call)(const struct fake_call *call);
extern bool calls_fail; /* there is no memory for one */

int outbox_setup(void **state);
int outbox_setup_loop(void **state); /* see fixture_setup_loop() */
int outbox_teardown(void **state);

/* The application `token_id` may call this, such as "http://a". */
void allow_callbacks(int64_t token_id, const char *pattern);
/* The same of a token that is valid until then. */
void allow_callbacks_until(int64_t token_id, const char *pattern,
    int64_t expires_at_s);

/* Whether the store has a job; and has not begun with it. */
bool store_has_job(void);
extern bool store_rests;
/* It does the job, with that result, and lets the turn end. Where that is not
 * PS_OK, nothing is written. */
void store_end(int ret);
/* Commits whatever there is until nothing is left. */
void store_settle(void);
/* The job runs, is rolled back, and waits as before. */
void store_roll_back(void);

/* A callback of a session; false: there was no memory. */
bool say(const char *session, uint64_t number, const char *body);
bool say_to(const char *session, uint64_t number, const char *url,
    const char *body);
struct fake_row *find_row(const char *session, uint64_t number);

/* The first callback under way that is for this row; NULL: there is none. */
struct fake_call *find_call(const char *session, uint64_t number);
/* The application answers; 0: it does not. */
void answer(struct fake_call *call, int status, const char *body);
/* Every callback that is or comes under way is answered, and written. */
void answer_all(int status);

/* A bridge that was killed starts again from the rows. */
void outbox_restart(void);
/* The administrator does this. */
void revive_row(struct fake_row *row);

#endif
