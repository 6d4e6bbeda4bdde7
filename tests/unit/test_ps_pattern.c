#include "config.h"

#include "unit.h"

#include <sqlite3.h>

#include "ps_pattern.h"
#include "ps_schema_sql.h"

enum verdict {
	NO,
	YES,
	NONE, /* the URL is no target at all */
};

// clang-format off
static const struct {
	const char *pattern, *url;
	enum verdict verdict;
} targets[] = {
	/* scheme and its default port */
	{ "ws://h", "ws://h/", YES },
	{ "ws://h", "WS://h/", YES },
	{ "ws://h", "ws://h:80/any?q", YES },
	{ "ws://h", "ws://h:080/", YES },
	{ "ws://h", "ws://h:/", YES },
	{ "ws://h", "wss://h/", NO },
	{ "ws://h", "wss://h:80/", NO },
	{ "ws://h", "ws://h:81/", NO },
	{ "ws://h", "ws://h:443/", NO },
	{ "ws://h", "http://h/", NONE },
	{ "ws://h", "//h/", NONE },
	{ "wss://h", "wss://h/", YES },
	{ "wss://h", "wss://h:443/", YES },
	{ "wss://h", "ws://h/", NO },
	{ "wss://h", "ws://h:443/", NO },
	{ "wss://h", "wss://h:80/", NO },
	{ "*://h", "ws://h/", YES },
	{ "*://h", "wss://h/", YES },
	{ "*://h", "ws://h:443/", NO },
	{ "*://h", "wss://h:80/", NO },
	{ "*://h:443", "ws://h:443/", YES },
	{ "*://h:443", "wss://h/", YES },
	{ "*://h:443", "ws://h/", NO },
	/* port */
	{ "ws://h:8080", "ws://h:8080/", YES },
	{ "ws://h:8080", "ws://h/", NO },
	{ "ws://h:8080", "ws://h:808/", NO },
	{ "ws://h:8080", "ws://h:80800/", NONE },
	{ "ws://h:80", "ws://h/", YES },
	{ "ws://h:00080", "ws://h/", YES },
	{ "ws://h:1", "ws://h:1/", YES },
	{ "ws://h:1", "ws://h:0/", NONE },
	{ "ws://h:65535", "ws://h:65535/", YES },
	{ "ws://h:65535", "ws://h:65536/", NONE },
	{ "ws://h:*", "ws://h/", YES },
	{ "ws://h:*", "ws://h:1/", YES },
	{ "ws://h:*", "ws://h:65535/", YES },
	{ "ws://h:*", "wss://h/", NO },
	{ "*://*:*", "wss://anything.example:1/x", YES },
	{ "*://*", "wss://anything.example/x", YES },
	{ "*://*", "wss://anything.example:1/x", NO },
	/* host: case, final dot, neighbours */
	{ "ws://example.com", "ws://example.com/", YES },
	{ "ws://Example.COM", "ws://example.com/", YES },
	{ "ws://example.com", "ws://EXAMPLE.com/", YES },
	{ "ws://example.com.", "ws://example.com/", YES },
	{ "ws://example.com", "ws://example.com./", YES },
	{ "ws://example.com.", "ws://example.com./", YES },
	{ "ws://example.com", "ws://example.com../", NONE },
	{ "ws://example.com", "ws://example..com/", NONE },
	{ "ws://example.com", "ws://.example.com/", NONE },
	{ "ws://example.com", "ws://example.com.evil/", NO },
	{ "ws://example.com", "ws://evilexample.com/", NO },
	{ "ws://example.com", "ws://example.co/", NO },
	{ "ws://example.com", "ws://example-com/", NO },
	{ "ws://example.com", "ws://a.example.com/", NO },
	{ "ws://a_b.example.com", "ws://A_B.example.com/", YES },
	/* host: labels */
	{ "ws://*.example.com", "ws://a.example.com/", YES },
	{ "ws://*.example.com", "ws://a.b.example.com/", YES },
	{ "ws://*.example.com", "ws://A.EXAMPLE.com./", YES },
	{ "ws://*.Example.COM.", "ws://a.example.com/", YES },
	{ "ws://*.example.com", "ws://example.com/", NO },
	{ "ws://*.example.com", "ws://.example.com/", NONE },
	{ "ws://*.example.com", "ws://..example.com/", NONE },
	{ "ws://*.example.com", "ws://evilexample.com/", NO },
	{ "ws://*.example.com", "ws://a.example.com.evil/", NO },
	{ "ws://*.example.com", "ws://a.example.org/", NO },
	{ "ws://*.example.com", "ws://evil/.example.com", NO },
	{ "ws://*.example.com", "ws://evil?.example.com", NO },
	{ "ws://*.example.com", "ws://evil#.example.com", NONE },
	{ "ws://*.example.com", "ws://evil\\.example.com", NONE },
	{ "ws://*.com", "ws://example.com/", YES },
	{ "ws://*.com", "ws://com/", NO },
	{ "ws://*", "ws://h/", YES },
	{ "ws://*", "ws://a.b./", YES },
	{ "ws://*", "ws://[::1]/", YES },
	{ "ws://*", "ws://192.0.2.1/", YES },
	/* userinfo, escapes, and what else could hide a host */
	{ "ws://good.example", "ws://good.example@evil.example/", NONE },
	{ "ws://good.example", "ws://good.example:80@evil.example/", NONE },
	{ "ws://good.example", "ws://x@good.example/", NONE },
	{ "ws://good.example", "ws://@good.example/", NONE },
	{ "ws://good.example", "ws://evil.example/@good.example", NO },
	{ "ws://good.example", "ws://evil.example?@good.example", NO },
	{ "ws://good.example", "ws://evil.example\\@good.example/", NONE },
	{ "ws://good.example", "ws://evil.example/ws://good.example/", NO },
	{ "ws://good.example", "ws://goo%64.example/", NONE },
	{ "ws://good.example", "ws://good%2eexample/", NONE },
	{ "ws://good.example", "ws://evil.example%2f.good.example/", NONE },
	{ "ws://good.example", "ws://good.example%00.evil.example/", NONE },
	{ "ws://good.example", "ws://good.example\t.evil.example/", NONE },
	{ "ws://good.example", "ws://good.example .evil.example/", NONE },
	{ "ws://good.example", "ws://good|example/", NONE },
	{ "ws://good.example", "ws://good,example/", NONE },
	{ "ws://good.example", "ws://good.example,evil.example/", NONE },
	{ "ws://good.example", "ws://good.example:80:81/", NONE },
	{ "ws://good.example", "ws:good.example/", NONE },
	/* names of any language, RFC 5891 and UTS 46 */
	{ "ws://b\u00fccher.example", "ws://b\u00fccher.example/", YES },
	{ "ws://b\u00fccher.example", "ws://xn--bcher-kva.example/", YES },
	{ "ws://b\u00fccher.example", "ws://XN--BCHER-KVA.example./", YES },
	{ "ws://xn--bcher-kva.example", "ws://B\u00dcCHER.example/", YES },
	{ "ws://b\u00fccher.example", "ws://bu\u0308cher.example/", YES },
	{ "ws://b\u00fccher.example", "ws://bucher.example/", NO },
	{ "ws://fa\u00df.example", "ws://xn--fa-hia.example/", YES },
	{ "ws://fa\u00df.example", "ws://fass.example/", NO },
	{ "ws://*.b\u00fccher.example", "ws://a.xn--bcher-kva.example/", YES },
	{ "ws://*.b\u00fccher.test", "ws://\u00fc.b\u00fccher.test", YES },
	{ "ws://*.b\u00fccher.example", "ws://b\u00fccher.example/", NO },
	{ "ws://*.b\u00fccher.example.", "ws://a.b\u00fccher.example/", YES },
	{ "ws://example.com", "ws://example\u3002com/", YES },
	{ "ws://example.com", "ws://\uff45xample.com/", YES },
	{ "ws://example.com", "ws://ex\u00adample.com/", YES },
	{ "ws://*.example.com", "ws://evil\uff0f.example.com/", NONE },
	{ "ws://*.example.com", "ws://evil\uff20.example.com/", NONE },
	{ "ws://*.example.com", "ws://evil\uff1a80.example.com/", NONE },
	{ "ws://*.example.com", "ws://evil\u2100.example.com/", NONE },
	{ "ws://*.example.com", "ws://a\uff0e\uff0eexample.com/", NONE },
	{ "ws://example.com", "ws://example.c\u043em/", NO },
	/* IPv4 in all its spellings */
	{ "ws://127.0.0.1", "ws://127.0.0.1/", YES },
	{ "ws://127.0.0.1", "ws://127.0.0.1./", YES },
	{ "ws://127.0.0.1", "ws://127.1/", YES },
	{ "ws://127.0.0.1", "ws://127.0.1./", YES },
	{ "ws://127.0.0.1", "ws://2130706433/", YES },
	{ "ws://127.0.0.1", "ws://2130706433./", YES },
	{ "ws://127.0.0.1", "ws://017700000001/", YES },
	{ "ws://127.0.0.1", "ws://0177.0.0.1/", YES },
	{ "ws://127.0.0.1", "ws://0x7f000001/", YES },
	{ "ws://127.0.0.1", "ws://0X7F.0x0.1/", YES },
	{ "ws://127.0.0.1", "ws://0x7f.1./", YES },
	{ "ws://127.0.0.1", "ws://\uff11\uff12\uff17.0.0.1/", YES },
	{ "ws://127.0.0.1", "ws://\uff10x\uff17f.1/", YES },
	{ "ws://127.0.0.1", "ws://127\u30020\u30020\u30021/", YES },
	{ "ws://0x7f.1", "ws://127.0.0.1/", YES },
	{ "ws://0177.0.0.1", "ws://127.0.0.1/", YES },
	{ "ws://177.0.0.1", "ws://0177.0.0.1/", NO },
	{ "ws://127.0.0.1", "ws://127.0.0.10/", NO },
	{ "ws://127.0.0.1", "ws://127.0.0.1.example.com/", NO },
	{ "ws://127.0.0.1", "ws://[::ffff:127.0.0.1]/", NO },
	{ "ws://*.com", "ws://127.0.0.1/", NO },
	/* IPv6 in all its spellings */
	{ "ws://[::1]", "ws://[::1]/", YES },
	{ "ws://[::1]", "ws://[0:0:0:0:0:0:0:1]/", YES },
	{ "ws://[::1]", "ws://[::0001]/", YES },
	{ "ws://[::1]", "ws://[::0.0.0.1]/", YES },
	{ "ws://[::1]:9", "ws://[::1]:9/", YES },
	{ "ws://[::1]:9", "ws://[::1]/", NO },
	{ "ws://[::1]:*", "ws://[::1]:9/", YES },
	{ "ws://[::1]", "ws://[::2]/", NO },
	{ "ws://[2001:DB8:0::1]", "ws://[2001:db8::1]/", YES },
	{ "ws://[2001:db8::1]", "ws://[2001:0DB8:0000::0001]/", YES },
	{ "ws://[2001:db8::1:0:0:1]", "ws://[2001:db8:0:0:1::1]/", YES },
	{ "ws://[::ffff:7f00:1]", "ws://[::ffff:127.0.0.1]/", YES },
	{ "ws://[::1]", "ws://[::1%25lo]/", NONE },
	{ "ws://[::1]", "ws://[::1%lo]/", NONE },
	{ "ws://[::1]", "ws://[::%31]/", NONE },
	{ "ws://[::1]", "ws://::1/", NONE },
	{ "ws://[::1]", "ws://[::1].example.com/", NONE },
	/* path and query */
	{ "ws://h/", "ws://h/", YES },
	{ "ws://h/", "ws://h", YES },
	{ "ws://h/", "ws://h?q", NO },
	{ "ws://h/", "ws://h/a", NO },
	{ "ws://h/a", "ws://h/a", YES },
	{ "ws://h/a", "ws://h/A", NO },
	{ "ws://h/a", "ws://h/a/", NO },
	{ "ws://h/a", "ws://h//a", NO },
	{ "ws://h/a", "ws://h/./a", NO },
	{ "ws://h/a", "ws://h/a?q", NO },
	{ "ws://h/a?q", "ws://h/a?q", YES },
	{ "ws://h/a?q=*", "ws://h/a?q=../b", YES },
	{ "ws://h/a*", "ws://h/a", YES },
	{ "ws://h/a*", "ws://h/ab?q", YES },
	{ "ws://h/a*", "ws://h/a/b/c", YES },
	{ "ws://h/a*", "ws://h/b", NO },
	{ "ws://h/a*", "ws://h/", NO },
	{ "ws://h/*", "ws://h", YES },
	{ "ws://h/*", "ws://h/a/../b", YES },
	{ "ws://h:*/chat*", "ws://h:1/chatter", YES },
	{ "ws://h:1/chat*", "ws://h:2/chatter", NO },
	/* escapes: the same ones are the same, others are not looked through */
	{ "ws://h/a%2Fb", "ws://h/a%2fb", YES },
	{ "ws://h/a%2Fb", "ws://h/a/b", NO },
	{ "ws://h/ab", "ws://h/%61b", NO },
	{ "ws://h/ab*", "ws://h/%61b", NO },
	{ "ws://h/\u00e4", "ws://h/\u00e4", YES },
	{ "ws://h/\u00e4", "ws://h/%c3%a4", YES },
	{ "ws://h/%c3%a4", "ws://h/%C3%A4", YES },
	{ "ws://h/%c3*", "ws://h/\u00e4/b", YES },
	{ "ws://h/%", "ws://h/%", YES },
	{ "ws://h/%4", "ws://h/%4", YES },
	{ "ws://h/%4", "ws://h/%41", NO },
	{ "ws://h/%zz", "ws://h/%ZZ", NO },
	/* a prefix is not left */
	{ "ws://h/a/*", "ws://h/a/../b", NO },
	{ "ws://h/a/*", "ws://h/a/..", NO },
	{ "ws://h/a/*", "ws://h/a/../a/b", NO },
	{ "ws://h/a/*", "ws://h/a/%2e%2E/b", NO },
	{ "ws://h/a/*", "ws://h/a/.%2e/b", NO },
	{ "ws://h/a/*", "ws://h/a/..%2fb", NO },
	{ "ws://h/a/*", "ws://h/a%2f..%2fb", NO },
	{ "ws://h/a/*", "ws://h/a/..\\b", NO },
	{ "ws://h/a/*", "ws://h/a/..%5cb", NO },
	{ "ws://h/a/*", "ws://h/a/..;x/b", NO },
	{ "ws://h/a/*", "ws://h/a/..%00/b", NO },
	{ "ws://h/a/*", "ws://h/a/.../b", YES },
	{ "ws://h/a/*", "ws://h/a/..b/c..", YES },
	{ "ws://h/a/*", "ws://h/a/./b", YES },
	{ "ws://h/a/*", "ws://h/a/b?../../c", YES },
	{ "ws://h/a/../b", "ws://h/a/../b", YES },
};

