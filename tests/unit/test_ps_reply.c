#include "config.h"

#include "unit.h"

#include "ps_reply.h"

#define CACHE \
	"Cache-Control: no-store, no-cache, no-transform, " \
	"must-revalidate, max-age=0\r\n" \
	"X-Content-Type-Options: nosniff\r\n"
#define ANY "Access-Control-Allow-Origin: *\r\n"

#define JSONP .callback = { "f.g", 3 }
#define ORIGIN .origin = { "http://a", 8 }

static const struct {
	struct ps_style style;
	int status;
	const char *json;
	struct ps_head_extra extra;
	const char *text;
} answers[] = {
	{ { 0 }, 200, "{}", { 0 },
	    "Status: 200 OK\r\n"
	    "Content-Type: application/json; charset=utf-8\r\n"
	    "Content-Length: 2\r\n" ANY CACHE "\r\n{}" },
	{ { JSONP }, 200, "{}", { 0 },
	    "Status: 200 OK\r\n"
	    "Content-Type: application/javascript; charset=utf-8\r\n"
	    "Content-Length: 12\r\n" ANY CACHE "\r\n/**/f.g({});" },
	{ { JSONP }, 200, "{\"a\":\"</\xe2\x80\xa8\"}", { 0 },
	    "Status: 200 OK\r\n"
	    "Content-Type: application/javascript; charset=utf-8\r\n"
	    "Content-Length: 27\r\n" ANY CACHE
	    "\r\n/**/f.g({\"a\":\"<\\/\\u2028\"});" },
	{ { ORIGIN }, 201, "", { 0 },
	    "Status: 201 Created\r\n"
	    "Content-Length: 0\r\n"
	    "Access-Control-Allow-Origin: http://a\r\n"
	    "Vary: Origin\r\n" CACHE "\r\n" },
	{ { JSONP }, 201, "", { 0 },
	    "Status: 201 Created\r\n"
	    "Content-Length: 0\r\n" ANY CACHE "\r\n" },
	{ { .flags = PS_STYLE_HEAD }, 200, "{}", { 0 },
	    "Status: 200 OK\r\n"
	    "Content-Type: application/json; charset=utf-8\r\n"
	    "Content-Length: 2\r\n" ANY CACHE "\r\n" },
	{ { 0 }, 405, "{}", { .allow = "GET, POST" },
	    "Status: 405 Method Not Allowed\r\n"
	    "Content-Type: application/json; charset=utf-8\r\n"
	    "Content-Length: 2\r\n" ANY CACHE "Allow: GET, POST\r\n\r\n{}" },
	{ { 0 }, 401, "{}", { 0 },
	    "Status: 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\n"
	    "Content-Type: application/json; charset=utf-8\r\n"
	    "Content-Length: 2\r\n" ANY CACHE "\r\n{}" },
	{ { 0 }, 426, "{}", { 0 },
	    "Status: 426 Upgrade Required\r\n"
	    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Content-Type: application/json; charset=utf-8\r\n"
	    "Content-Length: 2\r\n" ANY CACHE "\r\n{}" },
	{ { 0 }, 408, "{}", { 0 },
	    "Status: 408 Request Timeout\r\n"
	    "Content-Type: application/json; charset=utf-8\r\n"
	    "Content-Length: 2\r\n" ANY CACHE "\r\n{}" },
	{ { 0 }, 503, "{}", { .retry_after_s = 7, .stream = true },
	    "Status: 503 Service Unavailable\r\n"
	    "Content-Type: application/json; charset=utf-8\r\n"
	    "Content-Length: 2\r\n" ANY CACHE "Retry-After: 7\r\n"
	    "X-Accel-Buffering: no\r\n\r\n{}" },
};

static void
an_answer_has_the_form_its_client_asked_for(void **state)
{
	struct ps_writer w = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(answers); i++) {
		ps_reply_json(&w, &answers[i].style, answers[i].status,
		    ps_slice_str(answers[i].json), &answers[i].extra);
		assert_row(i, writer_had(&w, answers[i].text));
	}
	ps_writer_deinit(&w);
}

