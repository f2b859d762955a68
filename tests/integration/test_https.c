/* HTTPS: versions, certificates of both sides, what is no TLS, and files that change. */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../support/certificates.h"
#include "../support/commands.h"
#include "../support/daemon.h"
#include "../support/ports.h"
#include "../support/scene.h"
#include "../support/stream.h"

SCENE_SUITE(integration_https);

/* Nobody is there to be asked: what is tried here needs no master. */
#define NO_SENTINEL "--sentinel", "127.0.0.1:1"

#define START(...) daemon_start_tls(NULL, NO_SENTINEL, __VA_ARGS__ __VA_OPT__(, ) NULL)

static struct process_result s_client(const struct daemon *daemon, const char *a, const char *b,
                                      const char *c)
{
    return process_run(10000, NULL,
                       (const char *const[]){
                           "openssl", "s_client", "-connect", text("127.0.0.1:%u", daemon->port),
                           "-CAfile", text("%s/ca.crt", daemon->certificates),
                           "-verify_return_error", "-cipher", "DEFAULT@SECLEVEL=0", a, b, c, NULL});
}

static size_t log_count(const struct daemon *daemon, const char *words)
{
    return count_in(daemon_log(daemon), words);
}

/* ---- versions ---- */

SCENE(integration_https, versions_and_protocols)
{
    struct daemon *daemon = START();
    struct process_result said = s_client(daemon, "-tls1_3", "-alpn", "h2,http/1.1");

    cr_assert(strstr(said.out, "TLSv1.3, Cipher is"), "%s%s", said.out, said.err);
    cr_assert(strstr(said.out, "ALPN protocol: http/1.1"), "%s", said.out);
    cr_assert(strstr(said.out, "Verify return code: 0"), "%s", said.out);
    cr_assert(strstr(said.out, "Temp Key: X25519"), "%s", said.out);
    said = s_client(daemon, "-tls1_3", "-groups", "P-384:P-256");
    cr_assert(strstr(said.out, "prime256v1"), "asked for another share: %s%s", said.out, said.err);
    said = s_client(daemon, "-tls1_2", NULL, NULL);
    cr_assert(strstr(said.out, "TLSv1.2, Cipher is ECDHE-ECDSA-AES128-GCM"), "%s", said.out);
    cr_assert(strstr(said.out, "No ALPN negotiated"), "%s", said.out);
    static const char *const young[] = {"-tls1_3", "-tls1_2"}, *const old[] = {"-tls1_1", "-tls1"};
    for (size_t i = 0; i < 2; i++) {
        said = s_client(daemon, young[i], "-alpn", "h2");
        cr_assert(strstr(said.err, "alert no application protocol"), "%s: %s%s", young[i], said.out,
                  said.err);
        said = s_client(daemon, old[i], NULL, NULL);
        cr_assert(strstr(said.err, "alert protocol version"), "%s: %s%s", old[i], said.out,
                  said.err);
    }
    said = s_client(daemon, "-tls1_2", "-cipher", "AES128-SHA");
    cr_assert(strstr(said.err, "alert handshake failure"), "%s%s", said.out, said.err);
    cr_assert_geq(metric_of(daemon, "bellwether_http_rejected_total{reason=\"handshake\"}"), 5);
    EXPECT_LOGGED(daemon, log_count(daemon, "reason=handshake") == 1); /* once a minute */
}

SCENE(integration_https, sessions_are_taken_up_again)
{
    struct daemon *daemon = START("--workers", "2");
    const char *session = text("%s/session", scene_folder());
    static const char *const versions[] = {"-tls1_2", "-tls1_3"};

    for (size_t i = 0; i < 2; i++) {
        const char *const keep[] = {
            "sh", "-c",
            text("printf 'GET /livez HTTP/1.0\\r\\n\\r\\n' | openssl s_client -connect "
                 "127.0.0.1:%u %s -ign_eof -sess_out %s",
                 daemon->port, versions[i], session),
            NULL};
        struct process_result said = process_run(10000, NULL, keep);

        cr_assert(strstr(said.out, "New, TLS") && strstr(said.out, "200 OK"), "%s", said.out);
        for (int again = 0; again < 4; again++) { /* whichever worker accepts it */
            said = s_client(daemon, versions[i], "-sess_in", session);
            cr_assert(strstr(said.out, "Reused, TLS"), "%s: %s%s", versions[i], said.out, said.err);
        }
    }
}

