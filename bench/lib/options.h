/* Options of the command line, all of them long ones. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum { OPTIONS_MAX = 32 };

/* One of them: the pointer that is set says what its value is and where it
 * goes. */
struct bench_option {
	const char *name; /* NULL: the end of the table */
	const char **text;
	bool *flag; /* has no value */
	bool (*take)(char *text); /* false: it makes no sense */
	uint16_t *port;
	unsigned *whole;
	double *real;
	double min, max; /* of the last two */
};

/* Ends with `usage`, which does not return, where they make no sense or more
 * than options is there. */
void options_parse(int argc, char **argv, const struct bench_option *table,
		   void (*usage)(void));

/* From min to max; otherwise `usage`. */
double option_number(const char *text, double min, double max,
		     void (*usage)(void));

#endif
