/* One thread and poll(): what a side says is kept until the manner of the proxy lets it pass. */
#include "proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ports.h"
#include "scene.h"

enum { PAIRS = 64, SIDE_BYTES = 1 << 16, LOOK_MS = 2 };

/* What one side said and the other has not got. */
struct way {
    char bytes[SIDE_BYTES];
    size_t n, passed;
    int64_t ready_ms;
};

struct pair {
    int client, server; /* -1: free */
    struct way up, down;
};

struct proxy {
    uint16_t port;
    int listener, stop[2];
    pthread_t thread;
    pthread_mutex_t mutex;
    uint16_t target; /* under the mutex, like all below */
    struct proxy_manner manner;
    struct pair pairs[PAIRS];
};

static int dial(uint16_t port)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0) {
        return fd;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return -1;
}

static void hang_up(struct pair *pair)
{
    (void)close(pair->client);
    (void)close(pair->server);
    pair->client = pair->server = -1;
}

static void greet(struct proxy *proxy)
{
    const int client = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC);
    const int server = client < 0 || proxy->manner.cut ? -1 : dial(proxy->target);

    for (size_t i = 0; i < PAIRS && server >= 0; i++) {
        if (proxy->pairs[i].client < 0) {
            struct pair *pair = &proxy->pairs[i];

            pair->client = client;
            pair->server = server;
            pair->up.n = pair->down.n = pair->up.passed = pair->down.passed = 0;
            return;
        }
    }
    if (client >= 0) {
        (void)close(client);
    }
    if (server >= 0) {
        (void)close(server);
    }
}

/* @return false: the side has ended. */
static bool take(int from, struct way *way, int delay_ms)
{
    if (way->n == sizeof(way->bytes)) {
        return true;
    }
    const ssize_t got = recv(from, way->bytes + way->n, sizeof(way->bytes) - way->n, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        return false;
    }
    if (way->n == 0) {
        way->ready_ms = now_ms() + delay_ms;
    }
    way->n += got > 0 ? (size_t)got : 0;
    return true;
}