/* ---- certificates of callers ---- */

struct shown {
    const char *name; /* NULL: none */
    bool good;
};

static void expect_caller(const struct daemon *daemon, uint16_t port, struct shown caller,
                          bool welcome)
{
    const char *folder = daemon->certificates;
    const struct http_answer *answer = http_send(
        &(struct http_request){.base = text("https://127.0.0.1:%u", port),
                               .path = "/livez",
                               .cert = caller.name ? text("%s/%s.crt", folder, caller.name) : NULL,
                               .key = caller.name ? text("%s/%s.key", folder, caller.name) : NULL});

    cr_assert_eq(answer->status, welcome ? 200 : 0, "%s at %u: %s\n%s",
                 caller.name ? caller.name : "nobody", port, http_text(answer), daemon_log(daemon));
    cr_assert(welcome || strstr(answer->problem, "SSL") || strstr(answer->problem, "receiving"),
              "%s", answer->problem);
}

SCENE(integration_https, certificates_of_callers)
{
    struct daemon *daemon = scene_alloc(sizeof(*daemon));
    char *folder = certificates_usual();
    const uint16_t required = port_reserve(), optional = port_reserve(), off = port_reserve(),
                   probe = port_reserve();
    static const struct shown callers[] = {{NULL, false},    {"caller", true}, {"any", true},
                                           {"over", false},  {"early", false}, {"foreign", false},
                                           {"server", false}};

    (void)scene_keep(folder, (void (*)(void *))certificates_remove);
    certificates_make(
        folder, &(struct certificate){.name = "caller", .issuer = "ca", .usage = "clientAuth"});
    certificates_make(folder, &(struct certificate){.name = "any", .issuer = "ca"});
    certificates_make(folder, &(struct certificate){
                                  .name = "over", .issuer = "ca", .begins_s = -99, .ends_s = -9});
    certificates_make(
        folder,
        &(struct certificate){.name = "early", .issuer = "ca", .begins_s = 3600, .ends_s = 7200});
    certificates_make(
        folder, &(struct certificate){.name = "server", .issuer = "ca", .usage = "serverAuth"});
    certificates_make(folder, &(struct certificate){.name = "foreign"});
    const char *const flags[] = {NO_SENTINEL,
                                 "--listen",
                                 text("127.0.0.1:%u,tls,client-ca=required", required),
                                 "--listen",
                                 text("127.0.0.1:%u,tls,client-ca=optional", optional),
                                 "--listen",
                                 text("127.0.0.1:%u,tls,client-ca=off", off),
                                 "--listen",
                                 text("127.0.0.1:%u,tls,scope=probe", probe),
                                 "--http-cert",
                                 text("%s/good.crt", folder),
                                 "--http-key",
                                 text("%s/good.key", folder),
                                 "--http-client-ca",
                                 text("%s/ca.crt", folder),
                                 NULL};
    daemon = daemon_launch(&(struct daemon_spec){.flags = flags, .no_listen = true});
    daemon->certificates = folder;
    for (size_t i = 0; i < 4; i++) {
        http_secure((const uint16_t[]){required, optional, off, probe}[i], folder);
    }
    WAIT_UNTIL(5000, http_send(&(struct http_request){.base = text("https://127.0.0.1:%u", off),
                                                      .path = "/livez"})
                             ->status == 200);
    for (size_t i = 0; i < sizeof(callers) / sizeof(*callers); i++) {
        expect_caller(daemon, required, callers[i], callers[i].good);
        expect_caller(daemon, optional, callers[i], !callers[i].name || callers[i].good);
        expect_caller(daemon, off, callers[i], true);
        expect_caller(daemon, probe, callers[i], true);
    }
    daemon->port = required;
    cr_assert(strstr(s_client(daemon, "-tls1_2", NULL, NULL).err, "alert"), "none is shown");
    const struct http_answer *metrics = http_send(
        &(struct http_request){.base = text("https://127.0.0.1:%u", probe), .path = "/metrics"});
    cr_assert(strstr(metrics->body,
                     "bellwether_certificate_expiry_timestamp_seconds{which=\"http-client-ca\"} "));
}

