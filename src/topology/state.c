/*
 * The table of states: their names, whether `/master` answers 200 in them, and where each may go.
 * Two things are forbidden, and both would be lies to callers: to become `unknown` again once an
 * address was published (there is a last known one), and to leave `unknown` for a state of trouble
 * (nothing was published yet that could be in trouble).
 */
#include "bellwether/topology/state.h"

#include <stddef.h>
#include <stdlib.h>

#include "bellwether/base/log.h"

#define BIT(state) (1u << MASTER_##state)
#define TROUBLE (BIT(FAILING_OVER) | BIT(CONFLICT) | BIT(DOWN))
#define PUBLISHED (BIT(OK) | BIT(UNVERIFIED) | TROUBLE)

struct state_row {
    const char *text;
    bool serves;
    unsigned next; /* bits of the states it may move to */
};

static const struct state_row states[MASTER_STATES_COUNT] = {
    [MASTER_UNKNOWN] = {"unknown", false, BIT(OK) | BIT(UNVERIFIED)},
    [MASTER_OK] = {"ok", true, PUBLISHED},
    [MASTER_UNVERIFIED] = {"unverified", true, PUBLISHED},
    [MASTER_FAILING_OVER] = {"failing_over", false, PUBLISHED},
    [MASTER_CONFLICT] = {"conflict", false, PUBLISHED},
    [MASTER_DOWN] = {"down", false, PUBLISHED},
};

static const struct state_row *row_of(enum master_state state)
{
    if ((unsigned)state >= MASTER_STATES_COUNT) {
        return &states[MASTER_UNKNOWN];
    }
    return &states[state];
}

const char *master_state_text(enum master_state state)
{
    return row_of(state)->text;
}

bool master_state_serves(enum master_state state)
{
    return row_of(state)->serves;
}

bool master_serves(enum master_state state, enum reason reason)
{
    return master_state_serves(state) && reason != REASON_WATCHER_STALLED;
}

bool master_state_may_move(enum master_state from, enum master_state to)
{
    if ((unsigned)from >= MASTER_STATES_COUNT || (unsigned)to >= MASTER_STATES_COUNT) {
        return false;
    }
    return from == to || (states[from].next & (1u << to)) != 0;
}

void master_state_move(enum master_state *state, enum master_state to)
{
    if (!master_state_may_move(*state, to)) {
        log_plain("bellwether: a master may not move from %s to %s", master_state_text(*state),
                  master_state_text(to));
        abort();
    }
    *state = to;
}

const char *reason_text(enum reason reason)
{
    static const char *const texts[] = {
#define X(name, text) [REASON_##name] = (text),
        REASONS(X)
#undef X
    };

    if ((unsigned)reason >= sizeof(texts) / sizeof(texts[0])) {
        return NULL;
    }
    return texts[reason];
}
