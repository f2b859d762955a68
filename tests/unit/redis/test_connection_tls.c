/*
 * A connection over TLS: the handshake is in its deadline, what goes wrong in it ends it once, and
 * commands are the same over it.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../support/certificates.h"
#include "connection_probe.h"
#include "redis/conn_state.h"
#include "redis/pending.h"
#include "redis/stream.h"
#include "tls_peer.h"

struct stage {
    char *folder;
    struct redis_tls *tls;
    struct tls_peer_wish wish;
    struct probe probe;
};

static void stage_init(struct stage *stage)
{
    struct redis_tls_error error;

    memset(stage, 0, sizeof(*stage));
    stage->folder = certificates_usual();
    const struct redis_tls_settings settings = {.ca = certificates_path(stage->folder, "ca.crt")};
    stage->tls = redis_tls_new(&settings, &error);
    cr_assert_not_null(stage->tls, "%s", error.words);
    stage->wish =
        (struct tls_peer_wish){.folder = stage->folder, .cert = "good", .reply = HELLO_REPLY};
}

static void stage_release(struct stage *stage)
{
    redis_tls_free(stage->tls);
    certificates_remove(stage->folder);
}

static void probe_begin(struct stage *stage)
{
    stage->probe = (struct probe){.stop_in = IN_READY};
    probe_init(&stage->probe);
    redis_conn_secure(stage->probe.conn, stage->tls, NULL);
}

/* One attempt, to its end or until it is ready. */
static void probe_again(struct stage *stage, const struct address *address, int64_t timeout_ms)
{
    redis_conn_close(stage->probe.conn);
    stage->probe.n_ready = stage->probe.n_closed = 0;
    probe_open(&stage->probe, address, timeout_ms);
    loop_run(stage->probe.loop);
    cr_expect_not(stage->probe.guard_fired);
}

static void expect_end_with(const char *says, enum redis_fail why, const char *words)
{
    struct stage stage;

    stage_init(&stage);
    stage.wish.says = says;
    struct tls_peer *peer = tls_peer_start(&stage.wish);
    probe_begin(&stage);
    probe_again(&stage, tls_peer_address(peer), 10000);
    probe_expect_end(&stage.probe, why, words);
    cr_expect_lt(stage.probe.closed_after_ms, 8000);
    probe_release(&stage.probe);
    tls_peer_stop(peer);
    stage_release(&stage);
}

Test(redis_conn_tls, ready)
{
    struct stage stage;

    stage_init(&stage);
    struct tls_peer *peer = tls_peer_start(&stage.wish);
    probe_begin(&stage);
    for (int i = 0; i < 3; i++) {
        probe_again(&stage, tls_peer_address(peer), 2000);
        cr_expect_eq(stage.probe.n_ready, 1, "%s", stage.probe.words);
    }
    cr_expect_eq(tls_peer_resumed(peer), 2);
    probe_release(&stage.probe);
    tls_peer_stop(peer);
    stage_release(&stage);
}

Test(redis_conn_tls, the_host_that_was_meant_is_checked)
{
    struct stage stage;

    stage_init(&stage);
    struct tls_peer *peer = tls_peer_start(&stage.wish);
    probe_begin(&stage);
    redis_conn_secure(stage.probe.conn, stage.tls, "other.example");
    probe_again(&stage, tls_peer_address(peer), 2000);
    probe_expect_end(&stage.probe, REDIS_FAIL_TLS, "not for other.example");
    probe_release(&stage.probe);
    tls_peer_stop(peer);
    stage_release(&stage);
}

Test(redis_conn_tls, a_peer_that_closes_in_the_handshake)
{
    expect_end_with("", REDIS_FAIL_CLOSED, "in the TLS handshake");
}

Test(redis_conn_tls, a_peer_that_sends_garbage)
{
    expect_end_with("\x01\x02\x03\x04\x05\x06", REDIS_FAIL_TLS, "neither TLS nor Redis");
}

