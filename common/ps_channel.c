#include "config.h"

#include "ps_channel.h"

#include "ps_json.h"
#include "ps_limits.h"
#include "ps_utf8.h"

static const char *const reserved[] = { "polysocket", "create", "s", "j",
					"x",          "p",      "e", "c",
					"authorize",  "publish" };

bool
ps_name_is_reserved(struct ps_slice name)
{
	size_t i;

	for (i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		if (ps_slice_is(name, reserved[i]))
			return true;
	}
	return false;
}

/* C0, DEL or C1, in valid UTF-8. */
static bool
has_control(struct ps_slice name)
{
	const unsigned char *p = (const unsigned char *)name.data;
	size_t i;

	for (i = 0; i < name.len; i++) {
		if (p[i] < 0x20 || p[i] == 0x7f ||
		    (p[i] == 0xc2 && p[i + 1] < 0xa0))
			return true;
	}
	return false;
}

bool
ps_channel_check_name(struct ps_slice name, enum ps_code *code_r)
{
	if (ps_name_is_reserved(name)) {
		*code_r = PS_CODE_NAME_RESERVED;
		return false;
	}
	*code_r = PS_CODE_NAME_INVALID;
	return name.len > 0 && name.len <= PS_CHANNEL_MAX &&
	       ps_utf8_is_valid(name.data, name.len) && !has_control(name);
}

int
ps_channel_take_presence(struct ps_writer *w, struct ps_slice text)
{
	size_t begin = w->len, n_names;
	int ret = PS_OK;

	if (ps_json_check(text, &n_names) != PS_OK)
		return PS_ERR_MALFORMED;
	ps_json_compact(w, text);
	if (w->failed)
		return PS_ERR_NOMEM;
	if (w->data[begin] != '{')
		ret = PS_ERR_MALFORMED;
	else if (w->len - begin > PS_PRESENCE_MAX)
		ret = PS_ERR_TOO_LARGE;
	if (ret != PS_OK)
		w->len = begin;
	return ret;
}
