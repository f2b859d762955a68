/*
 * Each reply goes to whoever asked, in order: HELLO's answer, pub/sub pushes, and what a peer may
 * not do (long replies, answers to nothing).
 *
 * A command's reply is a redisReply tree; an expect's is written as JSON while it is parsed
 * (resp_reader.c). Who is first in the queue decides which.
 */
#include "replies.h"

#include <stdio.h>
#include <string.h>

#include "bellwether/redis/reply_fields.h"
#include "pending.h"

#define MEBIBYTE ((size_t)1024 * 1024)

void conn_replies_start(struct redis_conn *conn)
{
    resp_reader_start(&conn->reader, conn->context->reader);
    conn->context->reader = NULL;
}

bool redis_conn_is_skipping(const struct redis_conn *conn)
{
    return conn->reader.skip.items > 0;
}

/* ---- trees ---- */

static bool is_word(const redisReply *reply, const char *word)
{
    return reply->type == REDIS_REPLY_STRING && text_is(reply->str, reply->len, word);
}

/* `word` and strings behind it, `n` elements together. */
static bool is_words(const redisReply *reply, const char *word, size_t n)
{
    bool words = reply->elements == n && is_word(reply->element[0], word);

    for (size_t i = 1; words && i < n; i++) {
        words = reply->element[i]->type == REDIS_REPLY_STRING;
    }
    return words;
}

static bool is_message(const struct redis_conn *conn, const redisReply *reply)
{
    return is_words(reply, "pmessage", 4) || (conn->listens && is_words(reply, "message", 3));
}

static bool is_verb(const redisReply *reply)
{
    return is_word(reply, "psubscribe") || is_word(reply, "subscribe") ||
           is_word(reply, "punsubscribe") || is_word(reply, "unsubscribe");
}

static bool is_acknowledgement(const struct redis_conn *conn, const redisReply *reply)
{
    return reply->elements == 3 &&
           (conn->listens ? is_verb(reply->element[0])
                          : is_word(reply->element[0], "psubscribe")) &&
           reply->element[1]->type == REDIS_REPLY_STRING &&
           reply->element[2]->type == REDIS_REPLY_INTEGER;
}

/*
 * RESP2 has no type of its own for pushes; there a subscribed connection gets nothing else of this
 * form.
 */
static bool is_push(const struct redis_conn *conn, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_PUSH) {
        return true;
    }
    return !conn->resp3 && conn->subscribed && reply->type == REDIS_REPLY_ARRAY &&
           (is_message(conn, reply) || is_acknowledgement(conn, reply));
}

/*
 * Owners get messages and acknowledgements in full form only, so they need not check lengths. Other
 * pushes (invalidations, say) are dropped.
 */
static void take_push(struct redis_conn *conn, const redisReply *push)
{
    if (is_acknowledgement(conn, push)) {
        struct conn_command command;

        if (conn->n_commands == 0 || !conn_queue_at(conn, 0)->subscribe) {
            conn_lost(conn, REDIS_FAIL_PROTOCOL, "an acknowledgement that nobody asked for");
            return;
        }
        command = conn_queue_pop(conn);
        if (command.done) {
            command.done(command.data, push, REDIS_FAIL_NONE);
            return;
        }
    } else if (!is_message(conn, push)) {
        if (push->elements == 0 || push->element[0]->type != REDIS_REPLY_STRING ||
            is_word(push->element[0], "pmessage") || is_word(push->element[0], "psubscribe")) {
            conn_lost(conn, REDIS_FAIL_PROTOCOL, "a malformed push");
        }
        return;
    }
    if (conn->hooks.push) {
        conn->hooks.push(conn->data, push);
    }
}

static void take_reply(struct redis_conn *conn, const redisReply *reply)
{
    struct conn_command command;

    /* A tree that was begun before its expect was sent answers nothing either. */
    if (conn->n_commands == 0 || conn_queue_expect(conn)) {
        conn_lost(conn, REDIS_FAIL_PROTOCOL,
                  reply->type == REDIS_REPLY_ERROR ? conn_say(conn, "unasked: %s", reply->str)
                                                   : "a reply that nobody asked for");
        return;
    }
    command = *conn_queue_at(conn, 0);
    if (command.subscribe && reply->type != REDIS_REPLY_ERROR) {
        conn_lost(conn, REDIS_FAIL_PROTOCOL, "(P)SUBSCRIBE was not acknowledged");
        return;
    }
    if (command.subscribe && !command.done) {
        conn_lost(conn, REDIS_FAIL_DENIED, conn_say(conn, "%s", reply->str));
        return;
    }
    (void)conn_queue_pop(conn);
    if (command.done) {
        command.done(command.data, reply, REDIS_FAIL_NONE);
    }
}

static void take_tree(struct redis_conn *conn, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ATTR) {
        return; /* announces something about the next reply; nothing here asks for them */
    }
    if (conn->state == CONN_HELLO) {
        if (reply->type == REDIS_REPLY_PUSH) {
            conn_lost(conn, REDIS_FAIL_PROTOCOL, "a push before HELLO was answered");
        } else {
            conn->reports->greeted(conn, reply);
        }
    } else if (is_push(conn, reply)) {
        take_push(conn, reply);
    } else {
        take_reply(conn, reply);
    }
}