/* As above, of http and https; what is said there is not said again. */
static const struct {
	const char *pattern, *url;
	enum verdict verdict;
} callbacks[] = {
	{ "http://h", "http://h/", YES },
	{ "http://h", "HTTP://H/", YES },
	{ "http://h", "http://h:80/cb?q", YES },
	{ "http://h", "http://h:8080/", NO },
	{ "http://h", "https://h/", NO },
	{ "http://h", "https://h:80/", NO },
	{ "http://h", "ws://h/", NONE },
	{ "https://h", "https://h/", YES },
	{ "https://h", "https://h:443/", YES },
	{ "https://h", "https://h:80/", NO },
	{ "https://h", "http://h:443/", NO },
	{ "https://h", "wss://h/", NONE },
	{ "https://h:8443", "https://h:8443/", YES },
	{ "https://h:8443", "https://h/", NO },
	{ "*://h", "http://h/", YES },
	{ "*://h", "https://h/", YES },
	{ "*://h", "http://h:443/", NO },
	{ "*://h:*", "http://h:443/", YES },
	{ "https://h/cb", "https://h/cb", YES },
	{ "https://h/cb", "https://h/CB", NO },
	{ "https://h/cb", "https://h/cb?user=1", NO },
	{ "https://h/cb*", "https://h/cb?user=1", YES },
	{ "https://h/cb/*", "https://h/cb/../admin", NO },
	{ "https://h/cb/*", "https://h/cb/%2e%2e/admin", NO },
	{ "https://h/cb/*", "https://h/cb/..%2fadmin", NO },
	{ "https://h/cb/*", "https://h/cb/..", NO },
	{ "https://h/cb/*", "https://h/cb/..#x", NONE },
	{ "https://h/cb/*", "https://h/cb/x?a=../..", YES },
	{ "https://app.example", "https://app.example@evil.example/", NONE },
	{ "https://app.example", "https://evil.example/@app.example", NO },
	{ "https://app.example", "https://app.example\\@evil.example/", NONE },
	{ "https://*.b\u00fccher.example", "https://a.xn--bcher-kva.example/",
	    YES },
	{ "https://xn--bcher-kva.example", "https://B\u00dcCHER.example/", YES },
	{ "http://127.0.0.1", "http://0x7f.1/", YES },
	{ "http://127.0.0.1", "http://2130706433./", YES },
	{ "http://[::1]:*", "http://[0:0::1]:81/", YES },
};

