/*
 * The request for a WebSocket, and its answer.
 */
#include "config.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "downstream_state.h"
#include "upgrade.h"
#include "wsbridge/session/session.h"

/* Of the client itself, where it came without a web server. */
static struct ps_slice
find_address(const struct downstream *downstream, char *text)
{
	struct sockaddr_storage storage = { 0 };
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
	socklen_t len = sizeof(storage);
	const void *address = &v4->sin_addr;

	if (downstream->is_proxied ||
	    getpeername(lws_get_socket_fd(downstream->wsi),
		(struct sockaddr *)&storage, &len) < 0)
		return ps_slice(NULL, 0);
	if (storage.ss_family == AF_INET6)
		address = &v6->sin6_addr;
	if (inet_ntop(storage.ss_family, address, text, PS_ADDRESS_MAX) ==
	    NULL)
		return ps_slice(NULL, 0);
	return ps_slice_str(text);
}

/* A refusal was written, and what the client sends behind its request would
 * reset the connection before it has read that. */
static void
end_refused(struct downstream *downstream)
{
	downstream_leave_handshake(downstream, PHASE_ENDING);
	downstream_set_timer(downstream, CLOSE_TIMEOUT_MS);
	downstream_end_writing(downstream);
}

static void
answer_request(struct downstream *downstream, struct ps_slice head)
{
	struct ps_writer out = { 0 };
	struct handshake handshake;
	struct upgrade_result result = { 0 };
	struct session *session = NULL;
	char address[PS_ADDRESS_MAX];

	if (handshake_parse(&handshake, head) == PS_OK)
		session = upgrade_take(downstream->bridge, &handshake,
		    find_address(downstream, address), &out, &result);
	else
		upgrade_refuse(downstream->bridge, &out,
		    "this is no HTTP request");
	if (session != NULL && result.style->greet != NULL)
		result.style->greet(&out);
	downstream_write(downstream, &out);
	ps_writer_deinit(&out);
	if (session == NULL) {
		end_refused(downstream);
		return;
	}
	downstream_leave_handshake(downstream, PHASE_OPEN);
	downstream->style = result.style;
	downstream->deflate = result.deflate;
	downstream->reader.allows_compressed = result.deflate;
	downstream_set_heartbeat(downstream);
	session_attach(session, &downstream->receiver, SESSION_FORGETS);
	downstream_deliver(&downstream->receiver);
}

void
downstream_read_request(struct downstream *downstream, unsigned char *data,
    size_t len)
{
	struct ps_writer head = downstream->assembly.bytes;
	size_t had = head.len, end;

	ps_writer_bytes(&head, data, len < HANDSHAKE_MAX ? len : HANDSHAKE_MAX);
	downstream->assembly.bytes = head;
	end = head.failed ? 0 : handshake_end(head.data, head.len);
	if (end == 0 && !head.failed && head.len < HANDSHAKE_MAX)
		return;
	/* The buffer is for messages from now on. */
	downstream->assembly.bytes = (struct ps_writer){ 0 };
	if (end == 0 || end > HANDSHAKE_MAX) {
		struct ps_writer out = { 0 };

		upgrade_refuse(downstream->bridge, &out,
		    "the head of the request is larger than 32 KiB");
		downstream_write(downstream, &out);
		ps_writer_deinit(&out);
		end_refused(downstream);
	} else {
		answer_request(downstream, ps_slice(head.data, end));
		/* A client need not wait with its first frames. */
		downstream_read_frames(downstream, data + (end - had), len - (end - had));
	}
	ps_writer_deinit(&head);
}
