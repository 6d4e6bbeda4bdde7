/*
 * The parent of a bridge that a service manager runs (wsbridge --supervise).
 *
 * A service manager such as systemd starts a successor only when the process
 * that it knows has ended, and a bridge that drains has not. So the process
 * that it knows is this parent: at SIGTERM it ends at once and leaves the
 * bridge, its child, to drain. Whatever way the bridge ends, its parent ends
 * so as well.
 */
#ifndef PARENT_H
#define PARENT_H

/*
 * Returns in the child only, which gets SIGTERM when the parent ends; -1 with
 * errno when there can be none. To be called before there are threads, and
 * after rights are dropped, since that undoes it (prctl(2), PR_SET_PDEATHSIG).
 */
int parent_fork(void);

#endif
