/*
 * /redis/subscribe and /redis/psubscribe: one subscription for all who listen, through failovers of
 * either kind, what is refused, and who is cut off.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../support/commands.h"
#include "../support/fake.h"
#include "../support/scene.h"

SCENE_SUITE(integration_subscribe);

#define ALLOWED "--commands", "default +subscribe +psubscribe"

/* ---- who listens ---- */

struct listening {
    const char *path;
    struct raw *raw;
    const char *head;
    char *heard; /* all blocks so far */
};

static struct listening *begin_to_listen(const struct daemon *daemon, const char *method,
                                         const char *path, const char *body)
{
    struct listening *listening = scene_alloc(sizeof(*listening));
    /* HTTP/1.0 has no chunks to take apart */
    const char *request = text("%s %s HTTP/1.0\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
                               "Content-Length: %zu\r\n\r\n%s",
                               method, path, strlen(body), body);

    listening->path = path;
    listening->heard = text("%s", "");
    listening->raw = raw_open(daemon->port);
    cr_assert(listening->raw && raw_send(listening->raw, request, strlen(request)));
    return listening;
}

static void expect_to_listen(struct listening *listening)
{
    listening->head = raw_upto(listening->raw, "\r\n\r\n", patient(20000));
    cr_assert(listening->head && strstr(listening->head, " 200 ") &&
                  strstr(listening->head, "text/event-stream"),
              "%s: %s", listening->path, !listening->head ? "no answer" : listening->head);
}

static struct listening *listen_to(const struct daemon *daemon, const char *path)
{
    struct listening *listening = begin_to_listen(daemon, "GET", path, "");

    expect_to_listen(listening);
    return listening;
}

/* Whether a block that begins like this comes, or has come since the last one that was heard. */
static bool hears_within(struct listening *listening, const char *begin, int64_t bound_ms)
{
    const int64_t end = now_ms() + bound_ms;

    for (;;) {
        const int64_t left = end - now_ms();
        const char *block = raw_upto(listening->raw, "\n\n", left > 0 ? left : 0);

        if (!block) {
            return false;
        }
        listening->heard = text("%s%s", listening->heard, block);
        if (strncmp(block, begin, strlen(begin)) == 0) {
            return true;
        }
    }
}

#define EXPECT_HEARD(listening, begin) \
    cr_assert(hears_within(listening, begin, patient(20000)), "not heard: %s; but %s", begin, \
              (listening)->heard)

static void stop_listening(struct listening *listening)
{
    json_t *headers = json_pack("{s:s, s:s, s:s}", "content-type", "text/event-stream",
                                "cache-control", "no-store", "x-content-type-options", "nosniff");

    scene_record("GET", listening->path, 200, headers, listening->heard, strlen(listening->heard),
                 false);
    json_decref(headers);
    raw_close(listening->raw);
}

static bool ends(struct listening *listening)
{
    (void)hears_within(listening, "nothing begins like this", patient(10000));
    return raw_ended(listening->raw);
}

static long subscribed_to(const struct server *node, const char *channel)
{
    const char *said = redis_say(node, "PUBSUB NUMSUB %s", channel);
    const char *blank = strrchr(said, ' ');

    return !blank ? -1 : strtol(blank + 1, NULL, 10);
}

static size_t pubsub_clients(const struct server *node)
{
    return count_in(redis_say(node, "CLIENT LIST TYPE pubsub"), "id=");
}

/* ---- one for all ---- */

SCENE(integration_subscribe, streams_share_one_subscription)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct server *node = &cluster->nodes[0];
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--workers", "1", NULL);
    const size_t others = pubsub_clients(node);
    struct listening *first = listen_to(daemon, "/redis/subscribe/news");
    struct listening *second = listen_to(daemon, "/redis/subscribe/news/weather");
    struct listening *named = listen_to(daemon, "/masters/mymaster/redis/psubscribe/n%3Fws");

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
    stop_listening(second);
    WAIT_UNTIL(20000, subscribed_to(node, "weather") == 0);
    cr_expect_eq(subscribed_to(node, "news"), 1);
    EXPECT_RESULT(command_run(daemon, "PUBLISH", "news", "still", NULL), "2");
    EXPECT_HEARD(first, "data: message,news,still\n\n");
    stop_listening(first);
    stop_listening(named);
    WAIT_UNTIL(20000, pubsub_clients(node) == others);
    cr_expect_eq(metric_of(daemon, "bellwether_http_waiters{kind=\"subscription\"}"), 0);
}

