/*
 * /status: everything with its age, in JSON and for a terminal; when Sentinels differ, when the
 * watcher is silent.
 */
#include <signal.h>
#include <string.h>

#include "../support/daemon.h"
#include "../support/fake.h"
#include "../support/scene.h"

SCENE_SUITE(integration_status);

static const char *status_text(const struct daemon *daemon)
{
    const struct http_answer *answer = daemon_get(daemon, "/status?format=text");

    cr_assert_eq(answer->status, 200, "%s", http_text(answer));
    return answer->body;
}

static const char *status_string(const struct daemon *daemon, const char *path)
{
    return http_string(daemon_get(daemon, "/status"), path);
}

/* The line of `page` that holds `what`, "" when there is none. */
static const char *line_with(const char *page, const char *what)
{
    for (const char *line = page; *line != '\0';) {
        const size_t length = strcspn(line, "\n");
        const char *copy = text("%.*s", (int)length, line);

        if (strstr(copy, what)) {
            return copy;
        }
        line += length + (line[length] == '\n');
    }
    return "";
}

/* The entry of the list `options` with this name (and master, "" for all); NULL. */
static const json_t *option_named(const struct http_answer *status, const char *name,
                                  const char *master)
{
    size_t i;
    json_t *option;

    json_array_foreach(http_value(status, "options"), i, option)
    {
        const char *of = json_string_value(json_object_get(option, "master"));

        if (strcmp(json_string_value(json_object_get(option, "name")), name) == 0 &&
            strcmp(!of ? "" : of, master) == 0) {
            return option;
        }
    }
    return NULL;
}

SCENE(integration_status, all_is_there_when_all_is_well)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    WAIT_UNTIL(12000,
               http_number(daemon_get(daemon, "/sentinels"), "agreeing") == 3 &&
                   json_array_size(http_value(daemon_get(daemon, "/replicas"), "replicas")) == 2);
    WAIT_UNTIL(5000,
               http_number(daemon_get(daemon, "/status"), "masters.0.verification.age_ms") >= 0);
    const struct http_answer *status = daemon_get(daemon, "/status");
    cr_assert_eq(status->status, 200);
    cr_assert_str_eq(http_header(status, "cache-control"), "no-store");
    const struct http_answer *master = daemon_get(daemon, "/master");
    cr_assert_str_eq(http_string(status, "masters.0.address"), http_string(master, "address"));
    cr_assert_eq(http_number(status, "masters.0.index"), http_number(master, "index"));
    cr_assert_str_eq(http_string(status, "default"), "mymaster");
    cr_assert_str_eq(http_string(status, "instance"), http_header(master, "x-bellwether-instance"));
    cr_assert(json_is_null(http_value(status, "reason")));
    cr_assert(http_number(status, "uptime_ms") > 0);
    cr_assert_str_eq(http_string(status, "masters.0.verification.answer"), "master");
    cr_assert(http_number(status, "masters.0.verification.age_ms") < patient(5000), "%s",
              http_text(status));
    cr_assert_eq(json_array_size(http_value(status, "masters.0.sentinels")), 3);
    for (int i = 0; i < 3; i++) {
        cr_assert(http_true(status, text("masters.0.sentinels.%d.counts", i)), "%s",
                  http_text(status));
        const long long age = http_number(status, text("masters.0.sentinels.%d.age_ms", i));
        cr_assert(age >= 0 && age < patient(6000), "%lld", age);
    }
    cr_assert_eq(json_array_size(http_value(status, "links")), 3);
    cr_assert(http_true(status, "links.0.up"));
    const char *decision = http_string(status, "masters.0.decision");
    cr_assert(strstr(decision, text("%s: epoch 0 from 3 of 3 Sentinels, ROLE master",
                                    cluster->nodes[0].address)) == decision,
              "%s", decision);
    cr_assert_str_eq(http_string(status, "masters.0.rule"), "stands");
    cr_assert(strstr(http_string(status, "verdict"), "ok: mymaster is "), "%s",
              http_string(status, "verdict"));
    const char *page = status_text(daemon);
    cr_assert(strncmp(page, text("ok: mymaster is %s", cluster->nodes[0].address),
                      strlen(text("ok: mymaster is %s", cluster->nodes[0].address))) == 0,
              "%s", page);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(*line_with(page, text("sentinel %s", cluster->sentinels[i].address)), ' ',
                     "%s", page);
    }
    for (size_t i = 1; i < 3; i++) {
        cr_assert_eq(*line_with(page, text("replica %s", cluster->nodes[i].address)), ' ', "%s",
                     page);
    }
    cr_assert(!strstr(page, "\n!"), "%s", page);
    /* Ages go on: they are of the moment of the question. */
    const long long before = http_number(daemon_get(daemon, "/status"), "uptime_ms");
    WAIT_UNTIL(1000, http_number(daemon_get(daemon, "/status"), "uptime_ms") > before);
    cr_assert_eq(daemon_ask(daemon, "POST", "/status")->status, 405);
    cr_assert_eq(daemon_ask(daemon, "OPTIONS", "/status")->status, 204);
    cr_assert_eq(daemon_ask(daemon, "HEAD", "/status")->status, 200);
    cr_assert_eq(daemon_get(daemon, "/status?format=yaml")->status, 400);
}

