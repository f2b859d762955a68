/* What tests of forwards share. */
#include "forward.h"

#include <stdarg.h>
#include <string.h>

#include "ports.h"
#include "scene.h"

enum { SOON_MS = 10000, FLAGS_MAX = 40 };

struct daemon *forward_start(struct cluster *cluster, uint16_t *port, const char *words, ...)
{
    const char *flags[FLAGS_MAX] = {NULL};
    size_t n = 0;
    va_list arguments;

    *port = port_reserve();
    va_start(arguments, words);
    while (n < FLAGS_MAX - 1 && (flags[n] = va_arg(arguments, const char *))) {
        n++;
    }
    va_end(arguments);
    /* more than a test has is not said */
    cr_assert_lt(n, 13, "too many flags");
    return commands_start(cluster, "--forward", text("127.0.0.1:%u%s", *port, words), flags[0],
                          flags[1], flags[2], flags[3], flags[4], flags[5], flags[6], flags[7],
                          flags[8], flags[9], flags[10], flags[11], NULL);
}

struct pair *pair_start(size_t sentinels, const char *words, ...)
{
    struct pair *pair = scene_alloc(sizeof(*pair));
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 2, .sentinels = NONE});
    const char *flags[FLAGS_MAX] = {NULL};
    size_t n = 0;
    va_list arguments;

    va_start(arguments, words);
    while (n < FLAGS_MAX - 1 && (flags[n] = va_arg(arguments, const char *))) {
        n++;
    }
    va_end(arguments);
    cr_assert_lt(n, 9, "too many flags");
    pair->old = &cluster->nodes[0];
    pair->now = &cluster->nodes[1];
    pair->port = port_reserve();
    pair->told = told_start(sentinels, pair->old->port, pair->now->port, NULL);
    pair->daemon =
        told_daemon(pair->told, "--forward", text("127.0.0.1:%u%s", pair->port, words), flags[0],
                    flags[1], flags[2], flags[3], flags[4], flags[5], flags[6], flags[7], NULL);
    wait_for_replication(cluster);
    return pair;
}

void pair_promote(const struct pair *pair)
{
    cr_assert_str_eq(redis_say(pair->now, "REPLICAOF NO ONE"), "OK");
}

struct raw *client_open(uint16_t port)
{
    struct raw *raw = raw_open_plain(port);

    cr_assert(raw, "port %u refuses", port);
    return raw;
}

void client_send(struct raw *client, const char *command)
{
    const char *line = text("%s\r\n", command);

    cr_assert(raw_send(client, line, strlen(line)), "%s can't be sent", command);
}

char *client_hear(struct raw *client, int64_t bound_ms)
{
    char *line = raw_upto(client, "\r\n", patient(bound_ms));

    if (!line) {
        return text("%s", "");
    }
    line[strlen(line) - 2] = '\0';
    return line;
}

char *client_say(struct raw *client, const char *command)
{
    client_send(client, command);
    return client_hear(client, SOON_MS);
}

struct raw **clients_open(uint16_t port, size_t n)
{
    struct raw **clients = scene_alloc(n * sizeof(struct raw *));

    for (size_t i = 0; i < n; i++) {
        clients[i] = client_open(port);
        EXPECT_SAID(clients[i], "PING", "+PONG");
    }
    return clients;
}

void expect_said(struct raw *client, const char *command, const char *wanted, const char *file,
                 int line)
{
    const char *said = client_say(client, command);

    cr_assert_str_eq(said, wanted, "%s:%d: %s: \"%s\", wanted \"%s\"%s", file, line, command, said,
                     wanted, raw_ended(client) ? ", and it closed" : "");
}

size_t clients_at(const struct server *node)
{
    size_t n = 0;

    /* Sentinels have names, and the daemon itself speaks RESP3. */
    for (char *rest = redis_say(node, "CLIENT LIST TYPE normal"), *line;
         (line = strsep(&rest, "\n"));) {
        n += strstr(line, " name= ") && strstr(line, " resp=2") ? 1 : 0;
    }
    return n == 0 ? 0 : n - 1; /* the one that asks */
}

long long info_of(const struct server *node, const char *section, const char *key)
{
    return info_number(redis_say(node, "INFO %s", section), key);
}
