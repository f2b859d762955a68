/* One handshake with a real peer: which certificates are believed, and what is said of the rest. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../support/certificates.h"
#include "bellwether/redis/tls_link.h"
#include "tls_peer.h"

struct attempt {
    enum redis_fail why;
    char words[REDIS_TLS_WORDS_SIZE];
    char reply[64];
};

static int dial(const struct address *address)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(address->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void wait_for(int fd, short events)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};

    cr_assert_eq(poll(&poll_fd, 1, 5000), 1);
}

static bool shake(struct tls_link *link, int fd)
{
    for (;;) {
        switch (tls_link_shake(link)) {
        case TLS_STEP_DONE: return true;
        case TLS_STEP_READ: wait_for(fd, POLLIN); break;
        case TLS_STEP_WRITE: wait_for(fd, POLLOUT); break;
        case TLS_STEP_FAILED: return false;
        }
    }
}

/* Shake hands, send a word and read one. */
static struct attempt attempt(struct redis_tls *tls, const char *host,
                              const struct address *address)
{
    struct attempt out = {.why = REDIS_FAIL_NONE};
    int fd = dial(address);
    struct tls_link *link = tls_link_new(tls, fd, host, address);
    const char *words;
    bool good = shake(link, fd);

    if (good) {
        good = tls_link_write(link, "PING", 4) == 4;
    }
    while (good && out.reply[0] == '\0') {
        ssize_t n = tls_link_read(link, out.reply, sizeof(out.reply) - 1);

        good = n >= 0;
        if (n == 0) {
            wait_for(fd, POLLIN);
        }
    }
    if (!good) {
        out.why = tls_link_failure(link, &words);
        snprintf(out.words, sizeof(out.words), "%s", words);
    }
    tls_link_free(link);
    close(fd);
    return out;
}

struct fixture {
    char *folder, ca[128];
    struct tls_peer_wish wish;
    struct redis_tls_settings settings;
};

static void fixture_init(struct fixture *fixture)
{
    signal(SIGPIPE, SIG_IGN);
    memset(fixture, 0, sizeof(*fixture));
    fixture->folder = certificates_usual();
    fixture->wish.folder = fixture->folder;
    fixture->wish.cert = "good";
    snprintf(fixture->ca, sizeof(fixture->ca), "%s", certificates_path(fixture->folder, "ca.crt"));
    fixture->settings.ca = fixture->ca;
}

static struct attempt try(const struct fixture *fixture, const char *host)
{
    struct tls_peer *peer = tls_peer_start(&fixture->wish);
    struct redis_tls_error error;
    struct redis_tls *tls = redis_tls_new(&fixture->settings, &error);

    cr_assert_not_null(tls, "%s", error.words);
    struct attempt out = attempt(tls, host, tls_peer_address(peer));
    redis_tls_free(tls);
    tls_peer_stop(peer);
    return out;
}

static void expect_good(const struct fixture *fixture, const char *host)
{
    struct attempt got = try(fixture, host);

    cr_expect_eq(got.why, REDIS_FAIL_NONE, "%s with %s: %s", host, fixture->wish.cert, got.words);
    cr_expect_str_eq(got.reply, "PING");
}

static void expect_failure(const struct fixture *fixture, const char *host, enum redis_fail why,
                           const char *words)
{
    struct attempt got = try(fixture, host);

    cr_expect_eq(got.why, why, "%s with %s: %s", host, fixture->wish.cert, got.words);
    cr_expect_not_null(strstr(got.words, words), "\"%s\" in: %s", words, got.words);
    cr_expect_null(strchr(got.words, '\n'));
}

static void make(struct fixture *fixture, const struct certificate *wish)
{
    certificates_make(fixture->folder, wish);
    fixture->wish.cert = wish->name;
}

