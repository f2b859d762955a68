/*
 * The options of commands over HTTP: the rules, the tokens, and where they may be served without a
 * token. Their numbers are made by the table, like all others.
 */
#include "build_commands.h"

#include <string.h>

#include "bellwether/base/error.h"
#include "http/server/access.h"

/* ---- the rules ---- */

static int build_policy(const struct builder *builder)
{
    struct options *out = builder->out;
    const struct setting *setting = settings_winner(builder->settings, OPTION_ID_COMMANDS, NULL);
    const char *rules = option_table[OPTION_ID_COMMANDS].fallback;
    char words[512];

    if (setting) {
        /* given as empty: no rules, instead of the default ones */
        rules = setting->n_items > 0 ? setting->items[0] : "";
    }
    out->policy = policy_parse(rules, words, sizeof(words));
    if (!out->policy) {
        return options_fail(builder->error, "commands (%.200s): %s",
                            !setting ? "default" : setting->where, words);
    }
    if (out->redis_api != REDIS_API_OFF && policy_allows_scripts(out->policy)) {
        options_note(
            out, LOG_LEVEL_WARN,
            "scripts and functions are allowed: the rules of commands do not hold within them, a Redis "
            "ACL user's do",
            "commands", rules);
    }
    return 0;
}

/* ---- tokens ---- */

/* @return NULL after options_fail(). */
static struct secret *make_tokens(const struct builder *builder, int file_id, int value_id)
{
    struct secret *secret = options_secret(builder, NULL, file_id, value_id);
    const char *text = !secret ? NULL : secret_value(secret);
    const char *wrong = !text ? NULL : access_tokens_wrong(text);

    if (wrong) {
        const struct setting *given = settings_winner(builder->settings, file_id, NULL);
        const struct setting *variable =
            value_id < 0 ? NULL : settings_winner(builder->settings, value_id, NULL);
        const char *from = setting_item(given);
        int id = file_id;

        if (setting_item(variable) && strcmp(setting_item(variable), text) == 0) {
            given = variable;
            from = "it"; /* what it holds is never repeated */
            id = value_id;
        }
        (void)options_fail(builder->error,
                           "%s (%.200s): %.200s %s; takes one token a line, two at most",
                           option_table[id].name, given ? given->where : "", from, wrong);
        secret_free(secret);
        return NULL;
    }
    if (text && access_tokens_short(text)) {
        options_note(builder->out, LOG_LEVEL_WARN,
                     "a token is shorter than 16 characters: it may be guessed", "option",
                     option_table[!secret_path(secret) ? value_id : file_id].name);
    }
    return secret;
}

static int build_tokens(const struct builder *builder)
{
    struct options *out = builder->out;

    out->tokens = make_tokens(builder, OPTION_ID_TOKEN_FILE, OPTION_ID_TOKEN);
    out->read_only_tokens =
        !out->tokens ? NULL : make_tokens(builder, OPTION_ID_READ_ONLY_TOKEN_FILE, -1);
    if (!out->read_only_tokens) {
        return -BW_EINVAL;
    }
    if (!secret_value(out->tokens) && !secret_value(out->read_only_tokens)) {
        return options_fail(
            builder->error,
            "redis-api: \"token\" without a token; takes --token-file, --read-only-token-file or %s",
            "BELLWETHER_TOKEN with it");
    }
    return 0;
}

static void note_unused_tokens(const struct builder *builder)
{
    static const int ids[] = {OPTION_ID_TOKEN_FILE, OPTION_ID_READ_ONLY_TOKEN_FILE,
                              OPTION_ID_TOKEN};

    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        const struct setting *setting = settings_winner(builder->settings, ids[i], NULL);

        if (setting_item(setting)) {
            options_note(builder->out, LOG_LEVEL_WARN,
                         "tokens are looked at with redis-api = token only", "given",
                         setting->where);
        }
    }
}

/* ---- without tokens ---- */

/* A name may mean another address tomorrow, so only literals count. */
static int check_loopback(const struct builder *builder)
{
    for (size_t i = 0; i < builder->out->n_listens; i++) {
        const struct http_listen *listen = &builder->out->listens[i];
        char text[ADDRESS_TEXT_SIZE];

        if (listen->scope == HTTP_SCOPE_ALL && !listen->place.unix_path &&
            !address_is_loopback(&listen->place.address)) {
            return options_fail(
                builder->error,
                "redis-api: \"loopback\" with --listen %s, which others may reach; takes 127.0.0.1, [::1], "
                "a Unix socket, or ,scope=discovery there",
                address_format(&listen->place.address, text));
        }
    }
    return 0;
}

/* ---- all of it ---- */

int options_build_commands(const struct builder *builder)
{
    enum redis_api redis_api = builder->out->redis_api;

    if (build_policy(builder) != 0) {
        return -BW_EINVAL;
    }
    if (redis_api == REDIS_API_TOKEN) {
        return build_tokens(builder);
    }
    note_unused_tokens(builder);
    return redis_api == REDIS_API_LOOPBACK ? check_loopback(builder) : 0;
}