Test(redis_conn_tls, a_peer_that_speaks_plain_at_once)
{
    expect_end_with("-DENIED protected mode\r\n", REDIS_FAIL_TLS, "speaks plain");
}

Test(redis_conn_tls, a_peer_that_hangs_costs_the_deadline_and_no_more)
{
    struct stage stage;

    stage_init(&stage);
    stage.wish.hangs = true;
    struct tls_peer *peer = tls_peer_start(&stage.wish);
    probe_begin(&stage);
    for (int i = 0; i < 3; i++) { /* the second looks whether it speaks plain */
        probe_again(&stage, tls_peer_address(peer), 2000);
        probe_expect_end(&stage.probe, REDIS_FAIL_TIMEOUT,
                         i == 1 ? "neither TLS nor plain text in time"
                                : "the TLS handshake was not over in time");
        cr_expect_geq(stage.probe.closed_after_ms, 1990);
        cr_expect_lt(stage.probe.closed_after_ms, 8000);
    }
    probe_release(&stage.probe);
    tls_peer_stop(peer);
    stage_release(&stage);
}

/* Redis waits for the end of a line that never comes: it is found out with the next attempt. */
Test(redis_conn_tls, a_peer_that_speaks_plain_and_waits)
{
    static const struct peer_step steps[] = {
        {PEER_ACCEPT, NULL},           {PEER_WAIT, NULL}, {PEER_ACCEPT, NULL},
        {PEER_SEND, "+PONG\r\n"},      {PEER_WAIT, NULL}, {PEER_ACCEPT, NULL},
        {PEER_SEND, "-NOAUTH no\r\n"}, {PEER_WAIT, NULL}, {PEER_END, NULL}};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct stage stage;

    stage_init(&stage);
    probe_begin(&stage);
    probe_again(&stage, fake_peer_address(peer), 2000);
    probe_expect_end(&stage.probe, REDIS_FAIL_TIMEOUT, "in time");
    for (int i = 0; i < 2; i++) {
        probe_again(&stage, fake_peer_address(peer), 2000);
        probe_expect_end(&stage.probe, REDIS_FAIL_TLS, "speaks plain");
    }
    probe_release(&stage.probe);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
    stage_release(&stage);
}

/* It hung in one handshake, and is there again. */
Test(redis_conn_tls, a_peer_that_was_taken_for_a_plain_one)
{
    struct stage stage;

    stage_init(&stage);
    struct tls_peer *peer = tls_peer_start(&stage.wish);
    probe_begin(&stage);
    stage.probe.conn->suspects_plain = true;
    probe_again(&stage, tls_peer_address(peer), 2000);
    cr_expect_eq(stage.probe.n_ready, 1, "%s", stage.probe.words);
    cr_expect_not(stage.probe.conn->suspects_plain);
    probe_release(&stage.probe);
    tls_peer_stop(peer);
    stage_release(&stage);
}

/* ---- cut at every place ---- */

/* Goes between two and closes after so many bytes from one of them. */
struct cutter {
    int fd;
    struct address address, to;
    pthread_t thread;
    atomic_size_t next_limit; /* of the connections to come */
    size_t limit, passed;     /* its thread's: of this one */
    bool from_client;         /* whose bytes are counted */
};

static int connect_to(const struct address *address)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(address->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    return fd;
}

/* @return whether it may go on. */
static bool pass(struct cutter *cutter, int from, int to, bool counts)
{
    char bytes[4096];
    size_t most = sizeof(bytes);

    if (counts && cutter->limit - cutter->passed < most) {
        most = cutter->limit - cutter->passed;
    }
    ssize_t n = most > 0 ? recv(from, bytes, most, 0) : 0;
    if (n <= 0 || send(to, bytes, (size_t)n, MSG_NOSIGNAL) != n) {
        return false;
    }
    cutter->passed += counts ? (size_t)n : 0;
    return cutter->passed < cutter->limit;
}

