/* What the kernel knows of a TCP connection. */
#ifndef SOCKET_INFO_H
#define SOCKET_INFO_H

#include <stdint.h>

/* Bytes of payload received so far; 0 when that is not known. */
uint64_t socket_info_received_bytes(int fd);

#endif
