#include "config.h"

#include "websocket.h"

#include <stdlib.h>
#include <unistd.h>

#include "ps_log.h"
#include "ps_place.h"
#include "ps_reply.h"
#include "upstream.h"

/* Above what connect_timeout can be, which is the one that counts. */
#define HANDSHAKE_TIMEOUT_S 900
/* What of a message is read at once; it is put together in upstream.c. */
#define RX_BUFFER_BYTES 1024

static void
emit(int level, const char *line)
{
	(void)level;
	ps_debug("libwebsockets: %.*s", (int)strcspn(line, "\n"), line);
}

/*
 * Refuses what comes to ws_socket: no service offers WebSockets to clients.
 * The upgrade is answered as any other unknown path is.
 */
static int
refuse(struct lws *wsi)
{
	static const char body[] =
	    "{\"ok\":false,\"error\":\"there is no WebSocket at this path\","
	    "\"code\":\"not_found\"}";
	unsigned char buffer[LWS_PRE + 512], *start = buffer + LWS_PRE;
	unsigned char *p = start, *end = buffer + sizeof(buffer) - 1;

	if (lws_add_http_common_headers(wsi, HTTP_STATUS_NOT_FOUND,
		PS_TYPE_JSON, sizeof(body) - 1, &p, end) ||
	    lws_add_http_header_by_name(wsi,
		(const unsigned char *)"x-content-type-options:",
		(const unsigned char *)"nosniff", 7, &p, end) ||
	    lws_finalize_write_http_header(wsi, start, &p, end))
		return -1;
	memcpy(start, body, sizeof(body) - 1);
	if (lws_write(wsi, start, sizeof(body) - 1, LWS_WRITE_HTTP_FINAL) < 0)
		return -1;
	return lws_http_transaction_completed(wsi) ? -1 : 1;
}

static int
on_client_event(struct lws *wsi, enum lws_callback_reasons reason, void *user,
    void *in, size_t len)
{
	switch (reason) {
	case LWS_CALLBACK_HTTP:
		return refuse(wsi) < 0 ? -1 : 0;
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		return refuse(wsi);
	default:
		return lws_callback_http_dummy(wsi, reason, user, in, len);
	}
}

static const struct lws_protocols client_protocols[] = {
	{ .name = "http", .callback = on_client_event },
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
		.timeout_secs = HANDSHAKE_TIMEOUT_S,
	};
	struct lws_vhost *vhost = lws_create_vhost(context, &info);

	if (vhost == NULL)
		ps_error("websocket: cannot set up TLS (is ca_file %s a PEM "
			 "file?)",
		    config->ca_file);
	return vhost;
}

static struct lws_vhost *
create_clients(struct bridge *bridge, struct lws_context *context)
{
	char path[PS_SOCKET_PATH_MAX];
	struct lws_context_creation_info info = {
		.vhost_name = "clients",
		.iface = path,
		.protocols = client_protocols,
		.options = LWS_SERVER_OPTION_UNIX_SOCK,
	};
	struct lws_vhost *vhost;
	int fd;

	ps_place_path(path, bridge->config->ws_socket,
	    ps_slice_str(bridge->tag));
	/* Finds out that the path is free and usable, with a good message. */
	fd = ps_socket_listen(path, (mode_t)bridge->config->socket_mode);
	if (fd < 0) {
		ps_error("websocket: cannot listen on %s (%s)", path,
		    strerror(errno));
		return NULL;
	}
	close(fd);
	unlink(path);
	vhost = lws_create_vhost(context, &info);
	if (vhost == NULL || chmod(path, (mode_t)bridge->config->socket_mode)) {
		ps_error("websocket: cannot listen on %s (%s)", path,
		    strerror(errno));
		return NULL;
	}
	return vhost;
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
		.pt_serv_buf_size = 16 * 1024,
		.max_http_header_data2 = 16 * 1024, /* during a handshake */
	};

	if (websocket == NULL)
		return PS_ERR_NOMEM;
	lws_set_log_level(
	    ps_log_is_debug() ? LLL_ERR | LLL_WARN | LLL_NOTICE : 0, emit);
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
	websocket->clients = create_clients(bridge, websocket->context);
	return websocket->clients == NULL ? PS_ERR_IO : PS_OK;
}

void
websocket_stop(struct bridge *bridge)
{
	struct websocket *websocket = bridge->websocket;

	if (websocket == NULL)
		return;
	bridge->websocket = NULL;
	if (websocket->context != NULL)
		lws_context_destroy(websocket->context);
	deflate_deinit(&websocket->deflate);
	free(websocket);
}