/* Whoever trusts the authority alone gets, or has to give, all that is between. */
SCENE(integration_https, chains_on_both_sides)
{
    char *folder = scene_keep(certificates_usual(), (void (*)(void *))certificates_remove);
    const uint16_t port = port_reserve();
    const struct certificate middle = {.name = "middle", .issuer = "ca", .authority = true},
                             leaf = {.name = "leaf",
                                     .issuer = "middle",
                                     .names = "IP:127.0.0.1",
                                     .usage = "serverAuth",
                                     .rsa = true},
                             caller = {.name = "caller",
                                       .issuer = "middle",
                                       .usage = "clientAuth",
                                       .rsa = true};

    certificates_make(folder, &middle);
    certificates_make(folder, &leaf);
    certificates_make(folder, &caller);
    certificates_join(folder, "leaf.crt", "middle.crt", "chain.crt");
    certificates_join(folder, "caller.crt", "middle.crt", "whole.crt");
    certificates_replace(folder, "caller.key", "whole.key");
    const char *const flags[] = {NO_SENTINEL,
                                 "--listen",
                                 text("127.0.0.1:%u,tls", port),
                                 "--http-cert",
                                 text("%s/chain.crt", folder),
                                 "--http-key",
                                 text("%s/leaf.key", folder),
                                 "--http-client-ca",
                                 text("%s/ca.crt", folder),
                                 NULL};
    struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags, .no_listen = true});
    daemon->certificates = folder;
    daemon->port = port;
    http_secure(port, folder);
    WAIT_UNTIL(5000, raw_open_plain(port));
    expect_caller(daemon, port, (struct shown){"whole", true}, true);
    expect_caller(daemon, port, (struct shown){"caller", false}, false);
    certificates_replace(folder, "leaf.crt", "chain.crt"); /* as it is often forgotten */
    daemon_signal(daemon, SIGHUP);
    WAIT_UNTIL(5000, strstr(s_client(daemon, "-tls1_3", NULL, NULL).err,
                            "unable to get local issuer certificate"));
}

/* It is shown on, for callers can tell; another one is taken when it comes. */
SCENE(integration_https, a_certificate_that_ends_while_it_is_in_use)
{
    char *folder = scene_keep(certificates_usual(), (void (*)(void *))certificates_remove);
    const uint16_t port = port_reserve();
    const char *const flags[] = {NO_SENTINEL,
                                 "--allow-host",
                                 "test",
                                 "--listen",
                                 text("127.0.0.1:%u,tls", port),
                                 "--http-cert",
                                 text("%s/good.crt", folder),
                                 "--http-key",
                                 text("%s/good.key", folder),
                                 NULL};

    certificates_make(
        folder,
        &(struct certificate){
            .name = "good", .issuer = "ca", .names = "IP:127.0.0.1", .begins_s = -60, .ends_s = 9});
    struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags, .no_listen = true});
    daemon->certificates = folder;
    daemon->port = port;
    daemon->base = text("https://127.0.0.1:%u", port);
    http_secure(port, folder);
    WAIT_UNTIL(3000, raw_open_plain(port));
    struct raw *kept = raw_open(port);
    cr_assert(kept);
    cr_assert_eq(raw_get(kept, "/livez", 2000)->status, 200);
    WAIT_UNTIL(13000, log_count(daemon, "a certificate has expired") == 1);
    cr_assert(strstr(s_client(daemon, "-tls1_3", NULL, NULL).err, "certificate has expired"));
    cr_assert_eq(raw_get(kept, "/livez", 2000)->status, 200, "who is connected stays so");
    daemon_signal(daemon, SIGHUP);
    WAIT_UNTIL(5000, log_count(daemon, "has expired at") == 1); /* it is told of, and kept */
    cr_assert(!raw_open(port), "the same is read again");
    certificates_make(
        folder, &(struct certificate){.name = "good", .issuer = "ca", .names = "IP:127.0.0.1"});
    daemon_signal(daemon, SIGHUP);
    WAIT_UNTIL(5000, raw_open(port));
    cr_assert_eq(raw_get(kept, "/livez", 2000)->status, 200);
    EXPECT_LOGGED(daemon, log_count(daemon, "certificate can be used again") == 1);
}

