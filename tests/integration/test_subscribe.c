/*
 * /redis/subscribe and /redis/psubscribe: one subscription for all who listen, what is refused, and
 * what becomes of them as the daemon ends.
 */
#include <signal.h>
#include <string.h>

#include "../support/commands.h"
#include "../support/listening.h"
#include "../support/scene.h"

SCENE_SUITE(integration_subscribe);

/* ---- one for all ---- */

static size_t pubsub_clients(const struct server *node)
{
    return count_in(redis_say(node, "CLIENT LIST TYPE pubsub"), "id=");
}

SCENE(integration_subscribe, streams_share_one_subscription)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct server *node = &cluster->nodes[0];
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--workers", "1", NULL);
    const size_t others = pubsub_clients(node);
    struct listening *first = listening_open(daemon, "/redis/subscribe/news");
    struct listening *second = listening_open(daemon, "/redis/subscribe/news/weather");
    struct listening *named = listening_open(daemon, "/masters/mymaster/redis/psubscribe/n%3Fws");

    EXPECT_HEARD(first, "data: subscribe,news,1\n\n");
    EXPECT_HEARD(second, "data: subscribe,news,1\n\n");
    EXPECT_HEARD(second, "data: subscribe,weather,2\n\n");
    EXPECT_HEARD(named, "data: psubscribe,n?ws,1\n\n");
    cr_assert(strstr(first->head, text("X-Bellwether-Master: %s", node->address)), "%s",
              first->head);
    cr_expect_eq(subscribed_to(node, "news"), 1);
    cr_expect_eq(subscribed_to(node, "weather"), 1);
    cr_expect_str_eq(redis_say(node, "PUBSUB NUMPAT"), "1");
    cr_expect_eq(pubsub_clients(node), others + 1);
    cr_expect_eq(metric_of(daemon, "bellwether_http_waiters{kind=\"subscription\"}"), 3);
    cr_expect_eq(http_number(daemon_get(daemon, "/status"), "masters.0.pool.subscribers"), 3);
    cr_expect_eq(http_number(daemon_get(daemon, "/status"), "masters.0.pool.channels"), 3);
    cr_expect(
        strstr(daemon_get(daemon, "/status?format=text")->body, "channels  3, for 3 who listen"));
    EXPECT_RESULT(command_run(daemon, "PUBLISH", "news", "it, rains", NULL), "2");
    EXPECT_HEARD(first, "data: message,news,it, rains\n\n");
    EXPECT_HEARD(second, "data: message,news,it, rains\n\n");
    EXPECT_HEARD(named, "data: pmessage,n?ws,news,it, rains\n\n");
    EXPECT_RESULT(command_run(daemon, "PUBLISH", "weather", "{\"rain\":1}", NULL), "1");
    EXPECT_HEARD(second, "data: message,weather,{\"rain\":1}\n\n");
    listening_close(second);
    WAIT_UNTIL(20000, subscribed_to(node, "weather") == 0);
    cr_expect_eq(subscribed_to(node, "news"), 1);
    EXPECT_RESULT(command_run(daemon, "PUBLISH", "news", "still", NULL), "2");
    EXPECT_HEARD(first, "data: message,news,still\n\n");
    listening_close(first);
    listening_close(named);
    WAIT_UNTIL(20000, pubsub_clients(node) == others);
    WAIT_UNTIL(20000, metric_of(daemon, "bellwether_http_waiters{kind=\"subscription\"}") == 0);
}

/*
 * What is confirmed already is told at once, not with whatever happens next in the worker: that is
 * its looking after those who sleep, once a second, or a ping. So seldom, five in a row are never
 * quick by chance.
 */
