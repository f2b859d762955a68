/* See fake_peer.h. Every wait is bounded, so that a failing test ends. */
#include "fake_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bellwether/base/memory.h"

#define PATIENCE_MS 60000 /* what sends much may be slow to make it */
#define SEEN_SIZE 65536

struct fake_peer {
    const struct peer_step *steps;
    struct address address;
    int listener, fd;
    pthread_t thread;
    sem_t released;
    char seen[SEEN_SIZE];
    size_t n_seen, expected_from;
    char last_read[4096];
    char trouble[256];
};

/* A port of its own, on which nobody listens yet. */
static int bind_on(const char *host, struct address *out)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    bool is_v6 = strchr(host, ':') != NULL;
    struct sockaddr *name = is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
    socklen_t size = is_v6 ? sizeof(v6) : sizeof(v4);
    int fd = socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (is_v6) {
        inet_pton(AF_INET6, host, &v6.sin6_addr);
    } else {
        inet_pton(AF_INET, host, &v4.sin_addr);
    }
    if (fd < 0 || bind(fd, name, size) != 0 || getsockname(fd, name, &size) != 0) {
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    *out = (struct address){.port = ntohs(is_v6 ? v6.sin6_port : v4.sin_port)};
    snprintf(out->host, sizeof(out->host), "%s", host);
    return fd;
}

static bool wait_for(struct fake_peer *peer, int fd, short events)
{
    struct pollfd wait = {.fd = fd, .events = events};

    if (poll(&wait, 1, PATIENCE_MS) == 1) {
        return true;
    }
    snprintf(peer->trouble, sizeof(peer->trouble), "nothing came; seen: %.200s", peer->seen);
    return false;
}

static void hang_up(struct fake_peer *peer)
{
    if (peer->fd >= 0) {
        close(peer->fd);
    }
    peer->fd = -1;
}

static bool accept_next(struct fake_peer *peer)
{
    int on = 1;

    hang_up(peer);
    if (!wait_for(peer, peer->listener, POLLIN)) {
        return false;
    }
    peer->fd = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);
    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return peer->fd >= 0;
}

static bool expect(struct fake_peer *peer, const char *text)
{
    for (;;) {
        char *found = strstr(peer->seen + peer->expected_from, text);
        ssize_t n;

        if (found) {
            peer->expected_from = (size_t)(found - peer->seen) + strlen(text);
            return true;
        }
        if (!wait_for(peer, peer->fd, POLLIN)) {
            return false;
        }
        n = read(peer->fd, peer->last_read, sizeof(peer->last_read) - 1);
        if (n <= 0 || peer->n_seen + (size_t)n >= sizeof(peer->seen)) {
            snprintf(peer->trouble, sizeof(peer->trouble), "closed before \"%.40s\"; seen: %.150s",
                     text, peer->seen);
            return false;
        }
        peer->last_read[n] = '\0';
        memcpy(peer->seen + peer->n_seen, peer->last_read, (size_t)n + 1);
        peer->n_seen += (size_t)n;
    }
}

static bool send_all(struct fake_peer *peer, const char *text, size_t piece)
{
    size_t length = strlen(text);

    for (size_t i = 0; i < length;) {
        size_t most = length - i < piece ? length - i : piece;
        ssize_t n = send(peer->fd, text + i, most, MSG_NOSIGNAL);

        if (n > 0) {
            i += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            snprintf(peer->trouble, sizeof(peer->trouble), "send: errno %d", errno);
            return false;
        }
    }
    return true;
}

static bool repeat(struct fake_peer *peer, const char *text)
{
    size_t length = strlen(text), at = 0;

    while (wait_for(peer, peer->fd, POLLOUT)) {
        ssize_t n = send(peer->fd, text + at, length - at, MSG_NOSIGNAL);

        if (n < 0) {
            return true;
        }
        at = (at + (size_t)n) % length;
    }
    return false;
}

static bool flood(struct fake_peer *peer)
{
    static const char zeros[65536];
    size_t sent = 0;

    if (!send_all(peer, "$100000000\r\n", 64)) {
        return false;
    }
    while (wait_for(peer, peer->fd, POLLOUT)) {
        ssize_t n = send(peer->fd, zeros, sizeof(zeros), MSG_NOSIGNAL);

        if (n < 0) {
            return true;
        }
        sent += (size_t)n;
        if (sent > 64U * 1024 * 1024) {
            snprintf(peer->trouble, sizeof(peer->trouble), "64 MiB were taken without a word");
            return false;
        }
    }
    return false;
}

