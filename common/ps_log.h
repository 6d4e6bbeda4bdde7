/*
 * The log of both programs, to stderr or syslog.
 *
 * error: someone must act. warning: odd, we went on. info: lifecycle.
 * debug: per message. Form: `subsystem object: what happened (cause)`, lower
 * case, constant text that can be searched for. Control characters that came
 * from a peer are escaped. Bodies of messages are never logged.
 *
 * One log a process; may be used from every thread.
 */
#ifndef PS_LOG_H
#define PS_LOG_H

#include "ps_err.h"

enum ps_log_level {
	PS_LOG_ERROR,
	PS_LOG_WARNING,
	PS_LOG_INFO,
	PS_LOG_DEBUG,
};

enum ps_log_target {
	PS_LOG_STDERR,
	PS_LOG_SYSLOG,
};

/* `name` is borrowed for ever. May be called again to change the rest. */
void ps_log_open(const char *name, enum ps_log_target target,
    enum ps_log_level level);

void ps_log(enum ps_log_level level, const char *fmt, ...) PS_PRINTF(2, 3);

#define ps_error(...) ps_log(PS_LOG_ERROR, __VA_ARGS__)
#define ps_warning(...) ps_log(PS_LOG_WARNING, __VA_ARGS__)
#define ps_info(...) ps_log(PS_LOG_INFO, __VA_ARGS__)
#define ps_debug(...) \
	do { \
		if (ps_log_is_debug()) \
			ps_log(PS_LOG_DEBUG, __VA_ARGS__); \
	} while (0)

int ps_log_is_debug(void);

#endif
