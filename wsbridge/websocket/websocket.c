#include "config.h"

#include "websocket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdlib.h>

#include "ps_log.h"
#include "ps_place.h"
#include "wsbridge/relay/upstream.h"

/* Of the context, whatever its hosts say, and 5 if nothing is said: above what
 * connect_timeout and downstream.c's own can be, which are those that count. */
#define HANDSHAKE_TIMEOUT_S 900
/* What of a message is read at once; it is put together in upstream_read.c. */
#define RX_BUFFER_BYTES 1024
/* What of a write to a client goes to the kernel at once. */
#define TX_PACKET_BYTES (1024 * 1024)

static void
emit(int level, const char *line)
{
	(void)level;
	ps_debug("libwebsockets: %.*s", (int)strcspn(line, "\n"), line);
}

static const struct lws_protocols client_protocols[] = {
	{ .name = DOWNSTREAM_PROTOCOL,
	    .callback = downstream_on_event,
	    .tx_packet_size = TX_PACKET_BYTES },
	{ 0 },
};

static const struct lws_protocols target_protocols[] = {
	{ .name = UPSTREAM_PROTOCOL,
	    .callback = upstream_on_event,
	    .rx_buffer_size = RX_BUFFER_BYTES },
	{ 0 },
};

static struct lws_vhost *
create_targets(struct bridge *bridge, struct lws_context *context)
{
	const struct ps_config *config = bridge->config;
	struct lws_context_creation_info info = {
		.vhost_name = "targets",
		.port = CONTEXT_PORT_NO_LISTEN,
		.protocols = target_protocols,
		.extensions = config->upstream_deflate ? deflate_extensions :
							 NULL,
		.client_ssl_ca_filepath =
		    *config->ca_file == '\0' ? NULL : config->ca_file,
		.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
	};
	struct lws_vhost *vhost = lws_create_vhost(context, &info);

	if (vhost == NULL)
		ps_error("websocket: cannot set up TLS (is ca_file %s a PEM "
			 "file?)",
		    config->ca_file);
	return vhost;
}

static struct lws_vhost *
create_clients(struct lws_context *context, const char *name,
    const char *certificate, const char *key)
{
	struct lws_context_creation_info info = {
		.vhost_name = name,
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.protocols = client_protocols,
		.listen_accept_role = "raw-skt",
		.listen_accept_protocol = DOWNSTREAM_PROTOCOL,
		.options = LWS_SERVER_OPTION_ADOPT_APPLY_LISTEN_ACCEPT_CONFIG,
	};

	if (*certificate != '\0') {
		info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
		info.ssl_cert_filepath = certificate;
		info.ssl_private_key_filepath = *key == '\0' ? certificate :
								key;
	}
	return lws_create_vhost(context, &info);
}

static void
on_proxied(struct listener *listener, int fd)
{
	struct bridge *bridge = listener->bridge;

	downstream_accept(bridge, bridge->websocket->clients, fd, true);
}

static void
on_direct(struct listener *listener, int fd)
{
	struct bridge *bridge = listener->bridge;
	int on = 1;

	/* Messages are small, and one is not to wait for another. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	downstream_accept(bridge, bridge->websocket->direct_clients, fd,
	    false);
}

/* At ws_socket. */
static int
listen_proxied(struct bridge *bridge, struct websocket *websocket)
{
	const struct ps_config *config = bridge->config;
	char path[PS_SOCKET_PATH_MAX];
	int fd;

	websocket->clients =
	    create_clients(websocket->context, "clients", "", "");
	if (websocket->clients == NULL)
		return PS_ERR_IO;
	ps_place_path(path, config->ws_socket, ps_slice_str(bridge->tag));
	fd = ps_socket_listen(path, (mode_t)config->socket_mode);
	if (fd < 0) {
		ps_error("websocket: cannot listen on %s (%s)", path,
		    strerror(errno));
		return PS_ERR_IO;
	}
	websocket->listener = (struct listener){ .bridge = bridge,
		.name = config->ws_socket,
		.accepted = on_proxied };
	return listener_open(&websocket->listener, fd);
}

/* At ws_listen, which ps_config has checked. -1 with errno. */
static int
listen_at(const char *text)
{
	const char *colon = strrchr(text, ':');
	bool in_brackets = *text == '[';
	struct addrinfo *info,
	    hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		    .ai_socktype = SOCK_STREAM };
	char host[PS_ADDRESS_MAX];
	int fd, on = 1;

	snprintf(host, sizeof(host), "%.*s",
	    (int)(colon - text) - 2 * in_brackets, text + in_brackets);
	if (getaddrinfo(host, colon + 1, &hints, &info) != 0) {
		errno = EINVAL;
		return -1;
	}
	fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* A predecessor's connections are still there: drain_start() closed
	 * what it listened with, before we could be here. */
	if (fd >= 0 &&
	    (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		bind(fd, info->ai_addr, info->ai_addrlen) < 0 ||
		listen(fd, PS_SOCKET_BACKLOG) < 0)) {
		ps_socket_close(fd);
		fd = -1;
	}
	freeaddrinfo(info);
	return fd;
}

