/*
 * A session is a virtual socket: a client that comes and goes on the near side
 * (its receiver), one peer on the far side, and in between a bounded queue of
 * numbered messages for the client.
 *
 * What waits for the client is in the queue until it was handed over: a
 * receiver first takes messages (session_take) and later confirms them
 * (session_confirm), or is lost, and then they are waiting again. Where the
 * client acknowledges, what is confirmed is kept on until its next receiver
 * says what has arrived (session_acknowledge).
 *
 * States: connecting -> open -> closing -> closed. A session is `closing` as
 * soon as either side closes, until the client has fetched the close event or
 * close_linger is over; it ends itself and is freed after the turn.
 *
 * Ownership: the bridge owns sessions. A session refers to its peer and its
 * receiver, which own themselves and are told when it ends.
 */
#ifndef SESSION_H
#define SESSION_H

#include "peer.h"
#include "ps_code.h"
#include "quota.h"
#include "receiver.h"
#include "recipient.h"
#include "wsbridge/base/message.h"
#include "wsbridge/bridge.h"
#include "wsbridge/store/backlog.h"

enum session_state {
	SESSION_CONNECTING,
	SESSION_OPEN,
	SESSION_CLOSING,
	SESSION_CLOSED,
	SESSION__COUNT,
};

const char *session_state_name(enum session_state state);
bool session_state_may_follow(enum session_state from, enum session_state to);

/* The end of the peer's side, as a WebSocket would report it. */
struct close_event {
	uint16_t code;
	bool was_clean;
	uint8_t reason_len;
	char reason[PS_CLOSE_REASON_MAX + 1];
};

/* What the creator of a session hears, once; then it is forgotten. */
struct opener_ops {
	/* `protocol` is the subprotocol chosen, or empty. */
	void (*opened)(void *opener, struct ps_slice protocol);
	/* `http_status` is 0 but with HANDSHAKE_REJECTED. */
	void (*failed)(void *opener, enum ps_code code, int http_status);
};

/* "a7k2xw-15": for logs and records, and no secret. */
#define SESSION_NAME_MAX (PS_TAG_MAX + 24)

/* What becomes of what a receiver has taken. */
enum session_delivery {
	/* The client has got it when it is confirmed; what was not is waiting
	 * again when the receiver is lost. */
	SESSION_FORGETS,
	/* It is kept until the client acknowledges it. */
	SESSION_KEEPS,
	/* As the first, but a receiver that is lost is the end, with 1002 and
	 * whatever else waited; and each receiver that comes hears the close
	 * event, until receiver_grace after the last: SockJS. */
	SESSION_BREAKS,
};

struct session {
	struct table_node node;	 /* first: by id */
	struct table_node name_node;
	struct table_node *url; /* in sockjs_sessions; owned, or NULL */
	TAILQ_ENTRY(session) all;
	struct garbage garbage;
	struct bridge *bridge;
	enum session_state state;
	enum ps_session_kind kind; /* as its creator says */
	char id[PS_SESSION_ID_MAX + 1]; /* secret */
	char name[SESSION_NAME_MAX];
	uint64_t created_ms;
	struct address *address;
	struct recipient *recipient; /* of a channel's member; owned, or NULL */
	struct quota *quota; /* of its token */
	TAILQ_ENTRY(session) of_token; /* while connecting and open */

	struct ps_session_row *row; /* for the database; see record.h */
	struct backlog_ticket ticket;
	TAILQ_ENTRY(session) changed; /* while `has_changed` */
	uint64_t changed_ms;
	bool has_changed;

	const struct opener_ops *opener_ops;
	void *opener;
	const struct peer_ops *peer_ops; /* NULL: no peer (any more) */
	void *peer;
	struct receiver *receiver;

	/* For the client. `first_seq` is the number of the queue's front. The
	 * first `taken` messages of the queue are a receiver's; the first
	 * `written` of these are with the web server and kept until they are
	 * acknowledged. The close event has the number after the last message,
	 * and is taken, written and kept in the same way. */
	struct message_queue queue;
	uint64_t first_seq;
	uint32_t taken, written;
	struct close_event *close; /* the peer is gone, and why; owned */
	bool close_taken, close_written;
	enum session_delivery delivery; /* of its last receiver */
	bool paused; /* the peer holds back because the queue is full */
	bool deaf;   /* a message had to be dropped: so are all behind it */
	const char *cause;   /* why it is no longer open */
	uint16_t expel_code; /* the bridge closed it itself; 0: it did not */

	/* From the client. */
	struct message *partial; /* of a send that goes on; owned */
	uint64_t next_up;	 /* number of its next event */

	struct timer timer;
	uint64_t idle_at_ms;  /* end of the grace without a receiver */
	uint64_t stall_at_ms; /* end of patience with a full queue */
	uint64_t end_at_ms;   /* of connecting, or of closing */

	struct ps_traffic traffic;
};

/*
 * A session that is connecting, for a token and a remote address, which count
 * it. NULL and why: BRIDGE_FULL, CONNECTION_LIMIT, RATE_LIMIT, DAILY_LIMIT.
 */
