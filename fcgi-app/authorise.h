/*
 * Whether a request may do what it asks for: its token, and the origin of the
 * page it comes from.
 */
#ifndef AUTHORISE_H
#define AUTHORISE_H

#include "ps_policy.h"
#include "request.h"

/* The token of a request, and what keeps it alive. */
struct authority {
	struct ps_policy *policy;
	const struct ps_token *token;
};

/*
 * Finds the token: of the parameter `token`, else of `Authorization: Bearer`
 * (RFC 6750, section 2.1), else anonymous. False, having answered, when there
 * is no such token. Give it back with authority_release().
 */
bool authorise_token(struct request *request, struct authority *authority_r);
/*
 * The same of an application, whose id is the secret of a token that has
 * callbacks: one answer, at the same cost, whatever it lacks. Its origin may be
 * used, if it has one: it is no page.
 */
bool authorise_application(struct request *request, struct ps_slice id,
    struct authority *authority_r);
/* The id of the token, 0 where none is sent or it is none; false when it has
 * answered. */
bool authorise_sender(struct request *request, int64_t *token_id_r);
void authority_release(struct authority *authority); /* all zero is fine */

/*
 * Whether the token may be used from where the request comes from: the origin
 * of its headers and `claimed`, the origin it says itself, if it does. False
 * for a refusal, from which on the answer allows no origin (CORS).
 */
bool authorise_origin(struct request *request, const struct ps_token *token,
    struct ps_slice claimed);

/* What the bridge needs of the token. */
struct ps_ipc_rights authority_rights(const struct authority *authority);

/* Refuses what a token may not do. The bridge counts and answers it; without a
 * bridge the client hears it all the same. */
void authorise_refuse(struct request *request, const struct ps_token *token,
    enum ps_code code);

/*
 * Whether the request may use the channel of its path in that way: its token,
 * its origin. False when it has answered.
 */
bool authorise_channel(struct request *request, enum ps_channel_right right,
    struct ps_ipc_rights *rights_r);

#endif
