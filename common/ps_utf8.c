#include "config.h"

#include "ps_utf8.h"

#include <string.h>

/* Length of the leading run of ASCII, eight bytes at a time. */
static size_t
ascii_run(const unsigned char *p, size_t len)
{
	size_t n = 0;
	uint64_t word;

	while (len - n >= sizeof(word)) {
		memcpy(&word, p + n, sizeof(word));
		if (word & UINT64_C(0x8080808080808080))
			break;
		n += sizeof(word);
	}
	while (n < len && p[n] < 0x80)
		n++;
	return n;
}

/*
 * Length of the multi-byte sequence at `p`, 0 when it is none; more than `len`
 * when it is one as far as it is there. The bounds of the second byte are those
 * of table 3-7 of the Unicode standard.
 */
static size_t
sequence(const unsigned char *p, size_t len)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t size, i;

	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		size = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		size = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		size = 4;
	else
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (len > 1 && (p[1] < low || p[1] > high))
		return 0;
	for (i = 2; i < size && i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return size;
}

bool
ps_utf8_goes_on(const char *data, size_t len, size_t *at)
{
	const unsigned char *p = (const unsigned char *)data;
	size_t n;

	while (*at < len) {
		*at += ascii_run(p + *at, len - *at);
		if (*at == len)
			break;
		n = sequence(p + *at, len - *at);
		if (n == 0)
			return false;
		if (n > len - *at)
			break;
		*at += n;
	}
	return true;
}

bool
ps_utf8_is_valid(const char *data, size_t len)
{
	size_t at = 0;

	return ps_utf8_goes_on(data, len, &at) && at == len;
}

size_t
ps_utf8_encode(char utf8[4], uint32_t c)
{
	/* Of the first byte, by the number of bytes that follow. */
	static const unsigned char marks[] = { 0x00, 0xc0, 0xe0, 0xf0 };
	size_t follow = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3, i;

	for (i = follow; i > 0; i--) {
		utf8[i] = (char)(0x80 | (c & 0x3f));
		c >>= 6;
	}
	utf8[0] = (char)(marks[follow] | c);
	return follow + 1;
}

size_t
ps_utf8_count(const char *data, size_t len)
{
	size_t count = 0, i;

	for (i = 0; i < len; i++)
		count += ((unsigned char)data[i] & 0xc0) != 0x80;
	return count;
}

/* U+061C, U+200E, U+200F, U+2028 to U+202E, U+2066 to U+2069. */
bool
ps_utf8_is_hidden(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	if (p[0] == 0xc2)
		return p[1] < 0xa0; /* C1 */
	if (p[0] == 0xd8)
		return p[1] == 0x9c;
	if (p[0] != 0xe2)
		return false;
	if (p[1] == 0x80)
		return (p[2] >= 0xa8 && p[2] <= 0xae) || p[2] == 0x8e ||
		    p[2] == 0x8f;
	return p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9;
}

bool
ps_utf8_is_plain(const char *data, size_t len)
{
	const unsigned char *p = (const unsigned char *)data;
	size_t i;

	for (i = 0; i < len; i++) {
		if (p[i] < 0x20 || p[i] == 0x7f ||
		    (p[i] >= 0xc2 && ps_utf8_is_hidden(data + i)))
			return false;
	}
	return true;
}