SCENE(integration_subscribe, what_a_line_can_not_hold)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct server *node = &cluster->nodes[0];
    const struct daemon *daemon = commands_start(cluster, ALLOWED, NULL);
    struct listening *listening = listen_to(daemon, "/redis/subscribe/c");
    struct listening *pattern = listen_to(daemon, "/redis/psubscribe/x*");

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
    stop_listening(listening);
    stop_listening(pattern);
}

/* As Upstash's own clients ask: POST, with an empty list as its body. */
SCENE(integration_subscribe, methods_and_bad_input)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, ALLOWED, NULL);
    struct listening *posted = begin_to_listen(daemon, "POST", "/redis/subscribe/c", "[]");
    const char *many = "/redis/subscribe";

    expect_to_listen(posted);
    EXPECT_HEARD(posted, "data: subscribe,c,1\n\n");
    stop_listening(posted);
    const struct http_answer *head = daemon_ask(daemon, "HEAD", "/redis/subscribe/c");
    cr_expect_eq(head->status, 200);
    cr_expect_str_eq(http_header(head, "content-type"), "text/event-stream");
    cr_expect_eq(daemon_ask(daemon, "DELETE", "/redis/subscribe/c")->status, 405);
    posted = begin_to_listen(daemon, "POST", "/redis/subscribe/c//d/", "");
    EXPECT_ERROR(raw_answer(posted->raw, patient(5000)), 400, "BADREQUEST", NULL);
    posted = begin_to_listen(daemon, "POST", "/redis/subscribe/c/d/", "");
    expect_to_listen(posted);
    EXPECT_HEARD(posted, "data: subscribe,d,2\n\n");
    stop_listening(posted);
    posted = listen_to(daemon, "/redis/SUBSCRIBE/C");
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
    struct listening *listening = listen_to(allowed, "/redis/subscribe/__sentinel__:hello");
    EXPECT_HEARD(listening, "data: subscribe,__sentinel__:hello,1\n\n");
    EXPECT_HEARD(listening, "data: message,__sentinel__:hello,");
    stop_listening(listening);
}

/* A token that reads only may listen: that changes nothing. */
SCENE(integration_subscribe, tokens)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const char *full = text("%s/token", scene_folder()), *reads = text("%s/reads", scene_folder());

    file_write(full, "write\n");
    file_write(reads, "read\n");
    const char *flags[] = {
        "--redis-api", "token", "--token-file", full, "--read-only-token-file", reads,
        ALLOWED,       NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags});
    EXPECT_MASTER(daemon, &cluster->nodes[0], 5000);
    EXPECT_ERROR(daemon_get(daemon, "/redis/subscribe/c"), 401, "NOAUTH", NULL);
    EXPECT_ERROR(daemon_get(daemon, "/redis/subscribe/c?_token=wrong"), 401, "NOAUTH", NULL);
    struct listening *listening = listen_to(daemon, "/redis/subscribe/c?_token=read");
    EXPECT_HEARD(listening, "data: subscribe,c,1\n\n");
    file_write(reads, "another\n");
    EXPECT_HEARD(listening, ": ended: the tokens have changed; connect again\n\n");
    cr_assert(ends(listening), "it may be the one that was taken back");
    EXPECT_ERROR(daemon_get(daemon, "/redis/subscribe/c?_token=read"), 401, "NOAUTH", NULL);
    listening = listen_to(daemon, "/redis/subscribe/c?_token=another");
    EXPECT_HEARD(listening, "data: subscribe,c,1\n\n");
    stop_listening(listening);
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
    listening = listen_to(daemon, "/redis/subscribe/free");
    EXPECT_HEARD(listening, "data: subscribe,free,1\n\n");
    /* Redis hangs up on who listens to what he may not any more; asked again, it says why. */
    cr_assert_str_eq(redis_say(node, "ACL SETUSER default resetchannels &__sentinel__*"), "OK");
    EXPECT_HEARD(listening, ": ended: NOPERM");
    cr_assert(ends(listening));
}

