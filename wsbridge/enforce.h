/*
 * What the administrator decides is carried out on what lives: sessions of a
 * token that is disabled, deleted or expired are closed, and those that have
 * close_requested; limits that were changed hold from now on.
 */
#ifndef ENFORCE_H
#define ENFORCE_H

#include "bridge.h"

/* Takes over a reference; NULL: the present policy, as of now. */
void enforce_policy(struct bridge *bridge, struct ps_policy *policy);

/* The session of that name, if it lives. */
void enforce_close(struct bridge *bridge, const char *name);

/*
 * The token that a request comes with, unless the policy, being no older than
 * its revision, says otherwise. Limits are those of the newer of the two.
 * NULL with why.
 */
struct quota *enforce_create(struct bridge *bridge,
    const struct ps_ipc_rights *rights, struct refusal *refusal_r);

#endif
