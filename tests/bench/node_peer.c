/*
 * node_peer COUNT: as many masters as are wanted, each with a replica, in one process.
 *
 * Each node listens on a loopback port of its own and says what Sentinels and clients must hear
 * from it: INFO, HELLO, PING, and the hello channel, which is passed on to whoever subscribed at
 * the same port. There is no data; a replica's offset lags behind by a few bytes, another number
 * each time, as where something is written all the time. The ports are printed, a master's and its
 * replica's in one line, and an empty line when all of them listen.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 20000, MAX_EVENTS = 256, MAX_WORDS = 6, MAX_SUBSCRIBERS = 16, BUFFER = 2048 };

struct node {
    bool replica;
    uint16_t port;
    unsigned other; /* its master or replica */
    int subscribers[MAX_SUBSCRIBERS];
    size_t n_subscribers;
};

/* A listener or a connection, by its descriptor. */
static struct socket {
    unsigned node;
    bool listener, resp3;
    size_t n;
    char bytes[BUFFER];
} sockets[MAX_FD];

static struct node *nodes;
static unsigned offset; /* what all masters have written */

struct word {
    const char *at;
    size_t length;
};

static bool is(const struct word *word, const char *text)
{
    return word->length == strlen(text) && strncasecmp(word->at, text, word->length) == 0;
}

static void say(int fd, const char *bytes, size_t n)
{
    if (send(fd, bytes, n, MSG_NOSIGNAL) != (ssize_t)n) {
        (void)shutdown(fd, SHUT_RDWR); /* it is read to its end, and closed there */
    }
}

static void say_text(int fd, const char *text)
{
    say(fd, text, strlen(text));
}

static void say_hello(int fd, const struct socket *from)
{
    const char *role = nodes[from->node].replica ? "replica" : "master";
    char text[256];
    const int n = snprintf(
        text, sizeof(text),
        "%s\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:%d\r\n"
        "$2\r\nid\r\n:%d\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$%zu\r\n%s\r\n"
        "$7\r\nmodules\r\n*0\r\n",
        from->resp3 ? "%7" : "*14", from->resp3 ? 3 : 2, fd, strlen(role), role);

    say(fd, text, (size_t)n);
}

static void say_info(int fd, const struct socket *from)
{
    char role[256], info[512], text[600];
    const struct node *node = &nodes[from->node];

    offset += 64;
    if (node->replica) {
        (void)snprintf(
            role, sizeof(role),
            "role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:%u\r\nmaster_link_status:up\r\n"
            "slave_repl_offset:%u\r\nslave_priority:100\r\n",
            nodes[node->other].port, offset);
    } else {
        (void)snprintf(
            role, sizeof(role),
            "role:master\r\nconnected_slaves:1\r\n"
            "slave0:ip=127.0.0.1,port=%u,state=online,offset=%u,lag=0\r\nmaster_repl_offset:%u\r\n",
            nodes[node->other].port, offset, offset + offset / 64 % 997);
    }
    const int n =
        snprintf(info, sizeof(info),
                 "# Server\r\nredis_version:7.0.15\r\nrun_id:%040x\r\n\r\n# Replication\r\n%s",
                 from->node + 1, role);
    const int size = snprintf(text, sizeof(text), "$%d\r\n%s\r\n", n, info);
    say(fd, text, (size_t)size);
}

static void subscribe(int fd, const struct socket *from, const struct word *channel)
{
    char text[256];
    struct node *node = &nodes[from->node];

    if (node->n_subscribers < MAX_SUBSCRIBERS) {
        node->subscribers[node->n_subscribers++] = fd;
    }
    const int n = snprintf(text, sizeof(text), "*3\r\n$9\r\nsubscribe\r\n$%zu\r\n%.*s\r\n:1\r\n",
                           channel->length, (int)channel->length, channel->at);
    say(fd, text, (size_t)n);
}

static void publish(int fd, const struct socket *from, const struct word *channel,
                    const struct word *payload)
{
    char text[BUFFER + 256];
    const struct node *node = &nodes[from->node];
    const int n =
        snprintf(text, sizeof(text), "*3\r\n$7\r\nmessage\r\n$%zu\r\n%.*s\r\n$%zu\r\n%.*s\r\n",
                 channel->length, (int)channel->length, channel->at, payload->length,
                 (int)payload->length, payload->at);

    for (size_t i = 0; i < node->n_subscribers; i++) {
        say(node->subscribers[i], text, (size_t)n);
    }
    const int size = snprintf(text, sizeof(text), ":%zu\r\n", node->n_subscribers);
    say(fd, text, (size_t)size);
}