/* ---- through failovers ---- */

/* From the old master to the new one, with a word about what is missing. */
static void expect_through(struct cluster *cluster, struct listening *listening, const char *begin)
{
    struct server *old = &cluster->nodes[0];
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    const char *since, *from, *to;

    EXPECT_HEARD(listening, ": interrupted since ");
    EXPECT_HEARD(listening, ": gap from ");
    from = strstr(listening->heard, ": gap from ") + strlen(": gap from ");
    to = strstr(from, " to ") + strlen(" to ");
    since = strstr(listening->heard, ": interrupted since ") + strlen(": interrupted since ");
    cr_assert(strncmp(since, from, 24) == 0, "%s", listening->heard);
    cr_assert(from[4] == '-' && to[4] == '-' && strncmp(from, to, 24) <= 0, "%s", from);
    WAIT_UNTIL(10000, strtol(redis_say(now, "PUBLISH c after"), NULL, 10) > 0);
    EXPECT_HEARD(listening, text("data: %s,after\n\n", begin));
}

static void go_through(int signal_number, bool by_hand)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--workers", "1", NULL);
    struct listening *channel = listen_to(daemon, "/redis/subscribe/c/d");
    struct listening *pattern = listen_to(daemon, "/redis/psubscribe/c*");

    EXPECT_HEARD(channel, "data: subscribe,d,2\n\n");
    EXPECT_HEARD(pattern, "data: psubscribe,c*,1\n\n");
    (void)redis_say(&cluster->nodes[0], "PUBLISH c before");
    EXPECT_HEARD(channel, "data: message,c,before\n\n");
    EXPECT_HEARD(pattern, "data: pmessage,c*,c,before\n\n");
    if (by_hand) {
        cluster_failover(cluster);
    } else if (signal_number == SIGSTOP) {
        server_freeze(&cluster->nodes[0]);
    } else {
        server_kill(&cluster->nodes[0]);
    }
    expect_through(cluster, channel, "message,c");
    expect_through(cluster, pattern, "pmessage,c*,c");
    cr_expect_eq(count_in(channel->heard, "data: subscribe,"), 2, "confirmed again: %s",
                 channel->heard);
    stop_listening(channel);
    stop_listening(pattern);
}

SCENE(integration_subscribe, kill_nine)
{
    go_through(SIGKILL, false);
}

SCENE(integration_subscribe, master_frozen)
{
    go_through(SIGSTOP, false);
}

SCENE(integration_subscribe, failover_by_hand)
{
    go_through(0, true);
}

/* ---- several workers ---- */

enum { STREAMS = 8, MESSAGES = 20, WORKERS = 2 };

/* Each hears all that are sent now, and each of them once. */
static void expect_each_once(struct listening *const *streams, const struct server *node,
                             const char *round)
{
    for (int i = 0; i < MESSAGES; i++) {
        cr_assert_str_eq(redis_say(node, "PUBLISH c %s-%d", round, i), text("%d", WORKERS));
    }
    for (size_t i = 0; i < STREAMS; i++) {
        EXPECT_HEARD(streams[i], text("data: message,c,%s-%d\n\n", round, MESSAGES - 1));
        for (int k = 0; k < MESSAGES; k++) {
            cr_assert_eq(count_in(streams[i]->heard, text("message,c,%s-%d\n", round, k)), 1,
                         "stream %zu, %d: %s", i, k, streams[i]->heard);
        }
    }
}

/* The kernel deals out those who come: whoever goes to a worker that has enough is let go. */
static void listen_with_all_workers(const struct daemon *daemon, const struct server *node,
                                    struct listening **streams)
{
    size_t n = 0;

