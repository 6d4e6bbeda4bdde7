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

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_has_the_form_its_client_asked_for),
		cmocka_unit_test(a_refusal_says_what_and_why),
		cmocka_unit_test(a_refusal_may_have_other_lines_in_its_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