static void answer(int fd, struct socket *from, const struct word *words, size_t n)
{
    if (is(&words[0], "HELLO")) {
        from->resp3 = from->resp3 || (n > 1 && is(&words[1], "3"));
        say_hello(fd, from);
    } else if (is(&words[0], "INFO")) {
        say_info(fd, from);
    } else if (is(&words[0], "PING")) {
        say_text(fd, "+PONG\r\n");
    } else if (is(&words[0], "SUBSCRIBE") && n == 2) {
        subscribe(fd, from, &words[1]);
    } else if (is(&words[0], "PUBLISH") && n == 3) {
        publish(fd, from, &words[1], &words[2]);
    } else {
        say_text(fd, "+OK\r\n");
    }
}

/*
 * One command out of the front of the buffer. @return its size; 0: it is not whole yet, -1: not a
 * command.
 */
static ssize_t take(int fd, struct socket *from)
{
    struct word words[MAX_WORDS];
    char *at = from->bytes, *const end = from->bytes + from->n;

    *end = '\0';
    if (from->n > 0 && *at != '*') {
        return -1;
    }
    const unsigned long n = from->n > 0 ? strtoul(at + 1, &at, 10) : 0;
    if (n > MAX_WORDS) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (end - at < 3 || at[2] != '$') {
            return end - at < 3 ? 0 : -1;
        }
        words[i].length = strtoul(at + 3, &at, 10);
        words[i].at = at + 2;
        at += 2 + words[i].length;
        if (words[i].length > BUFFER || at + 2 > end) {
            return 0;
        }
    }
    if (n > 0) {
        answer(fd, from, words, n);
    }
    return n > 0 ? at + 2 - from->bytes : 0;
}

static void hang_up(int fd)
{
    struct node *node = &nodes[sockets[fd].node];

    for (size_t i = 0; i < node->n_subscribers; i++) {
        if (node->subscribers[i] == fd) {
            node->subscribers[i--] = node->subscribers[--node->n_subscribers];
        }
    }
    (void)close(fd);
}

static void serve(int fd)
{
    struct socket *from = &sockets[fd];
    const ssize_t got = recv(fd, from->bytes + from->n, BUFFER - 1 - from->n, 0);

    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            hang_up(fd);
        }
        return;
    }
    from->n += (size_t)got;
    ssize_t used;
    while ((used = take(fd, from)) > 0) {
        from->n -= (size_t)used;
        memmove(from->bytes, from->bytes + used, from->n);
    }
    if (used < 0 || from->n == BUFFER - 1) {
        hang_up(fd);
    }
}

static bool watch(int epoll, int fd, unsigned node, bool listener)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (fd < 0 || fd >= MAX_FD || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        return false;
    }
    sockets[fd].node = node;
    sockets[fd].listener = listener;
    sockets[fd].resp3 = false;
    sockets[fd].n = 0;
    return true;
}

static void take_connections(int epoll, int listener)
{
    const int one = 1;

    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (!watch(epoll, fd, sockets[listener].node, false)) {
            (void)close(fd);
        }
    }
}

/* A port that is free. */
static bool open_node(int epoll, unsigned node)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0 || !watch(epoll, fd, node, true)) {
        return false;
    }
    nodes[node].port = ntohs(at.sin_port);
    return true;
}

int main(int argc, char **argv)
{
    const unsigned n_nodes = argc == 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[MAX_EVENTS];

    nodes = calloc(2 * (size_t)n_nodes + 1, sizeof(*nodes));
    for (unsigned i = 0; nodes && i < 2 * n_nodes; i++) {
        nodes[i].replica = i % 2 != 0;
        nodes[i].other = i ^ 1;
        if (!open_node(epoll, i)) {
            perror("node_peer");
            return 1;
        }
    }
    for (unsigned i = 0; nodes && i < 2 * n_nodes; i += 2) {
        (void)printf("%u %u\n", nodes[i].port, nodes[i + 1].port);
    }
    (void)printf("\n");
    (void)fflush(stdout);
    while (n_nodes > 0 && nodes) {
        const int n = epoll_wait(epoll, events, MAX_EVENTS, -1);

        for (int i = 0; i < n; i++) {
            const int fd = events[i].data.fd;

            if (sockets[fd].listener) {
                take_connections(epoll, fd);
            } else {
                serve(fd);
            }
        }
    }
    (void)fprintf(stderr, "usage: node_peer COUNT\n");
    return 2;
}
