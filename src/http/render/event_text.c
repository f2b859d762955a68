/* An event is `id`, `event` and one line of `data`: compact JSON has no line breaks. */
#include "event_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/units.h"
#include "bellwether/http/master_json.h"

#define HEAD_SIZE 96

/* @param json taken. */
static char *event_text(const char *instance, uint64_t number, const char *kind, json_t *json,
                        size_t *size)
{
    size_t data_size, room;
    char *data = render_dump(json, false, &data_size); /* ends with a newline */
    char *text;

    room = HEAD_SIZE + strlen(instance) + data_size;
    text = mem_new(room, 1);
    *size = (size_t)snprintf(text, room, "id: %s-%" PRIu64 "\nevent: %s\ndata: %s\n", instance,
                             number, kind, data);
    free(data);
    return text;
}

char *event_text_master(const char *instance, uint64_t number, const struct snapshot_master *master,
                        bool stalled, size_t *size)
{
    json_t *json;

    if (!master) {
        size_t room = HEAD_SIZE + strlen(instance);
        char *text = mem_new(room, 1);

        *size = (size_t)snprintf(text, room, "id: %s-%" PRIu64 "\n\n", instance, number);
        return text;
    }
    json =
        render_master(master, (stalled || !snapshot_master_serves(master)) && master->has_address);
    if (stalled) {
        json_object_set_new(json, "reason", render_text(reason_text(REASON_WATCHER_STALLED)));
        json_object_set_new(json, "verified", json_false());
    }
    return event_text(instance, number, "master", json, size);
}

char *event_text_sentinel(const char *instance, uint64_t number,
                          const struct message_event *message, size_t *size)
{
    json_t *json = json_object();
    char at[CLOCK_TEXT_SIZE];

    clock_format_utc(message->wall_ms, at);
    json_object_set_new(json, "at", json_string(at));
    json_object_set_new(json, "master", render_text(*message->master ? message->master : NULL));
    json_object_set_new(json, "sentinel", render_text(message->sentinel));
    json_object_set_new(json, "event", render_text(message->channel));
    json_object_set_new(json, "detail", render_text(message->detail));
    return event_text(instance, number, "sentinel", json, size);
}

int event_text_number(const char *instance, const char *id, uint64_t *out)
{
    size_t len = strlen(instance);
    int64_t number;

    if (strncmp(id, instance, len) != 0 || id[len] != '-' ||
        integer_parse(id + len + 1, 0, INT64_MAX, &number)) {
        return -BW_EINVAL;
    }
    *out = (uint64_t)number;
    return 0;
}
