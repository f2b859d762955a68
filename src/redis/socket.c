/* Sockets to Redis servers and Sentinels: made, tuned, and whether they are connected. */
#include "bellwether/redis/socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * Requests are small and wanted at once; a peer whose host vanished is noticed even while nothing
 * is asked. There is no TCP_USER_TIMEOUT: it also ends a peer that lives, and does not read.
 */
void socket_tune(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},   {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 15}, {IPPROTO_TCP, TCP_KEEPINTVL, 5},
        {IPPROTO_TCP, TCP_KEEPCNT, 3},
    };

    for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                         sizeof(options[i].value));
    }
}

int socket_dial(const struct address *address)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *info = NULL;
    char port[8];
    int fd, error = 0;

    snprintf(port, sizeof(port), "%u", (unsigned)address->port);
    if (getaddrinfo(address->host, port, &hints, &info) != 0) { /* a literal: asks nobody */
        return -EADDRNOTAVAIL;
    }
    fd = socket(info->ai_family, info->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                info->ai_protocol);
    if (fd < 0) {
        error = errno;
    } else {
        socket_tune(fd);
        if (connect(fd, info->ai_addr, info->ai_addrlen) != 0 && errno != EINPROGRESS) {
            error = errno;
        }
    }
    freeaddrinfo(info);
    if (error == 0) {
        return fd;
    }
    if (fd >= 0) {
        close(fd);
    }
    return -error;
}

/* On loopback, dialling a dead port of the ephemeral range over and over ends with a socket that is
 * connected to itself, echoes HELLO, and holds the port against the server that wants it back. */
static bool is_self_connected(int fd)
{
    struct sockaddr_storage here = {0}, there = {0};
    socklen_t here_len = sizeof(here), there_len = sizeof(there);

    return getsockname(fd, (struct sockaddr *)&here, &here_len) == 0 &&
           getpeername(fd, (struct sockaddr *)&there, &there_len) == 0 && here_len == there_len &&
           memcmp(&here, &there, here_len) == 0;
}

bool socket_is_there(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLOUT};

    return poll(&look, 1, 0) > 0;
}

int socket_dialled(int fd)
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
        error = errno;
    }
    return error == 0 && is_self_connected(fd) ? ECONNREFUSED : error;
}