Test(tls_link, the_name_or_address_that_was_dialled_is_checked)
{
    struct fixture fixture;
    static const struct certificate dns = {
        .name = "dns", .issuer = "ca", .names = "DNS:a.example,DNS:b.example"};
    static const struct certificate ip = {.name = "ip", .issuer = "ca", .names = "IP:127.0.0.1"};
    static const struct certificate wild = {
        .name = "wild", .issuer = "ca", .names = "DNS:*.db.example"};
    static const struct certificate cn = {.name = "cn", .issuer = "ca", .common_name = "c.example"};

    fixture_init(&fixture);
    expect_good(&fixture, "127.0.0.1");
    expect_good(&fixture, "localhost");
    expect_good(&fixture, "localhost.");
    expect_good(&fixture, "::1");
    make(&fixture, &dns);
    expect_good(&fixture, "b.example");
    expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS,
                   "not for 127.0.0.1: it has names only (a.example, b.example)");
    expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS, "announce-hostnames");
    expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS, "tls-server-name");
    expect_failure(&fixture, "c.example", REDIS_FAIL_TLS,
                   "not for c.example but for a.example, b.example");
    make(&fixture, &ip);
    expect_good(&fixture, "127.0.0.1");
    expect_failure(&fixture, "127.0.0.2", REDIS_FAIL_TLS, "not for 127.0.0.2 but for 127.0.0.1");
    expect_failure(&fixture, "localhost", REDIS_FAIL_TLS, "not for localhost but for 127.0.0.1");
    make(&fixture, &wild);
    expect_good(&fixture, "r1.db.example");
    expect_failure(&fixture, "r1.x.db.example", REDIS_FAIL_TLS, "*.db.example");
    expect_failure(&fixture, "db.example", REDIS_FAIL_TLS, "*.db.example");
    make(&fixture, &cn);
    expect_good(&fixture, "c.example");
    expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS, "(c.example)");
    fixture.settings.server_name = "c.example";
    expect_good(&fixture, "127.0.0.1");
    fixture.settings.server_name = NULL;
    fixture.settings.verify = REDIS_TLS_VERIFY_CA;
    expect_good(&fixture, "127.0.0.1");
    certificates_remove(fixture.folder);
}

Test(tls_link, who_issued_it_and_when_is_checked)
{
    struct fixture fixture;
    static const struct certificate self = {.name = "self", .names = "IP:127.0.0.1"};
    static const struct certificate other_ca = {
        .name = "other-ca", .authority = true, .common_name = "Other CA"};
    static const struct certificate other = {
        .name = "other", .issuer = "other-ca", .names = "IP:127.0.0.1"};
    static const struct certificate expired = {.name = "expired",
                                               .issuer = "ca",
                                               .names = "IP:127.0.0.1",
                                               .begins_s = -7200,
                                               .ends_s = -3600};
    static const struct certificate early = {
        .name = "early", .issuer = "ca", .names = "IP:127.0.0.1", .begins_s = 3600, .ends_s = 7200};
    static const struct certificate client = {
        .name = "client", .issuer = "ca", .names = "IP:127.0.0.1", .usage = "clientAuth"};
    static const struct certificate server = {.name = "server",
                                              .issuer = "ca",
                                              .names = "IP:127.0.0.1",
                                              .usage = "serverAuth",
                                              .rsa = true};

    fixture_init(&fixture);
    make(&fixture, &self);
    expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS, "(self) is signed by itself");
    make(&fixture, &other_ca);
    make(&fixture, &other);
    expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS,
                   "issuer not trusted here: Other CA is not among");
    make(&fixture, &expired);
    expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS, "has expired: it was valid until 20");
    make(&fixture, &early);
    expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS, "is not valid before 20");
    make(&fixture, &client);
    expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS, "purpose");
    make(&fixture, &server);
    expect_good(&fixture, "127.0.0.1");
    fixture.settings.verify = REDIS_TLS_VERIFY_OFF;
    fixture.wish.cert = "expired";
    expect_good(&fixture, "nowhere.example");
    certificates_remove(fixture.folder);
}

Test(tls_link, with_and_without_the_issuers_between)
{
    struct fixture fixture;
    static const struct certificate middle = {.name = "middle", .issuer = "ca", .authority = true};
    static const struct certificate leaf = {
        .name = "leaf", .issuer = "middle", .names = "IP:127.0.0.1"};

    fixture_init(&fixture);
    make(&fixture, &middle);
    make(&fixture, &leaf);
    expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS, "middle is not among those of tls-ca");
    certificates_join(fixture.folder, "leaf.crt", "middle.crt", "chain.crt");
    certificates_replace(fixture.folder, "leaf.key", "chain.key");
    fixture.wish.cert = "chain";
    expect_good(&fixture, "127.0.0.1");
    certificates_remove(fixture.folder);
}

