/*
 * The configuration both programs read: `key = value` lines, `#` comments.
 *
 * A configuration is made with every default, filled from a file and from
 * KEY=VALUE overrides, checked as a whole, and then only read. Durations are
 * milliseconds, sizes are bytes. Errors come back as a sentence for the
 * administrator with file and line in it.
 */
#ifndef PS_CONFIG_H
#define PS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ps_err.h"
#include "ps_log.h"

/* Owned strings. */
struct ps_list {
	char **items;
	size_t count;
};

enum ps_service {
	PS_SERVICE_RELAY = 1u << 0,
	PS_SERVICE_CHANNELS = 1u << 1,
	PS_SERVICE_APPLICATIONS = 1u << 2,
};

struct ps_config {
	char *node, *user, *group;
	char *bridge_socket, *ws_socket, *database;
	char *mount_prefix, *public_host, *ca_file;
	char *ws_listen, *ws_certificate, *ws_key;
	struct ps_list worker_users, allow_networks, metrics_from;
	uint64_t socket_mode;
	uint64_t keep_sessions, max_unwritten;
	int log_level;	   /* enum ps_log_level */
	int log_target;	   /* enum ps_log_target */
	unsigned services; /* enum ps_service */
	bool wildcard_dns, upstream_deflate;
	uint64_t processes, threads;
	uint64_t max_body, max_message, max_events;
	uint64_t queue_messages, queue_bytes, reply_bytes;
	uint64_t max_sessions, max_sessions_per_address;
	uint64_t max_creates_per_second, max_held, max_probes;
	uint64_t hold_default, hold_min, hold_max;
	uint64_t receiver_grace, first_receiver_grace, close_linger;
	uint64_t stream_bytes;
	uint64_t connect_timeout, stall_timeout, drain_timeout, close_timeout;
	uint64_t ping_interval, ping_timeout, ack_timeout;
	uint64_t history_events, history_age, max_emit_ids;
	char *sockjs_url;
	uint64_t heartbeat_interval;
	uint64_t callback_timeout, callback_retry, callback_backoff;
	uint64_t callback_connections, callback_reply_bytes;
	bool outbox, outbox_sync;
	uint64_t outbox_messages, max_authorizations;
	uint64_t kept_messages, kept_bytes, kept_time;
};

#define PS_CONFIG_ERROR_MAX 512

/* A configuration of defaults, or NULL when memory is out. */
struct ps_config *ps_config_create(void);
void ps_config_destroy(struct ps_config *config);

/*
 * Each writes a sentence to `error` (PS_CONFIG_ERROR_MAX bytes) and returns
 * PS_ERR_MALFORMED, PS_ERR_IO or PS_ERR_NOMEM when it fails. ps_config_set()
 * takes "key=value"; ps_config_check() looks at options together.
 */
PS_MUST_CHECK int ps_config_read(struct ps_config *config, const char *path,
    char *error);
PS_MUST_CHECK int ps_config_set(struct ps_config *config,
    const char *assignment, char *error);
PS_MUST_CHECK int ps_config_check(const struct ps_config *config, char *error);

/*
 * All of that in one: file, `count` assignments, check. NULL having logged
 * what is wrong.
 */
struct ps_config *ps_config_load(const char *path,
    const char *const *assignments, size_t count);

/*
 * Takes the reloadable values of `next` into `config` and destroys `next`.
 * Names of options that differ but need a restart are logged as warnings.
 */
void ps_config_take(struct ps_config *config, struct ps_config *next);

/* The commented sample file. */
void ps_config_print_sample(FILE *out);

/* Parses a services list such as "relay, channels"; used for the FastCGI
 * parameter of a virtual host too. */
PS_MUST_CHECK int ps_config_parse_services(const char *text,
    unsigned *services_r);

#endif
