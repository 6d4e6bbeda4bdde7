#include "config.h"

#include "unit.h"

#include "fcgi-app/sockjs.h"

/* As the worker splits a path; what is behind the socket id. */
static const struct sockjs_place *
find(const char *path)
{
	struct ps_slice segments[PS_SEGMENTS_MAX], rest = ps_slice_str(path);
	size_t n = 0;

	while (rest.len > 0) {
		assert_int_equal(*rest.data, '/');
		rest = ps_slice(rest.data + 1, rest.len - 1);
		segments[n].data = rest.data;
		for (segments[n].len = 0;
		     rest.len > 0 && *rest.data != '/'; segments[n].len++)
			rest = ps_slice(rest.data + 1, rest.len - 1);
		n++;
	}
	return sockjs_find(segments, n);
}

static void
what_the_protocol_has_no_path_for_is_nothing(void **state)
{
	static const char *const paths[] = { "/a", "/a.html", "//", "///",
		"/a/a", "/a/a/", "/a/", "/a/a/a", "/a/a/xhr/", "/a/a//xhr",
		"///xhr", "//xhr", "/a//xhr", "//a/xhr", "/a./a/xhr",
		"/a/a./xhr", "/./././xhr", "/./a/xhr", "/a/../xhr",
		"/a/a/a/xhr", "/a/a/xhr_", "/a/a/XHR", "/a/a/xhr-send",
		"/iframe", "/iframe.htm", "/iframe.HTML", "/IFRAME.HTML",
		"/iframe.xml", "/iframe-/.html", "/iframea.html", "/iframehtml",
		"/iframe-a b.html", "/iframe-<.html", "/xiframe.html", "/Info",
		"/info/", "/websocket/", "/a/websocket" };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(paths); i++)
		assert_row(i, find(paths[i]) == NULL);
}

static const struct {
	const char *path;
	enum sockjs_action action;
	enum method method;
	int kind; /* of page, or framing, or whether it is of JSONP */
} rows[] = {
	{ "", SOCKJS_PAGE, METHOD_GET, PS_SOCKJS_GREETING },
	{ "/", SOCKJS_PAGE, METHOD_GET, PS_SOCKJS_GREETING },
	{ "/info", SOCKJS_PAGE, METHOD_GET, PS_SOCKJS_INFO },
	{ "/iframe.html", SOCKJS_PAGE, METHOD_GET, PS_SOCKJS_IFRAME },
	{ "/iframe-.html", SOCKJS_PAGE, METHOD_GET, PS_SOCKJS_IFRAME },
	{ "/iframe-0.1.2abc-dirty.2144.html", SOCKJS_PAGE, METHOD_GET,
	    PS_SOCKJS_IFRAME },
	{ "/websocket", SOCKJS_PAGE, METHOD_GET, PS_SOCKJS_NO_UPGRADE },
	{ "/a/b/websocket", SOCKJS_PAGE, METHOD_GET, PS_SOCKJS_NO_UPGRADE },
	{ "/a/b/xhr", SOCKJS_RECEIVE, METHOD_POST, PS_SOCKJS_XHR },
	{ "/_/i-j k/xhr", SOCKJS_RECEIVE, METHOD_POST, PS_SOCKJS_XHR },
	{ "/a/b/xhr_streaming", SOCKJS_RECEIVE, METHOD_POST,
	    PS_SOCKJS_XHR_STREAMING },
	{ "/a/b/eventsource", SOCKJS_RECEIVE, METHOD_GET,
	    PS_SOCKJS_EVENTSOURCE },
	{ "/a/b/htmlfile", SOCKJS_RECEIVE, METHOD_GET, PS_SOCKJS_HTMLFILE },
	{ "/a/b/jsonp", SOCKJS_RECEIVE, METHOD_GET, PS_SOCKJS_JSONP },
	{ "/a/b/xhr_send", SOCKJS_SEND, METHOD_POST, false },
	{ "/a/b/jsonp_send", SOCKJS_SEND, METHOD_POST, true },
};

static void
each_transport_has_its_method(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		const struct sockjs_place *place = find(rows[i].path);

		assert_row(i, place != NULL);
		assert_row(i, place->action == rows[i].action);
		assert_row(i, place->method == rows[i].method);
		assert_row(i,
		    rows[i].kind ==
			(place->action == SOCKJS_PAGE ? (int)place->page :
				place->action == SOCKJS_SEND ?
							(int)place->jsonp :
							(int)place->framing));
	}
}

static void
the_session_of_a_path_is_bounded(void **state)
{
	char path[1024];
	int len;

	(void)state;
	for (len = PS_SOCKJS_SESSION_MAX; len <= PS_SOCKJS_SESSION_MAX + 1;
	     len++) {
		snprintf(path, sizeof(path), "/1/%0*d/xhr", len, 0);
		assert_row(len,
		    (find(path) != NULL) == (len == PS_SOCKJS_SESSION_MAX));
	}
	/* The server is for others and may be as long as it likes. */
	snprintf(path, sizeof(path), "/%0*d/1/xhr", 1000, 0);
	assert_non_null(find(path));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_protocol_has_no_path_for_is_nothing),
		cmocka_unit_test(each_transport_has_its_method),
		cmocka_unit_test(the_session_of_a_path_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
