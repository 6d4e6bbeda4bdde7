/*
 * The requests of the relay, dialect `polysocket`, for the modes that speak
 * it. A session id is what relay_session() found in the answer to create.
 */
#ifndef BENCH_RELAY_H
#define BENCH_RELAY_H

#include "http.h"

/* What was received of a short answer, as a string. */
struct answer {
	size_t len;
	char text[1024];
};

void answer_add(struct answer *answer, const char *data, size_t len);

/*
 * The n-th create of all: it comes with one of load.n_tokens secrets in turn,
 * which are the numbers from 1, as 64 hexadecimal digits.
 */
void relay_create(struct http *http, const char *path, uint64_t n);
void relay_session(char *session, size_t size, unsigned client, int status,
		   const char *answer);
void relay_poll(struct http *http, const char *session);
void relay_stream(struct http *http, const char *session);
void relay_send(struct http *http, const char *session, const char *data);
void relay_close(struct http *http, const char *session);

#endif
