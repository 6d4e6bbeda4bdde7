/*
 * Result codes of functions that can fail.
 *
 * PS_OK is 0, every failure is negative. Functions that return one of these
 * are marked PS_MUST_CHECK. What an HTTP client is told is another matter:
 * see ps_code.h.
 */
#ifndef PS_ERR_H
#define PS_ERR_H

#define PS_MUST_CHECK __attribute__((warn_unused_result))
#define PS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

enum ps_err {
	PS_OK = 0,
	PS_ERR_NOMEM = -1,
	PS_ERR_MALFORMED = -2, /* bytes that break their format */
	PS_ERR_TOO_LARGE = -3, /* a named limit is exceeded */
	PS_ERR_FULL = -4,      /* a bounded queue has no room */
	PS_ERR_CLOSED = -5,    /* the other side is gone or closing */
	PS_ERR_IO = -6,	       /* a system call failed, errno tells */
	PS_ERR_VERSION = -7,   /* the other side speaks another version */
	PS_ERR_QUOTA = -8,     /* what a token may use is used up */
	PS_ERR_GAP = -9,       /* a number is not the one that is next */
	PS_ERR_UNKNOWN = -10,  /* well-formed, but of no known kind */
};

#endif
