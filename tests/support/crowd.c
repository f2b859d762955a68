/*
 * One epoll loop over sockets. Nothing in it blocks, so that what is measured is the daemon.
 */
#include "crowd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "http.h"
#include "scene.h"

enum { MEMBER_BYTES = 4096, EVENTS = 512 };

static int64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void drop_crowd(void *object)
{
    struct crowd *crowd = object;

    crowd_close(crowd);
    for (size_t i = 0; i < crowd->n; i++) {
        free(crowd->members[i].bytes);
    }
    free(crowd->members);
    free(crowd);
}

static void end_member(struct crowd *crowd, struct member *member)
{
    (void)epoll_ctl(crowd->epoll, EPOLL_CTL_DEL, member->fd, NULL);
    SSL_free(member->ssl);
    member->ssl = NULL;
    (void)close(member->fd);
    member->fd = -1;
    member->ended = true;
    crowd->begun += member->answers == 0;
}

/* Small enough to go out whole. */
static void say(struct crowd *crowd, struct member *member, const char *request)
{
    const size_t size = strlen(request);

    if (member->ssl ? SSL_write(member->ssl, request, (int)size) <= 0
                    : send(member->fd, request, size, MSG_NOSIGNAL) < 0) {
        end_member(crowd, member);
    }
}

/* @param index of the last answer; "" before the first, which is to come at once. */
static void ask(struct crowd *crowd, struct member *member, const char *index)
{
    char request[256];
    const int digits = (int)strspn(index, "0123456789");

    if (member->kind == MEMBER_ASKER) {
        (void)snprintf(request, sizeof(request), "GET /master HTTP/1.1\r\nHost: test\r\n\r\n");
    } else if (member->kind == MEMBER_STREAM) {
        (void)snprintf(request, sizeof(request), "GET /events HTTP/1.1\r\nHost: test\r\n\r\n");
    } else if (digits == 0) {
        (void)snprintf(request, sizeof(request),
                       "GET /master?wait=5m HTTP/1.1\r\nHost: test\r\n\r\n");
    } else {
        (void)snprintf(request, sizeof(request),
                       "GET /master?wait=5m&index=%.*s HTTP/1.1\r\nHost: test\r\n\r\n", digits,
                       index);
    }
    say(crowd, member, request);
}

static bool dial(struct crowd *crowd, struct member *member)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(crowd->port),
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = member};

    member->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (member->fd < 0 || connect(member->fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
        return false;
    }
    if (http_secured(crowd->port)) {
        member->ssl = http_shake_hands(member->fd, http_secured(crowd->port));
    }
    return (member->ssl || !http_secured(crowd->port)) &&
           epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, member->fd, &event) == 0;
}

bool crowd_fits(size_t n)
{
    const rlim_t wanted = (rlim_t)n + 256;
    struct rlimit limit;

    (void)getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= wanted) {
        return true;
    }
    limit.rlim_cur = wanted;
    if (limit.rlim_max < wanted) {
        limit.rlim_max = wanted;
    }
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static void look(struct crowd *crowd, struct member *member)
{
    if (member->told_ns != 0 || crowd->wanted[0] == '\0' ||
        (member->status != 200 && member->kind != MEMBER_STREAM) ||
        !memmem(member->bytes, member->n, crowd->wanted, strlen(crowd->wanted))) {
        return;
    }
    member->told_ns = now_ns();
    crowd->told++;
}

/* Only the end of a stream is kept: an event is shorter. */
static void take_stream(struct crowd *crowd, struct member *member)
{
    crowd->begun += member->answers++ == 0;
    look(crowd, member);
    if (member->n > MEMBER_BYTES / 2) {
        const size_t kept = 1024;

        memmove(member->bytes, member->bytes + member->n - kept, kept);
        member->n = kept;
    }
}

static void take_answer(struct crowd *crowd, struct member *member)
{
    static const char length_name[] = "Content-Length: ", index_name[] = "X-Bellwether-Index: ";
    const char *head_end = memmem(member->bytes, member->n, "\r\n\r\n", 4);

    if (!head_end) {
        return;
    }
    const char *length = strcasestr(member->bytes, length_name);
    const char *index = strcasestr(member->bytes, index_name);
    const size_t body = !length ? 0 : strtoul(length + sizeof(length_name) - 1, NULL, 10);
    if (member->n < (size_t)(head_end + 4 - member->bytes) + body) {
        return;
    }
    member->status = (int)strtol(member->bytes + 9, NULL, 10);
    crowd->begun += member->answers++ == 0;
    look(crowd, member);
    char copy[32] = "";
    if (index && index < head_end) {
        (void)snprintf(copy, sizeof(copy), "%.20s", index + sizeof(index_name) - 1);
    }
    member->n = 0;
    if (member->kind == MEMBER_ASKER) {
        crowd->asked++;
    }
    ask(crowd, member, copy);
}

static ssize_t receive(struct member *member)
{
    char *to = member->bytes + member->n;
    const size_t room = MEMBER_BYTES - 1 - member->n;
    int got;

    if (!member->ssl) {
        return recv(member->fd, to, room, MSG_DONTWAIT);
    }
    got = SSL_read(member->ssl, to, (int)room);
    if (got <= 0) {
        errno = SSL_get_error(member->ssl, got) == SSL_ERROR_WANT_READ ? EAGAIN : EIO;
        return -1;
    }
    return got;
}

