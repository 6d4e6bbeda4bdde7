/*
 * The messages between polysocket.fcgi and wsbridge, all of them.
 *
 * A worker thread has one SOCK_STREAM connection to bridge.sock. Each frame is
 * a length (u32, of what follows), a type (u8) and a body; integers are
 * big-endian, strings and bytes are preceded by a u32 length. The first frame
 * each way is HELLO; a bridge that speaks another version answers with its own
 * HELLO and closes.
 *
 * Every other frame goes from the worker to the bridge and hands over one HTTP
 * request: the descriptor of its FastCGI connection travels as SCM_RIGHTS with
 * the frame's first byte. Nothing goes back; the bridge answers the request.
 *
 * Types are appended, never renumbered; a retired number stays with a comment.
 * Any change of layout raises PS_IPC_VERSION.
 *
 * Ownership: decoded slices are borrowed from the frame.
 */
#ifndef PS_IPC_H
#define PS_IPC_H

#include <stdbool.h>
#include <stdint.h>

#include "ps_bytes.h"
#include "ps_policy.h"
#include "ps_reply.h"

#define PS_IPC_VERSION 6
#define PS_IPC_LENGTH_BYTES 4

enum ps_ipc_type {
	PS_IPC_HELLO = 1,
	PS_IPC_CREATE = 2,
	PS_IPC_SEND = 3,
	PS_IPC_RECEIVE = 4,
	PS_IPC_CLOSE = 5,
	PS_IPC_CHECK = 6,
	PS_IPC_REFUSE = 7,
	PS_IPC_READY = 8,
	PS_IPC_PROBE = 9,
	PS_IPC_STATS = 10,
	PS_IPC_EMIT = 11,
	PS_IPC_LISTEN = 12,
	PS_IPC_MEMBERS = 13,
	PS_IPC_HISTORY = 14,
	PS_IPC_AUTHORIZE = 15,
	PS_IPC_WITHDRAW = 16,
	PS_IPC_PUBLISH = 17,
	PS_IPC_CONNECTIONS = 18,
	PS_IPC_SOCKJS_PAGE = 19,
	PS_IPC_SOCKJS_RECEIVE = 20,
	PS_IPC_SOCKJS_SEND = 21,
	PS_IPC__COUNT,
};

/* Names of things in answers differ between the two dialects of the relay;
 * channels speak of other things. */
enum ps_dialect {
	PS_DIALECT_POLYSOCKET = 0,
	PS_DIALECT_POLYSOCKETD = 1,
	PS_DIALECT_CHANNEL = 2,
	PS_DIALECT__COUNT,
};

enum ps_ipc_framing {
	PS_IPC_FRAMING_JSON = 0,
	PS_IPC_FRAMING_JSONP = 1,
	PS_IPC_FRAMING_LINES = 2,
	PS_IPC_FRAMING_EVENTSOURCE = 3,
	PS_IPC_FRAMING__COUNT,
};

enum ps_event_type {
	PS_EVENT_TEXT = 0,
	PS_EVENT_BINARY = 1,
	PS_EVENT__COUNT,
};

/*
 * Of a version other than ours only version and pid are known. A worker has no
 * tag and does not drain.
 */
struct ps_ipc_hello {
	uint16_t version;
	uint32_t pid;
	struct ps_slice tag; /* of the bridge: whose sessions it has */
	bool draining;	     /* it takes no new ones */
};

/* The HTTP request whose connection comes with the frame. */
struct ps_ipc_request {
	uint16_t id; /* FastCGI request id */
	struct ps_style style;
};

/*
 * What the worker knew of the token, and of which revision of the policy it
 * knew it: whoever has the newer one is right.
 */
struct ps_ipc_rights {
	int64_t token_id;
	uint64_t revision;
	struct ps_token_limits limits;
};

struct ps_ipc_create {
	struct ps_ipc_request request;
	bool tls;
	uint16_t port;
	struct ps_slice host, path;  /* of the target */
	struct ps_slice origin;	     /* for the target's handshake; or empty */
	struct ps_slice protocols;   /* comma list; or empty */
	struct ps_slice agent;	     /* parameter `from` */
	struct ps_slice remote_addr; /* of the client */
	struct ps_slice public_host; /* where the client reached us */
	struct ps_ipc_rights rights;
};

/* The member of a channel whose key a socket is; all empty where it is one of
 * the relay. */
