#include "config.h"

#include "supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ps_clock.h"

/* A child that dies younger than this is replaced only after as long. */
#define RESPAWN_MS 1000
/* Children that do not end in time after SIGTERM are killed. */
#define STOP_MS 5000

struct child {
	pid_t pid;	     /* 0: none */
	uint64_t started_ms;
};

struct children {
	struct child *items;
	size_t count;
};

static void
child_start(struct supervisor *s, struct child *child, sigset_t *old_mask)
{
	pid_t parent = getpid();

	child->started_ms = ps_clock_ms();
	child->pid = fork();
	if (child->pid < 0) {
		ps_error("supervisor: cannot fork (%s)", strerror(errno));
		child->pid = 0;
	}
	if (child->pid != 0)
		return;
	/* The workers end with their parent, however it ends. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	sigprocmask(SIG_SETMASK, old_mask, NULL);
	_exit(s->work(s->config));
}

/* Forgets children that ended; returns how many live. */
static size_t
reap(struct children *children, bool stopping)
{
	size_t i, alive = 0;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (i = 0; i < children->count; i++) {
			if (children->items[i].pid != pid)
				continue;
			children->items[i].pid = 0;
			if (!stopping && WIFSIGNALED(status))
				ps_warning("supervisor: worker %d died of "
					   "signal %d",
				    (int)pid, WTERMSIG(status));
		}
	}
	for (i = 0; i < children->count; i++)
		alive += children->items[i].pid != 0;
	return alive;
}

static void
signal_all(const struct children *children, int number)
{
	size_t i;

	for (i = 0; i < children->count; i++) {
		if (children->items[i].pid != 0)
			kill(children->items[i].pid, number);
	}
}

static void
start_missing(struct supervisor *s, struct children *children,
    sigset_t *old_mask)
{
	uint64_t now = ps_clock_ms();
	size_t i;

	for (i = 0; i < s->config->processes && i < children->count; i++) {
		struct child *child = &children->items[i];

		if (child->pid == 0 && (child->started_ms == 0 ||
				now - child->started_ms >= RESPAWN_MS))
			child_start(s, child, old_mask);
	}
}

static bool
resize(struct children *children, size_t count)
{
	struct child *items;

	if (count <= children->count)
		return true;
	items = realloc(children->items, count * sizeof(*items));
	if (items == NULL)
		return false;
	memset(items + children->count, 0,
	    (count - children->count) * sizeof(*items));
	*children = (struct children){ items, count };
	return true;
}

/* All children are replaced: each ends after the request it is at. */
static void
reload(struct supervisor *s, struct children *children)
{
	struct ps_config *next = s->reload();
	size_t i;

	if (next == NULL)
		return;
	if (!resize(children, next->processes)) {
		ps_config_destroy(next);
		return;
	}
	ps_config_take(s->config, next);
	ps_log_open("polysocket.fcgi",
	    (enum ps_log_target)s->config->log_target,
	    (enum ps_log_level)s->config->log_level);
	signal_all(children, SIGTERM);
	for (i = 0; i < children->count; i++)
		children->items[i].started_ms = 0;
	ps_info("supervisor: configuration reloaded");
}

static void
stop(struct children *children, const sigset_t *mask)
{
	const struct timespec tick = { 0, 100 * 1000 * 1000 };
	uint64_t deadline = ps_clock_ms() + STOP_MS;

	signal_all(children, SIGTERM);
	while (reap(children, true) > 0 && ps_clock_ms() < deadline)
		sigtimedwait(mask, NULL, &tick);
	signal_all(children, SIGKILL);
}

int
supervisor_run(struct supervisor *s)
{
	const struct timespec tick = { 1, 0 };
	struct children children = { NULL, 0 };
	sigset_t mask, old_mask;
	bool stopping = false;
	int number;

	if (!resize(&children, s->config->processes))
		return 1;
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, &old_mask);
	while (!stopping) {
		reap(&children, false);
		start_missing(s, &children, &old_mask);
		number = sigtimedwait(&mask, NULL, &tick);
		if (number == SIGHUP)
			reload(s, &children);
		stopping = number == SIGTERM || number == SIGINT;
	}
	stop(&children, &mask);
	free(children.items);
	return 0;
}
