#include "config.h"

#include "ps_reply.h"

#include <time.h>

#include "ps_json.h"

static const char *
reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 201:
		return "Created";
	case 204:
		return "No Content";
	case 304:
		return "Not Modified";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 408:
		return "Request Timeout";
	case 409:
		return "Conflict";
	case 413:
		return "Content Too Large";
	case 426:
		return "Upgrade Required";
	case 429:
		return "Too Many Requests";
	case 500:
		return "Internal Server Error";
	case 503:
		return "Service Unavailable";
	default:
		return "Unknown";
	}
}

static void
header(struct ps_writer *w, const char *name, struct ps_slice value)
{
	ps_writer_str(w, name);
	ps_writer_str(w, ": ");
	ps_writer_bytes(w, value.data, value.len);
	ps_writer_str(w, "\r\n");
}

void
ps_reply_cors(struct ps_writer *w, const struct ps_style *style)
{
	bool sockjs = style->flags & PS_STYLE_SOCKJS;
	bool any = style->origin.len == 0 ||
	    (sockjs && ps_slice_is(style->origin, "null"));

	if (style->flags & PS_STYLE_NO_CORS)
		return;
	header(w, "Access-Control-Allow-Origin",
	    any ? ps_slice_str("*") : style->origin);
	if (!any || sockjs)
		ps_writer_str(w, "Vary: Origin\r\n");
	if (!sockjs)
		return;
	ps_writer_str(w, "Access-Control-Allow-Credentials: true\r\n");
	if (style->allow_headers.len > 0)
		header(w, "Access-Control-Allow-Headers",
		    style->allow_headers);
}

static void
put_cookie(struct ps_writer *w, struct ps_slice cookie)
{
	ps_writer_str(w, "Set-Cookie: JSESSIONID=");
	if (cookie.len > 0)
		ps_writer_bytes(w, cookie.data, cookie.len);
	else
		ps_writer_str(w, "dummy");
	ps_writer_str(w, "; Path=/\r\n");
}

