/*
 * Whom an emit is for: all members of its channel, so many of them by chance,
 * or those that it lists. What finding them costs depends on how many they are,
 * not on how many are there.
 */
#ifndef EMIT_TARGETS_H
#define EMIT_TARGETS_H

#include "wsbridge/bridge.h"

struct channel;
struct member;

struct emit_targets {
	uint32_t count;
	bool are_all;
	struct member **members; /* NULL where they are all and nobody asks */
	struct ps_writer unknown; /* listed, but not there: "a","b" as JSON */
};

/*
 * `channel` is NULL when nobody is there. False and why: NOT_ENOUGH_CLIENTS,
 * CLIENTS_UNKNOWN, BAD_PARAMETER, BRIDGE_FULL (memory). Deinit it in any case.
 */
PS_MUST_CHECK bool emit_targets_find(struct emit_targets *targets,
    struct bridge *bridge, struct channel *channel,
    const struct ps_ipc_emit *emit, enum ps_code *code_r);
void emit_targets_deinit(struct emit_targets *targets);

#endif
