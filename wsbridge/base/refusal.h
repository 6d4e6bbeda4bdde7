/* Why something is refused: what session, quota and address tell a service. */
#ifndef REFUSAL_H
#define REFUSAL_H

#include "ps_code.h"

struct refusal {
	enum ps_code code;
	const char *limit;	/* the name of the one exceeded; NULL: none */
	unsigned retry_after_s; /* 0: what the code says */
};

#endif
