/*
 * The load generator for channels: one process with one publisher and many
 * members of one kind. Every member has to get every event once, and all
 * members in one order: at the first that is missing, doubled or out of order
 * it ends with status 1. Else it prints a line of JSON for each
 * --window:
 *
 *   window
 *   events deliveries    counted while measuring; of events those that all
 *                        members have
 *   per_second           deliveries
 *   p50_us p99_us max_us from the publishing to a member
 *   all_p50_us all_max_us    from the publishing to the last member
 *   refused              times that an event was published again (503)
 *   cpu_us               processor time per delivery of each process named by
 *                        --pids
 *
 * At most so many events are under way, so that it is not the length of a
 * queue that is measured. With --rate events are due at fixed times instead;
 * one that could not be published yet is timed from then.
 *
 * Members of polysocket's channels hear of each other, all of all: they come
 * no faster than those who are there hear of it, and all of that is waited for.
 *
 * With --steps it says "members N CLIENT" when all members are there (CLIENT:
 * what the server calls the first) and goes on at a line on standard input.
 * Without a publisher members just stay until that line, get whatever others
 * publish, and what is printed at the end is "received N".
 */
#include "config.h"

#include "fanout.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/lib/histogram.h"
#include "bench/lib/http.h"
#include "bench/lib/options.h"
#include "bench/lib/processes.h"

enum {
	MAX_MEMBERS = 12000,
	MAX_SECONDS = 900,
	MAX_WINDOWS = 4,
	MAX_RATE = 10000,
	/* Together well below the 128 that wait for an EventSource which
	 * comes again to acknowledge as many. */
	OPENING_AT_ONCE = 16,
	UNHEARD = 32, /* joins that a member has not heard of */
	UNDER_WAY = 4096, /* a power of two */
	SILENCE_MS = 300,
	STALL_S = 30,
	TURN_MS = 20,
	PACED_TURN_MS = 1
};

#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

/* An event, by its number. */
struct event {
	uint64_t sent_ns;
	bool is_seen; /* by a member */
};

/* A place in the order of events, as the first member that came there saw. */
struct place {
	uint32_t number;
	unsigned n_received;
};

struct fanout fanout = {
	.n_members = 1,
	.n_channels = 1,
	.text_len = 100,
};

static const struct kind *const kinds[] = {
	&ws_kind,
	&raw_ws_kind,
	&sockjs_ws_kind,
	&sockjs_frames_kind,
	&eventsource_kind,
	&nchan_eventsource_kind,
	&lines_kind,
	&sockjs_lines_kind,
	&poll_kind,
	&nchan_poll_kind,
	&sockjs_poll_kind,
};

static const struct publisher *const publishers[] = {
	&json_publisher,
	&message_publisher,
	&post_publisher,
	&ws_publisher,
};

static const struct publisher *publisher;
static double warm_s = 1, measure_s = 3;
static bool has_steps;
static unsigned windows[MAX_WINDOWS] = { 1 }, n_windows = 1;

static char *members;
static unsigned n_opened, n_joined;
static unsigned in_channel[MAX_MEMBERS]; /* who joined */
static unsigned known[MAX_MEMBERS]; /* by member, of its channel */
static struct event events[UNDER_WAY];
static struct place places[UNDER_WAY];
static uint64_t n_published, n_seen, n_complete;
static bool is_pumping;
static uint64_t due_ns; /* of the next event, with --rate */
static uint64_t phase_began_ns;

static struct histogram deliveries, completions;
static unsigned long long n_received, n_refused;

static struct member *
member_at(unsigned index)
{
	return (struct member *)(members + index * fanout.kind->size);
}

static uint64_t
from_hex(const char *text, size_t len)
{
	uint64_t value = 0;
	size_t i;

	for (i = 0; i < len; i++)
		value = value << 4 |
		    (text[i] <= '9' ? text[i] - '0' : text[i] - 'a' + 10);
	return value;
}

/* False: the publisher cannot now. */
static bool
publish(uint64_t now)
{
	struct event *event = &events[n_published % UNDER_WAY];
	uint64_t sent_ns = fanout.rate > 0 ? due_ns : now;
	char text[MAX_TEXT + 1];
	int len;

	if (n_published - n_complete >= UNDER_WAY)
		die("%d events under way", UNDER_WAY);
	len = snprintf(text, sizeof(text), "%08x.%016llx.",
		       (uint32_t)n_published, (unsigned long long)sent_ns);
	memset(text + len, 'x', fanout.text_len - len);
	if (!publisher->publish(text, fanout.text_len))
		return false;
	*event = (struct event){ .sent_ns = sent_ns };
	n_published++;
	if (fanout.rate > 0)
		due_ns += NS_PER_S / fanout.rate;
	return true;
}

static bool
may_publish(uint64_t now)
{
	if (fanout.phase != WARMING && fanout.phase != MEASURING)
		return false;
	return fanout.rate > 0 ? now >= due_ns
			       : n_published - n_complete < fanout.window;
}

/* Publishes what may be published now. */
static void
pump(void)
{
	uint64_t now = now_ns();

	if (is_pumping)
		return;
	is_pumping = true;
	while (may_publish(now) && publish(now))
		now = now_ns();
	is_pumping = false;
}

