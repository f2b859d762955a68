/*
 * What the routes hand to the server, which names none of them: their handlers, who renders shared
 * answers and events, and the calls of a request with commands, which has use for its body and so
 * gets all its calls itself.
 */
#ifndef BELLWETHER_HTTP_SERVER_ROUTES_H
#define BELLWETHER_HTTP_SERVER_ROUTES_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

#include "answer_cache.h"
#include "bellwether/http/router.h"
#include "bellwether/topology/messages.h"
#include "bellwether/topology/snapshot.h"

struct command_request;
struct commands;
struct listener;
struct request;
struct worker;

struct http_routes {
    void (*handlers[ROUTES_COUNT])(struct request *request); /* NULL: it runs commands */

    /* answers that are shared: http/routes/answers.h */
    struct answer *(*answer_render)(const struct cache *cache, const struct snapshot_master *master,
                                    enum answer_kind kind, enum answer_form form);
    struct answer *(*answer_render_list)(const struct cache *cache, enum answer_form form);

    /* the events of /events, and their ids: http/render/event_text.h */
    char *(*event_master)(const char *instance, uint64_t number,
                          const struct snapshot_master *master, bool stalled, size_t *size);
    char *(*event_sentinel)(const char *instance, uint64_t number,
                            const struct message_event *message, size_t *size);
    int (*event_number)(const char *instance, const char *id, uint64_t *out);

    /* one request with commands: http/routes/redis.h */
    struct command_request *(*command_begin)(struct listener *listener,
                                             struct MHD_Connection *connection, const char *url,
                                             const char *method);
    bool (*command_take)(struct command_request *command, const char *bytes, size_t size);
    enum MHD_Result (*command_go)(struct command_request *command, const char *url,
                                  const char *method);
    void (*command_free)(struct command_request *command);

    /* a worker's part in commands: http/routes/redis_worker.h */
    struct commands *(*commands_new)(struct worker *worker);
    void (*commands_free)(struct commands *commands);
    void (*commands_start)(struct commands *commands);
    void (*commands_take)(struct commands *commands, struct snapshot *snapshot);
    void (*commands_reload)(struct commands *commands);
    void (*commands_drain)(struct commands *commands);
    bool (*commands_abandon)(struct commands *commands);
    void (*commands_flush)(struct commands *commands);
};

#endif