static const struct {
	const char *pattern, *header;
	bool matches;
} origins[] = {
	{ "*", "https://example.com", true },
	{ "*", "null", true },
	{ "*", "chrome-extension://abcdp", true },
	{ "null", "null", true },
	{ "null", "https://null", false },
	{ "null", "https://example.com", false },
	{ "*://*:*", "null", false },
	{ "*://null", "null", false },
	{ "https://null", "https://null", true },
	{ "https://example.com", "https://example.com", true },
	{ "https://example.com", "https://example.com/page?q#f", true },
	{ "https://example.com", "https://example.com:443", true },
	{ "https://example.com:443", "https://example.com", true },
	{ "https://example.com", "HTTPS://EXAMPLE.COM", true },
	{ "https://Example.com", "https://example.com.", true },
	{ "https://example.com", "http://example.com", false },
	{ "https://example.com", "http://example.com:443", false },
	{ "https://example.com", "https://example.com:8443", false },
	{ "https://example.com", "https://example.com.evil", false },
	{ "https://example.com", "https://evil.example/https://h", false },
	{ "https://example.com", "https://a.example.com", false },
	{ "https://example.com", "https://x@example.com", false },
	{ "https://example.com", "https://example.com@evil.example", false },
	{ "https://*.example.com", "https://x@a.example.com", false },
	{ "https://example.com", "https://example.com:443:443", false },
	{ "https://example.com", "https://example.com:443x", false },
	{ "https://example.com", "https://example.com:", false },
	{ "https://example.com:8443", "https://example.com:8443", true },
	{ "https://example.com:8443", "https://example.com", false },
	{ "https://example.com:*", "https://example.com:8443", true },
	{ "https://example.com:*", "https://example.com", true },
	{ "https://example.com:*", "https://example.com:65535", true },
	{ "https://example.com:*", "https://example.com:65536", false },
	{ "https://example.com:*", "https://example.com:0", false },
	{ "https://example.com:*", "https://example.com:-1", false },
	{ "http://localhost", "http://localhost:80", true },
	{ "*://example.com", "https://example.com", true },
	{ "*://example.com", "http://example.com", true },
	{ "*://example.com", "http://example.com:8080", false },
	{ "*://example.com", "app://example.com", true },
	{ "https://*.example.com", "https://a.b.example.com", true },
	{ "https://*.example.com", "https://example.com", false },
	{ "https://*.example.com", "https://evilexample.com", false },
	{ "https://*", "https://example.com", true },
	{ "https://*", "https://example.com:8443", false },
	{ "http://b\u00fccher.example", "http://xn--bcher-kva.example", true },
	{ "http://*.b\u00fccher.test", "http://a.xn--bcher-kva.test", true },
	{ "http://127.0.0.1", "http://127.0.0.1", true },
	{ "http://127.0.0.1", "http://127.1", true },
	{ "http://[::1]:8080", "http://[::1]:8080", true },
	{ "http://[::1]", "http://[::1]:8080", false },
	{ "http://[2001:DB8:0::1]", "http://[2001:db8::1]", true },
	{ "http://[2001:db8::1]", "http://[2001:0DB8::0001]:80", true },
	{ "http://[::1]", "http://[::1", false },
	{ "http://[::1]", "http://[::1]x", false },
	{ "chrome-extension://abcdp", "chrome-extension://abcdp", true },
	{ "chrome-extension://abcdp", "chrome-extension://abcdq", false },
	{ "chrome-extension://*", "chrome-extension://abcdp", true },
	{ "chrome-extension://*", "moz-extension://0a1b2c3d-4000", false },
	{ "moz-extension://0a1b-4000", "moz-extension://0A1B-4000", true },
	{ "capacitor://localhost", "capacitor://localhost", true },
	{ "capacitor://localhost", "capacitor://localhost:80", false },
};
// clang-format on