/* ---- what is no TLS ---- */

SCENE(integration_https, plain_bytes)
{
    struct daemon *daemon = START();
    static const char *const plain[] = {"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", "\x80\x2e\x01",
                                        "nonsense", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"};

    for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
        struct raw *raw = raw_open_plain(daemon->port);

        cr_assert(raw && raw_send(raw, plain[i], strlen(plain[i])));
        const struct http_answer *answer = raw_answer(raw, 3000);
        cr_assert_eq(answer->status, 400, "%zu: %s", i, http_text(answer));
        cr_assert(strstr(answer->body, "takes TLS only"), "%s", answer->body);
        cr_assert_eq(count_in(answer->body, "\n"), 1, "one line");
        cr_assert(raw_closes(raw, 3000));
        raw_record(answer, "GET", "/livez");
    }
    EXPECT_LOGGED(daemon, log_count(daemon, "takes TLS only") == 1);
    still_serves(daemon);
}

SCENE(integration_https, tls_on_a_plain_port_is_said_once)
{
    struct daemon *daemon = daemon_start(NULL, NO_SENTINEL, NULL);

    for (int i = 0; i < 5; i++) {
        const struct http_answer *answer = http_send(&(struct http_request){
            .base = text("https://127.0.0.1:%u", daemon->port), .path = "/livez"});

        cr_assert(http_secured(daemon->port) ? answer->status == 200 : answer->status == 0);
    }
    EXPECT_LOGGED(daemon, log_count(daemon, "these bytes begin a TLS connection") ==
                              (http_secured(daemon->port) ? 0 : 1));
}

SCENE(integration_https, a_head_that_does_not_end)
{
    struct daemon *daemon = START("--request-timeout", "1s");
    struct raw *raw = raw_open(daemon->port), *silent = raw_open(daemon->port);

    cr_assert(raw && silent);
    cr_assert(raw_send(raw, "GET /livez HTTP/1.1\r\nHost:", 26));
    const struct http_answer *answer = raw_answer(raw, 4000);
    cr_assert_eq(answer->status, 408, "%s", http_text(answer));
    cr_assert(raw_closes(raw, 2000) && raw_closes(silent, 3000));
    cr_assert_eq(metric_of(daemon, "bellwether_http_rejected_total{reason=\"request_timeout\"}"), 1,
                 "who asked for nothing is not counted");
    raw = raw_open(daemon->port);
    cr_assert_eq(raw_get(raw, "/livez", 2000)->status, 200);
    nap_ms(150); /* else they might be the last bytes of that request */
    cr_assert(raw_send(raw, "GET /li", 7));
    cr_assert_eq(raw_answer(raw, 4000)->status, 408, "the same between requests");
}

/* ---- answers ---- */

/* To the daemon, once the handshake is done: OpenSSL gives one record at a time. */
static SSL *open_session(const struct daemon *daemon, int *fd)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(daemon->port),
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
    SSL *ssl;

    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(*fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    ssl = http_shake_hands(*fd, daemon->certificates);
    cr_assert(ssl);
    return ssl;
}

