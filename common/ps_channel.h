/*
 * What both programs check of channels: their names, and what a member shows
 * of itself to the others.
 */
#ifndef PS_CHANNEL_H
#define PS_CHANNEL_H

#include "ps_bytes.h"
#include "ps_code.h"

/* First segments of paths are never the name of a channel or a socket. */
bool ps_name_is_reserved(struct ps_slice name);

/* `name` has been decoded. False for none that a channel may have, and why. */
PS_MUST_CHECK bool ps_channel_check_name(struct ps_slice name,
					 enum ps_code *code_r);

/*
 * Appends presence that a client sent, compact. PS_ERR_MALFORMED when it is no
 * JSON object; PS_ERR_TOO_LARGE when it has more than PS_PRESENCE_MAX bytes
 * without its space; PS_ERR_NOMEM. Nothing is left of what is refused.
 */
PS_MUST_CHECK int ps_channel_take_presence(struct ps_writer *w,
					   struct ps_slice text);

#endif
