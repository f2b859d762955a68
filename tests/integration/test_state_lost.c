/*
 * Sentinels that lose what they knew: RESET, a file that is gone, another run id at the same
 * address. Who is reachable is not who there is.
 */
#include <string.h>

#include "../support/daemon.h"
#include "../support/fake.h"
#include "../support/scene.h"
#include "../support/trail.h"

SCENE_SUITE(integration_state_lost);

static long long known(const struct daemon *daemon)
{
    return http_number(daemon_get(daemon, "/sentinels"), "known");
}

static long long reachable(const struct daemon *daemon)
{
    return http_number(daemon_get(daemon, "/sentinels"), "reachable");
}

/* A file as on the first day: it names this master and nobody else. */
static void lose_state(const struct cluster *cluster, const struct server *sentinel,
                       const struct server *master, const char *run_id)
{
    file_write(sentinel->config,
               text("port %u\nbind %s\nprotected-mode no\ndir %s\nunixsocket %s\nsentinel myid %s\n"
                    "sentinel monitor %s %s %u %zu\nsentinel down-after-milliseconds %s %d\n"
                    "sentinel failover-timeout %s %d\n",
                    sentinel->port, sentinel->ip, sentinel->folder, sentinel->socket, run_id,
                    cluster->name, master->ip, master->port, cluster->quorum, cluster->name,
                    cluster->down_after_ms, cluster->name, cluster->failover_timeout_ms));
}

/* Three are known and one is there: nothing of that is a majority. */
static void expect_one_of_three(const struct daemon *daemon)
{
    const struct http_answer *sentinels = daemon_get(daemon, "/sentinels");

    cr_assert_eq(http_number(sentinels, "known"), 3, "%s", http_text(sentinels));
    cr_assert_not(http_true(sentinels, "majority"), "%s", http_text(sentinels));
    const struct http_answer *master = daemon_get(daemon, "/master");
    cr_assert_not(http_true(master, "majority"), "%s", http_text(master));
    const struct http_answer *strict = daemon_get(daemon, "/master?require=majority");
    cr_assert_eq(strict->status, 503, "%s", http_text(strict));
}

/* @param new_run_id of the Sentinel after its state is lost. */
static void last_sentinel_loses_its_state(bool new_run_id)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, NULL);
    struct server *first = &cluster->nodes[0], *last = &cluster->sentinels[0];

    EXPECT_MASTER(daemon, first, 3000);
    struct trail *before = trail_start(daemon, cluster);
    struct server *second = trail_fail_over(before, cluster, first);
    trail_until(before, second, 1000);
    WAIT_UNTIL(5000, known(daemon) == 3);
    server_kill(&cluster->sentinels[1]);
    server_kill(&cluster->sentinels[2]);
    WAIT_UNTIL(5000, reachable(daemon) == 1);
    struct trail *trail = trail_start(daemon, cluster);

    (void)redis_say(last, "SENTINEL RESET %s", cluster->name);
    WAIT_UNTIL(12000,
               http_number(daemon_get(daemon, "/sentinels"), "sentinels.0.voters") == 1 ||
                   http_number(daemon_get(daemon, "/sentinels"), "sentinels.1.voters") == 1 ||
                   http_number(daemon_get(daemon, "/sentinels"), "sentinels.2.voters") == 1);
    for (const int64_t end = now_ms() + 2000; now_ms() < end; trail_look(trail)) {
        expect_one_of_three(daemon);
    }

    server_kill(last);
    cr_assert_str_eq(redis_say(first, "REPLICAOF NO ONE"), "OK");
    lose_state(cluster, last, first,
               new_run_id ? "000000000000000000000000000000000000beef" : last->run_id);
    server_start(last);
    WAIT_UNTIL(8000, reachable(daemon) == 1);
    cr_assert_str_eq(sentinel_says(last, cluster->name), first->address);
    for (const int64_t end = now_ms() + 6000; now_ms() < end; trail_look(trail)) {
        /* more than three polls */
        expect_one_of_three(daemon);
    }
    cr_assert_str_eq(trail->said, text("200 %c", node_letter(cluster, second)), "%s\n%s",
                     trail->said, daemon_log(daemon));
}

SCENE(integration_state_lost, last_sentinel_is_no_majority_of_itself)
{
    last_sentinel_loses_its_state(false);
}

SCENE(integration_state_lost, last_sentinel_comes_back_under_another_run_id)
{
    last_sentinel_loses_its_state(true);
}

