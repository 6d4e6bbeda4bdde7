/*
 * Events that wait to be acknowledged (require-ack): who has, who has not, who
 * has left meanwhile. By event id, for the ACKs, and in their channel's list,
 * for the members that leave.
 */
#ifndef ACKS_H
#define ACKS_H

#include "ps_bytes.h"
#include "wsbridge/bridge.h"

struct ack_wait;
struct channel;
struct member;

/* Members that are waited for, by all emits together, one alone excepted:
 * some 40 bytes each, and half as many where the answer is remembered. */
#define ACK_ENTRIES_MAX (1024 * 1024)

LIST_HEAD(ack_wait_list, ack_wait);

/* Whether so many members more may be waited for. */
bool acks_have_room(const struct bridge *bridge, uint32_t count);

/*
 * Starts to wait for `members`, whose order does not matter; there is at least
 * one. `done` is called once, when `min_acks` of them have acknowledged (0: all
 * of them), or nobody is left who could, or ack_timeout is over; from the loop,
 * not from within what brings it about. NULL when memory is out.
 */
struct ack_wait *ack_wait_create(struct channel *channel,
    const char *event_id, struct member *const *members, uint32_t count,
    uint32_t min_acks, void (*done)(struct ack_wait *wait, void *owner),
    void *owner);
/* `done` is not called any more. It has to be destroyed after `done` too, or
 * from within. NULL is fine. */
void ack_wait_destroy(struct ack_wait *wait);
/* Whether enough have acknowledged, or nobody is left who could. */
bool ack_wait_is_met(const struct ack_wait *wait);
/* "acked":[...],"pending":[...],"left":[...],"ack_ms":{"p50":..,"max":..}, each
 * list in the order in which they joined. NULL: nobody was waited for. */
void ack_wait_describe(const struct ack_wait *wait, struct ps_writer *json);

/* A member acknowledges. False: nobody waits for that of it. Repeating it is
 * fine while the event waits. */
bool acks_take(struct bridge *bridge, struct member *member,
    struct ps_slice event_id);
/* A member leaves; its channel is still there. */
void acks_leave(struct member *member);

#endif