/* Some bytes, which have to come. @return how many. */
static size_t read_some(SSL *ssl, int fd, char *bytes, size_t size)
{
    const int64_t end = now_ms() + patient(5000);
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int got;

    while ((got = SSL_read(ssl, bytes, (int)size)) <= 0) {
        cr_assert_eq(SSL_get_error(ssl, got), SSL_ERROR_WANT_READ, "it has ended");
        cr_assert_lt(now_ms(), end, "nothing comes");
        (void)poll(&wait, 1, 100);
    }
    return (size_t)got;
}

SCENE(integration_https, a_small_answer_is_one_record)
{
    static const struct {
        const char *request, *end;
    } kinds[] = {{"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", "ok\n"},
                 {"GET /master HTTP/1.1\r\nHost: x\r\n\r\n", "}\n"},
                 {"HEAD /master HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\n"},
                 {"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "ok\n"}};
    struct daemon *daemon = START();
    char bytes[8192];
    int fd;
    SSL *ssl = open_session(daemon, &fd);

    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        const int length = (int)strlen(kinds[i].request);

        cr_assert_eq(SSL_write(ssl, kinds[i].request, length), length);
        const size_t n = read_some(ssl, fd, bytes, sizeof(bytes) - 1);
        bytes[n] = '\0';
        cr_assert(strncmp(bytes, "HTTP/1.1 ", 9) == 0 && strstr(bytes, "\r\n\r\n"), "%s", bytes);
        cr_assert_str_eq(bytes + n - strlen(kinds[i].end), kinds[i].end, "%zu: %s", i, bytes);
    }
    SSL_free(ssl);
    (void)close(fd);
}

/* A caller that asks on and on and reads late gets every answer, the last one, too. */
SCENE(integration_https, pipelines_whose_caller_reads_late)
{
    enum { REQUESTS = 6000 };
    static const char ask[] = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
                      last[] = "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    struct daemon *daemon = START();
    const size_t each = sizeof(ask) - 1, size = REQUESTS * each + sizeof(last) - 1;
    char *requests = scene_alloc(size), *answers = scene_alloc(1 << 22);
    size_t sent = 0, got = 0;
    int fd, n;
    SSL *ssl = open_session(daemon, &fd);

    for (size_t i = 0; i < REQUESTS; i++) {
        memcpy(requests + i * each, ask, each);
    }
    memcpy(requests + REQUESTS * each, last, sizeof(last) - 1);
    while (sent < size) { /* reads only when nothing more goes */
        n = SSL_write(ssl, requests + sent, (int)(size - sent < 8192 ? size - sent : 8192));
        sent += n > 0 ? (size_t)n : 0;
        got += n > 0 ? 0 : read_some(ssl, fd, answers + got, (1 << 22) - 1 - got);
    }
    while (count_in(answers, "HTTP/1.1 200 OK") <= REQUESTS ||
           strcmp(answers + got - 3, "ok\n") != 0) {
        got += read_some(ssl, fd, answers + got, (1 << 22) - 1 - got);
    }
    cr_assert_eq(count_in(answers, "HTTP/1.1 200 OK"), REQUESTS + 1);
    SSL_free(ssl);
    (void)close(fd);
}

/* ---- the same as in plain ---- */

SCENE(integration_https, all_kinds_of_requests)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 2, .sentinels = 1});
    const char *const flags[] = {"--redis-api", "loopback", NULL};
    struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags, .tls = true});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 6000);
    struct stream *stream = stream_open(daemon, "/events", NULL);
    size_t seen = 0;
    (void)stream_wait(stream, &seen, "master", cluster->nodes[0].address, 3000);
    struct http_answer *answer =
        command_post(daemon, "/redis/pipeline", "[['SET','k','v'],['GET','k'],['INCR','n']]");
    EXPECT_BODY(answer, 200, "[{'result':'OK'},{'result':'v'},{'result':1}]");
    char *large = text("[\"SET\",\"large\",\"%0*d\"]", 300000, 7);
    EXPECT_RESULT(command_post_bytes(daemon, "/redis", large, strlen(large)), "'OK'");
    answer = command_run(daemon, "GET", "large", NULL);
    cr_assert_eq(strlen(command_result(answer)), 300002);
    struct raw *waiting = raw_open(daemon->port);
    const char *wait = text("GET /master?wait=20s&unless=%s HTTP/1.1\r\nHost: x\r\n\r\n",
                            cluster->nodes[0].address);
    cr_assert(waiting && raw_send(waiting, wait, strlen(wait)));
    cluster_failover(cluster);
    const struct server *now = cluster_wait_switch(cluster, &cluster->nodes[0], 20000);
    answer = raw_answer(waiting, 5000);
    cr_assert_str_eq(http_string(answer, "address"), now->address, "%s", http_text(answer));
    (void)stream_wait(stream, &seen, "master", now->address, 5000);
    stream_close(stream);
    daemon_signal(daemon, SIGTERM);
    cr_assert_eq(process_wait(daemon->process, 3000), 0);
}

