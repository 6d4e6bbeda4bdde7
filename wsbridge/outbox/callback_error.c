/* Why a callback had no whole answer, in words for the administrator. */
#include "config.h"

#include "callback_state.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void say(struct callback *callback, const char *format, ...)
    PS_PRINTF(2, 3);

/* Errors begin with a small letter, as in logs. */
static void
say(struct callback *callback, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(callback->error, sizeof(callback->error), format, args);
	va_end(args);
	callback->error[0] = (char)tolower((unsigned char)callback->error[0]);
}

static void
say_timeout(struct callback *callback)
{
	uint64_t ms = callback->timeout_ms;

	if (ms % 1000 == 0)
		say(callback, "timed out after %" PRIu64 " s", ms / 1000);
	else
		say(callback, "timed out after %" PRIu64 " ms", ms);
}

static void
say_not_connected(struct callback *callback)
{
	long number = 0;

	if (*callback->refused != '\0' && !callback->connected) {
		say(callback,
		    "address %s may not be reached (neither public "
		    "nor in allow_networks)",
		    callback->refused);
		return;
	}
	curl_easy_getinfo(callback->easy, CURLINFO_OS_ERRNO, &number);
	say(callback, "%s",
	    number == 0 ? "cannot connect" : strerror((int)number));
}

static void
say_certificate(struct callback *callback)
{
	static const char *const prefixes[] = { "SSL certificate problem: ",
		"SSL: " };
	const char *text = callback->curl_error;
	size_t i, len;

	for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		len = strlen(prefixes[i]);
		if (strncmp(text, prefixes[i], len) == 0) {
			text += len;
			break;
		}
	}
	say(callback, "certificate refused (%s)", text);
}

void
callback_describe(struct callback *callback, CURLcode code)
{
	if (callback->too_large)
		say(callback, "%s",
		    callback->head_bytes > REPLY_HEAD_MAX ?
			"head of the reply larger than 64 KiB" :
			"reply larger than callback_reply_bytes");
	else if (callback->body.failed || code == CURLE_OUT_OF_MEMORY)
		say(callback, "%s", "out of memory");
	else if (code == CURLE_OPERATION_TIMEDOUT)
		say_timeout(callback);
	else if (code == CURLE_COULDNT_CONNECT)
		say_not_connected(callback);
	else if (code == CURLE_PEER_FAILED_VERIFICATION)
		say_certificate(callback);
	else if (code == CURLE_GOT_NOTHING || code == CURLE_PARTIAL_FILE ||
		 code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR)
		say(callback, "%s", "connection lost before the reply's end");
	else if (*callback->curl_error != '\0')
		say(callback, "%s", callback->curl_error);
	else
		say(callback, "%s", curl_easy_strerror(code));
}
