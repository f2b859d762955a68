/*
 * Why no Sentinel is of use: each is named with its own cause, and with what it said, whole,
 * wherever somebody may look; with --master and without. And Sentinels whose ACL lets little be
 * asked are used all the same.
 */
#include <string.h>

#include "../support/daemon.h"
#include "../support/fake.h"
#include "../support/ports.h"
#include "../support/scene.h"

SCENE_SUITE(integration_causes);

#define MAXCLIENTS "ERR max number of clients reached"
#define OLD_MYID "ERR Unknown sentinel subcommand 'MYID'"
#define OLD_HELLO "ERR unknown command `HELLO`, with args beginning with: `3`, "
/* Redis 7.0.15's own words. */
#define PROTECTED \
    "DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the " \
    "default user. In this mode connections are only accepted from the loopback interface. If you want to " \
    "connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable " \
    "protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by " \
    "connecting to Redis from the same host the server is running, however MAKE SURE Redis is not publicly " \
    "accessible from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) " \
    "Alternatively you can just disable the protected mode by editing the Redis configuration file, and " \
    "setting the protected mode option to 'no', and then restarting the server. 3) If you started the server " \
    "manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an " \
    "authentication password for the default user. NOTE: You only need to do one of the above things in order " \
    "for the server to start accepting connections from the outside."

struct trouble {
    const char *address, *words;
};

/* JSON and HTML write quotes and apostrophes in their own way; neither alters the parts between. */
static bool names(const char *text, const struct trouble *trouble)
{
    const char *found = strstr(text, trouble->address);
    char *save = NULL;

    for (const char *part = strtok_r(scene_keep(strdup(trouble->words), free), "'`<>&", &save);
         part; part = strtok_r(NULL, "'`<>&", &save)) {
        if (!found || !(found = strstr(found, part))) {
            return false;
        }
    }
    return found != NULL;
}

static void expect_named(const char *text, const char *where, const struct trouble *troubles,
                         size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cr_assert(names(text, &troubles[i]), "%s does not name %s: %s\n%s", where,
                  troubles[i].address, troubles[i].words, text);
    }
}

static bool names_all(const char *text, const struct trouble *troubles, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!names(text, &troubles[i])) {
            return false;
        }
    }
    return true;
}

/*
 * On this route, now or in a moment: what answers for a Sentinel may be late, and the daemon as
 * well.
 */
static void wait_named(const struct daemon *daemon, const char *path, const char *header,
                       const struct trouble *troubles, size_t n)
{
    const int64_t end = wait_ends_ms(5000);
    const char *said = daemon_get_with(daemon, path, header)->body;

    while (!names_all(said, troubles, n) && now_ms() < end) {
        nap_ms(15);
        said = daemon_get_with(daemon, path, header)->body;
    }
    expect_named(said, path, troubles, n);
}

/* @param master NULL: they are discovered. */
static const char *const *flags_for(const struct trouble *troubles, size_t n, const char *master)
{
    const char **flags = scene_alloc((2 * n + 5) * sizeof(*flags));
    size_t used = 0;

    /* who answers for them may be late */
    flags[used++] = "--sentinel-timeout";
    flags[used++] = "3s";

    for (size_t i = 0; i < n; i++) {
        flags[used++] = "--sentinel";
        flags[used++] = troubles[i].address;
    }
    if (master) {
        flags[used++] = "--master";
        flags[used++] = master;
    }
    return flags;
}

static void expect_once(const struct trouble *troubles, size_t n, const char *master,
                        const char *reason)
{
    const char *const *flags = flags_for(troubles, n, master);
    const char **argv = scene_alloc((2 * n + 8) * sizeof(*argv));
    size_t used = 0;
    argv[used++] = daemon_binary();
    argv[used++] = "--once";
    for (size_t i = 0; flags[i]; i++) {
        argv[used++] = flags[i];
    }
    const struct process_result result = process_run(15000, NULL, argv);
    cr_assert_eq(result.exit_code, 3, "%d: %s", result.exit_code, result.err);
    const char *last = strstr(result.err, "bellwether: no master: ");
    cr_assert(last && strchr(last, '\n') == last + strlen(last) - 1, "no last line:\n%s",
              result.err);
    cr_assert(strstr(last, reason), "not %s: %s", reason, last);
    expect_named(last, "--once", troubles, n);
}

