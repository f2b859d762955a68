/*
 * What Sentinels list has bounds: over one of them the rest is left out, and the log says so once.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "sentinel/client_poll.h"
#include "watcher/discovery.h"
#include "watcher/electors.h"
#include "watcher/master_list.h"
#include "watcher/sentinel_view.h"

enum { MASTERS_MAX = 10000, REPLICAS_MAX = 1000, LISTED = 12000 };

#define WARNING "a sentinel lists more than are taken in"

static struct pulse pulse;
static struct watch_config config;
static struct watch_deployment deployments[2];
static struct address seeds[3] = {{.host = "192.0.2.1", .port = 1},
                                  {.host = "192.0.2.2", .port = 1},
                                  {.host = "192.0.2.3", .port = 1}};
static char name[] = "mymaster";
static char second_name[] = "second";
static char *names[] = {name, second_name};
static struct watcher *watcher;
static int log_file;

static void start(void)
{
    char error[256], path[] = "/tmp/bellwether-XXXXXX";

    for (size_t i = 0; i < 2; i++) {
        deployments[i] =
            (struct watch_deployment){.seeds = &seeds[2 * i],
                                      .n_seeds = 1,
                                      .password = secret_new(NULL, NULL, error, sizeof(error)),
                                      .all_masters = true};
    }
    deployments[0].masters = names;
    deployments[0].n_masters = 1;
    config = (struct watch_config){.deployments = deployments,
                                   .n_deployments = 2,
                                   .learn_sentinels = true,
                                   .redis_password = secret_new(NULL, NULL, error, sizeof(error)),
                                   .poll_interval_ms = 1000,
                                   .sentinel_timeout_ms = 500,
                                   .verify_interval_ms = 60000,
                                   .verify_timeout_ms = 10000,
                                   .suspect_after_ms = 1500,
                                   .history = 4};
    log_configure(LOG_LEVEL_WARN, LOG_FORMAT_LOGFMT);
    log_file = mkstemp(path);
    cr_assert(log_file >= 0 && unlink(path) == 0 && dup2(log_file, STDERR_FILENO) >= 0);
}

static struct sentinel_node *sentinel_at(size_t deployment, size_t at)
{
    struct list_link *link = watcher->deployments[deployment].sentinels.first;

    while (at-- > 0) {
        link = link->next;
    }
    return LIST_OWNER(link, struct sentinel_node, in_deployment);
}

static struct sentinel_view *first_view(const struct master *master)
{
    return LIST_OWNER(master->views.first, struct sentinel_view, in_master);
}

static void set_up(bool on)
{
    for (size_t i = 0; i < watcher->n_deployments; i++) {
        LIST_EACH(struct sentinel_node, node, &watcher->deployments[i].sentinels, in_deployment) {
            node->link->state = on ? CLIENT_UP : CLIENT_PAUSED;
        }
    }
}

/*
 * The first deployment has so many Sentinels and a configured master, the second has one Sentinel.
 */
static void watch(size_t n_seeds)
{
    deployments[0].n_seeds = n_seeds;
    watcher = watcher_new(&config, &pulse, NULL);
    set_up(true);
}

static void stop(void)
{
    set_up(false);
    watcher_free(watcher);
    for (size_t i = 0; i < 2; i++) {
        secret_free(deployments[i].password);
    }
    secret_free(config.redis_password);
    close(log_file);
}

TestSuite(watch_bounds, .init = start, .fini = stop, .timeout = 600);

/* How many lines of the log have both. */
static size_t logged(const char *message, const char *field)
{
    static char text[1 << 16];
    ssize_t length = pread(log_file, text, sizeof(text) - 1, 0);
    size_t n = 0;

    text[length > 0 ? length : 0] = '\0';
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        n += strstr(line, message) && strstr(line, field);
    }
    return n;
}

/* Its Sentinel lists n masters `prefix-…`, the last one first. */
static void hear_masters(struct sentinel_node *sentinel, const char *prefix, size_t n)
{
    struct sentinel_master_row *rows = mem_new(n, sizeof(*rows));

    for (size_t i = 0; i < n; i++) {
        snprintf(rows[i].name, sizeof(rows[i].name), "%s-%05zu", prefix, n - 1 - i);
    }
    deployment_hear_names(sentinel, rows, n);
    free(rows);
}

static size_t watched(size_t deployment)
{
    size_t n = 0;

    for (size_t i = 0; i < watcher->n_masters; i++) {
        n += watcher->masters[i]->deployment == &watcher->deployments[deployment];
    }
    return n;
}

Test(watch_bounds, so_many_masters_of_one_deployment)
{
    struct sentinel_node *sentinel;

    watch(1);
    sentinel = sentinel_at(0, 0);
    hear_masters(sentinel, "m", MASTERS_MAX - 1);
    cr_expect_eq(watched(0), MASTERS_MAX);
    cr_expect_eq(logged(WARNING, "what=masters"), 0, "as many as may");
    hear_masters(sentinel, "a", LISTED);
    cr_expect_eq(watched(0), MASTERS_MAX);
    cr_expect_not_null(watcher_find_master(watcher, name), "it is configured");
    cr_expect_null(watcher_find_master(watcher, "m-00000"), "it is not monitored any more");
    cr_expect_eq(logged(WARNING, "what=masters"), 1);
    hear_masters(sentinel, "b", LISTED);
    cr_expect_eq(watched(0), MASTERS_MAX);
    cr_expect_eq(logged(WARNING, "what=masters"), 1, "once");
    /* the bound is each deployment's own */
    hear_masters(sentinel_at(1, 0), "z", 5);
    cr_expect_eq(watched(1), 5);
}

