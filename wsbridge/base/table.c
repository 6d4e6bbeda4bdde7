#include "config.h"

#include "table.h"

#include <stdlib.h>

#define FIRST_BUCKETS 256

/* FNV-1a over the key, seeded, with a final mix. */
static uint64_t
hash_key(const struct table *table, struct ps_slice key)
{
	uint64_t hash = UINT64_C(14695981039346656037) ^ table->seed;
	size_t i;

	for (i = 0; i < key.len; i++) {
		hash ^= (unsigned char)key.data[i];
		hash *= UINT64_C(1099511628211);
	}
	return hash ^ hash >> 32;
}

bool
table_init(struct table *table, uint64_t seed)
{
	*table = (struct table){ .n_buckets = FIRST_BUCKETS, .seed = seed };
	table->buckets = calloc(FIRST_BUCKETS, sizeof(*table->buckets));
	return table->buckets != NULL;
}

void
table_deinit(struct table *table)
{
	free(table->buckets);
	*table = (struct table){ 0 };
}

static struct table_node **
bucket(const struct table *table, uint64_t hash)
{
	return &table->buckets[hash & (table->n_buckets - 1)];
}

/* Without memory the chains get longer, nothing worse. */
static void
grow(struct table *table)
{
	struct table bigger = *table;
	struct table_node *node, *next;
	size_t i;

	bigger.n_buckets *= 2;
	bigger.buckets = calloc(bigger.n_buckets, sizeof(*bigger.buckets));
	if (bigger.buckets == NULL)
		return;
	for (i = 0; i < table->n_buckets; i++) {
		for (node = table->buckets[i]; node != NULL; node = next) {
			struct table_node **to = bucket(&bigger, node->hash);

			next = node->next;
			node->next = *to;
			*to = node;
		}
	}
	free(table->buckets);
	*table = bigger;
}

void
table_add(struct table *table, struct table_node *node)
{
	struct table_node **to;

	if (table->count >= table->n_buckets)
		grow(table);
	node->hash = hash_key(table, node->key);
	to = bucket(table, node->hash);
	node->next = *to;
	*to = node;
	table->count++;
}

struct table_node *
table_find(const struct table *table, struct ps_slice key)
{
	uint64_t hash = hash_key(table, key);
	struct table_node *node = *bucket(table, hash);

	while (node != NULL &&
	    (node->hash != hash || node->key.len != key.len ||
		(key.len > 0 &&
		    memcmp(node->key.data, key.data, key.len) != 0)))
		node = node->next;
	return node;
}

void
table_remove(struct table *table, struct table_node *node)
{
	struct table_node **at = bucket(table, node->hash);

	while (*at != NULL && *at != node)
		at = &(*at)->next;
	if (*at == NULL)
		return;
	*at = node->next;
	table->count--;
}
