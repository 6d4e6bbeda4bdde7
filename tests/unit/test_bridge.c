#include "config.h"

#include "fixture.h"

#include <fcntl.h>

static void
a_bridge_has_a_tag_of_its_node_and_generation(void **state)
{
	(void)state;
	assert_int_equal(strncmp(bridge.tag, bridge.config->node,
			     strlen(bridge.config->node)),
	    0);
	assert_true(strlen(bridge.tag) > strlen(bridge.config->node));
	assert_true(strlen(bridge.tag) <= PS_TAG_MAX);
	assert_null(strchr(bridge.tag, '.'));
}

static void
two_generations_differ(void **state)
{
	struct bridge other;

	(void)state;
	assert_int_equal(bridge_init(&other, ps_config_create()), PS_OK);
	assert_string_not_equal(bridge.tag, other.tag);
	bridge_deinit(&other);
}

static unsigned order[3], n_freed;
static struct garbage rubbish[3];

static void
note(struct garbage *garbage)
{
	order[n_freed++] = (unsigned)(garbage - rubbish);
}

static void
note_and_add(struct garbage *garbage)
{
	note(garbage);
	bridge_free_later(&bridge, &rubbish[2], note);
}

static void
nothing_is_freed_before_the_turn_is_over(void **state)
{
	(void)state;
	n_freed = 0;
	bridge_free_later(&bridge, &rubbish[0], note);
	bridge_free_later(&bridge, &rubbish[1], note_and_add);
	assert_int_equal(n_freed, 0);
	bridge_free_garbage(&bridge);
	assert_int_equal(n_freed, 3); /* what freeing adds is freed as well */
	bridge_free_garbage(&bridge);
	assert_int_equal(n_freed, 3);
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void
descriptors_are_closed_together(void **state)
{
	int fds[BRIDGE_CLOSE_BATCH + 1];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(fds); i++)
		assert_true((fds[i] = dup(STDERR_FILENO)) >= 0);
	for (i = 0; i < BRIDGE_CLOSE_BATCH - 1; i++)
		bridge_close_later(&bridge, fds[i]);
	assert_true(is_open(fds[0]));
	bridge_close_later(&bridge, fds[i++]); /* the batch is full */
	assert_false(is_open(fds[0]));
	assert_false(is_open(fds[i - 1]));
	bridge_close_later(&bridge, fds[i]);
	assert_true(is_open(fds[i]));
	fixture_advance(100);
	assert_false(is_open(fds[i]));
}

static void
a_turn_of_the_loop_frees(void **state)
{
	(void)state;
	n_freed = 0;
	bridge_free_later(&bridge, &rubbish[0], note);
	uv_run(bridge.loop, UV_RUN_NOWAIT);
	assert_int_equal(n_freed, 1);
}

#define fresh(test) \
	cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
#define on_loop(test) \
	cmocka_unit_test_setup_teardown(test, fixture_setup_loop, \
	    fixture_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(a_bridge_has_a_tag_of_its_node_and_generation),
		fresh(two_generations_differ),
		fresh(nothing_is_freed_before_the_turn_is_over),
		fresh(descriptors_are_closed_together),
		on_loop(a_turn_of_the_loop_frees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
