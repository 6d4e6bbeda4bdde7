#include "config.h"

#include "rights.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ps_db.h"
#include "ps_log.h"

struct rights {
	const struct ps_config *config; /* borrowed */
	pthread_t thread;
	pthread_mutex_t mutex; /* of `policy` and `stopping` */
	pthread_cond_t stop;
	bool stopping;
	struct ps_policy *policy; /* NULL: none was read yet */

	/* The thread's own. */
	struct ps_db *db; /* NULL: not open */
	atomic_bool failing; /* written by the thread only */
};

static void
report(struct rights *rights, const char *error)
{
	if (!rights->failing)
		ps_error("rights: database %s: %s; %s",
		    rights->config->database, error,
		    rights->policy == NULL ?
			"nothing is allowed until it can be read" :
			"what was read before stays in force");
	rights->failing = true;
	ps_db_close(rights->db);
	rights->db = NULL;
}

static void
put(struct rights *rights, struct ps_policy *policy)
{
	struct ps_policy *old;

	pthread_mutex_lock(&rights->mutex);
	old = rights->policy;
	rights->policy = policy;
	pthread_mutex_unlock(&rights->mutex);
	ps_policy_unref(old);
	ps_debug("rights: revision %llu",
	    (unsigned long long)ps_policy_revision(policy));
}

/* The database is written every second, what is of interest here rarely. */
static int
read_if_changed(struct rights *rights, bool is_new)
{
	struct ps_policy *policy;
	bool changed;
	uint64_t revision;
	int ret;

	if ((ret = ps_db_has_changed(rights->db, &changed)) != PS_OK ||
	    !changed)
		return ret;
	if ((ret = ps_db_revision(rights->db, &revision)) != PS_OK)
		return ret;
	if (!is_new && revision == ps_policy_revision(rights->policy))
		return PS_OK;
	if ((ret = ps_db_load_policy(rights->db, &policy)) == PS_OK)
		put(rights, policy);
	return ret;
}

static void
refresh(struct rights *rights)
{
	char error[PS_DB_ERROR_MAX];
	bool is_new = rights->db == NULL || ps_db_was_replaced(rights->db);

	if (is_new) {
		ps_db_close(rights->db);
		rights->db = NULL;
		if (ps_db_open(&rights->db, rights->config->database,
			PS_DB_READ, error) != PS_OK) {
			report(rights, error);
			return;
		}
	}
	if (read_if_changed(rights, is_new) != PS_OK) {
		report(rights, ps_db_error(rights->db));
		return;
	}
	if (rights->failing)
		ps_info("rights: the database can be read again");
	rights->failing = false;
}

/* Waits for the next look; false when there is none. */
static bool
wait_period(struct rights *rights)
{
	struct timespec until;
	bool stopping;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += RIGHTS_PERIOD_MS * 1000L * 1000;
	until.tv_sec += until.tv_nsec / (1000L * 1000 * 1000);
	until.tv_nsec %= 1000L * 1000 * 1000;
	pthread_mutex_lock(&rights->mutex);
	while (!rights->stopping &&
	    pthread_cond_timedwait(&rights->stop, &rights->mutex, &until) !=
		ETIMEDOUT)
		;
	stopping = rights->stopping;
	pthread_mutex_unlock(&rights->mutex);
	return !stopping;
}

static void *
look(void *arg)
{
	struct rights *rights = arg;

	while (wait_period(rights))
		refresh(rights);
	return NULL;
}

struct rights *
rights_start(const struct ps_config *config)
{
	struct rights *rights = calloc(1, sizeof(*rights));
	pthread_condattr_t attributes;
	int error;

	if (rights == NULL) {
		ps_error("rights: out of memory");
		return NULL;
	}
	rights->config = config;
	pthread_mutex_init(&rights->mutex, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&rights->stop, &attributes);
	pthread_condattr_destroy(&attributes);
	refresh(rights);
	error = pthread_create(&rights->thread, NULL, look, rights);
	if (error == 0)
		return rights;
	ps_error("rights: cannot start its thread (%s)", strerror(error));
	ps_db_close(rights->db);
	ps_policy_unref(rights->policy);
	free(rights);
	return NULL;
}

void
rights_stop(struct rights *rights)
{
	pthread_mutex_lock(&rights->mutex);
	rights->stopping = true;
	pthread_cond_signal(&rights->stop);
	pthread_mutex_unlock(&rights->mutex);
	pthread_join(rights->thread, NULL);
	pthread_cond_destroy(&rights->stop);
	pthread_mutex_destroy(&rights->mutex);
	ps_db_close(rights->db);
	ps_policy_unref(rights->policy);
	free(rights);
}

struct ps_policy *
rights_take(struct rights *rights)
{
	struct ps_policy *policy;

	pthread_mutex_lock(&rights->mutex);
	policy = rights->policy == NULL ? NULL : ps_policy_ref(rights->policy);
	pthread_mutex_unlock(&rights->mutex);
	return policy;
}

bool
rights_are_current(const struct rights *rights)
{
	return !rights->failing;
}
