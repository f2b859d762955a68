/*
 * What the JSON of a reply must be, worked out another way: the reply as hiredis' own tree, the
 * JSON as jansson's, compared node by node. Header-only, because the fuzz target uses it, too.
 */
#ifndef BELLWETHER_TESTS_UNIT_REDIS_JSON_RESULT_ORACLE_H
#define BELLWETHER_TESTS_UNIT_REDIS_JSON_RESULT_ORACLE_H

#include <hiredis/hiredis.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "bellwether/redis/json_result.h"

/* What hiredis makes of a nil. */
static void *(*oracle_plain_nil)(const redisReadTask *task);

static inline void *oracle_nil(const redisReadTask *task)
{
    redisReply *reply = oracle_plain_nil(task);

    if (reply && !task->parent && task->type == REDIS_REPLY_PUSH) {
        reply->type = REDIS_REPLY_PUSH;
    }
    return reply;
}

/* A reader of trees. hiredis' own would say of the push `>-1` what it says of `_`: nil. */
static inline redisReader *oracle_reader(void)
{
    static redisReplyObjectFunctions functions;
    redisReader *reader = redisReaderCreate();

    oracle_plain_nil = reader->fn->createNil;
    functions = *reader->fn;
    functions.createNil = oracle_nil;
    reader->fn = &functions;
    return reader;
}

/* The decoder of the WHATWG encoding standard, step by step. @return text to be freed. */
static inline char *oracle_decode(const char *bytes, size_t size, size_t *out_size)
{
    static const char replacement[] = "\xef\xbf\xbd";
    char *out = mem_new(size * 3 + 1, 1), pending[4];
    size_t used = 0, seen = 0, needed = 0;
    unsigned char lower = 0x80, upper = 0xbf;

    for (size_t i = 0; i <= size; i++) {
        unsigned char c = i < size ? (unsigned char)bytes[i] : 0;

        if (needed > 0 && (i == size || c < lower || c > upper)) {
            memcpy(out + used, replacement, 3);
            used += 3;
            needed = seen = 0;
            lower = 0x80;
            upper = 0xbf;
        }
        if (i == size) {
            break;
        }
        if (needed > 0) {
            lower = 0x80;
            upper = 0xbf;
            pending[seen++] = (char)c;
            if (seen == needed + 1) {
                memcpy(out + used, pending, seen);
                used += seen;
                needed = seen = 0;
            }
        } else if (c < 0x80) {
            out[used++] = (char)c;
        } else if (c >= 0xc2 && c <= 0xf4) {
            needed = c <= 0xdf ? 1 : c <= 0xef ? 2 : 3;
            lower = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
            upper = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
            pending[0] = (char)c;
            seen = 1;
        } else {
            memcpy(out + used, replacement, 3);
            used += 3;
        }
    }
    *out_size = used;
    return out;
}

static inline bool oracle_same_text(const json_t *json, const char *bytes, size_t size)
{
    size_t wanted_size;
    char *wanted = oracle_decode(bytes, size, &wanted_size);
    bool same = json_is_string(json) && json_string_length(json) == wanted_size &&
                memcmp(json_string_value(json), wanted, wanted_size) == 0;

    free(wanted);
    return same;
}

static inline bool oracle_same_base64(const json_t *json, const char *bytes, size_t size)
{
    size_t length = json_string_length(json), padding = (3 - size % 3) % 3;
    unsigned char *decoded = mem_new(length + 4, 1);
    bool same = json_is_string(json) && length == (size + 2) / 3 * 4;

    if (same && length > 0) {
        const unsigned char *text = (const unsigned char *)json_string_value(json);

        same = EVP_DecodeBlock(decoded, text, (int)length) == (int)(size + padding) &&
               memcmp(decoded, bytes, size) == 0;
    }
    free(decoded);
    return same;
}

/* @param top  what a caller sees as one answer. */
static inline bool oracle_same(const json_t *json, const redisReply *reply, bool base64, bool top)
{
    switch (reply->type) {
    case REDIS_REPLY_INTEGER:
    case REDIS_REPLY_BOOL:
        return json_is_integer(json) && json_integer_value(json) == reply->integer;
    case REDIS_REPLY_NIL: return json_is_null(json);
    case REDIS_REPLY_ARRAY:
    case REDIS_REPLY_MAP:
    case REDIS_REPLY_SET:
    case REDIS_REPLY_PUSH:
        if (!json_is_array(json) || json_array_size(json) != reply->elements) {
            return false;
        }
        for (size_t i = 0; i < reply->elements; i++) {
            if (!oracle_same(json_array_get(json, i), reply->element[i], base64, false)) {
                return false;
            }
        }
        return true;
    default: break; /* all the others are strings */
    }
    if (base64 && !(top && reply->len == 2 && memcmp(reply->str, "OK", 2) == 0)) {
        return oracle_same_base64(json, reply->str, reply->len);
    }
    return oracle_same_text(json, reply->str, reply->len);
}

