/* Counting by several threads at once, and the list of what they count about. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/metrics/counters.h"
#include "bellwether/metrics/process.h"

TestSuite(metrics_metrics);

/* The names are a contract: HTTP.md, "Metrics". Those of the commands come with the commands. */
Test(metrics_metrics, the_list_is_what_was_promised)
{
    static const char *const promised[] = {"build_info{version}",
                                           "master_up{master}",
                                           "master_verified{master}",
                                           "master_majority{master}",
                                           "master_state{master,state}",
                                           "master_reason{master,reason}",
                                           "master_info{master,address}",
                                           "master_config_epoch{master}",
                                           "master_last_verified_timestamp_seconds{master}",
                                           "master_last_switch_timestamp_seconds{master}",
                                           "master_switches_total{master}",
                                           "master_restarts_total{master}",
                                           "failovers_total{master,outcome,kind}",
                                           "adoptions_total{master,outcome}",
                                           "failover_duration_seconds{master}",
                                           "unavailable_seconds{master}",
                                           "last_failover_timestamp_seconds{master}",
                                           "last_failover_phase_seconds{master,phase}",
                                           "verify_duration_seconds{master}",
                                           "replicas{master,status}",
                                           "replica_lag_bytes_max{master}",
                                           "ready{}",
                                           "masters{state}",
                                           "sentinels_configured{}",
                                           "sentinels_unreachable{}",
                                           "sentinels_known{master}",
                                           "sentinels_reachable{master}",
                                           "sentinels_agreeing{master}",
                                           "sentinel_ckquorum_ok{master}",
                                           "sentinel_connected{sentinel}",
                                           "sentinel_tilt{sentinel}",
                                           "sentinel_events_total{event}",
                                           "sentinel_reconnects_total{sentinel}",
                                           "sentinel_errors_total{sentinel,reason}",
                                           "http_requests_total{route,method,code}",
                                           "http_request_duration_seconds{route}",
                                           "http_inflight{}",
                                           "http_waiters{kind}",
                                           "http_rejected_total{reason}",
                                           "memory_bytes{}",
                                           "streams_cut_total{}",
                                           "pool_connections{state}",
                                           "pool_waiting{}",
                                           "pool_inflight{}",
                                           "commands_total{outcome}",
                                           "command_duration_seconds{}",
                                           "command_retries_total{reason}",
                                           "fence_holds_total{}",
                                           "fence_seconds{}",
                                           "policy_refusals_total{}",
                                           "forward_connections{to}",
                                           "forward_waiting{}",
                                           "forward_handshakes{}",
                                           "forward_bytes_total{direction}",
                                           "forward_closed_total{reason}",
                                           "reload_success{}",
                                           "reload_timestamp_seconds{}"};

    for (size_t i = 0; i < sizeof(promised) / sizeof(*promised); i++) {
        bool found = false;

        for (int j = 0; j < METRICS_COUNT && !found; j++) {
            const struct metric_row *row = metric_row((enum metric)j);
            char text[160];

            snprintf(text, sizeof(text), "%s{%s}", row->name, row->labels);
            found = strncmp(text, "bellwether_", 11) == 0 && strcmp(text + 11, promised[i]) == 0;
        }
        cr_assert(found, "%s", promised[i]);
    }
}

Test(metrics_metrics, every_row_keeps_to_the_rules_of_names)
{
    for (int i = 0; i < METRICS_COUNT; i++) {
        const struct metric_row *row = metric_row((enum metric)i);
        const char *total = strstr(row->name, "_total");

        cr_assert_eq(total && total[6] == '\0', row->type == METRIC_COUNTER, "%s", row->name);
        cr_assert_eq(row->n_buckets > 0, row->type == METRIC_HISTOGRAM, "%s", row->name);
        cr_assert(*row->help != '\0', "%s", row->name);
        for (size_t j = 0; j < row->n_buckets; j++) {
            cr_assert(j == 0 || row->bounds_us[j] > row->bounds_us[j - 1], "%s", row->name);
            cr_assert_eq((int64_t)(strtod(row->bound_texts[j], NULL) * 1e6 + 0.5),
                         row->bounds_us[j], "%s %s", row->name, row->bound_texts[j]);
        }
        for (int j = 0; j < i; j++) {
            cr_assert_str_neq(row->name, metric_row((enum metric)j)->name);
        }
    }
}

