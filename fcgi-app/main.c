/* polysocket.fcgi: accepts FastCGI requests and hands them to wsbridge. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fcgiapp.h>

#include "acceptors.h"
#include "ps_db.h"
#include "ps_log.h"
#include "ps_socket.h"
#include "rights.h"
#include "supervisor.h"

#define DEFAULT_CONFIG SYSCONFDIR "/polysocket/polysocket.conf"
#define SYSTEMD_FD 3 /* sd_listen_fds(3) */
#define OVERRIDES_MAX 64
static struct {
	const char *config_path;
	const char *listen;
	const char *overrides[OVERRIDES_MAX]; /* KEY=VALUE */
	size_t n_overrides;
} arguments;

static int listen_fd;

/* Only interrupts accept(). */
static void
on_wake(int number)
{
	(void)number;
}

static int
work(const struct ps_config *config)
{
	struct timespec tick = { 0, 0 };
	struct sigaction action = { .sa_handler = on_wake };
	struct acceptors *acceptors;
	struct rights *rights;
	sigset_t stop_signals;
	int number;

	sigemptyset(&stop_signals);
	sigaddset(&stop_signals, SIGTERM);
	sigaddset(&stop_signals, SIGINT);
	sigaddset(&stop_signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &stop_signals, NULL);
	sigaction(SIGUSR1, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (FCGX_Init() != 0 || (rights = rights_start(config)) == NULL ||
	    (acceptors = acceptors_start(config, rights, listen_fd)) == NULL)
		return 1;
	do {
		number = sigtimedwait(&stop_signals, NULL, &tick);
		tick.tv_nsec = acceptors_tick(acceptors) * 1000L * 1000;
	} while (number != SIGTERM && number != SIGINT);
	acceptors_stop(acceptors);
	rights_stop(rights);
	return 0;
}

static struct ps_config *
config_load(void)
{
	return ps_config_load(arguments.config_path, arguments.overrides,
	    arguments.n_overrides);
}

static int
listen_tcp(const char *where)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE };
	struct addrinfo *addresses = NULL;
	char *copy = strdup(where), *host = copy, *port;
	int fd = -1, on = 1;

	errno = EINVAL;
	if (copy == NULL || (port = strrchr(copy, ':')) == NULL)
		goto out;
	*port++ = '\0';
	if (*host == '[' && host[strlen(host) - 1] == ']') {
		host[strlen(host) - 1] = '\0';
		host++;
	}
	if (getaddrinfo(*host == '\0' ? NULL : host, port, &hints,
		&addresses) != 0) {
		errno = EADDRNOTAVAIL;
		goto out;
	}
	fd = socket(addresses->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		goto out;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, addresses->ai_addr, addresses->ai_addrlen) < 0 ||
	    listen(fd, PS_SOCKET_BACKLOG) < 0) {
		close(fd);
		fd = -1;
	}
out:
	if (addresses != NULL)
		freeaddrinfo(addresses);
	free(copy);
	return fd;
}

/* From --listen, systemd, or as descriptor 0 from whoever started us. */
static int
open_listener(const struct ps_config *config)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	struct stat st;
	int fd;

	if (arguments.listen != NULL) {
		fd = strchr(arguments.listen, '/') != NULL ?
		    ps_socket_listen(arguments.listen,
			(mode_t)config->socket_mode) :
		    listen_tcp(arguments.listen);
		if (fd < 0)
			ps_error("main: cannot listen on %s (%s)",
			    arguments.listen, strerror(errno));
		return fd;
	}
	if (count != NULL && atoi(count) > 0 &&
	    (pid == NULL || atoi(pid) == (int)getpid()))
		return SYSTEMD_FD;
	if (fstat(0, &st) == 0 && S_ISSOCK(st.st_mode))
		return 0;
	ps_error("main: descriptor 0 is no socket: start me from a web server,"
		 " spawn-fcgi or systemd, or with --listen");
	return -1;
}

static void
usage(FILE *out)
{
	fputs("usage: polysocket.fcgi [--config FILE] [--listen PATH|HOST:PORT]\n"
	      "                       [--processes N] [--threads N]\n"
	      "                       [--set KEY=VALUE]...\n"
	      "       polysocket.fcgi --version | --help\n",
	    out);
}

static void
help(void)
{
	usage(stdout);
	puts("Without --listen, the socket of systemd (LISTEN_FDS) or"
	     " descriptor 0 is used.\n"
	     "\n"
	     "  --config FILE    read this; otherwise $POLYSOCKET_CONF, or\n"
	     "                   " DEFAULT_CONFIG "\n"
	     "  --listen PATH    listen on a Unix socket, or at HOST:PORT\n"
	     "  --processes N    run N workers\n"
	     "  --threads N      run N threads in each worker\n"
	     "  --set KEY=VALUE  override an option of the file\n"
	     "  --version        print the version\n"
	     "  --help           print this");
}

static bool
add_override(const char *key, const char *value)
{
	char *assignment;
	int len;

	if (arguments.n_overrides == OVERRIDES_MAX)
		return false;
	len = snprintf(NULL, 0, "%s%s", key, value) + 1;
	if ((assignment = malloc((size_t)len)) == NULL)
		return false;
	snprintf(assignment, (size_t)len, "%s%s", key, value);
	arguments.overrides[arguments.n_overrides++] = assignment;
	return true;
}

/* Exits when there is nothing more to do. */
static void
parse_arguments(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "listen", required_argument, NULL, 'l' },
		{ "processes", required_argument, NULL, 'p' },
		{ "threads", required_argument, NULL, 't' },
		{ "set", required_argument, NULL, 's' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool ok = true;
	int c;

	arguments.config_path = getenv("POLYSOCKET_CONF");
	if (arguments.config_path == NULL)
		arguments.config_path = DEFAULT_CONFIG;
	while (ok && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			arguments.config_path = optarg;
			break;
		case 'l':
			arguments.listen = optarg;
			break;
		case 'p':
			ok = add_override("processes=", optarg);
			break;
		case 't':
			ok = add_override("threads=", optarg);
			break;
		case 's':
			ok = add_override("", optarg);
			break;
		case 'v':
			puts("polysocket.fcgi " PACKAGE_VERSION);
			exit(0);
		case 'h':
			help();
			exit(0);
		default:
			ok = false;
		}
	}
	if (ok && optind == argc)
		return;
	usage(stderr);
	exit(2);
}

int
main(int argc, char **argv)
{
	struct supervisor supervisor = { .reload = config_load, .work = work };
	int status = 1;

	ps_log_open("polysocket.fcgi", PS_LOG_STDERR, PS_LOG_INFO);
	ps_db_init();
	parse_arguments(argc, argv);
	if ((supervisor.config = config_load()) == NULL)
		return 1;
	ps_log_open("polysocket.fcgi",
	    (enum ps_log_target)supervisor.config->log_target,
	    (enum ps_log_level)supervisor.config->log_level);
	listen_fd = open_listener(supervisor.config);
	if (listen_fd >= 0)
		status = supervisor_run(&supervisor);
	if (listen_fd >= 0 && arguments.listen != NULL &&
	    strchr(arguments.listen, '/') != NULL)
		unlink(arguments.listen);
	ps_config_destroy(supervisor.config);
	return status;
}
