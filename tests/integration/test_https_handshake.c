/* Handshakes of HTTPS that fail, and why is told; that hang, are cut, or are none. */
#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../support/commands.h"
#include "../support/daemon.h"
#include "../support/proxy.h"
#include "../support/scene.h"

SCENE_SUITE(integration_https_handshake);

/* Nobody is there to be asked: what is tried here needs no master. */
#define START(...) \
    daemon_start_tls(NULL, "--sentinel", "127.0.0.1:1", __VA_ARGS__ __VA_OPT__(, ) NULL)

/* ---- certificates that are refused ---- */

/* The commonest of mistakes is told for what it is, whichever version carries the alert. */
SCENE(integration_https_handshake, callers_that_do_not_trust_the_certificate)
{
    static const char *const versions[] = {"1.2", "1.3"};

    for (size_t i = 0; i < 2; i++) {
        struct daemon *daemon = START();
        struct process_result said = process_run(
            10000, NULL,
            (const char *const[]){"curl", "-sS", "--tls-max", versions[i],
                                  text("https://127.0.0.1:%u/livez", daemon->port), NULL});

        cr_assert(strstr(said.err, "unable to get local issuer"), "%s", said.err);
        EXPECT_LOGGED(daemon,
                      count_in(daemon_log(daemon), "trusts no issuer of the certificate") == 1);
    }
}

/* A connection, whose bytes a library's session or the test itself moves, each at once. */
static int dial(uint16_t port)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct timeval bound = {.tv_sec = patient(5000) / 1000};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

    cr_assert(connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 &&
              setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound)) == 0 &&
              setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) == 0);
    return fd;
}