/* What is no pattern of one kind; most of it is none of any. */
static const struct {
	enum ps_pattern_kind kind;
	const char *text;
} malformed[] = {
	{ PS_PATTERN_TARGET, "" },
	{ PS_PATTERN_TARGET, "h" },
	{ PS_PATTERN_TARGET, "*" },
	{ PS_PATTERN_TARGET, "null" },
	{ PS_PATTERN_TARGET, "ws:" },
	{ PS_PATTERN_TARGET, "ws:/h" },
	{ PS_PATTERN_TARGET, "//h" },
	{ PS_PATTERN_TARGET, "://h" },
	{ PS_PATTERN_TARGET, "http://h" },
	{ PS_PATTERN_TARGET, "wsx://h" },
	{ PS_PATTERN_TARGET, "WS://h" },
	{ PS_PATTERN_TARGET, "**://h" },
	{ PS_PATTERN_TARGET, "w*://h" },
	{ PS_PATTERN_CALLBACK, "ws://h" },
	{ PS_PATTERN_CALLBACK, "*" },
	{ PS_PATTERN_CALLBACK, "null" },
	{ PS_PATTERN_ORIGIN, "" },
	{ PS_PATTERN_ORIGIN, "**" },
	{ PS_PATTERN_ORIGIN, "NULL" },
	{ PS_PATTERN_ORIGIN, "null/" },
	{ PS_PATTERN_ORIGIN, "://h" },
	{ PS_PATTERN_ORIGIN, "1a://h" },
	{ PS_PATTERN_ORIGIN, "-a://h" },
	{ PS_PATTERN_ORIGIN, "a_b://h" },
	{ PS_PATTERN_ORIGIN, "Http://h" },
	{ PS_PATTERN_ORIGIN, "http*://h" },
	{ PS_PATTERN_ORIGIN, "http://h/" },
	{ PS_PATTERN_ORIGIN, "http://h/*" },
	{ PS_PATTERN_ORIGIN, "http://h:80/" },
	/* host */
	{ PS_PATTERN_TARGET, "ws://" },
	{ PS_PATTERN_TARGET, "*://" },
	{ PS_PATTERN_TARGET, "ws:///" },
	{ PS_PATTERN_TARGET, "ws:///p" },
	{ PS_PATTERN_TARGET, "ws://:80" },
	{ PS_PATTERN_TARGET, "ws://." },
	{ PS_PATTERN_TARGET, "ws://.a" },
	{ PS_PATTERN_TARGET, "ws://a..b" },
	{ PS_PATTERN_TARGET, "ws://a.." },
	{ PS_PATTERN_TARGET, "ws://a*" },
	{ PS_PATTERN_TARGET, "ws://*a" },
	{ PS_PATTERN_TARGET, "ws://a.*" },
	{ PS_PATTERN_TARGET, "ws://a.*.b" },
	{ PS_PATTERN_TARGET, "ws://*." },
	{ PS_PATTERN_TARGET, "ws://**" },
	{ PS_PATTERN_TARGET, "ws://*.*" },
	{ PS_PATTERN_TARGET, "ws://*.*.a" },
	{ PS_PATTERN_TARGET, "ws://*..a" },
	{ PS_PATTERN_TARGET, "ws://*.1" },
	{ PS_PATTERN_TARGET, "ws://*.0.0.1" },
	{ PS_PATTERN_TARGET, "ws://*.[::1]" },
	{ PS_PATTERN_TARGET, "ws://[" },
	{ PS_PATTERN_TARGET, "ws://[]" },
	{ PS_PATTERN_TARGET, "ws://[::1" },
	{ PS_PATTERN_TARGET, "ws://::1" },
	{ PS_PATTERN_TARGET, "ws://[::1]x" },
	{ PS_PATTERN_TARGET, "ws://[::1].a" },
	{ PS_PATTERN_TARGET, "ws://[*]" },
	{ PS_PATTERN_TARGET, "ws://[:]" },
	{ PS_PATTERN_TARGET, "ws://[:::]" },
	{ PS_PATTERN_TARGET, "ws://[::::]" },
	{ PS_PATTERN_TARGET, "ws://[1::2::3]" },
	{ PS_PATTERN_TARGET, "ws://[:1:2:3:4:5:6:7]" },
	{ PS_PATTERN_TARGET, "ws://[1:2:3:4:5:6:7:]" },
	{ PS_PATTERN_TARGET, "ws://[1:2:3:4:5:6:7]" },
	{ PS_PATTERN_TARGET, "ws://[1:2:3:4:5:6:7:8:9]" },
	{ PS_PATTERN_TARGET, "ws://[1:2:3:4:5:6:7:8::]" },
	{ PS_PATTERN_TARGET, "ws://[::12345]" },
	{ PS_PATTERN_TARGET, "ws://[::g]" },
	{ PS_PATTERN_TARGET, "ws://[127.0.0.1]" },
	{ PS_PATTERN_TARGET, "ws://[::127.0.0]" },
	{ PS_PATTERN_TARGET, "ws://[::127.0.0.256]" },
	{ PS_PATTERN_TARGET, "ws://[::127.0.0.01]" },
	{ PS_PATTERN_TARGET, "ws://[::127.0.0.1:1]" },
	{ PS_PATTERN_TARGET, "ws://[1:2:3:4:5:6:7:1.2.3.4]" },
	{ PS_PATTERN_TARGET, "ws://[fe80::1%25eth0]" },
	{ PS_PATTERN_TARGET, "ws://[::1\\]" },
	{ PS_PATTERN_TARGET, "ws://[::\"1]" },
	{ PS_PATTERN_TARGET, "ws://u@h" },
	{ PS_PATTERN_TARGET, "ws://u:p@h" },
	{ PS_PATTERN_TARGET, "ws://@h" },
	{ PS_PATTERN_TARGET, "ws://h:80@g" },
	{ PS_PATTERN_TARGET, "ws://%68" },
	{ PS_PATTERN_TARGET, "ws://a\\b" },
	{ PS_PATTERN_TARGET, "ws://a~b" },
	{ PS_PATTERN_TARGET, "ws://a,b" },
	{ PS_PATTERN_TARGET, "ws://a b" },
	{ PS_PATTERN_TARGET, "ws://a\x01" },
	{ PS_PATTERN_TARGET, "ws://a\n" },
	{ PS_PATTERN_TARGET, "ws://a\x7f" },
	{ PS_PATTERN_TARGET, " ws://h" },
	{ PS_PATTERN_TARGET, "ws://h " },
	/* port */
	{ PS_PATTERN_TARGET, "ws://h:" },
	{ PS_PATTERN_TARGET, "ws://h:/" },
	{ PS_PATTERN_TARGET, "ws://h:0" },
	{ PS_PATTERN_TARGET, "ws://h:65536" },
	{ PS_PATTERN_TARGET, "ws://h:99999999999999999999" },
	{ PS_PATTERN_TARGET, "ws://h:-1" },
	{ PS_PATTERN_TARGET, "ws://h:+1" },
	{ PS_PATTERN_TARGET, "ws://h:x" },
	{ PS_PATTERN_TARGET, "ws://h:8x" },
	{ PS_PATTERN_TARGET, "ws://h:8:8" },
	{ PS_PATTERN_TARGET, "ws://h:**" },
	{ PS_PATTERN_TARGET, "ws://h:*8" },
	{ PS_PATTERN_TARGET, "ws://h:8*" },
	/* path */
	{ PS_PATTERN_TARGET, "ws://h/a*b" },
	{ PS_PATTERN_TARGET, "ws://h/**" },
	{ PS_PATTERN_TARGET, "ws://h/*/" },
	{ PS_PATTERN_TARGET, "ws://h/*?q" },
	{ PS_PATTERN_TARGET, "ws://h?q" },
	{ PS_PATTERN_TARGET, "ws://h:1?q" },
	{ PS_PATTERN_TARGET, "ws://h#" },
	{ PS_PATTERN_TARGET, "ws://h/#" },
	{ PS_PATTERN_TARGET, "ws://h/a#b*" },
	{ PS_PATTERN_TARGET, "ws://h/a b" },
	{ PS_PATTERN_TARGET, "ws://h/\t" },
};

