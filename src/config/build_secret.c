/* Secrets from files or the environment, and what building the options leaves for the log. */
#include "build_secret.h"

#include <stdio.h>
#include <string.h>

#include "bellwether/base/memory.h"

void options_note(struct options *out, enum log_level level, const char *message, const char *key,
                  const char *value)
{
    for (size_t i = 0; i < out->n_notes; i++) {
        if (strcmp(out->notes[i].message, message) == 0 &&
            strcmp(out->notes[i].value, value) == 0) {
            return; /* several may share a file, both sides an option */
        }
    }
    *MEM_APPEND(out->notes, out->n_notes) = (struct options_note){
        .level = level, .message = message, .key = key, .value = mem_strdup(value)};
}

/* A warning, not an error: the mode is often chosen by whatever mounts the secret. */
static void note_exposed(struct options *out, struct secret *secret)
{
    const char *words = secret_exposed(secret);
    char text[512];

    if (!words) {
        return;
    }
    (void)snprintf(text, sizeof(text), "%.400s: %s", secret_path(secret), words);
    options_note(out, LOG_LEVEL_WARN, "others can get at a file with a secret", "file", text);
}

struct secret *options_secret(const struct builder *builder, const struct setting *own, int file_id,
                              int value_id)
{
    enum option_source source;
    const struct setting *file = settings_winner(builder->settings, file_id, &source);
    const char *value = value_id < 0 ? NULL : settings_item(builder->settings, value_id);
    char words[512];

    if (own && own->where) {
        file = own;
        value = NULL;
    } else if (value && source < SOURCE_ENVIRONMENT) {
        file = NULL;
    }
    struct secret *secret = secret_new(setting_item(file), value, words, sizeof(words));
    if (!secret) {
        (void)options_fail(builder->error, "%s (%.200s): %s; takes a file that can be read",
                           option_table[file_id].name, !file ? "" : file->where, words);
        return NULL;
    }
    note_exposed(builder->out, secret);
    return secret;
}

bool options_has_name(char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

bool options_is_watched(const struct watch_config *watch, const char *name)
{
    for (size_t i = 0; i < watch->n_deployments; i++) {
        if (watch->deployments[i].all_masters ||
            options_has_name(watch->deployments[i].masters, watch->deployments[i].n_masters,
                             name)) {
            return true;
        }
    }
    return false;
}
