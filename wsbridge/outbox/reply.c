#include "config.h"

#include "reply.h"

#include "ps_json.h"
#include "ps_json_literal.h"
#include "ps_json_parts.h"
#include "ps_log.h"
#include "wsbridge/applications/application.h"

/* The two quotes of a literal are not part of the message. */
#define QUOTES 2

/* A string goes as it is, any other value as its JSON text. */
static struct message *
make_message(struct bridge *bridge, struct ps_slice value)
{
	struct ps_writer *literal = &bridge->scratch;

	ps_writer_reset(literal);
	if (!ps_json_is_string(value))
		ps_json_literal_text(literal, value);
	else if (ps_json_literal(literal, value) != PS_OK)
		return NULL;
	return literal->failed ? NULL :
				 message_create(PS_EVENT_TEXT,
				     ps_slice(literal->data, literal->len));
}

/* Not PS_OK when there is nobody to deliver to any more. */
static int
deliver(void *arg, struct ps_slice value)
{
	struct application *application = arg;
	struct session *session = application->session;
	struct message *message;

	if (session == NULL || session->state != SESSION_OPEN ||
	    application->connection.authorization == NULL)
		return PS_ERR_CLOSED;
	message = make_message(application->bridge, value);
	if (message == NULL) {
		session_expel(session, 1011, "out of memory");
		return PS_ERR_CLOSED;
	}
	if (message->len - QUOTES > session_max_message(session, NULL)) {
		ps_warning("outbox: session %s: a message in a reply is longer "
			   "than max_message",
		    session->name);
		message_unref(message);
		return PS_OK;
	}
	return connection_publish(&application->connection, message) ?
	    PS_OK :
	    PS_ERR_CLOSED;
}

static int
deliver_member(void *arg, struct ps_slice name, struct ps_slice value)
{
	if (ps_slice_is(name, "\"messages\"") && value.data[0] == '[')
		return ps_json_elements(value, deliver, arg);
	return ps_slice_is(name, "\"message\"") ? deliver(arg, value) : PS_OK;
}

void
reply_deliver(struct bridge *bridge, struct ps_slice session_name,
    struct ps_slice body)
{
	struct session *session = session_find_name(bridge, session_name);
	struct application *application =
	    session == NULL ? NULL : application_of(session);

	/* What is no JSON, or no object, says nothing to the session. */
	if (application != NULL && body.len > 0)
		(void)!ps_json_members(body, deliver_member, application);
}
