/* hiredis with RESP3 and redisReconnect(). Arguments: MODE PORT NAME. */
#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static redisContext *redis;

static bool is_there(void)
{
    redisReply *hello;

    if (!redis->err) {
        return true;
    }
    if (redisReconnect(redis) != REDIS_OK) {
        return false;
    }
    hello = redisCommand(redis, "HELLO 3");
    if (hello) {
        freeReplyObject(hello);
    }
    return !redis->err;
}

/* @return the reply; NULL: an error of the connection or of Redis, which was printed. */
static redisReply *checked(redisReply *reply)
{
    if (reply && reply->type != REDIS_REPLY_ERROR) {
        return reply;
    }
    printf("{\"failed\":\"%s\"}\n", reply ? reply->str : redis->errstr);
    if (reply) {
        freeReplyObject(reply);
    }
    usleep(20000);
    return NULL;
}

static bool done(redisReply *reply, int type)
{
    bool fine;

    reply = checked(reply);
    fine = reply && reply->type == type;
    if (reply) {
        freeReplyObject(reply);
    }
    return fine;
}

static bool answer(int type)
{
    void *reply = NULL;

    (void)redisGetReply(redis, &reply);
    return done(reply, type);
}

static bool add(const char *name, int n)
{
    return done(redisCommand(redis, "SADD %s:set %d", name, n), REDIS_REPLY_INTEGER) &&
           done(redisCommand(redis, "INCR %s:count", name), REDIS_REPLY_INTEGER);
}

static bool pipe_five(const char *name, int n)
{
    bool fine = true;

    for (int i = 0; i < 5; i++) {
        redisAppendCommand(redis, "SADD %s:set %d.%d", name, n, i);
    }
    for (int i = 0; i < 5 && fine; i++) {
        fine = answer(REDIS_REPLY_INTEGER);
    }
    return fine;
}

static bool swap(const char *name, int n)
{
    static const int types[] = {REDIS_REPLY_STATUS, REDIS_REPLY_STATUS, REDIS_REPLY_STATUS,
                                REDIS_REPLY_STATUS, REDIS_REPLY_ARRAY};
    bool fine = true;

    redisAppendCommand(redis, "WATCH %s:at", name);
    redisAppendCommand(redis, "MULTI");
    redisAppendCommand(redis, "SET %s:at %d", name, n);
    redisAppendCommand(redis, "RPUSH %s:log %d", name, n);
    redisAppendCommand(redis, "EXEC");
    for (size_t i = 0; i < sizeof(types) / sizeof(*types) && fine; i++) {
        fine = answer(types[i]);
    }
    return fine;
}

static bool push(const char *name, int n)
{
    return done(redisCommand(redis, "RPUSH %s:queue %d", name, n), REDIS_REPLY_INTEGER) &&
           done(redisCommand(redis, "PUBLISH %s:news %d", name, n), REDIS_REPLY_INTEGER);
}

static void write_on(const char *name)
{
    static bool (*const kinds[])(const char *, int) = {add, pipe_five, swap, push};
    static const char *const names[] = {"add", "pipe", "swap", "push"};

    for (int n = 0;; n++) {
        if (is_there() && kinds[n % 4](name, n)) {
            printf("{\"did\":\"%s\",\"n\":%d}\n", names[n % 4], n);
        }
        usleep(10000);
    }
}

/* With RESP3 messages are pushes, which hiredis drops unless somebody takes them. */
static void take_news(void *data, void *reply)
{
    const redisReply *message = reply;

    (void)data;
    if (message->elements == 3 && strcmp(message->element[0]->str, "message") == 0) {
        printf("{\"news\":\"%s\"}\n", message->element[2]->str);
    }
    freeReplyObject(reply);
}

static void hear_news(const char *name)
{
    redisSetPushCallback(redis, take_news);
    for (bool again = true;; again = redis->err != 0) {
        void *none = NULL;

        if (!is_there()) {
            usleep(20000);
            continue;
        }
        if (again) {
            redisAppendCommand(redis, "SUBSCRIBE %s:news", name);
        }
        if (redisGetReply(redis, &none) != REDIS_OK) {
            (void)checked(NULL);
        }
    }
}

static void pop_on(const char *name)
{
    for (;;) {
        redisReply *reply =
            is_there() ? checked(redisCommand(redis, "BLPOP %s:queue 0", name)) : NULL;

        if (reply) {
            printf("{\"popped\":\"%s\"}\n", reply->element[1]->str);
            freeReplyObject(reply);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    redis = redisConnect("127.0.0.1", atoi(argv[2]));
    if (!redis || redis->err || !done(redisCommand(redis, "HELLO 3"), REDIS_REPLY_MAP)) {
        return 1;
    }
    switch (argv[1][0]) {
    case 'w': write_on(argv[3]); break;
    case 'n': hear_news(argv[3]); break;
    default: pop_on(argv[3]); break;
    }
    return 0;
}
