/*
 * The test's own client of Redis and Sentinel: one connection a question, blocking, with a
 * time-out.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "cluster.h"
#include "scene.h"

static void drop_reply(void *reply)
{
    freeReplyObject(reply);
}

static redisReply *ask(const struct server *server, const char *format, va_list arguments)
{
    const struct timeval bound = {2, 0};

    redisContext *context = server->socket && (server->netns_of != 0 || server->tls)
                                ? redisConnectUnixWithTimeout(server->socket, bound)
                                : redisConnectWithTimeout(server->ip, server->port, bound);
    redisReply *reply = NULL;
    if (!context || context->err != 0 || redisSetTimeout(context, bound) != REDIS_OK) {
        goto done;
    }
    if (server->password) {
        freeReplyObject(redisCommand(context, "AUTH %s", server->password));
    }
    reply = redisvCommand(context, format, arguments);
done:
    if (context) {
        redisFree(context);
    }
    return !reply ? NULL : scene_keep(reply, drop_reply);
}

redisReply *redis_ask(const struct server *server, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    redisReply *reply = ask(server, format, arguments);
    va_end(arguments);
    return reply;
}

static char *reply_text(const redisReply *reply)
{
    if (!reply || reply->type == REDIS_REPLY_NIL) {
        return text("%s", "");
    }
    if (reply->type == REDIS_REPLY_INTEGER) {
        return text("%lld", reply->integer);
    }
    if (reply->str) {
        return text("%s", reply->str);
    }
    char *out = text("%s", "");
    for (size_t i = 0; i < reply->elements; i++) {
        out = text("%s%s%s", out, i == 0 ? "" : " ", reply_text(reply->element[i]));
    }
    return out;
}

char *redis_say(const struct server *server, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    const redisReply *reply = ask(server, format, arguments);
    va_end(arguments);
    return reply_text(reply);
}

const char *reply_field(const redisReply *row, const char *field)
{
    for (size_t i = 0; row && i + 1 < row->elements; i += 2) {
        if (row->element[i]->str && strcmp(row->element[i]->str, field) == 0) {
            return !row->element[i + 1]->str ? "" : row->element[i + 1]->str;
        }
    }
    return "";
}

long long info_number(const char *info, const char *key)
{
    const char *at = strstr(info, key);

    return !at ? -1 : strtoll(at + strlen(key), NULL, 10);
}

char *address_text(const char *host, unsigned port)
{
    return !strchr(host, ':') ? text("%s:%u", host, port) : text("[%s]:%u", host, port);
}

char *sentinel_says(const struct server *sentinel, const char *name)
{
    const redisReply *reply = redis_ask(sentinel, "SENTINEL GET-MASTER-ADDR-BY-NAME %s", name);

    if (!reply || reply->elements != 2) {
        return text("%s", "");
    }
    return address_text(reply->element[0]->str,
                        (unsigned)strtoul(reply->element[1]->str, NULL, 10));
}
