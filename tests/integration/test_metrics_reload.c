/* /metrics and the log of files that are read again: what is good, missing, or no good. */
#include <signal.h>
#include <unistd.h>

#include "../support/commands.h"
#include "../support/scene.h"

SCENE_SUITE(integration_metrics_reload);

SCENE(integration_metrics_reload, a_reload_that_fails_shows)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.nodes = 1, .sentinels = 1, .sentinel_password = "secret"});
    const char *file = text("%s/password", scene_folder());

    file_write(file, "secret\n");
    const struct daemon *daemon = daemon_start(cluster, "--sentinel-password-file", file, NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    const double first = metric_of(daemon, "bellwether_reload_timestamp_seconds");
    cr_assert(metric_is(daemon, "bellwether_reload_success", 1));
    cr_assert_eq(unlink(file), 0);
    daemon_signal(daemon, SIGHUP);
    WAIT_UNTIL(3000, metric_is(daemon, "bellwether_reload_success", 0));
    cr_assert(metric_is(daemon, "bellwether_reload_timestamp_seconds", first));
    file_write(file, "secret\n");
    daemon_signal(daemon, SIGHUP);
    WAIT_UNTIL(3000, metric_is(daemon, "bellwether_reload_success", 1));
    cr_assert_gt(metric_of(daemon, "bellwether_reload_timestamp_seconds"), first);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
}

/* Every worker reads the tokens for itself. */
SCENE(integration_metrics_reload, token_files_count_in_a_reload)
{
    struct cluster *cluster = cluster_start(&(struct cluster_spec){.nodes = 1, .sentinels = 1});
    const char *file = text("%s/tokens", scene_folder());

    file_write(file, "sesame\n");
    const struct daemon *daemon =
        daemon_start(cluster, "--redis-api", "token", "--token-file", file, "--workers", "2", NULL);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    const double first = metric_of(daemon, "bellwether_reload_timestamp_seconds");
    cr_assert(metric_is(daemon, "bellwether_reload_success", 1));
    file_write(file, "two tokens in a line\n"); /* read and no good */
    daemon_signal(daemon, SIGHUP);
    WAIT_UNTIL(3000, metric_is(daemon, "bellwether_reload_success", 0));
    cr_assert(metric_is(daemon, "bellwether_reload_timestamp_seconds", first));
    cr_assert_eq(unlink(file), 0);
    daemon_signal(daemon, SIGHUP);
    HOLDS_FOR(300, metric_is(daemon, "bellwether_reload_success", 0));
    cr_assert(metric_is(daemon, "bellwether_reload_timestamp_seconds", first));
    /* by itself, too: seen within 2 s, as what it is */
    file_write(file, "other\n");
    WAIT_UNTIL(4000, metric_is(daemon, "bellwether_reload_success", 1));
    cr_assert_gt(metric_of(daemon, "bellwether_reload_timestamp_seconds"), first);
    WAIT_UNTIL(3000, strstr(daemon_log(daemon), "msg=\"tokens can be read again\"") != NULL);
}

SCENE(integration_metrics_reload, a_missing_file_is_said_once_a_minute)
{
    struct cluster *cluster = cluster_start(
        &(struct cluster_spec){.nodes = 1, .sentinels = 1, .sentinel_password = "secret"});
    const char *file = text("%s/password", scene_folder()),
               *tokens = text("%s/tokens", scene_folder());

    file_write(file, "secret\n");
    file_write(tokens, "sesame-sesame-sesame\n");
    const struct daemon *daemon =
        daemon_start(cluster, "--sentinel-password-file", file, "--redis-api", "token",
                     "--token-file", tokens, "--log-level", "warn", NULL);
    EXPECT_MASTER(daemon, &cluster->nodes[0], 3000);
    cr_assert_eq(unlink(file), 0);
    cr_assert_eq(unlink(tokens), 0);
    /* looked at every 2 s */
    WAIT_UNTIL(4000, metric_is(daemon, "bellwether_reload_success", 0));
    HOLDS_FOR(21000, count_in(daemon_log(daemon), "password file can't be read") <= 1 &&
                         count_in(daemon_log(daemon), "tokens can't be read") <= 1);
    EXPECT_LOGGED(daemon, count_in(daemon_log(daemon), "password file can't be read") == 1);
    EXPECT_LOGGED(daemon, count_in(daemon_log(daemon), "tokens can't be read") == 1);
    file_write(file, "secret\n");
    WAIT_UNTIL(4000, count_in(daemon_log(daemon), "password file can be read again") == 1);
    cr_assert_eq(count_in(daemon_log(daemon), "level=warn"), 3 + daemon_pauses(daemon), "%s",
                 daemon_log(daemon));
}
