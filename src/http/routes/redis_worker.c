/*
 * A worker's part in commands: its pool and tokens, and the queue of those whose jobs have ended.
 */
#include "redis_worker.h"

#include <poll.h>
#include <stdlib.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "channel_stream.h"
#include "http/server/answer_cache.h"
#include "http/server/sockets.h"

#define FILES_EVERY_MS 2000

/* ---- those that have ended ---- */

void command_request_move(struct command_request *command, enum command_request_state state)
{
    if (command->state == COMMAND_REQUEST_WELCOME) {
        command->state = state;
    }
}

/*
 * Each resume makes libmicrohttpd walk all that sleep, so all that have ended in a turn are resumed
 * together, by the worker's hook.
 */
void commands_ended(struct pool_request *request)
{
    struct command_request *command = request->data;
    struct worker *worker = command->listener->worker;

    command_request_move(command, COMMAND_REQUEST_ENDED);
    list_append(&worker->commands->ended, &command->link);
    loop_turn_again(worker->loop);
}

void commands_flush(struct commands *commands)
{
    for (struct list_link *link; commands && (link = list_take_first(&commands->ended));) {
        struct command_request *command = LIST_OWNER(link, struct command_request, link);

        MHD_resume_connection(command->connection);
        command->listener->wanted = true;
    }
}

/* ---- what the pool wants to know, and to tell ---- */

/* recv() would say nothing: the caller may have sent more behind the request before it left. */
bool commands_caller_is_gone(void *data)
{
    const struct command_request *command = data;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(command->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd look = {.fd = info ? info->connect_fd : -1, .events = POLLRDHUP};

    return poll(&look, 1, 0) > 0;
}

static bool is_stalled(void *data)
{
    const struct commands *commands = data;

    return snapshot_is_stalled(commands->worker->cache->snapshot, clock_boot_ms());
}

static void tell_watcher(void *data, enum suspicion what, const char *master,
                         const struct address *address)
{
    const struct commands *commands = data;

    mailbox_post(commands->worker->ask_to, message_suspect_new(what, master, address));
}

static void ask_heard(void *data)
{
    worker_ask_heard(((struct commands *)data)->worker);
}

/* ---- credential files ---- */

/* Each worker reads the files for itself; the first one logs what came of it. */
static void refresh(struct commands *commands, bool force)
{
    char error[512];
    const char *doubt, *option;
    int64_t taken_ms = 0;
    bool was_failing = access_is_failing(commands->access, &taken_ms), failing;
    int outcome = access_refresh(commands->access, force, error, sizeof(error));
    bool ok = pool_refresh_credentials(commands->pool, force, &taken_ms);

    failing = access_is_failing(commands->access, &taken_ms);
    metric_files_read(&metrics_redis(commands->worker->metrics, commands->worker->number)->files,
                      ok && !failing, taken_ms, force ? clock_wall_ms() : 0);
    if (outcome > 0) {
        commands->tokens_changed++;
        channel_streams_end_for_tokens(commands->worker->live_streams);
    }
    if (commands->worker->number != 0) {
        return;
    }
    if (outcome < 0) {
        log_warn("tokens can't be read again, those of before stay", LOG_STR("error", error));
    } else if (was_failing && !failing) {
        log_warn("tokens can be read again", LOG_STR("changed", outcome > 0 ? "yes" : "no"));
    } else if (outcome > 0) {
        log_write(LOG_LEVEL_INFO, "tokens changed", NULL, 0);
    }
    while ((doubt = access_next_doubt(commands->access, &option))) {
        log_warn("tokens are not well kept", LOG_STR("option", option), LOG_STR("why", doubt));
    }
}

static void look_at_files(void *data)
{
    struct commands *commands = data;

    refresh(commands, false);
    loop_timer_start(commands->files_timer, FILES_EVERY_MS);
}

void commands_reload(struct commands *commands)
{
    if (commands) {
        refresh(commands, true);
    }
}

/* ---- life ---- */

struct commands *commands_new(struct worker *worker)
{
    const struct http_config *config = worker->config;
    const struct access_config access = {config->redis_api, config->tokens,
                                         config->read_only_tokens, config};
    struct commands *commands = mem_new(1, sizeof(*commands));
    const struct pool_hooks hooks = {is_stalled, tell_watcher, ask_heard, commands,
                                     &channel_stream_hooks};
    char error[256];

    commands->worker = worker;
    commands->writes = (uint64_t)clock_wall_ms() << 12; /* beyond those of a process before */
    commands->files_timer = loop_timer_new(worker->loop, look_at_files, commands);
    metric_files_start(&metrics_redis(worker->metrics, worker->number)->files, clock_wall_ms());
    commands->access = access_new(&access, error, sizeof(error));
    if (!commands->access) {
        log_error("cannot check tokens", LOG_STR("error", error));
        commands_free(commands);
        return NULL;
    }
    commands->pool =
        pool_new(worker->loop, config->pool, http_sockets_pending_count(worker->sockets),
                 metrics_redis(worker->metrics, worker->number), &hooks);
    return commands;
}

void commands_free(struct commands *commands)
{
    if (commands) {
        small_answer_drop_all(&commands->small[false]);
        small_answer_drop_all(&commands->small[true]);
        pool_free(commands->pool);
        access_free(commands->access);
        loop_timer_free(commands->files_timer);
        free(commands);
    }
}

void commands_start(struct commands *commands)
{
    if (commands) {
        loop_timer_start(commands->files_timer, FILES_EVERY_MS);
    }
}

void commands_take(struct commands *commands, struct snapshot *snapshot)
{
    if (commands) {
        pool_take(commands->pool, snapshot);
    }
}

void commands_drain(struct commands *commands)
{
    if (commands) {
        pool_drain(commands->pool);
    }
}

bool commands_abandon(struct commands *commands)
{
    if (!commands) {
        return false;
    }
    pool_abandon(commands->pool);
    return commands->ended.first != NULL;
}
