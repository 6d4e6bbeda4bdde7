#include "config.h"

#include "message.h"

#include <assert.h>
#include <stdlib.h>

#define FIRST_CAPACITY 4

struct message *
message_create_empty(enum ps_event_type type, size_t len)
{
	struct message *message =
	    malloc(sizeof(*message) + MESSAGE_HEADROOM + len);

	if (message == NULL)
		return NULL;
	message->refs = 1;
	message->type = (uint8_t)type;
	message->is_free = false;
	message->split = 0;
	message->len = len;
	return message;
}

struct message *
message_join(const struct message *first, enum ps_event_type type,
    struct ps_slice data)
{
	size_t before = first == NULL ? 0 : first->len;
	struct message *message =
	    message_create_empty(type, before + data.len);

	if (message == NULL)
		return NULL;
	if (before > 0)
		memcpy(message_data(message), message_slice(first).data,
		    before);
	if (data.len > 0)
		memcpy(message_data(message) + before, data.data, data.len);
	return message;
}

struct message *
message_create(enum ps_event_type type, struct ps_slice data)
{
	return message_join(NULL, type, data);
}

struct message *
message_ref(struct message *message)
{
	message->refs++;
	return message;
}

void
message_unref(struct message *message)
{
	if (message != NULL && --message->refs == 0)
		free(message);
}

void
message_queue_deinit(struct message_queue *queue)
{
	while (queue->count > 0)
		message_queue_pop(queue);
	free(queue->ring);
	*queue = (struct message_queue){ 0 };
}

static bool
grow(struct message_queue *queue)
{
	uint32_t capacity =
	    queue->capacity == 0 ? FIRST_CAPACITY : queue->capacity * 2;
	struct message **ring = malloc(capacity * sizeof(*ring));
	uint32_t i;

	if (ring == NULL)
		return false;
	for (i = 0; i < queue->count; i++)
		ring[i] = message_queue_at(queue, i);
	free(queue->ring);
	queue->ring = ring;
	queue->capacity = capacity;
	queue->head = 0;
	return true;
}

bool
message_queue_push(struct message_queue *queue, struct message *message)
{
	if (queue->count == queue->capacity && !grow(queue))
		return false;
	queue->ring[(queue->head + queue->count) & (queue->capacity - 1)] =
	    message;
	queue->count++;
	queue->bytes += message->len;
	return true;
}

struct message *
message_queue_at(const struct message_queue *queue, uint32_t index)
{
	if (index >= queue->count)
		return NULL;
	return queue->ring[(queue->head + index) & (queue->capacity - 1)];
}

void
message_queue_pop(struct message_queue *queue)
{
	struct message *message = message_queue_at(queue, 0);

	assert(message != NULL);
	queue->head = (queue->head + 1) & (queue->capacity - 1);
	queue->count--;
	queue->bytes -= message->len;
	message_unref(message);
}
