#include "config.h"

#include "socket_info.h"

#include <linux/tcp.h> /* libwebsockets brings <netinet/tcp.h>: not with it */
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

uint64_t
socket_info_received_bytes(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return 0;
	return info.tcpi_bytes_received;
}
