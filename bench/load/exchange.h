/*
 * A client that holds a conversation over HTTP as a browser does: one
 * connection on which it receives, by long poll or by stream, and one on
 * which it sends. A trip is a send, the echo's arrival and, by long poll, the
 * next poll; its time runs from the send's writing to the echo's arrival. With
 * --rate each client begins a trip at fixed times. A trip that has to wait for
 * the one before is timed from when it should have begun, so that one that
 * takes long makes those behind it no shorter.
 *
 * What differs between protocols is a struct dialect.
 */
#ifndef BENCH_EXCHANGE_H
#define BENCH_EXCHANGE_H

#include "bench/lib/http.h"
#include "load.h"

struct exchange {
	const struct dialect *dialect;
	unsigned index;
	bool is_stream;
	bool is_open;
	bool is_closing;
	char session[80];
	uint64_t n_sent;
	uint64_t n_received;
	uint64_t sent_ns;
	uint64_t due_ns; /* of the next trip, with --rate */
	bool is_waiting; /* for that time */
	struct exchange *next_waiting;
	struct http in;
	struct http out;
	size_t text_len; /* of an answer, up to where it was understood */
	char text[MAX_PAYLOAD + 512];
};

struct dialect {
	/* Opens the session on `out`; NULL: the first receive does. */
	void (*create)(struct exchange *exchange);
	void (*created)(struct exchange *exchange);
	void (*receive)(struct exchange *exchange);
	void (*send)(struct exchange *exchange, const char *data);
	void (*close)(struct exchange *exchange); /* NULL: just leave */
	int sent_status;
	/*
	 * Understands one line of what was received; calls
	 * exchange_opened() and exchange_message().
	 */
	void (*line)(struct exchange *exchange, const char *line);
};

void exchange_start(struct exchange *exchange, const struct dialect *dialect,
		    unsigned index, bool is_stream);
void exchange_opened(struct exchange *exchange);
void exchange_tick(void); /* of every mode that may have a rate */

/* Takes the JSON string at `data`; returns what follows its quote. */
const char *exchange_message(struct exchange *exchange, const char *data);

#endif
