#include "config.h"

#include "parent.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ps_log.h"

/* What the shell says of a process that died of a signal. */
#define STATUS_OF_SIGNAL 128

/* How the bridge has ended; -1 while it has not. */
static int
exit_status(pid_t child)
{
	int status;

	if (waitpid(child, &status, WNOHANG) != child)
		return -1;
	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	ps_error("main: the bridge died of signal %d", WTERMSIG(status));
	return STATUS_OF_SIGNAL + WTERMSIG(status);
}

static void __attribute__((noreturn))
stand_by(pid_t child, const sigset_t *signals)
{
	int number, status;

	for (;;) {
		if (sigwait(signals, &number) != 0)
			continue;
		if (number == SIGTERM)
			_exit(0); /* which tells the child */
		if (number == SIGHUP)
			kill(child, SIGHUP);
		if (number == SIGCHLD && (status = exit_status(child)) >= 0)
			_exit(status);
	}
}

int
parent_fork(void)
{
	pid_t parent = getpid(), child;
	sigset_t signals, before;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGINT); /* a terminal sends it to both */
	sigprocmask(SIG_BLOCK, &signals, &before);
	if ((child = fork()) < 0)
		return -1;
	if (child > 0)
		stand_by(child, &signals);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(0); /* it has ended already */
	sigprocmask(SIG_SETMASK, &before, NULL);
	return 0;
}
