/*
 * Listening sockets, made by the main thread before any worker runs, so that a busy address stops
 * the start.
 *
 * Workers share a TCP port through SO_REUSEPORT, one socket each. That option would also let a
 * second copy of the program take the port unnoticed, so the port is claimed once without it; a
 * single worker keeps that socket. A Unix socket has one descriptor, of which every worker gets a
 * duplicate.
 */
#include "sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bellwether/base/error.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "client_places.h"

#define CLAIM_ATTEMPTS \
    5 /* a port given by the kernel can be lost between the claim and the workers' sockets */

struct bound {
    int *fds;                       /* one for each worker; -1 once taken */
    _Atomic int64_t *deaf_since_ms; /* by worker */
    struct address address;
    char *unix_path; /* of a socket file we made; NULL: none */
    dev_t device;    /* so that at the end only that very file is removed */
    ino_t inode;
};

struct http_sockets {
    struct bound *bound;
    size_t n, n_workers;
    char instance[INSTANCE_SIZE];
    _Atomic size_t open, open_probe, open_waiting; /* connections, over all workers */
    _Atomic size_t waiting;                        /* of them, those that wait now */
    _Atomic size_t pending;                        /* requests whose commands wait */
    struct clients *clients;
};

/* ---- TCP ---- */

static struct address address_of_socket(int fd, const struct address *asked)
{
    struct address address = *asked;
    struct sockaddr_storage storage = {0};
    socklen_t len = sizeof(storage);