static void *cut(void *data)
{
    struct cutter *cutter = data;

    for (int client; (client = accept(cutter->fd, NULL, NULL)) >= 0; close(client)) {
        int server = connect_to(&cutter->to), one = 1;
        struct pollfd both[2] = {{.fd = client, .events = POLLIN},
                                 {.fd = server, .events = POLLIN}};
        bool on;

        (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        (void)setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        cutter->limit = atomic_load(&cutter->next_limit);
        cutter->passed = 0;
        on = cutter->limit > 0;
        while (on && poll(both, 2, -1) > 0) {
            on = (both[0].revents == 0 || pass(cutter, client, server, cutter->from_client)) &&
                 (both[1].revents == 0 || pass(cutter, server, client, !cutter->from_client));
        }
        close(server);
    }
    return NULL;
}

static void cutter_start(struct cutter *cutter, const struct address *to)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(in);

    cutter->to = *to;
    cutter->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(cutter->fd, (struct sockaddr *)&in, sizeof(in)), 0);
    cr_assert_eq(listen(cutter->fd, 16), 0);
    cr_assert_eq(getsockname(cutter->fd, (struct sockaddr *)&in, &size), 0);
    strcpy(cutter->address.host, "127.0.0.1");
    cutter->address.port = ntohs(in.sin_port);
    cr_assert_eq(pthread_create(&cutter->thread, NULL, cut, cutter), 0);
}

static void cutter_stop(struct cutter *cutter)
{
    shutdown(cutter->fd, SHUT_RDWR);
    pthread_join(cutter->thread, NULL);
    close(cutter->fd);
}

static void cut_everywhere(bool from_client)
{
    struct cutter cutter = {.from_client = from_client};
    struct stage stage;
    size_t limit = 0;

    stage_init(&stage);
    struct tls_peer *peer = tls_peer_start(&stage.wish);
    cutter_start(&cutter, tls_peer_address(peer));
    for (bool ready = false; !ready; limit++) {
        atomic_store(&cutter.next_limit, limit);
        probe_begin(&stage);
        stage.probe.hurries = true;
        probe_again(&stage, &cutter.address, 3000);
        ready = stage.probe.n_ready == 1;
        cr_assert(ready || stage.probe.n_closed == 1); /* cut behind the reply: both */
        cr_assert(ready || stage.probe.why == REDIS_FAIL_CLOSED, "%zu bytes: %s: %s", limit,
                  redis_fail_text(stage.probe.why), stage.probe.words);
        probe_release(&stage.probe);
    }
    cr_expect_gt(limit, 300);
    cutter_stop(&cutter);
    tls_peer_stop(peer);
    stage_release(&stage);
}

Test(redis_conn_tls, cut_after_any_byte_of_the_server)
{
    cut_everywhere(false);
}

Test(redis_conn_tls, cut_after_any_byte_of_ours)
{
    cut_everywhere(true);
}

/* ---- what is in a record can't be taken back ---- */

static void expect_done(struct redis_expect *expect, enum redis_fail why, bool written)
{
    (void)expect;
    (void)why;
    (void)written;
}

Test(redis_conn_tls, what_is_in_a_record_is_not_withdrawn)
{
    static char bytes[100000];
    struct stage stage;

    stage_init(&stage);
    stage.wish.stalls = true;
    struct tls_peer *peer = tls_peer_start(&stage.wish);
    probe_begin(&stage);
    probe_again(&stage, tls_peer_address(peer), 2000);
    struct redis_conn *conn = stage.probe.conn;
    struct redis_expect *expects = calloc(400, sizeof(*expects));
    size_t n = 0;
    /* until the socket takes no more */
    while (n < 400 && redis_conn_clogged(conn) == 0) {
        expects[n].done = expect_done;
        result_init(&expects[n].result, RESULT_JSON, 0);
        redis_conn_send(conn, bytes, sizeof(bytes), &expects[n++]);
        conn_stream_flush(conn);
    }
    cr_assert_gt(redis_conn_clogged(conn), 0);
    cr_expect_gt(conn->begun, conn->taken, "a record is on its way");
    cr_expect_leq(conn->begun - conn->taken, 16384);
    redis_conn_withdraw(conn);
    cr_expect_geq(conn->appended, conn->begun);
    cr_expect(conn->n_commands == 0 || redis_conn_has_begun(conn, &expects[conn->n_commands - 1]));
    redis_conn_close(conn);
    free(expects);
    probe_release(&stage.probe);
    tls_peer_stop(peer);
    stage_release(&stage);
}