static const struct {
	struct ps_style style;
	enum ps_code code;
	const char *sentence, *members;
	int status;
	const char *retry; /* the line, or NULL */
	const char *body;
} refusals[] = {
	{ { 0 }, PS_CODE_NOT_FOUND, NULL, NULL, 404, NULL,
	    "{\"ok\":false,\"error\":\"there is nothing at this path\","
	    "\"code\":\"not_found\"}" },
	{ { 0 }, PS_CODE_BAD_REQUEST, "say \"why\"", "\"at\":1", 400, NULL,
	    "{\"ok\":false,\"error\":\"say \\\"why\\\"\","
	    "\"code\":\"bad_request\",\"at\":1}" },
	{ { 0 }, PS_CODE_SLOW_TARGET, "x", NULL, 429, "Retry-After: 1\r\n",
	    "{\"ok\":false,\"error\":\"x\",\"code\":\"slow_target\"}" },
	{ { .flags = PS_STYLE_SOFT }, PS_CODE_SOCKET_UNKNOWN, "x", NULL, 200,
	    NULL,
	    "{\"ok\":false,\"error\":\"x\",\"code\":\"socket_unknown\","
	    "\"status\":403}" },
	{ { .flags = PS_STYLE_REFUSAL }, PS_CODE_TARGET_REFUSED, "x", NULL,
	    200, NULL,
	    "{\"ok\":false,\"error\":\"x\",\"code\":\"target_refused\"}" },
	{ { .flags = PS_STYLE_SOFT }, PS_CODE_TLS_ERROR, "x", NULL, 200, NULL,
	    "{\"ok\":false,\"error\":\"x\",\"code\":\"tls_error\"}" },
	{ { JSONP }, PS_CODE_BRIDGE_FULL, "x", NULL, 503,
	    "Retry-After: 5\r\n",
	    "/**/f.g({\"ok\":false,\"error\":\"x\","
	    "\"code\":\"bridge_full\"});" },
	{ { .flags = PS_STYLE_SUCCESS | PS_STYLE_SOFT },
	    PS_CODE_UPGRADE_REQUIRED, "x", NULL, 200, NULL,
	    "{\"success\":false,\"error\":\"x\",\"code\":"
	    "\"upgrade_required\",\"status\":426}" },
	{ { .flags = PS_STYLE_HEAD }, PS_CODE_NOT_FOUND, "x", NULL, 404, NULL,
	    "" },
};

static void
a_refusal_says_what_and_why(void **state)
{
	struct ps_writer w = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(refusals); i++) {
		char *body;
		int status = 0;

		ps_writer_reset(&w);
		ps_reply_error(&w, &refusals[i].style, refusals[i].code,
		    refusals[i].sentence, refusals[i].members);
		ps_writer_u8(&w, 0);
		assert_row(i, sscanf(w.data, "Status: %d", &status) == 1);
		assert_row(i, status == refusals[i].status);
		assert_row(i, (refusals[i].retry == NULL) ==
			(strstr(w.data, "Retry-After") == NULL));
		if (refusals[i].retry != NULL)
			assert_row(i,
			    strstr(w.data, refusals[i].retry) != NULL);
		body = strstr(w.data, "\r\n\r\n");
		assert_row(i, body != NULL);
		assert_string_equal(body + 4, refusals[i].body);
	}
	ps_writer_deinit(&w);
}

static void
a_refusal_may_have_other_lines_in_its_head(void **state)
{
	static const struct ps_head_extra extra = { .allow = "POST" };
	static const struct ps_style style;
	struct ps_writer w = { 0 };

	(void)state;
	ps_reply_error_with(&w, &style, PS_CODE_METHOD_NOT_ALLOWED, NULL, NULL,
	    &extra);
	ps_writer_u8(&w, 0);
	assert_non_null(strstr(w.data, "\r\nAllow: POST\r\n"));
	ps_writer_deinit(&w);
}

#define SOCKJS_ANY \
	ANY "Vary: Origin\r\nAccess-Control-Allow-Credentials: true\r\n"
#define SOCKJS .flags = PS_STYLE_SOCKJS
#define NOSNIFF "X-Content-Type-Options: nosniff\r\n"
#define YEAR \
	"Cache-Control: public, max-age=31536000\r\n" \
	"Expires: Mon, 22 Nov 2027 00:00:01 GMT\r\n"
#define NOW_S 1795305601 /* 2026-11-22 00:00:01 */

