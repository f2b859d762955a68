/*
 * What the peer says: bytes become replies, and each goes to whoever asked, in order. HELLO's
 * answer, pub/sub pushes, and what a peer may not do (long replies, answers to nothing).
 *
 * Replies come in two forms. A command's is a redisReply tree; an expect's is written as JSON while
 * it is parsed (json_result.h). Which form the next reply takes is decided when its first byte is
 * there, by who is first in the queue.
 */
#include "replies.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/memory.h"
#include "pending.h"

/*
 * JSON costs nothing before its elements came: there only the bytes count, and that hiredis counts
 * elements, a map's twice, in an int.
 */
#define JSON_ELEMENTS_MAX (INT_MAX / 2)
/* What an idle connection may keep for reading. */
#define READER_KEEP_BYTES 4096
#define READER_SWOLLEN_BYTES (64 * 1024)
/* No length of a string has more digits. */
#define LENGTH_DIGITS_MAX 19
#define MEBIBYTE ((size_t)1024 * 1024)

void conn_replies_start(struct redis_conn *conn)
{
    redisReader *reader = conn->context->reader;

    reader->maxbuf = READER_KEEP_BYTES;
    reader->maxelements = TREE_ELEMENTS_MAX;
    conn->reply_bytes = 0;
    conn->swollen = false;
    conn->skip = (struct conn_skip){0};
}

bool redis_conn_is_skipping(const struct redis_conn *conn)
{
    return conn->skip.items > 0;
}

/* So much of memory is the reader's, or will be. */
static void count_reader(struct redis_conn *conn, size_t bytes)
{
    if (bytes != conn->counted) {
        budget_count((int64_t)bytes - (int64_t)conn->counted);
    }
    conn->counted = bytes;
}

void conn_replies_stop(struct redis_conn *conn)
{
    count_reader(conn, 0);
}

static size_t unread(const redisReader *reader)
{
    return reader->len - reader->pos;
}

/* ---- trees ---- */

static bool is_word(const redisReply *reply, const char *word)
{
    return reply->type == REDIS_REPLY_STRING && reply->len == strlen(word) &&
           memcmp(reply->str, word, reply->len) == 0;
}

static bool is_message(const redisReply *reply)
{
    return reply->elements == 4 && is_word(reply->element[0], "pmessage") &&
           reply->element[1]->type == REDIS_REPLY_STRING &&
           reply->element[2]->type == REDIS_REPLY_STRING &&
           reply->element[3]->type == REDIS_REPLY_STRING;
}

static bool is_acknowledgement(const redisReply *reply)
{
    return reply->elements == 3 && is_word(reply->element[0], "psubscribe") &&
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
           (is_message(reply) || is_acknowledgement(reply));
}

/*
 * Owners get pmessage and psubscribe in full form only, so they need not check lengths. Other
 * pushes (invalidations, say) are nobody's business here.
 */
