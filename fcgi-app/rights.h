/*
 * What tokens may do, as a worker process knows it: a thread reads the policy
 * from the database again within RIGHTS_PERIOD_MS of every change. While the
 * database cannot be read, the last policy stays in force.
 */
#ifndef RIGHTS_H
#define RIGHTS_H

#include "ps_config.h"
#include "ps_policy.h"

#define RIGHTS_PERIOD_MS 200

struct rights;

/* Reads the policy once before it returns. NULL having logged why. */
struct rights *rights_start(const struct ps_config *config);
void rights_stop(struct rights *rights);

/*
 * The policy in force, for the caller to unref; NULL when the database could
 * not be read yet. For every thread.
 */
struct ps_policy *rights_take(struct rights *rights);
/* Whether that is what the database said when it was last looked at. */
bool rights_are_current(const struct rights *rights);

#endif