Test(metrics_metrics, codes_and_reasons)
{
    cr_assert_str_eq(metric_code_text(metric_code_of(200)), "200");
    cr_assert_str_eq(metric_code_text(metric_code_of(503)), "503");
    cr_assert_str_eq(metric_code_text(metric_code_of(418)), "other");
    cr_assert_str_eq(metric_code_text(metric_code_of(0)), "other");
    cr_assert_str_eq(metric_sentinel_error_text(metric_sentinel_error_of("loopback")), "loopback");
    cr_assert_str_eq(metric_sentinel_error_text(metric_sentinel_error_of("what?")), "other");
}

/* ---- threads ---- */

enum { WORKERS = 4, ROUNDS = 20000 };

static void *work(void *data)
{
    struct metrics_http *http = data;

    for (int i = 0; i < ROUNDS; i++) {
        metric_add(&http->requests[1][METRIC_METHOD_GET][METRIC_CODE_200], 1);
        metric_observe(&http->durations[1], METRIC_HTTP_DURATION, i % 500);
        metric_move(&http->long_polls[METRIC_WAITER_POLL], i % 2 ? 1 : -1);
    }
    return NULL;
}

/* Masters and Sentinels come and go while others look. */
static void *watch(void *data)
{
    struct metrics *metrics = data;

    for (int i = 0; i < ROUNDS / 20; i++) {
        struct metrics_master *one = metrics_master_add(metrics, i % 2 ? "one" : "uno");
        struct metrics_sentinel *sentinel = metrics_sentinel_add(metrics, "10.0.0.1:26379");

        metric_add(&one->switches, 1);
        metric_observe(&one->unavailable, METRIC_UNAVAILABLE, 1500000);
        metric_add(&sentinel->errors[METRIC_SENTINEL_ERROR_AUTH], 1);
        metric_add(&metrics_watch(metrics)->events[3], 1);
        metrics_master_remove(metrics, one);
        metrics_sentinel_remove(metrics, sentinel);
    }
    return NULL;
}

static uint64_t requests(struct metrics *metrics)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < metrics_workers(metrics); i++) {
        sum +=
            metric_read(&metrics_http(metrics, i)->requests[1][METRIC_METHOD_GET][METRIC_CODE_200]);
    }
    return sum;
}

static void look(struct metrics *metrics)
{
    struct metrics_listed listed;

    metrics_list(metrics, &listed);
    for (size_t i = 0; i < listed.n_masters; i++) {
        struct metric_totals totals = {0};

        metric_sum(&totals, &listed.masters[i]->unavailable);
        cr_assert(strcmp(listed.masters[i]->name, "one") == 0 ||
                  strcmp(listed.masters[i]->name, "uno") == 0);
        cr_assert_leq(metric_read(&listed.masters[i]->switches), 1);
    }
    for (size_t i = 0; i < listed.n_sentinels; i++) {
        cr_assert_str_eq(listed.sentinels[i]->address, "10.0.0.1:26379");
    }
    metrics_listed_release(&listed);
}