/* Everywhere. @param master NULL: they are discovered. */
static void expect_everywhere(const struct trouble *troubles, size_t n, const char *master,
                              const char *reason)
{
    static const char *const always[] = {"/master",
                                         "/master?format=text",
                                         "/masters/mymaster",
                                         "/replica",
                                         "/masters/mymaster/replica",
                                         "/sentinels",
                                         "/masters/mymaster/sentinels",
                                         "/readyz",
                                         "/readyz?verbose",
                                         "/readyz/sentinel",
                                         "/readyz/master",
                                         "/status",
                                         "/status?format=text",
                                         "/master?fresh=1",
                                         "/master?wait=100ms&unless=127.0.0.1:1"};
    static const char *const discovering[] = {"/masters", "/replicas", "/masters/mymaster/replicas",
                                              "/readyz?verbose&master=mymaster"};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.flags = flags_for(troubles, n, master)});

    WAIT_UNTIL(10000, says_none(daemon, "unknown", reason) &&
                          names_all(daemon_get(daemon, "/master")->body, troubles, n));
    for (size_t i = 0; i < sizeof(always) / sizeof(*always); i++) {
        /*
         * "no replica" is what is wrong there where the master is named, and /sentinels beside it
         * says why
         */
        if (master && strstr(always[i], "/replica")) {
            continue;
        }
        wait_named(daemon, always[i], NULL, troubles, n);
    }
    for (size_t i = 0; !master && i < sizeof(discovering) / sizeof(*discovering); i++) {
        wait_named(daemon, discovering[i], NULL, troubles, n);
    }
    wait_named(daemon, "/", "Accept: text/html", troubles, n);
    for (size_t i = 0; i < n; i++) {
        EXPECT_LOGGED(daemon, strstr(daemon_log(daemon), troubles[i].address));
    }
    WAIT_UNTIL(3000, status_of(daemon, "/masters") == 200);
    cr_assert_eq(status_of(daemon, "/masters/mymaster"), 503, "it may well be there");
}

static void expect_causes(const struct trouble *troubles, size_t n, const char *reason)
{
    expect_everywhere(troubles, n, NULL, reason);
    expect_everywhere(troubles, n, "mymaster", reason);
    expect_once(troubles, n, NULL, reason);
    expect_once(troubles, n, "mymaster", reason);
}

SCENE(integration_causes, nobody_there)
{
    const char *dead = text("127.0.0.1:%u", port_reserve());
    const struct trouble troubles[] = {
        {dead, "refused"},
        {"no-such-host.invalid:26379", ""}, /* its resolver may say so, or be late */
        {fake_address(fake_start(FAKE_SILENT, NULL)), "timed out: HELLO was not answered in time"},
    };

    expect_causes(troubles, 3, "no_sentinel_reachable");
}

SCENE(integration_causes, something_else_there)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = NONE});
    const struct fake_words old_5 = {.hello_error = OLD_HELLO, .myid_error = OLD_MYID};
    const struct fake_words old_login = {.hello_error = OLD_HELLO,
                                         .myid_error = "NOAUTH Authentication required."};
    const struct fake_words old_6 = {.myid_error = OLD_MYID};
    const struct trouble troubles[] = {
        {cluster->nodes[0].address, "a Redis server and no Sentinel: its mode is standalone"},
        {fake_address(fake_start(FAKE_SENTINEL, &old_5)),
         "too old: needs Redis 6.2 or newer: " OLD_MYID},
        {fake_address(fake_start(FAKE_SENTINEL, &old_6)),
         "too old: needs Redis 6.2 or newer: " OLD_MYID},
        {fake_address(fake_start(FAKE_SENTINEL, &old_login)),
         "too old: needs Redis 6.2 or newer: NOAUTH"},
        {fake_address(fake_start(FAKE_HTTP, NULL)), "protocol error"},
        {fake_address(fake_start(FAKE_CLOSER, NULL)), "closed: "},
    };

    expect_causes(troubles, 6, "no_sentinel_reachable");
}

