/*
 * A connected socket: HELLO, commands out in one write a turn, replies in and handed to whoever asked,
 * in order; pub/sub pushes; deadlines; and what a peer may not do (long replies, answers to nothing).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "conn_internal.h"

/* A thousand masters are 1.2 MB; beyond this the peer is broken or hostile. */
#define REPLY_BYTES_MAX (16 * 1024 * 1024)
#define REPLY_ELEMENTS_MAX (1024 * 1024)
/* What an idle connection may keep for reading. */
#define READER_KEEP_BYTES 4096
#define READER_SWOLLEN_BYTES (64 * 1024)

static void ended(struct redis_conn *conn, enum redis_fail why, const char *words)
{
    if (conn->state == CONN_HELLO)
        conn_dial_failed(conn, why, words);
    else
        conn_end(conn, why, words);
}

/* ---- commands in flight ---- */

static struct conn_command *command_at(const struct redis_conn *conn, size_t i)
{
    return &conn->commands[(conn->first_command + i) & (conn->room - 1)];
}

static void push_command(struct redis_conn *conn, const struct conn_command *command)
{
    if (conn->n_commands == conn->room) {
        size_t room = conn->room > 0 ? conn->room * 2 : 8; /* a power of two: command_at() masks */
        struct conn_command *grown = mem_new(room, sizeof *grown);

        for (size_t i = 0; i < conn->n_commands; i++)
            grown[i] = *command_at(conn, i);
        free(conn->commands);
        conn->commands = grown;
        conn->room = room;
        conn->first_command = 0;
    }
    conn->n_commands++;
    *command_at(conn, conn->n_commands - 1) = *command;
}

static struct conn_command pop_command(struct redis_conn *conn)
{
    struct conn_command command = *command_at(conn, 0);

    conn->first_command = (conn->first_command + 1) & (conn->room - 1);
    conn->n_commands--;
    return command;
}

void conn_stream_abandon(struct redis_conn *conn, enum redis_fail why)
{
    while (conn->n_commands > 0) {
        struct conn_command command = pop_command(conn);

        if (command.done != NULL)
            command.done(command.data, NULL, why);
    }
}

/* The timer stands at the earliest deadline or before it: while commands are in flight it is not moved with
 * every reply. */
void conn_stream_timer(struct redis_conn *conn)
{
    uint64_t session = conn->session;
    int64_t earliest_ms = 0;

    conn_stream_drain(conn); /* see attempt_timed_out() */
    if (conn->session != session)
        return;
    for (size_t i = 0; i < conn->n_commands; i++) {
        int64_t deadline_ms = command_at(conn, i)->deadline_ms;

        if (deadline_ms != 0 && (earliest_ms == 0 || deadline_ms < earliest_ms))
            earliest_ms = deadline_ms;
    }
    if (earliest_ms == 0)
        return;
    if (earliest_ms <= clock_boot_ms())
        conn_end(conn, REDIS_FAIL_TIMEOUT, "a command was not answered in time");
    else
        conn_arm(conn, earliest_ms);
}

void conn_stream_send(struct redis_conn *conn, const struct conn_command *command, int argc,
                      const char **argv, const size_t *argv_len)
{
    if (redisAppendCommandArgv(conn->context, argc, argv, argv_len) != REDIS_OK)
        abort(); /* out of memory, as in mem_new() */
    push_command(conn, command);
    if (command->deadline_ms != 0 && (conn->timer_ms == 0 || command->deadline_ms < conn->timer_ms))
        conn_arm(conn, command->deadline_ms);
    loop_later_queue(conn->loop, &conn->flush);
}

/* ---- the socket ---- */

void conn_stream_want(struct redis_conn *conn, int events)
{
    if (conn->wanted == events)
        return;
    conn->wanted = events;
    loop_poll_want(conn->poll, events);
}

static void prepare_reader(struct redis_conn *conn)
{
    conn->context->reader->maxbuf = READER_KEEP_BYTES;
    conn->context->reader->maxelements = REPLY_ELEMENTS_MAX;
    conn_arena_serve(&conn->arena, conn->context->reader);
}