static void send_all(int fd, const void *bytes, size_t n)
{
    cr_assert_eq(send(fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* A daemon that stops, and goes on, interrupts with SIGCHLD. */
static ssize_t receive(int fd, void *bytes, size_t size)
{
    ssize_t got;

    while ((got = recv(fd, bytes, size, 0)) < 0 && errno == EINTR) {
    }
    cr_assert_gt(got, 0, "%s", strerror(errno));
    return got;
}

/* A caller that trusts nobody; what it sends and gets is carried by the test. */
static SSL *make_distrustful(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl;

    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    ssl = SSL_new(context);
    SSL_CTX_free(context);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    return ssl;
}

/* What it wants to send now. @return its size. */
static size_t take_flight(SSL *ssl, char *out, size_t size)
{
    const int n = BIO_read(SSL_get_wbio(ssl), out, (int)size);

    return n > 0 ? (size_t)n : 0;
}

/* Without a word of goodbye, and with a reset. */
static void leave(int fd)
{
    const struct linger at_once = {.l_onoff = 1};

    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    (void)close(fd);
}

static double refused_handshakes(const struct daemon *daemon)
{
    return metric_of(daemon, "bellwether_http_rejected_total{reason=\"handshake\"}");
}

static void expect_distrust(const struct daemon *daemon, double refused)
{
    WAIT_UNTIL(5000, refused_handshakes(daemon) == refused);
    EXPECT_LOGGED(daemon, count_in(daemon_log(daemon), "trusts no issuer of the certificate") == 1);
}

/* OpenSSL says in plain that it does not take a certificate. */
static void distrust_in_plain(const struct daemon *daemon, int fd)
{
    SSL *ssl = make_distrustful();
    char bytes[1 << 14];

    while (SSL_get_error(ssl, SSL_connect(ssl)) == SSL_ERROR_WANT_READ) {
        send_all(fd, bytes, take_flight(ssl, bytes, sizeof(bytes)));
        const ssize_t got = receive(fd, bytes, sizeof(bytes));
        cr_assert_eq(BIO_write(SSL_get_rbio(ssl), bytes, (int)got), got);
    }
    process_freeze(daemon->process);
    send_all(fd, bytes, take_flight(ssl, bytes, sizeof(bytes)));
    SSL_free(ssl);
    ERR_clear_error();
}

/* Others say it enciphered. */
static void distrust_in_secret(const struct daemon *daemon, int fd)
{
    gnutls_certificate_credentials_t nobody;
    gnutls_session_t session;
    int outcome;

    cr_assert(gnutls_certificate_allocate_credentials(&nobody) == 0 &&
              gnutls_init(&session, GNUTLS_CLIENT) == 0 &&
              gnutls_priority_set_direct(session, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL) == 0 &&
              gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, nobody) == 0);
    gnutls_transport_set_int(session, fd);
    gnutls_session_set_verify_cert(session, NULL, 0);
    while ((outcome = gnutls_handshake(session)) == GNUTLS_E_INTERRUPTED) {
    }
    cr_assert_eq(outcome, GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR, "%s", gnutls_strerror(outcome));
    process_freeze(daemon->process);
    cr_assert_eq(gnutls_alert_send(session, GNUTLS_AL_FATAL, GNUTLS_A_UNKNOWN_CA), 0);
    gnutls_deinit(session);
    gnutls_certificate_free_credentials(nobody);
}

/* The alert is the last that comes, and its caller has gone before the daemon looks. */
SCENE(integration_https_handshake, an_alert_and_a_reset_at_once)
{
    struct daemon *daemon = START();

    for (int i = 0; i < 6; i++) {
        const int fd = dial(daemon->port);

        if (i % 2 == 0) {
            distrust_in_plain(daemon, fd);
        } else {
            distrust_in_secret(daemon, fd);
        }
        leave(fd);
        daemon_signal(daemon, SIGCONT);
        expect_distrust(daemon, i + 1);
    }
}

/*
 * The daemon answers a hello, or sends tickets, to a caller that has gone meanwhile: what it said
 * before counts. So much longer than a read ahead is the hello that the alert is read after it.
 */
SCENE(integration_https_handshake, an_alert_behind_an_answer_that_nobody_takes)
{
    static const char unknown_ca[] = "\x15\x03\x03\x00\x02\x02\x30";
    struct daemon *daemon = START();
    unsigned char names[9 + 8 * 201] = "\x08http/1.1";
    char bytes[1 << 14];

    for (size_t i = 0; i < 8; i++) {
        memset(names + 9 + i * 201, 200, 201);
    }
    for (int i = 0; i < 6; i++) {
        SSL *ssl = make_distrustful();

        cr_assert_eq(SSL_set_alpn_protos(ssl, names, sizeof(names)), 0);
        (void)SSL_connect(ssl);
        const size_t hello = take_flight(ssl, bytes, sizeof(bytes));
        cr_assert_gt(hello, 1500);
        process_freeze(daemon->process);
        const int fd = dial(daemon->port);
        send_all(fd, bytes, hello);
        send_all(fd, unknown_ca, sizeof(unknown_ca) - 1);
        leave(fd);
        daemon_signal(daemon, SIGCONT);
        expect_distrust(daemon, i + 1);
        SSL_free(ssl);
        ERR_clear_error();
    }
}

/* ---- who hangs, leaves, or is cut ---- */

/* The first flight of a caller. @return its size. */
static size_t make_hello(char *out, size_t size)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(context);
    BIO *in = BIO_new(BIO_s_mem()), *bytes = BIO_new(BIO_s_mem());

    SSL_set_bio(ssl, in, bytes);
    (void)SSL_connect(ssl);
    const int n = BIO_read(bytes, out, (int)size);
    SSL_free(ssl);
    SSL_CTX_free(context);
    cr_assert_gt(n, 100);
    return (size_t)n;
}

SCENE(integration_https_handshake, who_hangs_in_the_handshake_is_closed)
{
    struct daemon *daemon = START("--request-timeout", "1s");
    struct raw *hanging[20];
    char hello[4096];
    const size_t size = make_hello(hello, sizeof(hello));
    const double before = metric_of(daemon, "process_cpu_seconds_total");
    const int64_t began = now_ms();

    for (size_t i = 0; i < 20; i++) { /* half of a hello, or all of it and nothing after it */
        hanging[i] = raw_open_plain(daemon->port);
        cr_assert(hanging[i] && raw_send(hanging[i], hello, i % 2 == 0 ? size : size / 2));
    }
    for (size_t i = 0; i < 20; i++) {
        cr_assert(raw_closes(hanging[i], 3000), "%zu", i);
    }
    cr_assert_geq(now_ms() - began, 900);
    const double spent = metric_of(daemon, "process_cpu_seconds_total") - before;
    cr_assert_lt(spent, 0.5 * (double)(now_ms() - began) / 1000, "it spins: %f s", spent);
    still_serves(daemon);
}

/* Whoever leaves in the middle takes nobody along, and is not called refused. */
SCENE(integration_https_handshake, who_leaves_in_the_handshake_leaves_alone)
{
    struct daemon *daemon = START();
    struct raw *leaving[30];
    char hello[4096];
    const size_t size = make_hello(hello, sizeof(hello));

    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < 30; i++) {
            leaving[i] = raw_open_plain(daemon->port);
            cr_assert(leaving[i] && raw_send(leaving[i], hello, size));
        }
        for (size_t i = 0; i < 30; i++) {
            raw_close(leaving[i]);
            if (i % 3 == 0) {
                cr_assert_eq(daemon_get(daemon, "/livez")->status, 200, "%zu", i);
            }
        }
    }
    cr_assert_eq(metric_of(daemon, "bellwether_http_rejected_total{reason=\"handshake\"}"), 0, "%s",
                 daemon_log(daemon));
}

