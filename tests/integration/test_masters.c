/* One daemon, several masters: named, discovered, unknown, gone. */
#include <string.h>

#include "../support/daemon.h"
#include "../support/fake.h"
#include "../support/scene.h"

SCENE_SUITE(integration_masters);

static bool lists(const struct http_answer *answer, const char *path, const char *name)
{
    size_t i;
    json_t *entry;

    json_array_foreach(http_value(answer, path), i, entry)
    {
        const char *text_of = json_is_string(entry)
                                  ? json_string_value(entry)
                                  : json_string_value(json_object_get(entry, "name"));

        if (text_of && strcmp(text_of, name) == 0) {
            return true;
        }
    }
    return false;
}

/* A second master, `second`, with a node of its own. */
static struct server *add_second(struct cluster *cluster)
{
    struct server *node = cluster_add_node(cluster, NULL);

    cluster_monitor(cluster, "second", node);
    return node;
}

SCENE(integration_masters, unknown_name_says_what_sentinels_know)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct daemon *daemon = daemon_start(cluster, "--master", "nosuch", NULL);

    EXPECT_NONE(daemon, "unknown", "unknown_name", 4000);
    WAIT_UNTIL(12000, lists(daemon_get(daemon, "/master"), "sentinels_know", "mymaster"));
    const struct http_answer *other = daemon_get(daemon, "/masters/mymaster");
    cr_assert_eq(other->status, 404, "%s", http_text(other));
    cr_assert(lists(other, "sentinels_know", "mymaster"), "%s", http_text(other));
    cluster_monitor(cluster, "nosuch", &cluster->nodes[0]);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 12000);
}

SCENE(integration_masters, two_named_ones)
{
    struct cluster *cluster =
        cluster_start(&(struct cluster_spec){.down_after_ms = CLUSTER_STEADY_MS});
    struct server *second = add_second(cluster);
    const struct daemon *daemon =
        daemon_start(cluster, "--master", "second", "--master", "mymaster", NULL);

    EXPECT_MASTER(daemon, second, 4000); /* the first configured is the default */
    WAIT_UNTIL(3000, says_master_at(daemon, "/masters/mymaster", &cluster->nodes[0]));
    const struct http_answer *all = daemon_get(daemon, "/masters");
    cr_assert_eq(all->status, 200);
    cr_assert_str_eq(http_string(all, "default"), "second");
    cr_assert_eq(json_array_size(http_value(all, "masters")), 2);
    struct server *old = &cluster->nodes[0];
    cluster_failover(cluster); /* of mymaster; the other master stays as it is */
    struct server *next = cluster_wait_switch(cluster, old, 30000);
    WAIT_UNTIL(1000, says_master_at(daemon, "/masters/mymaster", next));
    HOLDS_NOW(says_master_at(daemon, "/masters/second", second));
}

SCENE(integration_masters, default_master_option)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    struct server *second = add_second(cluster);
    const struct daemon *daemon = daemon_start(cluster, "--default-master", "second", NULL);

    EXPECT_MASTER(daemon, second, 4000);
    WAIT_UNTIL(4000, says_master_at(daemon, "/masters/mymaster", &cluster->nodes[0]));
}

SCENE(integration_masters, several_and_none_chosen_is_409)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});

    (void)add_second(cluster);
    const struct daemon *daemon = daemon_start(cluster, NULL);
    WAIT_UNTIL(4000, status_of(daemon, "/masters/second") == 200 &&
                         status_of(daemon, "/masters/mymaster") == 200);
    static const char *const routes[] = {"/master", "/replicas", "/replica", "/sentinels",
                                         "/master?format=text"};
    for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++) {
        cr_assert_eq(status_of(daemon, routes[i]), 409, "%s: %s", routes[i],
                     http_text(daemon_get(daemon, routes[i])));
    }
    const struct http_answer *answer = daemon_get(daemon, "/master");
    cr_assert(lists(answer, "names", "mymaster") && lists(answer, "names", "second"), "%s",
              http_text(answer));
}

SCENE(integration_masters, discovered_ones_appear_and_vanish)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000); /* the only one known */
    struct server *second = add_second(cluster);
    WAIT_UNTIL(12000, says_master_at(daemon, "/masters/second", second));
    cr_assert(says_master(daemon, &cluster->nodes[0]), "a default once served stays: %s",
              http_text(daemon_get(daemon, "/master")));
    cr_assert_eq(json_array_size(http_value(daemon_get(daemon, "/masters"), "masters")), 2);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_str_eq(redis_say(&cluster->sentinels[i], "SENTINEL REMOVE second"), "OK");
    }
    WAIT_UNTIL(25000, status_of(daemon, "/masters/second") == 404);
    cr_assert_eq(json_array_size(http_value(daemon_get(daemon, "/masters"), "masters")), 1);
    HOLDS_NOW(says_master(daemon, &cluster->nodes[0]));
}

