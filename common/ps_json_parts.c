#include "config.h"

#include "ps_json_parts.h"

#include "ps_utf8.h"

static void
advance(struct ps_slice *s, size_t len)
{
	if (len > s->len)
		len = s->len;
	s->data += len;
	s->len -= len;
}

/* Length of the string at the begin of `s`, with its quotes. */
static size_t
string_len(struct ps_slice s)
{
	size_t i;

	for (i = 1; i < s.len && s.data[i] != '"'; i++) {
		if (s.data[i] == '\\')
			i++;
	}
	return i < s.len ? i + 1 : s.len;
}

/* Length of the value at the begin of `s`. */
static size_t
value_len(struct ps_slice s)
{
	size_t depth = 0, i = 0;

	while (i < s.len) {
		char c = s.data[i];

		if (depth == 0 && (c == ',' || c == '}' || c == ']'))
			break;
		if (c == '"') {
			i += string_len(ps_slice(s.data + i, s.len - i));
			continue;
		}
		if (c == '{' || c == '[')
			depth++;
		else if (c == '}' || c == ']')
			depth--;
		i++;
	}
	return i;
}

bool
ps_json_next_element(struct ps_slice *rest, struct ps_slice *value_r)
{
	advance(rest, 1); /* the bracket, or the comma behind the last one */
	*value_r = ps_slice(rest->data, value_len(*rest));
	advance(rest, value_r->len);
	return value_r->len > 0;
}

bool
ps_json_next_member(struct ps_slice *rest, struct ps_slice *name_r,
    struct ps_slice *value_r)
{
	advance(rest, 1);
	if (rest->len == 0 || rest->data[0] != '"')
		return false;
	*name_r = ps_slice(rest->data, string_len(*rest));
	advance(rest, name_r->len);
	return ps_json_next_element(rest, value_r); /* past the colon */
}

static uint32_t
code_unit(const char *digits)
{
	uint32_t unit = 0;
	int i;

	for (i = 0; i < 4; i++) {
		int c = digits[i];

		unit = unit << 4 |
		    (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return unit;
}

static bool
is_unit(struct ps_slice s, uint32_t first, uint32_t last, uint32_t *unit_r)
{
	if (s.len < 6 || s.data[0] != '\\' || s.data[1] != 'u')
		return false;
	*unit_r = code_unit(s.data + 2);
	return *unit_r >= first && *unit_r <= last;
}

size_t
ps_json_escaped(struct ps_slice s, uint32_t *c_r)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const char *letter;
	uint32_t low;

	if (s.len < 2 || (s.data[1] == 'u' && s.len < 6)) {
		*c_r = 0xfffd;
		return s.len;
	}
	if (s.data[1] != 'u') {
		letter = memchr(from, s.data[1], sizeof(from) - 1);
		*c_r = (unsigned char)(letter == NULL ? s.data[1] :
							to[letter - from]);
		return 2;
	}
	if (!is_unit(s, 0xd800, 0xdbff, c_r) ||
	    !is_unit(ps_slice(s.data + 6, s.len - 6), 0xdc00, 0xdfff, &low))
		return 6;
	*c_r = 0x10000 + ((*c_r - 0xd800) << 10) + (low - 0xdc00);
	return 12;
}

/* The escape at the begin of `s`; returns its length. */
static size_t
unescape(struct ps_writer *w, struct ps_slice s)
{
	uint32_t c;
	size_t len = ps_json_escaped(s, &c);
	char utf8[4];

	if (c >= 0xd800 && c <= 0xdfff)
		c = 0xfffd;
	ps_writer_bytes(w, utf8, ps_utf8_encode(utf8, c));
	return len;
}

void
ps_json_unescape(struct ps_writer *w, struct ps_slice string)
{
	size_t at = 1, run;

	while (at + 1 < string.len) {
		run = at;
		while (run + 1 < string.len && string.data[run] != '\\')
			run++;
		ps_writer_bytes(w, string.data + at, run - at);
		at = run;
		if (at + 1 < string.len)
			at += unescape(w, ps_slice(string.data + at,
					      string.len - 1 - at));
	}
}
