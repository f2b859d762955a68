/*
 * The options of listeners and forwards: where they listen, to whom forwards lead, and who may be
 * logged in there.
 */
#include "build_places.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"

/* ---- both ---- */

const char *options_place_given(const struct settings *settings, int id, size_t item,
                                const struct listen_place *place, char *out)
{
    enum option_source source;
    const struct setting *setting = settings_winner(settings, id, &source);
    const char *name = option_table[id].name, *scheme = place->unix_path ? "unix:" : "";
    char text[ADDRESS_TEXT_SIZE];

    if (!setting || source == SOURCE_FLAG) {
        (void)snprintf(out, OPTIONS_PLACE_TEXT_SIZE, "--%s %s%.200s", name, scheme,
                       listen_place_text(place, text));
    } else {
        (void)snprintf(out, OPTIONS_PLACE_TEXT_SIZE, "%s (%.220s): %s%.200s", name,
                       setting->wheres[item], scheme, listen_place_text(place, text));
    }
    return out;
}

static bool is_taken(const struct options *out, const struct listen_place *place)
{
    bool taken = false;

    for (size_t i = 0; i < out->n_listens; i++) {
        taken = taken || listen_place_equal(&out->listens[i].place, place);
    }
    for (size_t i = 0; i < out->n_forwards; i++) {
        taken = taken || listen_place_equal(&out->forwards[i].place, place);
    }
    return taken;
}

/* @param out  set on success; it is the caller's to release. */
static int read_place(const struct builder *builder, int id, size_t item, const char *text,
                      struct option_value *out)
{
    const struct option_entry *entry = &option_table[id];
    char words[OPTIONS_ERROR_SIZE - 300], given[OPTIONS_PLACE_TEXT_SIZE];
    const char *obstacle;

    if (option_read_value(entry, text, out, words, sizeof(words)) != 0) {
        return options_fail(builder->error, "--%s: %s", entry->name, words);
    }
    (void)options_place_given(builder->settings, id, item, &out->place, given);
    obstacle = listen_place_obstacle(&out->place);
    if (is_taken(builder->out, &out->place)) {
        (void)options_fail(builder->error, "%s: a place that is listened on already", given);
        option_value_release(out);
        return -BW_EINVAL;
    }
    if (obstacle) {
        (void)options_fail(builder->error,
                           "%s: %s; takes a path where nothing is, or a socket of before", given,
                           obstacle);
        option_value_release(out);
        return -BW_EINVAL;
    }
    return 0;
}

/* ---- listeners ---- */

static int add_listen(const struct builder *builder, size_t item, const char *text)
{
    struct options *out = builder->out;
    struct option_value value;

    if (read_place(builder, OPTION_ID_LISTEN, item, text, &value) != 0) {
        return -BW_EINVAL;
    }
    *MEM_APPEND(out->listens, out->n_listens) =
        (struct http_listen){.place = value.place, .scope = value.scope};
    return 0;
}

int options_build_listens(const struct builder *builder)
{
    const struct setting *setting = settings_winner(builder->settings, OPTION_ID_LISTEN, NULL);

    if (!setting) {
        return add_listen(builder, 0, option_table[OPTION_ID_LISTEN].fallback);
    }
    for (size_t i = 0; i < setting->n_items; i++) {
        if (add_listen(builder, i, setting->items[i]) != 0) {
            return -BW_EINVAL;
        }
    }
    return 0;
}

/* ---- forwards ---- */

static int check_auth(const struct builder *builder, const struct forward_listen *forward,
                      const char *given)
{
    if (forward->auth && !forward->place.unix_path &&
        !address_is_loopback(&forward->place.address)) {
        return options_fail(builder->error,
                            "%s: auth where others may reach it; takes auth on 127.0.0.1 (all of "
                            "127.0.0.0/8), [::1] or a Unix socket%s",
                            given,
                            address_is_ip(&forward->place.address)
                                ? ""
                                : ", and no name, which may mean another address tomorrow");
    }
    if (forward->auth &&
        !setting_item(settings_winner(builder->settings, OPTION_ID_REDIS_PASSWORD_FILE, NULL)) &&
        !setting_item(settings_winner(builder->settings, OPTION_ID_REDIS_PASSWORD, NULL)) &&
        builder->out->watch.n_overrides == 0) {
        return options_fail(builder->error,
                            "%s: auth without a password; takes --redis-password-file or "
                            "BELLWETHER_REDIS_PASSWORD with it",
                            given);
    }
    return 0;
}

static int check_forward(const struct builder *builder, const struct forward_listen *forward,
                         size_t item)
{
    char given[OPTIONS_PLACE_TEXT_SIZE];

    (void)options_place_given(builder->settings, OPTION_ID_FORWARD, item, &forward->place, given);
    if (forward->master && !options_is_watched(&builder->out->watch, forward->master)) {
        return options_fail(builder->error,
                            "%s: \"%.200s\" is not watched; takes name= with one of the masters "
                            "named",
                            given, forward->master);
    }
    return check_auth(builder, forward, given);
}

static int add_forward(const struct builder *builder, size_t item, const char *text)
{
    struct options *out = builder->out;
    struct option_value value;

    if (read_place(builder, OPTION_ID_FORWARD, item, text, &value) != 0) {
        return -BW_EINVAL;
    }
    *MEM_APPEND(out->forwards, out->n_forwards) = (struct forward_listen){
        .place = value.place, .to = value.to, .master = value.master, .auth = value.auth};
    return check_forward(builder, &out->forwards[out->n_forwards - 1], item);
}

int options_build_forwards(const struct builder *builder)
{
    const struct setting *setting = settings_winner(builder->settings, OPTION_ID_FORWARD, NULL);

    for (size_t i = 0; setting && i < setting->n_items; i++) {
        if (add_forward(builder, i, setting->items[i]) != 0) {
            return -BW_EINVAL;
        }
    }
    builder->out->watch.fence_matters =
        builder->out->redis_api != REDIS_API_OFF || builder->out->n_forwards > 0;
    return 0;
}
