#include "config.h"

#include "options.h"

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
