/*
 * A channel, a newline, a payload: to the parser of events. Held: no fault, output untouched on
 * failure, texts terminated and fit for JSON, and what each kind promises.
 */
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/error.h"
#include "bellwether/sentinel/event.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

#define MARK 0x5a

static void hold(bool what)
{
    if (!what) {
        abort();
    }
}

static void hold_text(const char *text, size_t size)
{
    hold(memchr(text, '\0', size) != NULL);
    for (; *text != '\0'; text++) {
        hold((unsigned char)*text >= ' ' && *text != 0x7f);
    }
}

static void hold_event(const struct sentinel_event *event)
{
    hold_text(event->master, sizeof(event->master));
    hold_text(event->detail, sizeof(event->detail));
    hold_text(event->channel, sizeof(event->channel));
    hold_text(event->payload, sizeof(event->payload));
    hold_text(event->address.host, sizeof(event->address.host));
    hold_text(event->master_address.host, sizeof(event->master_address.host));
    hold(address_is_set(&event->address) == (event->address.host[0] != '\0'));
    hold((event->master[0] != '\0') == (event->instance != SENTINEL_INSTANCE_NONE));
    hold((event->epoch >= 0) == (event->kind == SENTINEL_EVENT_NEW_EPOCH ||
                                 event->kind == SENTINEL_EVENT_VOTE_FOR_LEADER));
    if (event->kind == SENTINEL_EVENT_SWITCH_MASTER) {
        hold(event->instance == SENTINEL_INSTANCE_MASTER);
    }
}

/* On the heap and of the exact size, so that reading past the end is seen. */
static char *copy(const unsigned char *data, size_t size)
{
    char *bytes = malloc(size > 0 ? size : 1);

    if (!bytes) {
        abort();
    }
    if (size > 0) {
        memcpy(bytes, data, size);
    }
    return bytes;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    const unsigned char *newline = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t channel_len = newline ? (size_t)(newline - data) : size;
    size_t payload_len = newline ? size - channel_len - 1 : 0;
    char *channel = copy(data, channel_len);
    char *payload = copy(newline ? newline + 1 : data, payload_len);
    struct sentinel_event event, before;
    int error;

    memset(&event, MARK, sizeof(event));
    before = event;
    error = sentinel_parse_event(channel, channel_len, payload, payload_len, &event);
    hold(error == 0 || error == -BW_EPROTO);
    if (error == 0) {
        hold_event(&event);
    } else {
        hold(memcmp(&event, &before, sizeof(event)) == 0);
    }
    free(channel);
    free(payload);
    return 0;
}
