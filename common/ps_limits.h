/*
 * Bounds that are not configuration: sizes of fixed buffers and of things a
 * peer may name. What an administrator may change is in ps_options.c.
 */
#ifndef PS_LIMITS_H
#define PS_LIMITS_H

/* A WebSocket close frame holds 125 bytes, two of them the code (RFC 6455, 5.5.1). */
#define PS_CLOSE_REASON_MAX 123

/* Names a JSONP callback may have: longer ones are no generated names. */
#define PS_CALLBACK_MAX 128

/* An origin is scheme, host (253) and port. */
#define PS_ORIGIN_MAX 300

/* Host names: RFC 1035, 2.3.4. */
#define PS_HOST_MAX 253

/* A Host header: name, colon, port. */
#define PS_PUBLIC_HOST_MAX (PS_HOST_MAX + 6)

/* Most web servers and proxies take no longer request lines. */
#define PS_TARGET_MAX 8192

/* Of a pattern that grants a right, in bytes; the schema has the same. */
#define PS_PATTERN_MAX 1024

/* Subprotocol names in all, as one comma list. */
#define PS_PROTOCOLS_MAX 1024

/* Of a token; the schema has the same. A longer one is nobody's. */
#define PS_SECRET_MAX 128

/* The `from` parameter: a program's name and version. */
#define PS_AGENT_MAX 128

/* The name of a channel, in bytes; the schema has the same of its pattern. */
#define PS_CHANNEL_MAX 128

/* "client_" or "evt_" and eight characters of base64url (48 random bits). */
#define PS_CLIENT_ID_LEN 15
#define PS_EVENT_ID_LEN 12

/* What a member shows of itself to all others, each of whom gets all. */
#define PS_PRESENCE_MAX 4096

/* Members an emit may name; more are told apart better by a channel. */
#define PS_CLIENTS_MAX 1024

/* Their ids with commas between; what is no id may be longer, but not all. */
#define PS_CLIENTS_TEXT_MAX (16 * PS_CLIENTS_MAX)

/* A number of members above this is a mistake. */
#define PS_CLIENTS_NUMBER_MAX 1000000

/* An id that makes an emit idempotent, in characters; and in bytes. */
#define PS_EMIT_ID_CHARACTERS 64
#define PS_EMIT_ID_MAX (4 * PS_EMIT_ID_CHARACTERS)

/* 160 random bits as base32 in lower case: what an application publishes to. */
#define PS_SOCKET_ID_LEN 32

/* A client of an application, as that names it. */
#define PS_CLIENT_MAX 128

/* The URL of a callback; in the database too. */
#define PS_CALLBACK_URL_MAX 2048

/* The session of a SockJS URL: clients draw 8 characters. */
#define PS_SOCKJS_SESSION_MAX 128

/* The callback parameter of SockJS, as its protocol's servers have it. */
#define PS_SOCKJS_CALLBACK_MAX 32

/* JSESSIONID, which a load balancer made; and a list of header names. */
#define PS_COOKIE_MAX 256
#define PS_ALLOW_HEADERS_MAX 1024

/* What an authorization may last at most; longer ones last for ever. */
#define PS_TTL_MAX_S (100 * 365 * 86400LL)

/* What a session is about, in the records: a client chooses the path. */
#define PS_SUBJECT_MAX 512

/* Textual IPv6 address with zone and a terminating NUL. */
#define PS_ADDRESS_MAX 64

/* Nesting of a JSON body. */
#define PS_JSON_DEPTH_MAX 32

/* Segments of a path that any route may have, and one more to see excess. */
#define PS_SEGMENTS_MAX 6

/* Parameters of one request, query and form together. */
#define PS_PARAMS_MAX 128

/*
 * A frame from a worker: the largest body that max_body may allow (64 MiB)
 * and room for the head of the message.
 */
#define PS_IPC_FRAME_MAX (65u * 1024 * 1024)

/* Events in one IPC message; max_events cannot be set higher. */
#define PS_IPC_EVENTS_MAX 4096

/* `<tag>.<22 characters>`: see ps_place.h. */
#define PS_TAG_MAX 16
#define PS_SESSION_ID_MAX (PS_TAG_MAX + 1 + 22)

#endif