static const struct {
	struct ps_style style;
	int status;
	const char *type, *body;
	struct ps_head_extra extra;
	const char *text;
} texts[] = {
	{ { SOCKJS }, 200, PS_TYPE_SOCKJS_TEXT, "hi", { 0 },
	    "Status: 200 OK\r\n"
	    "Content-Type: text/plain; charset=UTF-8\r\n"
	    "Content-Length: 2\r\n" SOCKJS_ANY CACHE "\r\nhi" },
	{ { SOCKJS | PS_STYLE_HEAD }, 200, PS_TYPE_SOCKJS_TEXT, "hi", { 0 },
	    "Status: 200 OK\r\n"
	    "Content-Type: text/plain; charset=UTF-8\r\n"
	    "Content-Length: 2\r\n" SOCKJS_ANY CACHE "\r\n" },
	{ { SOCKJS, ORIGIN, .allow_headers = { "a, b", 4 } }, 204,
	    PS_TYPE_SOCKJS_TEXT, "", { 0 },
	    "Status: 204 No Content\r\n"
	    "Content-Type: text/plain; charset=UTF-8\r\n"
	    "Access-Control-Allow-Origin: http://a\r\n"
	    "Vary: Origin\r\nAccess-Control-Allow-Credentials: true\r\n"
	    "Access-Control-Allow-Headers: a, b\r\n" CACHE "\r\n" },
	{ { SOCKJS, .origin = { "null", 4 } }, 200, NULL, "", { 0 },
	    "Status: 200 OK\r\nContent-Length: 0\r\n" SOCKJS_ANY CACHE
	    "\r\n" },
	{ { SOCKJS | PS_STYLE_COOKIE }, 200, NULL, "", { 0 },
	    "Status: 200 OK\r\nContent-Length: 0\r\n" SOCKJS_ANY
	    "Set-Cookie: JSESSIONID=dummy; Path=/\r\n" CACHE "\r\n" },
	{ { SOCKJS | PS_STYLE_COOKIE, .cookie = { "a.b", 3 } }, 200, NULL, "",
	    { 0 },
	    "Status: 200 OK\r\nContent-Length: 0\r\n" SOCKJS_ANY
	    "Set-Cookie: JSESSIONID=a.b; Path=/\r\n" CACHE "\r\n" },
	{ { SOCKJS | PS_STYLE_NO_CORS, ORIGIN }, 403, NULL, "", { 0 },
	    "Status: 403 Forbidden\r\nContent-Length: 0\r\n" CACHE "\r\n" },
	{ { SOCKJS }, 200, PS_TYPE_SOCKJS_HTML, "x",
	    { .cached_from_s = NOW_S, .etag = "\"e\"" },
	    "Status: 200 OK\r\n"
	    "Content-Type: text/html; charset=UTF-8\r\n"
	    "Content-Length: 1\r\n" SOCKJS_ANY YEAR "ETag: \"e\"\r\n" NOSNIFF
	    "\r\nx" },
	{ { SOCKJS }, 304, NULL, "",
	    { .cached_from_s = NOW_S, .etag = "\"e\"" },
	    "Status: 304 Not Modified\r\n" SOCKJS_ANY YEAR
	    "ETag: \"e\"\r\n" NOSNIFF "\r\n" },
	{ { SOCKJS }, 204, NULL, "",
	    { .cached_from_s = NOW_S, .methods = "OPTIONS, GET" },
	    "Status: 204 No Content\r\n" SOCKJS_ANY YEAR NOSNIFF
	    "Access-Control-Allow-Methods: OPTIONS, GET\r\n"
	    "Access-Control-Max-Age: 31536000\r\n\r\n" },
	{ { SOCKJS }, 500, PS_TYPE_SOCKJS_TEXT, "Payload expected.", { 0 },
	    "Status: 500 Internal Server Error\r\n"
	    "Content-Type: text/plain; charset=UTF-8\r\n"
	    "Content-Length: 17\r\n" SOCKJS_ANY CACHE
	    "\r\nPayload expected." },
};

static void
an_answer_of_sockjs_is_what_its_clients_compare(void **state)
{
	struct ps_writer w = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(texts); i++) {
		ps_reply_text(&w, &texts[i].style, texts[i].status,
		    texts[i].type, ps_slice_str(texts[i].body),
		    &texts[i].extra);
		assert_row(i, writer_had(&w, texts[i].text));
	}
	ps_writer_deinit(&w);
}

static void
a_refusal_of_sockjs_is_text_and_a_wrong_method_says_nothing(void **state)
{
	static const struct ps_head_extra extra = { .allow = "POST" };
	static const struct ps_style style = { SOCKJS | PS_STYLE_SOFT, JSONP };
	struct ps_writer w = { 0 };

	(void)state;
	ps_reply_error(&w, &style, PS_CODE_OUTBOX_FULL, "try again", NULL);
	assert_true(writer_had(&w,
	    "Status: 503 Service Unavailable\r\n"
	    "Content-Type: text/plain; charset=UTF-8\r\n"
	    "Content-Length: 10\r\n" SOCKJS_ANY CACHE
	    "Retry-After: 5\r\n\r\ntry again\n"));
	ps_reply_error(&w, &style, PS_CODE_BAD_REQUEST, "no",
	    "\"limit\":\"max_body\"");
	assert_true(writer_had(&w,
	    "Status: 400 Bad Request\r\n"
	    "Content-Type: text/plain; charset=UTF-8\r\n"
	    "Content-Length: 24\r\n" SOCKJS_ANY CACHE
	    "\r\nno (\"limit\":\"max_body\")\n"));
	ps_reply_error_with(&w, &style, PS_CODE_METHOD_NOT_ALLOWED, NULL, NULL,
	    &extra);
	assert_true(writer_had(&w,
	    "Status: 405 Method Not Allowed\r\n"
	    "Content-Length: 0\r\n" SOCKJS_ANY CACHE "Allow: POST\r\n\r\n"));
	ps_writer_deinit(&w);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_has_the_form_its_client_asked_for),
		cmocka_unit_test(a_refusal_says_what_and_why),
		cmocka_unit_test(a_refusal_may_have_other_lines_in_its_head),
		cmocka_unit_test(an_answer_of_sockjs_is_what_its_clients_compare),
		cmocka_unit_test(
		    a_refusal_of_sockjs_is_text_and_a_wrong_method_says_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