void conn_stream_start(struct redis_conn *conn)
{
    redisOptions how = {.type = REDIS_CONN_USERFD,
                        .options = REDIS_OPT_NONBLOCK | REDIS_OPT_NO_PUSH_AUTOFREE};

    how.endpoint.fd = conn->fd;
    conn->context = redisConnectWithOptions(&how);
    if (conn->context == NULL || conn->context->err != 0 ||
        redisAppendFormattedCommand(conn->context, conn->hello, conn->hello_len) != REDIS_OK)
        abort(); /* nothing but memory can fail here */
    conn->fd = -1;
    prepare_reader(conn);
    conn->state = CONN_HELLO;
    conn->resp3 = false;
    conn->subscribed = false;
    conn->reply_bytes = 0;
    conn->swollen = false;
    conn_stream_want(conn, LOOP_READ | LOOP_WRITE);
}

void conn_stream_stop(struct redis_conn *conn)
{
    loop_later_cancel(conn->loop, &conn->flush);
    loop_poll_free(conn->poll);
    conn->poll = NULL;
    conn->wanted = 0;
    redisFree(conn->context); /* closes the socket */
    conn->context = NULL;
    conn_arena_release(&conn->arena);
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
}

static void read_failed(struct redis_conn *conn, int error)
{
    const redisContext *context = conn->context;
    enum redis_fail why = REDIS_FAIL_CLOSED;

    if (context->err == REDIS_ERR_PROTOCOL)
        why = REDIS_FAIL_PROTOCOL;
    else if (context->err == REDIS_ERR_IO && error == ETIMEDOUT)
        why = REDIS_FAIL_TIMEOUT;
    else if (context->err == REDIS_ERR_IO && (error == EHOSTUNREACH || error == ENETUNREACH))
        why = REDIS_FAIL_UNREACHABLE;
    ended(conn, why, conn_say(conn, "%s", context->err == REDIS_ERR_EOF ? "end of file" : context->errstr));
}

/* ---- replies ---- */

static bool is_word(const redisReply *reply, const char *word)
{
    return reply->type == REDIS_REPLY_STRING && reply->len == strlen(word) &&
           memcmp(reply->str, word, reply->len) == 0;
}

static bool is_message(const redisReply *reply)
{
    return reply->elements == 4 && is_word(reply->element[0], "pmessage") &&
           reply->element[1]->type == REDIS_REPLY_STRING && reply->element[2]->type == REDIS_REPLY_STRING &&
           reply->element[3]->type == REDIS_REPLY_STRING;
}

static bool is_acknowledgement(const redisReply *reply)
{
    return reply->elements == 3 && is_word(reply->element[0], "psubscribe") &&
           reply->element[1]->type == REDIS_REPLY_STRING && reply->element[2]->type == REDIS_REPLY_INTEGER;
}

/* RESP2 has no type of its own for pushes; there a subscribed connection gets nothing else of this form. */
static bool is_push(const struct redis_conn *conn, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_PUSH)
        return true;
    return !conn->resp3 && conn->subscribed && reply->type == REDIS_REPLY_ARRAY &&
           (is_message(reply) || is_acknowledgement(reply));
}

/* Owners get pmessage and psubscribe in full form only, so they need not check lengths. Other pushes
 * (invalidations, say) are nobody's business here. */
static void take_push(struct redis_conn *conn, const redisReply *push)
{
    if (is_acknowledgement(push)) {
        if (conn->n_commands == 0 || !command_at(conn, 0)->subscribe) {
            ended(conn, REDIS_FAIL_PROTOCOL, "an acknowledgement that nobody asked for");
            return;
        }
        pop_command(conn);
    } else if (!is_message(push)) {
        if (push->elements == 0 || push->element[0]->type != REDIS_REPLY_STRING ||
            is_word(push->element[0], "pmessage") || is_word(push->element[0], "psubscribe"))
            ended(conn, REDIS_FAIL_PROTOCOL, "a malformed push");
        return;
    }
    if (conn->hooks.push != NULL)
        conn->hooks.push(conn->data, push);
}

static void take_hello(struct redis_conn *conn, const redisReply *hello)
{
    conn_dial_ready(conn);
    conn->state = CONN_READY;
    conn->resp3 = hello->type != REDIS_REPLY_ERROR; /* with an error the server stays at RESP2 */
    if (conn->hooks.ready != NULL)
        conn->hooks.ready(conn->data, hello);
}

