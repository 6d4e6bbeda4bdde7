/*
 * The requests of the relay, dialect `polysocket`, for the modes that speak
 * it. A session id is what relay_session() found in the answer to create.
 */
#ifndef BENCH_RELAY_H
#define BENCH_RELAY_H

#include "http.h"

void relay_create(struct http *http, const char *path);
void relay_session(char *session, size_t size, unsigned client, int status,
		   const char *answer);
void relay_poll(struct http *http, const char *session);
void relay_stream(struct http *http, const char *session);
void relay_send(struct http *http, const char *session, const char *data);
void relay_close(struct http *http, const char *session);

#endif