/* @return false: the side has ended, or got all that it may get. */
static bool give(int to, struct way *way, const struct proxy_manner *manner, bool down)
{
    const bool pieces = down && manner->piece > 0;

    if (way->n == 0 || now_ms() < way->ready_ms) {
        return true;
    }
    const size_t in_all = down ? manner->down_most : manner->up_most;
    size_t most = pieces && manner->piece < way->n ? manner->piece : way->n;
    if (in_all > 0 && in_all - way->passed < most) {
        most = in_all - way->passed;
    }
    const ssize_t sent = send(to, way->bytes, most, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    memmove(way->bytes, way->bytes + sent, way->n - (size_t)sent);
    way->n -= (size_t)sent;
    way->passed += (size_t)sent;
    if (pieces) {
        way->ready_ms = now_ms() + manner->pause_ms;
    }
    return in_all == 0 || way->passed < in_all;
}

static bool pass(struct pair *pair, const struct proxy_manner *manner)
{
    if (manner->silent) {
        return true;
    }
    const bool client_lives = take(pair->client, &pair->up, 0),
               server_lives = take(pair->server, &pair->down, manner->delay_ms);
    const bool gave = give(pair->server, &pair->up, manner, false) &&
                      give(pair->client, &pair->down, manner, true);
    return gave && client_lives && (server_lives || pair->down.n > 0);
}

static void *turn(void *data)
{
    struct proxy *proxy = data;

    for (bool busy = false;;) {
        struct pollfd wait[2 + 2 * PAIRS] = {{.fd = proxy->stop[0], .events = POLLIN},
                                             {.fd = proxy->listener, .events = POLLIN}};

        (void)pthread_mutex_lock(&proxy->mutex);
        for (size_t i = 0; i < PAIRS; i++) {
            const bool deaf = proxy->manner.silent;

            wait[2 + 2 * i] =
                (struct pollfd){.fd = deaf ? -1 : proxy->pairs[i].client, .events = POLLIN};
            wait[3 + 2 * i] =
                (struct pollfd){.fd = deaf ? -1 : proxy->pairs[i].server, .events = POLLIN};
        }
        (void)pthread_mutex_unlock(&proxy->mutex);
        (void)poll(wait, 2 + 2 * PAIRS, busy ? LOOK_MS : 100);
        char woken;
        if (wait[0].revents != 0 && read(proxy->stop[0], &woken, 1) <= 0) {
            return NULL;
        }
        (void)pthread_mutex_lock(&proxy->mutex);
        if (wait[1].revents != 0) {
            greet(proxy);
        }
        busy = false;
        for (size_t i = 0; i < PAIRS; i++) {
            struct pair *pair = &proxy->pairs[i];

            if (pair->client >= 0 && (proxy->manner.cut || !pass(pair, &proxy->manner))) {
                hang_up(pair);
            }
            busy = busy || (pair->client >= 0 && (pair->up.n > 0 || pair->down.n > 0));
        }
        (void)pthread_mutex_unlock(&proxy->mutex);
    }
}

static void proxy_stop(void *object)
{
    struct proxy *proxy = object;

    (void)close(proxy->stop[1]);
    (void)pthread_join(proxy->thread, NULL);
    (void)close(proxy->stop[0]);
    (void)close(proxy->listener);
    for (size_t i = 0; i < PAIRS; i++) {
        if (proxy->pairs[i].client >= 0) {
            hang_up(&proxy->pairs[i]);
        }
    }
    (void)pthread_mutex_destroy(&proxy->mutex);
    free(proxy);
}

struct proxy *proxy_start(uint16_t target)
{
    struct proxy *proxy = calloc(1, sizeof(*proxy));

    cr_assert(proxy);
    proxy->port = port_reserve();
    proxy->target = target;
    for (size_t i = 0; i < PAIRS; i++) {
        proxy->pairs[i].client = proxy->pairs[i].server = -1;
    }
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons(proxy->port),
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int one = 1;
    proxy->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(proxy->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    cr_assert(bind(proxy->listener, (const struct sockaddr *)&at, sizeof(at)) == 0 &&
              listen(proxy->listener, 64) == 0);
    cr_assert(pipe2(proxy->stop, O_CLOEXEC) == 0);
    (void)pthread_mutex_init(&proxy->mutex, NULL);
    cr_assert(pthread_create(&proxy->thread, NULL, turn, proxy) == 0);
    return scene_keep(proxy, proxy_stop);
}

void proxy_aim(struct proxy *proxy, uint16_t target)
{
    (void)pthread_mutex_lock(&proxy->mutex);
    proxy->target = target;
    (void)pthread_mutex_unlock(&proxy->mutex);
}

uint16_t proxy_port(const struct proxy *proxy)
{
    return proxy->port;
}

char *proxy_address(const struct proxy *proxy)
{
    return text("127.0.0.1:%u", proxy->port);
}

void proxy_behave(struct proxy *proxy, const struct proxy_manner *manner)
{
    (void)pthread_mutex_lock(&proxy->mutex);
    proxy->manner = *manner;
    for (size_t i = 0; i < PAIRS && manner->cut; i++) {
        if (proxy->pairs[i].client >= 0) {
            hang_up(&proxy->pairs[i]);
        }
    }
    (void)pthread_mutex_unlock(&proxy->mutex);
    (void)!write(proxy->stop[1], "", 1);
}

size_t proxy_connections(struct proxy *proxy)
{
    size_t n = 0;

    (void)pthread_mutex_lock(&proxy->mutex);
    for (size_t i = 0; i < PAIRS; i++) {
        n += proxy->pairs[i].client >= 0 ? 1 : 0;
    }
    (void)pthread_mutex_unlock(&proxy->mutex);
    return n;
}
