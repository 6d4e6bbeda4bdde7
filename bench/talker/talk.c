/*
 * Conversations that go on while things break: many clients, each with a
 * session over HTTP, exchange numbered messages with `talk-target` (or what
 * stands in for it) and try again, as a good client does, whatever fails.
 *
 * Prints `ready` when all have a session. Then lines on standard input, or the
 * end of --seconds, tell what is done:
 *
 *   rst PERCENT        this share of the clients resets its connections
 *   silent PERCENT     ... leaves them without a word and goes on with new ones
 *   fault KIND NS      somebody else has made one, at this CLOCK_MONOTONIC
 *   ending             a session that ends from now on is not opened anew
 *   restarted NS       when whatever ended them began to serve again
 *   finish             say no more, compare the numbers, close; so does the
 *                      end of the input
 *
 * At last comes one line of JSON, with times in ms:
 *
 *   up, down     messages created, received (different ones), doubled,
 *                disordered, of conversations that were compared
 *   settled, closed, vanished    conversations that ended, see talk.h
 *   opened       sessions; refused: receivers that heard 403 instead
 *   retries      requests made again; timeouts: those not answered;
 *                switches: changes of transport
 *   faults       by kind: how often, how many clients recovered and how many
 *                not until the next, recovery, the slowest message
 *   ended        after `ending`: sessions, those that ended before the restart,
 *                those that did not end, and how long after it the others did
 *   latency      of messages to the clients
 *
 * A client that is told what no server should say ends the program with
 * status 1.
 */
#include "config.h"

#include "talk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/lib/options.h"

#define NS_PER_S UINT64_C(1000000000)

enum {
	MAX_SECONDS = 4 * 3600,
	MAX_RATE = 1000,
	MAX_KINDS = 16,
	OPENING_AT_ONCE = 64,
	OPENING_S = 60,
	FINISHING_S = 20,
	MAX_REST_MS = 1000,
	TURN_MS = 2
};

struct fault {
	char kind[24];
	unsigned n;
	uint64_t n_recovered, n_not;
	struct histogram recovery, slowest; /* us */
};

struct load load = { .n_clients = 1, .payload_len = 64, .prefix = "" };
struct talk talk = { .rate = 10 };

static struct talker *talkers;
static struct fault faults[MAX_KINDS];
static unsigned n_faults;
static struct fault *last_fault;
static double seconds = 10;
static uint32_t seed = 1;
static uint64_t restarted_ns, *ended_ns;
static unsigned n_ended;

uint32_t
talk_random(uint32_t below)
{
	/* xorshift32: the same run for the same seed, as far as time lets */
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % below;
}

/*
 * Most are short and middling, some long, large, or slow. Of five, one ends
 * without a word, one is ended by the target, the others by the client.
 */
static void
manner_draw(struct talker *talker)
{
	static const unsigned rates[] = { 1, 5, 10, 20 };
	static const unsigned sizes[] = { 24, 64, 200, 2000, 8000 };
	unsigned rate = rates[talk_random(4)];
	bool is_long = talk_random(4) == 0;
	unsigned life_ms = 500 + talk_random(is_long ? 30000 : 5000);

	talker->interval_ns = NS_PER_S / rate;
	talker->bytes = sizes[talk_random(5)];
	talker->pause_ms = talk_random(8) == 0 ? talk_random(2000) : 0;
	talker->end_ns = now_ns() + life_ms * UINT64_C(1000000);
	talker->vanishes = false;
	talker->target_life = 0;
	switch (talk_random(5)) {
	case 0:
		talker->vanishes = true;
		break;
	case 1:
		talker->target_life = 1 + rate * life_ms / 1000;
		talker->end_ns = UINT64_MAX;
		break;
	}
}

void
talk_manner(struct talker *talker)
{
	talker->interval_ns = NS_PER_S / talk.rate;
	talker->bytes = load.payload_len;
	talker->end_ns = UINT64_MAX;
	if (talk.is_churning)
		manner_draw(talker);
}

bool
talk_ended(struct talker *talker)
{
	ended_ns[talker->index] = now_ns();
	if (talk.is_churning && !talk.is_finishing) {
		talker->due_ns =
		    now_ns() + talk_random(MAX_REST_MS) * UINT64_C(1000000);
		return true;
	}
	n_ended++;
	return false;
}

/* Faults. */

static void
fault_settle(void)
{
	unsigned i;

	for (i = 0; last_fault && i < load.n_clients; i++) {
		struct recovery *recovery = &talkers[i].recovery;
		uint64_t later_ns = recovery->up_ns > recovery->down_ns
					? recovery->up_ns
					: recovery->down_ns;

		if (recovery->up_ns > 0 && recovery->down_ns > 0) {
			last_fault->n_recovered++;
			histogram_add(&last_fault->recovery,
				      (later_ns - talk.fault_ns) / 1000);
		} else {
			last_fault->n_not++;
		}
		histogram_add(&last_fault->slowest,
			      recovery->slowest_ns / 1000);
		*recovery = (struct recovery){ 0 };
	}
	last_fault = NULL;
}

