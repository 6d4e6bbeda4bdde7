/* The files of schema/, as make has put them into ps_schema_sql.c. */
#ifndef PS_SCHEMA_SQL_H
#define PS_SCHEMA_SQL_H

#include <stddef.h>

struct ps_schema_step {
	int version; /* that it leads to, from the one before */
	const char *sql;
};

extern const char ps_schema_sql[];
extern const struct ps_schema_step ps_schema_steps[]; /* in their order */
extern const size_t ps_schema_steps_count;

#endif
