/*
 * --probe: a URL is read, one GET request sent, and the status of its answer becomes the exit code.
 *
 * Every call blocks. When time is up a signal's handler says what was waited for and ends the
 * process, so that one limit holds for all of it: the resolver, the handshake, a peer that hangs.
 */
#include "probe.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bellwether/base/error.h"
#include "bellwether/base/log.h"
#include "bellwether/base/units.h"

#define DEFAULT_PATH "/readyz"
#define HEAD_BYTES_MAX ((size_t)16 * 1024)
#define ANSWER_BYTES_MAX ((size_t)64 * 1024) /* what comes behind it is not waited for */
#define SHOWN_BYTES 300                      /* of a body, in the line that says why */
#define HANDLER_PATIENCE_MS 100

/* ---- the URL ---- */

static int fail(char *words, const char *url, const char *what)
{
    (void)snprintf(
        words, PROBE_WORDS_SIZE,
        "--probe: \"%.200s\": %.80s; takes http://HOST:PORT/PATH, https://HOST:PORT/PATH "
        "or unix:SOCKET:/PATH",
        url, what);
    return -BW_EINVAL;
}

/* `text` begins where the path does; a fragment or a blank would not be a request's. */
static const char *read_path(const char *text, struct probe_target *out)
{
    if (*text == '\0' || strcmp(text, "/") == 0) {
        text = DEFAULT_PATH;
    }
    if (strlen(text) >= sizeof(out->path)) {
        return "its path is too long";
    }
    for (const char *p = text; *p != '\0'; p++) {
        if (*p <= ' ' || *p > '~' || *p == '#') {
            return "its path has a character that has to be percent-encoded";
        }
    }
    memcpy(out->path, text, strlen(text) + 1);
    return NULL;
}

static const char *read_socket(const char *text, struct probe_target *out)
{
    const char *colon = strstr(text, ":/");
    size_t n = colon ? (size_t)(colon - text) : strlen(text);

    if (n == 0) {
        return "it names no socket";
    }
    if (n >= sizeof(out->socket)) {
        return "the path of a socket is shorter";
    }
    memcpy(out->socket, text, n);
    return read_path(colon ? colon + 1 : "", out);
}

static const char *read_authority(const char *text, struct probe_target *out)
{
    char authority[ADDRESS_TEXT_SIZE], ignored[PROBE_WORDS_SIZE];
    size_t n = strcspn(text, "/?");

    if (n >= sizeof(authority) || memchr(text, '@', n)) {
        return "it names no host and port";
    }
    memcpy(authority, text, n);
    authority[n] = '\0';
    if (address_parse(authority, 0, &out->address, ignored, sizeof(ignored)) != 0) {
        return "it names no host and port";
    }
    return text[n] == '?' ? "its path is missing" : read_path(text + n, out);
}

int probe_read_url(const char *url, struct probe_target *out, char *words)
{
    struct probe_target target = {0};
    const char *what;

    if (strncasecmp(url, "http://", 7) == 0) {
        what = read_authority(url + 7, &target);
    } else if (strncasecmp(url, "https://", 8) == 0) {
        target.tls = true;
        what = read_authority(url + 8, &target);
    } else if (strncasecmp(url, "unix:", 5) == 0) {
        what = read_socket(url + 5, &target);
    } else {
        what = "not a URL that is known here";
    }
    if (what) {
        return fail(words, url, what);
    }
    *out = target;
    return 0;
}

/* ---- the answer ---- */

/* The value of a header whose line begins at `line`, or NULL where it is another one. */
static const char *value_of(const char *line, const char *end, const char *name)
{
    size_t n = strlen(name);

    if ((size_t)(end - line) <= n || strncasecmp(line, name, n) != 0 || line[n] != ':') {
        return NULL;
    }
    for (line += n + 1; line < end && (*line == ' ' || *line == '\t'); line++) {
    }
    return line;
}

