/* Who may run commands: tokens, and the checks of the mode without. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../support/commands.h"
#include "../support/scene.h"

SCENE_SUITE(integration_commands_tokens);

static const char *token_file(const char *name, const char *tokens)
{
    const char *path = text("%s/%s", scene_folder(), name);

    file_write(path, tokens);
    return path;
}

static struct http_answer *run_as(const struct daemon *daemon, const char *token,
                                  const char *command)
{
    return command_post_with(daemon, "/redis", command,
                             !token ? NULL : text("Authorization: Bearer %s", token));
}

static void expect_unauthorized(const struct http_answer *answer)
{
    EXPECT_ERROR(answer, 401, "NOAUTH", NULL);
    cr_assert_str_eq(http_header(answer, "www-authenticate"), "Bearer");
}

static const struct daemon *start(const char *full, const char *read_only)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const char *const flags[] = {"--redis-api",
                                 "token",
                                 "--token-file",
                                 token_file("full", full),
                                 "--read-only-token-file",
                                 token_file("read", read_only),
                                 NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    return daemon;
}

SCENE(integration_commands_tokens, right_wrong_and_none)
{
    const struct daemon *daemon = start("sesame\n", "look\n");

    EXPECT_RESULT(run_as(daemon, "sesame", "['SET','k','v']"), "'OK'");
    static const char *const wrong[] = {NULL, "Sesame", "sesam", "sesame1", "sesame sesame",
                                        "",   "look1"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        expect_unauthorized(run_as(daemon, wrong[i], "['SET','k','stolen']"));
    }
    static const char *const schemes[] = {
        "Authorization: Basic c2VzYW1lOg==", "Authorization: sesame", "Authorization: Bearersesame",
        "X-Token: sesame"};
    for (size_t i = 0; i < 4; i++) {
        expect_unauthorized(
            command_post_with(daemon, "/redis", "['SET','k','stolen']", schemes[i]));
    }
    EXPECT_RESULT(
        command_post_with(daemon, "/redis", "['GET','k']", "authorization: bearer sesame"), "'v'");
    /* A body of any size is not even looked at, and the connection stays. */
    static const char *const paths[] = {"/redis/pipeline", "/redis/multi-exec", "/replica/redis",
                                        "/redis/set/k"};
    for (size_t i = 0; i < 4; i++) {
        expect_unauthorized(command_post(daemon, paths[i], "not even JSON"));
    }
    expect_unauthorized(daemon_get(daemon, "/redis/get/k"));
    expect_unauthorized(
        command_post(daemon, "/masters/none/redis", "['PING']")); /* names are nobody's business */
    EXPECT_RESULT(daemon_get_with(daemon, "/redis/get/k", "Authorization: Bearer sesame"), "'v'");
    cr_assert_eq(status_of(daemon, "/master"), 200, "discovery needs none");
    struct raw *raw = raw_open(daemon->port);
    static const char twice[] =
        "POST /redis HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n[\"PING\"]"
        "POST /redis HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer sesame\r\nContent-Length: 8\r\n\r\n[\"PING\"]";
    cr_assert(raw_send(raw, twice, sizeof(twice) - 1));
    expect_unauthorized(raw_answer(raw, 5000));
    EXPECT_RESULT(raw_answer(raw, 5000), "'PONG'");
    const char *log = daemon_log(daemon);
    cr_assert(!strstr(log, "sesame") && !strstr(log, "look") && !strstr(log, "stolen"),
              "a token or an argument is in the log");
    const struct http_answer *status = daemon_get(daemon, "/status");
    cr_assert(!strstr(status->body, "sesame"), "a token is in /status");
}