    for (int tries = 0; n < STREAMS; tries++) {
        cr_assert_lt(tries, 200, "one worker gets all of them");
        streams[n] = listen_to(daemon, "/redis/subscribe/c");
        EXPECT_HEARD(streams[n], "data: subscribe,c,1\n\n");
        if (n < STREAMS - 1 || subscribed_to(node, "c") == WORKERS) {
            n++;
        } else {
            raw_close(streams[n]->raw);
        }
    }
}

/* One connection of each, however many listen; Sentinels', too, are there, and have names. */
static void expect_one_of_each(const struct server *node)
{
    const char *list = redis_say(node, "CLIENT LIST TYPE pubsub");

    cr_assert_eq(subscribed_to(node, "c"), WORKERS);
    cr_assert_eq(count_in(list, " name= "), WORKERS, "%s", list);
}

static void share_through(bool by_hand)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--workers", "2", NULL);
    struct server *old = &cluster->nodes[0];
    struct listening *streams[STREAMS];

    listen_with_all_workers(daemon, old, streams);
    expect_one_of_each(old);
    expect_each_once(streams, old, "before");
    if (by_hand) {
        cluster_failover(cluster);
    } else {
        server_kill(old);
    }
    const struct server *now = cluster_wait_switch(cluster, old, 30000);
    for (size_t i = 0; i < STREAMS; i++) {
        EXPECT_HEARD(streams[i], ": gap from ");
    }
    expect_one_of_each(now);
    expect_each_once(streams, now, "after");
    for (size_t i = 0; i < STREAMS; i++) {
        cr_assert_eq(count_in(streams[i]->heard, ": gap from "), 1, "%s", streams[i]->heard);
        cr_assert_eq(count_in(streams[i]->heard, "data: message,"), 2 * MESSAGES);
        stop_listening(streams[i]);
    }
}

SCENE(integration_subscribe, two_workers_share_through_kill_nine)
{
    share_through(false);
}

SCENE(integration_subscribe, two_workers_share_through_a_failover_by_hand)
{
    share_through(true);
}

/* ---- a server that is lost, or says nothing ---- */

SCENE(integration_subscribe, the_connection_alone_is_lost)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct server *node = &cluster->nodes[0];
    const struct daemon *daemon = commands_start(cluster, ALLOWED, NULL);
    struct listening *listening = listen_to(daemon, "/redis/subscribe/c");

    EXPECT_HEARD(listening, "data: subscribe,c,1\n\n");
    (void)redis_say(node, "CLIENT KILL TYPE pubsub");
    EXPECT_HEARD(listening, ": gap from ");
    cr_expect_eq(subscribed_to(node, "c"), 1);
    (void)redis_say(node, "PUBLISH c again");
    EXPECT_HEARD(listening, "data: message,c,again\n\n");
    stop_listening(listening);
}

/* Like a command: it waits for a master as long as command-timeout says. */
SCENE(integration_subscribe, no_master)
{
    struct cluster *cluster = cluster_start_one(NULL);
    struct server *node = &cluster->nodes[0];
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--command-timeout", "2s",
                                                 "--verify-interval", "200ms", NULL);
    const struct daemon *patiently =
        commands_start(cluster, ALLOWED, "--command-timeout", "60s", NULL);
    struct listening *waiting;

    server_kill(node);
    EXPECT_NONE(daemon, NULL, NULL, 20000);
    EXPECT_NONE(patiently, NULL, NULL, 20000);
    EXPECT_ERROR(daemon_get(daemon, "/redis/subscribe/c"), 503, "NOMASTER", "not_sent");
    waiting = begin_to_listen(patiently, "GET", "/redis/subscribe/c", "");
    WAIT_UNTIL(10000, metric_of(patiently, "bellwether_http_waiters{kind=\"subscription\"}") == 1);
    server_start(node);
    expect_to_listen(waiting);
    EXPECT_HEARD(waiting, "data: subscribe,c,1\n\n");
    stop_listening(waiting);
}