SCENE(integration_causes, too_many_clients)
{
    const struct fake_words full = {.greeting = "-" MAXCLIENTS "\r\n"};
    const struct trouble troubles[] = {
        {fake_address(fake_start(FAKE_SENTINEL, &full)), MAXCLIENTS}};

    expect_causes(troubles, 1, "no_sentinel_reachable");
}

SCENE(integration_causes, protected_mode)
{
    const struct fake_words closed = {.greeting = "-" PROTECTED "\r\n"};
    const struct trouble troubles[] = {
        {fake_address(fake_start(FAKE_SENTINEL, &closed)), PROTECTED}};

    expect_causes(troubles, 1, "sentinel_denied");
}

/* An error that nobody knows, and the end. */
SCENE(integration_causes, last_words)
{
    const struct fake_words closing = {.greeting = "-ERR this server has had enough of you\r\n"};
    const struct trouble troubles[] = {{fake_address(fake_start(FAKE_SENTINEL, &closing)),
                                        "ERR this server has had enough of you; closed"}};

    expect_causes(troubles, 1, "no_sentinel_reachable");
}

SCENE(integration_causes, passwords)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.nodes = 1, .sentinels = 1, .sentinel_password = "sesame"});
    const struct fake_words wrong = {
        .hello_error = "WRONGPASS invalid username-password pair or user is disabled."};
    const struct trouble troubles[] = {
        {cluster->sentinels[0].address,
         "it wants a password: NOAUTH HELLO must be called with the client already authenticated, otherwise"},
        {fake_address(fake_start(FAKE_SENTINEL, &wrong)),
         "wrong user or password: WRONGPASS invalid username-password pair or user is disabled."},
    };

    expect_causes(troubles, 2, "sentinel_auth");
}

SCENE(integration_causes, alerts_of_tls)
{
    const struct fake_words alert = {.hello_bytes = "\x15\x03\x01"};
    const struct trouble troubles[] = {
        {fake_address(fake_start(FAKE_SENTINEL, &alert)), "answers TLS"},
    };

    expect_causes(troubles, 1, "sentinel_tls");
}

/* OpenSSL closes without a word on what is no TLS. */
SCENE(integration_causes, a_port_with_tls)
{
    const char *key = text("%s/key.pem", scene_folder()),
               *cert = text("%s/cert.pem", scene_folder());
    const char *const make[] = {"openssl", "req",     "-x509", "-newkey",  "rsa:2048",
                                "-nodes",  "-keyout", key,     "-out",     cert,
                                "-days",   "2",       "-subj", "/CN=test", NULL};

    if (!process_can_run("openssl") || process_run(20000, NULL, make).exit_code != 0) {
        scene_skip("no certificate can be made");
    }
    const uint16_t port = port_reserve();
    struct cluster *cluster = cluster_start(&(struct cluster_spec){
        .nodes = 1,
        .sentinels = NONE,
        .node_conf = text("tls-port %u\ntls-cert-file %s\ntls-key-file %s\ntls-ca-cert-file %s\n",
                          port, cert, key, cert)});
    (void)cluster;
    const struct trouble troubles[] = {{text("127.0.0.1:%u", port), "answers TLS"}};
    expect_causes(troubles, 1, "sentinel_tls");
}

/* ---- with little allowed ---- */