static void set_client(struct fixture *fixture, const char *name)
{
    char file[64];

    snprintf(file, sizeof(file), "%s.crt", name);
    fixture->settings.cert = certificates_path(fixture->folder, file);
    snprintf(file, sizeof(file), "%s.key", name);
    fixture->settings.key = certificates_path(fixture->folder, file);
}

Test(tls_link, a_client_certificate_is_asked_for)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct fixture fixture;
    static const struct certificate other = {.name = "other"};
    static const struct certificate client = {
        .name = "client", .issuer = "ca", .usage = "clientAuth"};
    static const struct certificate server = {
        .name = "server", .issuer = "ca", .usage = "serverAuth"};

    fixture_init(&fixture);
    certificates_make(fixture.folder, &other);
    certificates_make(fixture.folder, &client);
    certificates_make(fixture.folder, &server);
    fixture.wish.client_ca = "ca.crt";
    for (size_t i = 0; i < 2; i++) {
        fixture.wish.max_version = versions[i];
        fixture.settings.cert = fixture.settings.key = NULL;
        expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS, "asks for a client certificate");
        set_client(&fixture, "client");
        expect_good(&fixture, "127.0.0.1");
        set_client(&fixture, "other");
        expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS, "refuses our certificate");
        set_client(&fixture, "server");
        expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS, "refuses our certificate");
    }
    certificates_remove(fixture.folder);
}

Test(tls_link, versions_and_ciphers)
{
    struct fixture fixture;

    fixture_init(&fixture);
    fixture.wish.min_version = TLS1_VERSION;
    fixture.wish.max_version = TLS1_1_VERSION;
    expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS, "no version of TLS in common");
    fixture.wish.max_version = TLS1_2_VERSION;
    expect_good(&fixture, "127.0.0.1");
    fixture.settings.min_version = REDIS_TLS_VERSION_1_3;
    expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS, "no version of TLS in common");
    fixture.settings.min_version = REDIS_TLS_VERSION_1_2;
    fixture.wish.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256";
    fixture.settings.ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384";
    expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS, "no cipher in common");
    certificates_remove(fixture.folder);
}

Test(tls_link, peers_that_do_not_speak_tls)
{
    struct fixture fixture;

    fixture_init(&fixture);
    fixture.wish.says = "-ERR unknown command\r\n";
    expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS,
                   "it speaks plain, without TLS: -ERR unknown command");
    fixture.wish.says = "HTTP/1.1 400 Bad Request\r\n\r\n";
    expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS, "neither TLS nor Redis: HTTP/1.1 400");
    fixture.wish.says = "\x03\x04\x05";
    expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS, "neither TLS nor Redis: ???");
    fixture.wish.says = "\x16\x03\x03\xff\xff";
    expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS, "the handshake failed");
    fixture.wish.says = "\x16\x03";
    expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_CLOSED, "end of file in the TLS handshake");
    fixture.wish.says = "";
    expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_CLOSED, "end of file in the TLS handshake");
    certificates_remove(fixture.folder);
}

/* Records that are well formed, and no end of them. */
Test(tls_link, peers_that_go_on_and_on)
{
    static char message[5 + 16384] = "\x16\x03\x03\x40\x00\x02\xff\xff\xff";
    static const struct {
        const char *bytes;
        size_t n;
    } kinds[] = {{message, sizeof(message)},
                 {"\x15\x03\x03\x00\x02\x01\x5a", 7}, /* warnings */
                 {"\x16\x03\x03\x00\x00", 5},         /* with nothing in them */
                 {"\x14\x03\x03\x00\x01\x01", 6}};    /* a change of ciphers */
    struct fixture fixture;

    fixture_init(&fixture);
    fixture.wish.goes_on = true;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        fixture.wish.says = kinds[i].bytes;
        fixture.wish.says_n = kinds[i].n;
        struct attempt got = try(&fixture, "127.0.0.1");
        cr_expect(got.why == REDIS_FAIL_TLS && got.words[0] != '\0', "%zu: %d %s", i, (int)got.why,
                  got.words);
    }
    certificates_remove(fixture.folder);
}