SCENE(integration_state_lost, another_run_id_at_the_same_address_counts_once)
{
    static const char other_id[] = "000000000000000000000000000000000000beef";
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    WAIT_UNTIL(5000, known(daemon) == 3 && reachable(daemon) == 3);
    struct server *replaced = &cluster->sentinels[2];
    server_kill(replaced);
    WAIT_UNTIL(3000, reachable(daemon) == 2);
    lose_state(cluster, replaced, &cluster->nodes[0], other_id);
    server_start(replaced);
    WAIT_UNTIL(8000, strcmp(row_string(daemon, replaced->address, "run_id"), other_id) == 0);
    /* the others list its former self until they hear of it */
    WAIT_UNTIL(25000, known(daemon) == 3);
    HOLDS_FOR(2500, known(daemon) == 3 && json_array_size(http_value(
                                              daemon_get(daemon, "/sentinels"), "sentinels")) == 3);
    HOLDS_NOW(says_master(daemon, &cluster->nodes[0]));
    EXPECT_REASON(daemon, NULL, 5000);
    HOLDS_NOW(http_true(daemon_get(daemon, "/master"), "majority"));
}

/* ---- with fakes: one Sentinel each on a port of its own, all for one node ---- */

enum { CAST = 3 };
static const char *const ids[CAST] = {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                      "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
                                      "cccccccccccccccccccccccccccccccccccccccc"};

struct cast {
    struct fake *node, *sentinels[CAST];
    struct fake_words words[CAST];
    struct fake_other others[CAST][CAST - 1];
};

static struct cast *cast_start(void)
{
    struct cast *cast = scene_alloc(sizeof(*cast));

    cast->node = fake_start(FAKE_NODE, &(struct fake_words){.role = "master"});
    for (size_t i = 0; i < CAST; i++) {
        cast->sentinels[i] = fake_start(FAKE_SENTINEL, &(struct fake_words){.stall = true});
    }
    for (size_t i = 0; i < CAST; i++) {
        for (size_t j = 0, n = 0; j < CAST; j++) {
            if (j != i) {
                cast->others[i][n++] =
                    (struct fake_other){ids[j], text("%u", fake_port(cast->sentinels[j]))};
            }
        }
        cast->words[i] = (struct fake_words){.master_name = "mymaster",
                                             .master_host = "127.0.0.1",
                                             .master_port = text("%u", fake_port(cast->node)),
                                             .epoch = 1,
                                             .others = cast->others[i],
                                             .n_others = CAST - 1};
        memcpy(cast->words[i].run_id, ids[i], sizeof(cast->words[i].run_id));
        fake_say(cast->sentinels[i], &cast->words[i]);
    }
    return cast;
}

static void go_away(struct cast *cast, size_t i)
{
    cast->words[i].away = true;
    fake_say(cast->sentinels[i], &cast->words[i]);
}

SCENE(integration_state_lost, one_address_for_several_sentinels_forgets_none)
{
    /* A seed that leads to now this Sentinel, now that one, as a service in front of them does. */
    struct cast *cast = cast_start();
    const char *const flags[] = {"--sentinel", fake_address(cast->sentinels[0]), "--master",
                                 "mymaster", NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});

    WAIT_UNTIL(5000, known(daemon) == 3 && reachable(daemon) == 3);
    go_away(cast, 1);
    go_away(cast, 2);
    WAIT_UNTIL(3000, reachable(daemon) == 1);
    for (size_t i = 1; i < CAST; i++) { /* the others' lists are empty: they were RESET */
        struct fake_words words = cast->words[0];

        words.away = true;
        fake_say(cast->sentinels[0], &words);
        WAIT_UNTIL(3000, reachable(daemon) == 0);
        words.away = false;
        words.n_others = 0;
        memcpy(words.run_id, ids[i], sizeof(words.run_id));
        fake_say(cast->sentinels[0], &words);
        WAIT_UNTIL(8000, reachable(daemon) == 1);
        HOLDS_FOR(1500, known(daemon) == 3);
        cr_assert_not(http_true(daemon_get(daemon, "/master"), "majority"), "%s",
                      http_text(daemon_get(daemon, "/master")));
    }
}

SCENE(integration_state_lost, swapping_map_is_applied_once_to_learned_sentinels)
{
    /* The other one listens on `real` and is announced on `announced`; the map swaps the two. */
    struct cast *cast = cast_start();
    struct fake *announced = fake_start(FAKE_CLOSER, NULL);
    const char *said = text("127.0.0.1:%u", fake_port(announced)),
               *real = fake_address(cast->sentinels[1]);

    cast->others[0][0].port = text("%u", fake_port(announced));
    cast->words[0].n_others = 1;
    fake_say(cast->sentinels[0], &cast->words[0]);
    const char *const flags[] = {
        "--sentinel", fake_address(cast->sentinels[0]), "--master", "mymaster",
        "--map",      text("%s=%s", said, real),        "--map",    text("%s=%s", real, said),
        NULL};
    cast->words[1].n_others = 0;
    fake_say(cast->sentinels[1], &cast->words[1]);
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});
    WAIT_UNTIL(5000, known(daemon) == 2);
    WAIT_UNTIL(5000, reachable(daemon) == 2);
    cr_assert_str_eq(row_string(daemon, real, "run_id"), ids[1], "%s",
                     http_text(daemon_get(daemon, "/sentinels")));
    cr_assert_eq(fake_accepted(announced), 0, "the announced address was dialled");
}

