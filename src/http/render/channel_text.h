/*
 * What is published to channels, as text of an event stream in the form of Upstash's REST API:
 *
 *     data: subscribe,CHANNEL,COUNT        data: psubscribe,PATTERN,COUNT
 *     data: message,CHANNEL,PAYLOAD        data: pmessage,PATTERN,CHANNEL,PAYLOAD
 *
 * Upstash's clients read line by line, so nothing takes more than one. Bytes that are not UTF-8
 * become U+FFFD, and so does a line's end in a name. A payload with a line's end goes as JSON,
 * which those clients read: a document with blanks in place of its line ends, any other as a
 * string. Pure.
 */
#ifndef BELLWETHER_HTTP_RENDER_CHANNEL_TEXT_H
#define BELLWETHER_HTTP_RENDER_CHANNEL_TEXT_H

#include <stdint.h>

#include "bellwether/base/buffer.h"
#include "bellwether/commands/subscriber.h"

/** @param count how many of the stream's are confirmed with this one. */
void channel_text_confirmed(struct buffer *out, enum subscriber_kind kind, const char *name,
                            size_t count);
void channel_text_message(struct buffer *out, const struct channel_message *message);
/* Comments. Times of the wall clock, milliseconds. */
void channel_text_interrupted(struct buffer *out, int64_t since_ms);
void channel_text_resumed(struct buffer *out, int64_t from_ms, int64_t to_ms);
/** @param words why, one line or more. */
void channel_text_ended(struct buffer *out, const char *words);

#endif
