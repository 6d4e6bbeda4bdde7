/* What the thread has found for the loop, one thing at a time. */
#include "config.h"

#include "store_thread.h"

#include <stdlib.h>
#include <string.h>

static void
post(struct store *store, struct news *news)
{
	pthread_mutex_lock(&store->thread.mutex);
	STAILQ_INSERT_TAIL(&store->mail.news, news, next);
	pthread_mutex_unlock(&store->thread.mutex);
	uv_async_send(&store->async);
}

/* With room for texts; NULL without memory for it: then nobody hears. */
static struct news *
create(enum news_kind kind, size_t size)
{
	struct news *news = malloc(sizeof(*news) + size);

	if (news != NULL)
		news->kind = kind;
	return news;
}

static void
post_name(struct store *store, enum news_kind kind, const char *name)
{
	size_t size = strlen(name) + 1;
	struct news *news = create(kind, size);

	if (news == NULL)
		return;
	memcpy(news->texts, name, size);
	post(store, news);
}

void
store_post_close_request(void *store, const char *id)
{
	post_name(store, NEWS_CLOSE_REQUEST, id);
}

void
store_post_authorization(void *store, const char *socket_id)
{
	post_name(store, NEWS_AUTHORIZATION, socket_id);
}

void
store_post_lane(void *store, const struct ps_outbox_lane *lane)
{
	struct news *news = create(NEWS_LANE,
	    strlen(lane->session) + strlen(lane->client) + 2);
	char *end;

	if (news == NULL)
		return;
	end = news->texts;
	news->lane = *lane;
	news->lane.session = ps_slice_keep(ps_slice_str(lane->session), &end);
	news->lane.client = ps_slice_keep(ps_slice_str(lane->client), &end);
	post(store, news);
}

void
store_tell_news(const struct store *store, const struct news *news)
{
	const struct store_ops *ops = store->ops;

	switch (news->kind) {
	case NEWS_CLOSE_REQUEST:
		ops->close_request(store->owner, news->texts);
		break;
	case NEWS_AUTHORIZATION:
		if (ops->authorization != NULL)
			ops->authorization(store->owner, news->texts);
		break;
	case NEWS_LANE:
		if (ops->revived != NULL)
			ops->revived(store->owner, &news->lane);
		break;
	}
}
