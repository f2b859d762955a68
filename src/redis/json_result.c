/*
 * The reader's callbacks, each of which writes what was parsed. hiredis says when an element begins
 * or, if it has no elements of its own, is there; never when a list ends. That is worked out: an
 * element that is the last one of its list ends the list, which may be the last one of the list
 * around it.
 *
 * An answer, {"result":…}, is the reply itself, or each element of EXEC's reply.
 *
 * hiredis (1.2) itself refuses attributes and more than 1024 levels.
 */
#include "bellwether/redis/json_result.h"

#include <string.h>

#include "bellwether/base/utf8.h"
#include "bellwether/redis/cursor.h"

#define WHOLE_MAX ((size_t)64 * 1024) /* of an error's words; what a person reads is shorter */
#define VERBATIM_PREFIX 4             /* "txt:" */
#define ELEMENT_ROOM 64               /* what an element takes without its text */

/* hiredis wants an object for each element and gives it back: one serves for all of them. */
static redisReply token = {.type = REDIS_REPLY_NIL};

/* ---- around an element ---- */

static struct result *into(const redisReadTask *task)
{
    return ((const struct result_sink *)task->privdata)->into;
}

static bool is_answer(const struct result *result, const redisReadTask *task)
{
    const redisReadTask *root = result->exec ? task->parent : task;

    return root && !root->parent;
}

/* Drop what was written, and write nothing more. */
static void give_up(struct result *result, enum result_kind kind)
{
    buffer_release(&result->json);
    result->kind = kind;
}

static bool is_given_up(const struct result *result)
{
    return result->kind == RESULT_PUSH || result->kind == RESULT_NO_MEMORY;
}

/* One of a transaction's replies that say QUEUED and the like. */
static bool is_before_exec(const struct result *result)
{
    return result->exec && result->replies > 1;
}

/*
 * Whether a reply may begin so. EXEC answers with a list, or with an error or nil, which don't come
 * here.
 */
static bool is_expected(const struct result *result, const redisReadTask *task, size_t elements)
{
    if (task->parent) {
        return true;
    }
    if (result->exec && !is_before_exec(result)) {
        return task->type == REDIS_REPLY_ARRAY && elements == result->members;
    }
    return task->type != REDIS_REPLY_PUSH;
}

/* Write what stands before an element. @return where it goes, NULL: it is dropped. */
static struct result *begin(const redisReadTask *task, size_t elements, const char *answer)
{
    struct result *result = into(task);

    if (!result) {
        return NULL;
    }
    if (!is_expected(result, task, elements)) {
        give_up(result, RESULT_PUSH);
    }
    if (!is_given_up(result) && !buffer_may_add(&result->json, ELEMENT_ROOM)) {
        give_up(result, RESULT_NO_MEMORY);
    }
    if (is_given_up(result) || is_before_exec(result)) {
        return NULL;
    }
    if (result->form == RESULT_RESP2) {
        return result;
    }
    if (task->parent && task->idx > 0) {
        buffer_add(&result->json, ",", 1);
    }
    if (is_answer(result, task)) {
        buffer_add_text(&result->json, answer);
    }
    return result;
}

/* An element is complete, and so may be the lists that it is in. */
static void end(struct result *result, const redisReadTask *task)
{
    for (;; task = task->parent) {
        if (result->exec && is_answer(result, task)) {
            buffer_add(&result->json, "}", 1);
        }
        if (!task->parent) {
            result->kind = result->exec ? RESULT_LIST : RESULT_VALUE;
            return;
        }
        if (task->idx + 1 < task->parent->elements) {
            return;
        }
        if (result->form != RESULT_RESP2) {
            buffer_add(&result->json, "]", 1);
        }
    }
}

/* ---- elements ---- */

#define RESULT "{\"result\":"
#define ERROR "{\"error\":"

/* @param out  what fits. */
static void keep_words(struct result *result, const char *words, size_t length,
                       char out[RESULT_ERROR_SIZE])
{
    bool is_second = *result->refused != '\0'; /* EXEC's, which says less than the member's */

    utf8_copy(words, length, out, RESULT_ERROR_SIZE);
    length = length < WHOLE_MAX ? length : WHOLE_MAX;
    if (length >= RESULT_ERROR_SIZE / 3 && !is_second) { /* a byte may take three */
        size_t size = 3 * length + 1;
        char *to = buffer_reserve(&result->whole, size);

        utf8_copy(words, length, to, size);
        result->whole.size = strlen(to);
        if (result->whole.size < RESULT_ERROR_SIZE) {
            buffer_release(&result->whole);
        }
    }
}

/* An error that is the whole reply. */
static void take_error(struct result *result, const char *words, size_t size)
{
    if (!result || is_given_up(result)) {
        return;
    }
    if (!is_before_exec(result)) {
        keep_words(result, words, size, result->error);
        result->kind = RESULT_ERROR;
    } else if (*result->refused == '\0') {
        bool is_multi = result->replies == result->members + 2;

        keep_words(result, words, size, result->refused);
        result->refused_member = is_multi ? RESULT_MULTI : result->members + 1 - result->replies;
    }
}

/* The first element of an answer that begins with a cursor. */
static bool is_cursor(const struct result *result, const redisReadTask *task)
{
    const redisReadTask *list = task->parent;
    size_t member;

    if (result->scans.size == 0 || !list || task->idx != 0 || !is_answer(result, list)) {
        return false;
    }
    member = result->exec ? (size_t)list->idx : 0;
    return member < result->scans.size && result->scans.bytes[member] != 0;
}

