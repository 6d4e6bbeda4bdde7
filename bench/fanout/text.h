/*
 * Text that grows as it comes; a zeroed struct is an empty one. What was large
 * once, such as the list of all members, is freed when the text is emptied.
 */
#ifndef BENCH_TEXT_H
#define BENCH_TEXT_H

#include <stddef.h>

struct text {
	size_t len, size;
	char *data;
};

void text_add(struct text *text, const char *data, size_t len);
void text_empty(struct text *text);

#endif