static void
fault_begin(const char *kind, uint64_t at_ns)
{
	unsigned i;

	fault_settle();
	for (i = 0; i < n_faults && strcmp(faults[i].kind, kind) != 0; i++)
		;
	if (i == MAX_KINDS)
		die("too many kinds of faults");
	if (i == n_faults)
		snprintf(faults[n_faults++].kind, sizeof(faults[i].kind), "%s",
			 kind);
	last_fault = &faults[i];
	last_fault->n++;
	talk.epoch++;
	talk.fault_ns = at_ns;
	talk.told_ns = now_ns();
}

static void
cut_some(const char *kind, unsigned percent, void (*cut)(struct http *http))
{
	uint64_t began_ns = now_ns();
	unsigned i;

	for (i = 0; i < load.n_clients; i++)
		if (talk_random(100) < percent)
			talker_cut(&talkers[i], cut);
	fault_begin(kind, began_ns);
}

/* Commands. */

static void
command(const char *line)
{
	unsigned long long at_ns;
	unsigned percent;
	char kind[24];

	if (sscanf(line, "rst %u", &percent) == 1)
		cut_some("rst", percent, http_reset);
	else if (sscanf(line, "silent %u", &percent) == 1)
		cut_some("silent", percent, http_abandon);
	else if (sscanf(line, "fault %23s %llu", kind, &at_ns) == 2)
		fault_begin(kind, at_ns);
	else if (strcmp(line, "ending") == 0)
		talk.is_ending = true;
	else if (sscanf(line, "restarted %llu", &at_ns) == 1)
		restarted_ns = at_ns;
	else if (strcmp(line, "finish") == 0)
		talk.is_finishing = true;
	else
		die("no command: %s", line);
}

static void
commands_read(void)
{
	static char buf[1024];
	static size_t len;
	ssize_t n = read(STDIN_FILENO, buf + len, sizeof(buf) - 1 - len);
	char *line = buf, *end;

	if (n == 0)
		talk.is_finishing = true;
	if (n <= 0)
		return;
	len += n;
	buf[len] = '\0';
	while ((end = strchr(line, '\n')) != NULL) {
		*end = '\0';
		command(line);
		line = end + 1;
	}
	len -= line - buf;
	memmove(buf, line, len);
}

/* The run. */

static void
turn(unsigned n_begun)
{
	uint64_t now;
	unsigned i;

	link_loop_turn(TURN_MS);
	now = now_ns();
	for (i = 0; i < n_begun; i++)
		talker_turn(&talkers[i], now);
}

static void
open_all(void)
{
	uint64_t began_ns = now_ns();
	unsigned n_begun = 0;

	while (talk.n_open < load.n_clients) {
		while (n_begun < load.n_clients &&
		       n_begun - talk.n_open < OPENING_AT_ONCE) {
			talker_start(&talkers[n_begun], n_begun);
			n_begun++;
		}
		turn(n_begun);
		if (now_ns() - began_ns > OPENING_S * NS_PER_S)
			die("%llu of %u sessions opened in %d s",
			    (unsigned long long)talk.n_open, load.n_clients,
			    OPENING_S);
	}
	puts("ready");
	fflush(stdout);
}

static void
run(void)
{
	uint64_t began_ns;

	open_all();
	began_ns = now_ns();
	while (!talk.is_finishing && n_ended < load.n_clients &&
	       now_ns() - began_ns < seconds * NS_PER_S) {
		turn(load.n_clients);
		commands_read();
	}
	talk.is_finishing = true;
	fault_settle();
	began_ns = now_ns();
	while (n_ended < load.n_clients && !talk.is_ending &&
	       now_ns() - began_ns < FINISHING_S * NS_PER_S)
		turn(load.n_clients);
}

/* The report. */

static void
put_histogram(const char *name, const struct histogram *histogram)
{
	printf("\"%s\":{\"n\":%llu,\"p50_ms\":%.2f,\"p99_ms\":%.2f,"
	       "\"max_ms\":%.2f}",
	       name, (unsigned long long)histogram->n,
	       histogram_quantile(histogram, 0.50) / 1e3,
	       histogram_quantile(histogram, 0.99) / 1e3, histogram->max / 1e3);
}

static void
put_direction(const char *name, const struct direction *direction)
{
	printf("\"%s\":{\"created\":%llu,\"received\":%llu,\"doubled\":%llu,"
	       "\"disordered\":%llu},",
	       name, (unsigned long long)direction->created,
	       (unsigned long long)direction->received,
	       (unsigned long long)direction->doubled,
	       (unsigned long long)direction->disordered);
}