static void read_header(const char *line, const char *end, struct probe_answer *answer)
{
    const char *value = value_of(line, end, "Content-Length");

    if (value && value < end && *value >= '0' && *value <= '9') {
        answer->body_size = strtoll(value, NULL, 10); /* the line's end stops it */
    }
    value = value_of(line, end, "Content-Type");
    if (value && end - value >= 10 && strncasecmp(value, "text/plain", 10) == 0) {
        answer->plain_text = true;
    }
}

/* "HTTP/1.1 200 OK". @return the status; 0: it is no status line. */
static int read_status(const char *line, const char *end)
{
    static const char form[] = "HTTP/d.d ddd"; /* d: a digit */

    if ((size_t)(end - line) < sizeof(form) - 1) {
        return 0;
    }
    for (size_t i = 0; i < sizeof(form) - 1; i++) {
        bool fits = form[i] == 'd' ? line[i] >= '0' && line[i] <= '9' : line[i] == form[i];

        if (!fits) {
            return 0;
        }
    }
    return (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
}

struct probe_answer probe_look(const char *bytes, size_t n)
{
    static const char begin[] = "HTTP/";
    struct probe_answer answer = {.body_size = -1};
    const char *line = bytes, *end = bytes + n, *newline;
    int status = 0;

    if (n >= 2 && bytes[0] == 0x15 && bytes[1] == 0x03) { /* an alert: it wants a handshake */
        answer.failure = "it speaks TLS: https://";
    } else if (memcmp(bytes, begin, n < sizeof(begin) - 1 ? n : sizeof(begin) - 1) != 0) {
        answer.failure = "what answers does not speak HTTP";
    }
    while (!answer.failure && (newline = memchr(line, '\n', (size_t)(end - line)))) {
        const char *stop = newline > line && newline[-1] == '\r' ? newline - 1 : newline;

        if (line == bytes) {
            status = read_status(line, stop);
            answer.failure = status == 0 ? "what answers does not speak HTTP" : NULL;
        } else if (stop == line) {
            answer.status = status;
            answer.head_size = (size_t)(newline + 1 - bytes);
            return answer;
        } else {
            read_header(line, stop, &answer);
        }
        line = newline + 1;
    }
    if (!answer.failure && n >= HEAD_BYTES_MAX) {
        answer.failure = "its answer's head does not end";
    }
    return answer;
}

/* ---- time ---- */

static const char *volatile stage;
static char late[PROBE_WORDS_SIZE]; /* the line's beginning, rendered beforehand */

static void time_is_up(int signum)
{
    static char line[2 * PROBE_WORDS_SIZE];
    const char *waited_for = stage;
    size_t used = strlen(late), n = strlen(waited_for);

    (void)signum;
    memcpy(line, late, used + 1);
    memcpy(line + used, waited_for, n + 1);
    line[used + n] = '\n';
    log_last_words(line, used + n + 1, HANDLER_PATIENCE_MS);
    _exit(1);
}

static void limit_time(const char *url, int64_t timeout_ms)
{
    const struct sigaction action = {.sa_handler = time_is_up};
    const struct itimerval at = {
        .it_value = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000L}};
    char limit[UNITS_TEXT_SIZE];
    sigset_t alarm_only;

    duration_format(timeout_ms, limit);
    (void)snprintf(late, sizeof(late), "bellwether: %.300s: not within %s: ", url, limit);
    (void)sigaction(SIGALRM, &action, NULL);
    (void)sigemptyset(&alarm_only);
    (void)sigaddset(&alarm_only, SIGALRM);
    (void)pthread_sigmask(SIG_UNBLOCK, &alarm_only,
                          NULL); /* whoever started it may have blocked it */
    (void)setitimer(ITIMER_REAL, &at, NULL);
}

/* ---- the connection ---- */

struct probe {
    struct probe_target target;
    int fd;                       /* -1: none */
    SSL *ssl;                     /* NULL: in plain */
    char words[PROBE_WORDS_SIZE]; /* why not */
};