Test(watch_bounds, masters_that_are_watched_stay_when_too_many_others_come)
{
    struct sentinel_master_row *rows = mem_new(LISTED, sizeof(*rows));

    watch(1);
    hear_masters(sentinel_at(0, 0), "m", 1000);
    for (size_t i = 0; i < LISTED; i++) {
        snprintf(rows[i].name, sizeof(rows[i].name), "%s-%05zu", i < LISTED - 1000 ? "a" : "m",
                 i < LISTED - 1000 ? i : LISTED - 1 - i);
    }
    deployment_hear_names(sentinel_at(0, 0), rows, LISTED);
    cr_expect_eq(watched(0), MASTERS_MAX);
    for (size_t i = LISTED - 1000; i < LISTED; i++) {
        cr_expect_not_null(watcher_find_master(watcher, rows[i].name), "%s", rows[i].name);
    }
    free(rows);
}

Test(watch_bounds, so_many_masters_of_sentinels_that_each_list_fewer)
{
    watch(2);
    hear_masters(sentinel_at(0, 0), "a", LISTED / 2);
    cr_expect_eq(watched(0), LISTED / 2 + 1);
    hear_masters(sentinel_at(0, 1), "b", LISTED / 2);
    cr_expect_eq(watched(0), MASTERS_MAX);
    cr_expect_eq(logged(WARNING, "what=masters"), 1);
    hear_masters(sentinel_at(0, 1), "b", LISTED / 2 + 1);
    cr_expect_eq(watched(0), MASTERS_MAX);
    cr_expect_eq(logged(WARNING, "what=masters"), 1, "once");
}

static void hear_replicas(struct sentinel_view *view, size_t n, size_t shift)
{
    struct sentinel_replica_row *rows = mem_new(n, sizeof(*rows));

    for (size_t i = 0; i < n; i++) {
        snprintf(rows[i].address.host, sizeof(rows[i].address.host), "10.0.%zu.%zu",
                 (i + shift) / 200, (i + shift) % 200);
        rows[i].address.port = 6379;
    }
    sentinel_view_hear_replicas(view, rows, n);
    free(rows);
}

Test(watch_bounds, so_many_replicas_of_one_master)
{
    struct sentinel_view *view;

    watch(1);
    view = first_view(watcher->masters[0]);
    hear_replicas(view, REPLICAS_MAX, 0);
    cr_expect_eq(view->n_replicas, REPLICAS_MAX);
    cr_expect_eq(logged(WARNING, "what=replicas"), 0, "as many as may");
    for (size_t i = 0; i < 4; i++) {
        hear_replicas(view, REPLICAS_MAX + 500, i);
        cr_expect_eq(view->n_replicas, REPLICAS_MAX);
        hear_replicas(view, 10, 0);
        cr_expect_eq(view->n_replicas, 10);
    }
    cr_expect_eq(logged(WARNING, "what=replicas"), 1, "once");
    cr_expect_eq(logged(WARNING, "master=mymaster"), 1);
}

Test(watch_bounds, so_many_sentinels_of_one_master)
{
    struct sentinel_peer_row *rows = mem_new(KNOWN_MAX + 100, sizeof(*rows));
    struct sentinel_view *view;

    watch(1);
    view = first_view(watcher->masters[0]);
    for (size_t i = 0; i < KNOWN_MAX + 100; i++) {
        snprintf(rows[i].run_id, sizeof(rows[i].run_id), "%040zu", i);
    }
    sentinel_view_hear_sentinels(view, rows, KNOWN_MAX);
    cr_expect_eq(logged(WARNING, "what=Sentinels"), 0, "as many as may");
    for (size_t i = 0; i < 4; i++) { /* never the same */
        sentinel_view_hear_sentinels(view, rows + i, KNOWN_MAX + 90);
        cr_expect_eq(view->n_listed, KNOWN_MAX);
    }
    cr_expect_eq(logged(WARNING, "what=Sentinels"), 1, "once");
    cr_expect_eq(logged("more sentinels are listed than are taken in", ""), 0, "it was said");
    free(rows);
}

Test(watch_bounds, so_many_sentinels_with_the_one_that_lists_them)
{
    struct sentinel_peer_row *rows = mem_new(KNOWN_MAX, sizeof(*rows));
    struct sentinel_client *link;

    deployments[0].n_masters = 2;
    watch(1);
    link = sentinel_at(0, 0)->link;
    snprintf(link->run_id, sizeof(link->run_id), "%040d", 1);
    for (size_t i = 0; i < KNOWN_MAX; i++) {
        snprintf(rows[i].run_id, sizeof(rows[i].run_id), "%040zu", i + 1000);
        rows[i].address = (struct address){.host = "192.0.2.9", .port = (uint16_t)(i + 1)};
    }
    for (size_t i = 0; i < 2; i++) {
        struct sentinel_view *view = first_view(watcher->masters[i]);

        view->settled = view->has_named = true;
        view->named = endpoint_from_address(&seeds[2]);
    }
    for (size_t i = 0; i < 4; i++) { /* the other master has only the one */
        sentinel_view_hear_sentinels(first_view(watcher->masters[0]), rows, KNOWN_MAX - i % 2);
        master_recount(watcher->masters[1]);
    }
    cr_expect_eq(judge_known(watcher->masters[0]->judge), KNOWN_MAX);
    cr_expect_eq(logged("more sentinels are listed than are taken in", "master=mymaster"), 1);
    free(rows);
}
