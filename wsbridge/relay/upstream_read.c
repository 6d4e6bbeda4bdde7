/* What a target says. */
#include "config.h"

#include "upstream_state.h"

#include "wsbridge/websocket/websocket.h"

/* A target that sends more than this waits for its turn to be read from. */
#define SHARE_BYTES (16 * 1024)
#define SHARE_MS 1000

/*
 * Ends the connection because the target breaks a rule: from a timer, since
 * libwebsockets still has the rest of what it read in hand.
 */
static int
reject(struct upstream *upstream, uint16_t code, const char *reason)
{
	if (upstream->phase == PHASE_OPEN) {
		message_queue_deinit(&upstream->queue);
		upstream_start_close(upstream, code, ps_slice_str(reason));
		upstream_set_timer(upstream, 0);
	}
	upstream_report_close(upstream, code, ps_slice_str(reason), false);
	return 0;
}

static int
deliver(struct upstream *upstream, enum ps_event_type type,
    struct ps_slice data)
{
	struct message *message = message_create(type, data);

	if (message == NULL)
		return reject(upstream, 1011, "out of memory");
	session_from_peer(upstream->session, message);
	return 0;
}

/*
 * The reserved bits of a frame (RFC 7692, section 6): RSV1 on the first frame
 * of a compressed message, and nowhere else.
 */
static bool
take_reserved_bits(struct upstream *upstream, struct lws *wsi)
{
	unsigned char bits = lws_get_reserved_bits(wsi);

	if (lws_is_first_fragment(wsi) && !upstream->assembly.waiting)
		upstream->rx_compressed =
		    upstream->terms.accepted && bits == 0x40;
	return bits == 0 || (upstream->rx_compressed && bits == 0x40);
}

/* So that targets that flood do not keep the loop from everybody else. */
static void
count_share(struct upstream *upstream, size_t len)
{
	uint64_t now_ms = upstream->bridge->now_ms();

	if (now_ms - upstream->share_since_ms >= SHARE_MS) {
		upstream->share_since_ms = now_ms;
		upstream->share_used = 0;
	}
	upstream->share_used += len;
	if (upstream->share_used > SHARE_BYTES)
		turns_note(&upstream->bridge->turns, &upstream->turn);
}

static struct deflate *
codec_of(struct upstream *upstream)
{
	return upstream->inflate != NULL ?
	    upstream->inflate :
	    &upstream->bridge->websocket->tools.deflate;
}

int
upstream_on_receive(struct upstream *upstream, struct lws *wsi,
    const char *data, size_t len)
{
	struct assembly_part part = { .data = ps_slice(data, len),
		.left = lws_remaining_packet_payload(wsi),
		.last = lws_is_final_fragment(wsi) != 0,
		.text = lws_frame_is_binary(wsi) == 0 };
	struct ps_slice message;
	const char *reason;
	int ret;

	if (upstream->session == NULL)
		return 0;
	count_share(upstream, len);
	if (!take_reserved_bits(upstream, wsi))
		return reject(upstream, 1002, "reserved bits");
	part.compressed = upstream->rx_compressed;
	ret = assembly_add(&upstream->assembly, codec_of(upstream), &part,
	    session_max_message(upstream->session, NULL), &message, &reason);
	if (ret == 0)
		return 0;
	if (ret != ASSEMBLY_COMPLETE)
		return reject(upstream, (uint16_t)ret, reason);
	ret = deliver(upstream,
	    part.text ? PS_EVENT_TEXT : PS_EVENT_BINARY, message);
	assembly_release(&upstream->assembly, codec_of(upstream));
	return ret;
}
