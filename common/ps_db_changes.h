/*
 * What the administrator changes of authorizations and the outbox, as triggers
 * note it: each bridge reads what came after the last that it has read. Errors
 * are those of ps_db.h.
 */
#ifndef PS_DB_CHANGES_H
#define PS_DB_CHANGES_H

#include "ps_db.h"

enum ps_change_kind {
	PS_CHANGE_AUTHORIZATION, /* its name is a socket id */
	PS_CHANGE_LANE,		 /* its name is a session's */
};

/* The number of the last one. */
PS_MUST_CHECK int ps_db_last_change(struct ps_db *db, int64_t *number_r);
/* The next one after `number`, which becomes its own; "": there is none. */
PS_MUST_CHECK int ps_db_next_change(struct ps_db *db, int64_t *number,
    enum ps_change_kind *kind_r, char *name_r, size_t size);
/* Deletes those up to `number` that were made before `before_s`. */
PS_MUST_CHECK int ps_db_prune_changes(struct ps_db *db, int64_t number,
    int64_t before_s);
/* As if the administrator had made rows of the session ready: other bridges
 * look at its lane. */
PS_MUST_CHECK int ps_db_note_lane(struct ps_db *db, const char *session);

#endif
