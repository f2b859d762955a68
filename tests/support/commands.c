/* Requests with commands, and the assertions on their answers. */
#include "commands.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scene.h"

enum { BOUND_MS = 25000 };

char *quoted(const char *words)
{
    char *out = text("%s", words);

    for (char *c = out; *c != '\0'; c++) {
        if (*c == '\'') {
            *c = '"';
        }
    }
    return out;
}

static struct http_answer *post(const struct daemon *daemon, const char *path, const char *body,
                                size_t size, const char *header)
{
    const char *const headers[] = {header, NULL};

    return http_send(&(struct http_request){.method = "POST",
                                            .base = daemon->base,
                                            .unix_socket = daemon->unix_socket,
                                            .path = path,
                                            .headers = headers,
                                            .body = body,
                                            .body_len = size,
                                            .bound_ms = BOUND_MS});
}

struct http_answer *command_post_bytes(const struct daemon *daemon, const char *path,
                                       const char *body, size_t size)
{
    return post(daemon, path, body, size, NULL);
}

struct http_answer *command_post_with(const struct daemon *daemon, const char *path,
                                      const char *body, const char *header)
{
    const char *bytes = quoted(body);

    return post(daemon, path, bytes, strlen(bytes), header);
}

struct http_answer *command_post(const struct daemon *daemon, const char *path, const char *body)
{
    return command_post_with(daemon, path, body, NULL);
}

struct http_answer *command_run(const struct daemon *daemon, ...)
{
    json_t *command = json_array();
    va_list arguments;

    va_start(arguments, daemon);
    for (const char *word; (word = va_arg(arguments, const char *));) {
        (void)json_array_append_new(command, json_string(word));
    }
    va_end(arguments);
    char *body = scene_keep(json_dumps(command, JSON_COMPACT), free);
    json_decref(command);
    return post(daemon, "/redis", body, strlen(body), NULL);
}

struct sent *command_send(const struct daemon *daemon, const char *path, const char *body)
{
    struct sent *sent = scene_alloc(sizeof(*sent));
    const char *bytes = quoted(body);
    const char *request =
        text("POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %zu\r\n\r\n%s", path,
             strlen(bytes), bytes);

    *sent = (struct sent){.raw = raw_open(daemon->port), .method = "POST", .path = path};
    cr_assert(sent->raw && raw_send(sent->raw, request, strlen(request)), "can't send to %s", path);
    return sent;
}

struct http_answer *command_answer(const struct sent *sent, int64_t bound_ms)
{
    struct http_answer *answer = raw_answer(sent->raw, bound_ms);

    if (answer->status == 0) {
        return answer;
    }
    scene_record(sent->method, sent->path, answer->status, answer->headers, answer->body,
                 answer->body_len, false);
    raw_close(sent->raw); /* thousands of them would be too many for the daemon */
    return answer;
}

static const char *dump(json_t *value)
{
    char *words = !value ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    return !words ? "" : scene_keep(words, free);
}

const char *command_result(const struct http_answer *answer)
{
    return dump(json_object_get(answer->json, "result"));
}

static const char *some(const char *words)
{
    return strlen(words) > 2000 ? text("%.2000s…", words) : words;
}

void expect_result(const struct http_answer *answer, const char *wanted, const char *file, int line)
{
    const char *result = command_result(answer), *expected = quoted(wanted);

    cr_assert(answer->status == 200 && strcmp(result, expected) == 0, "%s:%d: wanted %s, not %s",
              file, line, expected, some(http_text(answer)));
}

void expect_error(const struct http_answer *answer, long status, const char *word,
                  const char *outcome, const char *file, int line)
{
    const char *error = http_string(answer, "error"), *said = http_string(answer, "outcome");
    const size_t n = strlen(word);

    cr_assert(answer->status == status && strncmp(error, word, n) == 0 &&
                  strcmp(said, !outcome ? "" : outcome) == 0,
              "%s:%d: wanted %ld %s, outcome %s, not %s", file, line, status, word,
              !outcome ? "none" : outcome, some(http_text(answer)));
    cr_assert_str_eq(http_header(answer, "content-type"), "application/json", "%s:%d", file, line);
    cr_assert(status != 503 || *http_header(answer, "retry-after") != '\0',
              "%s:%d: no Retry-After: %s", file, line, http_text(answer));
    cr_assert_eq(http_number(answer, "status"), status, "%s:%d: %s", file, line, http_text(answer));
}

void expect_body(const struct http_answer *answer, long status, const char *wanted,
                 const char *file, int line)
{
    const char *body = dump(answer->json), *expected = quoted(wanted);

    cr_assert(answer->status == status && strcmp(body, expected) == 0,
              "%s:%d: wanted %ld %s, not %s", file, line, status, expected,
              some(http_text(answer)));
}

/*
 * A replica that has just been synchronized is sent nothing until it has acknowledged that, which
 * takes it up to a second. A master that is left before then takes everything along.
 */
void wait_for_replication(struct cluster *cluster)
{
    const struct server *master = &cluster->nodes[0];

    if (cluster->n_nodes < 2) {
        return;
    }
    cr_assert_str_eq(redis_say(master, "SET replicated yes"), "OK");
    for (size_t i = 1; i < cluster->n_nodes; i++) {
        WAIT_UNTIL(10000, !server_lives(&cluster->nodes[i]) ||
                              strcmp(redis_say(&cluster->nodes[i], "GET replicated"), "yes") == 0);
    }
    (void)redis_say(master, "DEL replicated");
}

struct daemon *commands_start(struct cluster *cluster, ...)
{
    va_list arguments;

    va_start(arguments, cluster);
    const char **flags = daemon_flags(2, arguments);
    va_end(arguments);
    flags[0] = "--redis-api";
    flags[1] = "loopback";
    return commands_launch(cluster, flags);
}

struct daemon *commands_launch(struct cluster *cluster, const char *const *flags)
{
    struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags});
    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    wait_for_replication(cluster);
    return daemon;
}

double metric_of(const struct daemon *daemon, const char *name)
{
    return metric_in(daemon_get(daemon, "/metrics"), name);
}

double metric_in(const struct http_answer *metrics, const char *name)
{
    const char *line = strstr(metrics->body, text("\n%s ", name));

    return !line ? -1 : strtod(line + strlen(name) + 2, NULL);
}

bool metric_is(const struct daemon *daemon, const char *name, double wanted)
{
    return metric_of(daemon, name) == wanted;
}

long daemon_memory_kb(const struct daemon *daemon, const char *what)
{
    const char *status = file_read(text("/proc/%d/status", (int)daemon->process->pid));
    const char *line = strstr(status, what);

    return !line ? -1 : strtol(line + strlen(what), NULL, 10);
}