Test(tls_link, peers_of_before_tls)
{
    static const char hello[] = "\x16\x03\x00\x00\x2a\x02\x00\x00\x26\x03\x00"
                                "0123456789abcdef0123456789abcdef\x00\x00\x2f\x00";
    struct fixture fixture;

    fixture_init(&fixture);
    fixture.wish.says = hello;
    fixture.wish.says_n = sizeof(hello) - 1;
    expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS, "no version of TLS in common");
    fixture.wish.says = "\x15\x03\x00\x00\x02\x02\x28"; /* handshake_failure */
    fixture.wish.says_n = 7;
    cr_expect_eq(try(&fixture, "127.0.0.1").why, REDIS_FAIL_TLS);
    certificates_remove(fixture.folder);
}

Test(tls_link, a_session_is_taken_up_again_until_the_files_change)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct redis_tls_error error;
    struct fixture fixture;

    fixture_init(&fixture);
    for (size_t i = 0; i < 2; i++) {
        fixture.wish.max_version = versions[i];
        struct tls_peer *peer = tls_peer_start(&fixture.wish);
        struct redis_tls *tls = redis_tls_new(&fixture.settings, &error);
        cr_expect_eq(attempt(tls, "localhost", tls_peer_address(peer)).why, REDIS_FAIL_NONE);
        cr_expect_str_eq(tls_peer_sni(peer), "localhost");
        for (int k = 0; k < 2; k++) {
            cr_expect_eq(attempt(tls, "localhost", tls_peer_address(peer)).why, REDIS_FAIL_NONE);
        }
        cr_expect_eq(tls_peer_resumed(peer), 2);
        cr_expect_gt(redis_tls_expiry(tls).peer_s, 0);
        cr_expect_eq(attempt(tls, "127.0.0.1", tls_peer_address(peer)).why, REDIS_FAIL_NONE);
        cr_expect_str_eq(tls_peer_sni(peer), "", "an address is never sent as a name");
        cr_expect_eq(tls_peer_resumed(peer), 2, "it was checked for another name");
        certificates_join(fixture.folder, "ca.crt", "good.crt", "both.crt");
        certificates_replace(fixture.folder, "both.crt", "ca.crt");
        if (i == 0) {
            cr_expect_eq(redis_tls_refresh(tls, false, &error), 1);
            cr_expect_eq(attempt(tls, "localhost", tls_peer_address(peer)).why, REDIS_FAIL_NONE);
            cr_expect_eq(tls_peer_resumed(peer), 2);
        }
        redis_tls_free(tls);
        tls_peer_stop(peer);
    }
    certificates_remove(fixture.folder);
}

Test(tls_link, a_session_does_not_outlive_trust)
{
    struct redis_tls_error error;
    struct fixture fixture;
    static const struct certificate other = {.name = "other", .authority = true};

    fixture_init(&fixture);
    certificates_make(fixture.folder, &other);
    struct tls_peer *peer = tls_peer_start(&fixture.wish);
    struct redis_tls *tls = redis_tls_new(&fixture.settings, &error);
    cr_expect_eq(attempt(tls, "localhost", tls_peer_address(peer)).why, REDIS_FAIL_NONE);
    certificates_replace(fixture.folder, "other.crt", "ca.crt");
    cr_expect_eq(redis_tls_refresh(tls, false, &error), 1);
    cr_expect_eq(attempt(tls, "localhost", tls_peer_address(peer)).why, REDIS_FAIL_TLS);
    redis_tls_free(tls);
    tls_peer_stop(peer);
    certificates_remove(fixture.folder);
}

Test(tls_link, keys_may_be_renewed_at_any_time)
{
    struct fixture fixture;

    fixture_init(&fixture);
    fixture.wish.renews = 3;
    expect_good(&fixture, "127.0.0.1");
    certificates_remove(fixture.folder);
}

/* It is refused, whatever comes of that. */
Test(tls_link, a_peer_that_renegotiates)
{
    struct fixture fixture;

    fixture_init(&fixture);
    fixture.wish.renegotiates = true;
    fixture.wish.max_version = TLS1_2_VERSION;
    struct attempt got = try(&fixture, "127.0.0.1");
    cr_expect(got.why == REDIS_FAIL_NONE || got.words[0] != '\0');
    certificates_remove(fixture.folder);
}

