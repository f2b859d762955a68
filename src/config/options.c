/*
 * Options: flags, environment and file into settings (sources.h), settings into struct options, and
 * the actions that print and exit.
 */
#include "bellwether/config/options.h"

#include <stdio.h>

#include "build.h"
#include "file.h"
#include "help.h"

/* The file is named by a flag or a variable, so those are read first. */
static int read_all(struct settings *settings, int argc, char **argv, char **environment,
                    struct options_error *error)
{
    int failed = settings_from_flags(settings, argc, argv, error);

    if (settings->action == ACTION_HELP) { /* who asks for help gets it, whatever else is wrong */
        error->text[0] = '\0';
        return 0;
    }
    /* a probe is run in a daemon's environment, and must not fail for what is wrong there */
    if (failed != 0 || settings->action == ACTION_VERSION ||
        settings->action == ACTION_COMPLETION || settings->action == ACTION_MAN_OPTIONS ||
        settings_winner(settings, OPTION_ID_PROBE, NULL)) {
        return failed;
    }
    failed = settings_from_environment(settings, environment, error);
    const char *file = failed == 0 ? settings_item(settings, OPTION_ID_CONFIG) : NULL;
    return file ? settings_from_file(settings, file, error) : failed;
}

enum options_outcome options_read(int argc, char **argv, char **environment, struct options *out,
                                  int *exit_code)
{
    struct options_error error = {{0}};
    struct settings settings = {0};
    struct options built;
    enum options_outcome outcome = OPTIONS_EXIT;
    int code = 0;

    if (read_all(&settings, argc, argv, environment, &error) != 0) {
        code = 2;
    } else if (!options_print(stdout, &settings)) {
        if (options_build(&settings, &built, &error) != 0) {
            code = 2;
        } else if (settings.action == ACTION_CHECK_CONFIG) {
            (void)puts("ok");
            options_release(&built);
        } else {
            outcome = OPTIONS_RUN;
        }
    }
    settings_release(&settings);
    if (code != 0) {
        log_plain("bellwether: %s", error.text);
    }
    if (outcome == OPTIONS_RUN) {
        *out = built;
    } else {
        *exit_code = fflush(stdout) == 0 ? code : 1;
    }
    return outcome;
}