SCENE(integration_status, secrets_are_masked_and_options_told)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.sentinels = 1, .nodes = 1});
    const char *const env[] = {"BELLWETHER_REDIS_PASSWORD=hush-redis-hush", "BELLWETHER_WORKERS=2",
                               NULL};

    file_write(text("%s/sentinel-password", scene_folder()), "hush-sentinel-hush\n");
    const char *file = text("%s/b.ini", scene_folder());
    file_write(
        file,
        text(
            "verify-interval = 900ms\n[master other]\nredis-username = someone\nredis-password-file = "
            "%s/sentinel-password\n",
            scene_folder()));
    const char *const flags[] = {"--config",        file,    "--master", "mymaster",
                                 "--poll-interval", "800ms", NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags, .env = env});
    WAIT_UNTIL(4000, http_number(daemon_get(daemon, "/status"), "masters.0.port") ==
                         cluster->nodes[0].port);
    const struct http_answer *status = daemon_get(daemon, "/status");
    cr_assert(!strstr(status->body, "hush"), "%s", status->body);
    cr_assert(!strstr(status_text(daemon), "hush"));
    const json_t *password = option_named(status, "redis-password", "");
    cr_assert_str_eq(json_string_value(json_object_get(password, "value")), "***");
    const json_t *poll = option_named(status, "poll-interval", "");
    cr_assert_str_eq(json_string_value(json_object_get(poll, "value")), "800ms");
    cr_assert_str_eq(json_string_value(json_object_get(poll, "from")), "--poll-interval");
    const json_t *workers = option_named(status, "workers", "");
    cr_assert_str_eq(json_string_value(json_object_get(workers, "from")), "BELLWETHER_WORKERS");
    cr_assert(strstr(
        json_string_value(json_object_get(option_named(status, "verify-interval", ""), "from")),
        "b.ini:1"));
    const json_t *timeout = option_named(status, "sentinel-timeout", "");
    cr_assert_str_eq(json_string_value(json_object_get(timeout, "from")), "default");
    cr_assert(json_is_array(json_object_get(option_named(status, "sentinel", ""), "value")));
    cr_assert_str_eq(json_string_value(
                         json_object_get(option_named(status, "redis-username", "other"), "value")),
                     "someone");
    cr_assert(json_is_null(json_object_get(option_named(status, "default-master", ""), "value")));
}

/* A real Sentinel with the truth at epoch 1, a fake one with yesterday's. */
SCENE(integration_status, disagreement_in_words_and_marked)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    struct server *old = &cluster->nodes[0];

    cluster_failover(cluster);
    struct server *now = cluster_wait_switch(cluster, old, 30000);
    struct fake_words words = {.run_id = "feedfeedfeedfeedfeedfeedfeedfeedfeedfeed",
                               .master_name = "mymaster",
                               .master_host = old->ip,
                               .master_port = text("%u", old->port),
                               .epoch = 0};
    struct fake *fake = fake_start(FAKE_SENTINEL, &words);
    const char *const flags[] = {"--sentinel", fake_address(fake), "--master", "mymaster", NULL};
    const struct daemon *daemon =
        daemon_launch(&(struct daemon_spec){.cluster = cluster, .flags = flags});
    EXPECT_MASTER(daemon, now, 4000);
    const char *dissent = text("%s still says %s at epoch 0", fake_address(fake), old->address);
    WAIT_UNTIL(8000, strstr(status_string(daemon, "masters.0.decision"), dissent) != NULL);
    WAIT_UNTIL(12000, strstr(status_string(daemon, "masters.0.decision"),
                             "from 3 of 4 Sentinels, ROLE master ") != NULL);
    const char *page = status_text(daemon);
    const char *line = line_with(page, text("sentinel %s", fake_address(fake)));
    cr_assert(line[0] == '!' && strstr(line, text("says %s", old->address)), "%s", page);
    cr_assert_eq(*line_with(page, text("sentinel %s", cluster->sentinels[0].address)), ' ', "%s",
                 page);
    cr_assert(strncmp(page, "ok, disputed: mymaster is ", strlen("ok, disputed: mymaster is ")) ==
                  0,
              "%s", page);
    server_kill(&cluster->sentinels[2]);
    const char *gone = text("sentinel %s  can't be reached", cluster->sentinels[2].address);
    WAIT_UNTIL(6000, *line_with(status_text(daemon), gone) == '!');
    cr_assert(strstr(status_string(daemon, "masters.0.decision"),
                     text("%s can't be reached", cluster->sentinels[2].address)));
}