static void take_reply(struct redis_conn *conn, const redisReply *reply)
{
    struct conn_command command;

    if (conn->n_commands == 0) {
        ended(conn, REDIS_FAIL_PROTOCOL,
              reply->type == REDIS_REPLY_ERROR ? conn_say(conn, "unasked: %s", reply->str)
                                               : "a reply that nobody asked for");
        return;
    }
    if (command_at(conn, 0)->subscribe) {
        if (reply->type == REDIS_REPLY_ERROR)
            conn_end(conn, REDIS_FAIL_DENIED, conn_say(conn, "%s", reply->str));
        else
            conn_end(conn, REDIS_FAIL_PROTOCOL, "PSUBSCRIBE was not acknowledged");
        return;
    }
    command = pop_command(conn);
    if (conn->n_commands == 0)
        conn_disarm(conn); /* else an idle connection would be woken once for each question */
    if (command.done != NULL)
        command.done(command.data, reply, REDIS_FAIL_NONE);
}

static void take(struct redis_conn *conn, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ATTR)
        return; /* announces something about the next reply; nothing here asks for them */
    if (conn->state == CONN_HELLO) {
        if (reply->type == REDIS_REPLY_PUSH)
            ended(conn, REDIS_FAIL_PROTOCOL, "a push before HELLO was answered");
        else
            take_hello(conn, reply);
    } else if (is_push(conn, reply)) {
        take_push(conn, reply);
    } else {
        take_reply(conn, reply);
    }
}

/* A long reply leaves a long buffer; an idle connection gives it back. */
static void trim_reader(struct redis_conn *conn)
{
    redisReader *reader = conn->context->reader, *fresh;

    if (reader->len > READER_SWOLLEN_BYTES)
        conn->swollen = true;
    if (!conn->swollen || reader->pos != reader->len || reader->ridx != -1)
        return;
    fresh = redisReaderCreate();
    if (fresh == NULL)
        return;
    redisReaderFree(reader);
    conn->context->reader = fresh;
    prepare_reader(conn);
    conn->swollen = false;
}

static void take_all(struct redis_conn *conn)
{
    uint64_t session = conn->session;

    for (;;) {
        redisReader *reader = conn->context->reader;
        void *reply = NULL;

        if (redisReaderGetReply(reader, &reply) != REDIS_OK) {
            ended(conn, REDIS_FAIL_PROTOCOL, conn_say(conn, "%s", reader->errstr));
            return;
        }
        if (reply == NULL)
            break;
        conn->reply_bytes = reader->len - reader->pos;
        /* Its callback may close the connection, and still looks at the reply. */
        struct conn_arena whole = conn->arena;
        conn->arena.last = NULL;
        take(conn, reply);
        conn_arena_release(&whole);
        if (conn->session != session)
            return;
    }
    if (conn->reply_bytes > REPLY_BYTES_MAX)
        ended(conn, REDIS_FAIL_PROTOCOL, "a reply longer than 16 MiB");
    else
        trim_reader(conn);
}

/* @return whether something was read and the connection still stands. */
static bool read_some(struct redis_conn *conn)
{
    uint64_t session = conn->session;
    const redisReader *reader = conn->context->reader;
    size_t before = reader->len, got;

    errno = 0;
    if (redisBufferRead(conn->context) != REDIS_OK) {
        read_failed(conn, errno);
        return false;
    }
    got = reader->len - before;
    if (got == 0)
        return false;
    conn->reply_bytes += got;
    if (reader->len > READER_SWOLLEN_BYTES)
        conn->swollen = true;
    take_all(conn);
    return conn->session == session;
}

void conn_stream_drain(struct redis_conn *conn)
{
    while (read_some(conn))
        ;
}

static void write_some(struct redis_conn *conn)
{
    uint64_t session = conn->session;
    int done = 0;

    if (redisBufferWrite(conn->context, &done) == REDIS_OK) {
        conn_stream_want(conn, done ? LOOP_READ : LOOP_READ | LOOP_WRITE);
        return;
    }
    /* The peer may have said why before it went. */
    conn_say(conn, "%s", conn->context->errstr);
    conn->context->err = 0;
    conn_stream_drain(conn);
    if (conn->session == session)
        ended(conn, REDIS_FAIL_CLOSED, conn->words);
}

/* Without waiting to be told that the socket is writable: nearly always it is, and it saves a turn. */
void conn_stream_flush(void *data)
{
    struct redis_conn *conn = data;

    if (conn->context == NULL)
        return;
    conn_enter(conn);
    write_some(conn);
    conn_leave(conn);
}

void conn_stream_ready(struct redis_conn *conn, int events)
{
    uint64_t session = conn->session;

    if (conn->context == NULL)
        return;
    if (events & LOOP_READ)
        read_some(conn);
    if ((events & LOOP_WRITE) && conn->session == session)
        write_some(conn);
}
