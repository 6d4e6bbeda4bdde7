#include "config.h"

#include "rights.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ps_db.h"
#include "ps_log.h"
#include "ps_thread.h"

struct rights {
	const struct ps_config *config; /* borrowed */
	struct ps_thread thread; /* its mutex is that of `policy`, too */
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

	pthread_mutex_lock(&rights->thread.mutex);
	old = rights->policy;
	rights->policy = policy;
	pthread_mutex_unlock(&rights->thread.mutex);
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

static void *
look(void *arg)
{
	struct rights *rights = arg;

	while (ps_thread_wait(&rights->thread, RIGHTS_PERIOD_MS))
		refresh(rights);
	return NULL;
}

static void
rights_free(struct rights *rights)
{
	ps_thread_deinit(&rights->thread);
	ps_db_close(rights->db);
	ps_policy_unref(rights->policy);
	free(rights);
}

struct rights *
rights_start(const struct ps_config *config)
{
	struct rights *rights = calloc(1, sizeof(*rights));
	int error;

	if (rights == NULL) {
		ps_error("rights: out of memory");
		return NULL;
	}
	rights->config = config;
	ps_thread_init(&rights->thread);
	refresh(rights);
	error = ps_thread_start(&rights->thread, look, rights);
	if (error == 0)
		return rights;
	ps_error("rights: cannot start its thread (%s)", strerror(error));
	rights_free(rights);
	return NULL;
}

void
rights_stop(struct rights *rights)
{
	ps_thread_stop(&rights->thread);
	rights_free(rights);
}

struct ps_policy *
rights_take(struct rights *rights)
{
	struct ps_policy *policy;

	pthread_mutex_lock(&rights->thread.mutex);
	policy = rights->policy == NULL ? NULL : ps_policy_ref(rights->policy);
	pthread_mutex_unlock(&rights->thread.mutex);
	return policy;
}

bool
rights_are_current(const struct rights *rights)
{
	return !rights->failing;
}
