/* Listening sockets of TCP and Unix, one for each worker. */
#include "bellwether/base/listening.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"

#define CLAIM_ATTEMPTS \
    5 /* a port given by the kernel can be lost between the claim and the workers' sockets */

struct listening {
    int *fds; /* one for each worker; -1 once taken */
    size_t n_workers;
    bool speaks_first;
    struct address address;
    char *unix_path; /* of a socket file we made; NULL: none */
    dev_t device;    /* so that at the end only that very file is removed */
    ino_t inode;
};

/* ---- places ---- */

const char *listen_place_text(const struct listen_place *place, char *out)
{
    return place->unix_path ? place->unix_path : address_format(&place->address, out);
}

bool listen_place_equal(const struct listen_place *a, const struct listen_place *b)
{
    if (a->unix_path || b->unix_path) {
        return a->unix_path && b->unix_path && strcmp(a->unix_path, b->unix_path) == 0;
    }
    return a->address.port != 0 && address_equal(&a->address, &b->address);
}

const char *listen_place_obstacle(const struct listen_place *place)
{
    struct stat status;

    if (!place->unix_path) {
        return NULL;
    }
    if (lstat(place->unix_path, &status) != 0) {
        return errno == ENOTDIR ? "what would be its folder is a file" : NULL;
    }
    return S_ISSOCK(status.st_mode)  ? NULL
           : S_ISDIR(status.st_mode) ? "a folder is there"
                                     : "a file that is no socket is there";
}

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
static int listen_tcp(const struct addrinfo *where, bool share, bool speaks_first)
{
    int fd = socket(where->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, error;

    if (fd < 0) {
        return -1;
    }
    /* Who has not spoken after a second is accepted all the same. */
    if (speaks_first) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof(on));
    }
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
static int share_port(struct listening *listening, const struct address *claimed)
{
    char error[320];
    struct addrinfo *where = look_up(claimed, error, sizeof(error));
    int failure = where ? 0 : EADDRNOTAVAIL;

    for (size_t i = 0; i < listening->n_workers && !failure; i++) {
        listening->fds[i] = listen_tcp(where, true, listening->speaks_first);
        failure = listening->fds[i] < 0 ? errno : 0;
    }
    for (size_t i = 0; i < listening->n_workers && failure; i++) {
        if (listening->fds[i] >= 0) {
            close(listening->fds[i]);
            listening->fds[i] = -1;
        }
    }
    if (where) {
        freeaddrinfo(where);
    }
    errno = failure;
    return failure ? -1 : 0;
}

/* @return 0; -1 with errno. */
static int claim_tcp(struct listening *listening, const struct addrinfo *where,
                     const struct address *asked)
{
    int fd = listen_tcp(where, false, listening->speaks_first);

    if (fd < 0) {
        return -1;
    }
    listening->address = address_of_socket(fd, asked);
    if (listening->n_workers == 1) {
        listening->fds[0] = fd;
        return 0;
    }
    close(fd);
    return share_port(listening, &listening->address);
}

static int open_tcp(struct listening *listening, const struct listen_place *place, char *error,
                    size_t error_size)
{
    struct addrinfo *found = look_up(&place->address, error, error_size);
    char text[ADDRESS_TEXT_SIZE];
    int attempts = place->address.port == 0 ? CLAIM_ATTEMPTS : 1, failure = 0;

    if (!found) {
        return -BW_ERESOLVE;
    }
    for (const struct addrinfo *where = found; where; where = where->ai_next) {
        for (int i = 0; i < attempts; i++) {
            if (claim_tcp(listening, where, &place->address) == 0) {
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
    snprintf(error, error_size, "cannot listen on %s: %s", address_format(&place->address, text),
             strerror(failure));
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

static int open_unix(struct listening *listening, const struct listen_place *place, char *error,
                     size_t error_size)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const char *path = place->unix_path;
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
        listening->fds[0] = listen_unix(&name, place->mode);
        failure = listening->fds[0] < 0 ? errno : 0;
    }
    if (!failure && lstat(path, &status) == 0) {
        listening->unix_path = mem_strdup(path);
        listening->device = status.st_dev;
        listening->inode = status.st_ino;
    }
    for (size_t i = 1; i < listening->n_workers && !failure; i++) {
        listening->fds[i] = fcntl(listening->fds[0], F_DUPFD_CLOEXEC, 3);
        failure = listening->fds[i] < 0 ? errno : 0;
    }
    if (failure) {
        const char *obstacle = listen_place_obstacle(place);

        snprintf(error, error_size, "cannot listen on unix:%s: %s", path,
                 obstacle ? obstacle : strerror(failure));
        return -BW_EBUSY;
    }
    return 0;
}

/* ---- both ---- */

struct listening *listening_open(const struct listen_place *place, bool speaks_first,
                                 size_t n_workers, char *error, size_t error_size)
{
    struct listening *listening = mem_new(1, sizeof(*listening));
    int failure;

    listening->n_workers = n_workers;
    listening->speaks_first = speaks_first;
    listening->fds = mem_new(n_workers, sizeof(*listening->fds));
    for (size_t i = 0; i < n_workers; i++) {
        listening->fds[i] = -1;
    }
    failure = place->unix_path ? open_unix(listening, place, error, error_size)
                               : open_tcp(listening, place, error, error_size);
    if (failure) {
        listening_free(listening);
        return NULL;
    }
    return listening;
}

const struct address *listening_address(const struct listening *listening)
{
    return &listening->address;
}

bool listening_is_loopback(const struct listening *listening)
{
    return listening->unix_path || address_is_loopback(&listening->address);
}

int listening_take(struct listening *listening, size_t worker)
{
    int fd = listening->fds[worker];

    listening->fds[worker] = -1;
    return fd;
}

void listening_free(struct listening *listening)
{
    struct stat status;

    if (!listening) {
        return;
    }
    for (size_t i = 0; i < listening->n_workers; i++) {
        if (listening->fds[i] >= 0) {
            close(listening->fds[i]);
        }
    }
    if (listening->unix_path && lstat(listening->unix_path, &status) == 0 &&
        status.st_dev == listening->device && status.st_ino == listening->inode) {
        unlink(listening->unix_path);
    }
    free(listening->unix_path);
    free(listening->fds);
    free(listening);
}
