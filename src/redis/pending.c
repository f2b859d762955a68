/*
 * The commands in flight: a ring, in the order in which they were sent and will be answered.
 * Deadlines, and what becomes of those that are not answered.
 */
#include "pending.h"

#include "bellwether/base/budget.h"

/* What an idle connection may keep; a long pipeline needs more for a while. */
#define ROOM_KEPT 256

struct conn_command *conn_queue_at(const struct redis_conn *conn, size_t i)
{
    return &conn->commands[(conn->first_command + i) & (conn->room - 1)];
}

static void grow(struct redis_conn *conn)
{
    size_t room = conn->room > 0 ? conn->room * 2 : 8; /* a power of two: conn_queue_at() masks */
    struct conn_command *grown = budget_new(room, sizeof(*grown));

    for (size_t i = 0; i < conn->n_commands; i++) {
        grown[i] = *conn_queue_at(conn, i);
    }
    budget_free(conn->commands);
    conn->commands = grown;
    conn->room = room;
    conn->first_command = 0;
}

void conn_queue_push(struct redis_conn *conn, const struct conn_command *command)
{
    if (conn->n_commands == conn->room) {
        grow(conn);
    }
    conn->n_commands++;
    *conn_queue_at(conn, conn->n_commands - 1) = *command;
    if (command->deadline_ms != 0 &&
        (conn->timer_ms == 0 || command->deadline_ms < conn->timer_ms)) {
        conn_arm(conn, command->deadline_ms);
    }
}

struct conn_command conn_queue_pop(struct redis_conn *conn)
{
    struct conn_command command = *conn_queue_at(conn, 0);

    conn->first_command = (conn->first_command + 1) & (conn->room - 1);
    conn->n_commands--;
    if (conn->n_commands > 0) {
        return command;
    }
    if (conn->timer_ms != 0 && conn->state == CONN_READY) {
        conn_disarm(conn); /* else an idle connection would be woken once for each question */
    }
    if (conn->room > ROOM_KEPT) {
        budget_free(conn->commands);
        conn->commands = NULL;
        conn->room = conn->first_command = 0;
    }
    return command;
}

struct redis_expect *conn_queue_expect(const struct redis_conn *conn)
{
    return conn->n_commands > 0 ? conn_queue_at(conn, 0)->expect : NULL;
}

size_t conn_queue_unsent(const struct redis_conn *conn)
{
    /* An expect whose answer has begun all the same stays in place until that has ended. */
    size_t n = 0, most = conn->n_commands - (conn->reader.sink.into && conn->n_commands > 0);

    while (n < most) {
        const struct redis_expect *expect = conn_queue_at(conn, conn->n_commands - 1 - n)->expect;

        if (!expect || expect->begin < conn->begun) {
            break;
        }
        n++;
    }
    return n;
}

void conn_queue_abandon(struct redis_conn *conn, enum redis_fail why)
{
    while (conn->n_commands > 0) {
        struct conn_command command = conn_queue_pop(conn);

        if (command.expect) {
            command.expect->done(command.expect, why, redis_conn_has_written(conn, command.expect));
        } else if (command.done) {
            command.done(command.data, NULL, why);
        }
    }
}

int64_t conn_queue_earliest(const struct redis_conn *conn)
{
    int64_t earliest_ms = 0;

    for (size_t i = 0; i < conn->n_commands; i++) {
        int64_t deadline_ms = conn_queue_at(conn, i)->deadline_ms;

        if (deadline_ms != 0 && (earliest_ms == 0 || deadline_ms < earliest_ms)) {
            earliest_ms = deadline_ms;
        }
    }
    return earliest_ms;
}

bool redis_conn_has_begun(const struct redis_conn *conn, const struct redis_expect *expect)
{
    return conn->begun > expect->begin;
}

bool redis_conn_has_written(const struct redis_conn *conn, const struct redis_expect *expect)
{
    return conn->taken >= expect->end;
}
