/*
 * The routes of applications: who authorizes clients and publishes to them.
 * See doc/http-api.md.
 */
#ifndef APPLICATIONS_H
#define APPLICATIONS_H

#include "routes.h"

/* POST authorizes, DELETE withdraws. */
void applications_authorize(struct request *request,
    const struct route *route);
/* POST says something, or closes; GET tells who is connected. The member
 * `message` of a body that is JSON has been put aside. */
void applications_publish(struct request *request, const struct route *route);

#endif
