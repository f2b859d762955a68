/*
 * A client that asks without waiting: several servers can be watched at once from one thread, and
 * one that doesn't answer holds up no other.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

void asker_turn_to(struct asker *asker, const char *path)
{
    (void)snprintf(asker->question, sizeof(asker->question),
                   "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", path, asker->port);
}

void asker_init(struct asker *asker, enum asker_kind kind, uint16_t port, const char *what)
{
    char *question = asker->question;

    *asker = (struct asker){.kind = kind, .port = port, .fd = -1};
    switch (kind) {
    case ASKER_HTTP: asker_turn_to(asker, what); break;
    case ASKER_SENTINEL:
        (void)snprintf(question, sizeof(asker->question), "SENTINEL GET-MASTER-ADDR-BY-NAME %s\r\n",
                       what);
        break;
    case ASKER_ROLE:
        (void)snprintf(question, sizeof(asker->question), "INFO replication\r\n");
        break;
    case ASKER_STREAM: /* HTTP/1.0 knows no chunks, which would have to be taken apart */
        (void)snprintf(question, sizeof(asker->question),
                       "GET %s HTTP/1.0\r\nHost: 127.0.0.1:%u\r\n\r\n", what, port);
        break;
    case ASKER_SUBSCRIBER:
        (void)snprintf(question, sizeof(asker->question),
                       "SUBSCRIBE +promoted-slave +switch-master\r\n");
        (void)snprintf(asker->name, sizeof(asker->name), "%s", what);
        break;
    }
}

void asker_close(struct asker *asker)
{
    if (asker->fd >= 0) {
        (void)close(asker->fd);
    }
    asker->fd = -1;
    asker->waiting = false;
    asker->n = 0;
}

