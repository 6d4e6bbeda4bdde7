#include "config.h"

#include "fixture.h"

#include <sys/socket.h>

#include <fastcgi.h>

/* Of exchange.c: content of a record, and where it leaves one system call. */
#define RECORD ((size_t)65528)
#define RECORDS 32

static unsigned n_written, n_gone;

static void
count_written(void *owner)
{
	assert_ptr_equal(owner, &web);
	n_written++;
}

static void
count_gone(void *owner)
{
	assert_ptr_equal(owner, &web);
	n_gone++;
}

static const struct exchange_ops ops = { count_written, count_gone, false };

static struct exchange *
start(void)
{
	struct exchange *exchange = fixture_exchange(&web, NULL);

	n_written = n_gone = 0;
	exchange_set_owner(exchange, &ops, &web);
	return exchange;
}

/* Bytes that tell where they belong. */
static char *
pattern(size_t len)
{
	char *data = malloc(len + 1);
	size_t i;

	assert_non_null(data);
	for (i = 0; i < len; i++)
		data[i] = (char)(i ^ i >> 8 ^ i >> 16);
	return data;
}

static void
an_answer_is_records_of_its_request(void **state)
{
	struct exchange *exchange = start();

	(void)state;
	assert_false(LIST_EMPTY(&bridge.exchanges));
	assert_true(exchange_write(exchange, "head", 4));
	web_server_read(&web);
	assert_slice(written(&web.out), "head");
	assert_false(web.out_ended);
	assert_true(exchange_finish(exchange, "body", 4));
	web_server_read(&web);
	assert_slice(written(&web.out), "headbody");
	assert_int_equal(web.n_records, 2);
	assert_true(web.ended);
	assert_true(LIST_EMPTY(&bridge.exchanges));
	fixture_advance(1000);
	web_server_read(&web);
	assert_true(web.eof);
	assert_int_equal(n_written + n_gone, 0);
}

static void
the_last_part_may_be_empty(void **state)
{
	(void)state;
	assert_true(exchange_finish(start(), NULL, 0));
	web_server_read(&web);
	assert_int_equal(web.n_records, 0);
	assert_true(web.ended);
}

static void
answers_of_every_size_come_whole(void **state)
{
	static const size_t sizes[] = { 1, 7, 8, RECORD - 1, RECORD, RECORD + 1,
		2 * RECORD - 1, 2 * RECORD, 2 * RECORD + 1,
		RECORDS * RECORD - 1, RECORDS * RECORD, RECORDS * RECORD + 1,
		(RECORDS + 1) * RECORD, 5000000 };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(sizes); i++) {
		char *data = pattern(sizes[i]);
		bool sent = exchange_finish(start(), data, sizes[i]);

		web_server_read_all(&web);
		assert_row(i, web.ended);
		assert_row(i, web.out.len == sizes[i]);
		assert_row(i, memcmp(web.out.data, data, sizes[i]) == 0);
		assert_row(i, web.largest <= RECORD);
		assert_row(i, web.n_records ==
			(sizes[i] + RECORD - 1) / RECORD);
		assert_row(i, n_written == (sent ? 0 : 1));
		assert_row(i, n_gone == 0);
		free(data);
	}
}

static void
what_the_server_does_not_take_waits(void **state)
{
	size_t len = 3000000;
	char *data = pattern(len);
	struct exchange *exchange = start();

	(void)state;
	assert_false(exchange_write(exchange, data, len));
	assert_true(exchange_is_writing(exchange));
	fixture_turn();
	assert_int_equal(n_written, 0);
	web_server_read_all(&web);
	assert_int_equal(n_written, 1);
	assert_false(exchange_is_writing(exchange));
	assert_bytes(written(&web.out), data, len);
	assert_true(exchange_write(exchange, "more", 4));
	assert_true(exchange_finish(exchange, "end", 3));
	web_server_read(&web);
	assert_int_equal(web.out.len, len + 7);
	assert_true(web.ended);
	assert_int_equal(n_written, 1);
	free(data);
}

