/* What tests of forwards share. */
#include "forward.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "ports.h"
#include "scene.h"

enum { SOON_MS = 10000, PIECE = 1 << 16, GROWTH_KB = 8192, FULL_MS = 300 };

struct daemon *forward_start(struct cluster *cluster, uint16_t *port, const char *words, ...)
{
    va_list arguments;

    va_start(arguments, words);
    const char **flags = daemon_flags(4, arguments);
    va_end(arguments);
    *port = port_reserve();
    flags[0] = "--redis-api";
    flags[1] = "loopback";
    flags[2] = "--forward";
    flags[3] = text("127.0.0.1:%u%s", *port, words);
    return commands_launch(cluster, flags);
}

struct pair *pair_start(size_t sentinels, const char *words, ...)
{
    struct pair *pair = scene_alloc(sizeof(*pair));
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 2, .sentinels = NONE});
    va_list arguments;

    va_start(arguments, words);
    const char **flags = daemon_flags(2, arguments);
    va_end(arguments);
    pair->old = &cluster->nodes[0];
    pair->now = &cluster->nodes[1];
    pair->port = port_reserve();
    flags[0] = "--forward";
    flags[1] = text("127.0.0.1:%u%s", pair->port, words);
    pair->told = told_start(sentinels, pair->old->port, pair->now->port, NULL);
    pair->daemon = told_launch(pair->told, flags);
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

/* ---- bytes, where lines will not do ---- */

int plain_dial(uint16_t port)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct timeval bound = {patient(30000) / 1000, 0};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert(fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof(bound));
    return fd;
}

/* @return bytes; fewer: it has ended. */
static size_t send_some(int fd, const char *bytes, size_t size)
{
    size_t sent = 0;

    while (sent < size) {
        const ssize_t n = send(fd, bytes + sent, size - sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR) { /* by a stop: there is a time-out on it */
            continue;
        }
        cr_assert(n > 0 || errno == EPIPE || errno == ECONNRESET, "sending: %s", strerror(errno));
        if (n < 0) {
            break;
        }
        sent += (size_t)n;
    }
    return sent;
}

/* @return bytes; 0: it has ended. */
static size_t take_some(int fd, char *bytes, size_t size)
{
    ssize_t n;

    while ((n = recv(fd, bytes, size, 0)) < 0 && errno == EINTR) {
    }
    cr_assert(n >= 0 || errno == ECONNRESET, "receiving: %s", strerror(errno));
    return n < 0 ? 0 : (size_t)n;
}

void plain_send(int fd, const char *bytes, size_t size)
{
    cr_assert_eq(send_some(fd, bytes, size), size, "it has ended");
}

void plain_expect(int fd, const char *wanted)
{
    char bytes[256] = "";

    for (size_t n = 0; n < strlen(wanted);) {
        const size_t got = take_some(fd, bytes + n, strlen(wanted) - n);

        cr_assert_gt(got, 0, "\"%s\", not \"%s\"", bytes, wanted);
        n += got;
    }
    cr_assert_str_eq(bytes, wanted);
}

void plain_drop(int fd, size_t size)
{
    static char piece[PIECE];

    while (size > 0) {
        const size_t n = take_some(fd, piece, size < PIECE ? size : PIECE);

        cr_assert_gt(n, 0, "it ended with %zu to come", size);
        size -= n;
    }
}

/* What stands from `at` up to the end of its piece, or `to`. @return so many. */
static size_t write_value(char *piece, size_t at, size_t to)
{
    const size_t left = PIECE - at % PIECE, size = to - at < left ? to - at : left;

    memset(piece, (int)(at / PIECE % 251), size);
    return size;
}

size_t plain_send_value(int fd, size_t from, size_t to)
{
    static char piece[PIECE];
    size_t at = from;

    while (at < to) {
        const size_t size = write_value(piece, at, to), sent = send_some(fd, piece, size);

        at += sent;
        if (sent < size) {
            break;
        }
    }
    return at - from;
}

size_t plain_send_until_full(int fd, size_t to)
{
    static char piece[PIECE];
    size_t sent = 0;

    for (int64_t last_ms = now_ms(); sent < to && now_ms() < last_ms + FULL_MS;) {
        const size_t size = write_value(piece, sent, to);
        const ssize_t n = send(fd, piece, size, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0) {
            sent += (size_t)n;
            last_ms = now_ms();
        } else {
            nap_ms(5);
        }
    }
    return sent;
}

size_t plain_take_value(int fd, size_t from, size_t to)
{
    static char piece[PIECE], wanted[PIECE];
    size_t at = from;

    while (at < to) {
        const size_t size = write_value(wanted, at, to), got = take_some(fd, piece, size);

        if (got == 0) {
            break;
        }
        cr_assert_arr_eq(piece, wanted, got, "at %zu", at);
        at += got;
    }
    return at - from;
}

void expect_small_growth(const struct daemon *daemon, long before_kb)
{
    const long now_kb = daemon_memory_kb(daemon, "RssAnon:");

    cr_assert(daemon_is_sanitized() || now_kb - before_kb < GROWTH_KB, "%ld kB more",
              now_kb - before_kb);
}
