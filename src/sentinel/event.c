/*
 * Sentinel's events into structs. Nearly all payloads begin with an instance,
 *
 *     slave 127.0.0.1:7001 127.0.0.1 7001 @ mymaster 127.0.0.1 7000 <detail> master mymaster
 *     127.0.0.1 7000 <detail>
 *
 * fields separated by one blank each. Names have no blanks in them, so counting fields from the
 * left is exact, also for a master that is called "@". A payload that does not count out is
 * refused, never guessed.
 */
#include "bellwether/sentinel/event.h"

#include <string.h>

#include "bellwether/base/error.h"
#include "bellwether/base/utf8.h"
#include "bellwether/redis/reply_fields.h"

enum { MASTER = 1, SLAVE = 2, SENTINEL = 4, ANY = MASTER | SLAVE | SENTINEL };

struct field {
    const char *at;
    size_t length;
};

/* What is left of a payload. */
struct rest {
    const char *at;
    size_t length;
    bool ended; /* no blank followed the last field */
};

/* The next field, up to a blank or the end; false when there is none. It may be empty. */
static bool take(struct rest *rest, struct field *out)
{
    const char *blank;

    if (rest->ended) {
        return false;
    }
    blank = rest->length > 0 ? memchr(rest->at, ' ', rest->length) : NULL;
    out->at = rest->at;
    out->length = blank ? (size_t)(blank - rest->at) : rest->length;
    rest->ended = !blank;
    rest->at += out->length + (blank != NULL);
    rest->length -= out->length + (blank != NULL);
    return true;
}

static bool take_word(struct rest *rest, const char *word)
{
    struct field field;

    return take(rest, &field) && text_is(field.at, field.length, word);
}

static bool take_name(struct rest *rest, char out[SENTINEL_NAME_SIZE])
{
    struct field field;

    return take(rest, &field) &&
           reply_copy_name(field.at, field.length, out, SENTINEL_NAME_SIZE) == 0;
}

/*
 * A Sentinel that could not resolve a name writes an empty host, or port 0: the address is unset,
 * and the rest of the event is good.
 */
static bool take_address(struct rest *rest, struct address *out)
{
    struct field host, port;
    int64_t number;

    if (!take(rest, &host) || !take(rest, &port) || !text_number(port.at, port.length, &number)) {
        return false;
    }
    if (host.length > 0 && number > 0) {
        return address_from_parts(host.at, host.length, port.at, port.length, out) == 0;
    }
    *out = (struct address){0};
    return true;
}

static bool take_number(struct rest *rest, int64_t *out)
{
    struct field field;

    return take(rest, &field) && text_number(field.at, field.length, out);
}

static int type_of(const struct field *type)
{
    if (text_is(type->at, type->length, "master")) {
        return MASTER;
    }
    if (text_is(type->at, type->length, "slave")) {
        return SLAVE;
    }
    return text_is(type->at, type->length, "sentinel") ? SENTINEL : 0;
}

static bool take_instance(struct rest *rest, int allowed, struct sentinel_event *event)
{
    char name[SENTINEL_NAME_SIZE];
    struct field field;
    int type;

    if (!take(rest, &field)) {
        return false;
    }
    type = type_of(&field);
    if ((type & allowed) == 0 || !take_name(rest, name) || !take_address(rest, &event->address)) {
        return false;
    }
    if (type == MASTER) {
        event->instance = SENTINEL_INSTANCE_MASTER;
        memcpy(event->master, name, sizeof(name));
        event->master_address = event->address;
        return true;
    }
    event->instance = type == SLAVE ? SENTINEL_INSTANCE_SLAVE : SENTINEL_INSTANCE_SENTINEL;
    return take_word(rest, "@") && take_name(rest, event->master) &&
           take_address(rest, &event->master_address);
}

static bool take_switch(struct rest *rest, struct sentinel_event *event)
{
    event->instance = SENTINEL_INSTANCE_MASTER;
    return take_name(rest, event->master) && take_address(rest, &event->master_address) &&
           take_address(rest, &event->address) && rest->ended;
}

static bool take_vote(struct rest *rest, struct sentinel_event *event)
{
    struct field run_id;

    if (!take(rest, &run_id) || !text_is_name(run_id.at, run_id.length, SENTINEL_RUN_ID_SIZE) ||
        !take_number(rest, &event->epoch) || !rest->ended) {
        return false;
    }
    text_copy(run_id.at, run_id.length, event->detail, sizeof(event->detail));
    return true;
}