/* It took a while to get there, and then the server does not answer. */
SCENE(integration_subscribe, no_confirmation)
{
    struct fake_words words = {.role = "master", .mute = "SUBSCRIBE C", .hold = true};
    struct fake *node = fake_start(FAKE_NODE, &words);
    const struct fake *sentinel = fake_start_sentinel(fake_port(node));
    const struct daemon *daemon =
        daemon_start(NULL, "--redis-api", "loopback", ALLOWED, "--sentinel", fake_address(sentinel),
                     "--verify", "off", "--verify-timeout", "5s", "--command-timeout", "3s", NULL);
    const struct sent *sent;

    WAIT_UNTIL(5000, status_of(daemon, "/master") == 200);
    sent = command_send(daemon, "/redis/subscribe/c", "[]");
    WAIT_UNTIL(2000, fake_held(node) > 0);
    HOLDS_FOR(200, fake_heard(node, "SUBSCRIBE") == 0);
    words.hold = false;
    fake_say(node, &words);
    const struct http_answer *answer = command_answer(sent, patient(20000));
    EXPECT_ERROR(answer, 503, "NOTSENT", "not_sent");
    cr_assert(strstr(http_string(answer, "error"), "has not confirmed it within 3000 ms"), "%s",
              http_text(answer));
    cr_expect_eq(fake_heard(node, "SUBSCRIBE"), 1);
    WAIT_UNTIL(5000, metric_of(daemon, "bellwether_http_waiters{kind=\"subscription\"}") == 0);
}

/* ---- limits ---- */

SCENE(integration_subscribe, streams_count_among_those_that_wait)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--max-waiters", "1", NULL);
    struct listening *listening = listen_to(daemon, "/redis/subscribe/c");

    EXPECT_HEARD(listening, "data: subscribe,c,1\n\n");
    EXPECT_ERROR(daemon_get(daemon, "/redis/subscribe/c"), 503, "TOOMANY", NULL);
    stop_listening(listening);
}

/* Long before anything is to be written to him. */
SCENE(integration_subscribe, who_hangs_up_gives_his_place_back)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--max-waiters", "2", NULL);
    struct listening *listening = listen_to(daemon, "/redis/subscribe/c");
    struct listening *events = listen_to(daemon, "/events");

    EXPECT_HEARD(listening, "data: subscribe,c,1\n\n");
    raw_shut(listening->raw);
    raw_close(events->raw);
    WAIT_UNTIL(8000, metric_of(daemon, "bellwether_http_waiters{kind=\"subscription\"}") == 0 &&
                         metric_of(daemon, "bellwether_http_waiters{kind=\"stream\"}") == 0);
    cr_assert(ends(listening));
    stop_listening(listening);
}

SCENE(integration_subscribe, slow_readers_are_cut_off)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct server *node = &cluster->nodes[0];
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--workers", "1", NULL);
    struct listening *slow = listen_to(daemon, "/redis/subscribe/c");
    struct listening *quick = listen_to(daemon, "/redis/subscribe/c");
    char *payload = scene_alloc(20001);

    memset(payload, 'x', 20000);
    for (int i = 0; i < 2000 && metric_of(daemon, "bellwether_streams_cut_total") < 1; i++) {
        (void)redis_say(node, "PUBLISH c %s", payload);
        EXPECT_HEARD(quick, "data: message,c,xxx");
        quick->heard[0] = '\0';
    }
    cr_assert_eq(metric_of(daemon, "bellwether_streams_cut_total"), 1);
    WAIT_UNTIL(10000, metric_of(daemon, "bellwether_http_waiters{kind=\"subscription\"}") == 1);
    (void)redis_say(node, "PUBLISH c end");
    EXPECT_HEARD(quick, "data: message,c,end\n\n");
    stop_listening(quick);
    raw_close(slow->raw);
}

static void publish_at_once(const struct server *node, const char *channel, int n, int bytes)
{
    const char *script = text("for i = 1, %d do redis.call('PUBLISH', '%s', i .. ' ' .. "
                              "string.rep('x', %d)) end return 'OK'",
                              n, channel, bytes);

    cr_assert_str_eq(redis_say(node, "EVAL %s 0", script), "OK");
}