static void take_push(struct redis_conn *conn, const redisReply *push)
{
    if (is_acknowledgement(push)) {
        if (conn->n_commands == 0 || !conn_queue_at(conn, 0)->subscribe) {
            conn_lost(conn, REDIS_FAIL_PROTOCOL, "an acknowledgement that nobody asked for");
            return;
        }
        conn_queue_pop(conn);
    } else if (!is_message(push)) {
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
    if (conn_queue_at(conn, 0)->subscribe) {
        if (reply->type == REDIS_REPLY_ERROR) {
            conn_lost(conn, REDIS_FAIL_DENIED, conn_say(conn, "%s", reply->str));
        } else {
            conn_lost(conn, REDIS_FAIL_PROTOCOL, "PSUBSCRIBE was not acknowledged");
        }
        return;
    }
    command = conn_queue_pop(conn);
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

/* Nothing of it is looked at any more. */
static struct redis_expect *take_expect(struct redis_conn *conn)
{
    conn->sink.into = NULL;
    conn->reply_bytes = 0;
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

/* ---- what is under way ---- */

static bool is_json(const redisReader *reader)
{
    return reader->fn == &result_functions;
}

/* The first byte of a reply is there. */
static void begin(struct redis_conn *conn)
{
    redisReader *reader = conn->context->reader;
    struct redis_expect *expect = conn->state == CONN_READY ? conn_queue_expect(conn) : NULL;

    reader->maxelements = expect ? JSON_ELEMENTS_MAX : TREE_ELEMENTS_MAX;
    conn->sink.into = expect ? &expect->result : NULL;
    if (!expect) {
        conn_arena_serve(&conn->arena, reader);
        return;
    }
    reader->fn = (redisReplyObjectFunctions *)&result_functions;
    reader->privdata = &conn->sink;
}

/*
 * What the bulk string under way takes in all, by the length that it begins with. 0: not known, or
 * no bulk string.
 */
static size_t announced(const redisReader *reader)
{
    const redisReadTask *task = reader->ridx >= 0 ? reader->task[reader->ridx] : NULL;
    size_t length = 0, i = 0;

    if (!task || (task->type != REDIS_REPLY_STRING && task->type != REDIS_REPLY_VERB)) {
        return 0;
    }
    for (; i < unread(reader); i++) {
        char digit = reader->buf[reader->pos + i];

        if (digit == '\r') {
            return i + length + 4; /* with two line ends */
        }
        if (digit < '0' || digit > '9') {
            return 0; /* hiredis will see */
        }
        if (i == LENGTH_DIGITS_MAX) {
            return SIZE_MAX / 2;
        }
        length = length * 10 + (size_t)(digit - '0');
    }
    return 0;
}

/* What callers may ask for has nothing to do with the connection's own questions. */
static size_t limit_of(const struct redis_conn *conn)
{
    return is_json(conn->context->reader) ? conn->limit : TREE_BYTES_MAX;
}

static bool is_too_long(const struct redis_conn *conn)
{
    const redisReader *reader = conn->context->reader;
    size_t limit = limit_of(conn), more = announced(reader);

    if (more < unread(reader)) {
        more = unread(reader);
    }
    return conn->reply_bytes > limit || more > limit - conn->reply_bytes;
}

/*
 * A long string stands in the reader's buffer as a whole before it is anything else: so its place
 * is taken when its length is there. @return false: there is none.
 */
static bool has_memory(struct redis_conn *conn)
{
    const redisReader *reader = conn->context->reader;
    size_t had = sdsalloc(reader->buf), all = announced(reader);

    all = all > had ? all : had;
    if (all > BUDGET_SMALL && all > conn->counted && is_json(reader) &&
        !budget_has_for_now(all - conn->counted)) {
        if (conn->sink.into) {
            conn->sink.into->kind = RESULT_NO_MEMORY;
        }
        return false;
    }
    count_reader(conn, all);
    return true;
}

static redisReader *reader_new(void)
{
    redisReader *reader = redisReaderCreate();

    if (!reader) {
        mem_exhausted();
    }
    reader->maxbuf = READER_KEEP_BYTES;
    return reader;
}

static void feed(redisReader *reader, const char *bytes, size_t size)
{
    if (size > 0 && redisReaderFeed(reader, bytes, size) != REDIS_OK) {
        mem_exhausted();
    }
}

/*
 * A reader can't be told to leave something out, so what is behind the reply goes to another one.
 */
static void skip_reply(struct redis_conn *conn, unsigned more)
{
    redisReader *old = conn->context->reader;
    bool ok;
    size_t skipped;

    count_reader(conn, 0);
    conn_skip_begin(&conn->skip, old, more);
    skipped = conn_skip(&conn->skip, old->buf + old->pos, unread(old),
                        &ok); /* were it no RESP, it would be seen */
    conn->context->reader = reader_new();
    conn->swollen = false;
    feed(conn->context->reader, old->buf + old->pos + skipped, unread(old) - skipped);
    redisReaderFree(old);
}

static void too_long(struct redis_conn *conn)
{
    struct redis_expect *expect = conn_queue_expect(conn);
    size_t limit = limit_of(conn);
    bool even = limit % MEBIBYTE == 0;

    if (!expect || !is_json(conn->context->reader) || !redis_conn_has_written(conn, expect)) {
        conn_lost(conn, REDIS_FAIL_PROTOCOL,
                  conn_say(conn, "a reply longer than %zu %s", even ? limit / MEBIBYTE : limit,
                           even ? "MiB" : "bytes"));
        return;
    }
    skip_reply(conn, expect->result.replies - 1);
    (void)take_expect(conn);
    expect->done(expect, REDIS_FAIL_TOO_BIG, true);
}

/* A long reply leaves a long buffer; an idle connection gives it back. */
static void trim_reader(struct redis_conn *conn)
{
    redisReader *reader = conn->context->reader;

    if (!conn->swollen || unread(reader) > 0 || reader->ridx != -1) {
        return;
    }
    redisReaderFree(reader);
    conn->context->reader = reader_new();
    conn->swollen = false;
}

/* @return whether a whole reply was there and the connection still stands. */
static bool take_one(struct redis_conn *conn)
{
    redisReader *reader = conn->context->reader;
    size_t before = unread(reader);
    uint64_t session = conn->session;
    void *reply = NULL;

    if (before == 0 || conn->skip.items > 0) {
        return false;
    }
    if (reader->ridx == -1) {
        begin(conn);
    }
    if (redisReaderGetReply(reader, &reply) != REDIS_OK) {
        conn_lost(conn, REDIS_FAIL_PROTOCOL,
                  conn_say(conn, "%s",
                           conn->arena.overdone ? "a reply of too many elements" : reader->errstr));
        return false;
    }
    conn->reply_bytes += before - unread(reader);
    if (!reply ? is_too_long(conn) || !has_memory(conn) : conn->reply_bytes > limit_of(conn)) {
        too_long(conn);
        return conn->session == session;
    }
    if (!reply) {
        return false;
    }
    if (is_json(reader)) {
        take_result(conn);
    } else {
        struct conn_arena whole =
            conn->arena; /* its callback may close the connection, and still looks at the reply */

        conn->reply_bytes = 0;
        conn->arena = (struct conn_arena){0};
        take_tree(conn, reply);
        conn_arena_release(&whole);
    }
    return conn->session == session;
}

/*
 * A line that has no end yet gets none by bytes without one: else each of them would cost a search
 * of the whole line.
 */
static bool may_go_on(const redisReader *reader, const char *bytes, size_t size)
{
    const redisReadTask *task = reader->ridx >= 0 ? reader->task[reader->ridx] : NULL;

    if (!task || task->type < 0 || task->type == REDIS_REPLY_STRING ||
        task->type == REDIS_REPLY_VERB) {
        return true;
    }
    return memchr(bytes, '\n', size) != NULL;
}

void conn_replies_take(struct redis_conn *conn, const char *bytes, size_t size)
{
    uint64_t session = conn->session;
    redisReader *reader = conn->context->reader;
    bool go_on, ok = true;
    size_t skipped = conn->skip.items > 0 ? conn_skip(&conn->skip, bytes, size, &ok) : 0;

    if (!ok) {
        conn_lost(conn, REDIS_FAIL_PROTOCOL, "what belongs to a reply that is too long is no RESP");
        return;
    }
    bytes += skipped;
    size -= skipped;
    if (size == 0) {
        return;
    }
    go_on = may_go_on(reader, bytes, size);
    feed(reader, bytes, size);
    if (reader->len > READER_SWOLLEN_BYTES) {
        conn->swollen = true;
    }
    if (!go_on) {
        if (is_too_long(conn) || !has_memory(conn)) {
            too_long(conn);
        }
        return;
    }
    while (take_one(conn)) {
        ;
    }
    if (conn->session != session) {
        return;
    }
    trim_reader(conn);
    if (unread(conn->context->reader) == 0) {
        count_reader(conn, sdsalloc(conn->context->reader->buf));
    }
}