/* Which instances an event can be about: the table of payloads, where it says more than "any". */
static int instances_of(enum sentinel_event_kind kind)
{
    switch (kind) {
    case SENTINEL_EVENT_ODOWN:
    case SENTINEL_EVENT_ODOWN_END:
    case SENTINEL_EVENT_RESET_MASTER:
    case SENTINEL_EVENT_MONITOR:
    case SENTINEL_EVENT_MONITOR_END:
    case SENTINEL_EVENT_TRY_FAILOVER:
    case SENTINEL_EVENT_ELECTED_LEADER:
    case SENTINEL_EVENT_SELECT_SLAVE:
    case SENTINEL_EVENT_RECONF_SLAVES:
    case SENTINEL_EVENT_FAILOVER_END:
    case SENTINEL_EVENT_FAILOVER_END_FOR_TIMEOUT:
    case SENTINEL_EVENT_ABORT_NOT_ELECTED:
    case SENTINEL_EVENT_ABORT_NO_GOOD_SLAVE:
    case SENTINEL_EVENT_ABORT_SLAVE_TIMEOUT:
    case SENTINEL_EVENT_ABORT_MASTER_TIMEOUT:
    case SENTINEL_EVENT_SET: return MASTER;
    case SENTINEL_EVENT_SELECTED_SLAVE:
    case SENTINEL_EVENT_SEND_SLAVEOF_NOONE:
    case SENTINEL_EVENT_WAIT_PROMOTION:
    case SENTINEL_EVENT_SLAVE:
    case SENTINEL_EVENT_CONVERT_TO_SLAVE:
    case SENTINEL_EVENT_FIX_SLAVE_CONFIG:
    case SENTINEL_EVENT_PROMOTED_SLAVE:
    case SENTINEL_EVENT_SLAVE_RECONF_SENT:
    case SENTINEL_EVENT_SLAVE_RECONF_INPROG:
    case SENTINEL_EVENT_SLAVE_RECONF_DONE:
    case SENTINEL_EVENT_SLAVE_RECONF_SENT_BE:
    case SENTINEL_EVENT_SLAVE_RECONF_TIMEOUT: return SLAVE;
    case SENTINEL_EVENT_SENTINEL:
    case SENTINEL_EVENT_SENTINEL_ADDRESS_UPDATE:
    case SENTINEL_EVENT_CONFIG_UPDATE_FROM: return SENTINEL;
    default: return ANY;
    }
}

static void keep_detail(const struct rest *rest, struct sentinel_event *event)
{
    if (!rest->ended) {
        text_copy(rest->at, rest->length, event->detail, sizeof(event->detail));
    }
}

static bool parse(struct rest rest, struct sentinel_event *event)
{
    switch (event->kind) {
    case SENTINEL_EVENT_SWITCH_MASTER: return take_switch(&rest, event);
    case SENTINEL_EVENT_NEW_EPOCH: return take_number(&rest, &event->epoch) && rest.ended;
    case SENTINEL_EVENT_VOTE_FOR_LEADER: return take_vote(&rest, event);
    case SENTINEL_EVENT_TILT:
    case SENTINEL_EVENT_TILT_END: keep_detail(&rest, event); return true;
    default:
        if (!take_instance(&rest, instances_of(event->kind), event)) {
            return false;
        }
        keep_detail(&rest, event);
        return true;
    }
}

static const struct {
    enum sentinel_event_kind kind;
    const char *channel;
} channels[] = {
#define X(name, channel) {SENTINEL_EVENT_##name, channel},
    SENTINEL_EVENTS(X)
#undef X
};

static bool begins_as_abort(const char *channel, size_t length)
{
    static const char word[] = "-failover-abort-";

    return length >= sizeof(word) - 1 && memcmp(channel, word, sizeof(word) - 1) == 0;
}

static enum sentinel_event_kind kind_of(const char *channel, size_t length)
{
    for (size_t i = 0; i < sizeof(channels) / sizeof(*channels); i++) {
        if (text_is(channel, length, channels[i].channel)) {
            return channels[i].kind;
        }
    }
    return begins_as_abort(channel, length) ? SENTINEL_EVENT_ABORT_OTHER : SENTINEL_EVENT_OTHER;
}

static const struct sentinel_event blank_event = {.epoch = -1};

int sentinel_parse_event(const char *channel, size_t channel_len, const char *payload,
                         size_t payload_len, struct sentinel_event *out)
{
    struct sentinel_event event = blank_event;
    const struct rest rest = {.at = payload, .length = payload_len};

    event.kind = kind_of(channel, channel_len);
    if (!parse(rest, &event)) {
        if (event.kind != SENTINEL_EVENT_OTHER) {
            return -BW_EPROTO;
        }
        event = blank_event;
        keep_detail(&rest, &event);
    }
    utf8_copy(channel, channel_len, event.channel, sizeof(event.channel));
    utf8_copy(payload, payload_len, event.payload, sizeof(event.payload));
    *out = event;
    return 0;
}

const char *sentinel_event_channel(enum sentinel_event_kind kind)
{
    for (size_t i = 0; i < sizeof(channels) / sizeof(*channels); i++) {
        if (channels[i].kind == kind) {
            return channels[i].channel;
        }
    }
    return "";
}
