/*
 * epoll_peer PORT FILE: the least that a server can do for a request.
 *
 * One thread, one epoll loop. Whatever ends with an empty line is a request, and its answer is the
 * bytes of FILE. Nothing is parsed and nothing decided: what `GET /master` costs more than this is
 * the price of HTTP.
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
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 4096, MAX_EVENTS = 256 };

static char answer[16384];
static size_t answer_size;
static unsigned matched[MAX_FD]; /* how much of "\r\n\r\n" a connection has sent in a row */

static int listen_on(uint16_t port)
{
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    return bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 1024) == 0 ? fd
                                                                                            : -1;
}

static void take_connections(int epoll, int listener)
{
    const int one = 1;

    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (fd >= MAX_FD || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
            (void)close(fd);
        } else {
            matched[fd] = 0;
        }
    }
}

/*
 * @return false when the connection is over. An answer that does not fit into the socket at once
 * ends it, too.
 */
static bool serve(int fd)
{
    char bytes[4096];
    const ssize_t got = recv(fd, bytes, sizeof(bytes), 0);

    if (got <= 0) {
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    }
    for (ssize_t i = 0; i < got; i++) {
        matched[fd] = bytes[i] == "\r\n\r\n"[matched[fd]] ? matched[fd] + 1
                      : bytes[i] == '\r'                  ? 1
                                                          : 0;
        if (matched[fd] < 4) {
            continue;
        }
        matched[fd] = 0;
        if (send(fd, answer, answer_size, MSG_NOSIGNAL) != (ssize_t)answer_size) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    FILE *file = argc == 3 ? fopen(argv[2], "re") : NULL;

    if (!file) {
        (void)fprintf(stderr, "usage: epoll_peer PORT FILE\n");
        return 2;
    }
    answer_size = fread(answer, 1, sizeof(answer), file);
    (void)fclose(file);
    const int listener = listen_on((uint16_t)strtoul(argv[1], NULL, 10)),
              epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[MAX_EVENTS], first = {.events = EPOLLIN, .data.fd = listener};
    if (listener < 0 || epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &first) != 0) {
        perror("epoll_peer");
        return 1;
    }
    for (;;) {
        const int n = epoll_wait(epoll, events, MAX_EVENTS, -1);

        for (int i = 0; i < n; i++) {
            const int fd = events[i].data.fd;

            if (fd == listener) {
                take_connections(epoll, listener);
            } else if (!serve(fd)) {
                (void)close(fd);
            }
        }
    }
}
