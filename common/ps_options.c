#include "config.h"

#include "ps_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ps_config.h"
#include "ps_limits.h"
#include "ps_network.h"
#include "ps_place.h"

#define AT(field) offsetof(struct ps_config, field)
#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static bool
is_node(const char *text)
{
	return text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789")] ==
	    '\0';
}

/* Empty, or a path that starts with a slash and ends without one. */
static bool
is_prefix(const char *text)
{
	size_t len = strlen(text);

	return len == 0 || (text[0] == '/' && text[len - 1] != '/');
}

/* Empty, or an address and a port; brackets around IPv6. */
static bool
is_listen(const char *text)
{
	char address[PS_ADDRESS_MAX];
	const char *colon = strrchr(text, ':');
	size_t len = colon == NULL ? 0 : (size_t)(colon - text);
	bool in_brackets = len > 2 && text[0] == '[' && text[len - 1] == ']';
	char *end;
	unsigned long port;

	if (*text == '\0')
		return true;
	if (len == 0 || len >= sizeof(address) ||
	    (memchr(text, ':', len) != NULL) != in_brackets)
		return false;
	snprintf(address, sizeof(address), "%.*s",
	    (int)(in_brackets ? len - 2 : len), text + in_brackets);
	port = strtoul(colon + 1, &end, 10);
	return colon[1] >= '0' && colon[1] <= '9' && *end == '\0' &&
	    port >= 1 && port <= 65535 && ps_network_is_valid(address) &&
	    strchr(address, '/') == NULL;
}

/* A path or a URL of the web, which stands between quotes in a page. */
static bool
is_script_url(const char *text)
{
	return (text[0] == '/' || strncmp(text, "http://", 7) == 0 ||
		   strncmp(text, "https://", 8) == 0) &&
	    text[strcspn(text, "\"<> ")] == '\0';
}

