/*
 * The rows of authorizations: each change of one is written by the store, and
 * whoever asked for it may wait until it is committed. Changes are written in
 * the order in which they were made. What holds is what the database has: an
 * authorization whose row cannot be written is as it was before.
 */
#ifndef AUTHORIZATION_ROW_H
#define AUTHORIZATION_ROW_H

#include "authorization.h"

struct authorization_change;

/* What has become of it; without `ok` it is not written. */
typedef void (*authorization_change_fn)(void *owner, bool ok);

/*
 * The row as the authorization is now, and the end of a row. `done` is called
 * later, never from inside; NULL: nobody waits. NULL when it cannot be: there
 * is no database, or no memory.
 * What could not be deleted is tried again, until it is or the bridge ends.
 * Where a put cannot be, the authorization may be over when it returns.
 */
struct authorization_change *authorization_row_put(
    const struct authorization *authorization, authorization_change_fn done,
    void *owner);
struct authorization_change *authorization_row_delete(struct bridge *bridge,
    const char *socket_id, authorization_change_fn done, void *owner);
/* Whether one of its changes is under way. */
bool authorization_is_changing(const struct bridge *bridge,
    struct ps_slice socket_id);

/* What was changed by now is written, as far as it can be. */
struct authorization_change *authorization_rows_settle(struct bridge *bridge,
    authorization_change_fn done, void *owner);
/* Its owner goes away: it is written all the same. */
void authorization_change_forget(struct authorization_change *change);

#endif