/* As Upstash's clients may send it. */
SCENE(integration_commands_tokens, in_the_query)
{
    const struct daemon *daemon = start("se/same+=\n", "look\n");

    EXPECT_RESULT(daemon_get(daemon, "/redis/ping?_token=se/same+="), "'PONG'");
    EXPECT_RESULT(command_post(daemon, "/redis?_token=se%2Fsame%2B%3D", "['SADD','s','m']"), "1");
    EXPECT_RESULT(command_post(daemon, "/redis/sadd/s/n?_token=se/same+=", ""), "1");
    EXPECT_RESULT(command_post(daemon, "/redis/sadd/s?_token=se/same+=&o", "p"), "2");
    EXPECT_RESULT(command_post(daemon, "/redis/sadd/s/n?%5ftoken=x&_token=se/same+=", ""), "0");
    EXPECT_RESULT(daemon_get(daemon, "/redis/scard/s?_token=look"), "4");
    EXPECT_ERROR(command_post(daemon, "/redis/del/s?_token=look", ""), 403, "NOPERM", "not_sent");
    expect_unauthorized(daemon_get(daemon, "/redis/ping?_token=wrong"));
    expect_unauthorized(daemon_get(daemon, "/redis/ping?_token="));
    expect_unauthorized(daemon_get(daemon, "/redis/ping?_token"));
    expect_unauthorized(daemon_get(daemon, "/redis/ping?_token=%zz"));
    expect_unauthorized(daemon_get(daemon, text("/redis/ping?_token=%01500d", 7)));
    /* the header counts where there is one */
    expect_unauthorized(command_post_with(daemon, "/redis?_token=se/same+=", "['PING']",
                                          "Authorization: Bearer wrong"));
    const char *log = daemon_log(daemon);
    cr_assert(!strstr(log, "se/same") && !strstr(log, "_token"), "a token is in the log");
}

SCENE(integration_commands_tokens, in_the_query_where_none_is_needed)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, NULL);

    EXPECT_RESULT(command_post(daemon, "/redis/sadd/s/m?_token=secret", ""), "1");
    EXPECT_RESULT(daemon_get(daemon, "/redis/smembers/s?_token=secret"), "['m']");
}

SCENE(integration_commands_tokens, read_only_ones)
{
    const struct daemon *daemon = start("sesame\n", "look\n");

    EXPECT_RESULT(run_as(daemon, "sesame", "['SET','k','v']"), "'OK'");
    EXPECT_RESULT(run_as(daemon, "look", "['GET','k']"), "'v'");
    EXPECT_RESULT(run_as(daemon, "look", "['PING']"), "'PONG'");
    EXPECT_RESULT(run_as(daemon, "look", "['ECHO','e']"), "'e'");
    cr_assert_eq(run_as(daemon, "look", "['TIME']")->status, 200);
    static const char *const writes[] = {"['SET','k','w']", "['GETEX','k']", "['GETDEL','k']",
                                         "['INCR','n']", "['PUBLISH','c','m']"};
    for (size_t i = 0; i < 5; i++) {
        const struct http_answer *answer = run_as(daemon, "look", writes[i]);

        EXPECT_ERROR(answer, 403, "NOPERM", "not_sent");
        cr_assert(strstr(http_string(answer, "error"), "read-only"), "%s", http_text(answer));
    }
    const struct http_answer *list =
        command_post_with(daemon, "/redis/pipeline", "[['GET','k'],['DEL','k'],['GET','k']]",
                          "Authorization: Bearer look");
    cr_assert(strncmp(http_string(list, "1.error"), "NOPERM", 6) == 0, "%s", http_text(list));
    cr_assert_str_eq(http_string(list, "2.result"), "v", "%s", http_text(list));
    EXPECT_ERROR(command_post_with(daemon, "/redis/multi-exec", "[['GET','k'],['DEL','k']]",
                                   "Authorization: Bearer look"),
                 403, "NOPERM", "not_sent");
}

SCENE(integration_commands_tokens, two_while_they_are_rotated)
{
    const struct daemon *daemon = start("old\n", "look\n");

    EXPECT_RESULT(run_as(daemon, "old", "['PING']"), "'PONG'");
    (void)token_file("full", "new\nold\n");
    daemon_signal(daemon, SIGHUP);
    WAIT_UNTIL(5000, run_as(daemon, "new", "['PING']")->status == 200);
    EXPECT_RESULT(run_as(daemon, "old", "['PING']"), "'PONG'");
    (void)token_file("full", "new\n");
    daemon_signal(daemon, SIGHUP);
    WAIT_UNTIL(5000, run_as(daemon, "old", "['PING']")->status == 401);
    EXPECT_RESULT(run_as(daemon, "new", "['PING']"), "'PONG'");
    (void)token_file("full", "one\ntwo\nthree\n"); /* refused: what was before stays */
    daemon_signal(daemon, SIGHUP);
    WAIT_UNTIL(5000, strstr(daemon_log(daemon), "tokens can't be read again") != NULL);
    EXPECT_RESULT(run_as(daemon, "new", "['PING']"), "'PONG'");
    expect_unauthorized(run_as(daemon, "one", "['PING']"));
    (void)token_file("full", "later\n"); /* found without being told */
    WAIT_UNTIL(4000, run_as(daemon, "later", "['PING']")->status == 200);
    expect_unauthorized(run_as(daemon, "new", "['PING']"));
}

