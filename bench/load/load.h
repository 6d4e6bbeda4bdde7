/*
 * What the modes of the load generator share: the options, the phases of a
 * run, and the places where a mode reports.
 *
 *   STARTING   clients open, a few at a time; those that are open work
 *   WARMING    all work, nothing is counted
 *   MEASURING  trips and processor time are counted
 *   FINISHING  every client ends its trip, checks that nothing is missing,
 *              closes its session and reports load_finished()
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_PAYLOAD = 8 * 1024 };

struct mode {
	const char *name;
	size_t client_size;
	/* Starts a zeroed client; it reports load_started() once. */
	void (*start)(void *client, unsigned index);
	/* Called every turn, may be NULL. */
	void (*tick)(void);
	/* Makes no trips: has nothing to report, and is not stalled by that. */
	bool is_idle;
};

enum phase { STARTING, WARMING, MEASURING, FINISHING };

struct load {
	const struct mode *mode;
	unsigned n_clients;
	unsigned payload_len;
	uint16_t port;
	const char *prefix; /* before every path */
	const char *target; /* what the relay connects to */
	const char *origin; /* of the page that the clients are; NULL: none */
	unsigned n_tokens;  /* of the database, see relay_create(); 0: none */
	unsigned rate;      /* trips per second of all clients; 0: all they can */
	unsigned post_len;  /* ceiling: body of a POST; 0 is GET */
	const char *path;   /* behind the prefix: emit; SockJS's service */
	unsigned n_delivered; /* emit: members that it has to reach */
	enum phase phase;
};

extern struct load load;
extern const struct mode ceiling_mode, poll_mode, stream_mode, send_mode,
    sockjs_poll_mode, sockjs_stream_mode, sockjs_send_mode, sockjs_ws_mode,
    ws_mode, hold_mode, create_mode, emit_mode;

void load_started(void);
void load_trip(uint64_t began_ns);
void load_finished(void);

/*
 * The payload of a client's message: numbered, so that one that is lost,
 * doubled, late or another client's is seen. Borrowed until the next call.
 */
const char *payload(unsigned client, uint64_t number);

#endif
