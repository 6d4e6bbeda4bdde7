#include "config.h"

#include "unit.h"

#include "wsbridge/base/table.h"

struct thing {
	struct table_node node; /* first */
	char key[24];
	bool inside;
};

static void
name(struct thing *thing, unsigned n)
{
	snprintf(thing->key, sizeof(thing->key), "key-%u", n);
	thing->node.key = ps_slice_str(thing->key);
}

static void
what_was_added_is_found_until_it_is_removed(void **state)
{
	struct thing a = { .inside = true }, b = { .inside = true };
	struct table table;

	(void)state;
	name(&a, 1);
	name(&b, 2);
	assert_true(table_init(&table, 1));
	assert_null(table_find(&table, ps_slice_str("key-1")));
	table_add(&table, &a.node);
	table_add(&table, &b.node);
	assert_int_equal(table.count, 2);
	assert_ptr_equal(table_find(&table, ps_slice_str("key-1")), &a.node);
	assert_ptr_equal(table_find(&table, ps_slice_str("key-2")), &b.node);
	assert_null(table_find(&table, ps_slice_str("key-")));
	assert_null(table_find(&table, ps_slice_str("key-11")));
	assert_null(table_find(&table, ps_slice(NULL, 0)));
	table_remove(&table, &a.node);
	table_remove(&table, &a.node); /* not there: no effect */
	assert_int_equal(table.count, 1);
	assert_null(table_find(&table, ps_slice_str("key-1")));
	assert_ptr_equal(table_find(&table, ps_slice_str("key-2")), &b.node);
	table_deinit(&table);
}

static void
keys_are_bytes(void **state)
{
	struct thing a = { 0 }, b = { 0 }, empty = { 0 };
	struct table table;

	(void)state;
	a.node.key = ps_slice("x\0a", 3);
	b.node.key = ps_slice("x\0b", 3);
	assert_true(table_init(&table, 99));
	table_add(&table, &a.node);
	table_add(&table, &b.node);
	table_add(&table, &empty.node);
	assert_ptr_equal(table_find(&table, ps_slice("x\0b", 3)), &b.node);
	assert_null(table_find(&table, ps_slice("x", 1)));
	assert_ptr_equal(table_find(&table, ps_slice("", 0)), &empty.node);
	table_deinit(&table);
}

static void
the_seed_decides_the_places(void **state)
{
	struct thing thing = { 0 };
	struct table one, two;
	uint64_t hash;

	(void)state;
	name(&thing, 1);
	assert_true(table_init(&one, 1));
	assert_true(table_init(&two, 2));
	table_add(&one, &thing.node);
	hash = thing.node.hash;
	table_remove(&one, &thing.node);
	table_add(&two, &thing.node);
	assert_true(thing.node.hash != hash);
	table_deinit(&one);
	table_deinit(&two);
}

#define MANY 3000

static void
a_table_that_grows_agrees_with_a_model(void **state)
{
	static struct thing things[MANY];
	struct table table;
	uint64_t seed = 5;
	size_t count = 0, first_buckets, i, step;

	(void)state;
	assert_true(table_init(&table, 12345));
	first_buckets = table.n_buckets;
	for (i = 0; i < MANY; i++)
		name(&things[i], (unsigned)i);
	for (step = 0; step < 60000; step++) {
		struct thing *t = &things[next_random(&seed) % MANY];
		struct table_node *found = table_find(&table, t->node.key);

		assert_row(step, found == (t->inside ? &t->node : NULL));
		/* More is added than removed, then the other way round. */
		if (!t->inside && next_random(&seed) % 4 != 0) {
			table_add(&table, &t->node);
			t->inside = true;
			count++;
		} else if (t->inside &&
		    next_random(&seed) % 4 < (step < 30000 ? 1 : 3)) {
			table_remove(&table, &t->node);
			t->inside = false;
			count--;
		}
		assert_row(step, table.count == count);
	}
	assert_true(table.n_buckets > first_buckets);
	for (i = 0; i < MANY; i++)
		assert_row(i, (table_find(&table, things[i].node.key) !=
				  NULL) == things[i].inside);
	table_deinit(&table);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_added_is_found_until_it_is_removed),
		cmocka_unit_test(keys_are_bytes),
		cmocka_unit_test(the_seed_decides_the_places),
		cmocka_unit_test(a_table_that_grows_agrees_with_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