SCENE(integration_https, other_callers)
{
    struct daemon *daemon = START();
    const char *url = text("%s/livez", daemon->base), *ca = text("%s/ca.crt", daemon->certificates);
    const char *const callers[][5] = {
        {"node", "-e",
         text("require('https').get('%s', {ca: require('fs').readFileSync('%s')}, "
              "r => r.pipe(process.stdout))",
              url, ca)},
        {"python3", "-c",
         text("import ssl, urllib.request as u; print(u.urlopen('%s', "
              "context=ssl.create_default_context(cafile='%s')).read().decode())",
              url, ca)},
        {"curl", "-sS", "--cacert", ca, url}};

    for (size_t i = 0; i < sizeof(callers) / sizeof(*callers); i++) {
        const char *argv[6] = {NULL};

        if (!process_can_run(callers[i][0])) {
            continue;
        }
        for (size_t k = 0; k < 5; k++) {
            argv[k] = callers[i][k];
        }
        const struct process_result said = process_run(10000, NULL, argv);
        cr_assert(strncmp(said.out, "ok", 2) == 0, "%s: %s%s", argv[0], said.out, said.err);
    }
}

/* ---- files that change ---- */

/* The serial number that the daemon's certificate has now. */
static const char *serial(const struct daemon *daemon)
{
    const char *const words[] = {
        "sh", "-c",
        text("openssl s_client -connect 127.0.0.1:%u </dev/null 2>/dev/null | openssl x509 -noout "
             "-serial",
             daemon->port),
        NULL};
    const struct process_result said = process_run(10000, NULL, words);

    cr_assert(strncmp(said.out, "serial=", 7) == 0, "%s%s", said.out, said.err);
    return said.out;
}

SCENE(integration_https, rotation_cuts_nobody)
{
    struct daemon *daemon = START("--workers", "2");
    const char *folder = daemon->certificates;
    struct raw *kept = raw_open(daemon->port);
    const char *first = serial(daemon);

    certificates_make(folder, &(struct certificate){.name = "next",
                                                    .issuer = "ca",
                                                    .names = "IP:127.0.0.1",
                                                    .ends_s = 30 * 86400,
                                                    .rsa = true});
    certificates_replace(folder, "good.crt", "old.crt");
    certificates_replace(folder, "good.key", "old.key");
    for (int turn = 0; turn < 20; turn++) {
        const char *name = turn % 2 == 0 ? "next" : "old";

        certificates_replace(folder, text("%s.crt", name), "good.crt");
        certificates_replace(folder, text("%s.key", name), "good.key");
        daemon_signal(daemon, SIGHUP);
        for (int i = 0; i < 8; i++) {
            struct http_answer *answer = raw_get(kept, "/livez", 3000);

            cr_assert_eq(answer->status, 200, "%d: %s", turn, http_text(answer));
            answer = daemon_get(daemon, "/livez");
            cr_assert_eq(answer->status, 200, "%d: %s", turn, http_text(answer));
        }
        WAIT_UNTIL(5000, turn > 0 || strcmp(serial(daemon), first) != 0); /* the new one is shown */
    }
    WAIT_UNTIL(3000, strcmp(serial(daemon), first) == 0);
    cr_assert_eq(metric_of(daemon, "bellwether_reload_success"), 1);
}

