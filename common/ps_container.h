/* From a member to the struct it is in. */
#ifndef PS_CONTAINER_H
#define PS_CONTAINER_H

#include <stddef.h>

#define PS_CONTAINER(pointer, type, member) \
	((type *)(void *)((char *)(pointer) - offsetof(type, member)))

#endif