/* {"result":…} or, of EXEC's, {"error":…}, with nothing beside. */
static inline bool oracle_same_answer(const json_t *json, const redisReply *reply, bool base64)
{
    const json_t *value = json_object_get(json, "result");

    if (json_object_size(json) != 1) {
        return false;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        return oracle_same_text(json_object_get(json, "error"), reply->str, reply->len);
    }
    return value && oracle_same(value, reply, base64, true);
}

/* What a map, a double or a boolean of the reply must have become is what RESP2 has for it. */
static inline bool oracle_same_resp2(const redisReply *resp2, const redisReply *reply)
{
    switch (reply->type) {
    case REDIS_REPLY_INTEGER:
    case REDIS_REPLY_BOOL:
        return resp2->type == REDIS_REPLY_INTEGER && resp2->integer == reply->integer;
    case REDIS_REPLY_NIL: return resp2->type == REDIS_REPLY_NIL;
    case REDIS_REPLY_ARRAY:
    case REDIS_REPLY_MAP:
    case REDIS_REPLY_SET:
    case REDIS_REPLY_PUSH:
        if (resp2->type != REDIS_REPLY_ARRAY || resp2->elements != reply->elements) {
            return false;
        }
        for (size_t i = 0; i < reply->elements; i++) {
            if (!oracle_same_resp2(resp2->element[i], reply->element[i])) {
                return false;
            }
        }
        return true;
    default: break;
    }
    return resp2->type == (reply->type == REDIS_REPLY_STATUS || reply->type == REDIS_REPLY_ERROR
                               ? reply->type
                               : REDIS_REPLY_STRING) &&
           resp2->len == reply->len && memcmp(resp2->str, reply->str, reply->len) == 0;
}

/* Whether these bytes are one reply in RESP2, the one that was read. */
static inline const char *oracle_complaint_resp2(const struct buffer *bytes,
                                                 const redisReply *reply)
{
    redisReader *reader = redisReaderCreate();
    void *resp2 = NULL;
    bool same;

    redisReaderFeed(reader, bytes->bytes, bytes->size);
    if (redisReaderGetReply(reader, &resp2) != REDIS_OK || !resp2 || reader->pos != reader->len) {
        freeReplyObject(resp2);
        redisReaderFree(reader);
        return "not one reply in RESP2";
    }
    same = oracle_same_resp2(resp2, reply);
    freeReplyObject(resp2);
    redisReaderFree(reader);
    return same ? NULL : "not what the reply says, in RESP2";
}

/**
 * Whether `result` holds what its last reply, `reply`, says. Not for a transaction's replies before
 * EXEC's.
 * @return NULL, or what is wrong.
 */
static inline const char *oracle_complaint(const struct result *result, const redisReply *reply)
{
    struct buffer text = {0};
    json_t *json;
    bool same;

    if (reply->type == REDIS_REPLY_PUSH) {
        return result->kind == RESULT_PUSH && result->json.size == 0 ? NULL
                                                                     : "a push was let through";
    }
    if (reply->type == REDIS_REPLY_ERROR || (result->exec && reply->type == REDIS_REPLY_NIL)) {
        return result->kind == RESULT_ERROR ? NULL : "an error was let through";
    }
    if (result->exec && (reply->type != REDIS_REPLY_ARRAY || reply->elements != result->members)) {
        return result->kind == RESULT_PUSH ? NULL : "EXEC may not answer so";
    }
    if (result->kind != (result->exec ? RESULT_LIST : RESULT_VALUE)) {
        return "not the kind that it should be";
    }
    if (result->form == RESULT_RESP2) {
        return oracle_complaint_resp2(&result->json, reply);
    }
    buffer_add(&text, result->json.bytes, result->json.size);
    buffer_add_text(&text, result->exec ? "" : "}");
    json = json_loadb(text.bytes, text.size, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
    buffer_release(&text);
    if (!json) {
        return "not JSON";
    }
    same = result->exec ? json_is_array(json) && json_array_size(json) == reply->elements
                        : oracle_same_answer(json, reply, result->form == RESULT_BASE64);
    for (size_t i = 0; same && result->exec && i < reply->elements; i++) {
        same = oracle_same_answer(json_array_get(json, i), reply->element[i],
                                  result->form == RESULT_BASE64);
    }
    json_decref(json);
    return same ? NULL : "not what the reply says";
}

#endif