static const char *const kinds[PS_PATTERN__COUNT] = { "target", "origin",
	"callback" };

static bool
is_pattern(enum ps_pattern_kind kind, const char *text)
{
	struct ps_pattern pattern;
	int ret = ps_pattern_init(&pattern, kind, text);

	if (ret == PS_OK)
		ps_pattern_deinit(&pattern);
	else
		assert_int_equal(ret, PS_ERR_MALFORMED);
	return ret == PS_OK;
}

static void
assert_verdict(enum ps_pattern_kind kind, const char *text, const char *url,
    enum verdict expected)
{
	static struct ps_target target;
	bool is_callback = kind == PS_PATTERN_CALLBACK;
	enum verdict verdict = NONE;
	struct ps_pattern pattern;

	if (ps_pattern_init(&pattern, kind, text) != PS_OK)
		fail_msg("%s is refused", text);
	if ((is_callback ? ps_callback_parse : ps_target_parse)(&target,
		ps_slice_str(url)) == NULL)
		verdict = (is_callback ? ps_pattern_matches_callback :
					 ps_pattern_matches_target)(&pattern,
		    &target);
	if (verdict != expected)
		fail_msg("%s and %s: %d", text, url, verdict);
	ps_pattern_deinit(&pattern);
}

static void
a_pattern_of_targets_grants_what_it_says(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(targets); i++)
		assert_verdict(PS_PATTERN_TARGET, targets[i].pattern,
		    targets[i].url, targets[i].verdict);
}

