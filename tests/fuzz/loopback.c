/*
 * See the header. A processor's queue is first in, first out: behind a datagram that was sent last
 * nothing else is on its way.
 */
#include "loopback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "outside.h"

enum { PATIENCE_S = 10 };

static int loopback = -1;

void loopback_open(void)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    struct sockaddr_in self = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(self);
    cpu_set_t here;

    if (loopback >= 0) {
        return;
    }
    CPU_ZERO(&here);
    CPU_SET((size_t)sched_getcpu(), &here);
    loopback = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sched_setaffinity(0, sizeof(here), &here) || loopback < 0 ||
        bind(loopback, (struct sockaddr *)&self, size) ||
        getsockname(loopback, (struct sockaddr *)&self, &size) ||
        syscall(SYS_connect, loopback, &self, size) ||
        setsockopt(loopback, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience))) {
        outside_broken("no datagrams over the loopback device", strerror(errno));
    }
}

void loopback_settle(void)
{
    ssize_t n;
    char mark = 0;

    if (send(loopback, &mark, 1, MSG_NOSIGNAL) != 1) {
        outside_broken("no datagram leaves", strerror(errno));
    }
    do {
        n = recv(loopback, &mark, 1, 0);
    } while (n < 0 && errno == EINTR);
    if (n != 1) {
        outside_broken("a datagram does not arrive", strerror(errno));
    }
}