SCENE(integration_subscribe, who_comes_second_is_told_at_once)
{
    const int64_t quick_ms = 100;
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--workers", "1", NULL);
    struct listening *all[60];
    size_t n = 0;
    int in_a_row = 0;

    all[n++] = listening_open(daemon, "/redis/subscribe/c");
    EXPECT_HEARD(all[0], "data: subscribe,c,1\n\n");
    while (in_a_row < 5) {
        const int64_t began_ms = running_ms();

        cr_assert(n < sizeof(all) / sizeof(*all), "heads come late");
        all[n] = listening_open(daemon, "/redis/subscribe/c");
        in_a_row = running_ms() - began_ms < quick_ms ? in_a_row + 1 : 0;
        n++;
    }
    while (n > 0) {
        raw_close(all[--n]->raw);
    }
}

SCENE(integration_subscribe, what_a_line_can_not_hold)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct server *node = &cluster->nodes[0];
    const struct daemon *daemon = commands_start(cluster, ALLOWED, NULL);
    struct listening *listening = listening_open(daemon, "/redis/subscribe/c");
    struct listening *pattern = listening_open(daemon, "/redis/psubscribe/x*");

    EXPECT_HEARD(listening, "data: subscribe,c,1\n\n");
    EXPECT_HEARD(pattern, "data: psubscribe,x*,1\n\n");
    (void)redis_say(node, "PUBLISH c %b", "two\nlines", (size_t)9);
    EXPECT_HEARD(listening, "data: message,c,\"two\\nlines\"\n\n");
    (void)redis_say(node, "PUBLISH c %b", "{\r\n \"a\": 1\n}", (size_t)12);
    EXPECT_HEARD(listening, "data: message,c,{   \"a\": 1 }\n\n");
    (void)redis_say(node, "PUBLISH c %b", "\xff\xfe z", (size_t)4);
    EXPECT_HEARD(listening, "data: message,c,\xEF\xBF\xBD\xEF\xBF\xBD z\n\n");
    (void)redis_say(node, "PUBLISH c %b", "", (size_t)0);
    EXPECT_HEARD(listening, "data: message,c,\n\n");
    (void)redis_say(node, "PUBLISH %b y", "x\n\ndata: message,c,z", (size_t)20);
    EXPECT_HEARD(pattern, "data: pmessage,x*,x\xEF\xBF\xBD\xEF\xBF\xBD"
                          "data: message,c,z,y\n\n");
    listening_close(listening);
    listening_close(pattern);
}

/* As Upstash's own clients ask: POST, with an empty list as its body. */
SCENE(integration_subscribe, methods_and_bad_input)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, ALLOWED, NULL);
    struct listening *posted = listening_begin(daemon, "POST", "/redis/subscribe/c", "[]");
    const char *many = "/redis/subscribe";

    listening_expect_begun(posted);
    EXPECT_HEARD(posted, "data: subscribe,c,1\n\n");
    listening_close(posted);
    const struct http_answer *head = daemon_ask(daemon, "HEAD", "/redis/subscribe/c");
    cr_expect_eq(head->status, 200);
    cr_expect_str_eq(http_header(head, "content-type"), "text/event-stream");
    cr_expect_eq(daemon_ask(daemon, "DELETE", "/redis/subscribe/c")->status, 405);
    posted = listening_begin(daemon, "POST", "/redis/subscribe/c//d/", "");
    EXPECT_ERROR(raw_answer(posted->raw, patient(5000)), 400, "BADREQUEST", NULL);
    posted = listening_begin(daemon, "POST", "/redis/subscribe/c/d/", "");
    listening_expect_begun(posted);
    EXPECT_HEARD(posted, "data: subscribe,d,2\n\n");
    listening_close(posted);
    posted = listening_open(daemon, "/redis/SUBSCRIBE/C");
    EXPECT_HEARD(posted, "data: subscribe,C,1\n\n");
    raw_close(posted->raw); /* a path that openapi.yaml has no words for */
    EXPECT_ERROR(daemon_get(daemon, "/redis/subscribe"), 400,
                 "BADREQUEST the path names no channel", NULL);
    EXPECT_ERROR(command_post(daemon, "/masters/mymaster/redis/psubscribe/", "[]"), 400,
                 "BADREQUEST the path names no channel", NULL);
    EXPECT_ERROR(daemon_get(daemon, "/redis/subscribe/a%00b"), 400, "BADREQUEST", NULL);
    EXPECT_ERROR(daemon_get(daemon, "/redis/subscribe/%zz"), 400, "BADREQUEST", NULL);
    EXPECT_ERROR(daemon_get(daemon, "/redis/subscribe/c?EX=1"), 400, "BADREQUEST", NULL);
    EXPECT_ERROR(daemon_get(daemon, "/redis/subscribe/c?retry=never"), 400, "BADREQUEST", NULL);
    EXPECT_ERROR(daemon_get(daemon, text("/redis/subscribe/%01025d", 1)), 400, "BADREQUEST", NULL);
    EXPECT_ERROR(command_post(daemon, "/redis/subscribe/c", "['d']"), 400, "BADREQUEST", NULL);
    EXPECT_ERROR(daemon_get(daemon, "/masters/other/redis/subscribe/c"), 404, "NOMASTER", NULL);
    for (int i = 0; i < 101; i++) {
        many = text("%s/%d", many, i);
    }
    EXPECT_ERROR(daemon_get(daemon, many), 400, "BADREQUEST", NULL);
}

