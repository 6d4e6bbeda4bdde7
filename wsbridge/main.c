/* wsbridge: owns the sessions and the WebSockets; see doc/architecture.md. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridge.h"
#include "drain.h"
#include "intake.h"
#include "ledger.h"
#include "parent.h"
#include "place.h"
#include "ps_db.h"
#include "ps_log.h"
#include "ps_schema.h"
#include "wsbridge/base/resolver.h"
#include "wsbridge/outbox/callback.h"
#include "wsbridge/outbox/outbox.h"
#include "wsbridge/store/store.h"
#include "wsbridge/websocket/websocket.h"

#define DEFAULT_CONFIG SYSCONFDIR "/polysocket/polysocket.conf"
#define OVERRIDES_MAX 64
/* Descriptors beside those of sessions: workers, libraries, the log; and the
 * connections of callbacks, each resolving a name at first. */
#define SPARE_FDS (128 + 3 * CALLBACKS_MAX)
/* Look-ups that wait for a slow name server must not hold up the others. */
#define RESOLVER_THREADS "16"

static struct {
	const char *config_path;
	const char *overrides[OVERRIDES_MAX]; /* KEY=VALUE */
	size_t n_overrides;
	bool foreground, supervise, check, init_db;
} arguments;

static struct {
	struct bridge bridge;
	uv_loop_t loop;
	uv_signal_t terminate, interrupt, hangup;
	bool stopped;
} daemon_state;

static struct ps_config *
config_load(void)
{
	return ps_config_load(arguments.config_path, arguments.overrides,
	    arguments.n_overrides);
}

static void
open_log(const struct ps_config *config)
{
	ps_log_open("wsbridge",
	    arguments.foreground ? (enum ps_log_target)config->log_target :
				   PS_LOG_SYSLOG,
	    (enum ps_log_level)config->log_level);
}

/* Every session may need two: its upstream and its parked request. */
static void
raise_fd_limit(const struct ps_config *config)
{
	rlim_t wanted = config->max_sessions * 2 + SPARE_FDS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (limit.rlim_max < wanted && geteuid() == 0) {
		struct rlimit higher = { wanted, wanted };

		if (setrlimit(RLIMIT_NOFILE, &higher) == 0)
			return;
	}
	limit.rlim_cur =
	    wanted < limit.rlim_max ? wanted : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < wanted)
		ps_warning("main: %llu descriptors are too few for "
			   "max_sessions = %llu",
		    (unsigned long long)limit.rlim_cur,
		    (unsigned long long)config->max_sessions);
}

static void
on_hangup(uv_signal_t *handle, int number)
{
	struct ps_config *next = config_load();

	(void)handle;
	(void)number;
	if (next == NULL) {
		ps_error("config: nothing is changed");
		return;
	}
	ps_config_take(daemon_state.bridge.config, next);
	open_log(daemon_state.bridge.config);
	raise_fd_limit(daemon_state.bridge.config);
	store_configure(daemon_state.bridge.store, daemon_state.bridge.config);
	ps_info("config: reloaded");
}

static void
on_drained(struct bridge *bridge)
{
	(void)bridge;
	daemon_state.stopped = true;
	uv_stop(&daemon_state.loop);
}

/* SIGTERM leaves its sessions time, SIGINT is in a hurry; a second one is a
 * step further. */
static void
on_terminate(uv_signal_t *handle, int number)
{
	struct bridge *bridge = &daemon_state.bridge;
	bool hurry = number == SIGINT || bridge->draining;

	(void)handle;
	if (bridge->ending) {
		ps_info("main: another signal %d, stopping at once", number);
		on_drained(bridge);
		return;
	}
	drain_start(bridge, on_drained);
	if (hurry)
		drain_close(bridge);
}

/* Who the configuration says to be; false when there is nobody like that. */
static bool
find_user(const struct ps_config *config, uid_t *uid_r, gid_t *gid_r)
{
	const struct passwd *user;
	const struct group *group;

	*uid_r = geteuid();
	*gid_r = getegid();
	if (*config->user != '\0') {
		if ((user = getpwnam(config->user)) == NULL) {
			ps_error("main: no user %s", config->user);
			return false;
		}
		*uid_r = user->pw_uid;
		*gid_r = user->pw_gid;
	}
	if (*config->group == '\0')
		return true;
	if ((group = getgrnam(config->group)) == NULL) {
		ps_error("main: no group %s", config->group);
		return false;
	}
	*gid_r = group->gr_gid;
	return true;
}