/* A line of RESP2 that says a number: an integer, or how long something is. */
static void add_number(struct result *result, const char *type, long long number)
{
    buffer_add(&result->json, type, 1);
    buffer_add_integer(&result->json, number);
    buffer_add(&result->json, "\r\n", 2);
}

/* @return false: the memory budget has no room for it. */
static bool try_resp2(struct result *result, const redisReadTask *task, const char *text,
                      size_t size)
{
    if (!buffer_may_add(&result->json, size + ELEMENT_ROOM)) {
        return false;
    }
    (void)buffer_reserve(&result->json, size + ELEMENT_ROOM);
    if (task->type == REDIS_REPLY_STATUS || task->type == REDIS_REPLY_ERROR) {
        buffer_add(&result->json, task->type == REDIS_REPLY_STATUS ? "+" : "-", 1);
    } else {
        add_number(result, "$", (long long)size);
    }
    buffer_add(&result->json, text, size);
    buffer_add(&result->json, "\r\n", 2);
    return true;
}

/* @param is_plain  it is never base64. @return as try_resp2(). */
static bool try_text(struct result *result, const redisReadTask *task, bool is_plain,
                     const char *text, size_t size)
{
    switch (result->form) {
    case RESULT_RESP2: return try_resp2(result, task, text, size);
    case RESULT_BASE64:
        if (!is_plain) {
            return json_try_base64(&result->json, text, size);
        }
        break;
    case RESULT_JSON: break;
    }
    return json_try_string(&result->json, text, size);
}

static void *add_string(const redisReadTask *task, char *text, size_t size)
{
    bool is_error = task->type == REDIS_REPLY_ERROR, is_plain;
    char cursor[CURSOR_TEXT_SIZE];
    struct result *result;

    if (is_error && !task->parent) {
        take_error(into(task), text, size);
        return &token;
    }
    result = begin(task, 0, is_error ? ERROR : RESULT);
    if (!result) {
        return &token;
    }
    if (task->type == REDIS_REPLY_VERB && size >= VERBATIM_PREFIX) {
        text += VERBATIM_PREFIX;
        size -= VERBATIM_PREFIX;
    }
    if (is_cursor(result, task)) {
        size = cursor_write(result->cursor_tag, text, size, cursor);
        text = cursor;
    }
    is_plain = is_answer(result, task) && (is_error || (size == 2 && memcmp(text, "OK", 2) == 0));
    if (!try_text(result, task, is_plain, text, size)) {
        give_up(result, RESULT_NO_MEMORY);
        return &token;
    }
    end(result, task);
    return &token;
}

/* A double is written as the server spelled it. */
static void *add_double(const redisReadTask *task, double number, char *text, size_t size)
{
    (void)number;
    return add_string(task, text, size);
}

static void *add_array(const redisReadTask *task, size_t elements)
{
    struct result *result = begin(task, elements, RESULT);

    if (!result) {
        return &token;
    }
    if (result->form == RESULT_RESP2) {
        add_number(result, "*", (long long)elements);
    } else {
        buffer_add(&result->json, "[]", elements > 0 ? 1 : 2);
    }
    if (elements == 0) {
        end(result, task);
    }
    return &token;
}

static void *add_integer(const redisReadTask *task, long long number)
{
    struct result *result = begin(task, 0, RESULT);

    if (result && result->form == RESULT_RESP2) {
        add_number(result, ":", number);
    } else if (result) {
        buffer_add_integer(&result->json, number);
    }
    if (result) {
        end(result, task);
    }
    return &token;
}

/* A nil list comes here, too. */
static void *add_nil(const redisReadTask *task)
{
    static const char aborted[] = "EXECABORT the transaction was discarded";
    struct result *result = into(task);
    bool is_exec = result && result->exec && !is_before_exec(result) && !task->parent;

    if (is_exec && task->type != REDIS_REPLY_PUSH) {
        take_error(result, aborted, sizeof(aborted) - 1);
        return &token;
    }
    result = begin(task, 0, RESULT);
    if (result && result->form == RESULT_RESP2) {
        add_number(result, task->type == REDIS_REPLY_ARRAY ? "*" : "$", -1);
    } else if (result) {
        buffer_add_text(&result->json, "null");
    }
    if (result) {
        end(result, task);
    }
    return &token;
}

static void *add_bool(const redisReadTask *task, int value)
{
    return add_integer(task, value ? 1 : 0);
}

/*
 * A reply that nobody wants, or a reader that ends in the middle of one: there is nothing to be
 * freed.
 */
static void drop(void *object)
{
    (void)object;
}

const redisReplyObjectFunctions result_functions = {
    .createString = add_string,
    .createArray = add_array,
    .createInteger = add_integer,
    .createDouble = add_double,
    .createNil = add_nil,
    .createBool = add_bool,
    .freeObject = drop,
};

/* ---- a result's life ---- */

void result_init(struct result *result, enum result_form form, unsigned members)
{
    result->form = form;
    result->exec = members > 0;
    result->members = members;
    result->replies = members > 0 ? members + 2 : 1;
    result->kind = RESULT_NONE;
    result->json = result->whole = (struct buffer){0};
    result->error[0] = result->refused[0] = '\0'; /* the rest of them need not cost every command */
    result->refused_member = 0;
    result->scans = (struct buffer){0};
    result->cursor_tag = 0;
}

bool result_next(struct result *result)
{
    result->replies -= result->replies > 0;
    return result->replies == 0;
}

void result_release(struct result *result)
{
    buffer_release(&result->json);
    buffer_release(&result->whole);
    buffer_release(&result->scans);
}
