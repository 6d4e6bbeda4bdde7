#include "config.h"

#include "ps_log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "ps_clock.h"
#include "ps_utf8.h"

#define LINE_MAX_BYTES 1024

static const struct {
	const char *name;
	int priority;
} levels[] = {
	[PS_LOG_ERROR] = { "error", LOG_ERR },
	[PS_LOG_WARNING] = { "warning", LOG_WARNING },
	[PS_LOG_INFO] = { "info", LOG_INFO },
	[PS_LOG_DEBUG] = { "debug", LOG_DEBUG },
};

/* Opened again when the configuration is read, while other threads log. */
static struct {
	const char *_Atomic name;
	_Atomic enum ps_log_target target;
	_Atomic enum ps_log_level level;
	atomic_bool stamped; /* systemd's journal adds a time of its own */
} logger = { "polysocket", PS_LOG_STDERR, PS_LOG_INFO, true };

void
ps_log_open(const char *name, enum ps_log_target target,
    enum ps_log_level level)
{
	logger.name = name;
	logger.target = target;
	logger.level = level;
	logger.stamped = getenv("JOURNAL_STREAM") == NULL;
	if (target == PS_LOG_SYSLOG)
		openlog(name, LOG_PID, LOG_DAEMON);
}

int
ps_log_is_debug(void)
{
	return logger.level >= PS_LOG_DEBUG;
}

/* Replaces control characters, and what would turn the text behind it around,
 * by \xNN; truncates what does not fit. */
static void
escape(char *out, size_t size, const char *in)
{
	size_t used = 0, hidden = 0;
	unsigned char c;

	for (; *in != '\0' && used + 5 < size; in++) {
		c = (unsigned char)*in;
		if (hidden > 0)
			hidden--;
		else if (ps_utf8_is_hidden(in))
			hidden = c == 0xe2 ? 2 : 1;
		else if (c >= 0x20 && c != 0x7f) {
			out[used++] = (char)c;
			continue;
		}
		used += (size_t)snprintf(out + used, size - used, "\\x%02x",
		    c);
	}
	out[used] = '\0';
}

static void
print(const char *level, const char *text)
{
	char line[LINE_MAX_BYTES * 2], stamp[PS_CLOCK_STAMP_BYTES] = "";
	int len;

	if (logger.stamped)
		ps_clock_stamp(stamp);
	len = snprintf(line, sizeof(line), "%s%s%s[%d] %s: %s\n", stamp,
	    *stamp != '\0' ? " " : "", logger.name, (int)getpid(), level,
	    text);
	/* One write a line, so that lines of several threads stay whole. */
	if (len > 0 && write(STDERR_FILENO, line, (size_t)len) < 0)
		return;
}

void
ps_log(enum ps_log_level level, const char *fmt, ...)
{
	char raw[LINE_MAX_BYTES], text[LINE_MAX_BYTES + 256];
	int saved_errno = errno;
	va_list ap;

	if (level > logger.level)
		return;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	escape(text, sizeof(text), raw);
	if (logger.target == PS_LOG_SYSLOG)
		syslog(levels[level].priority, "%s", text);
	else
		print(levels[level].name, text);
	errno = saved_errno;
}