static int say(struct probe *probe, const char *what, const char *why)
{
    (void)snprintf(probe->words, sizeof(probe->words), "%s%s%s", what, why ? ": " : "",
                   why ? why : "");
    return -BW_EINVAL;
}

static int connect_to(struct probe *probe, int family, const void *name, socklen_t size)
{
    probe->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe->fd < 0 || connect(probe->fd, name, size) != 0) {
        int error = errno;

        if (probe->fd >= 0) {
            (void)close(probe->fd);
        }
        probe->fd = -1;
        return say(probe, "cannot be connected to", strerror(error));
    }
    return 0;
}

static int connect_socket(struct probe *probe)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    memcpy(name.sun_path, probe->target.socket, sizeof(probe->target.socket));
    return connect_to(probe, AF_UNIX, &name, sizeof(name));
}

static int connect_host(struct probe *probe, const char *host)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found;
    char port[8];
    int failed = -BW_EINVAL;

    (void)snprintf(port, sizeof(port), "%u", probe->target.address.port);
    int error = getaddrinfo(host, port, &hints, &found);
    if (error != 0) {
        return say(probe, "its name cannot be resolved", gai_strerror(error));
    }
    stage = "no connection";
    for (const struct addrinfo *one = found; failed != 0 && one; one = one->ai_next) {
        failed = connect_to(probe, one->ai_family, one->ai_addr, one->ai_addrlen);
    }
    freeaddrinfo(found);
    return failed;
}

/* In an image there is no /etc/hosts, and so nobody who knows this one name. */
static int connect_anywhere(struct probe *probe)
{
    stage = "no connection";
    if (probe->target.socket[0] != '\0') {
        return connect_socket(probe);
    }
    if (strcmp(probe->target.address.host, "localhost") == 0) {
        return connect_host(probe, "127.0.0.1") == 0 ? 0 : connect_host(probe, "::1");
    }
    stage = "its name is not resolved";
    return connect_host(probe, probe->target.address.host);
}

/*
 * Whom the certificate is for is not looked at: a daemon is asked beside it, by an address that its
 * certificate need not have, and is told nothing but a path. A kubelet does likewise.
 */
static int shake_hands(struct probe *probe)
{
    stage = "connected, but its TLS handshake is not done";

    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    probe->ssl = !ctx ? NULL : SSL_new(ctx);
    SSL_CTX_free(ctx); /* the session has its own share */
    if (!probe->ssl || SSL_set_fd(probe->ssl, probe->fd) != 1) {
        return say(probe, "no memory for TLS", NULL);
    }
    if (!address_is_ip(&probe->target.address)) {
        (void)SSL_set_tlsext_host_name(probe->ssl, probe->target.address.host);
    }
    if (SSL_connect(probe->ssl) != 1) {
        const char *why = ERR_reason_error_string(ERR_peek_error());

        return say(probe, "no TLS handshake", why ? why : "the connection was closed");
    }
    return 0;
}

/* @return how many; 0 at the end; negative: `words` says why. */
static ssize_t receive(struct probe *probe, char *out, size_t size)
{
    if (!probe->ssl) {
        ssize_t n = recv(probe->fd, out, size, 0);

        return n >= 0 ? n : say(probe, "the connection was lost", strerror(errno));
    }
    int n = SSL_read(probe->ssl, out, (int)size);
    if (n > 0) {
        return n;
    }
    int error = SSL_get_error(probe->ssl, n);
    const char *why = ERR_reason_error_string(ERR_peek_error());
    return error == SSL_ERROR_ZERO_RETURN
               ? 0
               : say(probe, "the connection was lost", why ? why : "it was closed");
}

/* Where it fails, an answer may have come all the same, and why not is said where that is read. */
static void transmit(struct probe *probe, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = probe->ssl ? SSL_write(probe->ssl, bytes, (int)n)
                                  : send(probe->fd, bytes, n, MSG_NOSIGNAL);

        if (sent <= 0) {
            return;
        }
        bytes += sent;
        n -= (size_t)sent;
    }
}

/* ---- the request ---- */

