/*
 * /livez: the daemon's own threads turn. /readyz: it can answer. The checks of /readyz are
 * evaluated from the snapshot in one pass; which of them count is the option ready-when.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/utf8.h"
#include "bellwether/http/master_json.h"
#include "http/server/request.h"
#include "http/server/sockets.h"
#include "master.h"
#include "ready.h"
#include "table.h"

/* @return whether a listener does not accept though callers wait there, with words for it. */
static bool is_deaf(const struct request *request, char *detail, size_t size)
{
    const struct http_config *config = request->worker->config;

    for (size_t i = 0; i < config->n_listens * config->n_workers; i++) {
        int64_t since_ms = atomic_load_explicit(http_sockets_deaf_since(request->worker->sockets,
                                                                        i / config->n_workers,
                                                                        i % config->n_workers),
                                                memory_order_relaxed);

        if (since_ms) {
            snprintf(detail, size, "listener %zu has not accepted its callers for %" PRId64 " ms",
                     i / config->n_workers + 1, clock_boot_ms() - since_ms);
            return true;
        }
    }
    return false;
}

void health_handle_live(struct request *request)
{
    const struct http_config *config = request->worker->config;
    int64_t now_ms = clock_boot_ms();
    char deaf[96];

    if (is_deaf(request, deaf, sizeof(deaf))) {
        request_refuse(request, PROBLEM_NOT_ALIVE, deaf);
        return;
    }
    for (size_t i = 0; i <= config->n_workers; i++) {
        int64_t age_ms =
            now_ms - atomic_load_explicit(&config->pulses[i].at_boot_ms, memory_order_relaxed);
        char detail[96];

        if (age_ms > PULSE_MAX_AGE_MS) {
            snprintf(detail, sizeof(detail), "%s thread has not turned for %" PRId64 " ms",
                     i == 0 ? "the watcher's" : "a worker's", age_ms);
            request_refuse(request, PROBLEM_NOT_ALIVE, detail);
            return;
        }
    }
    request_answer_text(request, MHD_HTTP_OK, mem_strdup("ok\n"), NULL);
}

/* ---- readiness ---- */

/* @return false: ?master= names none that is watched, which was answered. */
static bool report(struct request *request, struct ready_report *out)
{
    const struct worker *worker = request->worker;
    const struct snapshot *snapshot = worker->cache->snapshot;
    const struct snapshot_master *one = NULL;

    if (*request->query.master && snapshot) {
        one = snapshot_find(snapshot, request->query.master);
        if (!one && !snapshot_knows_no_names(worker->cache->snapshot)) {
            masters_answer_unknown(request, request->query.master);
            return false;
        }
    }
    ready_evaluate(snapshot, one, cache_stalled(worker->cache), worker->draining,
                   worker->config->ready_when, out);
    return true;
}

static void answer_verbose(struct request *request, const struct ready_report *report,
                           unsigned shown, bool ready)
{
    size_t size = 64 + (size_t)READY_CHECKS_COUNT * (READY_WORDS_SIZE + 64), len = 0;
    char *text = mem_new(size, 1);

    for (int i = 0; i < READY_CHECKS_COUNT; i++) {
        const struct ready_result *result = &report->results[i];
        const char *name = ready_check_name((enum ready_check)i);

        if (!(shown & (1U << i))) {
            continue;
        }
        if (request->query.excluded & (1U << i)) {
            len += (size_t)snprintf(text + len, size - len, "[+]%s excluded: ok\n", name);
        } else if (result->ok) {
            len += (size_t)snprintf(text + len, size - len, "[+]%s ok\n", name);
        } else {
            len += (size_t)snprintf(text + len, size - len, "[-]%s failed: %s%s\n", name,
                                    result->words, result->counts ? "" : " (does not count)");
        }
    }
    snprintf(text + len, size - len, "readyz check %s\n", ready ? "passed" : "failed");
    request_answer_text(request, ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, text, NULL);
}

static void answer_not_ready(struct request *request, const struct ready_report *report,
                             unsigned shown)
{
    char detail[2 * READY_WORDS_SIZE] = "";
    json_t *checks = json_array(), *problem;

    for (int i = 0; i < READY_CHECKS_COUNT; i++) {
        const struct ready_result *result = &report->results[i];
        bool counts = result->counts && !(request->query.excluded & (1U << i));
        json_t *check = json_object();

        if (!(shown & (1U << i))) {
            json_decref(check);
            continue;
        }
        json_object_set_new(check, "check", json_string(ready_check_name((enum ready_check)i)));
        json_object_set_new(check, "ok", json_boolean(result->ok));
        json_object_set_new(check, "counts", json_boolean(counts));
        json_object_set_new(check, "detail", render_text(result->ok ? NULL : result->words));
        json_array_append_new(checks, check);
        if (!result->ok && counts && !*detail) {
            snprintf(detail, sizeof(detail), "%s: %s", ready_check_name((enum ready_check)i),
                     result->words);
        }
    }
    problem = problem_new(PROBLEM_NOT_READY, detail);
    json_object_set_new(problem, "checks", checks);
    request_answer_problem(request, PROBLEM_NOT_READY, problem, NULL);
}

static void answer_ready(struct request *request, const struct ready_report *report, unsigned shown)
{
    bool ready = ready_passes(report, shown & ~request->query.excluded);

    if (request->query.verbose) {
        answer_verbose(request, report, shown, ready);
    } else if (ready) {
        request_answer_text(request, MHD_HTTP_OK, mem_strdup("ok\n"), NULL);
    } else {
        answer_not_ready(request, report, shown);
    }
}

void health_handle_ready(struct request *request)
{
    struct ready_report *all = mem_new(1, sizeof(*all)); /* too large for a stack */

    if (report(request, all)) {
        answer_ready(request, all, (1U << READY_CHECKS_COUNT) - 1);
    }
    free(all);
}

/* A check that is asked for by name answers for itself, whether it counts in /readyz or not. */
void health_handle_check(struct request *request)
{
    struct ready_report *all;
    enum ready_check check;

    if (ready_check_find(request->argument, &check)) {
        char shown[QUERY_SHOWN_SIZE], words[QUERY_ERROR_SIZE];

        utf8_copy(request->argument, strlen(request->argument), shown, sizeof(shown));
        snprintf(words, sizeof(words),
                 "\"%s\" is no check; there are resolved, shutdown, master, sentinel and quorum",
                 shown);
        request_refuse(request, PROBLEM_NOT_FOUND, words);
        return;
    }
    all = mem_new(1, sizeof(*all));
    if (report(request, all)) {
        all->results[check].counts = true;
        request->query.excluded = 0;
        answer_ready(request, all, 1U << check);
    }
    free(all);
}