SCENE(integration_masters, default_that_is_removed_makes_room)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    struct server *second = add_second(cluster);
    WAIT_UNTIL(12000, says_master_at(daemon, "/masters/second", second));
    cr_assert_str_eq(redis_say(&cluster->sentinels[0], "SENTINEL REMOVE mymaster"), "OK");
    EXPECT_MASTER(daemon, second, 25000);
}

SCENE(integration_masters, no_master_monitored_yet)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = NONE, .sentinels = 1});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    const struct http_answer *answer = daemon_get(daemon, "/master");

    cr_assert(answer->status == 503 || answer->status == 404, "%s", http_text(answer));
    const struct http_answer *all = daemon_get(daemon, "/masters");
    cr_assert_eq(all->status, 200);
    cr_assert(json_is_null(http_value(all, "default")));
    cr_assert_eq(json_array_size(http_value(all, "masters")), 0);
    struct server *node = cluster_add_node(cluster, NULL);
    cluster_monitor(cluster, "first", node);
    EXPECT_MASTER(daemon, node, 12000);
}

SCENE(integration_masters, name_with_odd_bytes)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    struct server *node = cluster_add_node(cluster, NULL);

    cluster_monitor(cluster, "a.b-c_d", node);
    const struct daemon *daemon = daemon_start(cluster, "--master", "a.b-c_d", NULL);
    EXPECT_MASTER(daemon, node, 4000);
    HOLDS_NOW(says_master_at(daemon, "/masters/a%2Eb%2dc_d", node));
    cr_assert_eq(status_of(daemon, "/masters/a%2Fb"), 404);
    cr_assert_eq(status_of(daemon, "/masters/A.B-C_D"), 404, "matching is exact");
}

SCENE(integration_masters, own_sentinels_for_a_master_in_the_file)
{
    struct cluster *one = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    struct cluster *other =
        cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1, .name = "elsewhere"});
    const char *config = text("%s/bellwether.ini", scene_folder());

    file_write(config, text("sentinel = %s\nmaster = mymaster\n[master elsewhere]\nsentinel = %s\n",
                            one->sentinels[0].address, other->sentinels[0].address));
    const char *const flags[] = {"--config", config, NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});
    EXPECT_MASTER(daemon, &one->nodes[0], 4000);
    WAIT_UNTIL(4000, says_master_at(daemon, "/masters/elsewhere", &other->nodes[0]));
}

SCENE(integration_masters, a_section_leaves_the_others_watched)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.nodes = 1, .sentinels = 1, .node_password = "hunter2"});
    struct server *second = add_second(cluster);
    const char *config = text("%s/bellwether.ini", scene_folder());
    const char *password = text("%s/password", scene_folder());

    file_write(password, "hunter2\n");
    file_write(config, text("sentinel = %s\nredis-password-file = %s\n"
                            "[master second]\nredis-username = default\n"
                            "[master secnod]\nredis-username = default\n",
                            cluster->sentinels[0].address, password));
    const struct daemon *daemon = daemon_start(NULL, "--config", config, NULL);
    WAIT_UNTIL(8000, says_master_at(daemon, "/masters/mymaster", &cluster->nodes[0]) &&
                         says_master_at(daemon, "/masters/second", second));
    const struct http_answer *all = daemon_get(daemon, "/masters");
    cr_assert_eq(json_array_size(http_value(all, "masters")), 2, "%s", http_text(all));
    cr_assert_eq(status_of(daemon, "/master"), 409, "a section makes no default");
    WAIT_UNTIL(4000, count_in(daemon_log(daemon), "a section for a master that no Sentinel") == 1);
    cr_assert_not_null(strstr(daemon_log(daemon), "master=secnod"), "%s", daemon_log(daemon));
}

/* @return how many questions a second it is asked, over that time. */
static double questions_per_second(struct fake *sentinel, int64_t span_ms)
{
    const unsigned first = fake_heard(sentinel, "");
    const int64_t began_ms = now_ms();

    while (now_ms() < began_ms + span_ms) {
        nap_ms(50);
    }
    return (double)(fake_heard(sentinel, "") - first) * 1000 / (double)(now_ms() - began_ms);
}

/*
 * A Sentinel with three hundred masters, each of them due every second: their interval stretches
 * instead. What is asked at the start is everything at once; so it is where this machine stopped
 * for a second, and then that is no measure.
 */