SCENE(integration_causes, an_address_is_all_that_may_be_asked)
{
    struct cluster *cluster = cluster_prepare(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    struct server *sentinel = &cluster->sentinels[0];

    cluster_run(cluster);
    cluster_settle(cluster);
    cr_assert_str_eq(redis_say(sentinel, "ACL SETUSER asker on nopass -@all "
                                         "+sentinel|get-master-addr-by-name +hello"),
                     "OK");
    const struct daemon *daemon = daemon_start(
        cluster, "--sentinel", text("localhost:%u", sentinel->port), "--master", "mymaster",
        "--sentinel-username", "asker", "--sentinel-password-file",
        (file_write(text("%s/any", scene_folder()), "any\n"), text("%s/any", scene_folder())),
        NULL);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    EXPECT_REASON(daemon, "sentinel_denied", 4000);
    HOLDS_FOR(1500, http_number(daemon_get(daemon, "/sentinels"), "known") == 1);
    const struct http_answer *answer = NULL;
    WAIT_UNTIL(5000, http_number(answer = daemon_get(daemon, "/sentinels"), "agreeing") == 1);
    cr_assert(json_is_null(http_value(answer, "sentinels.0.run_id")), "%s", http_text(answer));
    WAIT_UNTIL(5000, http_true(daemon_get(daemon, "/master"), "majority"));
    WAIT_UNTIL(4000, strstr(http_string(daemon_get(daemon, "/sentinels"), "sentinels.0.error.text"),
                            "SENTINEL MYID") != NULL);
}

/* Masters can't be discovered then, which is said, and by whom it is denied. */
SCENE(integration_causes, masters_may_not_be_listed)
{
    struct cluster *cluster = cluster_start_one(NULL);

    cr_assert_str_eq(redis_say(&cluster->sentinels[0], "ACL SETUSER default -sentinel|masters"),
                     "OK");
    const struct trouble troubles[] = {
        {cluster->sentinels[0].address, "it denies SENTINEL MASTERS: NOPERM"}};
    static const char *const routes[] = {
        "/master",    "/masters", "/masters/mymaster",   "/replicas",
        "/sentinels", "/status",  "/status?format=text", "/readyz?verbose"};
    const struct daemon *daemon = daemon_start(cluster, NULL);
    EXPECT_NONE(daemon, "unknown", "sentinel_denied", 4000);
    for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++) {
        wait_named(daemon, routes[i], NULL, troubles, 1);
    }
    expect_once(troubles, 1, NULL, "sentinel_denied");
}

/*
 * Those that may say who they are list it: by its run id, at its address. It is one, and counts
 * once.
 */
SCENE(integration_causes, one_that_hides_its_run_id_counts_once)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.nodes = 1, .down_after_ms = CLUSTER_STEADY_MS});

    cr_assert_str_eq(redis_say(&cluster->sentinels[1], "ACL SETUSER default -sentinel|myid"), "OK");
    const struct daemon *daemon = daemon_start(cluster, "--sentinel-timeout", "5s", NULL);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    WAIT_UNTIL(15000, http_number(daemon_get(daemon, "/sentinels"), "agreeing") == 3);
    HOLDS_FOR(3000, http_number(daemon_get(daemon, "/sentinels"), "known") == 3 &&
                        http_number(daemon_get(daemon, "/sentinels"), "agreeing") == 3);
    cr_assert(strstr(daemon_get(daemon, "/sentinels")->body, cluster->sentinels[1].run_id), "%s",
              daemon_get(daemon, "/sentinels")->body);
    server_kill(&cluster->sentinels[1]); /* and is the same when it comes back */
    WAIT_UNTIL(10000, http_number(daemon_get(daemon, "/sentinels"), "agreeing") == 2);
    server_start(&cluster->sentinels[1]);
    WAIT_UNTIL(15000, http_number(daemon_get(daemon, "/sentinels"), "agreeing") == 3);
    cr_assert_eq(http_number(daemon_get(daemon, "/sentinels"), "known"), 3);
}

/* ---- the words keep up ---- */