Test(tls_link, a_certificate_that_ends_while_it_is_in_use)
{
    static const struct certificate brief = {
        .name = "brief", .issuer = "ca", .names = "IP:127.0.0.1", .begins_s = -60, .ends_s = 10};
    struct redis_tls_error error;
    struct fixture fixture;

    fixture_init(&fixture);
    make(&fixture, &brief);
    expect_good(&fixture, "127.0.0.1");
    set_client(&fixture, "brief");
    struct redis_tls *tls = redis_tls_new(&fixture.settings, &error);
    cr_assert_not_null(tls, "%s", error.words);
    fixture.settings.cert = fixture.settings.key = NULL;
    fixture.wish.client_ca = "ca.crt";
    fixture.wish.cert = "good";
    struct tls_peer *peer = tls_peer_start(&fixture.wish);
    cr_expect_eq(attempt(tls, "127.0.0.1", tls_peer_address(peer)).why, REDIS_FAIL_NONE);
    while (time(NULL) <= redis_tls_expiry(tls).own_s) {
        usleep(50000);
    }
    /* another name, with which no session is taken up */
    struct attempt got = attempt(tls, "localhost", tls_peer_address(peer));
    cr_expect_eq(got.why, REDIS_FAIL_TLS, "ours has ended, too");
    cr_expect_not_null(strstr(got.words, "refuses our certificate"), "%s", got.words);
    tls_peer_stop(peer);
    fixture.wish.client_ca = NULL;
    fixture.wish.cert = "brief";
    expect_failure(&fixture, "127.0.0.1", REDIS_FAIL_TLS, "has expired");
    cr_expect_eq(redis_tls_refresh(tls, false, &error), 0);
    cr_expect_lt(redis_tls_refresh(tls, true, &error), 0);
    cr_expect_not_null(strstr(error.words, "has expired"), "%s", error.words);
    redis_tls_free(tls);
    certificates_remove(fixture.folder);
}

/* ---- threads share it ---- */

struct caller {
    pthread_t thread;
    struct redis_tls *tls;
    const struct address *address;
    int n_good;
};

static void *call(void *data)
{
    struct caller *caller = data;

    for (int i = 0; i < 30; i++) {
        caller->n_good += attempt(caller->tls, "localhost", caller->address).why == REDIS_FAIL_NONE;
    }
    return NULL;
}