/* ---- who may ---- */

static void expect_denied(const struct http_answer *answer, const char *words)
{
    EXPECT_ERROR(answer, 403, "NOPERM", "not_sent");
    cr_assert(strstr(http_string(answer, "error"), words), "no \"%s\": %s", words,
              http_text(answer));
}

SCENE(integration_subscribe, rules)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, NULL);
    const struct daemon *allowed =
        commands_start(cluster, "--commands", "default +subscribe", NULL);

    expect_denied(daemon_get(daemon, "/redis/subscribe/c"),
                  "-@pubsub; the option commands takes +subscribe");
    expect_denied(daemon_get(daemon, "/redis/psubscribe/c"),
                  "the option commands takes +psubscribe");
    expect_denied(daemon_get(allowed, "/redis/psubscribe/c"), "+psubscribe");
    /* never as a command, whatever the rules are */
    for (size_t i = 0; i < 2; i++) {
        const struct daemon *asked = i == 0 ? daemon : allowed;

        expect_denied(command_run(asked, "SUBSCRIBE", "c", NULL),
                      "GET or POST /redis/subscribe/{channel}");
        expect_denied(daemon_get(asked, "/replica/redis/subscribe/c"),
                      "never on replicas; GET or POST /redis/subscribe/{channel}");
        expect_denied(command_run(asked, "UNSUBSCRIBE", "c", NULL),
                      "ends when its caller hangs up");
        expect_denied(command_run(asked, "MONITOR", NULL), "redis-cli MONITOR");
        expect_denied(daemon_get(asked, "/redis/monitor"), "redis-cli MONITOR");
        expect_denied(command_post(asked, "/redis/monitor", ""), "redis-cli MONITOR");
        const struct http_answer *list =
            command_post(asked, "/redis/pipeline", "[['SUBSCRIBE','c'],['PING']]");
        const char *error =
            json_string_value(json_object_get(json_array_get(list->json, 0), "error"));
        cr_assert(list->status == 200 && error && strstr(error, "never as a command") &&
                      strstr(list->body, "{\"result\":\"PONG\"}"),
                  "%s", http_text(list));
    }
    struct listening *listening = listening_open(allowed, "/redis/subscribe/__sentinel__:hello");
    EXPECT_HEARD(listening, "data: subscribe,__sentinel__:hello,1\n\n");
    EXPECT_HEARD(listening, "data: message,__sentinel__:hello,");
    listening_close(listening);
}