static void
more_is_queued_behind_what_waits(void **state)
{
	size_t len = 1000000;
	char *data = pattern(len);
	struct exchange *exchange = start();

	(void)state;
	assert_false(exchange_write(exchange, data, len));
	web_server_read(&web); /* part of it is taken */
	fixture_turn();
	assert_true(exchange_is_writing(exchange));
	assert_false(exchange_write(exchange, "second", 6));
	assert_false(exchange_finish(exchange, data, RECORD + 1));
	assert_false(exchange_write(exchange, "too late", 8));
	web_server_read_all(&web);
	assert_true(web.ended);
	assert_int_equal(web.out.len, len + 6 + RECORD + 1);
	assert_memory_equal(web.out.data, data, len);
	assert_memory_equal(web.out.data + len, "second", 6);
	assert_memory_equal(web.out.data + len + 6, data, RECORD + 1);
	assert_int_equal(n_written, 1);
	free(data);
}

static void
a_watched_exchange_hears_that_the_client_is_gone(void **state)
{
	struct exchange *exchange = start();

	(void)state;
	exchange_watch(exchange);
	fixture_turn();
	assert_int_equal(n_gone, 0);
	web_server_close(&web);
	fixture_turn();
	assert_int_equal(n_gone, 1);
	assert_true(LIST_EMPTY(&bridge.exchanges));
	fixture_turn();
	assert_int_equal(n_gone, 1);
}

static void
one_that_only_stops_sending_is_gone_too(void **state)
{
	struct exchange *exchange = start();

	(void)state;
	exchange_watch(exchange);
	shutdown(web.fd, SHUT_WR);
	fixture_turn();
	assert_int_equal(n_gone, 1);
}

static void
a_client_that_goes_while_much_waits_is_noticed(void **state)
{
	char *data = pattern(1000000);
	struct exchange *exchange = start();

	(void)state;
	assert_false(exchange_finish(exchange, data, 1000000));
	web_server_close(&web);
	fixture_turn();
	assert_int_equal(n_gone, 1);
	assert_int_equal(n_written, 0);
	assert_true(LIST_EMPTY(&bridge.exchanges));
	free(data);
}

static void
writing_to_who_is_gone_tells_so_later(void **state)
{
	struct exchange *exchange = start();

	(void)state;
	web_server_close(&web);
	assert_false(exchange_write(exchange, "x", 1));
	assert_int_equal(n_gone, 0); /* never from inside */
	fixture_turn();
	assert_int_equal(n_gone, 1);
}

static void
finishing_to_who_is_gone_tells_so_later(void **state)
{
	struct exchange *exchange = start();

	(void)state;
	web_server_close(&web);
	assert_false(exchange_finish(exchange, "x", 1));
	fixture_turn();
	assert_int_equal(n_gone, 1);
	assert_true(LIST_EMPTY(&bridge.exchanges));
}

static void
send_record(int type, const void *content, size_t len)
{
	FCGI_Header header = { .version = FCGI_VERSION_1,
		.type = (unsigned char)type,
		.requestIdB1 = REQUEST_ID >> 8,
		.requestIdB0 = REQUEST_ID & 0xff,
		.contentLengthB0 = (unsigned char)len };

	assert_int_equal(write(web.fd, &header, sizeof(header)),
	    sizeof(header));
	if (len > 0)
		assert_int_equal(write(web.fd, content, len), len);
}

static void
a_server_may_abort_a_request(void **state)
{
	struct exchange *exchange = start();

	(void)state;
	exchange_watch(exchange);
	send_record(FCGI_STDIN, NULL, 0);
	fixture_turn();
	assert_int_equal(n_gone, 0); /* the end of the body, no news */
	send_record(FCGI_ABORT_REQUEST, NULL, 0);
	fixture_turn();
	assert_int_equal(n_gone, 1);
}

static void
noise_from_the_server_is_no_danger(void **state)
{
	struct exchange *exchange = start();
	char noise[4096];

	(void)state;
	memset(noise, 0x55, sizeof(noise));
	exchange_watch(exchange);
	assert_int_equal(write(web.fd, noise, sizeof(noise)), sizeof(noise));
	fixture_turn();
	assert_int_equal(n_gone, 0);
	assert_true(exchange_finish(exchange, "x", 1));
	web_server_read(&web);
	assert_true(web.ended);
}