// clang-format off
const struct ps_option ps_options[] = {
	{ "node", PS_OPTION_STRING, AT(node), 1, PS_NODE_MAX, "a", false, NULL, is_node,
	  "Name of this node, lower-case letters and digits; session ids start with it, so it is short and differs between nodes." },
	{ "user", PS_OPTION_STRING, AT(user), 0, 64, "", false, NULL, NULL,
	  "User that wsbridge becomes when it is started as root; empty: it stays who it is." },
	{ "group", PS_OPTION_STRING, AT(group), 0, 64, "", false, NULL, NULL,
	  "Group that wsbridge and its sockets get; empty: the primary group of the user." },
	{ "bridge_socket", PS_OPTION_STRING, AT(bridge_socket), 1, PS_PLACE_MAX, RUNSTATEDIR "/polysocket/bridge.sock", false, NULL, NULL,
	  "Where wsbridge takes requests from polysocket.fcgi: a link to its Unix socket, whose name ends in the bridge's tag; the kernel limits that to 107 bytes." },
	{ "ws_socket", PS_OPTION_STRING, AT(ws_socket), 1, PS_PLACE_MAX, RUNSTATEDIR "/polysocket/ws.sock", false, NULL, NULL,
	  "Where wsbridge takes WebSocket upgrades from the web server: a link to its Unix socket, too." },
	{ "ws_listen", PS_OPTION_STRING, AT(ws_listen), 0, 300, "", false, NULL, is_listen,
	  "Address and port, such as 0.0.0.0:8443 or [::1]:9000, at which wsbridge itself takes WebSockets of channels, past the web server; empty: none." },
	{ "ws_certificate", PS_OPTION_STRING, AT(ws_certificate), 0, 4095, "", false, NULL, NULL,
	  "PEM file with the certificate chain for ws_listen, which then speaks TLS only; empty: no TLS." },
	{ "ws_key", PS_OPTION_STRING, AT(ws_key), 0, 4095, "", false, NULL, NULL,
	  "PEM file with the private key of ws_certificate; empty: it is in the same file." },
	{ "socket_mode", PS_OPTION_MODE, AT(socket_mode), 0, 0777, "0660", false, NULL, NULL,
	  "File mode of both sockets; the web server and polysocket.fcgi need write permission." },
	{ "worker_users", PS_OPTION_LIST, AT(worker_users), 0, 4095, "", false, NULL, NULL,
	  "Users, besides root and wsbridge's own, whose processes may hand requests to bridge_socket; www-data when the web server starts polysocket.fcgi." },
	{ "database", PS_OPTION_STRING, AT(database), 1, 4095, LOCALSTATEDIR "/lib/polysocket/polysocket.db", false, NULL, NULL,
	  "SQLite database with tokens, records, histories and the outbox; wsbridge makes and upgrades it." },
	{ "keep_sessions", PS_OPTION_DURATION, AT(keep_sessions), SECOND, 36500 * DAY, "30d", true, NULL, NULL,
	  "How long the database keeps the rows of closed sessions and of dead callbacks." },
	{ "max_unwritten", PS_OPTION_COUNT, AT(max_unwritten), 1, 10000000, "100000", true, NULL, NULL,
	  "Records that wait in memory while the database cannot be written, some 500 bytes each; above it the oldest are lost." },
	{ "log_level", PS_OPTION_CHOICE, AT(log_level), 0, 0, "info", true, "error warning info debug", NULL,
	  "What is logged at least; debug has a line for every message." },
	{ "log_target", PS_OPTION_CHOICE, AT(log_target), 0, 0, "stderr", false, "stderr syslog", NULL,
	  "Where the log goes; a wsbridge in the background always uses syslog." },
	{ "services", PS_OPTION_SET, AT(services), 0, 0, "relay, channels, applications", false, "relay channels applications", NULL,
	  "Services that are offered; the routes of others are 404. POLYSOCKET_SERVICES does the same for one virtual host." },
	{ "mount_prefix", PS_OPTION_STRING, AT(mount_prefix), 0, 255, "", false, NULL, is_prefix,
	  "Path below which the web server mounts polysocket, such as /live; empty: the root of a virtual host." },
	{ "public_host", PS_OPTION_STRING, AT(public_host), 0, PS_PUBLIC_HOST_MAX, "", false, NULL, NULL,
	  "Host, and port where it is not the default, at which clients reach this node; empty: the Host of the request." },
	{ "wildcard_dns", PS_OPTION_BOOL, AT(wildcard_dns), 0, 0, "no", false, NULL, NULL,
	  "Whether every name below public_host leads here; each session then gets a name of its own, past a browser's limit of connections to a host." },
	{ "allow_networks", PS_OPTION_LIST, AT(allow_networks), 0, 8192, "", true, NULL, ps_network_is_valid,
	  "Addresses and networks, such as 127.0.0.0/8 or fd12:3456::/32, where targets and callbacks may be although they are not public; empty: public addresses only." },
	{ "metrics_from", PS_OPTION_LIST, AT(metrics_from), 0, 8192, "", true, NULL, ps_network_is_valid,
	  "Addresses and networks whose requests may read metrics and stats without a token; empty: none." },
	{ "ca_file", PS_OPTION_STRING, AT(ca_file), 0, 4095, "", false, NULL, NULL,
	  "PEM file of the authorities that may sign the certificates of targets and of callbacks; empty: those of the system." },
	{ "upstream_deflate", PS_OPTION_BOOL, AT(upstream_deflate), 0, 0, "yes", false, NULL, NULL,
	  "Whether permessage-deflate is offered to targets; one that takes it costs some 300 KiB of memory for each busy session." },
	{ "processes", PS_OPTION_COUNT, AT(processes), 1, 256, "2", true, NULL, NULL,
	  "Processes of polysocket.fcgi; none ever waits for a client, so one for each processor is enough." },
	{ "threads", PS_OPTION_COUNT, AT(threads), 1, 256, "32", true, NULL, NULL,
	  "Accept threads of each process, of which one waits at a time; the others stand in for one that a slow upload holds up." },
	{ "max_body", PS_OPTION_BYTES, AT(max_body), 1 * KIB, 64 * MIB, "1088KiB", true, NULL, NULL,
	  "Largest request body, more is 413; a message of the largest size in base64 needs a third more than max_message." },
	{ "max_message", PS_OPTION_BYTES, AT(max_message), 1, 16 * MIB, "1MiB", true, NULL, NULL,
	  "Largest message in either direction; a client's is refused with 413, a target's closes its session with 1009." },
	{ "max_events", PS_OPTION_COUNT, AT(max_events), 1, PS_IPC_EVENTS_MAX, "256", true, NULL, NULL,
	  "Most events in one send; as many as the queue holds." },
	{ "queue_messages", PS_OPTION_COUNT, AT(queue_messages), 1, 65536, "256", true, NULL, NULL,
	  "Messages that wait in a session in each direction before the sender is held back; who listens to a channel or is a client of an application is closed then." },
	{ "queue_bytes", PS_OPTION_BYTES, AT(queue_bytes), 1, 256 * MIB, "2MiB", true, NULL, NULL,
	  "Bytes that wait in a session in each direction before the sender is held back; bounds the memory of a slow client." },
	{ "reply_bytes", PS_OPTION_BYTES, AT(reply_bytes), 1, 64 * MIB, "512KiB", true, NULL, NULL,
	  "Size at which a poll's reply takes no further message; old browsers handle a long reply badly." },
	{ "max_sessions", PS_OPTION_COUNT, AT(max_sessions), 1, 1000000, "8000", true, NULL, NULL,
	  "Sessions of this node, more are 503; each needs two descriptors of the process's limit." },
	{ "max_sessions_per_address", PS_OPTION_COUNT, AT(max_sessions_per_address), 0, 1000000, "5000", true, NULL, NULL,
	  "Sessions of one remote address, 0 for any number; high since many users may share a proxy, low enough that one address cannot fill the node." },
	{ "max_creates_per_second", PS_OPTION_COUNT, AT(max_creates_per_second), 0, 1000000, "2000", true, NULL, NULL,
	  "New sessions of one remote address in a second, 0 for any number; keeps a loop that creates sessions from starving the rest." },
	{ "max_held", PS_OPTION_COUNT, AT(max_held), 1, 1000000, "8000", true, NULL, NULL,
	  "Requests held at once; keep it below what the web server in front allows: a poll above it is answered at once, a stream is 503." },
	{ "max_probes", PS_OPTION_COUNT, AT(max_probes), 1, 1000000, "32", true, NULL, NULL,
	  "Requests of /polysocket/probe that run at once, of those in max_held; anybody may probe, so that they must not crowd out the others." },
	{ "hold_default", PS_OPTION_DURATION, AT(hold_default), 10, HOUR, "25s", true, NULL, NULL,
	  "How long a poll is held, and a stream silent, when the client names no time; proxies cut silent connections after 30 s." },
	{ "hold_min", PS_OPTION_DURATION, AT(hold_min), 10, HOUR, "1s", true, NULL, NULL,
	  "Shortest hold a client may ask for; shorter would be a busy loop." },
	{ "hold_max", PS_OPTION_DURATION, AT(hold_max), 10, HOUR, "60s", true, NULL, NULL,
	  "Longest hold a client may ask for; web servers give up on longer ones." },
	{ "receiver_grace", PS_OPTION_DURATION, AT(receiver_grace), 10, 24 * HOUR, "5s", true, NULL, NULL,
	  "How long a session lives without a receiver; a client polls again within a round trip." },
	{ "first_receiver_grace", PS_OPTION_DURATION, AT(first_receiver_grace), 10, 24 * HOUR, "15s", true, NULL, NULL,
	  "The same before the first receiver, which may have to resolve another host name first." },
	{ "close_linger", PS_OPTION_DURATION, AT(close_linger), 10, HOUR, "15s", true, NULL, NULL,
	  "How long a closed session keeps its last messages and its close event for the client to fetch." },
	{ "stream_bytes", PS_OPTION_BYTES, AT(stream_bytes), 1 * KIB, 1024 * MIB, "128KiB", true, NULL, NULL,
	  "Bytes after which a stream is ended for the client to open the next; browsers keep all of a stream in memory." },
	{ "connect_timeout", PS_OPTION_DURATION, AT(connect_timeout), 10, 10 * MINUTE, "5s", true, NULL, NULL,
	  "Time for name resolution, connection, TLS and WebSocket handshake with a target together." },
	{ "stall_timeout", PS_OPTION_DURATION, AT(stall_timeout), 10, 24 * HOUR, "60s", true, NULL, NULL,
	  "How long a session's queue may stay full before it is closed with 1008 slow client." },
	{ "drain_timeout", PS_OPTION_DURATION, AT(drain_timeout), 0, 24 * HOUR, "10m", true, NULL, NULL,
	  "How long wsbridge goes on serving its sessions after SIGTERM, beside its successor; 0: not at all, they are closed at once." },
	{ "close_timeout", PS_OPTION_DURATION, AT(close_timeout), 10, HOUR, "10s", true, NULL, NULL,
	  "Time that it takes at most to close the sessions that are left then, telling clients and targets." },
	{ "ping_interval", PS_OPTION_DURATION, AT(ping_interval), 10, HOUR, "25s", true, NULL, NULL,
	  "Between two PINGs to a member of a channel; more often drains the batteries of phones, less often and proxies cut silent connections." },
	{ "ping_timeout", PS_OPTION_DURATION, AT(ping_timeout), 10, 24 * HOUR, "60s", true, NULL, NULL,
	  "How long a member may say nothing, not even PONG, before it is closed with 1008; longer than ping_interval." },
	{ "ack_timeout", PS_OPTION_DURATION, AT(ack_timeout), 10, 10 * MINUTE, "5s", true, NULL, NULL,
	  "How long an emit waits for its acknowledgements before it is answered with 408." },
	{ "history_events", PS_OPTION_COUNT, AT(history_events), 0, 1000000, "1000", true, NULL, NULL,
	  "Events of each channel that the database keeps, for listeners that come back; 0: none." },
	{ "history_age", PS_OPTION_DURATION, AT(history_age), 0, 36500 * DAY, "24h", true, NULL, NULL,
	  "How long it keeps them; 0: none are kept." },
	{ "max_emit_ids", PS_OPTION_COUNT, AT(max_emit_ids), 1, 10000000, "100000", true, NULL, NULL,
	  "Ids of emits remembered for 5 minutes, so that a repeated one is not sent again, some 300 bytes each; emits with further ids are 503." },
	{ "sockjs_url", PS_OPTION_STRING, AT(sockjs_url), 1, 1024, "https://cdn.jsdelivr.net/npm/sockjs-client@1/dist/sockjs.min.js", false, NULL, is_script_url,
	  "Where SockJS's iframe page loads the client from: the same version as the application's page, and best a copy of your own." },
	{ "heartbeat_interval", PS_OPTION_DURATION, AT(heartbeat_interval), 10, HOUR, "25s", true, NULL, NULL,
	  "Between two heartbeats to a SockJS client that nothing else is sent to; proxies cut silent connections after 30 s." },
	{ "callback_timeout", PS_OPTION_DURATION, AT(callback_timeout), 10, 10 * MINUTE, "10s", true, NULL, NULL,
	  "Time that one callback to an application may take, from resolving its name to the end of its reply." },
	{ "callback_retry", PS_OPTION_DURATION, AT(callback_retry), 0, 36500 * DAY, "1h", true, NULL, NULL,
	  "How long a callback that fails is tried again before it is set aside as dead." },
	{ "callback_backoff", PS_OPTION_DURATION, AT(callback_backoff), 10, MINUTE, "1s", true, NULL, NULL,
	  "Before a callback is tried a second time; twice as long before each further time, up to 60 s." },
	{ "callback_connections", PS_OPTION_COUNT, AT(callback_connections), 1, 256, "16", true, NULL, NULL,
	  "Callbacks to one host at the same time; as many processes as the application has work best." },
	{ "callback_reply_bytes", PS_OPTION_BYTES, AT(callback_reply_bytes), 1, 16 * MIB, "4MiB", true, NULL, NULL,
	  "Largest reply of an application to a callback; a longer one counts as a failure. A message of max_message in it may be written in escapes such as \\u00fc, three times as long." },
	{ "outbox", PS_OPTION_BOOL, AT(outbox), 0, 0, "yes", false, NULL, NULL,
	  "Whether what users send is in the database before it is accepted, so that no restart loses it; no: only in memory." },
	{ "outbox_sync", PS_OPTION_BOOL, AT(outbox_sync), 0, 0, "no", false, NULL, NULL,
	  "Whether it is on the disk too, and survives a power cut; each transaction waits for the disk then." },
	{ "outbox_messages", PS_OPTION_COUNT, AT(outbox_messages), 1, 10000000, "10000", true, NULL, NULL,
	  "Callbacks of one application that wait to be delivered; further messages are 503, so that a dead application fills no disk." },
	{ "max_authorizations", PS_OPTION_COUNT, AT(max_authorizations), 1, 10000000, "100000", true, NULL, NULL,
	  "Authorizations of the node that are in force, some 400 bytes each; more are 503." },
	{ "kept_messages", PS_OPTION_COUNT, AT(kept_messages), 0, 65536, "100", true, NULL, NULL,
	  "Messages published to a client without a session that are kept for its next one; 0: none." },
	{ "kept_bytes", PS_OPTION_BYTES, AT(kept_bytes), 1, 256 * MIB, "256KiB", true, NULL, NULL,
	  "Bytes of these messages of one client." },
	{ "kept_time", PS_OPTION_DURATION, AT(kept_time), 10, DAY, "60s", true, NULL, NULL,
	  "How long they are kept." },
};
// clang-format on

const size_t ps_options_count = sizeof(ps_options) / sizeof(ps_options[0]);