/* ---- JSON ---- */

/* Take the first expect out of the queue: nothing more of its reply is looked at. */
static struct redis_expect *take_expect(struct redis_conn *conn)
{
    resp_reader_end_json(&conn->reader);
    return conn_queue_pop(conn).expect;
}

/*
 * The server could not read this command, says so, and will hang up: so it does before all of a
 * long one is there, and amidst the members of a transaction, which then has not run. No script
 * says that: those run once all was read.
 */
static bool is_unreadable(const struct redis_conn *conn, const struct redis_expect *expect)
{
    static const char words[] = "ERR Protocol error";
    const struct result *result = &expect->result;

    if (result->exec) {
        return result->replies > 1 && result->refused_member != RESULT_MULTI &&
               strncmp(result->refused, words, sizeof(words) - 1) == 0;
    }
    return result->kind == RESULT_ERROR && redis_conn_has_begun(conn, expect) &&
           !redis_conn_has_written(conn, expect) &&
           strncmp(result->error, words, sizeof(words) - 1) == 0;
}

static void take_unreadable(struct redis_conn *conn)
{
    struct redis_expect *expect = take_expect(conn);
    uint64_t session = conn->session;

    if (expect->result.exec) {
        expect->result.kind = RESULT_ERROR;
        snprintf(expect->result.error, sizeof(expect->result.error),
                 "EXECABORT Transaction discarded because of previous errors.");
    }
    if (conn->taken > expect->end) {
        /* what is behind it was not read, so it was as good as not sent */
        conn->taken = expect->end;
    }
    expect->done(expect, REDIS_FAIL_NONE, true);
    if (conn->session == session) {
        conn_lost(conn, REDIS_FAIL_CLOSED, "the server could not read a command");
    }
}

static void take_result(struct redis_conn *conn)
{
    struct redis_expect *expect = conn_queue_expect(conn);

    if (expect->result.kind == RESULT_PUSH) {
        conn_lost(conn, REDIS_FAIL_PROTOCOL, "not the kind of reply that was asked for");
        return;
    }
    if (is_unreadable(conn, expect)) {
        take_unreadable(conn);
        return;
    }
    /*
     * Taken for an answer it would say that the command was run, while its last bytes are still to
     * go out.
     */
    if (!redis_conn_has_written(conn, expect) && expect->result.replies <= 1) {
        conn_lost(conn, REDIS_FAIL_PROTOCOL,
                  expect->result.kind == RESULT_ERROR
                      ? conn_say(conn, "unasked: %s", expect->result.error)
                      : "an answer to what was not sent yet");
        return;
    }
    if (!result_next(&expect->result)) {
        return;
    }
    (void)take_expect(conn);
    expect->done(expect, REDIS_FAIL_NONE, true);
}

/* ---- both ---- */

static void too_long(struct redis_conn *conn)
{
    struct redis_expect *expect = conn_queue_expect(conn);
    size_t limit = resp_reader_limit(&conn->reader);
    bool even = limit % MEBIBYTE == 0;

    if (!expect || !conn->reader.sink.into || !redis_conn_has_written(conn, expect)) {
        conn_lost(conn, REDIS_FAIL_PROTOCOL,
                  conn_say(conn, "a reply longer than %zu %s", even ? limit / MEBIBYTE : limit,
                           even ? "MiB" : "bytes"));
        return;
    }
    resp_reader_skip(&conn->reader, expect->result.replies - 1);
    (void)take_expect(conn);
    expect->done(expect, REDIS_FAIL_TOO_BIG, true);
}

/* @return whether a whole reply was there and the connection still stands. */
static bool take_one(struct redis_conn *conn)
{
    struct redis_expect *expect = conn->state == CONN_READY ? conn_queue_expect(conn) : NULL;
    uint64_t session = conn->session;
    struct conn_arena
        memory; /* the tree's callback may close the connection and still look at it */
    redisReply *tree;

    switch (resp_reader_next(&conn->reader, expect ? &expect->result : NULL, &tree, &memory)) {
    case RESP_NOTHING: return false;
    case RESP_TREE:
        take_tree(conn, tree);
        conn_arena_release(&memory);
        break;
    case RESP_JSON: take_result(conn); break;
    case RESP_TOO_LONG: too_long(conn); break;
    case RESP_MALFORMED:
        conn_lost(conn, REDIS_FAIL_PROTOCOL,
                  conn_say(conn, "%s", resp_reader_error(&conn->reader)));
        return false;
    }
    return conn->session == session;
}

void conn_replies_take(struct redis_conn *conn, const char *bytes, size_t size)
{
    uint64_t session = conn->session;

    if (!resp_reader_feed(&conn->reader, bytes, size)) {
        conn_lost(conn, REDIS_FAIL_PROTOCOL, "what belongs to a reply that is too long is no RESP");
        return;
    }
    while (take_one(conn)) {
        ;
    }
    if (conn->session == session) {
        resp_reader_trim(&conn->reader);
    }
}
