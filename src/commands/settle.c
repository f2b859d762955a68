/* What happened to a command, what it is, and what is done about it, as a table. */
#include "settle.h"

#include <stddef.h>
#include <string.h>

/* What a row says of commands of its kind; ANY stands for every other. */
enum kind { KIND_ANY, KIND_READ, KIND_SCRIPT, KIND_TWICE };

static const struct row {
    enum mishap mishap;
    enum kind kind;
    enum settlement settlement;
    enum metric_retry reason; /* with RUN_AGAIN and REST */
} rows[] = {
    /* the first that fits */
    {MISHAP_UNSENT, KIND_ANY, SETTLE_RUN_AGAIN, METRIC_RETRY_UNWRITTEN},
    {MISHAP_UNWRITTEN, KIND_ANY, SETTLE_RUN_AGAIN, METRIC_RETRY_UNWRITTEN},
    {MISHAP_LOST, KIND_READ, SETTLE_RUN_AGAIN, METRIC_RETRY_LOST_READ},
    {MISHAP_LOST, KIND_TWICE, SETTLE_RUN_AGAIN, METRIC_RETRY_ASKED_FOR},
    {MISHAP_LOST, KIND_ANY, SETTLE_UNKNOWN, METRIC_RETRY_COUNT},
    {MISHAP_READONLY, KIND_SCRIPT, SETTLE_TAKE, METRIC_RETRY_COUNT},
    {MISHAP_READONLY, KIND_ANY, SETTLE_REST, METRIC_RETRY_READ_ONLY},
    {MISHAP_LOADING, KIND_SCRIPT, SETTLE_TAKE, METRIC_RETRY_COUNT},
    {MISHAP_LOADING, KIND_ANY, SETTLE_REST, METRIC_RETRY_LOADING},
    {MISHAP_MASTERDOWN, KIND_SCRIPT, SETTLE_TAKE, METRIC_RETRY_COUNT},
    {MISHAP_MASTERDOWN, KIND_ANY, SETTLE_REST, METRIC_RETRY_MASTERDOWN},
    /* the member's refusal is the server's own word, not a script's: those run only in EXEC */
    {MISHAP_EXECABORT, KIND_ANY, SETTLE_REST, METRIC_RETRY_EXECABORT},
    {MISHAP_FENCED, KIND_READ, SETTLE_TAKE, METRIC_RETRY_COUNT},
    {MISHAP_FENCED, KIND_TWICE, SETTLE_RUN_AGAIN, METRIC_RETRY_ASKED_FOR},
    {MISHAP_FENCED, KIND_ANY, SETTLE_UNKNOWN, METRIC_RETRY_COUNT},
    {MISHAP_DEADLINE, KIND_ANY, SETTLE_UNKNOWN, METRIC_RETRY_COUNT},
    {MISHAP_NEVER_SENT, KIND_ANY, SETTLE_NOT_SENT, METRIC_RETRY_COUNT},
};

static bool is_of_kind(const struct settle_facts *facts, enum kind kind)
{
    switch (kind) {
    case KIND_READ: return facts->read_only;
    case KIND_SCRIPT: return facts->script;
    case KIND_TWICE: return facts->retry_always;
    case KIND_ANY: break;
    }
    return true;
}

enum settlement settle(enum mishap mishap, const struct settle_facts *facts,
                       enum metric_retry *reason)
{
    const struct row *row = rows;

    while (row->mishap != mishap || !is_of_kind(facts, row->kind)) {
        row++; /* each mishap has a row for any kind */
    }
    if (row->settlement == SETTLE_RUN_AGAIN || row->settlement == SETTLE_REST) {
        *reason = row->reason;
    }
    return row->settlement;
}

enum mishap settle_refusal(const char *words)
{
    static const struct {
        const char *word;
        enum mishap mishap;
    } refusals[] = {{"READONLY", MISHAP_READONLY},
                    {"LOADING", MISHAP_LOADING},
                    {"MASTERDOWN", MISHAP_MASTERDOWN}};

    for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
        size_t length = strlen(refusals[i].word);

        if (strncmp(words, refusals[i].word, length) == 0 &&
            (words[length] == ' ' || words[length] == '\0')) {
            return refusals[i].mishap;
        }
    }
    return MISHAPS;
}
