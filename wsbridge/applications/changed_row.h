/*
 * A row of authorizations that the administrator has changed, or may have. It
 * is read by a job of the store, in the order of the changes that this bridge
 * makes: so what holds in the end is what came last in the database, whoever
 * did it.
 */
#ifndef CHANGED_ROW_H
#define CHANGED_ROW_H

struct bridge;

/* By and by the authorization of this socket id becomes what its row says, or
 * ends where there is none. */
void changed_row_look(struct bridge *bridge, const char *socket_id);

#endif
