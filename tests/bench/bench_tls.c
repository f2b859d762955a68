/*
 * HTTPS against nginx, with the same certificate (ECDSA P-256), version and cipher: GET /master
 * over connections that stay, then connections that ask once, with a whole handshake and with one
 * that takes up a session. What counts is the server's CPU time: OpenSSL, as a caller, takes more
 * of it than either server. The rest of the part is in bench_tls_more.c.
 */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../support/certificates.h"
#include "../support/daemon.h"
#include "../support/ports.h"
#include "../support/scene.h"
#include "bench_http.h"
#include "bench_tls.h"

enum { N_SERVERS = 2, CONNECTIONS = 500 };

static void drop_folder(void *folder)
{
    certificates_remove(folder);
}

/* One connection, one question. @param session taken up where it is not NULL. */
static SSL_SESSION *ask_once(SSL_CTX *context, const struct peer *peer, SSL_SESSION *session)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(peer->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const char *request =
        text("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", peer->path);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SSL *ssl = SSL_new(context);
    char bytes[4096];
    int got, all = 0;

    cr_assert(connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0);
    (void)SSL_set_fd(ssl, fd);
    if (session) {
        (void)SSL_set_session(ssl, session);
    }
    cr_assert(SSL_connect(ssl) == 1 && SSL_write(ssl, request, (int)strlen(request)) > 0,
              "%s does not shake hands", peer->name);
    while ((got = SSL_read(ssl, bytes, sizeof(bytes))) > 0) {
        all += got;
    }
    cr_assert_gt(all, 100, "%s answers nothing", peer->name);
    cr_assert(!session || SSL_session_reused(ssl), "%s takes no session up", peer->name);
    session = SSL_get1_session(ssl);
    (void)SSL_shutdown(ssl);
    SSL_free(ssl);
    (void)close(fd);
    return session;
}

/*
 * CPU time of each server for a connection, and how many a second one caller makes. They take turns
 * with each connection, so that whatever else the machine does hits both.
 */
static void run(SSL_CTX *context, struct peer *peers, bool again)
{
    SSL_SESSION *first[N_SERVERS];
    int64_t cpu_ns[N_SERVERS], took_ns[N_SERVERS] = {0};

    for (size_t i = 0; i < N_SERVERS; i++) {
        first[i] = again ? ask_once(context, &peers[i], NULL) : NULL;
        cpu_ns[i] = process_cpu_ns(peers[i].process->pid);
    }
    for (int n = 0; n < CONNECTIONS; n++) {
        for (size_t i = 0; i < N_SERVERS; i++) {
            const int64_t began = monotonic_ns();

            SSL_SESSION_free(ask_once(context, &peers[i], first[i]));
            took_ns[i] += monotonic_ns() - began;
        }
    }
    for (size_t i = 0; i < N_SERVERS; i++) {
        cpu_ns[i] = process_cpu_ns(peers[i].process->pid) - cpu_ns[i];
        samples_add(&peers[i].cpu_us, (double)cpu_ns[i] / CONNECTIONS / 1000);
        samples_add(&peers[i].rate, CONNECTIONS / ((double)took_ns[i] / 1e9));
        samples_add(&peers[i].cpu_ratio, (double)cpu_ns[0] / (double)cpu_ns[i]);
        samples_add(&peers[i].rate_ratio, (double)took_ns[i] / (double)took_ns[0]);
        SSL_SESSION_free(first[i]);
    }
}

static void measure_handshakes(struct peer *peers, bool again,
                               const struct bench_settings *settings)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    for (size_t i = 0; i < N_SERVERS; i++) {
        peers[i].rate.n = peers[i].cpu_us.n = 0;
        peers[i].rate_ratio.n = peers[i].cpu_ratio.n = 0;
    }
    for (int round = 0; round < settings->rounds; round++) {
        progress("handshakes%s, round %d of %d", again ? " again" : "", round + 1,
                 settings->rounds);
        run(context, peers, again);
    }
    for (size_t i = 0; i < N_SERVERS; i++) {
        (void)printf("  %-17s %-22s %8.0f %11.1f", peers[i].name,
                     again ? "a session again" : "a whole handshake",
                     samples_median(&peers[i].rate), samples_median(&peers[i].cpu_us));
        if (i > 0) {
            (void)printf("  | %7.2f %s  %7.2f %s", samples_median(&peers[i].rate_ratio),
                         verdict(&peers[i].rate_ratio, ">= 0.80"),
                         samples_median(&peers[i].cpu_ratio),
                         verdict(&peers[i].cpu_ratio, "<= 1.25"));
        }
        (void)printf("\n");
    }
    (void)fflush(stdout);
    SSL_CTX_free(context);
}

void bench_tls(const struct bench_settings *settings)
{
    struct peer peers[N_SERVERS] = {
        {.name = "bellwether", .path = "/master", .budget = ""},
        {.name = "nginx return 200", .path = "/master", .budget = "<= 1.10"}};
    const char *folder = scene_keep(certificates_usual(), drop_folder);
    const uint16_t port = port_reserve();

    pin_to(BENCH_LOAD_CORE);
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.slow_pace = true});
    pin_to(BENCH_SERVER_CORE);
    struct daemon *daemon =
        daemon_start(cluster, "--listen", text("127.0.0.1:%u,tls", port), "--http-cert",
                     text("%s/good.crt", folder), "--http-key", text("%s/good.key", folder), NULL);
    pin_to(BENCH_LOAD_CORE);
    daemon->certificates = folder;
    peers[0].port = port;
    peers[0].process = daemon->process;
    char *answer = whole_answer(daemon->port, "/master", &peers[0].answer_size);
    peers[1].port = port_reserve();
    peers[1].answer_size = peers[0].answer_size;
    start_nginx(&peers[1], answer,
                text(" ssl; ssl_certificate %s/good.crt; ssl_certificate_key %s/good.key;"
                     " ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;"
                     " ssl_session_tickets on",
                     folder, folder));
    WAIT_UNTIL(5000, raw_open_plain(peers[1].port));
    (void)printf(
        "\nGET /master over TLS 1.3, ECDSA P-256, AES-128-GCM, keep-alive; as the part http\n\n"
        "  %-17s %5s %6s %8s %7s %11s  | %5s %7s   %s\n",
        "", "conns", "bytes", "req/s", "busy %", "CPU us/req", "req/s", "CPU/req",
        "budget of CPU/req");
    measure_peers(peers, N_SERVERS, "https", 16, settings);
    measure_peers(peers, N_SERVERS, "https", 64, settings);
    (void)printf(
        "\nConnections for one request each, by turns; medians of %d runs of %d; right of the bar:\n"
        "bellwether's figure divided by this one's, and its budget\n\n"
        "  %-17s %-22s %8s %11s  | %7s %7s  %7s\n",
        settings->rounds, CONNECTIONS, "", "", "conns/s", "CPU us/conn", "conns/s", "", "CPU");
    measure_handshakes(peers, false, settings);
    measure_handshakes(peers, true, settings);
    process_stop(daemon->process);
    process_stop(peers[1].process);
    tls_commands(folder, settings);
    tls_everywhere(folder, settings);
    bench_kill(settings);
    bench_kill_tls(settings, folder);
}

void bench_tls_kill(const struct bench_settings *settings)
{
    bench_kill_tls(settings, scene_keep(certificates_usual(), drop_folder));
}

void bench_tls_commands(const struct bench_settings *settings)
{
    tls_commands(scene_keep(certificates_usual(), drop_folder), settings);
}