struct ps_ipc_member {
	struct ps_slice channel, client;
};

/* Followed by `count` events, read with ps_ipc_next_event(). */
struct ps_ipc_send {
	struct ps_ipc_request request;
	struct ps_slice socket; /* or the key of a channel's member */
	struct ps_ipc_member member;
	bool more; /* the last event goes on in the next send */
	uint64_t first; /* number of the first event; 0: they have none */
	uint16_t count;
	struct ps_reader events;
};

struct ps_ipc_receive {
	struct ps_ipc_request request;
	struct ps_slice socket;
	struct ps_ipc_member member;
	enum ps_dialect dialect;
	enum ps_ipc_framing framing;
	uint32_t hold_ms;
	bool acknowledges; /* the client says what it has got */
	uint64_t ack;	   /* and that is the number of its last message */
};

struct ps_ipc_close {
	struct ps_ipc_request request;
	struct ps_slice socket;
	uint16_t code;
	struct ps_slice reason;
};

/* Whether the socket is known; has no effect. */
struct ps_ipc_check {
	struct ps_ipc_request request;
	struct ps_slice socket;
	struct ps_ipc_member member;
};

/* A create of a known token that the worker refuses: counted and answered. */
struct ps_ipc_refuse {
	struct ps_ipc_request request;
	int64_t token_id;
	enum ps_code code;
};

/* Whether the bridge and its database are ready. */
struct ps_ipc_ready {
	struct ps_ipc_request request;
};

/* Chunks that show whether something in between holds a stream up. */
struct ps_ipc_probe {
	struct ps_ipc_request request;
};

enum ps_ipc_stats_format {
	PS_IPC_STATS_JSON = 0,
	PS_IPC_STATS_PROMETHEUS = 1,
	PS_IPC_STATS__COUNT,
};

/* The figures of the bridge. */
struct ps_ipc_stats {
	struct ps_ipc_request request;
	enum ps_ipc_stats_format format;
};

/* To whom an emit goes. */
enum ps_ipc_clients {
	PS_IPC_CLIENTS_ALL = 0,
	PS_IPC_CLIENTS_NUMBER = 1, /* so many, chosen at random */
	PS_IPC_CLIENTS_LISTED = 2,
	PS_IPC_CLIENTS__COUNT,
};

/*
 * Followed by `count` payloads, read with ps_ipc_next_event(): each is compact
 * JSON of an event of its own, and more than one is a batch; none is none.
 */
struct ps_ipc_emit {
	struct ps_ipc_request request;
	struct ps_slice channel;
	struct ps_ipc_rights rights;
	enum ps_ipc_clients clients;
	uint32_t number;	/* of NUMBER: from 1 */
	struct ps_slice listed; /* of LISTED: comma list, none of it empty */
	bool batch;		/* tell ids, even of one event */
	bool requires_ack;
	uint32_t min_acks;   /* 0: of all */
	struct ps_slice key; /* that makes it idempotent; or empty */
	uint16_t count;
	struct ps_reader events;
};

/*
 * A new member of a channel, by HTTP; or rather, where `key` is not empty, one
 * that goes on as whom it was, if the bridge still has it: so a browser's
 * EventSource comes back, which cannot ask for the one after the other.
 */
struct ps_ipc_listen {
	struct ps_ipc_request request;
	struct ps_slice channel;
	struct ps_ipc_rights rights;
	struct ps_slice origin, agent, remote_addr; /* for the records */
	struct ps_slice presence; /* compact JSON of an object */
	struct ps_slice since;	  /* an event id; or empty */
	struct ps_slice key;      /* of the member it was; or empty */
	uint64_t ack;             /* with `key`, as in RECEIVE */
	enum ps_ipc_framing framing;
	uint32_t hold_ms;
};

struct ps_ipc_members {
	struct ps_ipc_request request;
	struct ps_slice channel;
};

struct ps_ipc_history {
	struct ps_ipc_request request;
	struct ps_slice channel;
	struct ps_slice since; /* an event id; or empty */
	uint32_t limit;
};

/* A client of an application may connect. */
struct ps_ipc_authorize {
	struct ps_ipc_request request;
	struct ps_ipc_rights rights; /* of the application */
	struct ps_slice client, callback;
	uint64_t ttl_s; /* 0: for ever */
	bool events;	/* post connects and disconnects too */
	bool plain;	/* answer with the bare socket id */
};