/* It comes faster than he can be written to, and he reads. */
SCENE(integration_subscribe, a_burst_reaches_who_reads)
{
    const int n = 20000;
    struct cluster *cluster = cluster_start_one(NULL);
    const struct server *node = &cluster->nodes[0];
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--workers", "1", NULL);
    struct listening *listening = listen_to(daemon, "/redis/subscribe/c");

    EXPECT_HEARD(listening, "data: subscribe,c,1\n\n");
    publish_at_once(node, "c", n, 200);
    for (int i = 1; i <= n; i++) {
        const char *block = raw_upto(listening->raw, "\n\n", patient(20000));
        const char *begin = text("data: message,c,%d x", i);

        cr_assert(block && strncmp(block, begin, strlen(begin)) == 0, "not %s, but %.40s", begin,
                  block ? block : "the end");
    }
    cr_expect_eq(metric_of(daemon, "bellwether_streams_cut_total"), 0);
    stop_listening(listening);
}

/* A mebibyte may wait for who reads nothing; with more he is cut off a second later. */
SCENE(integration_subscribe, a_mebibyte_may_be_unread)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct server *node = &cluster->nodes[0];
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--workers", "1", NULL);
    struct listening *listening = listen_to(daemon, "/redis/subscribe/c/d");

    EXPECT_HEARD(listening, "data: subscribe,d,2\n\n");
    publish_at_once(node, "c", 100, 10000);
    HOLDS_FOR(1500, metric_of(daemon, "bellwether_streams_cut_total") == 0 &&
                        *redis_say(node, "PUBLISH c again") == '1');
    /* what the kernel takes of it comes on top */
    publish_at_once(node, "c", 1000, 10000);
    WAIT_UNTIL(20000, redis_say(node, "PUBLISH c again") &&
                          metric_of(daemon, "bellwether_streams_cut_total") == 1);
    cr_assert(strstr(daemon_log(daemon), "stream=\"subscribe c d\" because=\"its reader has over 1 "
                                         "MiB unread and takes nothing for 1 s\" streams=1"),
              "%s", daemon_log(daemon));
    raw_close(listening->raw);
}

SCENE(integration_subscribe, sixteen_mebibytes_are_too_many)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct server *node = &cluster->nodes[0];
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--workers", "1", NULL);
    struct listening *listening = listen_to(daemon, "/redis/psubscribe/c*");

    EXPECT_HEARD(listening, "data: psubscribe,c*,1\n\n");
    for (int i = 0; i < 2; i++) { /* so fast that a second need not have passed */
        publish_at_once(node, "c", 12, 1000000);
    }
    WAIT_UNTIL(20000, redis_say(node, "PUBLISH c again") &&
                          metric_of(daemon, "bellwether_streams_cut_total") == 1);
    cr_assert(strstr(daemon_log(daemon), "stream=\"psubscribe c*\""), "%s", daemon_log(daemon));
    raw_close(listening->raw);
}

/* What is published must not be missing unseen. */
SCENE(integration_subscribe, without_memory_streams_are_cut_off)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct server *node = &cluster->nodes[0];
    const struct daemon *daemon = commands_start(cluster, ALLOWED, "--max-memory", "1MiB", NULL);
    struct listening *listening = listen_to(daemon, "/redis/subscribe/c");
    char *payload = scene_alloc(700001);

    memset(payload, 'x', 700000);
    EXPECT_HEARD(listening, "data: subscribe,c,1\n\n");
    (void)redis_say(node, "PUBLISH c %s", payload);
    cr_assert(ends(listening));
    cr_expect_eq(metric_of(daemon, "bellwether_streams_cut_total"), 1);
    still_serves(daemon);
}

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
    struct listening *listening = listen_to(daemon, "/redis/subscribe/c");

    EXPECT_HEARD(listening, "data: subscribe,c,1\n\n");
    daemon_signal(daemon, SIGTERM);
    cr_assert(ends(listening));
    cr_expect_eq(process_wait(daemon->process, patient(10000)), 0);
}
