/*
 * What a member says (envelope.h), and what it is answered: ACK-RECEIVED,
 * EMITTED, ERROR.
 */
#ifndef HEARING_H
#define HEARING_H

#include "member.h"

/* The message is borrowed. The member may have left when it returns. False
 * when memory is out. */
PS_MUST_CHECK bool hearing_take(struct member *member,
    struct message *message);
/* It leaves: nobody waits for answers any more. */
void hearing_end(struct member *member);

#endif
