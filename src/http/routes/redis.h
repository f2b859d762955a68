/*
 * /redis and its kin: a request's body or path is read into commands, the worker's pool runs them,
 * what came of them is the answer.
 *
 *   redis.c          one request, from its first call to the pool
 *   redis_query.c    its query
 *   redis_reply.c    what came of it, as an answer; refusals
 *   sync_token.c     what an answer to a write carries, for reads to come
 *   small_answers.c  responses that are used again
 *   subscribe.c      a request for a stream of channels, channel_stream.c the stream
 *   redis_worker.c   a worker's part: pool, tokens, those that have ended and are to be resumed
 *
 * Such a request is suspended while its commands run. It never loses its connection once they may
 * have been sent: clients repeat a request whose connection was dropped.
 */
#ifndef BELLWETHER_HTTP_ROUTES_REDIS_H
#define BELLWETHER_HTTP_ROUTES_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/buffer.h"
#include "bellwether/base/list.h"
#include "bellwether/commands/pool.h"
#include "bellwether/http/router.h"
#include "http/server/listener.h"
#include "sync_token.h"

/* What is asked of a request's body or path. */
enum command_request_kind {
    COMMAND_REQUEST_ONE,
    COMMAND_REQUEST_PIPELINE,
    COMMAND_REQUEST_TRANSACTION,
    COMMAND_REQUEST_PATH,
    COMMAND_REQUEST_KINDS,
    COMMAND_REQUEST_STREAM = COMMAND_REQUEST_KINDS, /* whose rows are elsewhere */
};

/* A request runs and ends, or is refused for one of the reasons behind before it is read. */
enum command_request_state {
    COMMAND_REQUEST_WELCOME, /* also while its commands run */
    COMMAND_REQUEST_ENDED,   /* what came of its commands is in `request` */
    COMMAND_REQUEST_BAD_PATH,
    COMMAND_REQUEST_BAD_METHOD,
    COMMAND_REQUEST_TWICE,      /* a header that there may be one of */
    COMMAND_REQUEST_BAD_FORMAT, /* Upstash-Response-Format */
    COMMAND_REQUEST_NO_TOKEN,
    COMMAND_REQUEST_WRONG_TOKEN,
    COMMAND_REQUEST_FORBIDDEN,
    COMMAND_REQUEST_FOREIGN, /* by a name that may be a page's own */
    COMMAND_REQUEST_TOO_LARGE,
    COMMAND_REQUEST_HEAD_TOO_LARGE, /* there would be no room for its answer */
    COMMAND_REQUEST_NO_MEMORY,
};

/* One request. */
struct command_request {
    struct list_link link; /* among the ended */
    struct listener *listener;
    struct MHD_Connection *connection;
    const struct route *route; /* NULL: its path is not well encoded */
    enum command_request_kind kind;
    enum command_request_state state;
    const char *words; /* why access is refused; static. Or what the header says; borrowed */
    bool closing;      /* the connection ends after the answer */
    bool keeps_body;   /* a POST; while it is welcome */
    /* where the query ends before what a client has put behind it, "/pipeline"; NULL: nothing */
    const char *query_end;
    bool syncs;                       /* it came with a sync token, be it an empty one */
    char sync_token[SYNC_TOKEN_SIZE]; /* that it came with, or of the answer; "" none */
    struct buffer body;
    int64_t body_bytes;           /* that came, dropped ones included */
    int64_t began_us;             /* boot clock */
    struct pool_request *request; /* behind this, in the same piece of memory */
    struct small_answer *small;   /* the answer, where it is such a one */
    /* a stream's, until it is opened; NULL before it began, and of other kinds */
    struct channel_stream *stream;
    bool is_head;    /* no body follows */
    unsigned status; /* of the answer; 0: there is none yet */
};

/**
 * The first call of a request. One whose announced body is too large may be answered from here.
 * @param url  the raw path.
 * @return NULL: it is not about commands.
 */
struct command_request *command_request_begin(struct listener *listener,
                                              struct MHD_Connection *connection, const char *url,
                                              const char *method);
/** A piece of its body. @return false: that is enough, hang up. */
bool command_request_take(struct command_request *command, const char *bytes, size_t size);
/** All of it is there, or its commands have ended: run them, or answer. */
enum MHD_Result command_request_go(struct command_request *command, const char *url,
                                   const char *method);
void command_request_free(struct command_request *command);

#endif
