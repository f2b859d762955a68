/* The options of forwards: where they listen, to whom they lead, and who may be logged in there. */
#include "build_forwards.h"

#include <stdlib.h>
#include <string.h>

#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"

/* For messages. */
static const char *place_of(const struct forward_listen *forward, char text[ADDRESS_TEXT_SIZE])
{
    return forward->unix_path ? forward->unix_path : address_format(&forward->address, text);
}

static bool is_same(const struct address *a, const char *a_path, const struct address *b,
                    const char *b_path)
{
    if (a_path || b_path) {
        return a_path && b_path && strcmp(a_path, b_path) == 0;
    }
    return a->port != 0 && address_equal(a, b);
}

static bool is_taken(const struct options *out, const struct forward_listen *forward)
{
    for (size_t i = 0; i < out->n_listens; i++) {
        if (is_same(&out->listens[i].address, out->listens[i].unix_path, &forward->address,
                    forward->unix_path)) {
            return true;
        }
    }
    for (size_t i = 0; &out->forwards[i] != forward; i++) {
        if (is_same(&out->forwards[i].address, out->forwards[i].unix_path, &forward->address,
                    forward->unix_path)) {
            return true;
        }
    }
    return false;
}

/* A name may mean another address tomorrow, so only literals are loopback. */
static int check_auth(const struct builder *builder, const struct forward_listen *forward)
{
    char text[ADDRESS_TEXT_SIZE];

    if (forward->auth && !forward->unix_path && !address_is_loopback(&forward->address)) {
        return options_fail(builder->error,
                            "--forward %.200s: auth where others may reach it; takes auth on "
                            "127.0.0.1, [::1] or a Unix socket",
                            place_of(forward, text));
    }
    if (forward->auth &&
        !setting_item(settings_winner(builder->settings, OPTION_ID_REDIS_PASSWORD_FILE, NULL)) &&
        !setting_item(settings_winner(builder->settings, OPTION_ID_REDIS_PASSWORD, NULL)) &&
        builder->out->watch.n_overrides == 0) {
        return options_fail(
            builder->error,
            "--forward %.200s: auth without a password; takes --redis-password-file "
            "or BELLWETHER_REDIS_PASSWORD with it",
            place_of(forward, text));
    }
    return 0;
}

static int check(const struct builder *builder, const struct forward_listen *forward)
{
    char text[ADDRESS_TEXT_SIZE];

    if (is_taken(builder->out, forward)) {
        return options_fail(builder->error,
                            "--forward: \"%.200s\" names a place that is listened on already",
                            place_of(forward, text));
    }
    if (forward->master && !options_is_watched(&builder->out->watch, forward->master)) {
        return options_fail(builder->error,
                            "--forward %.200s: \"%.200s\" is not watched; takes name= with one of "
                            "the masters named",
                            place_of(forward, text), forward->master);
    }
    return check_auth(builder, forward);
}

static int add(const struct builder *builder, const char *text)
{
    struct options *out = builder->out;
    struct option_value value = {0};
    char words[512];

    if (option_read_value(&option_table[OPTION_ID_FORWARD], text, &value, words, sizeof(words)) !=
        0) {
        return options_fail(builder->error, "--forward: %s", words);
    }
    *MEM_APPEND(out->forwards, out->n_forwards) = value.forward;
    return check(builder, &out->forwards[out->n_forwards - 1]);
}

int options_build_forwards(const struct builder *builder)
{
    const struct setting *setting = settings_winner(builder->settings, OPTION_ID_FORWARD, NULL);

    for (size_t i = 0; setting && i < setting->n_items; i++) {
        if (add(builder, setting->items[i]) != 0) {
            return -BW_EINVAL;
        }
    }
    builder->out->watch.fence_matters =
        builder->out->redis_api != REDIS_API_OFF || builder->out->n_forwards > 0;
    return 0;
}
