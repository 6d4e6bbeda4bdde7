#include "config.h"

#include "ps_json.h"

#include "ps_limits.h"
#include "ps_utf8.h"

/*
 * What a byte asks for: 0 nothing; 1 a \u escape; 'E' and '<' a look at what
 * follows or went before; any other value the letter after a backslash.
 */
// clang-format off
static const unsigned char escapes[256] = {
	[0x00] = 1, [0x01] = 1, [0x02] = 1, [0x03] = 1, [0x04] = 1, [0x05] = 1,
	[0x06] = 1, [0x07] = 1, ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n',
	[0x0b] = 1, ['\f'] = 'f', ['\r'] = 'r', [0x0e] = 1, [0x0f] = 1,
	[0x10] = 1, [0x11] = 1, [0x12] = 1, [0x13] = 1, [0x14] = 1, [0x15] = 1,
	[0x16] = 1, [0x17] = 1, [0x18] = 1, [0x19] = 1, [0x1a] = 1, [0x1b] = 1,
	[0x1c] = 1, [0x1d] = 1, [0x1e] = 1, [0x1f] = 1, [0x7f] = 1,
	['"'] = '"', ['\\'] = '\\', ['/'] = '<', [0xe2] = 'E',
};
// clang-format on

/* Writes the escape for the byte at `at`; returns the bytes of input used. */
static size_t
escape(struct ps_writer *w, struct ps_slice s, size_t at)
{
	const unsigned char *p = (const unsigned char *)s.data + at;
	unsigned char kind = escapes[*p];

	switch (kind) {
	case 1:
		ps_writer_printf(w, "\\u%04x", *p);
		return 1;
	case '<':
		if (at > 0 && p[-1] == '<')
			ps_writer_bytes(w, "\\", 1);
		ps_writer_bytes(w, p, 1);
		return 1;
	case 'E':
		if (s.len - at >= 3 && p[1] == 0x80 &&
		    (p[2] == 0xa8 || p[2] == 0xa9)) {
			ps_writer_str(w,
			    p[2] == 0xa8 ? "\\u2028" : "\\u2029");
			return 3;
		}
		ps_writer_bytes(w, p, 1);
		return 1;
	default:
		ps_writer_bytes(w, "\\", 1);
		ps_writer_bytes(w, &kind, 1);
		return 1;
	}
}

void
ps_json_string(struct ps_writer *w, struct ps_slice s)
{
	size_t at = 0, run;

	ps_writer_reserve(w, s.len + 2);
	ps_writer_bytes(w, "\"", 1);
	while (at < s.len) {
		run = at;
		while (run < s.len && escapes[(unsigned char)s.data[run]] == 0)
			run++;
		ps_writer_bytes(w, s.data + at, run - at);
		at = run;
		if (at < s.len)
			at += escape(w, s, at);
	}
	ps_writer_bytes(w, "\"", 1);
}

/* A text that is looked through; `depth` is of what it is inside of now. */
struct scan {
	const char *at, *end;
	unsigned depth;
	size_t n_names;
	bool with_halves; /* of surrogate pairs */
};

static void
skip_space(struct scan *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' ||
				  *s->at == '\r' || *s->at == '\n'))
		s->at++;
}

