#include "config.h"

#include "talk-queue.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "talk.h"

enum { MAX_TEXT = 4 * 1024 * 1024 };

void
text_add(struct text *text, const char *data, size_t len)
{
	if (text->len + len >= text->size) {
		text->size = 2 * (text->len + len) + 256;
		text->data = realloc(text->data, text->size);
		if (text->data == NULL || text->size > MAX_TEXT)
			die("too much in an answer: %zu bytes", text->size);
	}
	memcpy(text->data + text->len, data, len);
	text->len += len;
	text->data[text->len] = '\0';
}

void
text_print(struct text *text, const char *format, ...)
{
	char line[512];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (len >= (int)sizeof(line))
		die("a text of %d bytes", len);
	text_add(text, line, len);
}

void
text_clear(struct text *text)
{
	text->len = 0;
	if (text->data)
		text->data[0] = '\0';
}

struct item *
queue_item(struct talker *talker, unsigned i)
{
	return &talker->queue[(talker->first + i) % TALK_QUEUE];
}

void
queue_add(struct talker *talker, char kind, uint64_t now)
{
	if (talker->n_queued == TALK_QUEUE - 1) /* the hello's place */
		die("client %u has %u messages waiting", talker->index,
		    talker->n_queued);
	*queue_item(talker, talker->n_queued++) = (struct item){
		.kind = kind,
		.epoch = talk.epoch,
		.number = kind == 'm' ? ++talker->n_created : 0,
		.created_ns = now,
	};
}

void
queue_drop(struct talker *talker, unsigned n)
{
	talker->first = (talker->first + n) % TALK_QUEUE;
	talker->n_queued -= n;
	talker->n_in_flight = 0;
}

void
queue_hello(struct talker *talker)
{
	talker->first = (talker->first + TALK_QUEUE - 1) % TALK_QUEUE;
	talker->n_queued++;
	*queue_item(talker, 0) = (struct item){ .kind = 'h' };
}

void
queue_put(struct talker *talker, struct text *text, unsigned i)
{
	const struct item *item = queue_item(talker, i);
	size_t begin = text->len;

	switch (item->kind) {
	case 'h':
		text_print(text, "h %u %u %llu %u %u", talker->index,
			   talker->conversation,
			   (unsigned long long)talker->interval_ns / 1000,
			   talker->bytes, talker->target_life);
		break;
	case 'm':
		text_print(text, "m %llu %llu %u ",
			   (unsigned long long)item->number,
			   (unsigned long long)item->created_ns, item->epoch);
		while (text->len - begin < talker->bytes)
			text_add(text, "x", 1);
		break;
	default:
		text_add(text, &item->kind, 1);
	}
}
