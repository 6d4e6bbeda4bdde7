/*
 * A FastCGI responder that does nothing: what the web server and libfcgi can
 * do at most. It reads the request's body and answers "ok".
 *
 *   fcgi-ceiling --listen PATH [--processes N] [--threads N]
 *
 * The parent only waits; SIGTERM to it ends the children too.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcgiapp.h>

enum { MAX_PROCESSES = 16, MAX_THREADS = 32, BACKLOG = 1024 };

static int listener;

static void *
serve(void *unused)
{
	static const char answer[] = "Content-Type: text/plain\r\n"
				     "Content-Length: 3\r\n\r\nok\n";
	FCGX_Request request;
	char body[8192];

	(void)unused;
	FCGX_InitRequest(&request, listener, 0);
	while (FCGX_Accept_r(&request) == 0) {
		while (FCGX_GetStr(body, sizeof(body), request.in) > 0)
			;
		FCGX_PutStr(answer, sizeof(answer) - 1, request.out);
		FCGX_Finish_r(&request);
	}
	return NULL;
}

static void
child_run(int n_threads)
{
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	while (--n_threads > 0)
		if (pthread_create(&thread, NULL, serve, NULL) != 0)
			exit(1);
	serve(NULL);
	exit(0);
}

static int
number(const char *text, int max)
{
	int value = atoi(text);

	if (value < 1 || value > max) {
		fprintf(stderr, "fcgi-ceiling: %s is not 1 to %d\n", text, max);
		exit(2);
	}
	return value;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "listen", required_argument, NULL, 'l' },
		{ "processes", required_argument, NULL, 'p' },
		{ "threads", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	int n_processes = 2, n_threads = 4, c;
	const char *path = NULL;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'l':
			path = optarg;
			break;
		case 'p':
			n_processes = number(optarg, MAX_PROCESSES);
			break;
		case 't':
			n_threads = number(optarg, MAX_THREADS);
			break;
		default:
			return 2;
		}
	if (path == NULL) {
		fputs("fcgi-ceiling: --listen is missing\n", stderr);
		return 2;
	}
	if (FCGX_Init() != 0 ||
	    (listener = FCGX_OpenSocket(path, BACKLOG)) < 0) {
		fprintf(stderr, "fcgi-ceiling: cannot listen on %s\n", path);
		return 1;
	}
	signal(SIGTERM, SIG_DFL); /* FCGX_Init() would only take a note */
	while (n_processes-- > 0)
		if (fork() == 0)
			child_run(n_threads);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	return 0;
}
