/*
 * A master's command table: COMMAND of its first connection, and of each new generation's; COMMAND
 * INFO of names that are not in it.
 */
#include "table_fetch.h"

#include <stdio.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"

static void say_closed(const struct master_pool *master_pool)
{
    log_error("a rule of --commands denies what this server does not have, so no command is run",
              LOG_STR("master", master_pool->name),
              LOG_STR("rule", command_table_closed(master_pool->commands_table)));
}

static void on_table(void *data, const redisReply *reply, enum redis_fail why)
{
    struct master_pool *master_pool = data;
    struct command_table *commands_table;

    (void)why;
    if (!reply) {
        return; /* the next connection asks again */
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        log_warn(
            "the server does not tell its commands: every command counts as a write, and rules that name categories refuse",
            LOG_STR("master", master_pool->name), LOG_STR("error", reply->str));
    }
    commands_table = command_table_new(master_pool->pool->config->policy,
                                       reply->type == REDIS_REPLY_ERROR ? NULL : reply);
    if (!master_pool->commands_table && command_table_idle_rule(commands_table)) {
        log_warn("a rule of --commands names nothing that this server has",
                 LOG_STR("master", master_pool->name),
                 LOG_STR("rule", command_table_idle_rule(commands_table)));
    }
    command_table_free(master_pool->commands_table);
    master_pool->commands_table = commands_table;
    master_pool->table_is_old = false;
    if (command_table_closed(commands_table)) {
        say_closed(master_pool);
    }
    master_pool_wake(master_pool);
}

static void on_info(void *data, const redisReply *reply, enum redis_fail why)
{
    struct master_pool *master_pool = data;
    const char *closed = command_table_closed(master_pool->commands_table);

    (void)why;
    if (reply) {
        command_table_learn(master_pool->commands_table, master_pool->asked, reply,
                            clock_boot_ms());
        if (!closed && command_table_closed(master_pool->commands_table)) {
            say_closed(master_pool);
        }
    }
    master_pool->asked[0] = '\0';
    master_pool_wake(master_pool);
}

void table_fetch(struct master_pool *master_pool, struct pool_conn *pool_conn)
{
    const struct pool_config *config = master_pool->pool->config;
    const char *argv[] = {"COMMAND"};

    if (master_pool->commands_table &&
        (!master_pool->table_is_old || pool_conn->endpoint->is_replica)) {
        return;
    }
    /*
     * With a table at hand, commands go out behind this one, whose time must not end the connection
     * before theirs does.
     */
    redis_conn_command(pool_conn->conn, on_table, master_pool,
                       master_pool->commands_table ? config->command_timeout_ms
                                                   : config->connect_timeout_ms,
                       1, argv, NULL);
}

void table_fetch_name(struct master_pool *master_pool, struct pool_conn *pool_conn,
                      const char *name)
{
    const char *argv[] = {"COMMAND", "INFO", name};

    if (master_pool->asked[0] != '\0') {
        return;
    }
    snprintf(master_pool->asked, sizeof(master_pool->asked), "%s", name);
    redis_conn_command(pool_conn->conn, on_info, master_pool,
                       master_pool->pool->config->command_timeout_ms, 3, argv, NULL);
}