/* A token that reads only may listen: that changes nothing. */
SCENE(integration_subscribe, tokens)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const char *full = text("%s/token", scene_folder()), *reads = text("%s/reads", scene_folder());

    file_write(full, "write\n");
    file_write(reads, "read\n");
    const char *flags[] = {
        "--redis-api", "token", "--token-file", full, "--read-only-token-file",
        reads,         ALLOWED, "--workers",    "1",  NULL}; /* each looks at files by itself */
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags});
    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    EXPECT_ERROR(daemon_get(daemon, "/redis/subscribe/c"), 401, "NOAUTH", NULL);
    EXPECT_ERROR(daemon_get(daemon, "/redis/subscribe/c?_token=wrong"), 401, "NOAUTH", NULL);
    struct listening *listening = listening_open(daemon, "/redis/subscribe/c?_token=read");
    EXPECT_HEARD(listening, "data: subscribe,c,1\n\n");
    file_write(reads, "another\n");
    EXPECT_HEARD(listening, ": ended: the tokens have changed; connect again\n\n");
    cr_assert(listening_ends(listening), "it may be the one that was taken back");
    EXPECT_ERROR(daemon_get(daemon, "/redis/subscribe/c?_token=read"), 401, "NOAUTH", NULL);
    listening = listening_open(daemon, "/redis/subscribe/c?_token=another");
    EXPECT_HEARD(listening, "data: subscribe,c,1\n\n");
    listening_close(listening);
}

SCENE(integration_subscribe, redis_own_rules_are_an_error)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct server *node = &cluster->nodes[0];
    const struct daemon *daemon = commands_start(cluster, ALLOWED, NULL);
    struct listening *listening;

    cr_assert_str_eq(redis_say(node, "ACL SETUSER default resetchannels &free* &__sentinel__*"),
                     "OK");
    EXPECT_ERROR(daemon_get(daemon, "/redis/subscribe/secret"), 400, "NOPERM", NULL);
    EXPECT_ERROR(daemon_get(daemon, "/redis/subscribe/free/secret"), 400, "NOPERM", NULL);
    EXPECT_ERROR(daemon_get(daemon, "/redis/psubscribe/*"), 400, "NOPERM", NULL);
    cr_expect_eq(subscribed_to(node, "free"), 0);
    listening = listening_open(daemon, "/redis/subscribe/free");
    EXPECT_HEARD(listening, "data: subscribe,free,1\n\n");
    /* Redis hangs up on who listens to what he may not any more; asked again, it says why. */
    cr_assert_str_eq(redis_say(node, "ACL SETUSER default resetchannels &__sentinel__*"), "OK");
    EXPECT_HEARD(listening, ": ended: NOPERM");
    cr_assert(listening_ends(listening));
}

/* ---- the daemon ends ---- */

SCENE(integration_subscribe, who_waits_is_answered_when_the_daemon_ends)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon =
        commands_start(cluster, ALLOWED, "--command-timeout", "60s", NULL);
    const struct sent *sent;

    server_kill(&cluster->nodes[0]);
    EXPECT_NONE(daemon, NULL, NULL, 20000);
    sent = command_send(daemon, "/redis/subscribe/c", "[]");
    WAIT_UNTIL(10000, metric_of(daemon, "bellwether_http_waiters{kind=\"subscription\"}") == 1);
    daemon_signal(daemon, SIGTERM);
    EXPECT_ERROR(command_answer(sent, patient(10000)), 503, "NOTSENT", "not_sent");
    cr_expect_eq(process_wait(daemon->process, patient(10000)), 0);
}

SCENE(integration_subscribe, streams_end_with_the_daemon)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, ALLOWED, NULL);
    struct listening *listening = listening_open(daemon, "/redis/subscribe/c");

    EXPECT_HEARD(listening, "data: subscribe,c,1\n\n");
    daemon_signal(daemon, SIGTERM);
    cr_assert(listening_ends(listening));
    cr_expect_eq(process_wait(daemon->process, patient(10000)), 0);
}
