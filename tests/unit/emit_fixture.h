/*
 * Emits for tests, beside channel_fixture.h: who asks and what it is told, and
 * what went to the history. A test that has this among its sources is linked
 * with emit_wraps (tests/local.mk).
 */
#ifndef EMIT_FIXTURE_H
#define EMIT_FIXTURE_H

#include "allocations.h"
#include "channel_fixture.h"

#include "wsbridge/channels/emit.h"

/* Whoever asks, and what it is told. */
struct asked {
	struct emit_asker asker;
	unsigned n; /* so often */
	int status;
	char json[4096];
	struct refusal refusal;
};

extern struct asked first, second;
extern struct ps_ipc_emit terms; /* of the next emit */
extern struct ps_writer kept; /* what went to the history */

/* Emits "payload|payload|..." on the terms, which are plain again then. With
 * `succeed` not negative, so many allocations succeed and then one fails. */
void emit_failing(struct asked *asked, const char *payloads, long succeed);
void emit(struct asked *asked, const char *payloads);

bool was_told(const struct asked *asked, int status);
bool was_refused(const struct asked *asked, enum ps_code code);
bool says(const struct asked *asked, const char *part);

/* The `index`th id of an event in `text`. */
const char *event_id(const char *text, unsigned index);
unsigned count_data(struct listener *l);
bool had_nothing(struct listener *l);
/* In the history, since it was asked last. */
bool were_kept(const char *events);

/* So many members of "room", who have heard of each other. */
void open_room(size_t n_members);
void acknowledge(struct listener *l, const char *id);
void leave(struct listener *l);
void list(const char *clients);

int emit_setup(void **state);
int emit_teardown(void **state);

#endif
