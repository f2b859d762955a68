/* See wire.h. */
#include "wire.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

redisReply *wire_reply(const char *bytes)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;

    redisReaderFeed(reader, bytes, strlen(bytes));
    cr_assert_eq(redisReaderGetReply(reader, &reply), REDIS_OK, "%s in %s", reader->errstr, bytes);
    cr_assert_not_null(reply, "not a whole reply: %s", bytes);
    cr_assert_eq(reader->pos, reader->len, "more than one reply: %s", bytes);
    redisReaderFree(reader);
    return reply;
}

struct wire wire_open(const char *name)
{
    struct wire wire = {.reader = redisReaderCreate()};
    char path[256], bytes[16384];
    size_t n;
    FILE *file;

    snprintf(path, sizeof(path), "tests/unit/sentinel/recordings/%s", name);
    file = fopen(path, "re");
    cr_assert_not_null(file, "%s: run the tests from the top folder", path);
    while ((n = fread(bytes, 1, sizeof(bytes), file)) > 0) {
        redisReaderFeed(wire.reader, bytes, n);
    }
    fclose(file);
    return wire;
}

redisReply *wire_next(struct wire *wire)
{
    void *reply = NULL;

    cr_assert_eq(redisReaderGetReply(wire->reader, &reply), REDIS_OK, "%s", wire->reader->errstr);
    return reply;
}

void wire_close(struct wire *wire)
{
    redisReaderFree(wire->reader);
    wire->reader = NULL;
}