static bool
drop_rights(const struct ps_config *config)
{
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0)
		return true;
	if (!find_user(config, &uid, &gid))
		return false;
	if ((*config->user != '\0' && initgroups(config->user, gid) < 0) ||
	    setgid(gid) < 0 || setuid(uid) < 0) {
		ps_error("main: cannot become user %u, group %u (%s)",
		    (unsigned)uid, (unsigned)gid, strerror(errno));
		return false;
	}
	return true;
}

/*
 * Goes to the background: returns in the child only, with a descriptor for
 * detach_finish(). The parent exits when the child is ready, or has failed,
 * so that whoever starts the program sees which.
 */
static int
detach_begin(void)
{
	int fds[2];
	pid_t pid;
	char byte;

	if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		ps_error("main: cannot go to the background (%s)",
		    strerror(errno));
		exit(1);
	}
	if (pid > 0) {
		close(fds[1]);
		_exit(read(fds[0], &byte, 1) == 1 ? 0 : 1);
	}
	close(fds[0]);
	setsid();
	return fds[1];
}

static void
detach_finish(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		close(null);
	}
	if (write(fd, "r", 1) != 1)
		ps_warning("main: whoever started this is gone");
	close(fd);
}

static bool
check_database(const struct ps_config *config)
{
	char error[PS_DB_ERROR_MAX];

	if (ps_schema_check(config->database, error) == PS_OK)
		return true;
	ps_error("database %s: %s", config->database, error);
	return false;
}

/* Makes or upgrades it; before going to the background, so that it is told. */
static bool
prepare_database(const struct ps_config *config)
{
	char error[PS_DB_ERROR_MAX];

	if (ps_schema_prepare(config->database, error) == PS_OK)
		return true;
	ps_error("database %s: %s", config->database, error);
	return false;
}

static void
watch_signal(uv_signal_t *handle, uv_signal_cb callback, int number)
{
	uv_signal_init(&daemon_state.loop, handle);
	uv_signal_start(handle, callback, number);
}

/* A reload is held back until start() watches for it: at first SIGHUP would
 * end the program. */
static void
hold_hangup(int how)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(how, &signals, NULL);
}

static bool
start(struct ps_config *config)
{
	struct bridge *bridge = &daemon_state.bridge;

	if (bridge_init(bridge, config) != PS_OK) {
		ps_error("main: cannot start (%s)", strerror(errno));
		return false;
	}
	if (uv_loop_init(&daemon_state.loop) != 0 ||
	    bridge_start(bridge, &daemon_state.loop) != PS_OK) {
		ps_error("main: cannot start its loop (%s)", strerror(errno));
		return false;
	}
	/* Before any thread: libcurl, and what it needs, start here. */
	if ((bridge->callbacks = callbacks_create(bridge)) == NULL ||
	    place_take(bridge) != PS_OK)
		return false;
	if (intake_start(bridge) != PS_OK ||
	    websocket_start(bridge) != PS_OK || !ledger_open(bridge) ||
	    place_lead(bridge) != PS_OK) {
		place_leave(bridge);
		return false;
	}
	watch_signal(&daemon_state.terminate, on_terminate, SIGTERM);
	watch_signal(&daemon_state.interrupt, on_terminate, SIGINT);
	watch_signal(&daemon_state.hangup, on_hangup, SIGHUP);
	hold_hangup(SIG_UNBLOCK);
	return true;
}

/* Closes what is open on the loop and lets it run to its end. */
static void
stop(void)
{
	struct bridge *bridge = &daemon_state.bridge;

	if (daemon_state.terminate.loop != NULL) {
		uv_close((uv_handle_t *)&daemon_state.terminate, NULL);
		uv_close((uv_handle_t *)&daemon_state.interrupt, NULL);
		uv_close((uv_handle_t *)&daemon_state.hangup, NULL);
	}
	drain_stop(bridge);
	/* From here on nobody finds us; who is there already gets an answer. */
	place_leave(bridge);
	intake_turn_away(bridge);
	intake_stop(bridge);
	websocket_stop(bridge);
	ledger_close(bridge);
	outbox_stop(bridge);
	callbacks_destroy(bridge->callbacks);
	bridge_stop(bridge);
	if (resolver_count() > 0) {
		/* A name server that does not answer must not hold us up. */
		uv_run(&daemon_state.loop, UV_RUN_NOWAIT);
		ps_info("main: stopped, %zu names not resolved",
		    resolver_count());
		_exit(0);
	}
	uv_run(&daemon_state.loop, UV_RUN_DEFAULT);
	bridge_deinit(bridge);
	uv_loop_close(&daemon_state.loop);
}

