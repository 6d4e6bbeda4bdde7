#include "config.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>

#include "bench/lib/link.h"

enum { KEPT = 4096, MAX_LEN = 64 * 1024 * 1024 };

void
text_add(struct text *text, const char *data, size_t len)
{
	if (len > MAX_LEN - text->len)
		die("a text of more than %d bytes", MAX_LEN);
	if (text->len + len > text->size) {
		text->size = 2 * (text->len + len);
		text->data = realloc(text->data, text->size);
		if (text->data == NULL)
			die("no memory for a text");
	}
	memcpy(text->data + text->len, data, len);
	text->len += len;
}

void
text_empty(struct text *text)
{
	text->len = 0;
	if (text->size > KEPT) {
		free(text->data);
		text->data = NULL;
		text->size = 0;
	}
}