static void
put_faults(void)
{
	unsigned i;

	printf("\"faults\":[");
	for (i = 0; i < n_faults; i++) {
		const struct fault *fault = &faults[i];

		printf("%s{\"kind\":\"%s\",\"n\":%u,\"recovered\":%llu,"
		       "\"not\":%llu,",
		       i > 0 ? "," : "", fault->kind, fault->n,
		       (unsigned long long)fault->n_recovered,
		       (unsigned long long)fault->n_not);
		put_histogram("recovery", &fault->recovery);
		putchar(',');
		put_histogram("slowest", &fault->slowest);
		putchar('}');
	}
	printf("],");
}

/* How long after the restart the sessions heard that they had ended. */
static void
put_ended(void)
{
	static struct histogram after;
	unsigned i, n_before = 0;

	for (i = 0; i < load.n_clients; i++)
		if (ended_ns[i] > 0 && ended_ns[i] < restarted_ns)
			n_before++;
		else if (ended_ns[i] > 0)
			histogram_add(&after,
				      (ended_ns[i] - restarted_ns) / 1000);
	printf("\"ended\":{\"n\":%u,\"before\":%u,\"hanging\":%u,", n_ended,
	       n_before, load.n_clients - n_ended);
	put_histogram("after", &after);
	printf("},");
}

static void
report(void)
{
	unsigned i;

	for (i = 0; i < load.n_clients; i++)
		if (talkers[i].state != ENDED)
			talker_count(&talkers[i]);
	printf("{\"tongue\":\"%s\",\"clients\":%u,", talk.tongue->name,
	       load.n_clients);
	put_direction("up", &talk.up);
	put_direction("down", &talk.down);
	printf("\"settled\":%llu,\"closed\":%llu,\"vanished\":%llu,"
	       "\"opened\":%llu,\"refused\":%llu,"
	       "\"retries\":%llu,\"timeouts\":%llu,\"switches\":%llu,",
	       (unsigned long long)talk.n_settled,
	       (unsigned long long)talk.n_closed,
	       (unsigned long long)talk.n_vanished,
	       (unsigned long long)talk.n_opened,
	       (unsigned long long)talk.n_refused,
	       (unsigned long long)talk.n_retries,
	       (unsigned long long)talk.n_timeouts,
	       (unsigned long long)talk.n_switches);
	put_faults();
	if (talk.is_ending)
		put_ended();
	put_histogram("latency", &talk.latency);
	puts("}");
}

static void
usage(void)
{
	fputs("usage: talk --tongue TONGUE --port N [--clients N] [--rate N]"
	      " [--seconds S]\n"
	      "            [--bytes N] [--mixed] [--churn] [--seed N] "
	      "[--prefix PATH]\n"
	      "            [--target ws://HOST:PORT]\n"
	      "tongues: relay sockjs socketio\n",
	      stderr);
	exit(2);
}

static bool
tongue_find(char *name)
{
	static const struct tongue *const tongues[] = {
		&relay_tongue,
		&sockjs_tongue,
		&socketio_tongue,
	};

	for (size_t i = 0; i < sizeof(tongues) / sizeof(tongues[0]); i++)
		if (strcmp(tongues[i]->name, name) == 0)
			talk.tongue = tongues[i];
	return talk.tongue != NULL;
}

static const struct bench_option options[] = {
	{ "tongue", .take = tongue_find },
	{ "port", .port = &load.port },
	{ "clients", .whole = &load.n_clients, .min = 1,
	  .max = TALK_MAX_CLIENTS },
	{ "rate", .real = &talk.rate, .min = 0.01, .max = MAX_RATE },
	{ "seconds", .real = &seconds, .max = MAX_SECONDS },
	{ "bytes", .whole = &load.payload_len, .min = 1, .max = MAX_PAYLOAD },
	{ "mixed", .flag = &talk.is_mixed },
	{ "churn", .flag = &talk.is_churning },
	{ "seed", .whole = &seed, .min = 1, .max = UINT32_MAX },
	{ "prefix", .text = &load.prefix },
	{ "target", .text = &load.target },
	{ 0 },
};

static void
options_read(int argc, char **argv)
{
	options_parse(argc, argv, options, usage);
	if (talk.tongue == NULL || load.port == 0 ||
	    (talk.tongue == &relay_tongue && load.target == NULL))
		usage();
}

int
main(int argc, char **argv)
{
	unsigned i;

	options_read(argc, argv);
	talkers = calloc(load.n_clients, sizeof(*talkers));
	ended_ns = calloc(load.n_clients, sizeof(*ended_ns));
	if (talkers == NULL || ended_ns == NULL)
		die("no memory for %u clients", load.n_clients);
	if (fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) < 0)
		die("fcntl: %s", strerror(errno));
	http_init(load.port, NULL);
	link_loop_init();
	run();
	report();
	for (i = 0; i < load.n_clients; i++)
		talker_free(&talkers[i]);
	free(talkers);
	free(ended_ns);
	return 0;
}
