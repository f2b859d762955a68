/*
 * Ports for tests that run at the same time.
 *
 * Each port has one byte in a shared lock file; whoever holds the lock on that byte owns the port.
 * The kernel drops a process' locks when it ends, however it ends. The range lies below the
 * ephemeral ports, so that no outgoing connection takes one, and a port that somebody else uses is
 * passed over.
 */
#include "ports.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scene.h"

enum { FIRST_PORT = 15000, LAST_PORT = 31999 };

static int lock_file(void)
{
    static int fd = -1; /* open until the process ends: closing it would drop all locks */

    if (fd < 0) {
        char path[64];

        (void)snprintf(path, sizeof(path), "/tmp/bellwether-ports-%u.lock", (unsigned)getuid());
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    }
    return fd;
}

static bool bind_works(int family, uint16_t port)
{
    struct sockaddr_in six_less = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 six = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any};
    const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return family == AF_INET6; /* no IPv6 here at all */
    }
    const int one = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    }
    const int rc = family == AF_INET
                       ? bind(fd, (const struct sockaddr *)&six_less, sizeof(six_less))
                       : bind(fd, (const struct sockaddr *)&six, sizeof(six));
    const bool works = rc == 0 && listen(fd, 1) == 0;
    (void)close(fd);
    return works;
}

uint16_t port_reserve(void)
{
    static unsigned next;
    const int fd = lock_file();

    cr_assert(fd >= 0, "no lock file for ports");
    const unsigned span = LAST_PORT - FIRST_PORT + 1;
    if (next == 0) { /* tests begin at different places, so that they seldom try each other's */
        next = (unsigned)getpid() * 37u;
    }
    for (unsigned tries = 0; tries < span; tries++) {
        const uint16_t port = (uint16_t)(FIRST_PORT + next++ % span);
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = port, .l_len = 1};

        if (fcntl(fd, F_SETLK, &lock) != 0) {
            continue;
        }
        if (bind_works(AF_INET, port) && bind_works(AF_INET6, port)) {
            return port;
        }
        lock.l_type = F_UNLCK;
        (void)fcntl(fd, F_SETLK, &lock);
    }
    cr_assert_fail("no free port");
    abort();
}
