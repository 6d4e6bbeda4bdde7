/*
 * Allocations that fail where a test wants it. A test that has this among its
 * sources is linked with --wrap of malloc, calloc and realloc.
 */
#ifndef UNIT_ALLOCATIONS_H
#define UNIT_ALLOCATIONS_H

#include <stdbool.h>

/* So many succeed before one fails, once; -1: none will. */
extern long allocations_left;
/* One has. */
extern bool allocation_failed;

/* Calls it with 0, 1 and so on, the number of the allocation that is to fail,
 * until none did: after more than `at_least` that have. */
void allocations_fail_in_turn(void (*live_without_the)(long nth),
    long at_least);

/* For wrappers of further functions: whether this one fails. */
bool allocation_fails(void);

#endif
