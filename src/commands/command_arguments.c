/*
 * What a command's arguments decide, where its name alone does not: see enum command_care.
 */
#include <string.h>
#include <strings.h>

#include "bellwether/commands/batch.h"
#include "bellwether/commands/command_table.h"

#define NEVER_BLOCKS_WITH \
    "never with BLOCK: it would block the connection, which is shared; ask again without BLOCK"
#define NEVER_SENTINEL \
    "never to channels of __sentinel__: Sentinels follow what is said there, and who may say it picks the master"

#define NEVER_AS_COMMAND \
    "never as a command; GET or POST /redis/subscribe/{channel} or /redis/psubscribe/{pattern} is a stream of it, where the option commands allows it"

static bool argument_is(const char *bytes, size_t size, const char *word)
{
    return size == strlen(word) && strncasecmp(bytes, word, size) == 0;
}

/*
 * XREAD [COUNT n] [BLOCK ms] STREAMS ..., XREADGROUP GROUP group consumer [COUNT n] [BLOCK ms]
 * [NOACK] STREAMS ...: what stands behind a word that takes values is no word itself.
 */
static bool has_block(const char *at, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        size_t size;
        const char *bytes = batch_next_argument(&at, &size);
        size_t values = argument_is(bytes, size, "GROUP")   ? 2
                        : argument_is(bytes, size, "COUNT") ? 1
                                                            : 0;

        if (argument_is(bytes, size, "STREAMS")) {
            return false;
        }
        if (argument_is(bytes, size, "BLOCK")) {
            return true;
        }
        for (; values > 0 && i + 1 < n; values--, i++) {
            (void)batch_next_argument(&at, &size);
        }
    }
    return false;
}

const char *command_arguments_refused(enum command_care care, const char *wire, size_t n)
{
    static const char bus[] = "__sentinel__:";
    const char *at = wire;
    const char *bytes;
    size_t size;

    (void)batch_next_argument(&at, &size); /* the name */
    if (care == COMMAND_CARE_STREAM) {
        return NEVER_AS_COMMAND;
    }
    if (care == COMMAND_CARE_BLOCK) {
        return has_block(at, n) ? NEVER_BLOCKS_WITH : NULL;
    }
    if (care == COMMAND_CARE_CHANNEL && n > 1) {
        bytes = batch_next_argument(&at, &size);
        return size >= sizeof(bus) - 1 && memcmp(bytes, bus, sizeof(bus) - 1) == 0 ? NEVER_SENTINEL
                                                                                   : NULL;
    }
    return NULL;
}
