/* One socket of a link, plain or with TLS: its worker's on the client's side, ours to Redis. */
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link.h"

enum { SHORTLY_MS = 100 }; /* the kernel's clock has ticks */

static ssize_t outcome(ssize_t n)
{
    if (n > 0) {
        return n;
    }
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) ? 0 : FORWARD_END;
}

/* OpenSSL gives a record at a time, and may have read several. */
static ssize_t read_server(struct link_side *side, char *bytes, size_t size)
{
    ssize_t n = tls_link_read(side->server, bytes, size), got = 0;

    while (n > 0) {
        got += n;
        if ((size_t)got == size) {
            break;
        }
        n = tls_link_read_more(side->server, bytes + got, size - (size_t)got);
    }
    side->more = got > 0 && n != 0; /* room was short, or it has failed, and says so again */
    return got > 0 ? got : n < 0 ? FORWARD_END : 0;
}

ssize_t side_read(struct link *link, struct link_side *side, char *bytes, size_t size)
{
    if (side->server) {
        return read_server(side, bytes, size);
    }
    if (side->client_tls) {
        return link->door->all->hooks.tls.read(side->client_tls, bytes, size, &side->more);
    }
    return outcome(recv(side->fd, bytes, size, MSG_DONTWAIT));
}

bool side_peeks(const struct link_side *side)
{
    return !side->server && !side->client_tls;
}

ssize_t side_peek(struct link_side *side, char *bytes, size_t size)
{
    return outcome(recv(side->fd, bytes, size, MSG_DONTWAIT | MSG_PEEK));
}

void side_take(struct link_side *side, char *scratch, size_t size)
{
    while (size > 0) {
        ssize_t n = recv(side->fd, scratch, size, MSG_DONTWAIT);

        if (n <= 0) {
            return; /* it was there a moment ago */
        }
        size -= (size_t)n;
    }
}

ssize_t side_write(struct link *link, struct link_side *side, const char *bytes, size_t size)
{
    if (side->server) {
        ssize_t n = tls_link_write(side->server, bytes, size);

        return n < 0 ? FORWARD_END : n;
    }
    if (side->client_tls) {
        return link->door->all->hooks.tls.write(side->client_tls, bytes, size);
    }
    return outcome(send(side->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL));
}

void side_shut(struct link *link, struct link_side *side)
{
    if (side->client_tls) {
        link->door->all->hooks.tls.shut(side->client_tls);
    }
    if (side->server) {
        tls_link_shut(side->server);
    }
    (void)shutdown(side->fd, SHUT_WR);
}

bool side_is_left(const struct link_side *side)
{
    struct pollfd look = {.fd = side->fd};
    char byte;

    return poll(&look, 1, 0) > 0 || /* POLLERR, POLLHUP */
           (side_peeks(side) && recv(side->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0);
}

static int unsent(const struct link_side *side)
{
    int n = 0;

    return side->fd >= 0 && ioctl(side->fd, SIOCOUTQ, &n) == 0 ? n : 0;
}

bool side_has_unsent(const struct link_side *side)
{
    return unsent(side) > 1; /* the end counts as one, and its acknowledgement may come late */
}

bool side_is_lost(struct link_side *side, int64_t since_ms)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    bool was_asked = side->asked;

    side->asked = unsent(side) > 0 &&
                  getsockopt(side->fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
                  (info.tcpi_retransmits > 1 || info.tcpi_probes > 1);
    return was_asked && side->asked && info.tcpi_last_ack_recv > since_ms + SHORTLY_MS;
}

void side_want(struct link_side *side, int events)
{
    if (side->poll) {
        loop_poll_want(side->poll, events);
    }
}

void side_close(struct link *link, struct link_side *side)
{
    loop_poll_free(side->poll);
    side->poll = NULL;
    tls_link_free(side->server);
    side->server = NULL;
    if (side->client_tls) {
        link->door->all->hooks.tls.end(side->client_tls);
        side->client_tls = NULL;
    }
    if (side->fd >= 0) {
        close(side->fd);
        side->fd = -1;
    }
    side->more = side->asked = false;
}
