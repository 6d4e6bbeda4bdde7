/*
 * A hash table of things that carry their own node and their own key.
 *
 * Ownership: the table owns only its buckets; a node is removed before its
 * owner goes away. Keys are bytes that live as long as their node.
 */
#ifndef TABLE_H
#define TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "ps_bytes.h"

struct table_node {
	struct table_node *next;
	struct ps_slice key;
	uint64_t hash;
};

struct table {
	struct table_node **buckets;
	size_t n_buckets, count;
	uint64_t seed; /* so that peers cannot choose colliding keys */
};

/* False when memory is out. */
bool table_init(struct table *table, uint64_t seed);
void table_deinit(struct table *table);
void table_add(struct table *table, struct table_node *node);
/* Where several have the key: one of them. */
struct table_node *table_find(const struct table *table, struct ps_slice key);
void table_remove(struct table *table, struct table_node *node);

#endif