static bool asker_connect(struct asker *asker)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(asker->port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int one = 1;

    asker->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (asker->fd < 0) {
        return false;
    }
    (void)setsockopt(asker->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(asker->fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
        asker_close(asker);
    }
    return asker->fd >= 0;
}

void asker_ask(struct asker *asker)
{
    if (asker->waiting || (asker->fd < 0 && !asker_connect(asker))) {
        return;
    }
    const size_t length = strlen(asker->question);
    asker->answered = false;
    asker->n = 0;
    if (send(asker->fd, asker->question, length, MSG_NOSIGNAL) == (ssize_t)length) {
        asker->waiting = true;
    } else {
        asker->lost++;
        asker_close(asker);
    }
}

/* The text between `before` and the next `after`. */
static void cut_out(const char *text, const char *before, char after, char *out, size_t out_size)
{
    const char *at = strstr(text, before);
    const char *end = !at ? NULL : strchr(at + strlen(before), after);

    out[0] = '\0';
    if (end) {
        (void)snprintf(out, out_size, "%.*s", (int)(end - at - (long)strlen(before)),
                       at + strlen(before));
    }
}

static bool take_http(struct asker *asker)
{
    const char *head_end = strstr(asker->bytes, "\r\n\r\n");
    char length[32];

    if (!head_end) {
        return false;
    }
    cut_out(asker->bytes, "Content-Length: ", '\r', length, sizeof(length));
    if (asker->n < (size_t)(head_end + 4 - asker->bytes) + strtoul(length, NULL, 10)) {
        return false;
    }
    asker->status = (int)strtol(asker->bytes + strcspn(asker->bytes, " "), NULL, 10);
    cut_out(asker->bytes, "X-Bellwether-Index: ", '\r', asker->index, sizeof(asker->index));
    asker->address[0] = '\0';
    if (asker->status == 200) {
        cut_out(head_end, "\"address\":\"", '"', asker->address, sizeof(asker->address));
    }
    return true;
}

/* `*2 $9 127.0.0.1 $4 6379`, each on a line; anything else of one line names nobody. */
static bool take_sentinel(struct asker *asker)
{
    char copy[256], *save = NULL;

    asker->address[0] = '\0';
    if (asker->bytes[0] != '*' || asker->bytes[1] == '-') {
        return strstr(asker->bytes, "\r\n") != NULL;
    }
    (void)snprintf(copy, sizeof(copy), "%s", asker->bytes);
    char *line[5] = {NULL};
    size_t n = 0;
    for (char *at = strtok_r(copy, "\r\n", &save); at && n < 5;
         at = strtok_r(NULL, "\r\n", &save)) {
        line[n++] = at;
    }
    if (n < 5 || strcmp(asker->bytes + asker->n - 2, "\r\n") != 0) {
        return false;
    }
    (void)snprintf(asker->address, sizeof(asker->address), "%s:%s", line[2], line[4]);
    return true;
}

/* `$348`, then so many bytes; an error of one line is no master's answer. */
static bool take_role(struct asker *asker)
{
    const char *line_end = strstr(asker->bytes, "\r\n");

    asker->is_master = false;
    if (!line_end || asker->bytes[0] != '$') {
        return line_end != NULL;
    }
    if (asker->n < (size_t)(line_end + 4 - asker->bytes) + strtoul(asker->bytes + 1, NULL, 10)) {
        return false;
    }
    asker->is_master = strstr(line_end, "\r\nrole:master\r\n") != NULL;
    return true;
}

/* An event of the daemon, and a line of a subscription: whom it names, "" where it names nobody. */
static void read_event(const char *event, char *address, size_t size)
{
    if (strstr(event, "event: master\n") && strstr(event, "\"state\":\"ok\"")) {
        cut_out(event, "\"address\":\"", '"', address, size);
    }
}

static void read_message(const char *line, const char *name, char *address, size_t size)
{
    char host[48], port[8], master[64];

    if ((sscanf(line, "slave %*s %47s %7s @ %63s", host, port, master) == 3 ||
         sscanf(line, "%63s %*s %*s %47s %7s", master, host, port) == 3) &&
        strcmp(master, name) == 0) {
        (void)snprintf(address, size, "%s:%s", host, port);
    }
}

/* Every whole event or line; its rest is kept. */
static void take_told(struct asker *asker)
{
    const char *mark = asker->kind == ASKER_STREAM ? "\n\n" : "\r\n";
    char *at = asker->bytes;

    for (char *end; (end = strstr(at, mark)); at = end + 2) {
        char address[sizeof(asker->address)] = "";

        *end = '\0';
        if (asker->kind == ASKER_STREAM) {
            read_event(at, address, sizeof(address));
        } else {
            read_message(at, asker->name, address, sizeof(address));
        }
        if (address[0] == '\0' || strcmp(address, asker->address) == 0) {
            continue;
        }
        (void)snprintf(asker->address, sizeof(asker->address), "%s", address);
        asker->answered_ns = monotonic_ns();
        asker->answered = true;
    }
    asker->n -= (size_t)(at - asker->bytes);
    memmove(asker->bytes, at, asker->n + 1);
}

static bool take_answer(struct asker *asker)
{
    switch (asker->kind) {
    case ASKER_HTTP: return take_http(asker);
    case ASKER_SENTINEL: return take_sentinel(asker);
    case ASKER_ROLE: return take_role(asker);
    default: /* never done */ take_told(asker); return false;
    }
}

static void asker_read(struct asker *asker)
{
    const ssize_t got =
        recv(asker->fd, asker->bytes + asker->n, sizeof(asker->bytes) - 1 - asker->n, MSG_DONTWAIT);

    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            asker->lost++;
            asker_close(asker);
        }
        return;
    }
    asker->n += (size_t)got;
    asker->bytes[asker->n] = '\0';
    if (take_answer(asker)) {
        asker->answered_ns = monotonic_ns();
        asker->waiting = false;
        asker->answered = true;
    }
}

void askers_wait(struct asker *askers, size_t n, int64_t until_ns)
{
    struct pollfd wait[ASKERS_MAX];
    const int64_t left_ns = until_ns - monotonic_ns();
    const struct timespec left = {left_ns > 0 ? left_ns / 1000000000 : 0,
                                  left_ns > 0 ? left_ns % 1000000000 : 0};

    for (size_t i = 0; i < n; i++) {
        wait[i] = (struct pollfd){.fd = askers[i].waiting ? askers[i].fd : -1, .events = POLLIN};
    }
    if (ppoll(wait, n, &left, NULL) <= 0) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (wait[i].revents != 0) {
            asker_read(&askers[i]);
        }
    }
}
