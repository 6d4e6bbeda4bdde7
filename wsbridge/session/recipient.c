#include "config.h"

#include "recipient.h"

#include <string.h>

#include "wsbridge/channels/envelope.h"

void
recipient_has_got(struct recipient *recipient, const struct message *message)
{
	struct ps_slice event = envelope_event_id(message);

	if (event.len == PS_EVENT_ID_LEN)
		memcpy(recipient->event, event.data, event.len);
}