/* @return whether it was answered. */
static bool ask_through(SSL_CTX *context, uint16_t port)
{
    static const char request[] = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
    const int fd = dial(port);
    SSL *ssl = SSL_new(context);
    char bytes[4096];

    (void)SSL_set_fd(ssl, fd);
    const int64_t began = now_ms();
    const bool answered = SSL_connect(ssl) == 1 &&
                          SSL_write(ssl, request, sizeof(request) - 1) > 0 &&
                          SSL_read(ssl, bytes, sizeof(bytes)) > 0;
    cr_assert(!answered || strncmp(bytes, "HTTP/1.1 200", 12) == 0);
    cr_assert_lt(now_ms() - began, patient(4000), "it is not told of the end");
    SSL_free(ssl);
    ERR_clear_error(); /* else the next session that waits takes them for its own */
    (void)close(fd);
    return answered;
}

/* A connection ends after each byte of a handshake, its request and its answer. */
static void cut_everywhere(bool down)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct daemon *daemon = START("--workers", "2");
    struct raw *kept = raw_open(daemon->port);
    struct proxy *proxy = proxy_start(daemon->port);
    const long before = daemon_descriptors(daemon);

    for (size_t i = 0; i < 2; i++) {
        SSL_CTX *context = SSL_CTX_new(TLS_client_method());
        size_t most = 0;

        (void)SSL_CTX_set_max_proto_version(context, versions[i]);
        do {
            most++;
            cr_assert_lt(most, 8000, "never answered");
            proxy_behave(proxy, &(struct proxy_manner){.up_most = down ? 0 : most,
                                                       .down_most = down ? most : 0});
            if (most % 100 == 0) {
                cr_assert_eq(raw_get(kept, "/livez", 3000)->status, 200, "%zu", most);
            }
        } while (!ask_through(context, proxy_port(proxy)));
        cr_assert_gt(most, 300);
        SSL_CTX_free(context);
    }
    cr_assert_eq(metric_of(daemon, "bellwether_http_rejected_total{reason=\"handshake\"}"), 0, "%s",
                 daemon_log(daemon));
    WAIT_UNTIL(3000, daemon_descriptors(daemon) <= before + 2);
}

SCENE(integration_https_handshake, cut_after_each_byte_of_a_caller)
{
    cut_everywhere(false);
}

SCENE(integration_https_handshake, cut_after_each_byte_of_ours)
{
    cut_everywhere(true);
}

/* ---- what is none ---- */

/* What was before TLS 1.2 in the form of its time. */
SCENE(integration_https_handshake, hellos_of_before_tls)
{
    struct daemon *daemon = START();
    static const char ssl3[] = "\x16\x03\x00\x00\x2d\x01\x00\x00\x29\x03\x00"
                               "0123456789abcdef0123456789abcdef\x00\x00\x02\x00\x2f\x01\x00";

    for (int i = 0; i < 3; i++) {
        struct raw *raw = raw_open_plain(daemon->port);

        cr_assert(raw && raw_send(raw, ssl3, sizeof(ssl3) - 1));
        cr_assert(raw_closes(raw, 3000), "%d", i);
    }
    still_serves(daemon);
}

SCENE(integration_https_handshake, records_that_are_none)
{
    struct daemon *daemon = START();
    char bytes[1 << 16], hello[4096];
    const size_t size = make_hello(hello, sizeof(hello));

    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (char)(i * 131);
    }
    memcpy(bytes, "\x16\x03\x01\xff\xff\x01\xff\xff\xff\x03\x03", 11);
    for (int i = 0; i < 4; i++) {
        struct raw *raw = raw_open_plain(daemon->port);

        bytes[3] = i % 2 == 0 ? '\xff' : '\x40'; /* longer than any may be, or not */
        for (int k = 0; k < 16 && raw_send(raw, bytes, sizeof(bytes)); k++) {
        }
        cr_assert(raw_closes(raw, 5000));
    }
    for (size_t n = 1; n <= size; n += n < 16 ? 1 : 7) { /* cut within a hello */
        struct raw *raw = raw_open_plain(daemon->port);

        cr_assert(raw && raw_send(raw, hello, n));
        raw_close(raw);
    }
    for (size_t at = 11; at < size; at += 5) { /* or with a byte of it turned */
        struct raw *raw = raw_open_plain(daemon->port);

        hello[at] = (char)~hello[at];
        cr_assert(raw && raw_send(raw, hello, size));
        hello[at] = (char)~hello[at];
        (void)raw_closes(raw, 20);
        raw_close(raw);
    }
    still_serves(daemon);
    WAIT_UNTIL(3000, daemon_descriptors(daemon) < 60);
}

/* A caller may not begin again within a session: that costs the daemon more than it. */
SCENE(integration_https_handshake, renegotiation)
{
    struct daemon *daemon = START();
    const char *const words[] = {
        "sh", "-c",
        text("(sleep 0.5; echo R; sleep 1) | openssl s_client -connect 127.0.0.1:%u -tls1_2",
             daemon->port),
        NULL};
    const struct process_result said = process_run(10000, NULL, words);

    const char *again = strstr(said.err, "RENEGOTIATING");

    cr_assert(again, "%s%s", said.out, said.err);
    cr_assert_eq(count_in(again, "verify return"), 0, "no second handshake: %s", said.err);
    still_serves(daemon);
}
