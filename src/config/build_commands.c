/*
 * The options of commands over HTTP: the rules, the tokens, and where they may be served without a
 * token. Their numbers come by the table like all others.
 */
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/error.h"
#include "bellwether/commands/command_table.h"
#include "http/server/access.h"
#include "options_internal.h"

/* ---- the rules ---- */

static int build_policy(const struct settings *settings, struct options *out,
                        struct options_error *error)
{
    const struct setting *setting = settings_winner(settings, OPTION_ID_COMMANDS, NULL);
    const char *rules = option_table[OPTION_ID_COMMANDS].fallback;
    char words[512];

    if (setting) {
        /* no rules at all are not the usual ones */
        rules = setting->n_items > 0 ? setting->items[0] : "";
    }
    out->policy = policy_parse(rules, words, sizeof(words));
    if (!out->policy) {
        return options_fail(error, "commands (%.200s): %s", !setting ? "default" : setting->where,
                            words);
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
static struct secret *make_tokens(const struct settings *settings, int file_id, int value_id,
                                  struct options *out, struct options_error *error)
{
    struct secret *secret = options_secret(settings, NULL, file_id, value_id, out, error);
    const char *text = !secret ? NULL : secret_value(secret);
    const char *wrong = !text ? NULL : access_tokens_wrong(text);

    if (wrong) {
        const struct setting *given = settings_winner(settings, file_id, NULL);
        const struct setting *variable =
            value_id < 0 ? NULL : settings_winner(settings, value_id, NULL);
        const char *from = setting_item(given);
        int id = file_id;

        if (setting_item(variable) && strcmp(setting_item(variable), text) == 0) {
            given = variable;
            from = "it"; /* what it holds is never repeated */
            id = value_id;
        }
        (void)options_fail(error, "%s (%.200s): %.200s %s; takes one token a line, two at most",
                           option_table[id].name, given ? given->where : "", from, wrong);
        secret_free(secret);
        return NULL;
    }
    if (text && access_tokens_short(text)) {
        options_note(out, LOG_LEVEL_WARN,
                     "a token is shorter than 16 characters: it may be guessed", "option",
                     option_table[!secret_path(secret) ? value_id : file_id].name);
    }
    return secret;
}

static int build_tokens(const struct settings *settings, struct options *out,
                        struct options_error *error)
{
    out->tokens = make_tokens(settings, OPTION_ID_TOKEN_FILE, OPTION_ID_TOKEN, out, error);
    if (!out->tokens) {
        return -BW_EINVAL;
    }
    out->read_only_tokens = make_tokens(settings, OPTION_ID_READ_ONLY_TOKEN_FILE, -1, out, error);
    if (!out->read_only_tokens) {
        return -BW_EINVAL;
    }
    if (!secret_value(out->tokens) && !secret_value(out->read_only_tokens)) {
        return options_fail(
            error,
            "redis-api: \"token\" without a token; takes --token-file, --read-only-token-file or %s",
            "BELLWETHER_TOKEN with it");
    }
    return 0;
}

static void note_unused_tokens(const struct settings *settings, struct options *out)
{
    static const int ids[] = {OPTION_ID_TOKEN_FILE, OPTION_ID_READ_ONLY_TOKEN_FILE,
                              OPTION_ID_TOKEN};

    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        const struct setting *setting = settings_winner(settings, ids[i], NULL);

        if (setting_item(setting)) {
            options_note(out, LOG_LEVEL_WARN, "tokens are looked at with redis-api = token only",
                         "given", setting->where);
        }
    }
}

/* ---- without tokens ---- */

/* A name may mean another address tomorrow, so only literals count. */
static int check_loopback(const struct options *out, struct options_error *error)
{
    for (size_t i = 0; i < out->n_listens; i++) {
        const struct http_listen *listen = &out->listens[i];
        char text[ADDRESS_TEXT_SIZE];

        if (listen->scope == HTTP_SCOPE_ALL && !listen->unix_path &&
            !address_is_loopback(&listen->address)) {
            return options_fail(
                error,
                "redis-api: \"loopback\" with --listen %s, which others may reach; takes 127.0.0.1, [::1], "
                "a Unix socket, or ,scope=discovery there",
                address_format(&listen->address, text));
        }
    }
    return 0;
}

/* ---- all of it ---- */

static void build_max_lag(const struct settings *settings, struct options *out)
{
    const struct option_entry *entry = &option_table[OPTION_ID_REPLICA_MAX_LAG];
    const char *text = setting_item(settings_winner(settings, OPTION_ID_REPLICA_MAX_LAG, NULL));
    struct option_value value;
    char words[512];

    out->replica_max_lag_bytes = -1;
    if (text && option_read_value(entry, text, &value, words, sizeof(words)) == 0) {
        out->watch.lag_matters = true;
        out->replica_max_lag_bytes = value.number; /* it was checked when it was given */
    }
}

int options_build_commands(const struct settings *settings, struct options *out,
                           struct options_error *error)
{
    build_max_lag(settings, out);
    out->watch.runs_commands = out->redis_api != REDIS_API_OFF;
    if (build_policy(settings, out, error) != 0) {
        return -BW_EINVAL;
    }
    if (out->redis_api == REDIS_API_TOKEN) {
        return build_tokens(settings, out, error);
    }
    note_unused_tokens(settings, out);
    return out->redis_api == REDIS_API_LOOPBACK ? check_loopback(out, error) : 0;
}
