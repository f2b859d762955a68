/* --probe: one request whose answer becomes the exit code, whatever is at the other end. */
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../support/certificates.h"
#include "../support/daemon.h"
#include "../support/fake.h"
#include "../support/ports.h"
#include "../support/scene.h"

SCENE_SUITE(integration_probe);

#define NO_SENTINEL "--sentinel", "127.0.0.1:1"

static struct process_result probe(const char *url)
{
    return daemon_run(10000, "--probe", url, "--probe-timeout", "5s", NULL);
}

static void expect_good(const char *url)
{
    const struct process_result result = probe(url);

    cr_assert_eq(result.exit_code, 0, "%s: %d: %s", url, result.exit_code, result.err);
    cr_assert_str_eq(result.err, "");
    cr_assert_str_eq(result.out, "");
}

/* Exit 1, and one line with the URL and these words. */
static void expect_said(const struct process_result *result, const char *url, const char *words)
{
    cr_assert_eq(result->exit_code, 1, "%s: %d: %s", url, result->exit_code, result->err);
    cr_assert_eq(count_in(result->err, "\n"), 1, "%s", result->err);
    cr_assert(strstr(result->err, url) && strstr(result->err, words), "%s lacks: %s", result->err,
              words);
    cr_assert_str_eq(result->out, "");
}

static void expect_bad(const char *url, const char *words)
{
    const struct process_result result = probe(url);

    expect_said(&result, url, words);
}

/* ---- a peer that hears a request, says its piece and closes ---- */

struct peer {
    int listening;
    const char *says;
};

static void *serve_one(void *data)
{
    const struct peer *peer = data;
    char request[4096] = "";
    size_t n = 0;
    int fd = accept(peer->listening, NULL, NULL);

    while (fd >= 0 && n < sizeof(request) - 1 && !strstr(request, "\r\n\r\n")) {
        const ssize_t got = recv(fd, request + n, sizeof(request) - 1 - n, 0);

        if (got <= 0) {
            break;
        }
        n += (size_t)got;
        request[n] = '\0';
    }
    (void)send(fd, peer->says, strlen(peer->says), MSG_NOSIGNAL);
    (void)close(fd);
    (void)close(peer->listening);
    return NULL;
}

/* @return its URL; it ends with the one connection that it takes. */
static const char *peer_start(const char *says)
{
    struct peer *peer = scene_alloc(sizeof(*peer));
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(name);
    pthread_t thread;

    *peer =
        (struct peer){.listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .says = says};
    cr_assert(bind(peer->listening, (struct sockaddr *)&name, size) == 0 &&
              listen(peer->listening, 1) == 0 &&
              getsockname(peer->listening, (struct sockaddr *)&name, &size) == 0);
    cr_assert_eq(pthread_create(&thread, NULL, serve_one, peer), 0);
    cr_assert_eq(pthread_detach(thread), 0);
    return text("http://127.0.0.1:%u/", ntohs(name.sin_port));
}

/* ---- tests ---- */

SCENE(integration_probe, ready_not_ready_and_dead)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    struct daemon *daemon = daemon_start(cluster, NULL);
    const char *base = daemon->base;

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    WAIT_UNTIL(4000, status_of(daemon, "/readyz/master") == 200);
    expect_good(base);
    expect_good(text("%s/readyz/master", base));
    server_kill(&cluster->nodes[0]);
    EXPECT_NONE(daemon, NULL, NULL, 1500);
    expect_good(text("%s/readyz?verbose", base));
    expect_bad(text("%s/readyz/master", base), ": 503: not ready: master:");
    expect_bad(text("%s/master", base), ": 503: no master: ");
    expect_bad(text("%s/nosuch", base), ": 404: no such route");
    process_stop(daemon->process);
    expect_bad(text("%s/livez", base), "cannot be connected to: Connection refused");
}

SCENE(integration_probe, unix_socket)
{
    struct daemon *daemon = daemon_launch(&(struct daemon_spec){
        .flags = (const char *const[]){NO_SENTINEL, NULL}, .unix_socket = true});

    expect_good(text("unix:%s:/livez", daemon->unix_socket));
    expect_bad(text("unix:%s", daemon->unix_socket), ": 503: not ready: resolved:");
    process_stop(daemon->process);
    expect_bad(text("unix:%s", daemon->unix_socket), "No such file or directory");
}

SCENE(integration_probe, what_is_frozen_is_given_up_in_time)
{
    struct daemon *daemon = daemon_start(NULL, NO_SENTINEL, NULL);
    const char *url = text("%s/livez", daemon->base);

    expect_good(url);
    process_freeze(daemon->process);
    struct process_result result = daemon_run(10000, "--probe", url, "--probe-timeout=1s", NULL);
    expect_said(&result, url, "not within 1s: connected, but ");
    cr_assert_geq(result.took_ms, 990);
    result = daemon_run(10000, "--probe", url, NULL);
    expect_said(&result, url, "not within 2s: connected, but ");
    process_signal(daemon->process, SIGCONT);
    WAIT_UNTIL(5000, probe(url).exit_code == 0);
}

