#include "config.h"

#include "ws_text.h"

#include "frames.h"

/* Each client's copy is compressed by itself where it is like no other, so it
 * is only worth the time where it saves packets. */
#define COMPRESS_MIN_BYTES 512
/* Buffers are given back when one message was larger. */
#define KEEP_BYTES (1024 * 1024)

void
ws_tools_deinit(struct ws_tools *tools)
{
	struct ws_shared *shared = &tools->shared[0][0];
	size_t i;

	for (i = 0; i < 2 * WS_KIND__COUNT; i++) {
		message_unref(shared[i].message);
		ps_writer_deinit(&shared[i].frame);
	}
	ps_writer_deinit(&tools->text);
	deflate_deinit(&tools->deflate);
}

struct ps_writer *
ws_text_begin(struct ws_output *output, struct ws_text *text, size_t len)
{
	struct ps_writer *out = output->out;

	text->begin = out->len;
	text->compressed = output->deflate && len >= COMPRESS_MIN_BYTES;
	/* Room for the header: rarely as long as another one. */
	text->guess = frame_head_len(len);
	if (ps_writer_reserve(out, text->guess) != NULL)
		out->len += text->guess;
	text->w = out;
	if (text->compressed) {
		text->w = &output->tools->text;
		ps_writer_reset(text->w);
	}
	return text->w;
}

void
ws_text_end(struct ws_output *output, struct ws_text *text)
{
	struct ps_writer *out = output->out;
	size_t begin = text->begin, guess = text->guess, head;

	if (text->compressed) {
		deflate_write(&output->tools->deflate, out,
		    ps_slice(text->w->data, text->w->len));
		out->failed = out->failed || text->w->failed;
		ps_writer_reset(text->w);
		ps_writer_trim(text->w, KEEP_BYTES);
	}
	if (out->failed)
		return;
	head = frame_head_len(out->len - begin - guess);
	if (head != guess && ps_writer_reserve(out, FRAME_HEAD_MAX) != NULL)
		memmove(out->data + begin + head, out->data + begin + guess,
		    out->len - begin - guess);
	if (out->failed)
		return;
	out->len += head - guess;
	frame_put_head((unsigned char *)out->data + begin, FRAME_TEXT,
	    text->compressed, out->len - begin - head);
}

bool
ws_text_repeat(struct ws_output *output, enum ws_kind kind,
    const struct message *message)
{
	const struct ws_shared *shared =
	    &output->tools->shared[kind][output->deflate];

	if (shared->message != message)
		return false;
	ps_writer_bytes(output->out, shared->frame.data, shared->frame.len);
	return true;
}

void
ws_text_share(struct ws_output *output, enum ws_kind kind,
    struct message *message, size_t begin)
{
	struct ws_shared *shared =
	    &output->tools->shared[kind][output->deflate];
	const struct ps_writer *out = output->out;

	/* It is in one queue alone, or nothing is known of it. */
	if (message->refs < 2 || out->failed)
		return;
	message_unref(shared->message);
	shared->message = NULL;
	ps_writer_reset(&shared->frame);
	ps_writer_trim(&shared->frame, KEEP_BYTES);
	ps_writer_bytes(&shared->frame, out->data + begin, out->len - begin);
	if (!shared->frame.failed)
		shared->message = message_ref(message);
}