static void
an_aborted_exchange_calls_nobody(void **state)
{
	char *data = pattern(1000000);
	struct exchange *exchange = start();

	(void)state;
	exchange_watch(exchange);
	assert_false(exchange_write(exchange, data, 1000000));
	exchange_abort(exchange);
	exchange_abort(exchange);
	assert_false(exchange_write(exchange, "x", 1));
	fixture_advance(1000);
	web_server_read_all(&web);
	assert_false(web.ended);
	assert_int_equal(n_written + n_gone, 0);
	free(data);
}

static void
an_owner_that_gave_up_hears_nothing(void **state)
{
	struct exchange *exchange = start();

	(void)state;
	exchange_watch(exchange);
	exchange_set_owner(exchange, NULL, NULL);
	web_server_close(&web);
	fixture_turn();
	assert_int_equal(n_gone, 0);
	assert_true(LIST_EMPTY(&bridge.exchanges));
}

static void
whole_answers_keep_the_style_of_the_request(void **state)
{
	char callback[] = "app.on", origin[] = "http://a";
	struct ps_style style = { .callback = ps_slice_str(callback),
		.origin = ps_slice_str(origin) };
	struct exchange *exchange = fixture_exchange(&web, &style);

	(void)state;
	memset(callback, 'x', 6); /* both were copied */
	memset(origin, 'x', 8);
	exchange_reply_json(exchange, 200, ps_slice_str("{}"));
	web_server_read(&web);
	ps_writer_u8(&web.out, 0);
	assert_true(web.ended);
	assert_non_null(strstr(web.out.data, "Status: 200 OK\r\n"));
	assert_non_null(strstr(web.out.data,
	    "\r\nAccess-Control-Allow-Origin: http://a\r\n"));
	assert_non_null(strstr(web.out.data, "\r\n\r\n/**/app.on({});"));

	style = (struct ps_style){ .origin = ps_slice_str("http://b") };
	exchange = fixture_exchange(&web, &style);
	exchange_reply_error(exchange, PS_CODE_HANDSHAKE_REJECTED,
	    "\"status\":404");
	web_server_read(&web);
	ps_writer_u8(&web.out, 0);
	assert_true(web.ended);
	assert_non_null(strstr(web.out.data, "http://b"));
	assert_non_null(strstr(web.out.data,
	    "\"code\":\"handshake_rejected\",\"status\":404}"));
}

static void
an_answer_of_sockjs_keeps_cookie_and_headers(void **state)
{
	char cookie[] = "jar", headers[] = "x-a";
	struct ps_style style = { PS_STYLE_SOCKJS | PS_STYLE_COOKIE,
		.cookie = ps_slice_str(cookie),
		.allow_headers = ps_slice_str(headers) };
	struct exchange *exchange = fixture_exchange(&web, &style);

	(void)state;
	memset(cookie, 'x', 3); /* both were copied */
	memset(headers, 'x', 3);
	exchange_reply_text(exchange, 200, PS_TYPE_SOCKJS_TEXT,
	    ps_slice_str("ok"), NULL);
	web_server_read(&web);
	ps_writer_u8(&web.out, 0);
	assert_true(web.ended);
	assert_non_null(strstr(web.out.data, "JSESSIONID=jar;"));
	assert_non_null(strstr(web.out.data, "Allow-Headers: x-a\r\n"));
	assert_non_null(strstr(web.out.data, "\r\n\r\nok"));
}

#define on_loop(test) \
	cmocka_unit_test_setup_teardown(test, fixture_setup_loop, \
	    fixture_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		on_loop(an_answer_is_records_of_its_request),
		on_loop(the_last_part_may_be_empty),
		on_loop(answers_of_every_size_come_whole),
		on_loop(what_the_server_does_not_take_waits),
		on_loop(more_is_queued_behind_what_waits),
		on_loop(a_watched_exchange_hears_that_the_client_is_gone),
		on_loop(one_that_only_stops_sending_is_gone_too),
		on_loop(a_client_that_goes_while_much_waits_is_noticed),
		on_loop(writing_to_who_is_gone_tells_so_later),
		on_loop(finishing_to_who_is_gone_tells_so_later),
		on_loop(a_server_may_abort_a_request),
		on_loop(noise_from_the_server_is_no_danger),
		on_loop(an_aborted_exchange_calls_nobody),
		on_loop(an_owner_that_gave_up_hears_nothing),
		on_loop(whole_answers_keep_the_style_of_the_request),
		on_loop(an_answer_of_sockjs_keeps_cookie_and_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