SCENE(integration_probe, over_tls)
{
    struct daemon *daemon = daemon_launch(
        &(struct daemon_spec){.flags = (const char *const[]){NO_SENTINEL, NULL}, .tls = true});
    const uint16_t plain = port_reserve(), strict = port_reserve();

    expect_good(text("%s/livez", daemon->base));
    expect_good(text("https://localhost:%u/livez", daemon->port));
    expect_bad(daemon->base, ": 503: not ready: resolved:");
    expect_bad(text("http://127.0.0.1:%u/livez", daemon->port), ": 400: ");
    const char *folder = daemon->certificates;
    const char *const flags[] = {NO_SENTINEL,
                                 "--listen",
                                 text("127.0.0.1:%u", plain),
                                 "--listen",
                                 text("127.0.0.1:%u,tls", strict),
                                 "--http-cert",
                                 text("%s/good.crt", folder),
                                 "--http-key",
                                 text("%s/good.key", folder),
                                 "--http-client-ca",
                                 text("%s/ca.crt", folder),
                                 NULL};
    (void)daemon_launch(&(struct daemon_spec){.flags = flags, .no_listen = true});
    WAIT_UNTIL(5000, probe(text("http://127.0.0.1:%u/livez", plain)).exit_code == 0);
    expect_bad(text("https://127.0.0.1:%u/livez", plain), "no TLS handshake: ");
    expect_bad(text("https://127.0.0.1:%u/livez", strict), "certificate required");
    const struct fake *silent = fake_start(FAKE_SILENT, NULL);
    const char *url = text("https://127.0.0.1:%u/livez", fake_port(silent));
    const struct process_result result =
        daemon_run(10000, "--probe", url, "--probe-timeout", "1s", NULL);
    expect_said(&result, url, "not within 1s: connected, but its TLS handshake is not done");
}

SCENE(integration_probe, peers_that_are_something_else)
{
    static const struct {
        const char *says, *words;
    } peers[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it",
         "its answer is not whole: the connection was closed"},
        {"HTTP/1.1 200 OK\r\nContent-Le",
         "its answer's head is not whole: the connection was closed"},
        {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/livez\r\nContent-Length: 0\r\n\r\n",
         ": 302, and redirects are not followed"},
        {"HTTP/1.1 500 Oh\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<h1>", ": 500\n"},
        {"HTTP/1.1 500 Oh\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\na\033[1mb\ncd",
         ": 500: a?[1mb\n"},
        {"HTTP/1.1 500 Oh\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\na\x9b"
         "1m\xff\x7f",
         ": 500: a?1m??\n"},
        {"+PONG\r\n", "does not speak HTTP"},
    };

    for (size_t i = 0; i < sizeof(peers) / sizeof(*peers); i++) {
        expect_bad(peer_start(peers[i].says), peers[i].words);
    }
    expect_bad(peer_start("\x01\x02\xff\xfe$-9\r\n"), "does not speak HTTP");
    expect_bad(peer_start(""), "the connection was closed without an answer");
    expect_bad(text("http://%s/", fake_address(fake_start(FAKE_CLOSER, NULL))),
               "the connection was ");
    char *head = scene_alloc(20001);
    memset(head, 'a', 20000);
    memcpy(head, "HTTP/1.1 200 OK\r\nX: ", 20);
    expect_bad(peer_start(head), "its answer's head does not end");
}

SCENE(integration_probe, what_is_whole_is_good_however_it_ends)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n",
        "HTTP/1.0 200 OK\r\n\r\nok\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    };

    for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
        expect_good(peer_start(answers[i]));
    }
}

SCENE(integration_probe, bad_urls_and_names)
{
    static const char *const bad[] = {"", "readyz", "http://127.0.0.1/", "tcp://127.0.0.1:1/",
                                      "unix:"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        const struct process_result result = probe(bad[i]);

        cr_assert_eq(result.exit_code, 2, "%s: %d", bad[i], result.exit_code);
        cr_assert_eq(count_in(result.err, "\n"), 1, "%s", result.err);
        cr_assert(strstr(result.err, "takes http://HOST:PORT/PATH"), "%s", result.err);
    }
    cr_assert_eq(daemon_run(10000, "--probe", NULL).exit_code, 2, "a value is missing");
    cr_assert_eq(daemon_run(10000, "--probe-timeout", "0s", "--probe", "unix:x", NULL).exit_code,
                 2);
    expect_bad("http://no-such-name.invalid:1/", "name");
}

/* A probe has the environment of the daemon's container, which is none of its business. */
SCENE(integration_probe, no_configuration_is_read)
{
    struct daemon *daemon = daemon_start(NULL, NO_SENTINEL, NULL);
    static const char *const env[] = {"BELLWETHER_CONFIG=/nonexistent",
                                      "BELLWETHER_POLL_INTERVAL=often",
                                      "BELLWETHER_PROBE_TIMEOUT=never", NULL};
    struct process_result result =
        daemon_run_env(10000, env, "--probe", text("%s/livez", daemon->base), NULL);

    cr_assert_eq(result.exit_code, 0, "%s", result.err);
    /* nor does a variable of that name make a probe of a daemon */
    result =
        daemon_run_env(10000, (const char *const[]){"BELLWETHER_PROBE=http://127.0.0.1:1/", NULL},
                       "--check-config", "--sentinel", "127.0.0.1:1", NULL);
    cr_assert_eq(result.exit_code, 0, "%s", result.err);
    cr_assert_str_eq(result.out, "ok\n");
}