SCENE(integration_https, half_of_a_new_pair_is_not_taken)
{
    struct daemon *daemon = START();
    const char *folder = daemon->certificates, *first = serial(daemon);
    const char *expiry = "bellwether_certificate_expiry_timestamp_seconds{which=\"http\"}";
    const double ends = metric_of(daemon, expiry);

    cr_assert(ends > (double)time(NULL) + 29 * 86400 && ends < (double)time(NULL) + 31 * 86400,
              "%f", ends);
    cr_assert_eq(log_count(daemon, "a certificate expires soon"), 0, "%s", daemon_log(daemon));
    certificates_make(folder, &(struct certificate){.name = "next",
                                                    .issuer = "ca",
                                                    .names = "IP:127.0.0.1",
                                                    .begins_s = -60,
                                                    .ends_s = 10 * 86400});
    certificates_replace(folder, "next.crt", "good.crt");
    WAIT_UNTIL(15000, metric_of(daemon, "bellwether_reload_success") == 0); /* without a signal */
    cr_assert_str_eq(serial(daemon), first);
    cr_assert_eq(metric_of(daemon, expiry), ends);
    EXPECT_LOGGED(daemon, log_count(daemon, "is not the key of the certificate") == 1);
    certificates_replace(folder, "next.key", "good.key");
    WAIT_UNTIL(15000, metric_of(daemon, "bellwether_reload_success") == 1);
    cr_assert_str_neq(serial(daemon), first);
    cr_assert_lt(metric_of(daemon, expiry), ends - 86400);
    EXPECT_LOGGED(daemon, log_count(daemon, "certificate can be used again") == 1);
    EXPECT_LOGGED(daemon, log_count(daemon, "a certificate expires soon") == 1);
}

/* ---- the start ---- */

SCENE(integration_https, what_can_not_be_used_stops_the_start)
{
    char *folder = scene_keep(certificates_usual(), (void (*)(void *))certificates_remove);
    const struct process_result said =
        daemon_run(5000, NO_SENTINEL, "--listen", "127.0.0.1:0,tls", "--http-cert",
                   text("%s/good.crt", folder), "--http-key", text("%s/ca.key", folder), NULL);

    cr_assert_eq(said.exit_code, 2, "%s", said.err);
    cr_assert_eq(count_in(said.err, "\n"), 1, "%s", said.err);
    cr_assert(strstr(said.err, "http-key") && strstr(said.err, "is not the key of"), "%s",
              said.err);
}

/* Of several authorities of callers one may be over: it is told of, and the others are good. */
SCENE(integration_https, an_authority_of_callers_that_is_over)
{
    char *folder = scene_keep(certificates_usual(), (void (*)(void *))certificates_remove);

    certificates_make(
        folder,
        &(struct certificate){.name = "over", .authority = true, .begins_s = -99, .ends_s = -9});
    certificates_join(folder, "over.crt", "ca.crt", "both.crt");
    const char *const flags[] = {NO_SENTINEL,
                                 "--listen",
                                 text("127.0.0.1:%u,tls", port_reserve()),
                                 "--http-cert",
                                 text("%s/good.crt", folder),
                                 "--http-key",
                                 text("%s/good.key", folder),
                                 "--http-client-ca",
                                 text("%s/both.crt", folder),
                                 NULL};
    struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags, .no_listen = true});
    EXPECT_LOGGED(daemon, log_count(daemon, "a certificate has expired") == 1);
    EXPECT_LOGGED(daemon, strstr(daemon_log(daemon), "option=http-client-ca"));
    daemon_signal(daemon, SIGHUP);
    HOLDS_FOR(300, log_count(daemon, "a certificate has expired") == 1);
}