SCENE(integration_state_lost, removed_master_does_not_come_back_from_an_old_list)
{
    static const char *const two[] = {"second", "third"};
    struct cast *cast = cast_start();

    for (size_t i = 0; i < CAST; i++) {
        cast->words[i].names = two;
        cast->words[i].n_names = 1;
        fake_say(cast->sentinels[i], &cast->words[i]);
    }
    const char *const flags[] = {"--sentinel", fake_address(cast->sentinels[0]),
                                 "--sentinel-timeout", "5s", NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});
    WAIT_UNTIL(5000, status_of(daemon, "/masters/second") == 200 &&
                         status_of(daemon, "/masters/mymaster") == 200);
    const char *at_mymaster = "/masters/mymaster/sentinels";
    WAIT_UNTIL(5000, http_number(daemon_get(daemon, at_mymaster), "reachable") == 3);
    WAIT_UNTIL(5000, fake_heard(cast->sentinels[2], "SENTINEL MASTERS") > 0);
    go_away(cast, 0);
    for (size_t i = 1; i < CAST; i++) {
        cast->words[i].n_names = 0;
        fake_say(cast->sentinels[i], &cast->words[i]);
        fake_publish(cast->sentinels[i], "-monitor", "master second 127.0.0.1 1");
    }
    WAIT_UNTIL(12000, status_of(daemon, "/masters/second") == 404);
    cast->words[0].away = false; /* it is back, and its new list takes long */
    cast->words[0].mute = "SENTINEL MASTERS";
    fake_say(cast->sentinels[0], &cast->words[0]);
    WAIT_UNTIL(8000, http_number(daemon_get(daemon, at_mymaster), "reachable") == 3);
    cast->words[1].names = two + 1;
    cast->words[1].n_names = 1;
    fake_say(cast->sentinels[1], &cast->words[1]);
    fake_publish(cast->sentinels[1], "+monitor", "master third 127.0.0.1 1 quorum 2");
    WAIT_UNTIL(4000, status_of(daemon, "/masters/third") != 404);
    cr_assert_eq(status_of(daemon, "/masters/second"), 404, "%s",
                 http_text(daemon_get(daemon, "/masters/second")));
}

SCENE(integration_state_lost, reset_of_many_masters_does_not_hold_up_news)
{
    enum { MASTERS = 500 };
    struct cast *cast = cast_start();
    struct fake *elsewhere = fake_start(FAKE_NODE, &(struct fake_words){.role = "master"});
    const char **names = scene_alloc(MASTERS * sizeof(*names));

    for (size_t i = 0; i < MASTERS; i++) {
        names[i] = text("m%03zu", i);
    }
    for (size_t i = 0; i < CAST; i++) {
        cast->words[i].names = names;
        cast->words[i].n_names = MASTERS;
        fake_say(cast->sentinels[i], &cast->words[i]);
    }
    const char *const flags[] = {"--sentinel",
                                 fake_address(cast->sentinels[0]),
                                 "--default-master",
                                 "mymaster",
                                 "--sentinel-timeout",
                                 "5s",
                                 "--verify",
                                 "off",
                                 NULL};
    const struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});
    WAIT_UNTIL(20000, status_of(daemon, "/masters/m499") == 200 &&
                          status_of(daemon, "/masters/m000") == 200 && reachable(daemon) == 3 &&
                          known(daemon) == 3);
    /* every list of the first is known before it shrinks */
    for (size_t i = 0; i < CAST; i++) {
        WAIT_UNTIL(30000, fake_heard(cast->sentinels[i], "SENTINEL SENTINELS M") >= MASTERS);
    }
    cast->words[0].n_others = 0;
    fake_say(cast->sentinels[0], &cast->words[0]);
    for (size_t i = 0; i < MASTERS; i++) {
        fake_publish(cast->sentinels[0], "+reset-master", text("master %s 127.0.0.1 1", names[i]));
    }
    for (size_t i = 0; i < CAST; i++) {
        cast->words[i].moved_name = "mymaster";
        cast->words[i].moved_port = text("%u", fake_port(elsewhere));
        fake_say(cast->sentinels[i], &cast->words[i]);
    }
    const int64_t moved_ms = running_ms();
    fake_publish(
        cast->sentinels[1], "+switch-master",
        text("mymaster 127.0.0.1 %u 127.0.0.1 %u", fake_port(cast->node), fake_port(elsewhere)));
    fake_publish(
        cast->sentinels[2], "+switch-master",
        text("mymaster 127.0.0.1 %u 127.0.0.1 %u", fake_port(cast->node), fake_port(elsewhere)));
    WAIT_UNTIL(20000, strcmp(http_string(daemon_get(daemon, "/master"), "address"),
                             fake_address(elsewhere)) == 0);
    const int64_t took_ms = running_ms() - moved_ms;
    cr_log_info("news came after %lld ms", (long long)took_ms);
    cr_assert(took_ms < patient(1500), "the news took %lld ms", (long long)took_ms);
}
