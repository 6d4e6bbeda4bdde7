/*
 * What is done to all authorizations, some of them in each turn of the loop.
 */
#ifndef AUTHORIZATIONS_H
#define AUTHORIZATIONS_H

struct bridge;

/* The policy is another one: closes sessions that it covers no more. */
void authorizations_judge(struct bridge *bridge);
/* The database is another one, which does not know them: they are written. */
void authorizations_repeat(struct bridge *bridge);
/* All sessions of applications are closed with 1001: a client in two bridges
 * would be two clients. */
void authorizations_drain(struct bridge *bridge);

#endif
