/* Connections: bytes out, one answer back. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"
#include "scene.h"

struct raw {
    int fd;
    SSL *ssl; /* NULL: it is plain */
    char bytes[1 << 16];
    size_t n;
    bool ended;
};

static void drop_raw(void *object)
{
    struct raw *raw = object;

    SSL_free(raw->ssl);
    if (raw->fd >= 0) {
        (void)close(raw->fd);
    }
    free(raw);
}

/* Wait for what TLS waits for. @return false: it has failed. */
static bool wait_for_tls(SSL *ssl, int outcome, int64_t bound_ms)
{
    int why = SSL_get_error(ssl, outcome);
    struct pollfd wait = {.fd = SSL_get_fd(ssl),
                          .events = why == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN};

    return (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) &&
           poll(&wait, 1, (int)bound_ms) >= 0;
}

SSL *http_shake_hands(int fd, const char *folder)
{
    const int64_t end = now_ms() + patient(5000);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl;
    int outcome;

    cr_assert(context && SSL_CTX_load_verify_file(context, text("%s/ca.crt", folder)) == 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    ssl = SSL_new(context);
    SSL_CTX_free(context);
    cr_assert(ssl && SSL_set_fd(ssl, fd) == 1 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    while ((outcome = SSL_connect(ssl)) != 1) {
        if (now_ms() > end || !wait_for_tls(ssl, outcome, 100)) {
            SSL_free(ssl);
            return NULL;
        }
    }
    return ssl;
}

struct raw *raw_open_plain(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct raw *raw = calloc(1, sizeof(*raw));

    cr_assert(raw);
    (void)scene_keep(raw, drop_raw);
    raw->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (raw->fd < 0 || connect(raw->fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
        return NULL;
    }
    return raw;
}

struct raw *raw_open(uint16_t port)
{
    struct raw *raw = raw_open_plain(port);

    if (raw && http_secured(port)) {
        raw->ssl = http_shake_hands(raw->fd, http_secured(port));
        return raw->ssl ? raw : NULL;
    }
    return raw;
}

static bool send_secured(struct raw *raw, const char *bytes, size_t n)
{
    const int64_t end = now_ms() + patient(5000);

    while (n > 0) {
        int sent = SSL_write(raw->ssl, bytes, (int)n);

        if (sent <= 0 && (now_ms() > end || !wait_for_tls(raw->ssl, sent, 100))) {
            return false;
        }
        bytes += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

bool raw_send(struct raw *raw, const char *bytes, size_t n)
{
    const int64_t end = now_ms() + patient(5000);

    if (raw->ssl) {
        return send_secured(raw, bytes, n);
    }
    while (n > 0) {
        struct pollfd wait = {.fd = raw->fd, .events = POLLOUT};

        if (now_ms() > end || poll(&wait, 1, 100) < 0) {
            return false;
        }
        const ssize_t sent = send(raw->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            return false;
        }
        bytes += sent < 0 ? 0 : sent;
        n -= sent < 0 ? 0 : (size_t)sent;
    }
    return true;
}

/* The same over TLS; the tickets that come first are none of what is waited for. */
static void read_secured(struct raw *raw, int64_t bound_ms)
{
    const int64_t end = now_ms() + bound_ms;
    int got;

    if (raw->ended || raw->n + 1 >= sizeof(raw->bytes)) {
        return;
    }
    while ((got = SSL_read(raw->ssl, raw->bytes + raw->n,
                           (int)(sizeof(raw->bytes) - 1 - raw->n))) <= 0) {
        const int64_t left = end - now_ms();

        if (!wait_for_tls(raw->ssl, got, left > 0 ? left : 0)) {
            raw->ended = true;
            return;
        }
        if (left <= 0) {
            return;
        }
    }
    raw->n += (size_t)got;
    raw->bytes[raw->n] = '\0';
}

/* Read what is there, waiting for it at most so long. */
static void raw_read(struct raw *raw, int64_t bound_ms)
{
    struct pollfd wait = {.fd = raw->fd, .events = POLLIN};

    if (raw->ssl) {
        read_secured(raw, bound_ms);
        return;
    }
    if (raw->ended || raw->n + 1 >= sizeof(raw->bytes) || poll(&wait, 1, (int)bound_ms) <= 0) {
        return;
    }
    const ssize_t got =
        recv(raw->fd, raw->bytes + raw->n, sizeof(raw->bytes) - 1 - raw->n, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        raw->ended = true;
    }
    raw->n += got > 0 ? (size_t)got : 0;
    raw->bytes[raw->n] = '\0';
}

struct http_answer *raw_answer(struct raw *raw, int64_t bound_ms)
{
    const int64_t asked = now_ms(), end = running_ms() + patient(bound_ms);
    struct http_answer *answer = NULL;

    while (!(answer = http_answer_parse(raw->bytes, raw->n, raw->ended))) {
        const int64_t left = end - running_ms();

        if (raw->ended || left <= 0) {
            break;
        }
        raw_read(raw, left);
    }
    if (!answer) {
        answer = http_answer_new();
        answer->body = raw->bytes;
        answer->problem =
            raw->ended ? "connection closed without an answer" : "no answer within the bound";
    } else { /* keep what follows it */
        const char *head_end = (const char *)memmem(raw->bytes, raw->n, "\r\n\r\n", 4) + 4;
        const size_t used = (size_t)(head_end - raw->bytes) + answer->body_len;

        memmove(raw->bytes, raw->bytes + used, raw->n - used);
        raw->n -= used;
        raw->bytes[raw->n] = '\0';
    }
    answer->asked_ms = asked;
    return answer;
}

struct http_answer *raw_get(struct raw *raw, const char *path, int64_t bound_ms)
{
    const char *request = text("GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path);
    struct http_answer *answer =
        raw_send(raw, request, strlen(request)) ? raw_answer(raw, bound_ms) : raw_answer(raw, 0);

    if (answer->status != 0) {
        raw_record(answer, "GET", path);
    }
    return answer;
}

void raw_record(const struct http_answer *answer, const char *method, const char *path)
{
    scene_record(method, path, answer->status, answer->headers, answer->body, answer->body_len,
                 http_answer_from_the_library(answer));
}

bool raw_closes(struct raw *raw, int64_t bound_ms)
{
    const int64_t end = running_ms() + patient(bound_ms);

    while (!raw->ended && running_ms() < end) {
        raw->n = 0;
        raw_read(raw, end - running_ms());
    }
    return raw->ended;
}

char *raw_upto(struct raw *raw, const char *mark, int64_t bound_ms)
{
    const int64_t end = running_ms() + bound_ms;
    const char *found;

    while (!(found = memmem(raw->bytes, raw->n, mark, strlen(mark)))) {
        const int64_t left = end - running_ms();

        if (raw->ended || left < 0) {
            return NULL;
        }
        raw_read(raw, left);
    }
    const size_t used = (size_t)(found - raw->bytes) + strlen(mark);
    char *taken = text("%.*s", (int)used, raw->bytes);
    memmove(raw->bytes, raw->bytes + used, raw->n - used);
    raw->n -= used;
    raw->bytes[raw->n] = '\0';
    return taken;
}

bool raw_drop(struct raw *raw, size_t n, int64_t bound_ms)
{
    const int64_t end = running_ms() + bound_ms;
    const size_t full = sizeof(raw->bytes) - 1;

    raw->n = full - n;
    while (raw->n < full && !raw->ended && running_ms() < end) {
        raw_read(raw, end - running_ms());
    }
    n = full - raw->n;
    raw->n = 0;
    raw->bytes[0] = '\0';
    return n == 0;
}

bool raw_ended(const struct raw *raw)
{
    return raw->ended;
}

void raw_close(struct raw *raw)
{
    SSL_free(raw->ssl);
    raw->ssl = NULL;
    (void)close(raw->fd);
    raw->fd = -1;
}

void raw_shut(struct raw *raw)
{
    (void)shutdown(raw->fd, SHUT_WR);
}

struct http_answer *raw_exchange(uint16_t port, const char *bytes, size_t n, int64_t bound_ms)
{
    struct raw *raw = raw_open(port);

    cr_assert(raw, "port %u refuses", port);
    (void)raw_send(raw, bytes, n); /* the daemon may answer and close before it has read all */
    return raw_answer(raw, bound_ms);
}
