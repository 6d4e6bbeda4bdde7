/*
 * The benchmark's load generator: one process, one epoll loop, many clients
 * of one mode. It checks every answer and message and ends with status 1 at
 * the first that is wrong; else it prints one line of JSON:
 *
 *   trips         counted while measuring (requests in ceiling, send and
 *                 emit, sessions in create)
 *   all           trips of all phases
 *   per_second    trips
 *   p50_us p99_us max_us    time of a trip
 *   cpu_us        processor time per trip of each process named by --pids
 *
 * Time is bounded by --seconds, a run without progress by STALL_S.
 */
#include "config.h"

#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/histogram.h"
#include "bench/lib/http.h"
#include "bench/lib/options.h"
#include "bench/lib/processes.h"

enum {
	MAX_CLIENTS = 8000,
	MAX_SECONDS = 900,
	OPENING_AT_ONCE = 64,
	STALL_S = 15,
	TURN_MS = 20,
	PACED_TURN_MS = 1,
	MAX_RATE = 100000,
	MAX_TOKENS = 1000000
};

#define NS_PER_S UINT64_C(1000000000)

struct load load = {
	.n_clients = 1,
	.payload_len = 32,
	.prefix = "",
};

static const struct mode *const modes[] = {
	&ceiling_mode,     &poll_mode,        &stream_mode,
	&send_mode,        &sockjs_poll_mode, &sockjs_stream_mode,
	&sockjs_send_mode, &sockjs_ws_mode,   &ws_mode,
	&hold_mode,        &create_mode,      &emit_mode,
};

static double warm_s = 1, measure_s = 4;
static struct histogram histogram;
static char *clients;
static unsigned n_begun, n_started, n_finished;
static uint64_t n_trips, phase_began_ns, progress_ns;

const char *
payload(unsigned client, uint64_t number)
{
	static char text[MAX_PAYLOAD + 64];
	int len = snprintf(text, sizeof(text), "%u.%llu.", client,
			   (unsigned long long)number);

	if ((unsigned)len < load.payload_len)
		memset(text + len, 'x', load.payload_len - len);
	text[load.payload_len] = '\0';
	return text;
}

void
load_started(void)
{
	n_started++;
	progress_ns = now_ns();
}

void
load_finished(void)
{
	n_finished++;
	progress_ns = now_ns();
}

void
load_trip(uint64_t began_ns)
{
	uint64_t now = now_ns();

	progress_ns = now;
	n_trips++;
	if (load.phase == MEASURING)
		histogram_add(&histogram, now - began_ns);
}

static void
phase_begin(enum phase phase)
{
	load.phase = phase;
	phase_began_ns = progress_ns = now_ns();
	processes_mark();
}

static void
report(double seconds)
{
	double n = histogram.n;

	printf("{\"mode\":\"%s\",\"clients\":%u,\"trips\":%.0f,"
	       "\"all\":%llu,\"seconds\":%.3f,\"per_second\":%.1f,"
	       "\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,\"cpu_us\":",
	       load.mode->name, load.n_clients, n, (unsigned long long)n_trips,
	       seconds, n / seconds, histogram_quantile(&histogram, 0.50) / 1e3,
	       histogram_quantile(&histogram, 0.99) / 1e3, histogram.max / 1e3);
	processes_print(n);
	puts("}");
}

static void
start_some(void)
{
	for (;
	     n_begun < load.n_clients && n_begun - n_started < OPENING_AT_ONCE;
	     n_begun++)
		load.mode->start(clients + n_begun * load.mode->client_size,
				 n_begun);
}

static void
turn(void)
{
	link_loop_turn(load.rate > 0 ? PACED_TURN_MS : TURN_MS);
	if (load.mode->tick)
		load.mode->tick();
	if (!load.mode->is_idle && now_ns() - progress_ns > STALL_S * NS_PER_S)
		die("nothing moved for %d s: %u started, %u finished, "
		    "%llu trips",
		    STALL_S, n_started, n_finished,
		    (unsigned long long)n_trips);
}

static void
phase_run(enum phase phase, double seconds)
{
	phase_begin(phase);
	while (load.phase == phase &&
	       now_ns() - phase_began_ns < seconds * NS_PER_S)
		turn();
}

static void
run(void)
{
	double seconds;

	phase_begin(STARTING);
	while (n_started < load.n_clients) {
		start_some();
		turn();
	}
	phase_run(WARMING, warm_s);
	phase_run(MEASURING, measure_s);
	seconds = (now_ns() - phase_began_ns) / 1e9;
	phase_begin(FINISHING);
	while (n_finished < load.n_clients)
		turn();
	if (!load.mode->is_idle)
		report(seconds);
}

static void
usage(void)
{
	fputs("usage: loadgen --mode MODE --port N [--clients N] [--seconds S]"
	      " [--warm S]\n"
	      "               [--bytes N] [--post-bytes N] [--prefix PATH]\n"
	      "               [--target ws://HOST:PORT] [--origin URL]\n"
	      "               [--tokens N] [--rate N] [--pids PID,PID...]\n"
	      "               [--path PATH] [--delivered N]\n"
	      "modes:",
	      stderr);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		fprintf(stderr, " %s", modes[i]->name);
	fputc('\n', stderr);
	exit(2);
}

static bool
mode_find(char *name)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(modes[i]->name, name) == 0)
			load.mode = modes[i];
	return load.mode != NULL;
}

static const struct bench_option options[] = {
	{ "mode", .take = mode_find },
	{ "port", .port = &load.port },
	{ "clients", .whole = &load.n_clients, .min = 1, .max = MAX_CLIENTS },
	{ "seconds", .real = &measure_s, .max = MAX_SECONDS },
	{ "warm", .real = &warm_s, .max = MAX_SECONDS },
	{ "bytes", .whole = &load.payload_len, .min = 24, .max = MAX_PAYLOAD },
	{ "post-bytes", .whole = &load.post_len, .min = 1, .max = MAX_PAYLOAD },
	{ "prefix", .text = &load.prefix },
	{ "target", .text = &load.target },
	{ "origin", .text = &load.origin },
	{ "tokens", .whole = &load.n_tokens, .max = MAX_TOKENS },
	{ "rate", .whole = &load.rate, .min = 1, .max = MAX_RATE },
	{ "path", .text = &load.path },
	{ "delivered", .whole = &load.n_delivered, .max = MAX_CLIENTS },
	{ "pids", .take = processes_parse },
	{ 0 },
};

static void
options_read(int argc, char **argv)
{
	options_parse(argc, argv, options, usage);
	if (load.mode == NULL || load.port == 0)
		usage();
	if (load.target == NULL &&
	    (load.mode == &poll_mode || load.mode == &stream_mode ||
	     load.mode == &send_mode || load.mode == &hold_mode ||
	     load.mode == &create_mode))
		usage();
	if (load.path == NULL && load.mode == &emit_mode)
		usage();
	if (load.path == NULL)
		load.path = "/echo";
}

int
main(int argc, char **argv)
{
	options_read(argc, argv);
	clients = calloc(load.n_clients, load.mode->client_size);
	if (clients == NULL)
		die("no memory for %u clients", load.n_clients);
	http_init(load.port, load.origin);
	link_loop_init();
	run();
	return 0;
}
