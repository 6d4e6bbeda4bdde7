#include "config.h"

#include "ps_reply.h"

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
	if (style->flags & PS_STYLE_NO_CORS)
		return;
	if (style->origin.len == 0) {
		ps_writer_str(w, "Access-Control-Allow-Origin: *\r\n");
		return;
	}
	header(w, "Access-Control-Allow-Origin", style->origin);
	ps_writer_str(w, "Vary: Origin\r\n");
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
	ps_writer_str(w,
	    "Cache-Control: no-store, no-cache, no-transform, "
	    "must-revalidate, max-age=0\r\n"
	    "X-Content-Type-Options: nosniff\r\n");
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
ps_reply_error_with(struct ps_writer *w, const struct ps_style *style,
    enum ps_code code, const char *sentence, const char *members,
    const struct ps_head_extra *extra)
{
	const struct ps_code_info *info = ps_code_info(code);
	struct ps_head_extra head = { .retry_after_s = info->retry_after_s };
	struct ps_writer json = { 0 };
	int status = info->status;

	ps_writer_printf(&json, "{\"%s\":false,\"error\":",
	    style->flags & PS_STYLE_SUCCESS ? "success" : "ok");
	ps_json_string(&json,
	    ps_slice_str(sentence != NULL ? sentence : info->sentence));
	ps_writer_printf(&json, ",\"code\":\"%s\"", info->word);
	if (members != NULL)
		ps_writer_printf(&json, ",%s", members);
	if (style->flags & PS_STYLE_SOFT && status != 200)
		ps_writer_printf(&json, ",\"status\":%d", status);
	if (style->flags & (PS_STYLE_SOFT | PS_STYLE_REFUSAL))
		status = 200;
	ps_writer_str(&json, "}");
	ps_reply_json(w, style, status, ps_slice(json.data, json.len),
	    extra != NULL ? extra : &head);
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