static void
a_pattern_of_callbacks_grants_what_it_says(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(callbacks); i++)
		assert_verdict(PS_PATTERN_CALLBACK, callbacks[i].pattern,
		    callbacks[i].url, callbacks[i].verdict);
}

/* "ws://h" becomes "http://h", "wss://h" "https://h". */
static const char *
translate(char *out, size_t size, const char *text)
{
	size_t len = strspn(text, "wWsS");

	if (len < 2 || strncmp(text + len, ":", 1) != 0)
		snprintf(out, size, "%s", text);
	else
		snprintf(out, size, "http%s%s", len == 3 ? "s" : "",
		    text + len);
	return out;
}

static void
and_otherwise_what_one_of_targets_does(void **state)
{
	char pattern[256], url[256];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(targets); i++) {
		if (strncmp(targets[i].url, "http:", 5) == 0)
			continue;
		assert_verdict(PS_PATTERN_CALLBACK,
		    translate(pattern, sizeof(pattern), targets[i].pattern),
		    translate(url, sizeof(url), targets[i].url),
		    targets[i].verdict);
	}
}

static void
a_pattern_of_origins_grants_what_it_says(void **state)
{
	struct ps_pattern pattern;
	struct ps_slice origin;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(origins); i++) {
		if (ps_pattern_init(&pattern, PS_PATTERN_ORIGIN,
			origins[i].pattern) != PS_OK)
			fail_msg("%s is refused", origins[i].pattern);
		origin =
		    ps_origin_from_header(ps_slice_str(origins[i].header));
		assert_row(i, origin.len > 0);
		if (ps_pattern_matches_origin(&pattern, origin) !=
		    origins[i].matches)
			fail_msg("%s and %s", origins[i].pattern,
			    origins[i].header);
		ps_pattern_deinit(&pattern);
	}
}

static void
callbacks_are_web_addresses(void **state)
{
	(void)state;
	assert_true(is_pattern(PS_PATTERN_CALLBACK, "https://a.example/cb*"));
	assert_true(is_pattern(PS_PATTERN_CALLBACK, "http://[::1]:*/cb"));
	assert_true(is_pattern(PS_PATTERN_CALLBACK, "*://*.a.example"));
}

static void
what_is_no_pattern_is_refused(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(malformed); i++) {
		if (is_pattern(malformed[i].kind, malformed[i].text))
			fail_msg("\"%s\" was taken", malformed[i].text);
	}
}

/* RFC 5891 knows more rules than the schema, but each is kept here. */
static void
names_that_are_no_names_of_any_language_are_refused(void **state)
{
	static const char *const names[] = { "ws://a\uff0fb", "ws://a\uff20b",
		"ws://a\u2100b", "ws://\u3002a", "ws://a\u3002\u3002b",
		"ws://a\uff5eb", "ws://xn--\u00fc", "ws://[\u00fc]",
		"ws://*.\uff0f", "ws://\xff\xfe", "ws://a.\xc3" };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(names); i++) {
		if (is_pattern(PS_PATTERN_TARGET, names[i]))
			fail_msg("\"%s\" was taken", names[i]);
	}
}

