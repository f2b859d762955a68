/*
 * Clients of a forward with TLS that say what is no data, again and again: that could go on for
 * ever, and nobody else would have a turn. A little of it is nothing unusual.
 */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../support/cluster.h"
#include "../support/commands.h"
#include "../support/daemon.h"
#include "../support/forward.h"
#include "../support/ports.h"
#include "../support/scene.h"

SCENE_SUITE(integration_forward_tls_records);

/* More than sixteen records without data at once are too many. */
enum { FEW = 10, TOO_MANY = 20 };

struct hall {
    const struct daemon *daemon;
    uint16_t port;
};

static struct hall start(void)
{
    const char *folder = cluster_certificates();
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1, .down_after_ms = 60000});
    struct hall hall = {.port = port_reserve()};

    hall.daemon =
        daemon_start(cluster, "--forward", text("127.0.0.1:%u,tls", hall.port), "--http-cert",
                     text("%s/good.crt", folder), "--http-key", text("%s/good.key", folder),
                     "--request-timeout", "60s", "--workers", "1", NULL);
    EXPECT_MASTER(hall.daemon, &cluster->nodes[0], 5000);
    return hall;
}

static void drop_session(void *session)
{
    close(gnutls_transport_get_int(session));
    gnutls_deinit(session);
}

static void drop_credentials(void *credentials)
{
    gnutls_certificate_free_credentials(credentials);
}

static gnutls_session_t dial(const struct hall *hall, const char *version)
{
    const int fd = plain_dial(hall->port);
    gnutls_certificate_credentials_t nobody;
    gnutls_session_t session;

    cr_assert(gnutls_certificate_allocate_credentials(&nobody) == 0 &&
              gnutls_init(&session, GNUTLS_CLIENT) == 0);
    (void)scene_keep(nobody, drop_credentials);
    (void)scene_keep(session, drop_session);
    cr_assert(gnutls_priority_set_direct(session, text("NORMAL:-VERS-ALL:+VERS-TLS%s", version),
                                         NULL) == 0 &&
              gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, nobody) == 0);
    gnutls_transport_set_int(session, fd); /* a macro, which takes it twice */
    return session;
}

static int socket_of(gnutls_session_t session)
{
    return gnutls_transport_get_int(session);
}

/* A daemon that stops, and goes on, interrupts with SIGCHLD. */
static void shake_hands(gnutls_session_t session)
{
    int outcome;

    while ((outcome = gnutls_handshake(session)) == GNUTLS_E_INTERRUPTED) {
    }
    cr_assert_eq(outcome, 0, "%s", gnutls_strerror(outcome));
}

/* Nothing that ends anything. */
static void warn(gnutls_session_t session, int times)
{
    for (int i = 0; i < times; i++) {
        cr_assert_eq(gnutls_alert_send(session, GNUTLS_AL_WARNING, GNUTLS_A_USER_CANCELED), 0);
    }
}

/* Tickets that come before it are none, and are told as "again". */
static void expect_answer(gnutls_session_t session)
{
    const int64_t end_ms = now_ms() + patient(10000);
    char answer[8] = "";
    ssize_t n;

    do {
        n = gnutls_record_recv(session, answer, sizeof(answer) - 1);
    } while ((n == GNUTLS_E_INTERRUPTED || n == GNUTLS_E_AGAIN) && now_ms() < end_ms);
    cr_assert_str_eq(answer, "+PONG\r\n", "%s", n < 0 ? gnutls_strerror((int)n) : "another one");
}

static void expect_to_ask(gnutls_session_t session)
{
    cr_assert_eq(gnutls_record_send(session, "PING\r\n", 6), 6);
    expect_answer(session);
}

static void expect_end(gnutls_session_t session)
{
    char bytes[4096];
    ssize_t n;

    while ((n = recv(socket_of(session), bytes, sizeof(bytes), 0)) > 0 ||
           (n < 0 && errno == EINTR)) {
    }
    cr_assert(n == 0 || errno == ECONNRESET, "it goes on: %s", strerror(errno));
}

/* All of it is there when the daemon reads. With TLS 1.3 any alert is the end. */
SCENE(integration_forward_tls_records, warnings_of_who_is_joined)
{
    const struct hall hall = start();
    gnutls_session_t session = dial(&hall, "1.2");

    shake_hands(session);
    expect_to_ask(session);
    process_freeze(hall.daemon->process);
    warn(session, FEW);
    cr_assert_eq(gnutls_record_send(session, "PING\r\n", 6), 6);
    daemon_signal(hall.daemon, SIGCONT);
    expect_answer(session);
    process_freeze(hall.daemon->process);
    warn(session, TOO_MANY);
    daemon_signal(hall.daemon, SIGCONT);
    expect_end(session);
    WAIT_UNTIL(5000, metric_of(hall.daemon, "bellwether_forward_connections{to=\"master\"}") == 0);
    shake_hands(session = dial(&hall, "1.3"));
    expect_to_ask(session);
}

/*
 * Behind the hello, before there are keys; there GnuTLS has a bound of its own, too. @return whose
 * hello is on its way.
 */
static gnutls_session_t warn_with_the_hello(const struct hall *hall, int times)
{
    gnutls_session_t session = dial(hall, "1.2");
    const int fd = socket_of(session), flags = fcntl(fd, F_GETFL);
    int outcome;

    process_freeze(hall->daemon->process);
    cr_assert_eq(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
    while ((outcome = gnutls_handshake(session)) == GNUTLS_E_INTERRUPTED) {
    }
    cr_assert_eq(outcome, GNUTLS_E_AGAIN, "%s", gnutls_strerror(outcome));
    warn(session, times);
    cr_assert_eq(fcntl(fd, F_SETFL, flags), 0);
    daemon_signal(hall->daemon, SIGCONT);
    return session;
}

SCENE(integration_forward_tls_records, warnings_in_the_handshake)
{
    const struct hall hall = start();
    gnutls_session_t session = warn_with_the_hello(&hall, FEW);

    shake_hands(session);
    expect_to_ask(session);
    expect_end(warn_with_the_hello(&hall, TOO_MANY));
    WAIT_UNTIL(5000,
               metric_of(hall.daemon, "bellwether_forward_closed_total{reason=\"tls\"}") == 1);
    shake_hands(session = dial(&hall, "1.2"));
    expect_to_ask(session);
}