Test(tls_link, threads_share_what_is_read_again_meanwhile)
{
    struct redis_tls_error error;
    struct caller callers[2];
    struct fixture fixture;

    fixture_init(&fixture);
    struct tls_peer *peers[2] = {tls_peer_start(&fixture.wish), tls_peer_start(&fixture.wish)};
    struct redis_tls *tls = redis_tls_new(&fixture.settings, &error);
    for (size_t i = 0; i < 2; i++) {
        callers[i] = (struct caller){.tls = tls, .address = tls_peer_address(peers[i])};
        cr_assert_eq(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
    }
    for (int i = 0; i < 4; i++) { /* each time there is more in it */
        certificates_join(fixture.folder, "ca.crt", "good.crt", "more.crt");
        certificates_replace(fixture.folder, "more.crt", "ca.crt");
        cr_expect_geq(redis_tls_refresh(tls, true, &error), 0, "%s", error.words);
        cr_expect_gt(redis_tls_taken_ms(tls), 0);
    }
    for (size_t i = 0; i < 2; i++) {
        pthread_join(callers[i].thread, NULL);
        cr_expect_eq(callers[i].n_good, 30);
        tls_peer_stop(peers[i]);
    }
    redis_tls_free(tls);
    certificates_remove(fixture.folder);
}

Test(tls_link, what_the_socket_did_not_take_is_held)
{
    struct redis_tls_error error;
    struct fixture fixture;
    static char bytes[65536];
    size_t sent = 0, n_got = 0;

    fixture_init(&fixture);
    struct tls_peer *peer = tls_peer_start(&fixture.wish);
    struct redis_tls *tls = redis_tls_new(&fixture.settings, &error);
    int fd = dial(tls_peer_address(peer)), small = 4096;
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    struct tls_link *link = tls_link_new(tls, fd, "127.0.0.1", tls_peer_address(peer));
    cr_assert(shake(link, fd));
    /* more than both sockets hold, so that it stops in the middle of a record; then its echo */
    for (ssize_t n; (n = tls_link_write(link, bytes, sizeof(bytes))) > 0; sent += (size_t)n) {
        cr_assert_leq(n, 16384);
        cr_assert_eq(tls_link_held(link), 0);
    }
    cr_assert_eq(tls_link_held(link), 16384);
    while (n_got < sent) {
        static char back[65536];
        ssize_t n = tls_link_read_more(link, back, sizeof(back));

        if (n == 0) {
            n = tls_link_read(link, back, sizeof(back));
        }
        cr_assert_geq(n, 0);
        n_got += (size_t)n;
        if (n == 0) {
            n = tls_link_held(link) > 0 ? tls_link_write(link, bytes, sizeof(bytes)) : 0;
            cr_assert_geq(n, 0);
            sent += (size_t)n;
            wait_for(fd, POLLIN);
        }
    }
    tls_link_free(link);
    close(fd);
    redis_tls_free(tls);
    tls_peer_stop(peer);
    certificates_remove(fixture.folder);
}

/* Of what is read ahead no event tells: it is there at once. */
Test(tls_link, records_that_came_together_are_read_together)
{
    struct redis_tls_error error;
    struct fixture fixture;
    static char reply[50001], bytes[65536];
    int came = 0;

    memset(reply, 'x', sizeof(reply) - 1);
    fixture_init(&fixture);
    fixture.wish.reply = reply;
    struct tls_peer *peer = tls_peer_start(&fixture.wish);
    struct redis_tls *tls = redis_tls_new(&fixture.settings, &error);
    int fd = dial(tls_peer_address(peer));
    struct tls_link *link = tls_link_new(tls, fd, "127.0.0.1", tls_peer_address(peer));
    cr_assert(shake(link, fd));
    cr_assert_eq(tls_link_write(link, "PING", 4), 4);
    for (int i = 0; i < 500 && came < 50000; i++) { /* it is all there, nothing was read of it */
        usleep(10000);
        cr_assert_eq(ioctl(fd, FIONREAD, &came), 0);
    }
    cr_assert_geq(came, 50000);
    ssize_t all = 0;
    for (ssize_t n = tls_link_read(link, bytes, sizeof(bytes)); n > 0;
         n = tls_link_read_more(link, bytes, sizeof(bytes))) {
        all += n;
    }
    cr_expect_geq(all, 32768);
    cr_assert_eq(ioctl(fd, FIONREAD, &came), 0);
    cr_expect_eq(all<50000, came> 0, "what is not given yet is in the socket");
    tls_link_free(link);
    close(fd);
    redis_tls_free(tls);
    tls_peer_stop(peer);
    certificates_remove(fixture.folder);
}

/* Records of four requests for another hello each: to be ignored, for as long as they come. */
static void flood(int fd)
{
    static char records[21 * 1024];

    for (size_t i = 0; i < sizeof(records); i += 21) {
        memcpy(records + i, "\x16\x03\x03\0\x10", 5);
    }
    while (send(fd, records, sizeof(records), MSG_DONTWAIT) > 0) {
        ;
    }
}

Test(tls_link, a_peer_that_sends_without_end_holds_nobody_up)
{
    struct redis_tls_error error;
    struct fixture fixture;
    const struct address address = {.host = "127.0.0.1", .port = 1};
    int fds[2], left;

    fixture_init(&fixture);
    struct redis_tls *tls = redis_tls_new(&fixture.settings, &error);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    cr_assert_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    struct tls_link *link = tls_link_new(tls, fds[0], "127.0.0.1", &address);
    flood(fds[1]);
    cr_assert_eq(tls_link_shake(link), TLS_STEP_READ);
    cr_assert_eq(ioctl(fds[0], FIONREAD, &left), 0);
    cr_expect_gt(left, 0, "others have their turn before the rest is read");
    do {
        cr_assert_eq(tls_link_shake(link), TLS_STEP_READ);
        cr_assert_eq(ioctl(fds[0], FIONREAD, &left), 0);
    } while (left > 0);
    tls_link_free(link);
    close(fds[0]);
    close(fds[1]);
    redis_tls_free(tls);
    certificates_remove(fixture.folder);
}