/* It may no more. */
struct ps_ipc_withdraw {
	struct ps_ipc_request request;
	int64_t token_id;
	struct ps_slice client;
};

/* A message to all sessions of a client, or to one; or the end of one. */
struct ps_ipc_publish {
	struct ps_ipc_request request;
	struct ps_slice socket_id;
	struct ps_slice session; /* its name; empty: all */
	int64_t token_id;	 /* of the bearer token; 0: none is known */
	bool closes;
	/* With `closes`: */
	uint16_t code;
	struct ps_slice reason;
	/* Without: a JSON string, see ps_json_literal(). */
	bool store; /* keep it where nobody is connected */
	struct ps_slice message;
};

/* The live sessions of a client. */
struct ps_ipc_connections {
	struct ps_ipc_request request;
	struct ps_slice socket_id;
	int64_t token_id; /* as in PUBLISH */
};

/* What a SockJS server says without a session. */
enum ps_sockjs_page {
	PS_SOCKJS_GREETING = 0,
	PS_SOCKJS_INFO = 1,
	PS_SOCKJS_IFRAME = 2,
	PS_SOCKJS_NO_UPGRADE = 3, /* a WebSocket's path without one */
	PS_SOCKJS_PAGE__COUNT,
};

struct ps_ipc_sockjs_page {
	struct ps_ipc_request request;
	struct ps_slice socket_id;
	enum ps_sockjs_page page;
	struct ps_slice etag; /* If-None-Match of an iframe; or empty */
};

enum ps_sockjs_framing {
	PS_SOCKJS_XHR = 0,
	PS_SOCKJS_XHR_STREAMING = 1,
	PS_SOCKJS_EVENTSOURCE = 2,
	PS_SOCKJS_HTMLFILE = 3,
	PS_SOCKJS_JSONP = 4,
	PS_SOCKJS_FRAMING__COUNT,
};

/* `style.callback` is that of HTMLFILE and JSONP. */
struct ps_ipc_sockjs_receive {
	struct ps_ipc_request request;
	struct ps_slice socket_id, session; /* the latter as in the URL */
	enum ps_sockjs_framing framing;
	struct ps_slice agent, remote_addr; /* for the records */
};

/* Followed by events, as SEND; each is a JSON string of ps_json_literal(). */
struct ps_ipc_sockjs_send {
	struct ps_ipc_request request;
	struct ps_slice socket_id, session;
	bool jsonp; /* answered with 200 ok, not with 204 */
	uint16_t count;
	struct ps_reader events;
};

/* Each makes `w` hold exactly one frame. Ask w->failed afterwards. */
void ps_ipc_encode_hello(struct ps_writer *w, const struct ps_ipc_hello *m);
void ps_ipc_encode_create(struct ps_writer *w, const struct ps_ipc_create *m);
void ps_ipc_encode_receive(struct ps_writer *w,
    const struct ps_ipc_receive *m);
void ps_ipc_encode_close(struct ps_writer *w, const struct ps_ipc_close *m);
void ps_ipc_encode_check(struct ps_writer *w, const struct ps_ipc_check *m);
void ps_ipc_encode_refuse(struct ps_writer *w, const struct ps_ipc_refuse *m);
void ps_ipc_encode_ready(struct ps_writer *w, const struct ps_ipc_ready *m);
void ps_ipc_encode_probe(struct ps_writer *w, const struct ps_ipc_probe *m);
void ps_ipc_encode_stats(struct ps_writer *w, const struct ps_ipc_stats *m);
void ps_ipc_encode_listen(struct ps_writer *w, const struct ps_ipc_listen *m);
void ps_ipc_encode_members(struct ps_writer *w,
    const struct ps_ipc_members *m);
void ps_ipc_encode_history(struct ps_writer *w,
    const struct ps_ipc_history *m);
void ps_ipc_encode_authorize(struct ps_writer *w,
    const struct ps_ipc_authorize *m);
void ps_ipc_encode_withdraw(struct ps_writer *w,
    const struct ps_ipc_withdraw *m);
void ps_ipc_encode_publish(struct ps_writer *w,
    const struct ps_ipc_publish *m);
void ps_ipc_encode_connections(struct ps_writer *w,
    const struct ps_ipc_connections *m);
void ps_ipc_encode_sockjs_page(struct ps_writer *w,
    const struct ps_ipc_sockjs_page *m);
