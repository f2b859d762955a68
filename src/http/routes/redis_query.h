/*
 * The query of a request with commands: what is this daemon's own (`retry`, `_token`), what is
 * appended to a path, and what a client has put behind it.
 */
#ifndef BELLWETHER_HTTP_ROUTES_REDIS_QUERY_H
#define BELLWETHER_HTTP_ROUTES_REDIS_QUERY_H

#include "bellwether/commands/batch.h"
#include "redis.h"

#define QUERY_TOKEN_ROOM 1024 /* a longer one is none */

/* Where the query goes. */
struct query_pairs {
    struct command_request *command;
    struct batch *batch; /* what is not ours is appended here; NULL: nowhere */
    struct buffer text;  /* decoded; to be released */
    bool failed, bad_retry;
    char retry[QUERY_SHOWN_SIZE]; /* with `bad_retry`: what it is */
    char error[BATCH_ERROR_SIZE]; /* with `failed` */
};

/**
 * Clients put "/pipeline" or "/multi-exec" behind the URL that they were given, which may end with
 * a query: /redis?retry=always/pipeline. Where it is so the request's route becomes the one that
 * they meant.
 */
void command_query_look_behind(struct command_request *command);
/** The token in the query. @return NULL: there is none. */
const char *command_query_token(const struct command_request *command, char out[QUERY_TOKEN_ROOM]);
/** Go over the query; what `retry` says is noted in the request. */
void command_query_read(struct query_pairs *pairs);

#endif
