/*
 * The input as a JSON string, as text, and as an array of strings. A literal is
 * in the one form that it may have, says what it was made of, and nothing in it
 * is left that a browser would change.
 */
#include "config.h"

#include "fuzz.h"

#include <string.h>

#include "ps_json.h"
#include "ps_json_literal.h"
#include "ps_utf8.h"

static struct ps_slice
written(const struct ps_writer *w)
{
	return ps_slice(w->data, w->len);
}

static bool
is_same(struct ps_slice a, struct ps_slice b)
{
	return a.len == b.len &&
	       (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static void
check_literal(struct ps_slice literal)
{
	struct ps_writer again = { 0 };
	size_t i;

	require(literal.len >= 2 && literal.data[0] == '"' &&
		literal.data[literal.len - 1] == '"');
	require(ps_utf8_is_valid(literal.data, literal.len));
	for (i = 0; i < literal.len; i++)
		require((unsigned char)literal.data[i] >= 0x20);
	require(memmem(literal.data, literal.len, "\xe2\x80\xa8", 3) == NULL);
	require(ps_json_literal(&again, literal) == PS_OK);
	require(is_same(written(&again), literal));
	ps_writer_deinit(&again);
}

static void
check_text(struct ps_slice text)
{
	struct ps_writer literal = { 0 }, says = { 0 };

	ps_json_literal_text(&literal, text);
	check_literal(written(&literal));
	ps_json_literal_decode(&says, written(&literal));
	require(is_same(written(&says), text));
	ps_writer_deinit(&literal);
	ps_writer_deinit(&says);
}

static int
take(void *arg, struct ps_slice string)
{
	struct ps_writer literal = { 0 };

	require(ps_json_literal(&literal, string) == PS_OK);
	check_literal(written(&literal));
	ps_writer_deinit(&literal);
	++*(size_t *)arg;
	return PS_OK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ps_slice input = ps_slice((const char *)data, len);
	struct ps_writer w = { 0 };
	size_t n = 0, n_names;
	bool is_json = ps_json_check(input, &n_names) == PS_OK;

	if (ps_json_literal(&w, input) == PS_OK)
		check_literal(written(&w));
	else
		require(w.len == 0 && !(is_json && len > 0 && data[0] == '"' &&
					data[len - 1] == '"'));
	ps_writer_reset(&w);
	ps_json_literal_decode(&w, input); /* nonsense, but nothing worse */
	ps_writer_deinit(&w);
	if (ps_utf8_is_valid(input.data, len))
		check_text(input);
	if (ps_json_strings(input, take, &n) != PS_OK)
		require(n == 0);
	return 0;
}