/* RFC 9110, section 5.6.7, whatever the locale. */
static void
put_expires(struct ps_writer *w, int64_t unix_s)
{
	static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu",
		"Fri", "Sat" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May",
		"Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t at = (time_t)unix_s;
	struct tm tm;

	if (gmtime_r(&at, &tm) == NULL)
		return;
	ps_writer_printf(w, "Expires: %s, %02d %s %d %02d:%02d:%02d GMT\r\n",
	    days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
	    tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void
put_caching(struct ps_writer *w, const struct ps_head_extra *extra)
{
	if (extra == NULL || extra->cached_from_s == 0) {
		ps_writer_str(w,
		    "Cache-Control: no-store, no-cache, no-transform, "
		    "must-revalidate, max-age=0\r\n");
		return;
	}
	ps_writer_printf(w, "Cache-Control: public, max-age=%d\r\n",
	    PS_CACHED_S);
	put_expires(w, extra->cached_from_s + PS_CACHED_S);
	if (extra->etag != NULL)
		header(w, "ETag", ps_slice_str(extra->etag));
}

void
ps_reply_head(struct ps_writer *w, const struct ps_style *style, int status,
    const char *type, const struct ps_head_extra *extra)
{
	ps_writer_printf(w, "Status: %d %s\r\n", status, reason(status));
	/* RFC 9110, sections 15.5.2 and 15.5.22 */
	if (status == 401)
		ps_writer_str(w, "WWW-Authenticate: Bearer\r\n");
	if (status == 426)
		ps_writer_str(w,
			      "Upgrade: websocket\r\nConnection: Upgrade\r\n");
	if (type != NULL)
		header(w, "Content-Type", ps_slice_str(type));
	if (extra != NULL && extra->has_length)
		ps_writer_printf(w, "Content-Length: %zu\r\n",
		    extra->content_length);
	ps_reply_cors(w, style);
	if (style->flags & PS_STYLE_COOKIE)
		put_cookie(w, style->cookie);
	put_caching(w, extra);
	ps_writer_str(w, "X-Content-Type-Options: nosniff\r\n");
	if (extra != NULL && extra->methods != NULL)
		ps_writer_printf(w,
		    "Access-Control-Allow-Methods: %s\r\n"
		    "Access-Control-Max-Age: %d\r\n",
		    extra->methods, PS_CACHED_S);
	if (extra != NULL && extra->retry_after_s > 0)
		ps_writer_printf(w, "Retry-After: %u\r\n",
		    extra->retry_after_s);
	if (extra != NULL && extra->allow != NULL)
		header(w, "Allow", ps_slice_str(extra->allow));
	if (extra != NULL && extra->stream)
		ps_writer_str(w, "X-Accel-Buffering: no\r\n");
	ps_writer_str(w, "\r\n");
}

void
ps_reply_json(struct ps_writer *w, const struct ps_style *style, int status,
    struct ps_slice json, const struct ps_head_extra *extra)
{
	bool wrap = style->callback.len > 0 && json.len > 0;
	struct ps_head_extra head = { 0 };
	struct ps_writer script = { 0 };
	const char *type = wrap ? PS_TYPE_JSONP : PS_TYPE_JSON;

	if (extra != NULL)
		head = *extra;
	if (wrap) {
		ps_writer_str(&script, "/**/");
		ps_writer_bytes(&script, style->callback.data,
				style->callback.len);
		ps_writer_str(&script, "(");
		ps_json_for_script(&script, json);
		ps_writer_str(&script, ");");
		if (script.failed)
			w->failed = true;
		json = ps_slice(script.data, script.len);
	}
	head.has_length = true;
	head.content_length = json.len;
	ps_reply_head(w, style, status, json.len > 0 ? type : NULL, &head);
	if (!(style->flags & PS_STYLE_HEAD))
		ps_writer_bytes(w, json.data, json.len);
	ps_writer_deinit(&script);
}

void
ps_reply_text(struct ps_writer *w, const struct ps_style *style, int status,
    const char *type, struct ps_slice text, const struct ps_head_extra *extra)
{
	struct ps_head_extra head = { 0 };

	if (extra != NULL)
		head = *extra;
	/* RFC 9110, section 8.6: no length where there cannot be a body. */
	head.has_length = status != 204 && status != 304;
	head.content_length = text.len;
	ps_reply_head(w, style, status, type, &head);
	if (!(style->flags & PS_STYLE_HEAD))
		ps_writer_bytes(w, text.data, text.len);
}

/* Scripts of SockJS look at the status alone; the text is for people. */
static void
reply_text_error(struct ps_writer *w, const struct ps_style *style, int status,
    const char *sentence, const char *members,
    const struct ps_head_extra *extra)
{
	struct ps_writer text = { 0 };

	if (status != 405) {
		ps_writer_str(&text, sentence);
		if (members != NULL)
			ps_writer_printf(&text, " (%s)", members);
		ps_writer_str(&text, "\n");
	}
	ps_reply_text(w, style, status,
	    status != 405 ? PS_TYPE_SOCKJS_TEXT : NULL,
	    ps_slice(text.data, text.len), extra);
	if (text.failed)
		w->failed = true;
	ps_writer_deinit(&text);
}

void
ps_reply_error_with(struct ps_writer *w, const struct ps_style *style,
    enum ps_code code, const char *sentence, const char *members,
    const struct ps_head_extra *extra)
{
	const struct ps_code_info *info = ps_code_info(code);
	struct ps_head_extra head = { .retry_after_s = info->retry_after_s };
	struct ps_writer json = { 0 };
	int status = info->status;

	if (sentence == NULL)
		sentence = info->sentence;
	if (extra == NULL)
		extra = &head;
	if (style->flags & PS_STYLE_SOCKJS) {
		reply_text_error(w, style, status, sentence, members, extra);
		return;
	}
	ps_writer_printf(&json, "{\"%s\":false,\"error\":",
	    style->flags & PS_STYLE_SUCCESS ? "success" : "ok");
	ps_json_string(&json, ps_slice_str(sentence));
	ps_writer_printf(&json, ",\"code\":\"%s\"", info->word);
	if (members != NULL)
		ps_writer_printf(&json, ",%s", members);
	if (style->flags & PS_STYLE_SOFT && status != 200)
		ps_writer_printf(&json, ",\"status\":%d", status);
	if (style->flags & (PS_STYLE_SOFT | PS_STYLE_REFUSAL))
		status = 200;
	ps_writer_str(&json, "}");
	ps_reply_json(w, style, status, ps_slice(json.data, json.len), extra);
	if (json.failed)
		w->failed = true;
	ps_writer_deinit(&json);
}

void
ps_reply_error(struct ps_writer *w, const struct ps_style *style,
    enum ps_code code, const char *sentence, const char *members)
{
	ps_reply_error_with(w, style, code, sentence, members, NULL);
}