    if (getsockname(fd, (struct sockaddr *)&storage, &len) == 0) {
        char host[ADDRESS_HOST_SIZE], port[8];

        if (getnameinfo((struct sockaddr *)&storage, len, host, sizeof(host), port, sizeof(port),
                        NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
            (void)address_from_parts(host, strlen(host), port, strlen(port), &address);
        }
    }
    return address;
}

/* @return a listening descriptor, -1 with errno. */
static int listen_tcp(const struct addrinfo *where, bool share)
{
    int fd = socket(where->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, error;

    if (fd < 0) {
        return -1;
    }
    /* Who has not spoken after a second is accepted all the same. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof(on));
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        (!share || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0) &&
        (where->ai_family != AF_INET6 ||
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
        bind(fd, where->ai_addr, where->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0) {
        return fd;
    }
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

/*
 * @return a list to free, or NULL with words in `error`. A name resolves on the main thread, before
 * anything runs.
 */
static struct addrinfo *look_up(const struct address *address, char *error, size_t error_size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *found = NULL;
    char port[8], text[ADDRESS_TEXT_SIZE];
    int failure;

    snprintf(port, sizeof(port), "%u", (unsigned)address->port);
    failure = getaddrinfo(address->host, port, &hints, &found);
    if (failure) {
        snprintf(error, error_size, "cannot listen on %s: %s", address_format(address, text),
                 gai_strerror(failure));
        return NULL;
    }
    return found;
}

/* One socket for each worker, on an address that was claimed. */
static int share_port(struct bound *bound, size_t n_workers, const struct address *claimed)
{
    char error[320];
    struct addrinfo *where = look_up(claimed, error, sizeof(error));
    int failure = where ? 0 : EADDRNOTAVAIL;

    for (size_t i = 0; i < n_workers && !failure; i++) {
        bound->fds[i] = listen_tcp(where, true);
        failure = bound->fds[i] < 0 ? errno : 0;
    }
    for (size_t i = 0; i < n_workers && failure; i++) {
        if (bound->fds[i] >= 0) {
            close(bound->fds[i]);
            bound->fds[i] = -1;
        }
    }
    if (where) {
        freeaddrinfo(where);
    }
    errno = failure;
    return failure ? -1 : 0;
}

/* @return 0; -1 with errno. */
static int claim_tcp(struct bound *bound, const struct addrinfo *where, size_t n_workers,
                     const struct address *asked)
{
    int fd = listen_tcp(where, false);

    if (fd < 0) {
        return -1;
    }
    bound->address = address_of_socket(fd, asked);
    if (n_workers == 1) {
        bound->fds[0] = fd;
        return 0;
    }
    close(fd);
    return share_port(bound, n_workers, &bound->address);
}

static int open_tcp(struct bound *bound, const struct http_listen *listening, size_t n_workers,
                    char *error, size_t error_size)
{
    struct addrinfo *found = look_up(&listening->address, error, error_size);
    char text[ADDRESS_TEXT_SIZE];
    int attempts = listening->address.port == 0 ? CLAIM_ATTEMPTS : 1, failure = 0;

    if (!found) {
        return -BW_ERESOLVE;
    }
    for (const struct addrinfo *where = found; where; where = where->ai_next) {
        for (int i = 0; i < attempts; i++) {
            if (claim_tcp(bound, where, n_workers, &listening->address) == 0) {
                freeaddrinfo(found);
                return 0;
            }
            failure = errno;
        }
        if (failure != EADDRNOTAVAIL && failure != EAFNOSUPPORT) {
            break;
        }
    }
    freeaddrinfo(found);
    snprintf(error, error_size, "cannot listen on %s: %s",
             address_format(&listening->address, text), strerror(failure));
    return -BW_EBUSY;
}

/* ---- Unix ---- */

/*
 * A socket file that nobody listens on is left over from a killed process: it may go. @return 0, or
 * an errno.
 */
static int clear_stale(const struct sockaddr_un *name)
{
    struct stat status;
    int fd, failure;

    if (lstat(name->sun_path, &status) != 0) {
        return errno == ENOENT ? 0 : errno;
    }
    if (!S_ISSOCK(status.st_mode)) {
        return EEXIST;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    failure = connect(fd, (const struct sockaddr *)name, sizeof(*name)) == 0 ? EADDRINUSE : errno;
    close(fd);
    if (failure == EAGAIN) { /* somebody listens whose backlog is full */
        return EADDRINUSE;
    }
    if (failure != ECONNREFUSED) {
        return failure;
    }
    return unlink(name->sun_path) == 0 ? 0 : errno;
}

/*
 * Nobody can connect between bind() and listen(), so the mode is in place in time. @return a
 * descriptor, -1.
 */
static int listen_unix(const struct sockaddr_un *name, unsigned mode)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), failure;

    if (fd < 0) {
        return -1;
    }
    if (bind(fd, (const struct sockaddr *)name, sizeof(*name)) == 0) {
        if (chmod(name->sun_path, mode) == 0 && listen(fd, SOMAXCONN) == 0) {
            return fd;
        }
        failure = errno;
        unlink(name->sun_path);
    } else {
        failure = errno;
    }
    close(fd);
    errno = failure;
    return -1;
}

static int open_unix(struct bound *bound, const struct http_listen *listening, size_t n_workers,
                     char *error, size_t error_size)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const char *path = listening->unix_path;
    struct stat status;
    int failure = 0;

    if (strlen(path) >= sizeof(name.sun_path)) {
        snprintf(error, error_size,
                 "cannot listen on unix:%s: a socket's path has at most %zu bytes", path,
                 sizeof(name.sun_path) - 1);
        return -BW_EINVAL;
    }
    memcpy(name.sun_path, path, strlen(path) + 1);
    failure = clear_stale(&name);
    if (!failure) {
        bound->fds[0] = listen_unix(&name, listening->mode);
        failure = bound->fds[0] < 0 ? errno : 0;
    }
    if (!failure && lstat(path, &status) == 0) {
        bound->unix_path = mem_strdup(path);
        bound->device = status.st_dev;
        bound->inode = status.st_ino;
    }
    for (size_t i = 1; i < n_workers && !failure; i++) {
        bound->fds[i] = fcntl(bound->fds[0], F_DUPFD_CLOEXEC, 3);
        failure = bound->fds[i] < 0 ? errno : 0;
    }
    if (failure) {
        snprintf(error, error_size, "cannot listen on unix:%s: %s", path,
                 failure == EEXIST ? "a file that is no socket is there" : strerror(failure));
        return -BW_EBUSY;
    }
    return 0;
}

/* ---- all ---- */

/* 64 random bits: what tells this process' ETags and indexes from those of the one before it. */
static void make_instance(char out[INSTANCE_SIZE])
{
    uint64_t bits = 0;

    if (getrandom(&bits, sizeof(bits), 0) != (ssize_t)sizeof(bits)) {
        bits = ((uint64_t)jitter_below(UINT32_MAX) << 32) | jitter_below(UINT32_MAX);
    }
    snprintf(out, INSTANCE_SIZE, "%016" PRIx64, bits);
}

struct http_sockets *http_sockets_open(const struct http_config *config, char *error,
                                       size_t error_size)
{
    struct http_sockets *sockets = mem_new(1, sizeof(*sockets));
    struct client_limits limits = {.all = config->max_per_client};

    if (config->halve_per_client) {
        limits.each[CLIENT_ORDINARY] = (config->max_connections + 1) / 2;
        limits.each[CLIENT_WAITING] = (config->max_waiters + 1) / 2;
    }
    sockets->n_workers = config->n_workers;
    sockets->bound = mem_new(config->n_listens + 1, sizeof(*sockets->bound));
    sockets->clients = clients_new(&limits);
    make_instance(sockets->instance);
    for (size_t i = 0; i < config->n_listens; i++) {
        const struct http_listen *listening = &config->listens[i];
        struct bound *bound = &sockets->bound[i];
        int failure;

        bound->fds = mem_new(config->n_workers, sizeof(*bound->fds));
        bound->deaf_since_ms = mem_new(config->n_workers, sizeof(*bound->deaf_since_ms));
        for (size_t w = 0; w < config->n_workers; w++) {
            bound->fds[w] = -1;
        }
        sockets->n = i + 1;
        failure = listening->unix_path
                      ? open_unix(bound, listening, config->n_workers, error, error_size)
                      : open_tcp(bound, listening, config->n_workers, error, error_size);
        if (failure) {
            http_sockets_free(sockets);
            return NULL;
        }
    }
    return sockets;
}

const struct address *http_sockets_address(const struct http_sockets *sockets, size_t i)
{
    return &sockets->bound[i].address;
}

int http_sockets_take(struct http_sockets *sockets, size_t i, size_t worker)
{
    int fd = sockets->bound[i].fds[worker];

    sockets->bound[i].fds[worker] = -1;
    return fd;
}

const char *http_sockets_instance(const struct http_sockets *sockets)
{
    return sockets->instance;
}

_Atomic size_t *http_sockets_open_count(struct http_sockets *sockets, bool probe)
{
    return probe ? &sockets->open_probe : &sockets->open;
}

_Atomic size_t *http_sockets_waiting_count(struct http_sockets *sockets)
{
    return &sockets->waiting;
}

_Atomic size_t *http_sockets_pending_count(struct http_sockets *sockets)
{
    return &sockets->pending;
}

_Atomic size_t *http_sockets_open_waiting_count(struct http_sockets *sockets)
{
    return &sockets->open_waiting;
}

struct clients *http_sockets_clients(struct http_sockets *sockets)
{
    return sockets->clients;
}

bool http_sockets_is_loopback(const struct http_sockets *sockets, size_t i)
{
    return sockets->bound[i].unix_path || address_is_loopback(&sockets->bound[i].address);
}

_Atomic int64_t *http_sockets_deaf_since(struct http_sockets *sockets, size_t i, size_t worker)
{
    return &sockets->bound[i].deaf_since_ms[worker];
}

static void bound_release(struct bound *bound, size_t n_workers)
{
    struct stat status;

    for (size_t i = 0; i < n_workers; i++) {
        if (bound->fds[i] >= 0) {
            close(bound->fds[i]);
        }
    }
    if (bound->unix_path && lstat(bound->unix_path, &status) == 0 &&
        status.st_dev == bound->device && status.st_ino == bound->inode) {
        unlink(bound->unix_path);
    }
    free(bound->unix_path);
    free(bound->deaf_since_ms);
    free(bound->fds);
}

void http_sockets_free(struct http_sockets *sockets)
{
    if (!sockets) {
        return;
    }
    for (size_t i = 0; i < sockets->n; i++) {
        bound_release(&sockets->bound[i], sockets->n_workers);
    }
    clients_free(sockets->clients);
    free(sockets->bound);
    free(sockets);
}
