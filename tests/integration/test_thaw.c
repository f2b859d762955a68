/*
 * The whole daemon stands still for a while (SIGSTOP) and goes on: what it says then, from the
 * first moment on.
 */
#include <signal.h>
#include <string.h>

#include "../support/daemon.h"
#include "../support/faults.h"
#include "../support/scene.h"
#include "../support/stream.h"

SCENE_SUITE(integration_thaw);

enum { FREEZES = 3, FROZEN_MS = 1500 };

static const char *member(const json_t *master, const char *name)
{
    const char *value = json_string_value(json_object_get(master, name));

    return value ? value : "";
}

static void freeze_and_thaw(const struct daemon *daemon)
{
    process_freeze(daemon->process);
    HOLDS_FOR(FROZEN_MS, !process_ended(daemon->process));
    daemon_signal(daemon, SIGCONT);
}

/* What it says of itself is true: it does not start, and what is down is not so because of it. */
static void expect_true(const json_t *said, const struct daemon *daemon)
{
    const char *state = member(said, "state"), *reason = member(said, "reason");
    const bool of_pause = strcmp(reason, "watcher_stalled") == 0;

    cr_assert_str_neq(reason, "starting", "%s\n%s", json_dumps(said, 0), daemon_log(daemon));
    cr_assert(!of_pause || strcmp(state, "down") != 0, "%s\n%s", json_dumps(said, 0),
              daemon_log(daemon));
    cr_assert(!of_pause || !json_is_true(json_object_get(said, "verified")), "%s",
              json_dumps(said, 0));
}

static json_int_t index_of(const struct http_answer *answer)
{
    return json_integer_value(json_object_get(answer->json, "index"));
}

/* Ask as fast as it answers, until it says a master again: not the one of before, unconfirmed. */
static void ask_until_200(const struct daemon *daemon, json_int_t before)
{
    struct raw *raw = raw_open(daemon->port);
    const int64_t end_ms = now_ms() + patient(5000);

    for (;;) {
        const struct http_answer *answer = raw_get(raw, "/master", 3000);

        cr_assert(answer);
        expect_true(answer->json, daemon);
        if (answer->status == 200) {
            cr_assert_gt(index_of(answer), before, "%s\n%s", http_text(answer), daemon_log(daemon));
            return;
        }
        cr_assert(now_ms() < end_ms, "%s\n%s", http_text(answer), daemon_log(daemon));
    }
}

SCENE(integration_thaw, a_pause_is_no_news_of_the_master)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    const struct server *node = &cluster->nodes[0];
    size_t from = 0, well = 0, other = 0;

    EXPECT_MASTER(daemon, node, 3000);
    struct stream *stream = stream_open(daemon, "/events", NULL);
    (void)stream_wait(stream, &from, "master", node->address, 3000);
    for (int i = 0; i < FREEZES; i++) {
        const json_int_t before = index_of(daemon_get(daemon, "/master"));

        freeze_and_thaw(daemon);
        ask_until_200(daemon, before);
        (void)stream_wait(stream, &from, "master", "\"state\":\"ok\"", 3000);
    }
    while (stream_read(stream, 300)) { /* what else there is */
    }
    for (size_t i = 1; i < stream->n; i++) {
        const json_t *said = stream->events[i].data;

        if (strcmp(stream->events[i].event, "master") == 0) {
            expect_true(said, daemon);
            cr_expect_str_eq(member(said, "address"), node->address);
            const bool is_well =
                strcmp(member(said, "state"), "ok") == 0 && strcmp(member(said, "reason"), "") == 0;
            well += is_well;
            other += !is_well;
        }
    }
    stream_close(stream);
    /* A slow machine has pauses of its own, and Sentinels that are late for a moment. */
    EXPECT_LOGGED(daemon, count_in(daemon_log(daemon), "the clock jumped") >= FREEZES);
    const size_t jumps = count_in(daemon_log(daemon), "the clock jumped");
    cr_expect(well <= jumps + other, "%zu and %zu events of %zu jumps\n%s", well, other, jumps,
              daemon_log(daemon));
    cr_expect_eq(count_in(daemon_log(daemon), "master changed"), 0, "%s", daemon_log(daemon));
}

/* Nor does the node beside it start. */
SCENE(integration_thaw, a_pause_is_no_news_of_the_node_beside_it)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1});
    const struct daemon *daemon = daemon_start(cluster, "--self", cluster->nodes[0].address, NULL);

    WAIT_UNTIL(8000, status_of(daemon, "/self/master") == 200);
    for (int i = 0; i < FREEZES; i++) {
        struct raw *raw = raw_open(daemon->port);
        const int64_t end_ms = now_ms() + patient(10000);
        const struct http_answer *answer;

        freeze_and_thaw(daemon);
        while ((answer = raw_get(raw, "/self/master", 3000))->status != 200) {
            cr_assert_str_eq(http_string(answer, "reason"), "watcher_stalled", "%s\n%s",
                             http_text(answer), daemon_log(daemon));
            cr_assert(now_ms() < end_ms, "%s\n%s", http_text(answer), daemon_log(daemon));
        }
        raw_close(raw);
    }
    EXPECT_LOGGED(daemon, count_in(daemon_log(daemon), "reason=watcher_stalled") >= FREEZES);
}

/* A pause where a turn ends, behind all that asks for the time, is one as well. */
SCENE(integration_thaw, a_pause_at_the_end_of_a_turn_is_noticed)
{
    static const char request[] = "GET /master?fresh=1 HTTP/1.1\r\nHost: test\r\n\r\n";

    if (strstr(daemon_binary(), "tsan")) {
        scene_skip("faults stand in front of the thread sanitizer");
    }
    struct faults *faults = faults_new();
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1});
    const char *const env[] = {faults_variable(), NULL};
    const struct daemon *daemon = daemon_launch(
        &(struct daemon_spec){.cluster = cluster, .env = env, .binary = faults_binary()});

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    const size_t jumps = count_in(daemon_log(daemon), "the clock jumped");
    struct raw *raw = raw_open(daemon->port);
    atomic_store(&faults->every[FAULT_PAUSE], 1);
    cr_assert(raw && raw_send(raw, request, strlen(request))); /* something to tell of */
    EXPECT_LOGGED(daemon, atomic_load(&faults->met[FAULT_PAUSE]) > 0);
    faults_end(faults);
    EXPECT_LOGGED(daemon, count_in(daemon_log(daemon), "the clock jumped") > jumps);
    ask_until_200(daemon, 0);
    raw_close(raw);
}
