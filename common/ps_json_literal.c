#include "config.h"

#include "ps_json_literal.h"

#include "ps_json.h"
#include "ps_json_parts.h"
#include "ps_utf8.h"

/*
 * What a byte of text asks for: 0 nothing; 1 a \u escape; 'E' a look at the
 * two that follow; any other value the letter after a backslash.
 */
// clang-format off
static const unsigned char escapes[256] = {
	[0x00] = 1, [0x01] = 1, [0x02] = 1, [0x03] = 1, [0x04] = 1, [0x05] = 1,
	[0x06] = 1, [0x07] = 1, ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n',
	[0x0b] = 1, ['\f'] = 'f', ['\r'] = 'r', [0x0e] = 1, [0x0f] = 1,
	[0x10] = 1, [0x11] = 1, [0x12] = 1, [0x13] = 1, [0x14] = 1, [0x15] = 1,
	[0x16] = 1, [0x17] = 1, [0x18] = 1, [0x19] = 1, [0x1a] = 1, [0x1b] = 1,
	[0x1c] = 1, [0x1d] = 1, [0x1e] = 1, [0x1f] = 1,
	['"'] = '"', ['\\'] = '\\', [0xe2] = 'E', [0xef] = 'E',
};
// clang-format on

/* Whether browsers do not leave alone a character from U+0800 on. */
static bool
is_fragile(uint32_t c)
{
	return (c >= 0x200c && c <= 0x200f) || (c >= 0x2028 && c <= 0x202f) ||
	       (c >= 0x2060 && c <= 0x206f) || (c >= 0xfff0 && c <= 0xffff);
}

/* Writes the character at the begin of `text`, whose byte asks for `kind`;
 * returns its length. */
static size_t
put_character(struct ps_writer *w, struct ps_slice text, unsigned char kind)
{
	const unsigned char *p = (const unsigned char *)text.data;
	uint32_t c;

	if (kind == 1) {
		ps_writer_printf(w, "\\u%04x", *p);
		return 1;
	}
	if (kind != 'E') {
		ps_writer_bytes(w, "\\", 1);
		ps_writer_bytes(w, &kind, 1);
		return 1;
	}
	if (text.len < 3) { /* it is no UTF-8 */
		ps_writer_bytes(w, p, 1);
		return 1;
	}
	c = (p[0] & 0xfu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
	if (is_fragile(c))
		ps_writer_printf(w, "\\u%04x", (unsigned)c);
	else
		ps_writer_bytes(w, p, 3);
	return 3;
}

static void
put_text(struct ps_writer *w, struct ps_slice text)
{
	size_t at = 0, run;

	while (at < text.len) {
		run = at;
		while (run < text.len &&
		       escapes[(unsigned char)text.data[run]] == 0)
			run++;
		ps_writer_bytes(w, text.data + at, run - at);
		at = run;
		if (at < text.len)
			at += put_character(
			    w, ps_slice(text.data + at, text.len - at),
			    escapes[(unsigned char)text.data[at]]);
	}
}

void
ps_json_literal_text(struct ps_writer *w, struct ps_slice text)
{
	ps_writer_reserve(w, text.len + 2);
	ps_writer_bytes(w, "\"", 1);
	put_text(w, text);
	ps_writer_bytes(w, "\"", 1);
}

static bool
is_surrogate(uint32_t c)
{
	return c >= 0xd800 && c <= 0xdfff;
}

/* The escape at the begin of `s`, which was checked; returns its length. */
static size_t
put_escape(struct ps_writer *w, struct ps_slice s)
{
	uint32_t c;
	size_t len = ps_json_escaped(s, &c);
	char utf8[4];

	if (is_surrogate(c))
		ps_writer_printf(w, "\\u%04x", (unsigned)c);
	else
		put_text(w, ps_slice(utf8, ps_utf8_encode(utf8, c)));
	return len;
}

/* Behind the escape that begins at `at`, with its backslash; NULL: none. */
static const char *
skip_escape(const char *at, const char *end)
{
	int i;

	if (end - at < 2 || at[1] == '\0' ||
	    strchr("\"\\/bfnrtu", at[1]) == NULL)
		return NULL;
	if (at[1] != 'u')
		return at + 2;
	if (end - at < 6)
		return NULL;
	for (i = 2; i < 6; i++) {
		if (!(at[i] >= '0' && at[i] <= '9') &&
		    !((at[i] | 0x20) >= 'a' && (at[i] | 0x20) <= 'f'))
			return NULL;
	}
	return at + 6;
}

/* Behind the string that begins at `at`, with its quotes; NULL: none. */
static const char *
skip_string(const char *at, const char *end)
{
	if (at == end || *at++ != '"')
		return NULL;
	while (at < end && (unsigned char)*at >= 0x20) {
		if (*at == '"')
			return at + 1;
		if (*at != '\\')
			at++;
		else if ((at = skip_escape(at, end)) == NULL)
			return NULL;
	}
	return NULL;
}

int
ps_json_literal(struct ps_writer *w, struct ps_slice string)
{
	const char *at = string.data, *end = at + string.len, *run;

	if (string.len == 0 || skip_string(at, end) != end ||
	    !ps_utf8_is_valid(string.data, string.len))
		return PS_ERR_MALFORMED;
	ps_writer_reserve(w, string.len);
	ps_writer_bytes(w, "\"", 1);
	for (at++, end--; at < end; at = run) {
		run = memchr(at, '\\', (size_t)(end - at));
		if (run == NULL)
			run = end;
		put_text(w, ps_slice(at, (size_t)(run - at)));
		if (run < end)
			run +=
			    put_escape(w, ps_slice(run, (size_t)(end - run)));
	}
	ps_writer_bytes(w, "\"", 1);
	return PS_OK;
}

void
ps_json_literal_decode(struct ps_writer *w, struct ps_slice literal)
{
	ps_json_unescape(w, literal);
}

static const char *
skip_space(const char *at, const char *end)
{
	while (at < end &&
	       (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
		at++;
	return at;
}

/* PS_ERR_UNKNOWN at the first thing that is not part of such an array. */
static int
walk(struct ps_slice text, ps_json_string_fn take, void *arg)
{
	const char *end = text.data + text.len, *at, *behind;
	int ret;

	at = skip_space(text.data, end);
	if (at == end || *at++ != '[')
		return PS_ERR_UNKNOWN;
	at = skip_space(at, end);
	if (at < end && *at == ']')
		return skip_space(at + 1, end) == end ? PS_OK : PS_ERR_UNKNOWN;
	for (;;) {
		if ((behind = skip_string(at, end)) == NULL)
			return PS_ERR_UNKNOWN;
		if (take != NULL &&
		    (ret = take(arg, ps_slice(at, (size_t)(behind - at)))) !=
			PS_OK)
			return ret;
		at = skip_space(behind, end);
		if (at == end || (*at != ',' && *at != ']'))
			return PS_ERR_UNKNOWN;
		if (*at++ == ']')
			return skip_space(at, end) == end ? PS_OK
							  : PS_ERR_UNKNOWN;
		at = skip_space(at, end);
	}
}

int
ps_json_strings(struct ps_slice text, ps_json_string_fn take, void *arg)
{
	size_t n_names;

	if (text.len == 0 || !ps_utf8_is_valid(text.data, text.len))
		return PS_ERR_MALFORMED;
	if (walk(text, NULL, NULL) != PS_OK)
		return ps_json_check(text, &n_names) == PS_ERR_MALFORMED
			   ? PS_ERR_MALFORMED
			   : PS_ERR_UNKNOWN;
	return take == NULL ? PS_OK : walk(text, take, arg);
}
