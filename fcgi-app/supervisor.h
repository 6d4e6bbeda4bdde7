/*
 * The parent of the worker processes: starts them, replaces one that dies,
 * stops them on SIGTERM, replaces all on SIGHUP.
 */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include "ps_config.h"

struct supervisor {
	struct ps_config *config; /* owned by the caller; replaced on SIGHUP */
	/* A new configuration read from where the first came from, or NULL
	 * having logged why; the processes then stay as they are. */
	struct ps_config *(*reload)(void);
	/* Runs in the child until SIGTERM; its result is the exit status. */
	int (*work)(const struct ps_config *config);
};

/* Returns when all children have ended after SIGTERM or SIGINT. */
int supervisor_run(struct supervisor *supervisor);

#endif
