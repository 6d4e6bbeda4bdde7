/*
 * The frames of the server that speak of members. Each function returns a
 * message, or NULL when memory is out.
 */
#ifndef MEMBER_FRAMES_H
#define MEMBER_FRAMES_H

#include "member.h"

/* {"clientID":"...","presence":{...} without its end. */
void member_frame_put(const struct member *member, struct ps_writer *json);

/* Of that type, such as PRESENCE:JOINED, with this. */
struct message *member_frame_presence(const struct member *member,
    const char *type);
struct message *member_frame_left(const struct member *member);
/* With everyone but the newcomer. */
struct message *member_frame_connected(const struct member *newcomer);
struct message *member_frame_error(const char *code, const char *text);

#endif