SCENE(integration_masters, many_stay_below_the_ceiling_of_questions)
{
    enum { MANY = 300 };
    static const char *names[MANY];

    for (size_t i = 0; i < MANY; i++) {
        names[i] = text("shard-%zu", i);
    }
    const struct fake_words words = {.run_id = "5e271e15e271e15e271e15e271e15e271e15e271",
                                     .master_host = "127.0.0.1",
                                     .master_port = "1",
                                     .names = names,
                                     .n_names = MANY};
    struct fake *sentinel = fake_start(FAKE_SENTINEL, &words);
    const struct daemon *daemon =
        daemon_start(NULL, "--sentinel", fake_address(sentinel), "--verify", "off", NULL);
    WAIT_UNTIL(10000, status_of(daemon, "/masters/shard-0") == 200 &&
                          fake_heard(sentinel, "SENTINEL CKQUORUM") >= MANY);
    double rate = 0;
    size_t jumps = 0;
    do {
        jumps = count_in(daemon_log(daemon), "the clock jumped");
        WAIT_UNTIL(10000, questions_per_second(sentinel, 500) < 250);
        rate = questions_per_second(sentinel, 4000);
    } while (count_in(daemon_log(daemon), "the clock jumped") != jumps && jumps < 3);
    cr_assert(rate <= 200, "%.0f questions a second", rate);
    cr_assert(rate >= 100, "%.0f questions a second: they must be asked all the same", rate);
}

/* @return how long it took. */
static long alive_ms(const struct daemon *daemon)
{
    const int64_t asked_ms = running_ms();
    const struct http_answer *answer = daemon_get(daemon, "/livez");

    cr_assert_eq(answer->status, 200, "%s", http_text(answer));
    return (long)(running_ms() - asked_ms);
}

static long longer(long a, long b)
{
    return a > b ? a : b;
}

/*
 * A Sentinel that lists more than is taken in: the rest is left out, said once, and nobody is worse
 * off.
 */
SCENE(integration_masters, more_than_are_taken_in)
{
    enum {
        MASTERS = 12000,
        TAKEN = 10000,
        REPLICAS = 1500,
        REPLICAS_TAKEN = 1000,
        MOST_KB = 480 * 1024
    };
    static const char *names[MASTERS], *replicas[REPLICAS];
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct server *node = &cluster->nodes[0];

    for (size_t i = 0; i < MASTERS; i++) {
        names[i] = text("shard-%zu", i);
    }
    for (size_t i = 0; i < REPLICAS; i++) {
        replicas[i] = text("127.9.%zu.%zu", 1 + i / 200, 1 + i % 200);
    }
    const struct fake_words words = {.run_id = "5e271e15e271e15e271e15e271e15e271e15e271",
                                     .master_name = "mymaster",
                                     .master_host = "127.0.0.1",
                                     .master_port = text("%u", node->port),
                                     .names = names,
                                     .n_names = MASTERS,
                                     .replicas = replicas,
                                     .n_replicas = REPLICAS};
    struct fake *sentinel = fake_start(FAKE_SENTINEL, &words);
    const struct daemon *daemon =
        daemon_start(NULL, "--sentinel", fake_address(sentinel), "--default-master", "mymaster",
                     "--verify", "off", "--log-level", "warn", "--sentinel-timeout", "5s", NULL);
    WAIT_UNTIL(20000,
               json_array_size(http_value(daemon_get(daemon, "/masters"), "masters")) == TAKEN);
    EXPECT_MASTER(daemon, node, 30000); /* behind a pause all 10,000 are asked for again */
    WAIT_UNTIL(10000, json_array_size(http_value(daemon_get(daemon, "/replicas"), "replicas")) > 0);
    /* through one more of its lists */
    const unsigned asked = fake_heard(sentinel, "SENTINEL MASTERS");
    long most_kb = 0, slowest_ms = 0;
    WAIT_UNTIL(20000,
               (most_kb = longer(most_kb, process_status_kb(daemon->process->pid, "RssAnon")),
                slowest_ms = longer(slowest_ms, alive_ms(daemon)),
                fake_heard(sentinel, "SENTINEL MASTERS") > asked));
    cr_assert_eq(json_array_size(http_value(daemon_get(daemon, "/masters"), "masters")), TAKEN);
    if (daemon_pauses(daemon) > 0) {
        EXPECT_MASTER(daemon, node, 30000);
    }
    cr_assert(says_master(daemon, node) || daemon_pauses(daemon) > 0);
    WAIT_UNTIL(daemon_pauses(daemon) > 0 ? 30000 : 0,
               json_array_size(http_value(daemon_get(daemon, "/replicas"), "replicas")) ==
                   REPLICAS_TAKEN);
    cr_assert(slowest_ms < patient(500), "/livez took %ld ms", slowest_ms);
    cr_assert(daemon_is_sanitized() || (most_kb > 0 && most_kb < MOST_KB), "RssAnon %ld kB",
              most_kb);
    cr_assert_lt(fake_backlog(sentinel), 200 * 1000, "it is asked %zu bytes at once",
                 fake_backlog(sentinel));
    cr_assert_eq(count_in(daemon_log(daemon), "sentinel link down"), 0);
    EXPECT_LOGGED(daemon, count_in(daemon_log(daemon), "what=masters") == 1);
    EXPECT_LOGGED(daemon, count_in(daemon_log(daemon), "what=replicas") == 1);
}