static bool wait_for_close(struct fake_peer *peer)
{
    ssize_t n = 1;

    while (n > 0 && wait_for(peer, peer->fd, POLLIN)) {
        n = read(peer->fd, peer->last_read, sizeof(peer->last_read) - 1);
        if (n > 0 && peer->n_seen + (size_t)n < sizeof(peer->seen)) {
            memcpy(peer->seen + peer->n_seen, peer->last_read, (size_t)n);
            peer->n_seen += (size_t)n;
        }
    }
    return n <= 0;
}

char fake_peer_byte(size_t i)
{
    return (char)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

static bool swallow(struct fake_peer *peer, size_t total)
{
    char bytes[65536];
    size_t seen = 0;

    while (seen < total) {
        size_t left = total - seen;
        ssize_t n;

        if (!wait_for(peer, peer->fd, POLLIN)) {
            return false;
        }
        n = read(peer->fd, bytes, left < sizeof(bytes) ? left : sizeof(bytes));
        for (ssize_t i = 0; i < n; i++) {
            if (bytes[i] != fake_peer_byte(seen + (size_t)i)) {
                snprintf(peer->trouble, sizeof(peer->trouble), "byte %zu is another",
                         seen + (size_t)i);
                return false;
            }
        }
        if (n <= 0) {
            snprintf(peer->trouble, sizeof(peer->trouble), "closed after %zu of %zu bytes", seen,
                     total);
            return false;
        }
        seen += (size_t)n;
    }
    return true;
}

static bool hold(struct fake_peer *peer)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    if (sem_timedwait(&peer->released, &until) == 0) {
        return true;
    }
    snprintf(peer->trouble, sizeof(peer->trouble), "was never released");
    return false;
}

static void reset(struct fake_peer *peer)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};

    setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    hang_up(peer);
}

static bool play(struct fake_peer *peer, const struct peer_step *step)
{
    switch (step->action) {
    case PEER_END: return false;
    case PEER_ACCEPT: return accept_next(peer);
    case PEER_EXPECT: return expect(peer, step->text);
    case PEER_SEND: return send_all(peer, step->text, 65536);
    case PEER_TRICKLE: return send_all(peer, step->text, 1);
    case PEER_REPEAT: return repeat(peer, step->text);
    case PEER_FLOOD: return flood(peer);
    case PEER_WAIT: return wait_for_close(peer);
    case PEER_RESET: reset(peer); return true;
    case PEER_CLOSE: hang_up(peer); return true;
    case PEER_SWALLOW: return swallow(peer, strtoul(step->text, NULL, 10));
    case PEER_HOLD: return hold(peer);
    }
    return false;
}

static void *run(void *data)
{
    struct fake_peer *peer = data;

    for (const struct peer_step *step = peer->steps; play(peer, step); step++) {
        ;
    }
    hang_up(peer);
    return NULL;
}

struct fake_peer *fake_peer_start(const char *host, const struct peer_step *steps)
{
    struct fake_peer *peer = mem_new(1, sizeof(*peer));

    peer->steps = steps;
    peer->fd = -1;
    sem_init(&peer->released, 0, 0);
    peer->listener = bind_on(host, &peer->address);
    if (peer->listener < 0 || listen(peer->listener, 8) != 0) {
        free(peer);
        return NULL;
    }
    if (pthread_create(&peer->thread, NULL, run, peer) != 0) {
        abort();
    }
    return peer;
}

const struct address *fake_peer_address(const struct fake_peer *peer)
{
    return &peer->address;
}

const char *fake_peer_join(struct fake_peer *peer)
{
    pthread_join(peer->thread, NULL);
    return peer->trouble[0] != '\0' ? peer->trouble : NULL;
}

const char *fake_peer_seen(const struct fake_peer *peer)
{
    return peer->seen;
}

const char *fake_peer_last_read(const struct fake_peer *peer)
{
    return peer->last_read;
}

void fake_peer_free(struct fake_peer *peer)
{
    if (!peer) {
        return;
    }
    close(peer->listener);
    sem_destroy(&peer->released);
    free(peer);
}

void fake_peer_release(struct fake_peer *peer)
{
    sem_post(&peer->released);
}

struct address fake_peer_dead_address(void)
{
    struct address address = {0};

    (void)bind_on("127.0.0.1", &address); /* and stays, so that nobody else is given the port */
    return address;
}
