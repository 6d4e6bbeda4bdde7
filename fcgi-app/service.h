/*
 * Routes of the service itself: health, limits, probe and figures. They are
 * there whatever services are on.
 */
#ifndef SERVICE_H
#define SERVICE_H

#include "routes.h"

void service_live(struct request *request, const struct route *route);
void service_ready(struct request *request, const struct route *route);
void service_limits(struct request *request, const struct route *route);
void service_probe(struct request *request, const struct route *route);
/* The same figures in two forms, for administrators. */
void service_metrics(struct request *request, const struct route *route);
void service_stats(struct request *request, const struct route *route);

#endif
