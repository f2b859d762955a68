/* One request as the handlers of resources see it, and the ways to answer it. */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "bellwether/http/query.h"
#include "cache.h"
#include "fresh.h"
#include "parts.h"
#include "problem.h"

struct request {
    struct worker *worker;
    struct listener *listener;
    struct MHD_Connection *connection;
    void **state; /* MHD's, for what the request keeps while it waits */
    const struct route *route;
    const char *argument; /* what stood for `{...}` in the path */
    struct query query;
    enum http_form form; /* JSON, text or url: asked for by ?format= or Accept */
    const char *if_none_match;
    const struct fresh *fresh; /* the outcome of ?fresh=1, once it is there */
    bool closing;              /* this connection ends after the answer */
    enum MHD_Result result;    /* set by the answer */
};

/** Answer with a shared response; 304 when the caller has it. */
void request_answer(struct request *request, const struct answer *answer);
/** Answer with JSON made for this request; no ETag. @param json taken. @param master for the index header; NULL: none. */
void request_answer_json(struct request *request, unsigned status, json_t *json,
                         const struct snapshot_master *master);
/** Answer with one line, or lines, of text made for this request. @param text taken. */
void request_answer_text(struct request *request, unsigned status, char *text,
                         const struct snapshot_master *master);
/** Answer with a problem, in text form where that was asked for. @param problem taken. */
void request_answer_problem(struct request *request, enum problem_kind kind, json_t *problem,
                            const struct snapshot_master *master);
/** Answer 405 with Allow, or 204 to OPTIONS. */
void request_answer_methods(struct request *request, bool refused);
/** A body of the program's own. */
void request_answer_static(struct request *request, const char *content_type, const char *body, size_t size);

/** Suspend the request until a fresh look-up of this master ended; its handler is then called again, with `fresh`. */
void request_wait_fresh(struct request *request, const char *master);

/* ---- the resources' handlers, one for each route ---- */

void masters_handle_one(struct request *request);   /* /master, /masters/{name} */
void masters_handle_list(struct request *request);  /* /masters */
void replicas_handle_list(struct request *request); /* /replicas ... */
void replicas_handle_one(struct request *request);  /* /replica ... */
void sentinels_handle(struct request *request);     /* /sentinels ... */
void health_handle_live(struct request *request);   /* /livez, /healthz */
void health_handle_ready(struct request *request);  /* /readyz */
void health_handle_check(struct request *request);  /* /readyz/{check} */
void meta_handle_index(struct request *request);    /* / */
void meta_handle_version(struct request *request);  /* /version */
void meta_handle_openapi(struct request *request);  /* /openapi.yaml */

/* ---- shared by the resources (masters.c) ---- */

/** The master that the path names, or the default one; NULL: it was answered (404, 409, 503). */
struct cached_master *masters_find(struct request *request);
/** 503, slug no-master. @param reason REASON_NONE: the master's own. @param detail NULL: the master's own. */
void masters_refuse(struct request *request, const struct snapshot_master *master, enum reason reason,
                    const char *detail);
/** The same with reason `watcher_stalled` and words for it. */
void masters_refuse_stalled(struct request *request, const struct snapshot_master *master);
/** How long the watcher has been silent, in words for people. */
const char *masters_stalled_detail(const struct request *request, char *out, size_t size);
/** 404, slug unknown-master, with the names that the Sentinels know. */
void masters_answer_unknown(struct request *request, const char *name);

#endif