/* "ws://" and so many letters, without and with "*." */
static void
fill_host(char *text, const char *start, size_t len)
{
	strcpy(text, start);
	memset(text + strlen(start), 'a', len);
	text[strlen(start) + len] = '\0';
}

static void
hosts_and_patterns_have_a_largest_length(void **state)
{
	char text[PS_PATTERN_MAX + 2];

	(void)state;
	fill_host(text, "ws://", PS_HOST_MAX);
	assert_true(is_pattern(PS_PATTERN_TARGET, text));
	fill_host(text, "ws://", PS_HOST_MAX + 1);
	assert_false(is_pattern(PS_PATTERN_TARGET, text));
	fill_host(text, "ws://*.", PS_HOST_MAX);
	assert_true(is_pattern(PS_PATTERN_TARGET, text));
	fill_host(text, "ws://*.", PS_HOST_MAX + 1);
	assert_false(is_pattern(PS_PATTERN_TARGET, text));
	fill_host(text, "ws://h/", PS_PATTERN_MAX - 7);
	assert_true(is_pattern(PS_PATTERN_TARGET, text));
	fill_host(text, "ws://h/", PS_PATTERN_MAX - 6);
	assert_false(is_pattern(PS_PATTERN_TARGET, text));
}

static void
an_origin_that_is_too_long_matches_no_host(void **state)
{
	char text[PS_ORIGIN_MAX + 2] = "http://";
	struct ps_pattern pattern;
	size_t i;

	(void)state;
	for (i = 7; i < sizeof(text); i++)
		text[i] = i % 60 == 0 ? '.' : 'a';
	assert_int_equal(ps_pattern_init(&pattern, PS_PATTERN_ORIGIN,
			     "http://*"),
	    PS_OK);
	assert_true(ps_pattern_matches_origin(&pattern,
	    ps_slice(text, 7 + PS_HOST_MAX)));
	assert_false(ps_pattern_matches_origin(&pattern,
	    ps_slice(text, 8 + PS_HOST_MAX)));
	assert_false(ps_pattern_matches_origin(&pattern,
	    ps_slice(text, sizeof(text))));
	ps_pattern_deinit(&pattern);
}

/* The database, whose trigger is to say the same. */
static sqlite3 *db;
static sqlite3_stmt *check;

static void
no_hash(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	sqlite3_result_null(context);
}

