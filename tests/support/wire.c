/* A Redis client whose bytes go over TLS where that is wanted: hiredis speaks, OpenSSL carries. */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cluster.h"
#include "scene.h"

enum { HANDSHAKE_MS = 5000, READ_BYTES = 64 * 1024, PATH_BYTES = 512 };

struct wire {
    int fd;
    SSL *ssl; /* NULL: plain */
    redisReader *reader;
    bool ended;
};

/* ---- the connection ---- */

static bool wait_for(const struct wire *wire, short events, int64_t bound_ms)
{
    struct pollfd look = {.fd = wire->fd, .events = events};

    return poll(&look, 1, bound_ms > 0 ? (int)bound_ms : 0) >= 0 || errno == EINTR;
}

/* @return whether it may be tried again. */
static bool wait_for_tls(const struct wire *wire, int outcome, int64_t end_ms)
{
    int why = SSL_get_error(wire->ssl, outcome);

    ERR_clear_error();
    return (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) && now_ms() < end_ms &&
           wait_for(wire, why == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN, end_ms - now_ms());
}

static SSL *make_session(const struct wire_spec *spec)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    char ca[PATH_BYTES], cert[PATH_BYTES], key[PATH_BYTES];
    SSL *ssl = NULL;

    (void)snprintf(ca, sizeof(ca), "%s/ca.crt", spec->folder);
    (void)snprintf(cert, sizeof(cert), "%s/%s.crt", spec->folder, spec->shows ? spec->shows : "");
    (void)snprintf(key, sizeof(key), "%s/%s.key", spec->folder, spec->shows ? spec->shows : "");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_mode(context,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_CTX_load_verify_file(context, ca) == 1 &&
        (!spec->shows || (SSL_CTX_use_certificate_file(context, cert, SSL_FILETYPE_PEM) == 1 &&
                          SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1))) {
        ssl = SSL_new(context);
    }
    SSL_CTX_free(context);
    if (ssl) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), "127.0.0.1");
    }
    return ssl;
}

static bool shake_hands(struct wire *wire, const struct wire_spec *spec)
{
    const int64_t end_ms = now_ms() + patient(HANDSHAKE_MS);
    int outcome;

    wire->ssl = make_session(spec);
    if (!wire->ssl || SSL_set_fd(wire->ssl, wire->fd) != 1) {
        return false;
    }
    while ((outcome = SSL_connect(wire->ssl)) != 1) {
        if (!wait_for_tls(wire, outcome, end_ms)) {
            return false;
        }
    }
    return true;
}