void
publisher_free(void)
{
	pump();
}

void
publisher_refused(void)
{
	n_refused++;
}

const char *
member_path(const struct member *member)
{
	static char path[MAX_PATH];
	const char *star = strchr(fanout.path, '*');
	int before = star ? star - fanout.path : 0;
	int len = star ? snprintf(path, sizeof(path), "%.*s%u%s", before,
				  fanout.path,
				  member->index % fanout.n_channels, star + 1)
		       : snprintf(path, sizeof(path), "%s", fanout.path);

	if (len >= MAX_PATH)
		die("path too long");
	return path;
}

void
member_joined(struct member *member, unsigned n_known)
{
	if (member->has_joined)
		die("member %u: joined twice", member->index);
	member->has_joined = true;
	n_joined++;
	known[member->index] += n_known;
	in_channel[member->index % fanout.n_channels]++;
	fanout.heard_ns = now_ns();
}

/* The event of that text, if it is the next for the member; or NULL. */
static struct event *
find_next(struct place *place, uint64_t number, const char *text, size_t len)
{
	struct event *event;
	uint32_t named;

	if (len != fanout.text_len)
		return NULL;
	named = from_hex(text, 8);
	event = &events[named % UNDER_WAY];
	if (event->sent_ns != from_hex(text + 9, 16))
		return NULL;
	if (number < n_seen)
		return place->number == named ? event : NULL;
	/* the first one here: all others have to see it here, too */
	if (n_seen == n_published || event->is_seen)
		return NULL;
	event->is_seen = true;
	*place = (struct place){ .number = named };
	n_seen++;
	return event;
}

void
member_event(struct member *member, const char *text, size_t len)
{
	struct place *place = &places[member->n_events % UNDER_WAY];
	struct event *event;
	uint64_t now = now_ns();

	fanout.heard_ns = now;
	n_received++;
	if (publisher == NULL)
		return;
	event = find_next(place, member->n_events, text, len);
	if (event == NULL)
		die("member %u: as event %llu received %.*s", member->index,
		    (unsigned long long)member->n_events, (int)len, text);
	member->n_events++;
	if (fanout.phase == MEASURING)
		histogram_add(&deliveries, now - event->sent_ns);
	if (++place->n_received < fanout.n_members)
		return;
	n_complete++;
	if (fanout.phase == MEASURING)
		histogram_add(&completions, now - event->sent_ns);
	pump();
}

void
member_heard(struct member *member)
{
	known[member->index]++;
	fanout.heard_ns = now_ns();
}

static void
phase_begin(enum phase phase)
{
	fanout.phase = phase;
	phase_began_ns = fanout.heard_ns = now_ns();
	processes_mark();
}

static void
turn(void)
{
	link_loop_turn(fanout.rate > 0 ? PACED_TURN_MS : TURN_MS);
	pump();
}

/* Joins that a member has not heard of, at the most. */
static unsigned
most_unheard(void)
{
	unsigned most = 0, i;

	/* one whose joining is under way knows of nobody yet */
	for (i = 0; fanout.kind->hears_joins && i < n_opened; i++) {
		unsigned now = in_channel[i % fanout.n_channels];

		if (known[i] > 0 && now > known[i] + most)
			most = now - known[i];
	}
	return most;
}

static void
stall_check(void)
{
	if (now_ns() - fanout.heard_ns > STALL_S * NS_PER_S)
		die("nothing moved for %d s: %u of %u members, one of whom "
		    "has not heard of %u, %llu of %llu events",
		    STALL_S, n_joined, fanout.n_members, most_unheard(),
		    (unsigned long long)n_complete,
		    (unsigned long long)n_published);
}

static void
wait_for_silence(void)
{
	while (now_ns() - fanout.heard_ns < SILENCE_MS * NS_PER_MS)
		turn();
}

static bool
may_open(void)
{
	return n_opened < fanout.n_members &&
	    n_opened - n_joined < OPENING_AT_ONCE;
}

static void
members_open(void)
{
	unsigned unheard = 0;

	while (n_joined < fanout.n_members || unheard > 0) {
		unsigned end = unheard > UNHEARD ? 0
						 : n_opened + OPENING_AT_ONCE;

		while (n_opened < end && may_open()) {
			struct member *member = member_at(n_opened);

			member->index = n_opened++;
			fanout.kind->open(member);
		}
		turn();
		stall_check();
		unheard = most_unheard();
	}
	wait_for_silence();
}

static bool
line_is_there(void)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	char c;

	/* the end of the input is as good as a line */
	return poll(&input, 1, 0) > 0 && read(STDIN_FILENO, &c, 1) >= 0;
}

static void
step_wait(void)
{
	printf("members %u %s\n", fanout.n_members,
	       member_at(0)->client);
	fflush(stdout);
	while (!line_is_there())
		turn();
}

static void
phase_run(enum phase phase, double seconds)
{
	phase_begin(phase);
	while (now_ns() - phase_began_ns < seconds * NS_PER_S) {
		turn();
		stall_check();
	}
}

