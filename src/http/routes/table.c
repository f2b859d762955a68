/* What the server is given: each route's handler, and who looks after requests with commands. */
#include "table.h"

#include "answers.h"
#include "bellwether/http/worker.h"
#include "http/render/event_text.h"
#include "http/server/routes.h"
#include "redis.h"
#include "redis_worker.h"

const struct http_routes http_routes = {
    .handlers =
        {
#define X(id, path, methods, scopes, parameters, handler, about) [ROUTE_##id] = (handler),
            ROUTES(X)
#undef X
        },
    .answer_render = answer_render,
    .answer_render_list = answer_render_list,
    .event_master = event_text_master,
    .event_sentinel = event_text_sentinel,
    .event_number = event_text_number,
    .command_begin = command_request_begin,
    .command_take = command_request_take,
    .command_go = command_request_go,
    .command_free = command_request_free,
    .commands_new = commands_new,
    .commands_free = commands_free,
    .commands_start = commands_start,
    .commands_take = commands_take,
    .commands_reload = commands_reload,
    .commands_drain = commands_drain,
    .commands_abandon = commands_abandon,
    .commands_flush = commands_flush,
};