struct session *session_create(struct bridge *bridge,
    struct ps_slice remote_addr, struct quota *quota,
    struct refusal *refusal_r);
/* By its secret id; NULL when there is none or it is no longer there. */
struct session *session_find(struct bridge *bridge, struct ps_slice id);
/* By its name. */
struct session *session_find_name(struct bridge *bridge, struct ps_slice name);
void session_set_opener(struct session *session, const struct opener_ops *ops,
    void *opener);
void session_set_peer(struct session *session, const struct peer_ops *ops,
    void *peer);

/* From the peer. It must not use the session after open_failed or closed. */
void session_opened(struct session *session, struct ps_slice protocol);
void session_open_failed(struct session *session, enum ps_code code,
    int http_status);
/* Takes over a reference. What comes while closing is still delivered, as far
 * as the queue has room. */
void session_from_peer(struct session *session, struct message *message);
/*
 * The same in two steps, for a peer that has several messages: each is queued,
 * then all are delivered. False when it was not queued, and perhaps the session
 * has ended at that.
 */
bool session_queue(struct session *session, struct message *message);
void session_deliver(struct session *session);
void session_peer_closed(struct session *session, uint16_t code,
    struct ps_slice reason, bool was_clean);
/* For the records alone, what its peer has counted for the token itself. */
void session_count(struct session *session, enum ps_direction direction,
    uint64_t messages, uint64_t bytes);

/*
 * From the client: all events of a request or none of them. PS_ERR_CLOSED;
 * PS_ERR_FULL when the peer has no room; PS_ERR_TOO_LARGE when a message is;
 * PS_ERR_QUOTA when the day's limit of the token would be exceeded, which
 * closes the session; PS_ERR_MALFORMED when the parts of a message differ in
 * type; PS_ERR_GAP when `send->first` is above `next_up`; PS_ERR_NOMEM, which
 * closes the session too where the peer had a part. Events with numbers below
 * `next_up` are passed over. `limit_r` is the name of a limit that was
 * exceeded.
 */
PS_MUST_CHECK int session_from_client(struct session *session,
    struct ps_ipc_send *send, const char **limit_r);

/* The same with one whole message, which has no number. */
PS_MUST_CHECK int session_message_from_client(struct session *session,
    enum ps_event_type type, struct ps_slice data, const char **limit_r);

/* Largest message in either direction, and the name of the limit it is from
 * (NULL: nobody asks); most bytes that may wait in either direction. */
uint64_t session_max_message(const struct session *session,
    const char **limit_r);
uint64_t session_queue_bytes(const struct session *session,
    const char **limit_r);

/* The client's wish: closes the peer after what is queued for it. Harmless
 * when repeated. */
void session_close(struct session *session, uint16_t code,
    struct ps_slice reason);
/*
 * The bridge's own decision: the same, but whatever the peer answers, the
 * client hears this code and reason. The reason is borrowed for ever.
 */
void session_expel(struct session *session, uint16_t code,
    const char *reason);
/* Closes it with 1001, and waits for its client no longer than it must. */
void session_drain(struct session *session);
/* Ends the session at once, without a close event. */
void session_end(struct session *session, const char *why);

/*
 * The receiver's side. A client that comes with a new receiver first says what
 * it has got: `ack` is the number of the last message or of the close event,
 * all up to that is dropped, and the rest is waiting again, whatever another
 * receiver has taken of it. NULL: what was taken counts as got, as far as no
 * receiver was lost with it.
 *
 * A receiver that is there is released. PS_ERR_CLOSED when the client has got
 * the close event, so that all is over; PS_ERR_GAP, changing nothing, when
 * `ack` is below what was acknowledged before or above the last number.
 */
PS_MUST_CHECK int session_acknowledge(struct session *session,
    const uint64_t *ack);
/*
 * Right after session_acknowledge(), or as the first.
 */
void session_attach(struct session *session, struct receiver *receiver,
    enum session_delivery delivery);
/* The receiver has done its part. What was taken and not confirmed is waiting
 * again. */
void session_detach(struct session *session);
/* The same, but its client has gone. */
void session_lose(struct session *session);
/*
 * All is taken, and so much is kept that the queue may run full: a stream has
 * to end, so that its client comes again and acknowledges.
 */
bool session_wants_ack(const struct session *session);
/* The number up to which all was acknowledged or dropped: the least `ack`. */
uint64_t session_acknowledged(const struct session *session);
/* The message `index` after those taken; NULL when there is none. */
struct message *session_unsent(const struct session *session, uint32_t index);
/* The close event when it is next after `index` unsent messages, or NULL. */
const struct close_event *session_unsent_close(const struct session *session,
    uint32_t index);
bool session_has_unsent(const struct session *session);
/* Marks as taken; returns the number of the last message or close taken. */
uint64_t session_take(struct session *session, uint32_t count,
    bool with_close);
/* What was taken is with the web server. May end the session. */
void session_confirm(struct session *session);
/* The receiver changed its deadline. */
void session_update_deadline(struct session *session);

#endif