/* ---- whom we trust ---- */

static void expect_trust(struct stage *stage, bool trusted)
{
    struct tls_peer *peer = tls_peer_start(&stage->wish);

    probe_begin(stage);
    probe_again(stage, tls_peer_address(peer), 5000);
    cr_expect_eq(stage->probe.n_ready, trusted ? 1 : 0, "%s", stage->probe.words);
    if (!trusted) {
        probe_expect_end(&stage->probe, REDIS_FAIL_TLS, "not trusted here");
    }
    probe_release(&stage->probe);
    tls_peer_stop(peer);
}

/* An authority is taken out of a folder: that is noticed by itself, and at SIGHUP. */
static void take_out(struct stage *stage, const struct redis_tls_settings *settings,
                     const char *file)
{
    struct redis_tls_error error;

    for (int forced = 0; forced < 2; forced++) {
        redis_tls_free(stage->tls);
        stage->tls = redis_tls_new(settings, &error);
        cr_assert_not_null(stage->tls, "%s", error.words);
        expect_trust(stage, true);
        cr_expect_eq(redis_tls_refresh(stage->tls, true, &error), 0, "the same is no change");
        cr_assert_eq(rename(certificates_path(stage->folder, file),
                            certificates_path(stage->folder, "aside")),
                     0);
        cr_expect_eq(redis_tls_refresh(stage->tls, forced == 1, &error), 1, "%s", error.words);
        expect_trust(stage, false);
        cr_assert_eq(rename(certificates_path(stage->folder, "aside"),
                            certificates_path(stage->folder, file)),
                     0);
        cr_expect_eq(redis_tls_refresh(stage->tls, false, &error), 1);
        expect_trust(stage, true);
    }
}

Test(redis_conn_tls, an_authority_that_is_taken_out_of_a_folder_is_trusted_no_longer)
{
    static const struct certificate other = {.name = "other", .authority = true};
    struct redis_tls_settings settings = {0};
    struct stage stage;
    char folder[160];

    stage_init(&stage);
    snprintf(folder, sizeof(folder), "%s", certificates_path(stage.folder, "trusted"));
    cr_assert_eq(mkdir(folder, 0755), 0);
    certificates_make(stage.folder, &other);
    certificates_replace(stage.folder, "other.crt", "trusted/other.pem");
    certificates_replace(stage.folder, "ca.crt", "trusted/ca.pem");
    settings.ca = folder;
    take_out(&stage, &settings, "trusted/ca.pem");
    /* as the system has them: OpenSSL finds them by hashes, and keeps what it found */
    FILE *file = fopen(certificates_path(stage.folder, "ca.crt"), "re");
    cr_assert_not_null(file);
    X509 *cert = PEM_read_X509(file, NULL, NULL, NULL);
    char name[64];
    cr_assert_not_null(cert);
    snprintf(name, sizeof(name), "trusted/%08lx.0", X509_subject_name_hash(cert));
    X509_free(cert);
    (void)fclose(file);
    cr_assert_eq(symlink("ca.pem", certificates_path(stage.folder, name)), 0);
    setenv("SSL_CERT_DIR", folder, 1);
    setenv("SSL_CERT_FILE", "/nowhere", 1);
    settings.ca = NULL;
    take_out(&stage, &settings, name);
    stage_release(&stage);
}