static int
listen_directly(struct bridge *bridge, struct websocket *websocket)
{
	const struct ps_config *config = bridge->config;
	int fd;

	if (*config->ws_listen == '\0')
		return PS_OK;
	websocket->direct_clients = create_clients(websocket->context,
	    "direct clients", config->ws_certificate, config->ws_key);
	if (websocket->direct_clients == NULL) {
		ps_error("websocket: cannot set up TLS (are ws_certificate %s "
			 "and ws_key %s PEM files that belong together?)",
		    config->ws_certificate, config->ws_key);
		return PS_ERR_IO;
	}
	fd = listen_at(config->ws_listen);
	if (fd < 0) {
		ps_error("websocket: cannot listen on %s (%s)",
		    config->ws_listen, strerror(errno));
		return PS_ERR_IO;
	}
	websocket->direct_listener = (struct listener){ .bridge = bridge,
		.name = config->ws_listen,
		.accepted = on_direct };
	return listener_open(&websocket->direct_listener, fd);
}

int
websocket_start(struct bridge *bridge)
{
	struct websocket *websocket = calloc(1, sizeof(*websocket));
	struct lws_context_creation_info info = {
		.options = LWS_SERVER_OPTION_LIBUV |
		    LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
		    LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
		.gid = -1,
		.uid = -1,
		.timeout_secs = HANDSHAKE_TIMEOUT_S,
		.pt_serv_buf_size = 16 * 1024,
		.max_http_header_data2 = 16 * 1024, /* during a handshake */
	};
	int ret;

	if (websocket == NULL)
		return PS_ERR_NOMEM;
	lws_set_log_level(
	    ps_log_is_debug() ? LLL_ERR | LLL_WARN | LLL_NOTICE : 0, emit);
	TAILQ_INIT(&websocket->pending);
	websocket->loops[0] = bridge->loop;
	info.foreign_loops = websocket->loops;
	bridge->websocket = websocket;
	websocket->context = lws_create_context(&info);
	if (websocket->context == NULL) {
		ps_error("websocket: libwebsockets does not start (is the "
			 "package libwebsockets-evlib-uv installed?)");
		return PS_ERR_IO;
	}
	websocket->targets = create_targets(bridge, websocket->context);
	if (websocket->targets == NULL)
		return PS_ERR_IO;
	ret = listen_proxied(bridge, websocket);
	return ret == PS_OK ? listen_directly(bridge, websocket) : ret;
}

void
websocket_turn_away(struct bridge *bridge)
{
	if (bridge->websocket != NULL)
		listener_close(&bridge->websocket->direct_listener);
}

void
websocket_stop(struct bridge *bridge)
{
	struct websocket *websocket = bridge->websocket;

	if (websocket == NULL)
		return;
	listener_close(&websocket->listener);
	listener_close(&websocket->direct_listener);
	if (websocket->context != NULL)
		lws_context_destroy(websocket->context);
	bridge->websocket = NULL;
	ws_tools_deinit(&websocket->tools);
	free(websocket);
}