void ps_ipc_encode_sockjs_receive(struct ps_writer *w,
    const struct ps_ipc_sockjs_receive *m);

/*
 * SEND, EMIT and SOCKJS_SEND are built in place, so that base64 is decoded into
 * the frame: begin, then for each event event_begin, bytes, event_end, then
 * events_end. `events` and `count` of the structs are not looked at.
 */
void ps_ipc_send_begin(struct ps_writer *w, const struct ps_ipc_send *m);
void ps_ipc_emit_begin(struct ps_writer *w, const struct ps_ipc_emit *m);
void ps_ipc_sockjs_send_begin(struct ps_writer *w,
    const struct ps_ipc_sockjs_send *m);
size_t ps_ipc_event_begin(struct ps_writer *w, enum ps_event_type type);
void ps_ipc_event_end(struct ps_writer *w, size_t begin);
void ps_ipc_events_end(struct ps_writer *w, uint16_t count);

/*
 * Splits the first frame off `len` received bytes. Returns its whole size and
 * sets `type_r` and `body_r`; 0 when more bytes are needed; PS_ERR_TOO_LARGE
 * or PS_ERR_MALFORMED when there can be no such frame.
 */
int64_t ps_ipc_split(const void *data, size_t len, uint8_t *type_r,
    struct ps_reader *body_r);

/* Each returns PS_OK, or PS_ERR_MALFORMED when any byte is out of place. */
PS_MUST_CHECK int ps_ipc_decode_hello(struct ps_reader *r,
    struct ps_ipc_hello *m);
PS_MUST_CHECK int ps_ipc_decode_create(struct ps_reader *r,
    struct ps_ipc_create *m);
PS_MUST_CHECK int ps_ipc_decode_send(struct ps_reader *r,
    struct ps_ipc_send *m);
PS_MUST_CHECK int ps_ipc_decode_receive(struct ps_reader *r,
    struct ps_ipc_receive *m);
PS_MUST_CHECK int ps_ipc_decode_close(struct ps_reader *r,
    struct ps_ipc_close *m);
PS_MUST_CHECK int ps_ipc_decode_check(struct ps_reader *r,
    struct ps_ipc_check *m);
PS_MUST_CHECK int ps_ipc_decode_refuse(struct ps_reader *r,
    struct ps_ipc_refuse *m);
PS_MUST_CHECK int ps_ipc_decode_ready(struct ps_reader *r,
    struct ps_ipc_ready *m);
PS_MUST_CHECK int ps_ipc_decode_probe(struct ps_reader *r,
    struct ps_ipc_probe *m);
PS_MUST_CHECK int ps_ipc_decode_stats(struct ps_reader *r,
    struct ps_ipc_stats *m);
PS_MUST_CHECK int ps_ipc_decode_emit(struct ps_reader *r,
    struct ps_ipc_emit *m);
PS_MUST_CHECK int ps_ipc_decode_listen(struct ps_reader *r,
    struct ps_ipc_listen *m);
PS_MUST_CHECK int ps_ipc_decode_members(struct ps_reader *r,
    struct ps_ipc_members *m);
PS_MUST_CHECK int ps_ipc_decode_history(struct ps_reader *r,
    struct ps_ipc_history *m);
PS_MUST_CHECK int ps_ipc_decode_authorize(struct ps_reader *r,
    struct ps_ipc_authorize *m);
PS_MUST_CHECK int ps_ipc_decode_withdraw(struct ps_reader *r,
    struct ps_ipc_withdraw *m);
PS_MUST_CHECK int ps_ipc_decode_publish(struct ps_reader *r,
    struct ps_ipc_publish *m);
PS_MUST_CHECK int ps_ipc_decode_connections(struct ps_reader *r,
    struct ps_ipc_connections *m);
PS_MUST_CHECK int ps_ipc_decode_sockjs_page(struct ps_reader *r,
    struct ps_ipc_sockjs_page *m);
PS_MUST_CHECK int ps_ipc_decode_sockjs_receive(struct ps_reader *r,
    struct ps_ipc_sockjs_receive *m);
PS_MUST_CHECK int ps_ipc_decode_sockjs_send(struct ps_reader *r,
    struct ps_ipc_sockjs_send *m);

/* The next of the events that decoding found well-formed. */
enum ps_event_type ps_ipc_next_event(struct ps_reader *events,
    struct ps_slice *data_r);

#endif
