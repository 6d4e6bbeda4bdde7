/*
 * An application for callbacks that does next to nothing: it answers a POST
 * of {"message":TEXT,...} with {"message":TEXT}, one of anything else with an
 * empty reply, and verifies no signature. With --count it keeps the messages
 * to itself, but looks at their numbers: each client's, as the load generator
 * makes them, must come from 0 on, once more in each run, without one that is
 * missing, doubled or out of order, or the program ends with an error. A GET
 * tells how many came.
 *
 * It prints its port on 127.0.0.1, and ends with the process that started it
 * or by a signal.
 */
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/lib/link.h"
#include "bench/lib/server.h"

enum { MAX_CLIENTS = 100000, IN_SIZE = 16 * 1024 };

static bool counts;
static unsigned long long next_number[MAX_CLIENTS], n_messages;

static void
answer(int fd, const char *status, const char *body, size_t len)
{
	char out[IN_SIZE + 256];
	int head = snprintf(out, sizeof(out) - len,
	    "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\n\r\n",
	    status, len);

	memcpy(out + head, body, len);
	/* A reply fits into an empty socket buffer. */
	if (write(fd, out, (size_t)head + len) != (ssize_t)(head + len) &&
	    errno != EPIPE && errno != ECONNRESET)
		die("write: %s", strerror(errno));
}

/* Behind the string literal that begins at `text`; NULL if none does. */
static const char *
string_end(const char *text, const char *end)
{
	if (text == end || *text != '"')
		return NULL;
	for (text++; text < end && *text != '"'; text++)
		text += *text == '\\' && text + 1 < end;
	return text < end ? text + 1 : NULL;
}

static void
count(const char *message)
{
	unsigned client;
	unsigned long long number;

	n_messages++;
	if (sscanf(message, "\"%u.%llu.", &client, &number) != 2 ||
	    client >= MAX_CLIENTS)
		die("not a message of the load generator: %.60s", message);
	if (number != 0 && number != next_number[client])
		die("client %u: message %llu instead of %llu", client, number,
		    next_number[client]);
	next_number[client] = number + 1;
}

static void
take_post(int fd, const char *body, size_t len)
{
	static const char before[] = "{\"message\":";
	const char *message = body + sizeof(before) - 1, *end = NULL;
	char reply[IN_SIZE];

	if (len >= sizeof(before) &&
	    memcmp(body, before, sizeof(before) - 1) == 0)
		end = string_end(message, body + len);
	if (end == NULL || counts) {
		if (end != NULL)
			count(message);
		answer(fd, "200 OK", "", 0);
		return;
	}
	len = (size_t)(end - body);
	memcpy(reply, body, len);
	reply[len] = '}';
	answer(fd, "200 OK", reply, len + 1);
}

/* One request, if it is there; its length or 0. */
static size_t
request_take(int fd, char *in, size_t in_len)
{
	char text[32], *end, *field;
	size_t head, len = 0;

	if ((end = strstr(in, "\r\n\r\n")) == NULL)
		return 0;
	head = (size_t)(end - in) + 4;
	field = strcasestr(in, "\r\nContent-Length:");
	if (field != NULL && field < end)
		len = strtoul(field + strlen("\r\nContent-Length:"), NULL, 10);
	if (len > IN_SIZE - 1 - head)
		die("a request of more than %d bytes", IN_SIZE);
	if (in_len < head + len)
		return 0;
	if (strncmp(in, "GET ", 4) == 0)
		answer(fd, "200 OK", text, (size_t)snprintf(text, sizeof(text),
		    "%llu\n", n_messages));
	else
		take_post(fd, in + head, len);
	return head + len;
}

int
main(int argc, char **argv)
{
	static const struct server server = { .in_size = IN_SIZE - 1,
		.take = request_take };

	if (argc > 2 || (argc == 2 && strcmp(argv[1], "--count") != 0))
		die("usage: callback-echo [--count]");
	counts = argc == 2;
	server_run(&server);
}
