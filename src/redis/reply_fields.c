/* See reply_fields.h. */
#include "bellwether/redis/reply_fields.h"

#include <string.h>

#include "bellwether/base/error.h"
#include "bellwether/base/utf8.h"

/* ---- bytes ---- */

bool text_is_name(const char *bytes, size_t length, size_t size)
{
    const unsigned char *c = (const unsigned char *)bytes;

    if (length == 0 || length >= size) {
        return false;
    }
    for (size_t i = 0, n; i < length; i += n) {
        n = utf8_length(bytes + i, length - i);
        if (n == 0 || c[i] <= ' ' || c[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

void text_copy(const char *bytes, size_t length, char *out, size_t size)
{
    size_t n = length < size ? length : size - 1;

    for (size_t i = 0; i < n; i++) {
        bool printable = bytes[i] >= ' ' && bytes[i] <= '~';

        out[i] = '?';
        if (printable) {
            out[i] = bytes[i];
        }
    }
    out[n] = '\0';
}

bool text_number(const char *bytes, size_t length, int64_t *out)
{
    int64_t number = 0;

    if (length == 0) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        int digit = bytes[i] - '0';

        if (digit < 0 || digit > 9 || number > (INT64_MAX - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *out = number;
    return true;
}

bool text_is(const char *bytes, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(bytes, word, length) == 0;
}

/* ---- shapes ---- */

bool reply_is_text(const redisReply *reply)
{
    return reply && reply->str &&
           (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS ||
            reply->type == REDIS_REPLY_VERB);
}

bool reply_is_row(const redisReply *reply)
{
    return reply && (reply->type == REDIS_REPLY_MAP || reply->type == REDIS_REPLY_ARRAY) &&
           reply->elements > 0 && reply->elements % 2 == 0;
}

static int check(const redisReply *reply, bool good)
{
    return good ? 0 : reply && reply->type == REDIS_REPLY_NIL ? -BW_ENIL : -BW_EPROTO;
}

int reply_check_text(const redisReply *reply)
{
    return check(reply, reply_is_text(reply));
}

int reply_check_list(const redisReply *reply)
{
    return check(reply,
                 reply && (reply->type == REDIS_REPLY_ARRAY || reply->type == REDIS_REPLY_SET));
}

int reply_copy_name(const char *bytes, size_t length, char *out, size_t size)
{
    if (!text_is_name(bytes, length, size)) {
        return -BW_EPROTO;
    }
    memcpy(out, bytes, length);
    out[length] = '\0';
    return 0;
}

/* ---- fields ---- */

const redisReply *reply_field(const redisReply *row, const char *name)
{
    for (size_t i = 0; i + 1 < row->elements; i += 2) {
        const redisReply *key = row->element[i];

        if (reply_is_text(key) && text_is(key->str, key->len, name)) {
            return row->element[i + 1];
        }
    }
    return NULL;
}

int64_t reply_number_field(const redisReply *row, const char *name)
{
    const redisReply *value = reply_field(row, name);
    int64_t number = -1;

    if (value && value->type == REDIS_REPLY_INTEGER) {
        return value->integer >= 0 ? value->integer : -1;
    }
    if (reply_is_text(value)) {
        (void)text_number(value->str, value->len, &number);
    }
    return number;
}

void reply_text_field(const redisReply *row, const char *name, char *out, size_t size)
{
    const redisReply *value = reply_field(row, name);

    out[0] = '\0';
    if (reply_is_text(value)) {
        text_copy(value->str, value->len, out, size);
    }
}
