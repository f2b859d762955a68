/* See redis_fixture.h. */
#include "redis_fixture.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellwether/base/memory.h"

struct fake_redis *fake;
struct pool_config pool;
struct secret *tokens, *read_only_tokens;
static struct redis_login login;

struct secret *make_secret(const char *value)
{
    char error[128];

    return secret_new(NULL, value, error, sizeof(error));
}

void prepare_commands(void)
{
    char error[256];

    fake = fake_redis_start();
    harness_init(&harness);
    login = (struct redis_login){.password = make_secret(NULL)};
    pool = (struct pool_config){
        .size = 2,
        .command_timeout_ms = 5000,
        .connect_timeout_ms = 2000,
        .max_pending = 100,
        .max_reply_bytes = 8 << 20,
        .replica_max_lag_bytes = -1,
        .policy = policy_parse("+@all -@admin", error, sizeof(error)),
        .logins = &login,
        .n_logins = 1,
    };
    harness.config.max_body_bytes = 10000;
    harness.config.redis_api = REDIS_API_LOOPBACK;
    harness.config.pool = &pool;
}

struct snapshot_master *make_deployment(const char *name)
{
    struct snapshot_master *master = make_master(name);

    add_replicas(master, 1);
    master->address = master->replicas[0].address = fake_redis_address(fake);
    return master;
}

void begin_commands(void)
{
    harness_start(&harness);
    harness_post(&harness, make_snapshot(make_deployment("mymaster"), NULL, NULL));
}

void start_commands(void)
{
    prepare_commands();
    begin_commands();
}

void stop_commands(void)
{
    fake_redis_release(fake);
    close_harness();
    fake_redis_stop(fake);
    policy_free((struct policy *)(uintptr_t)pool.policy);
    secret_free((struct secret *)(uintptr_t)login.password);
    secret_free(tokens);
    secret_free(read_only_tokens);
}

/* ---- asking ---- */

void send_request(int fd, const char *method, const char *target, const char *more,
                  const char *body)
{
    size_t size = strlen(target) + (more ? strlen(more) : 0) + (body ? strlen(body) : 0) + 200;
    char *text = mem_new(size, 1), length[64] = "";

    if (body) {
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n", strlen(body));
    }
    snprintf(text, size, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n%s", method, target, length,
             more ? more : "", body ? body : "");
    send_text(fd, text);
    free(text);
}

struct reply request(const char *method, const char *target, const char *more, const char *body)
{
    int fd = dial(&harness, LISTEN_ALL);
    struct reply reply;

    send_request(fd, method, target, more, body);
    reply = read_reply(fd, strcmp(method, "HEAD") != 0);
    close(fd);
    return reply;
}

void expect_json(struct reply reply, int status, const char *body)
{
    cr_expect_eq(reply.status, status, "%d: %s", reply.status, reply.body);
    cr_expect_str_eq(reply.body, body);
    cr_expect_str_eq(header_of(&reply, "content-type"), "application/json");
    cr_expect_str_eq(header_of(&reply, "cache-control"), "no-store");
    cr_expect_str_eq(header_of(&reply, "x-content-type-options"), "nosniff");
    reply_release(&reply);
}

const char *expect_error(struct reply reply, int status, const char *slug, const char *words)
{
    static char outcome[32];
    json_t *json = json_loads(reply.body, 0, NULL);
    const char *error = json_string_value(json_object_get(json, "error")),
               *type = json_string_value(json_object_get(json, "type"));

    cr_assert_eq(reply.status, status, "%d: %s", reply.status, reply.body);
    cr_assert_not_null(json, "%s", reply.body);
    cr_assert(error && type, "%s", reply.body);
    cr_expect_eq(strncmp(error, words, strlen(words)), 0, "%s: %s", words, error);
    cr_expect_eq(strncmp(reply.body, "{\"error\":", 9), 0, "%s", reply.body);
    cr_expect_str_eq(strrchr(type, ':') + 1, slug);
    cr_expect_eq(json_integer_value(json_object_get(json, "status")), status);
    cr_expect(json_is_string(json_object_get(json, "title")) &&
              json_is_string(json_object_get(json, "detail")));
    cr_expect_str_eq(header_of(&reply, "content-type"), "application/json");
    cr_expect_eq(*header_of(&reply, "retry-after") != '\0', status == 503);
    cr_expect_eq(*header_of(&reply, "www-authenticate") != '\0', status == 401);
    snprintf(outcome, sizeof(outcome), "%s",
             json_object_get(json, "outcome") ? json_string_value(json_object_get(json, "outcome"))
                                              : "");
    json_decref(json);
    reply_release(&reply);
    return outcome;
}

void expect_post(const char *target, const char *body, const char *answer)
{
    expect_json(request("POST", target, NULL, body), 200, answer);
}

const char *expect_post_error(const char *target, const char *body, int status, const char *slug,
                              const char *words)
{
    return expect_error(request("POST", target, NULL, body), status, slug, words);
}

void wait_hanging(size_t n)
{
    for (int i = 0; i < 2500 && fake_redis_hanging(fake) < n; i++) {
        usleep(2000);
    }
    cr_assert_geq(fake_redis_hanging(fake), n);
}

void wait_for_figure(const char *line)
{
    for (int i = 0; i < 2500; i++) {
        struct reply reply = get(&harness, "/metrics");
        bool there = strstr(reply.body, line) != NULL;

        reply_release(&reply);
        if (there) {
            return;
        }
        usleep(2000);
    }
    cr_assert_fail("no line %s", line);
}
