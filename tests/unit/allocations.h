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

/* For wrappers of further functions: whether this one fails. */
bool allocation_fails(void);

#endif