SCENE(integration_commands_tokens, those_that_are_not_well_kept_are_told_of)
{
    const struct daemon *daemon = start("0123456789-0123456789\n", "sesame\n");
    const char *path = token_file("full", "0123456789-0123456789\n");

    WAIT_UNTIL(3000, count_in(daemon_log(daemon), "shorter than 16 characters") == 1);
    EXPECT_LOGGED(daemon, strstr(daemon_log(daemon), "option=read-only-token-file"));
    cr_assert_eq(count_in(daemon_log(daemon), "may read it"), 0);
    cr_assert_eq(chmod(path, 0644), 0); /* found without being told */
    WAIT_UNTIL(4000, count_in(daemon_log(daemon), "everybody on its host may read it") == 1);
    (void)token_file("full", "sesam-1\n");
    WAIT_UNTIL(4000, count_in(daemon_log(daemon), "shorter than 16 characters") == 2);
    cr_assert(!strstr(daemon_log(daemon), "sesam"), "a token is in the log");
}

/*
 * Who can read /proc of the daemon finds no secret in its environment, and a crash leaves none in a
 * file.
 */
SCENE(integration_commands_tokens, the_environment_does_not_keep_them)
{
    static const char *const env[] = {"BELLWETHER_TOKEN=0123456789-sesame",
                                      "BELLWETHER_REDIS_PASSWORD=hidden-password",
                                      "BELLWETHER_SENTINEL_PASSWORD=hidden-password", NULL};
    const char *const flags[] = {"--redis-api", "token", "--sentinel", "127.0.0.1:1", NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.env = env, .flags = flags});
    char environment[65536] = "";
    FILE *file = fopen(text("/proc/%d/environ", (int)daemon->process->pid), "re");
    const size_t n = !file ? 0 : fread(environment, 1, sizeof(environment) - 1, file);

    if (file) {
        (void)fclose(file); /* to others than root it is closed altogether */
    }
    for (size_t i = 0; i < n; i++) {
        environment[i] = environment[i] == '\0' ? '\n' : environment[i];
    }
    cr_assert(!strstr(environment, "sesame") && !strstr(environment, "hidden"), "%s", environment);
    cr_assert(n == 0 || strstr(environment, "BELLWETHER_TOKEN="), "%s", environment);
    const char *limits = file_read(text("/proc/%d/limits", (int)daemon->process->pid));
    const char *core = strstr(limits, "Max core file size");
    unsigned long long soft = 1, hard = 1;
    cr_assert(core && sscanf(core, "Max core file size %llu %llu", &soft, &hard) == 2, "%s",
              limits);
    cr_assert(soft == 0 && hard == 0, "%s", limits);
    cr_assert_eq(run_as(daemon, "wrong", "['PING']")->status, 401);
    cr_assert_eq(run_as(daemon, "0123456789-sesame", "['PING']")->status, 503,
                 "it is known all the same");
}