SCENE(integration_status, without_a_master)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct daemon *daemon = daemon_start(cluster, "--master", "mymaster", NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    server_kill(&cluster->nodes[0]);
    EXPECT_NONE(daemon, NULL, NULL, 4000);
    WAIT_UNTIL(4000, strstr(status_string(daemon, "masters.0.decision"), "can't be connected to") !=
                         NULL);
    const struct http_answer *status = daemon_get(daemon, "/status");
    cr_assert(strstr(http_string(status, "masters.0.decision"), "last said master"), "%s",
              http_text(status));
    cr_assert_str_eq(http_string(status, "masters.0.verification.answer"), "refused");
    cr_assert(strstr(status_text(daemon), "mymaster has no master: "), "%s", status_text(daemon));
}

SCENE(integration_status, a_failover_while_it_runs)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){0});
    const struct daemon *daemon = daemon_start(cluster, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    WAIT_UNTIL(12000, http_number(daemon_get(daemon, "/sentinels"), "agreeing") == 3);
    cr_assert(json_is_null(http_value(daemon_get(daemon, "/status"), "masters.0.failover")));
    server_kill(&cluster->nodes[0]);
    WAIT_UNTIL(10000, strcmp(status_string(daemon, "masters.0.failover.outcome"), "running") == 0);
    WAIT_UNTIL(10000, strstr(status_text(daemon), "\n! failover (") != NULL);
    const struct server *now = cluster_wait_switch(cluster, &cluster->nodes[0], 30000);
    EXPECT_MASTER(daemon, now, 4000);
    WAIT_UNTIL(20000,
               json_is_null(http_value(daemon_get(daemon, "/status"), "masters.0.failover")));
    const struct http_answer *status = daemon_get(daemon, "/status");
    cr_assert_str_eq(http_string(status, "masters.0.previous.address"), cluster->nodes[0].address);
    cr_assert(http_number(status, "masters.0.high_water_epoch") >= 1, "%s", http_text(status));
}

SCENE(integration_status, without_any_sentinel)
{
    const struct daemon *daemon = daemon_start(NULL, "--sentinel", "127.0.0.1:1", NULL);

    WAIT_UNTIL(4000, strstr(status_text(daemon), "no Sentinel can be reached") != NULL);
    const struct http_answer *status = daemon_get(daemon, "/status");
    cr_assert_eq(json_array_size(http_value(status, "masters")), 0);
    cr_assert_str_eq(http_string(status, "links.0.error.code"), "unreachable");
}

SCENE(integration_status, many_at_once_while_workers_share_the_watcher)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const struct daemon *daemon = daemon_start(cluster, "--workers", "3", NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    struct raw *raws[24];
    static const char request[] =
        "GET /status HTTP/1.1\r\nHost: x\r\n\r\nGET /master?fresh=1 HTTP/1.1\r\nHost: x\r\n\r\n";
    for (size_t i = 0; i < 24; i++) {
        raws[i] = raw_open(daemon->port);
        cr_assert(raws[i] && raw_send(raws[i], request, sizeof(request) - 1));
    }
    for (size_t i = 0; i < 12; i++) { /* half of the callers leave */
        raw_close(raws[i]);
    }
    for (size_t i = 12; i < 24; i++) {
        const struct http_answer *status = raw_answer(raws[i], 5000), *master;

        cr_assert_eq(status->status, 200, "%s", http_text(status));
        cr_assert_str_eq(http_string(status, "masters.0.address"), cluster->nodes[0].address);
        master = raw_answer(raws[i], 5000);
        cr_assert_eq(master->status, 200, "%s", http_text(master));
    }
    still_serves(daemon);
}