static void
report(double seconds)
{
	printf("{\"members\":%u,\"window\":%u,\"events\":%llu,"
	       "\"deliveries\":%llu,"
	       "\"seconds\":%.3f,\"per_second\":%.1f,"
	       "\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,"
	       "\"all_p50_us\":%.1f,\"all_max_us\":%.1f,\"refused\":%llu,"
	       "\"cpu_us\":",
	       fanout.n_members, fanout.window,
	       (unsigned long long)completions.n,
	       (unsigned long long)deliveries.n, seconds,
	       deliveries.n / seconds,
	       histogram_quantile(&deliveries, 0.50) / 1e3,
	       histogram_quantile(&deliveries, 0.99) / 1e3,
	       deliveries.max / 1e3,
	       histogram_quantile(&completions, 0.50) / 1e3,
	       completions.max / 1e3, n_refused);
	processes_print(deliveries.n);
	puts("}");
}

static void
measure(unsigned window)
{
	double seconds;

	fanout.window = window;
	memset(&deliveries, 0, sizeof(deliveries));
	memset(&completions, 0, sizeof(completions));
	n_refused = 0;
	due_ns = now_ns();
	phase_run(WARMING, warm_s);
	phase_run(MEASURING, measure_s);
	seconds = (now_ns() - phase_began_ns) / 1e9;
	phase_begin(FINISHING);
	while (n_complete < n_published) {
		turn();
		stall_check();
	}
	report(seconds);
}

static void
usage(void)
{
	fputs("usage: fanout --kind KIND --port N --path PATH [--ws-port N]\n"
	      "              [--members N] [--channels N]\n"
	      "              [--publisher json|message|post|ws"
	      " --publish-path PATH]\n"
	      "              [--bytes N] [--window N,N...] [--rate N]\n"
	      "              [--seconds S] [--warm S] [--pids PID,PID...]"
	      " [--steps]\nkinds:",
	      stderr);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		fprintf(stderr, " %s", kinds[i]->name);
	fputc('\n', stderr);
	exit(2);
}

static bool
kind_find(char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i]->name, name) == 0)
			fanout.kind = kinds[i];
	return fanout.kind != NULL;
}

static bool
publisher_find(char *name)
{
	for (size_t i = 0; i < sizeof(publishers) / sizeof(publishers[0]); i++)
		if (strcmp(publishers[i]->name, name) == 0)
			publisher = publishers[i];
	return publisher != NULL;
}

static bool
windows_parse(char *list)
{
	char *window;

	n_windows = 0;
	for (window = strtok(list, ","); window; window = strtok(NULL, ",")) {
		if (n_windows == MAX_WINDOWS)
			return false;
		windows[n_windows++] =
			option_number(window, 1, MAX_WINDOW, usage);
	}
	return n_windows > 0;
}

static const struct bench_option options[] = {
	{ "kind", .take = kind_find },
	{ "publisher", .take = publisher_find },
	{ "port", .port = &fanout.port },
	{ "ws-port", .port = &fanout.ws_port },
	{ "path", .text = &fanout.path },
	{ "publish-path", .text = &fanout.publish_path },
	{ "members", .whole = &fanout.n_members, .min = 1, .max = MAX_MEMBERS },
	{ "channels", .whole = &fanout.n_channels, .min = 1,
	  .max = MAX_MEMBERS },
	{ "bytes", .whole = &fanout.text_len, .min = MIN_TEXT,
	  .max = MAX_TEXT },
	{ "window", .take = windows_parse },
	{ "rate", .whole = &fanout.rate, .min = 1, .max = MAX_RATE },
	{ "seconds", .real = &measure_s, .max = MAX_SECONDS },
	{ "warm", .real = &warm_s, .max = MAX_SECONDS },
	{ "pids", .take = processes_parse },
	{ "steps", .flag = &has_steps },
	{ 0 },
};

static void
options_read(int argc, char **argv)
{
	options_parse(argc, argv, options, usage);
	if (fanout.kind == NULL || fanout.port == 0 || fanout.path == NULL ||
	    (publisher != NULL) != (fanout.publish_path != NULL) ||
	    (publisher == NULL && !has_steps))
		usage();
	if (fanout.ws_port == 0)
		fanout.ws_port = fanout.port;
}

int
main(int argc, char **argv)
{
	unsigned i;

	options_read(argc, argv);
	members = calloc(fanout.n_members, fanout.kind->size);
	if (members == NULL)
		die("no memory for %u members", fanout.n_members);
	http_init(fanout.port, NULL);
	link_loop_init();
	phase_begin(JOINING);
	members_open();
	if (has_steps)
		step_wait();
	if (publisher)
		publisher->open();
	for (i = 0; publisher != NULL && i < n_windows; i++)
		measure(windows[i]);
	/* whatever comes behind the last event is one too many */
	fanout.heard_ns = now_ns();
	wait_for_silence();
	if (publisher == NULL)
		printf("received %llu\n", n_received);
	for (i = 0; i < fanout.n_members; i++)
		fanout.kind->leave(member_at(i));
	return 0;
}
