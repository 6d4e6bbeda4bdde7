#include "config.h"

#include "authorise.h"

#include <time.h>

#include "handoff.h"
#include "ps_request.h"
#include "rights.h"

/* What the request has for a secret; false when it has answered. */
static bool
take_secret(struct request *request, struct ps_slice *secret_r)
{
	if (!params_text(request->params, "token", secret_r) ||
	    secret_r->len == 0)
		*secret_r = ps_request_bearer(
		    request_env(request, "HTTP_AUTHORIZATION"));
	return !request_refused_params(request);
}

/* The token of a secret, or NULL; false when it has answered. */
static bool
look_up(struct request *request, struct ps_slice secret,
    struct authority *authority_r)
{
	*authority_r =
	    (struct authority){ .policy = rights_take(request->rights) };
	if (authority_r->policy == NULL) {
		request_refuse(request, PS_CODE_DATABASE_UNAVAILABLE, NULL,
		    NULL);
		return false;
	}
	authority_r->token =
	    ps_policy_find(authority_r->policy, secret, time(NULL));
	return true;
}

bool
authorise_token(struct request *request, struct authority *authority_r)
{
	struct ps_slice secret;

	if (!take_secret(request, &secret) ||
	    !look_up(request, secret, authority_r))
		return false;
	if (authority_r->token != NULL)
		return true;
	authority_release(authority_r);
	request_refuse(request, PS_CODE_TOKEN_UNKNOWN, NULL, NULL);
	return false;
}

void
authorise_refuse(struct request *request, const struct ps_token *token,
    enum ps_code code)
{
	const struct ps_ipc_refuse m = { request_ipc(request), token->id,
		code };

	if (request->method != METHOD_HEAD) {
		ps_ipc_encode_refuse(&request->handoff->frame, &m);
		if (request_was_taken(request))
			return;
	}
	request_refuse(request, code, NULL, NULL);
}

bool
authorise_application(struct request *request, struct ps_slice id,
    struct authority *authority_r)
{
	const struct ps_token *token;
	struct ps_slice origin = request->style.origin;

	if (!look_up(request, id, authority_r))
		return false;
	token = authority_r->token;
	if (token == NULL || !ps_token_has_callbacks(token)) {
		request_refuse(request, PS_CODE_APPLICATION_UNKNOWN, NULL,
		    NULL);
	} else if (origin.len > 0 && !ps_token_allows_origin(token, origin)) {
		request->style.flags |= PS_STYLE_NO_CORS;
		authorise_refuse(request, token, PS_CODE_ORIGIN_REFUSED);
	} else {
		return true;
	}
	authority_release(authority_r);
	return false;
}

bool
authorise_sender(struct request *request, int64_t *token_id_r)
{
	struct authority authority;
	struct ps_slice secret;

	*token_id_r = 0;
	if (!take_secret(request, &secret))
		return false;
	if (secret.len == 0)
		return true;
	if (!look_up(request, secret, &authority))
		return false;
	if (authority.token != NULL)
		*token_id_r = authority.token->id;
	authority_release(&authority);
	return true;
}

void
authority_release(struct authority *authority)
{
	ps_policy_unref(authority->policy);
	*authority = (struct authority){ 0 };
}

static bool
origin_is_allowed(const struct request *request, const struct ps_token *token,
    struct ps_slice claimed)
{
	struct ps_slice sent = request->style.origin;

	if (sent.len == 0 && claimed.len == 0)
		return token->allow_no_origin;
	return (sent.len == 0 || ps_token_allows_origin(token, sent)) &&
	    (claimed.len == 0 || ps_token_allows_origin(token, claimed));
}

bool
authorise_origin(struct request *request, const struct ps_token *token,
    struct ps_slice claimed)
{
	bool allowed = origin_is_allowed(request, token, claimed);

	if (!allowed)
		request->style.flags |= PS_STYLE_NO_CORS;
	return allowed;
}

struct ps_ipc_rights
authority_rights(const struct authority *authority)
{
	return (struct ps_ipc_rights){ authority->token->id,
		ps_policy_revision(authority->policy),
		authority->token->limits };
}

bool
authorise_channel(struct request *request, enum ps_channel_right right,
    struct ps_ipc_rights *rights_r)
{
	struct authority authority;
	const struct ps_token *token;
	bool allowed = false;

	if (!authorise_token(request, &authority))
		return false;
	token = authority.token;
	if (!authorise_origin(request, token, ps_slice(NULL, 0))) {
		authorise_refuse(request, token, PS_CODE_ORIGIN_REFUSED);
	} else if (!ps_token_allows_channel(token, request->segments[0],
		       right)) {
		authorise_refuse(request, token, PS_CODE_CHANNEL_REFUSED);
	} else {
		*rights_r = authority_rights(&authority);
		allowed = true;
	}
	authority_release(&authority);
	return allowed;
}
