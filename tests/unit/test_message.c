#include "config.h"

#include "unit.h"

#include "wsbridge/base/message.h"

static struct message *
numbered(unsigned n)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", n);
	return message_create(PS_EVENT_TEXT, ps_slice_str(text));
}

static unsigned
number(const struct message *message)
{
	char text[16] = "";

	memcpy(text, message_slice(message).data, message->len);
	return (unsigned)atoi(text);
}

static void
a_message_lives_as_long_as_its_references(void **state)
{
	struct message *message = message_create(PS_EVENT_BINARY,
	    ps_slice("a\0b", 3));

	(void)state;
	assert_int_equal(message->refs, 1);
	assert_int_equal(message->type, PS_EVENT_BINARY);
	assert_bytes(message_slice(message), "a\0b", 3);
	assert_ptr_equal(message_ref(message), message);
	assert_int_equal(message->refs, 2);
	message_unref(message);
	assert_int_equal(message->refs, 1);
	assert_bytes(message_slice(message), "a\0b", 3);
	message_unref(message);
	message_unref(NULL);
}

static void
there_is_room_for_a_header_in_front(void **state)
{
	struct message *message =
	    message_create(PS_EVENT_TEXT, ps_slice_str("text"));

	(void)state;
	memset(message_data(message) - MESSAGE_HEADROOM, 0xff,
	    MESSAGE_HEADROOM);
	assert_slice(message_slice(message), "text");
	assert_int_equal(message->len, 4);
	message_unref(message);
}

static void
a_joined_message_is_a_new_one(void **state)
{
	struct message *empty = message_create(PS_EVENT_TEXT,
	    ps_slice(NULL, 0));
	struct message *first, *second;

	(void)state;
	assert_int_equal(empty->len, 0);
	first = message_join(empty, PS_EVENT_TEXT, ps_slice_str("one"));
	second = message_join(first, PS_EVENT_TEXT, ps_slice_str("two"));
	assert_slice(message_slice(first), "one");
	assert_slice(message_slice(second), "onetwo");
	message_unref(empty);
	message_unref(first);
	message_unref(second);
}

static void
a_queue_holds_references_and_counts_bytes(void **state)
{
	struct message *message =
	    message_create(PS_EVENT_TEXT, ps_slice_str("12345"));
	struct message_queue a = { 0 }, b = { 0 };

	(void)state;
	assert_true(message_queue_push(&a, message_ref(message)));
	assert_true(message_queue_push(&a, message_ref(message)));
	assert_true(message_queue_push(&b, message));
	assert_int_equal(message->refs, 3);
	assert_int_equal(a.count, 2);
	assert_int_equal(a.bytes, 10);
	assert_null(message_queue_at(&a, 2));
	message_queue_pop(&a);
	assert_int_equal(a.bytes, 5);
	message_queue_deinit(&a);
	assert_int_equal(a.count, 0);
	assert_int_equal(message->refs, 1);
	message_queue_deinit(&b);
	message_queue_deinit(&b);
}

/* Every fill level while the ring turns, so that it grows at every place. */
static void
a_queue_keeps_its_order_while_it_wraps_and_grows(void **state)
{
	unsigned start, n;

	(void)state;
	for (start = 0; start < 20; start++) {
		struct message_queue queue = { 0 };
		unsigned pushed = 0, popped = 0, i;

		for (i = 0; i < start; i++) {
			assert_true(message_queue_push(&queue,
			    numbered(pushed++)));
			message_queue_pop(&queue);
			popped++;
		}
		for (n = 0; n < 40; n++)
			assert_true(message_queue_push(&queue,
			    numbered(pushed++)));
		while (queue.count > 0) {
			for (i = 0; i < queue.count; i++)
				assert_row(i, number(message_queue_at(&queue,
						  i)) == popped + i);
			assert_null(message_queue_at(&queue, queue.count));
			message_queue_pop(&queue);
			popped++;
		}
		assert_int_equal(popped, pushed);
		assert_int_equal(queue.bytes, 0);
		message_queue_deinit(&queue);
	}
}

static void
a_queue_agrees_with_a_model(void **state)
{
	struct message_queue queue = { 0 };
	unsigned first = 0, next = 0, i;
	uint64_t seed = 7;

	(void)state;
	for (i = 0; i < 20000; i++) {
		if (next == first || next_random(&seed) % 9 < 5)
			assert_true(message_queue_push(&queue,
			    numbered(next++)));
		else {
			assert_row(i, number(message_queue_at(&queue, 0)) ==
				first);
			message_queue_pop(&queue);
			first++;
		}
		if (next - first > 300)
			while (first < next - 3) {
				message_queue_pop(&queue);
				first++;
			}
		assert_row(i, queue.count == next - first);
		if (next > first)
			assert_row(i, number(message_queue_at(&queue,
					  next - first - 1)) == next - 1);
	}
	message_queue_deinit(&queue);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_lives_as_long_as_its_references),
		cmocka_unit_test(there_is_room_for_a_header_in_front),
		cmocka_unit_test(a_joined_message_is_a_new_one),
		cmocka_unit_test(a_queue_holds_references_and_counts_bytes),
		cmocka_unit_test(
		    a_queue_keeps_its_order_while_it_wraps_and_grows),
		cmocka_unit_test(a_queue_agrees_with_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