static bool dial(struct wire *wire, const struct wire_spec *spec)
{
    struct sockaddr_in tcp = {
        .sin_family = AF_INET, .sin_port = htons(spec->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_un local = {.sun_family = AF_UNIX};

    if (spec->unix_socket) {
        (void)snprintf(local.sun_path, sizeof(local.sun_path), "%s", spec->unix_socket);
    }
    wire->fd = socket(spec->unix_socket ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return wire->fd >= 0 &&
           connect(wire->fd,
                   spec->unix_socket ? (const struct sockaddr *)&local
                                     : (const struct sockaddr *)&tcp,
                   spec->unix_socket ? sizeof(local) : sizeof(tcp)) == 0 &&
           fcntl(wire->fd, F_SETFL, O_NONBLOCK) == 0;
}

struct wire *wire_dial(const struct wire_spec *spec)
{
    struct wire *wire = calloc(1, sizeof(*wire));

    wire->reader = redisReaderCreate();
    if (!dial(wire, spec) || (spec->folder && !shake_hands(wire, spec))) {
        wire_close(wire);
        return NULL;
    }
    return wire;
}

void wire_close(struct wire *wire)
{
    if (!wire) {
        return;
    }
    SSL_free(wire->ssl);
    redisReaderFree(wire->reader);
    if (wire->fd >= 0) {
        (void)close(wire->fd);
    }
    free(wire);
}

/* ---- bytes ---- */

bool wire_write(struct wire *wire, const char *bytes, size_t size, int64_t bound_ms)
{
    const int64_t end_ms = now_ms() + patient(bound_ms);

    while (size > 0) {
        ssize_t n;

        if (wire->ssl) {
            n = SSL_write(wire->ssl, bytes, (int)size);
            if (n <= 0 && !wait_for_tls(wire, (int)n, end_ms)) {
                return false;
            }
        } else {
            n = send(wire->fd, bytes, size, MSG_NOSIGNAL);
            if (n < 0 && ((errno != EAGAIN && errno != EINTR) || now_ms() > end_ms ||
                          !wait_for(wire, POLLOUT, end_ms - now_ms()))) {
                return false;
            }
        }
        bytes += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* What is there. @return bytes; 0: none yet, or it has ended. */
static size_t receive(struct wire *wire, char *bytes, size_t size)
{
    ssize_t n;

    if (wire->ssl) {
        n = SSL_read(wire->ssl, bytes, (int)size);
        if (n <= 0) {
            int why = SSL_get_error(wire->ssl, (int)n);

            wire->ended = why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE;
            ERR_clear_error();
        }
    } else {
        n = recv(wire->fd, bytes, size, 0);
        wire->ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
    }
    return n > 0 ? (size_t)n : 0;
}

/* Wait for some, and feed them. */
static void read_on(struct wire *wire, int64_t bound_ms)
{
    char bytes[READ_BYTES];
    size_t n = receive(wire, bytes, sizeof(bytes));

    if (n == 0 && !wire->ended) {
        (void)wait_for(wire, POLLIN, bound_ms);
        n = receive(wire, bytes, sizeof(bytes));
    }
    if (n > 0) {
        (void)redisReaderFeed(wire->reader, bytes, n);
    }
}

redisReply *wire_reply(struct wire *wire, int64_t bound_ms)
{
    const int64_t end_ms = now_ms() + patient(bound_ms);
    void *reply = NULL;

    while (redisReaderGetReply(wire->reader, &reply) == REDIS_OK && !reply && !wire->ended &&
           now_ms() < end_ms) {
        read_on(wire, end_ms - now_ms());
    }
    return reply;
}

bool wire_ended(const struct wire *wire)
{
    return wire->ended;
}

bool wire_ends(struct wire *wire, int64_t bound_ms)
{
    const int64_t end_ms = now_ms() + patient(bound_ms);

    while (!wire->ended && now_ms() < end_ms) {
        char bytes[READ_BYTES];

        if (receive(wire, bytes, sizeof(bytes)) == 0 && !wire->ended) {
            (void)wait_for(wire, POLLIN, end_ms - now_ms());
        }
    }
    return wire->ended;
}

size_t wire_sip(struct wire *wire, size_t size)
{
    char bytes[READ_BYTES];
    size_t n = receive(wire, bytes, size < sizeof(bytes) ? size : sizeof(bytes));

    if (n > 0) {
        (void)redisReaderFeed(wire->reader, bytes, n);
    }
    return n;
}

void wire_shut(struct wire *wire)
{
    if (wire->ssl) {
        (void)SSL_shutdown(wire->ssl);
        ERR_clear_error();
    }
    (void)shutdown(wire->fd, SHUT_WR);
}

bool wire_change_keys(struct wire *wire)
{
    return SSL_key_update(wire->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 &&
           SSL_do_handshake(wire->ssl) == 1;
}

/* ---- in a test ---- */

static void drop_wire(void *wire)
{
    wire_close(wire);
}

struct wire *wire_open(const struct wire_spec *spec)
{
    struct wire *wire = wire_dial(spec);

    cr_assert(wire, "port %u: no connection, or no handshake", spec->port);
    return scene_keep(wire, drop_wire);
}

static const char *text_of(const redisReply *reply)
{
    const char *all = "";

    switch (reply->type) {
    case REDIS_REPLY_INTEGER: return text("%lld", reply->integer);
    case REDIS_REPLY_ERROR: return text("-%s", reply->str);
    case REDIS_REPLY_ARRAY:
    case REDIS_REPLY_MAP:
        for (size_t i = 0; i < reply->elements; i++) {
            all = text("%s%s%s", all, i == 0 ? "" : " ", text_of(reply->element[i]));
        }
        return all;
    default: return text("%s", reply->str ? reply->str : "");
    }
}

const char *wire_say(struct wire *wire, const char *format, ...)
{
    char *command = NULL;
    const char *said = "";
    redisReply *reply = NULL;
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = redisvFormatCommand(&command, format, arguments);
    va_end(arguments);
    cr_assert_gt(size, 0);
    /* what was said before it could be sent, as a refusal, counts too */
    (void)wire_write(wire, command, (size_t)size, HANDSHAKE_MS);
    redisFreeCommand(command);
    reply = wire_reply(wire, HANDSHAKE_MS);
    if (reply) {
        said = text_of(reply);
        freeReplyObject(reply);
    }
    return said;
}

/* ---- those who go on and on ---- */

struct counter {
    struct counters *all;
    size_t number;
    pthread_t thread;
    _Atomic size_t told; /* its highest number */
    size_t refused, cut; /* errors; connections that ended */
    size_t lost;         /* numbers that it was told twice: the first time was forgotten */
};

struct counters {
    struct wire_spec spec;
    struct counter *each;
    size_t n;
    _Atomic bool stop;
    bool stopped;
};

enum { PACE_MS = 2, AGAIN_MS = 10, ANSWER_MS = 15000 };

/* @return false: it needs another connection. */
static bool count_once(struct counter *counter, struct wire *wire)
{
    char command[64];
    int size = snprintf(command, sizeof(command), "INCR count-%zu\r\n", counter->number);
    redisReply *reply;
    bool good;

    if (!wire_write(wire, command, (size_t)size, ANSWER_MS)) {
        return false;
    }
    reply = wire_reply(wire, ANSWER_MS);
    good = reply && reply->type == REDIS_REPLY_INTEGER;
    if (good) {
        const size_t told = atomic_load(&counter->told), now = (size_t)reply->integer;

        counter->lost += now <= told ? told - now + 1 : 0;
        atomic_store(&counter->told, (size_t)reply->integer);
    }
    counter->refused += reply && !good;
    freeReplyObject(reply);
    return good;
}

static void *count(void *data)
{
    struct counter *counter = data;
    struct wire *wire = NULL;

    while (!atomic_load(&counter->all->stop)) {
        wire = wire ? wire : wire_dial(&counter->all->spec);
        if (wire && count_once(counter, wire)) {
            nap_ms(PACE_MS);
            continue;
        }
        counter->cut += wire != NULL;
        wire_close(wire);
        wire = NULL;
        nap_ms(AGAIN_MS);
    }
    wire_close(wire);
    return NULL;
}

static void drop_counters(void *data)
{
    struct counters *counters = data;

    counters_stop(counters);
    free(counters->each);
    free(counters);
}

struct counters *counters_start(const struct wire_spec *spec, size_t n)
{
    struct counters *counters = scene_keep(calloc(1, sizeof(*counters)), drop_counters);

    counters->spec = *spec;
    counters->each = calloc(n, sizeof(*counters->each));
    for (size_t i = 0; i < n; i++) {
        counters->each[i].all = counters;
        counters->each[i].number = i;
        cr_assert_eq(pthread_create(&counters->each[i].thread, NULL, count, &counters->each[i]), 0);
        counters->n = i + 1;
    }
    return counters;
}

size_t counters_told(struct counters *counters)
{
    size_t told = 0;

    for (size_t i = 0; i < counters->n; i++) {
        told += atomic_load(&counters->each[i].told);
    }
    return told;
}

void counters_go_on(struct counters *counters, int64_t bound_ms)
{
    for (size_t i = 0; i < counters->n; i++) {
        const size_t before = atomic_load(&counters->each[i].told);

        WAIT_UNTIL(bound_ms, atomic_load(&counters->each[i].told) != before);
    }
}

void counters_stop(struct counters *counters)
{
    if (counters->stopped) {
        return;
    }
    counters->stopped = true;
    atomic_store(&counters->stop, true);
    for (size_t i = 0; i < counters->n; i++) {
        pthread_join(counters->each[i].thread, NULL);
    }
}

size_t counters_lost(struct counters *counters, const struct server *node, const char *what)
{
    size_t lost = 0, refused = 0, cut = 0;

    for (size_t i = 0; i < counters->n; i++) {
        const struct counter *counter = &counters->each[i];
        const size_t there = strtoul(redis_say(node, "GET %s", text("count-%zu", i)), NULL, 10);

        lost += counter->lost + (counter->told > there ? counter->told - there : 0);
        refused += counter->refused;
        cut += counter->cut;
    }
    fprintf(stderr, "%s: %s: %zu told, %zu lost, %zu refused, %zu connections ended\n",
            scene_test_name(), what, counters_told(counters), lost, refused, cut);
    return lost;
}
