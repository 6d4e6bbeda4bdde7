/*
 * The table of configuration options: the one place that names them. The
 * parser, the sample file (`wsbridge --print-config`) and the house tests
 * that compare it with the manual all read this table.
 */
#ifndef PS_OPTIONS_H
#define PS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ps_option_type {
	PS_OPTION_STRING,   /* char * */
	PS_OPTION_LIST,	    /* struct ps_list, comma separated */
	PS_OPTION_BOOL,	    /* bool; yes or no */
	PS_OPTION_COUNT,    /* uint64_t */
	PS_OPTION_BYTES,    /* uint64_t; B KiB MiB GiB */
	PS_OPTION_DURATION, /* uint64_t milliseconds; ms s m h d */
	PS_OPTION_MODE,	    /* uint64_t, octal file mode */
	PS_OPTION_CHOICE,   /* int, index in `choices` */
	PS_OPTION_SET,	    /* unsigned, bits by index in `choices` */
};

struct ps_option {
	const char *name;
	enum ps_option_type type;
	size_t offset;	     /* in struct ps_config */
	uint64_t min, max;   /* numbers: in their base unit; strings: length */
	const char *value;   /* the default, as it would be written */
	bool reloadable;     /* takes effect on SIGHUP */
	const char *choices; /* names separated by spaces */
	/* What text has to be beyond its length; of lists, each item. */
	bool (*is_valid)(const char *text);
	const char *sentence;
};

extern const struct ps_option ps_options[];
extern const size_t ps_options_count;

#endif
