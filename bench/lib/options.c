#include "config.h"

#include "options.h"

#include <getopt.h>
#include <stdlib.h>

double
option_number(const char *text, double min, double max, void (*usage)(void))
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value >= min && value <= max))
		usage();
	return value;
}

static void
option_take(const struct bench_option *option, void (*usage)(void))
{
	if (option->text != NULL)
		*option->text = optarg;
	else if (option->flag != NULL)
		*option->flag = true;
	else if (option->port != NULL)
		*option->port = option_number(optarg, 1, UINT16_MAX, usage);
	else if (option->whole != NULL)
		*option->whole = option_number(optarg, option->min,
					       option->max, usage);
	else if (option->real != NULL)
		*option->real = option_number(optarg, option->min,
					      option->max, usage);
	else if (!option->take(optarg))
		usage();
}

void
options_parse(int argc, char **argv, const struct bench_option *table,
	      void (*usage)(void))
{
	struct option options[OPTIONS_MAX + 1] = { { 0 } };
	int index, c;

	for (index = 0; index < OPTIONS_MAX && table[index].name != NULL;
	     index++) {
		options[index].name = table[index].name;
		options[index].has_arg = table[index].flag == NULL ?
						 required_argument :
						 no_argument;
	}
	while ((c = getopt_long(argc, argv, "", options, &index)) != -1) {
		if (c != 0)
			usage();
		option_take(&table[index], usage);
	}
	if (optind != argc)
		usage();
}