SCENE(integration_commands_tokens, loopback_is_for_this_host_and_not_for_pages)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, NULL);
    const char *own = text("Origin: %s", daemon->base);
    const char *const welcome[] = {NULL,
                                   "Host: 127.0.0.1",
                                   "Host: localhost",
                                   "Host: localhost:8380",
                                   "Host: [::1]:8380",
                                   "Host: 10.1.2.3",
                                   own,
                                   "Sec-Fetch-Site: same-origin",
                                   "Sec-Fetch-Site: none",
                                   "Authorization: Bearer anything"};

    for (size_t i = 0; i < sizeof(welcome) / sizeof(*welcome); i++) {
        EXPECT_RESULT(command_post_with(daemon, "/redis", "['PING']", welcome[i]), "'PONG'");
    }
    const char *const pages[] = {"Host: example.org",
                                 "Host: localhost.example.org",
                                 "Host: 127.0.0.1.example.org",
                                 "Origin: http://example.org",
                                 "Origin: null",
                                 text("Origin: http://127.0.0.1:%u", daemon->port + 1u),
                                 "Sec-Fetch-Site: cross-site"};
    for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
        const char *word = strncmp(pages[i], "Host: ", 6) != 0
                               ? "NOPERM"
                               : text("NOPERM Host is \"%s\": neither", pages[i] + 6);

        EXPECT_ERROR(command_post_with(daemon, "/redis", "['SET','k','v']", pages[i]), 403, word,
                     NULL);
        EXPECT_ERROR(daemon_get_with(daemon, "/redis/get/k", pages[i]), 403, word, NULL);
    }
    cr_assert_str_eq(redis_say(&cluster->nodes[0], "EXISTS k"), "0");
    cr_assert_eq(daemon_get_with(daemon, "/master", "Host: example.org")->status, 403);
    cr_assert_eq(daemon_get_with(daemon, "/master", "Origin: http://example.org")->status, 200,
                 "it is the browser that keeps the answer from the page");
}

SCENE(integration_commands_tokens, over_a_unix_socket_any_host_will_do)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = daemon_launch(
        &(struct daemon_spec){.cluster = cluster,
                              .flags = (const char *const[]){"--redis-api", "loopback", NULL},
                              .unix_socket = true});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    struct http_request request = {
        .base = "http://unix", .unix_socket = daemon->unix_socket, .path = "/master"};
    cr_assert_eq(http_send(&request)->status, 200);
    request.method = "POST";
    request.path = "/redis";
    request.body = "[\"PING\"]";
    request.body_len = strlen(request.body);
    EXPECT_RESULT(http_send(&request), "'PONG'");
}

SCENE(integration_commands_tokens, one_authorization_is_enough)
{
    const struct daemon *daemon = start("sesame\n", "look\n");
    static const char *const heads[] = {
        "Host: a\r\nAuthorization: Bearer sesame\r\nAuthorization: Bearer sesame\r\n",
        "Host: a\r\nAuthorization: Bearer sesame\r\nauthorization: Bearer wrong\r\n",
    };

    for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
        struct raw *raw = raw_open(daemon->port);
        const char *bytes =
            text("POST /redis HTTP/1.1\r\n%sContent-Length: 8\r\n\r\n[\"PING\"]", heads[i]);

        cr_assert(raw_send(raw, bytes, strlen(bytes)));
        const struct http_answer *answer = raw_answer(raw, 5000);
        EXPECT_ERROR(answer, 400, "BADREQUEST", NULL);
        cr_assert(strstr(answer->body, "two headers"), "%s", answer->body);
    }
}

SCENE(integration_commands_tokens, off_is_the_default)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    cr_assert_eq(command_post(daemon, "/redis", "['PING']")->status, 404);
    cr_assert_eq(daemon_get(daemon, "/redis/get/k")->status, 404);
    cr_assert_eq(command_post(daemon, "/replica/redis", "['PING']")->status, 404);
    static const struct {
        const char *path, *header;
        long status;
    } texts[] = {
        {"/redis/get/k", "Accept: text/plain", 404},
        {"/redis/get/%zz", "Accept: text/plain", 400},
        {"/redis/get/k?format=text", "Host: page.example", 403},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        const struct http_answer *answer = daemon_get_with(daemon, texts[i].path, texts[i].header);

        cr_assert_eq(answer->status, texts[i].status, "%s: %s", texts[i].path, answer->body);
        cr_assert_str_eq(http_header(answer, "content-type"), "text/plain; charset=utf-8", "%s",
                         texts[i].path);
    }
    cr_assert_eq(daemon_get_with(daemon, "/redis/get/%zz", "Accept: */*")->status, 400);
    cr_assert_eq(daemon_get_with(daemon, "/redis/get/k", "Host: page.example")->status, 403);
}