static bool words_agree(const struct daemon *daemon, size_t voices, size_t known)
{
    const struct http_answer *status = daemon_get(daemon, "/status");

    return strstr(http_string(status, "masters.0.detail"),
                  text("named by %zu of %zu known Sentinels", voices, known)) &&
           strstr(http_string(status, "masters.0.decision"),
                  text("from %zu of %zu Sentinel", voices, known)) &&
           http_number(status, "masters.0.agreeing") == (long long)voices &&
           http_number(status, "masters.0.known") == (long long)known;
}

SCENE(integration_causes, words_are_as_true_as_the_counts_beside_them)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.nodes = 1, .down_after_ms = CLUSTER_STEADY_MS});
    const struct daemon *daemon = daemon_start(cluster, "--sentinel-timeout", "5s", NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    WAIT_UNTIL(15000, words_agree(daemon, 3, 3));
    const long long index = http_number(daemon_master(daemon), "index");
    for (size_t left = 3; left-- > 0;) {
        server_kill(&cluster->sentinels[left]);
        WAIT_UNTIL(8000, words_agree(daemon, left, 3));
        HOLDS_FOR(2500, words_agree(daemon, left, 3));
    }
    WAIT_UNTIL(3000, status_of(daemon, "/master") == 200);
    /* a pause is told of, and its end */
    cr_assert_leq(http_number(daemon_master(daemon), "index"),
                  index + 4 + 4 * (long long)daemon_pauses(daemon), "no polls in it");
    server_kill(&cluster->nodes[0]);
    EXPECT_NONE(daemon, "down", NULL, 4000);
    WAIT_UNTIL(4000, strstr(http_string(daemon_get(daemon, "/master"), "detail"),
                            "can't be connected to since 20"));
    const struct http_answer *down = daemon_get(daemon, "/master");
    cr_assert(strstr(http_string(down, "detail"), "named by 0 of 3 known Sentinels"), "%s",
              http_text(down));
    const char *detail = http_string(down, "detail");
    const size_t pauses = daemon_pauses(daemon);
    for (const int64_t end = now_ms() + 3000; now_ms() < end; nap_ms(10)) {
        const char *now = http_string(daemon_get(daemon, "/master"), "detail");

        if (strcmp(now, detail) != 0) {
            EXPECT_PAUSED(daemon, pauses, text("%s; now %s", detail, now));
            break; /* it is asked anew, and may be down since later */
        }
    }
}

/*
 * In the log of a switch: all who name it at that moment, also those that have not heard of the
 * epoch yet.
 */
SCENE(integration_causes, votes_in_the_log_are_all_that_name_it)
{
    struct fake *node = fake_start(FAKE_NODE, &(struct fake_words){.role = "master"});
    struct fake_words words[2] = {
        {.run_id = "0123456789012345678901234567890123456789", .epoch = 7},
        {.run_id = "1123456789012345678901234567890123456789", .epoch = 3}};
    struct fake *sentinels[2];

    for (size_t i = 0; i < 2; i++) {
        words[i].master_name = "mymaster";
        words[i].master_host = "127.0.0.1";
        words[i].master_port = text("%u", fake_port(node));
        sentinels[i] = fake_start(FAKE_SENTINEL, &words[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        struct fake_other *other = scene_alloc(sizeof(*other));

        *other = (struct fake_other){text("%s", words[1 - i].run_id),
                                     text("%u", fake_port(sentinels[1 - i]))};
        words[i].others = other;
        words[i].n_others = 1;
        fake_say(sentinels[i], &words[i]);
    }
    const char *const flags[] = {"--sentinel", fake_address(sentinels[0]), "--sentinel",
                                 fake_address(sentinels[1]), NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});
    WAIT_UNTIL(5000, strstr(daemon_log(daemon), "msg=\"master found\"") != NULL);
    const char *line = strstr(daemon_log(daemon), "msg=\"master found\"");
    cr_assert(strstr(line, "epoch=7 rule=\"higher epoch\" voices=2 known=2"), "%s", line);
}
