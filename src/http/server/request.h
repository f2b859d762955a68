/* One request as the handlers of resources see it, and the ways to answer it. */
#ifndef BELLWETHER_HTTP_SERVER_REQUEST_H
#define BELLWETHER_HTTP_SERVER_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "answer_cache.h"
#include "bellwether/http/query.h"
#include "fresh.h"
#include "listener.h"
#include "long_poll.h"
#include "problem.h"

/* What a request keeps between calls: most keep nothing but the mark that they were seen. */
struct held {
    int64_t body_bytes;
    struct fresh *fresh;
    struct long_poll *long_poll;
    struct command_request *command; /* it runs commands: its route does the rest */
};

struct request {
    struct worker *worker;
    struct listener *listener;
    struct MHD_Connection *connection;
    void **state; /* MHD's, for what the request keeps while it waits */
    const struct route *route;
    const char *path;     /* as it came, without the query */
    const char *argument; /* what stood for `{...}` in the path */
    bool plain;           /* neither query nor headers make its answer another one */
    bool keep;            /* set by a handler: the cache is to keep the answer for this path */
    struct query query;
    enum http_form form; /* JSON, text or url: asked for by ?format= or Accept */
    bool likes_html;     /* Accept likes HTML best, where there is some */
    const char *if_none_match;
    int64_t prefer_wait_ms;      /* Prefer: wait=30; 0 none */
    bool head;                   /* HEAD: no body follows */
    const char *origin;          /* whose pages may read the answer; NULL: nobody's but our own */
    const char *allow;           /* the header Allow of the answer; NULL: none */
    struct long_poll *long_poll; /* it has waited */
    const struct fresh *fresh;   /* the outcome of ?fresh=1, once it is there */
    bool closing;                /* this connection ends after the answer */
    unsigned status;             /* set by the answer; 0: not answered yet */
    enum MHD_Result result;      /* set by the answer */
};

/** The first call of a request: from now on it is seen. */
void request_see(void **state);
/** What it keeps, made now if it kept nothing. */
struct held *request_hold(void **state);
/** The same; NULL: nothing. */
const struct held *request_held(void *const *state);

/** Answer with a shared response; 304 when the caller has it. */
void request_answer(struct request *request, const struct answer *answer);
/** The same with one made for this request. @param answer taken. */
void request_answer_own(struct request *request, struct answer *answer);
/**
 * Answer with JSON made for this request; no ETag. @param json taken. @param master for the index
 * header; NULL: none.
 */
void request_answer_json(struct request *request, unsigned status, json_t *json,
                         const struct snapshot_master *master);
/** Answer with one line, or lines, of text made for this request. @param text taken. */
void request_answer_text(struct request *request, unsigned status, char *text,
                         const struct snapshot_master *master);
/** Answer with a problem, in text form where that was asked for. @param problem taken. */
void request_answer_problem(struct request *request, enum problem_kind kind, json_t *problem,
                            const struct snapshot_master *master);
/** The same with nothing but these words. */
void request_refuse(struct request *request, enum problem_kind kind, const char *detail);
/** Answer 405 with Allow, or 204 to OPTIONS. */
void request_answer_methods(struct request *request, bool refused);
/**
 * A body made for this request. @param policy its Content-Security-Policy; NULL: none. @param body
 * taken, from malloc().
 */
void request_answer_bytes(struct request *request, const char *content_type, const char *policy,
                          char *body, size_t size);
/** A body of the program's own. */
void request_answer_static(struct request *request, const char *content_type, const char *body,
                           size_t size);

/**
 * Suspend the request until the watcher has answered, or was silent for too long; its handler is
 * then called again, with `fresh`. @param master "": the question is about none.
 */
void request_ask(struct request *request, enum fresh_question question, const char *master);
/**
 * Somebody reads how far this master's replicas lag (NULL: everybody's): the watcher is told, now
 * and then.
 */
void request_reads_lag(struct request *request, struct cached_master *cached);
/**
 * Suspend the request until the terms hold or its time is over; its handler is then called again,
 * with `long_poll`. Or answer that too many wait.
 */
void request_wait(struct request *request, const struct wait_terms *terms, int64_t wait_ms);
#define TOO_MANY_WAITERS_WORDS \
    "as many callers wait as may (option max-waiters); ask without waiting, or again later"
/** 503: as many wait as may. */
void request_answer_too_many_long_polls(struct request *request);

#endif
