/* Values of options of the command line. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

/* From min to max; otherwise `usage`, which does not return. */
double option_number(const char *text, double min, double max,
		     void (*usage)(void));

#endif