Test(metrics_metrics, threads_count_while_others_look, .timeout = 60)
{
    struct metrics *metrics = metrics_new(WORKERS);
    struct metric_totals totals = {0};
    pthread_t threads[WORKERS + 1];
    uint64_t before = 0, n = 0;

    for (size_t i = 0; i < WORKERS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, work, metrics_http(metrics, i)), 0);
    }
    cr_assert_eq(pthread_create(&threads[WORKERS], NULL, watch, metrics), 0);
    for (int i = 0; i < 200; i++) {
        uint64_t now = requests(metrics);

        cr_assert_geq(now, before, "a counter went back");
        before = now;
        look(metrics);
    }
    for (size_t i = 0; i <= WORKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    cr_assert_eq(requests(metrics), WORKERS * ROUNDS);
    for (size_t i = 0; i < WORKERS; i++) {
        metric_sum(&totals, &metrics_http(metrics, i)->durations[1]);
        cr_assert_eq(metric_look(&metrics_http(metrics, i)->long_polls[METRIC_WAITER_POLL]), 0);
    }
    for (size_t i = 0; i <= METRIC_BUCKETS_MAX; i++) {
        n += totals.counts[i];
    }
    cr_assert_eq(n, WORKERS * ROUNDS);
    cr_assert_eq(totals.sum_us, (uint64_t)WORKERS * (ROUNDS / 500) * (499 * 500 / 2));
    cr_assert_eq(metric_read(&metrics_watch(metrics)->events[3]), ROUNDS / 20);
    look(metrics);
    metrics_free(metrics);
}

/* ---- the list ---- */

Test(metrics_metrics, series_are_sorted_and_end)
{
    struct metrics *metrics = metrics_new(1);
    struct metrics_master *b = metrics_master_add(metrics, "b"),
                          *a = metrics_master_add(metrics, "a");
    struct metrics_master *c = metrics_master_add(metrics, "c");
    struct metrics_listed listed, later;

    metric_add(&b->switches, 5);
    metrics_list(metrics, &listed);
    cr_assert_eq(listed.n_masters, 3);
    cr_assert_eq(listed.masters[0], a);
    cr_assert_eq(listed.masters[1], b);
    cr_assert_eq(listed.masters[2], c);
    metrics_master_remove(metrics, b);
    metrics_list(metrics, &later);
    cr_assert_eq(later.n_masters, 2);
    cr_assert_str_eq(listed.masters[1]->name, "b", "who has the list may read on");
    cr_assert_eq(metric_read(&listed.masters[1]->switches), 5);
    metrics_listed_release(&listed);
    metrics_listed_release(&later);
    b = metrics_master_add(metrics, "b");
    cr_assert_eq(metric_read(&b->switches), 0, "another master of that name begins anew");
    metrics_master_remove(metrics, NULL);
    metrics_free(metrics);
}

Test(metrics_metrics, one_address_of_two_deployments_has_one_series)
{
    struct metrics *metrics = metrics_new(0);
    struct metrics_sentinel *first = metrics_sentinel_add(metrics, "10.0.0.1:26379");
    struct metrics_sentinel *second = metrics_sentinel_add(metrics, "10.0.0.1:26379");
    struct metrics_sentinel *other = metrics_sentinel_add(metrics, "10.0.0.0:26379");
    struct metrics_listed listed;

    cr_assert_eq(first, second);
    metrics_sentinel_remove(metrics, first);
    metrics_list(metrics, &listed);
    cr_assert_eq(listed.n_sentinels, 2);
    cr_assert_eq(listed.sentinels[0], other);
    cr_assert_eq(listed.sentinels[1], second);
    metrics_listed_release(&listed);
    metrics_sentinel_remove(metrics, second);
    metrics_list(metrics, &listed);
    cr_assert_eq(listed.n_sentinels, 1);
    metrics_listed_release(&listed);
    metrics_free(metrics);
}

Test(metrics_metrics, figures_of_this_process)
{
    struct process_figures figures, again;

    process_read(&figures);
    cr_assert_gt(figures.cpu_us, 0);
    cr_assert_geq(figures.open_fds, 3);
    cr_assert_geq(figures.max_fds, figures.open_fds);
    cr_assert_gt(figures.virtual_bytes, figures.resident_bytes);
    cr_assert_gt(figures.resident_bytes, 100000);
    process_read(&again);
    cr_assert_eq(again.start_wall_ms, figures.start_wall_ms, "restarts are told by its change");
}
