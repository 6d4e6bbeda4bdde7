#include "config.h"

#include "ps_request.h"

#include <strings.h>

#include "ps_url.h"
#include "ps_utf8.h"

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int
ps_request_decode(struct ps_slice *text, char *buffer, bool form)
{
	size_t i, out = 0;
	int high, low;

	for (i = 0; i < text->len; i++) {
		char c = buffer[i];

		if (c == '%') {
			if (text->len - i < 3 ||
			    (high = hex(buffer[i + 1])) < 0 ||
			    (low = hex(buffer[i + 2])) < 0)
				return PS_ERR_MALFORMED;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+' && form) {
			c = ' ';
		}
		if (c == '\0')
			return PS_ERR_MALFORMED;
		buffer[out++] = c;
	}
	*text = ps_slice(buffer, out);
	return ps_utf8_is_valid(buffer, out) ? PS_OK : PS_ERR_MALFORMED;
}

struct ps_slice
ps_request_origin(struct ps_slice origin, struct ps_slice referer)
{
	struct ps_slice named;

	if (origin.len == 0)
		return ps_origin_from_header(referer);
	named = ps_origin_from_header(origin);
	return named.len > 0 ? named : ps_slice_str("null");
}

struct ps_slice
ps_request_bearer(struct ps_slice authorization)
{
	static const char scheme[] = "Bearer ";
	size_t skip = sizeof(scheme) - 1;

	if (authorization.len <= skip ||
	    strncasecmp(authorization.data, scheme, skip) != 0)
		return ps_slice(NULL, 0);
	while (skip < authorization.len && authorization.data[skip] == ' ')
		skip++;
	return ps_slice(authorization.data + skip, authorization.len - skip);
}
