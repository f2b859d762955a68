/*
 * The states of a master and the reasons beside them: one table each, one function that moves.
 * DESIGN section 3, HTTP.md "reason".
 */
#ifndef BELLWETHER_TOPOLOGY_STATE_H
#define BELLWETHER_TOPOLOGY_STATE_H

#include <stdbool.h>

#define MASTER_STATES(X) \
    X(UNKNOWN, "unknown") \
    X(OK, "ok") \
    X(UNVERIFIED, "unverified") \
    X(FAILING_OVER, "failing_over") \
    X(CONFLICT, "conflict") \
    X(DOWN, "down")

enum master_state {
#define X(name, text) MASTER_##name,
    MASTER_STATES(X)
#undef X
        MASTER_STATES_COUNT
};

#define REASONS(X) \
    X(NONE, NULL) \
    X(STARTING, "starting") \
    X(NO_SENTINEL_REACHABLE, "no_sentinel_reachable") \
    X(SENTINEL_AUTH, "sentinel_auth") \
    X(SENTINEL_TLS, "sentinel_tls") \
    X(SENTINEL_DENIED, "sentinel_denied") \
    X(UNKNOWN_NAME, "unknown_name") \
    X(NO_MAJORITY, "no_majority") \
    X(REDIS_UNREACHABLE, "redis_unreachable") \
    X(REDIS_TIMEOUT, "redis_timeout") \
    X(REDIS_AUTH, "redis_auth") \
    X(REDIS_DENIED, "redis_denied") \
    X(REDIS_TLS, "redis_tls") \
    X(REDIS_LOADING, "redis_loading") \
    X(ROLE_MISMATCH, "role_mismatch") \
    X(FAILING_OVER, "failing_over") \
    X(CONFLICT, "conflict") \
    X(DISPUTED, "disputed") \
    X(WATCHER_STALLED, "watcher_stalled")

enum reason {
#define X(name, text) REASON_##name,
    REASONS(X)
#undef X
};

/** "ok", "down", ... Static. Thread: any. */
const char *master_state_text(enum master_state state);
/** Whether `/master` answers 200 in this state, as long as it is confirmed (master_serves()). */
bool master_state_serves(enum master_state state);
/**
 * Whether `/master` answers 200. Beside REASON_WATCHER_STALLED a state is from before a gap in this
 * daemon's time, and nobody has vouched for it since: it serves nobody.
 */
bool master_serves(enum master_state state, enum reason reason);
/** Whether the table allows this move (a state to itself is always allowed). */
bool master_state_may_move(enum master_state from, enum master_state to);
/** Move; the one place where a state changes. A move that the table forbids is a bug: it aborts. */
void master_state_move(enum master_state *state, enum master_state to);
/** "redis_timeout", ...; NULL for REASON_NONE. */
const char *reason_text(enum reason reason);

#endif