static bool
take(struct scan *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

static bool
take_word(struct scan *s, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
		return false;
	s->at += len;
	return true;
}

/* At least one. */
static bool
take_digits(struct scan *s)
{
	const char *begin = s->at;

	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	return s->at > begin;
}

static bool
take_number(struct scan *s)
{
	(void)take(s, '-');
	if (!take(s, '0') && !take_digits(s))
		return false;
	if (take(s, '.') && !take_digits(s))
		return false;
	if (!take(s, 'e') && !take(s, 'E'))
		return true;
	if (!take(s, '+'))
		(void)take(s, '-');
	return take_digits(s);
}

/* Four hexadecimal digits: their value, or -1. */
static int
take_code_unit(struct scan *s)
{
	int unit = 0, i;

	for (i = 0; i < 4; i++) {
		char c = s->at < s->end ? *s->at++ : '\0';

		if (c >= '0' && c <= '9')
			unit = unit << 4 | (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			unit = unit << 4 | ((c | 0x20) - 'a' + 10);
		else
			return -1;
	}
	return unit;
}

/* What follows a backslash. Half a surrogate pair is no character, but
 * JavaScript's strings may have it. */
static bool
take_escape(struct scan *s)
{
	static const char letters[] = "\"\\/bfnrt";
	int unit;

	if (!take(s, 'u'))
		return s->at < s->end && *s->at != '\0' &&
		       strchr(letters, *s->at++) != NULL;
	unit = take_code_unit(s);
	if (unit < 0xd800 || unit > 0xdfff || s->with_halves)
		return unit >= 0;
	if (unit > 0xdbff || !take(s, '\\') || !take(s, 'u'))
		return false;
	unit = take_code_unit(s);
	return unit >= 0xdc00 && unit <= 0xdfff;
}

static bool
take_string(struct scan *s)
{
	if (!take(s, '"'))
		return false;
	while (s->at < s->end && (unsigned char)*s->at >= 0x20) {
		char c = *s->at++;

		if (c == '"')
			return true;
		if (c == '\\' && !take_escape(s))
			return false;
	}
	return false;
}

static int take_value(struct scan *s);

static int
take_member(struct scan *s)
{
	skip_space(s);
	if (!take_string(s))
		return PS_ERR_MALFORMED;
	s->n_names++;
	skip_space(s);
	return take(s, ':') ? take_value(s) : PS_ERR_MALFORMED;
}

/* What is inside of an array or object, and its end. */
static int
take_inside(struct scan *s, char close)
{
	int ret;

	if (++s->depth > PS_JSON_DEPTH_MAX)
		return PS_ERR_TOO_LARGE;
	skip_space(s);
	if (!take(s, close)) {
		do {
			ret = close == '}' ? take_member(s) : take_value(s);
			if (ret != PS_OK)
				return ret;
		} while (take(s, ','));
		if (!take(s, close))
			return PS_ERR_MALFORMED;
	}
	s->depth--;
	return PS_OK;
}

/* With the space around it. */
static int
take_value(struct scan *s)
{
	int ret = PS_ERR_MALFORMED;

	skip_space(s);
	if (take(s, '{'))
		ret = take_inside(s, '}');
	else if (take(s, '['))
		ret = take_inside(s, ']');
	else if (s->at < s->end && *s->at == '"')
		ret = take_string(s) ? PS_OK : ret;
	else if (take_word(s, "true") || take_word(s, "false") ||
		 take_word(s, "null") || take_number(s))
		ret = PS_OK;
	skip_space(s);
	return ret;
}

/* One value and nothing else, in valid UTF-8. */
static int
check(struct scan *s)
{
	size_t len = (size_t)(s->end - s->at);
	int ret = PS_ERR_MALFORMED;

	if (len > 0 && ps_utf8_is_valid(s->at, len))
		ret = take_value(s);
	return ret == PS_OK && s->at < s->end ? PS_ERR_MALFORMED : ret;
}

int
ps_json_check(struct ps_slice text, size_t *n_names_r)
{
	struct scan s = { .at = text.data, .end = text.data + text.len };
	int ret = check(&s);

	*n_names_r = s.n_names;
	return ret;
}

/* Without the space behind it. */
static struct ps_slice
taken_since(const struct scan *s, const char *begin)
{
	const char *end = s->at;

	while (strchr(" \t\r\n", end[-1]) != NULL)
		end--;
	return ps_slice(begin, (size_t)(end - begin));
}

/* Of a text that was checked. */
static struct ps_slice
next_value(struct scan *s)
{
	const char *begin;

	skip_space(s);
	begin = s->at;
	(void)take_value(s);
	return taken_since(s, begin);
}

/* PS_OK for a good text that begins with `open`; what is inside is next. */
static int
open_inside(struct scan *s, struct ps_slice text, char open)
{
	int ret;

	*s = (struct scan){ .at = text.data, .end = text.data + text.len };
	s->with_halves = true;
	ret = check(s);
	s->at = text.data;
	if (ret != PS_OK)
		return ret;
	skip_space(s);
	if (!take(s, open))
		return PS_ERR_UNKNOWN;
	skip_space(s);
	return PS_OK;
}

int
ps_json_members(struct ps_slice text, ps_json_member_fn found, void *arg)
{
	struct scan s;
	struct ps_slice name;
	int ret = open_inside(&s, text, '{');

	while (ret == PS_OK && *s.at != '}') {
		name = next_value(&s);
		(void)take(&s, ':');
		ret = found(arg, name, next_value(&s));
		(void)take(&s, ',');
		skip_space(&s);
	}
	return ret;
}

int
ps_json_elements(struct ps_slice text, ps_json_element_fn found, void *arg)
{
	struct scan s;
	int ret = open_inside(&s, text, '[');

	while (ret == PS_OK && *s.at != ']') {
		ret = found(arg, next_value(&s));
		(void)take(&s, ',');
	}
	return ret;
}

void
ps_json_compact(struct ps_writer *w, struct ps_slice text)
{
	struct scan s = { .at = text.data,
			  .end = text.data + text.len,
			  .with_halves = true }; /* or it ends within a string */
	const char *begin;

	ps_writer_reserve(w, text.len);
	for (skip_space(&s); s.at < s.end; skip_space(&s)) {
		begin = s.at;
		if (*s.at != '"' || !take_string(&s))
			s.at++;
		ps_writer_bytes(w, begin, (size_t)(s.at - begin));
	}
}

void
ps_json_for_script(struct ps_writer *w, struct ps_slice json)
{
	const char *p = json.data, *end = json.data + json.len, *begin = p;

	ps_writer_reserve(w, json.len);
	while (p < end) {
		bool ends_tag = *p == '/' && p > json.data && p[-1] == '<';

		if (!ends_tag && (unsigned char)*p != 0xe2) {
			p++;
			continue;
		}
		ps_writer_bytes(w, begin, (size_t)(p - begin));
		p += escape(w, json, (size_t)(p - json.data));
		begin = p;
	}
	ps_writer_bytes(w, begin, (size_t)(end - begin));
}
