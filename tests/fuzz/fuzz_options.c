/*
 * The options' parsers. The first byte chooses: an INI file, a list of arguments, or a list of
 * variables (words end with a zero byte). A refusal must have words; what is accepted must be
 * printable and, without files to read, buildable or refused with words.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/build.h"
#include "config/file.h"
#include "config/help.h"

#define MAX_WORDS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int condition)
{
    if (!condition) {
        abort();
    }
}

static int read_file_bytes(struct settings *settings, char *bytes, size_t size,
                           struct options_error *error)
{
    FILE *stream = fmemopen(bytes, size, "r");

    if (!stream) {
        return options_fail(error, "no stream");
    }
    int failed = settings_from_stream(settings, stream, "fuzz.ini", error);
    (void)fclose(stream);
    return failed;
}

/* Cuts `bytes` (which ends with a zero byte) into words; NULL after the last. @return how many. */
static int cut(char *bytes, size_t size, char **words, int n)
{
    for (char *at = bytes; n < MAX_WORDS - 1 && at < bytes + size; at += strlen(at) + 1) {
        words[n++] = at;
    }
    words[n] = NULL;
    return n;
}

static void use(struct settings *settings)
{
    struct options_error error = {{0}};
    struct options options;
    FILE *sink = fopen("/dev/null", "w");

    if (sink) {
        settings->action = ACTION_PRINT_CONFIG;
        check(options_print(sink, settings));
        (void)fclose(sink);
    }
    /* no paths of the fuzzer's making are opened */
    if (settings_winner(settings, OPTION_ID_REDIS_PASSWORD_FILE, NULL) ||
        settings_winner(settings, OPTION_ID_SENTINEL_PASSWORD_FILE, NULL) ||
        settings_winner(settings, OPTION_ID_TOKEN_FILE, NULL) ||
        settings_winner(settings, OPTION_ID_READ_ONLY_TOKEN_FILE, NULL)) {
        return;
    }
    for (size_t i = 0; i < settings->n_sections; i++) {
        if (settings->sections[i].settings[OPTION_ID_REDIS_PASSWORD_FILE].where ||
            settings->sections[i].settings[OPTION_ID_SENTINEL_PASSWORD_FILE].where) {
            return;
        }
    }
    if (options_build(settings, &options, &error) == 0) {
        check(options.n_listens > 0 && options.watch.n_deployments > 0);
        check(options.workers >= 1 && options.workers <= 64);
        check(options.policy && options.replica_max_lag_bytes >= -1);
        options_release(&options);
    } else {
        check(error.text[0] != '\0' && !strchr(error.text, '\n'));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings settings = {0};
    struct options_error error = {{0}};
    char *words[MAX_WORDS];
    int failed = 0;

    if (size < 2) {
        return 0;
    }
    char *bytes = malloc(size);
    if (!bytes) {
        return 0;
    }
    memcpy(bytes, data + 1, size - 1);
    bytes[size - 1] = '\0';
    if (data[0] % 3 == 0) {
        failed = read_file_bytes(&settings, bytes, size - 1, &error);
    } else if (data[0] % 3 == 1) {
        words[0] = bytes; /* any program name */
        failed = settings_from_flags(&settings, cut(bytes, size - 1, words, 1), words, &error);
    } else {
        (void)cut(bytes, size - 1, words, 0);
        failed = settings_from_environment(&settings, words, &error);
    }
    check((failed == 0) == (error.text[0] == '\0'));
    check(!strchr(error.text, '\n'));
    if (failed == 0) {
        use(&settings);
    }
    settings_release(&settings);
    free(bytes);
    return 0;
}