static int
run(struct ps_config *config)
{
	int ready_fd = -1;

	signal(SIGPIPE, SIG_IGN);
	setenv("UV_THREADPOOL_SIZE", RESOLVER_THREADS, 0);
	/* libwebsockets would send what is for targets through it. */
	unsetenv("http_proxy");
	raise_fd_limit(config);
	if (!drop_rights(config) || !prepare_database(config)) {
		ps_config_destroy(config);
		return 1;
	}
	if (arguments.supervise && parent_fork() < 0) {
		ps_error("main: cannot fork (%s)", strerror(errno));
		ps_config_destroy(config);
		return 1;
	}
	if (!arguments.foreground)
		ready_fd = detach_begin();
	if (!start(config))
		return 1;
	open_log(config);
	if (ready_fd >= 0)
		detach_finish(ready_fd);
	ps_info("main: wsbridge " PACKAGE_VERSION " is ready (tag %s)",
	    daemon_state.bridge.tag);
	while (!daemon_state.stopped)
		uv_run(&daemon_state.loop, UV_RUN_DEFAULT);
	stop();
	ps_info("main: stopped");
	return 0;
}

static int
check(const struct ps_config *config)
{
	uid_t uid;
	gid_t gid;

	if (!check_database(config) ||
	    !find_user(config, &uid, &gid))
		return 1;
	if (*config->ca_file != '\0' && access(config->ca_file, R_OK) < 0) {
		ps_error("ca_file %s: %s", config->ca_file, strerror(errno));
		return 1;
	}
	fprintf(stderr, "wsbridge: %s is fine\n", arguments.config_path);
	return 0;
}

static int
init_db(const struct ps_config *config)
{
	if (!drop_rights(config) || !prepare_database(config))
		return 1;
	fprintf(stderr, "wsbridge: %s is ready\n", config->database);
	return 0;
}

static void
usage(FILE *out)
{
	fputs("usage: wsbridge [--config FILE] [--foreground|--supervise]"
	      " [--set KEY=VALUE]...\n"
	      "       wsbridge [--config FILE] [--set KEY=VALUE]..."
	      " --check | --init-db\n"
	      "       wsbridge --print-config | --version | --help\n",
	    out);
}

static void
help(void)
{
	usage(stdout);
	puts("Without --foreground it goes to the background when it is ready.\n"
	     "\n"
	     "  --config FILE    read this; otherwise " DEFAULT_CONFIG "\n"
	     "  --foreground     stay in the foreground\n"
	     "  --supervise      the same below a parent, as systemd needs it\n"
	     "  --set KEY=VALUE  override an option of the file\n"
	     "  --check          check configuration and database, and exit\n"
	     "  --init-db        make the database or upgrade it, and exit\n"
	     "  --print-config   print every option, its meaning and default\n"
	     "  --version        print the version\n"
	     "  --help           print this");
}

/* Exits when there is nothing more to do. */
static void
parse_arguments(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "supervise", no_argument, NULL, 'S' },
		{ "check", no_argument, NULL, 'k' },
		{ "init-db", no_argument, NULL, 'i' },
		{ "set", required_argument, NULL, 's' },
		{ "print-config", no_argument, NULL, 'p' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool ok = true;
	int c;

	arguments.config_path = DEFAULT_CONFIG;
	while (ok && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			arguments.config_path = optarg;
			break;
		case 'f':
			arguments.foreground = true;
			break;
		case 'S':
			arguments.foreground = arguments.supervise = true;
			break;
		case 'k':
			arguments.check = true;
			break;
		case 'i':
			arguments.init_db = true;
			break;
		case 's':
			ok = arguments.n_overrides < OVERRIDES_MAX;
			if (ok)
				arguments.overrides[arguments.n_overrides++] =
				    optarg;
			break;
		case 'p':
			ps_config_print_sample(stdout);
			exit(0);
		case 'v':
			puts("wsbridge " PACKAGE_VERSION);
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
	struct ps_config *config;
	int status;

	hold_hangup(SIG_BLOCK);
	ps_log_open("wsbridge", PS_LOG_STDERR, PS_LOG_INFO);
	ps_db_init();
	parse_arguments(argc, argv);
	if ((config = config_load()) == NULL)
		return 1;
	if (arguments.check || arguments.init_db) {
		status = arguments.check ? check(config) : init_db(config);
		ps_config_destroy(config);
		return status;
	}
	ps_log_open("wsbridge", PS_LOG_STDERR,
	    (enum ps_log_level)config->log_level);
	return run(config);
}
