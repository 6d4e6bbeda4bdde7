/*
 * What the messages of ps_ipc.h have in common; ps_ipc.c has it with those of
 * no service, ps_ipc_relay.c, _channels.c and _applications.c the others. For
 * these files alone.
 */
#ifndef PS_IPC_FIELDS_H
#define PS_IPC_FIELDS_H

#include "ps_ipc.h"

void ps_ipc_frame_begin(struct ps_writer *w, enum ps_ipc_type type);
void ps_ipc_frame_end(struct ps_writer *w);

void ps_ipc_encode_request(struct ps_writer *w,
    const struct ps_ipc_request *m);
void ps_ipc_encode_rights(struct ps_writer *w, const struct ps_ipc_rights *m);

/* What is out of place fails the reader. */
void ps_ipc_decode_request(struct ps_reader *r, struct ps_ipc_request *m);
void ps_ipc_decode_rights(struct ps_reader *r, struct ps_ipc_rights *m);
/* A slice of at most `max` bytes. */
struct ps_slice ps_ipc_decode_bounded(struct ps_reader *r, size_t max);
/* A byte below `count`. */
uint8_t ps_ipc_decode_enum(struct ps_reader *r, uint8_t count);
/* What is left of a frame: events, and how many they are. */
PS_MUST_CHECK int ps_ipc_decode_events(struct ps_reader *r,
    struct ps_reader *events, uint16_t *count_r);

/* PS_OK when all was in place, and nothing is left. */
PS_MUST_CHECK int ps_ipc_done(const struct ps_reader *r);

#endif
