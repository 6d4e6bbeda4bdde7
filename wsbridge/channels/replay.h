/*
 * What a member that comes back has missed: read from the history a page at a
 * time, the next one when its client has taken enough, and given to it marked
 * as "replayed". Meanwhile the member is behind (channel.h): what comes is held
 * for it, so that it goes on live where the history ends.
 *
 * A read has what was sent before it was asked for, and nothing else: what is
 * held begins there. Where too much would be held it is let go, and read after
 * all that came before it.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include "member.h"

/* Remembers, before the member joins; false when memory is out. */
PS_MUST_CHECK bool replay_prepare(struct member *member,
    struct ps_slice since);
/* It has joined and is behind: begins, or goes on where there is room again.
 * It may have left, or caught up, when this returns. */
void replay_go_on(struct member *member);
/* What is held was let go: it has to be read, too. */
void replay_again(struct member *member);
/* Frees it. */
void replay_end(struct member *member);

#endif
