/*
 * What framings of several services have in common: the list of a poll, the
 * call of JSONP, the prelude of a stream.
 */
#ifndef FRAMING_PARTS_H
#define FRAMING_PARTS_H

#include "framing.h"

/* How soon an EventSource comes again. */
#define FRAMING_RETRY_MS 100

/* The comma in front of all of a list but the first. */
void framing_separate(struct ps_writer *w, struct framing_context *c);
/* The end of the list and of the object it is in, with `seq` where asked for;
 * as framing.end. */
void framing_end_list(struct ps_writer *w, const struct framing_context *c,
    uint64_t last);

void framing_begin_call(struct ps_writer *w, const struct framing_context *c);
/* As framing.end: of the list and of the call. */
void framing_end_call(struct ps_writer *w, const struct framing_context *c,
    uint64_t last);

/* Old browsers show nothing of a stream before so much came. */
void framing_open_prelude(struct ps_writer *w, char c, size_t len);
/* As framing.open. */
void framing_open_lines(struct ps_writer *w, const struct framing_context *c);

#endif
