/* Arguments that are refused though the command may run: channels of the Sentinels, and BLOCK. */
#include <criterion/criterion.h>
#include <string.h>

#include "bellwether/commands/batch.h"
#include "bellwether/commands/command_table.h"

static bool refuses(enum command_care care, const char *json, const char *words)
{
    char error[BATCH_ERROR_SIZE];
    struct batch *batch = NULL;

    cr_assert_eq(batch_read(json, strlen(json), BATCH_ONE, &batch, error), 0, "%s: %s", json,
                 error);
    const char *why =
        command_arguments_refused(care, batch_wire(batch, 0), batch->commands[0].arguments);
    batch_free(batch);
    return why && strstr(why, words);
}

Test(commands, sentinels_channels_are_theirs)
{
    static const char *const refused[] = {
        "[\"PUBLISH\",\"__sentinel__:hello\",\"x\"]",
        "[\"SPUBLISH\",\"__sentinel__:hello\",\"x\"]",
        "[\"publish\",\"__sentinel__:\",\"x\"]",
        "[\"publish\",\"\\u005f_sentinel__:hello\\u0000\",\"x\"]",
        "[\"publish\",\"__sentinel__:hello\"]",
    };
    static const char *const fine[] = {
        "[\"PUBLISH\",\"__sentinel__\",\"__sentinel__:hello\"]",
        "[\"PUBLISH\",\"__Sentinel__:hello\",\"x\"]",
        "[\"PUBLISH\",\" __sentinel__:hello\",\"x\"]",
        "[\"PUBLISH\",\"\",\"x\"]",
        "[\"PUBLISH\"]",
    };

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        cr_expect(refuses(COMMAND_CARE_CHANNEL, refused[i], "never to channels of __sentinel__"),
                  "%s", refused[i]);
    }
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        cr_expect_not(refuses(COMMAND_CARE_CHANNEL, fine[i], ""), "%s", fine[i]);
    }
}

Test(commands, block_is_an_option_before_streams)
{
    static const char *const refused[] = {
        "[\"XREAD\",\"BLOCK\",0,\"STREAMS\",\"s\",\"$\"]",
        "[\"XREAD\",\"block\",\"1\",\"streams\",\"s\",\"$\"]",
        "[\"XREAD\",\"COUNT\",\"2\",\"BLoCK\",\"1\",\"STREAMS\",\"s\",\"$\"]",
        "[\"XREADGROUP\",\"GROUP\",\"g\",\"c\",\"BLOCK\",\"1\",\"STREAMS\",\"s\",\">\"]",
        "[\"XREADGROUP\",\"GROUP\",\"g\",\"c\",\"NOACK\",\"BLOCK\",\"1\",\"STREAMS\",\"s\",\">\"]",
        "[\"XREADGROUP\",\"BLOCK\",\"1\",\"group\",\"g\",\"c\",\"STREAMS\",\"s\",\">\"]",
        "[\"XREADGROUP\",\"GROUP\",\"STREAMS\",\"c\",\"BLOCK\",\"1\",\"STREAMS\",\"s\",\">\"]",
        "[\"XREAD\",\"COUNT\",\"STREAMS\",\"BLOCK\",\"1\",\"STREAMS\",\"s\",\"$\"]",
        "[\"XREAD\",\"BLOCK\"]",
    };
    static const char *const fine[] = {
        "[\"XREAD\",\"STREAMS\",\"s\",\"0\"]",
        "[\"XREAD\",\"COUNT\",1,\"STREAMS\",\"BLOCK\",\"0\"]",
        "[\"XREADGROUP\",\"GROUP\",\"BLOCK\",\"block\",\"STREAMS\",\"BLOCK\",\">\"]",
        "[\"XREADGROUP\",\"GROUP\",\"BLOCK\",\"c\",\"NOACK\",\"COUNT\",\"9\",\"STREAMS\",\"s\",\">\"]",
        "[\"XREADGROUP\",\"GROUP\",\"g\"]",
        "[\"XREAD\",\"COUNT\"]",
        "[\"XREAD\"]",
    };

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        cr_expect(refuses(COMMAND_CARE_BLOCK, refused[i], "without BLOCK"), "%s", refused[i]);
    }
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        cr_expect_not(refuses(COMMAND_CARE_BLOCK, fine[i], ""), "%s", fine[i]);
    }
}
