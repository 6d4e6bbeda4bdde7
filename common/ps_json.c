#include "config.h"

#include "ps_json.h"

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