static void ask(struct probe *probe)
{
    char request[PROBE_PATH_SIZE + ADDRESS_TEXT_SIZE + 128];
    char host[ADDRESS_TEXT_SIZE] = "localhost";

    if (probe->target.socket[0] == '\0') {
        (void)address_format(&probe->target.address, host);
    }
    int n = snprintf(request, sizeof(request),
                     "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bellwether-probe\r\n"
                     "Accept: text/plain\r\nConnection: close\r\n\r\n",
                     probe->target.path, host);
    transmit(probe, request, (size_t)n);
}

/* Whether all of it is there that was announced, or as much as is waited for. */
static bool is_whole(const struct probe_answer *answer, size_t n, bool ended)
{
    if (answer->status == 0) {
        return false;
    }
    return n == ANSWER_BYTES_MAX || (answer->body_size < 0 && ended) ||
           (answer->body_size >= 0 && n - answer->head_size >= (uint64_t)answer->body_size);
}

static int read_answer(struct probe *probe, char *bytes, size_t *n, struct probe_answer *answer)
{
    stage = "connected, but no answer";
    for (bool ended = false;;) {
        ssize_t got = receive(probe, bytes + *n, ANSWER_BYTES_MAX - *n);

        if (got < 0) {
            return -BW_EINVAL;
        }
        ended = got == 0;
        *n += (size_t)got;
        if (answer->status == 0 && *n > 0) {
            *answer = probe_look(bytes, *n);
        }
        if (answer->failure) {
            return say(probe, answer->failure, NULL);
        }
        if (is_whole(answer, *n, ended)) {
            return 0;
        }
        stage = answer->status == 0 ? "its answer's head is not whole" : "its answer is not whole";
        if (ended) {
            return say(probe, *n == 0 ? "the connection was closed without an answer" : stage,
                       *n == 0 ? NULL : "the connection was closed");
        }
    }
}

/* One line of the body, where it is meant to be read. */
static void show(const struct probe_answer *answer, const char *body, size_t n, char *out)
{
    size_t used = 0;

    for (; answer->plain_text && used < n && used < SHOWN_BYTES - 1; used++) {
        if (body[used] == '\r' || body[used] == '\n') {
            break;
        }
        out[used] = body[used];
        if ((unsigned char)body[used] < ' ' || (unsigned char)body[used] > '~') {
            out[used] = '?';
        }
    }
    out[used] = '\0';
}

static int judge(struct probe *probe, const struct probe_answer *answer, const char *bytes,
                 size_t n)
{
    char shown[SHOWN_BYTES], what[64];

    if (answer->status / 100 == 2) {
        return 0;
    }
    show(answer, bytes + answer->head_size, n - answer->head_size, shown);
    (void)snprintf(what, sizeof(what), "%d%s", answer->status,
                   answer->status / 100 == 3 ? ", and redirects are not followed" : "");
    return say(probe, what, shown[0] == '\0' ? NULL : shown);
}

int probe_run(const char *url, int64_t timeout_ms)
{
    struct probe probe = {.fd = -1};
    static char bytes[ANSWER_BYTES_MAX]; /* too much for a stack */
    struct probe_answer answer = {0};
    size_t n = 0;

    if (probe_read_url(url, &probe.target, probe.words) != 0) {
        log_plain("bellwether: %s", probe.words);
        return 2;
    }
    limit_time(url, timeout_ms);
    int failed = connect_anywhere(&probe);
    if (failed == 0 && probe.target.tls) {
        failed = shake_hands(&probe);
    }
    if (failed == 0) {
        ask(&probe);
        failed = read_answer(&probe, bytes, &n, &answer);
    }
    if (failed == 0) {
        failed = judge(&probe, &answer, bytes, n);
    }
    limit_time(url, 0);
    if (failed != 0) {
        log_plain("bellwether: %.300s: %s", url, probe.words);
    }
    SSL_free(probe.ssl);
    if (probe.fd >= 0) {
        (void)close(probe.fd);
    }
    return failed == 0 ? 0 : 1;
}