static void take(struct crowd *crowd, struct member *member)
{
    const ssize_t got = receive(member);

    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        end_member(crowd, member);
        return;
    }
    member->n += (size_t)got;
    member->bytes[member->n] = '\0';
    if (member->kind == MEMBER_STREAM) {
        take_stream(crowd, member);
    } else {
        take_answer(crowd, member);
    }
}

static void serve(struct crowd *crowd, int wait_ms)
{
    struct epoll_event events[EVENTS];
    const int n = epoll_wait(crowd->epoll, events, EVENTS, wait_ms);

    for (int i = 0; i < n; i++) {
        struct member *member = events[i].data.ptr;

        do {
            take(crowd, member);
        } while (member->ssl && SSL_pending(member->ssl) > 0);
    }
}

struct crowd *crowd_open(uint16_t port, size_t polls, size_t streams, bool asks)
{
    struct crowd *crowd = calloc(1, sizeof(*crowd));

    cr_assert(crowd);
    crowd->port = port;
    crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
    crowd->n = polls + streams + asks;
    crowd->members = calloc(crowd->n + 1, sizeof(*crowd->members));
    cr_assert(crowd->members && crowd->epoll >= 0);
    (void)scene_keep(crowd, drop_crowd);
    cr_assert(crowd_fits(crowd->n), "no descriptors for %zu callers", crowd->n);
    for (size_t i = 0; i < crowd->n; i++) {
        crowd->members[i].fd = -1;
    }
    for (size_t i = 0; i < crowd->n; i++) {
        struct member *member = &crowd->members[i];

        member->kind = i == polls + streams ? MEMBER_ASKER
                       : i * streams / (polls + streams) != (i + 1) * streams / (polls + streams)
                           ? MEMBER_STREAM
                           : MEMBER_POLL;
        member->bytes = calloc(1, MEMBER_BYTES);
        cr_assert(member->bytes && dial(crowd, member), "caller %zu can't connect: %s", i,
                  strerror(errno));
        ask(crowd, member, "");
        serve(crowd, 0);
    }
    return crowd;
}

bool crowd_settle(struct crowd *crowd, int64_t bound_ms)
{
    for (const int64_t end = running_ms() + patient(bound_ms); crowd->begun < crowd->n;
         serve(crowd, 20)) {
        if (running_ms() > end) {
            return false;
        }
    }
    crowd_pump(crowd, 100); /* their next requests have arrived */
    return true;
}

void crowd_look_for(struct crowd *crowd, const char *address)
{
    /* `url` stands at the top only: `previous` and `last_known` speak of other addresses */
    (void)snprintf(crowd->wanted, sizeof(crowd->wanted), "://%s\"", address);
    crowd->told = 0;
    for (size_t i = 0; i < crowd->n; i++) {
        crowd->members[i].told_ns = 0;
    }
}

bool crowd_wait_told(struct crowd *crowd, int64_t bound_ms)
{
    const int64_t end = running_ms() + patient(bound_ms);

    while (crowd->told < crowd->n && running_ms() < end) {
        serve(crowd, 20);
    }
    return crowd->told == crowd->n;
}

void crowd_pump(struct crowd *crowd, int64_t span_ms)
{
    for (const int64_t end = now_ms() + span_ms; now_ms() < end;) {
        serve(crowd, 5);
    }
}

static bool is_of(const struct member *member, int kind)
{
    return kind < 0 || member->kind == (enum member_kind)kind;
}

int64_t crowd_first_ns(const struct crowd *crowd, int kind)
{
    int64_t first = 0;

    for (size_t i = 0; i < crowd->n; i++) {
        const struct member *member = &crowd->members[i];

        if (is_of(member, kind) && member->told_ns != 0 &&
            (first == 0 || member->told_ns < first)) {
            first = member->told_ns;
        }
    }
    return first;
}

int64_t crowd_spread_ns(const struct crowd *crowd, int kind)
{
    int64_t last = 0;

    for (size_t i = 0; i < crowd->n; i++) {
        const struct member *member = &crowd->members[i];

        if (!is_of(member, kind)) {
            continue;
        }
        if (member->told_ns == 0) {
            return -1;
        }
        if (member->told_ns > last) {
            last = member->told_ns;
        }
    }
    return last - crowd_first_ns(crowd, kind);
}

void crowd_hush(struct crowd *crowd)
{
    struct member *last = &crowd->members[crowd->n - 1];

    if (last->kind == MEMBER_ASKER && last->fd >= 0) {
        end_member(crowd, last);
        last->ended = false;
    }
}

size_t crowd_lost(const struct crowd *crowd)
{
    size_t lost = 0;

    for (size_t i = 0; i < crowd->n; i++) {
        lost += crowd->members[i].ended;
    }
    return lost;
}

void crowd_close(struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->n; i++) {
        if (crowd->members[i].fd >= 0) {
            end_member(crowd, &crowd->members[i]);
        }
    }
    if (crowd->epoll >= 0) {
        (void)close(crowd->epoll);
    }
    crowd->epoll = -1;
}