static int
open_schema(void **state)
{
	(void)state;
	if (sqlite3_open(":memory:", &db) != SQLITE_OK ||
	    sqlite3_create_function(db, "sha3", 2, SQLITE_UTF8, NULL, no_hash,
		NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(db, ps_schema_sql, NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(db,
		"INSERT INTO tokens (id, name) VALUES (1, 'anonymous')", NULL,
		NULL, NULL) != SQLITE_OK)
		return -1;
	return sqlite3_prepare_v2(db,
	    "INSERT INTO pattern_check VALUES (?1, 1, ?2)", -1, &check, NULL);
}

static int
close_schema(void **state)
{
	(void)state;
	sqlite3_finalize(check);
	return sqlite3_close(db);
}

static bool
schema_takes(enum ps_pattern_kind kind, const char *text)
{
	int ret;

	sqlite3_bind_text(check, 1, kinds[kind], -1, SQLITE_STATIC);
	sqlite3_bind_text(check, 2, text, -1, SQLITE_STATIC);
	ret = sqlite3_step(check);
	sqlite3_reset(check);
	/* With a sentence of its own, and not for something else. */
	if (ret != SQLITE_DONE)
		assert_int_equal(sqlite3_extended_errcode(db),
		    SQLITE_CONSTRAINT_TRIGGER);
	return ret == SQLITE_DONE;
}

static void
assert_schema_agrees(const char *text)
{
	int kind;

	for (kind = 0; kind < PS_PATTERN__COUNT; kind++) {
		bool taken = is_pattern((enum ps_pattern_kind)kind, text);

		if (schema_takes((enum ps_pattern_kind)kind, text) != taken)
			fail_msg("as %s \"%s\" is %s only", kinds[kind], text,
			    taken ? "taken by the program" :
				    "taken by the schema");
	}
}

static void
the_schema_says_the_same_of_every_row(void **state)
{
	char text[PS_PATTERN_MAX + 2];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(targets); i++)
		assert_schema_agrees(targets[i].pattern);
	for (i = 0; i < ROWS(origins); i++)
		assert_schema_agrees(origins[i].pattern);
	for (i = 0; i < ROWS(malformed); i++)
		assert_schema_agrees(malformed[i].text);
	for (i = PS_HOST_MAX - 1; i <= PS_HOST_MAX + 1; i++) {
		fill_host(text, "ws://", i);
		assert_schema_agrees(text);
		fill_host(text, "http://*.", i);
		assert_schema_agrees(text);
	}
	for (i = PS_PATTERN_MAX - 8; i <= PS_PATTERN_MAX - 6; i++) {
		fill_host(text, "ws://h/", i);
		assert_schema_agrees(text);
	}
}

/* Of parts that mean something in a pattern, put together at random. */
static void
the_schema_says_the_same_of_many_more(void **state)
{
	static const char *const starts[] = { "ws://", "wss://", "*://",
		"http://", "a+b.c-1://", "", "Ws://", "://", "ws:/", "null" };
	static const char *const parts[] = { "a", "A", "b-c", "_", ".", "*",
		"*.", ":", "::", "[", "]", "/", "/*", "?", "#", "@", "%41",
		"1", "0", "255", "256", "65535", "65536", "127.0.0.1", "ffff",
		"fffff", "[::1]", ":*", ":80", " ", "\\", "\"", "\x1f", "\x7f",
		"1:2:3:4:5:6", "://", "null", "~", "'" };
	uint64_t seed = 88172645463325252u;
	char text[256];
	int i, n;

	(void)state;
	for (i = 0; i < 6000; i++) {
		strcpy(text, starts[next_random(&seed) % ROWS(starts)]);
		for (n = (int)(next_random(&seed) % 7); n > 0; n--)
			strcat(text, parts[next_random(&seed) % ROWS(parts)]);
		assert_schema_agrees(text);
	}
}

static void
the_schema_says_the_same_of_ipv6_addresses(void **state)
{
	static const char *const parts[] = { ":", ":", ":", ":", "::", "1",
		"0a", "ABCD", "00000", "g", ".", "1.2.3.4", "1.2.3.400" };
	uint64_t seed = 2463534242u;
	char text[256];
	int i, n;

	(void)state;
	for (i = 0; i < 6000; i++) {
		strcpy(text, "ws://[");
		for (n = (int)(next_random(&seed) % 17); n > 0; n--)
			strcat(text, parts[next_random(&seed) % ROWS(parts)]);
		strcat(text, "]");
		assert_schema_agrees(text);
	}
}

#define WRONG 2

static const struct {
	const char *pattern, *name;
	int matches;
} channels[] = {
	{ "news", "news", 1 },
	{ "news", "new", 0 },
	{ "news", "newss", 0 },
	{ "news", "News", 0 },
	{ "news*", "news", 1 },
	{ "news*", "news-today", 1 },
	{ "news*", "new", 0 },
	{ "news*", "xnews", 0 },
	{ "news*", "news*", 1 },
	{ "*", "a", 1 },
	{ "*", "*", 1 },
	{ "a b/?", "a b/?", 1 },
	{ "a b/?", "a b/x", 0 },
	{ "\xc3\xa4*", "\xc3\xa4\xc3\xb6", 1 },
	{ "\xc3\xa4*", "\xc3\xb6", 0 },
	{ "", "a", WRONG },
	{ "**", "a", WRONG },
	{ "*a", "a", WRONG },
	{ "a*b", "ab", WRONG },
	{ "a*b*", "ab", WRONG },
	{ "a\n", "a", WRONG },
	{ "\x7f*", "a", WRONG },
};

static bool
schema_takes_channel(const char *pattern)
{
	sqlite3_stmt *stmt;
	bool taken;

	assert_int_equal(
	    sqlite3_prepare_v2(db,
			       "INSERT INTO token_channels (token_id,"
			       " pattern) VALUES (1, ?1)",
			       -1, &stmt, NULL),
	    SQLITE_OK);
	sqlite3_bind_text(stmt, 1, pattern, -1, SQLITE_STATIC);
	taken = sqlite3_step(stmt) == SQLITE_DONE;
	sqlite3_finalize(stmt);
	assert_int_equal(
	    sqlite3_exec(db, "DELETE FROM token_channels", NULL, NULL, NULL),
	    SQLITE_OK);
	return taken;
}

static void
a_pattern_of_channels_grants_what_it_says(void **state)
{
	struct ps_channel_pattern pattern;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(channels); i++) {
		int ret =
		    ps_channel_pattern_init(&pattern, channels[i].pattern, 3);

		assert_row(i, schema_takes_channel(channels[i].pattern) ==
				  (channels[i].matches != WRONG));
		if (channels[i].matches == WRONG) {
			assert_row(i, ret == PS_ERR_MALFORMED);
			continue;
		}
		assert_row(i, ret == PS_OK && pattern.rights == 3);
		assert_row(i, ps_channel_pattern_matches(
				  &pattern, ps_slice_str(channels[i].name)) ==
				  channels[i].matches);
		ps_channel_pattern_deinit(&pattern);
	}
}

static void
a_pattern_of_channels_is_as_long_as_a_name(void **state)
{
	char text[PS_CHANNEL_MAX + 2];
	struct ps_channel_pattern pattern;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[PS_CHANNEL_MAX] = '\0';
	assert_int_equal(ps_channel_pattern_init(&pattern, text, 1), PS_OK);
	assert_true(ps_channel_pattern_matches(&pattern, ps_slice_str(text)));
	ps_channel_pattern_deinit(&pattern);
	text[PS_CHANNEL_MAX] = '*';
	text[PS_CHANNEL_MAX + 1] = '\0';
	assert_int_equal(ps_channel_pattern_init(&pattern, text, 1),
			 PS_ERR_MALFORMED);
}

#define with_schema(test) \
	cmocka_unit_test_setup_teardown(test, open_schema, close_schema)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pattern_of_targets_grants_what_it_says),
		cmocka_unit_test(a_pattern_of_callbacks_grants_what_it_says),
		cmocka_unit_test(and_otherwise_what_one_of_targets_does),
		cmocka_unit_test(a_pattern_of_origins_grants_what_it_says),
		cmocka_unit_test(callbacks_are_web_addresses),
		cmocka_unit_test(what_is_no_pattern_is_refused),
		cmocka_unit_test(
		    names_that_are_no_names_of_any_language_are_refused),
		cmocka_unit_test(hosts_and_patterns_have_a_largest_length),
		cmocka_unit_test(an_origin_that_is_too_long_matches_no_host),
		with_schema(a_pattern_of_channels_grants_what_it_says),
		cmocka_unit_test(a_pattern_of_channels_is_as_long_as_a_name),
		with_schema(the_schema_says_the_same_of_every_row),
		with_schema(the_schema_says_the_same_of_many_more),
		with_schema(the_schema_says_the_same_of_ipv6_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
