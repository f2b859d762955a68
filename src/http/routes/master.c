/*
 * /master, /masters, /masters/{name}. The answer as the snapshot has it is shared (answer_cache.c);
 * here are the cases in which it may not be given: a silent watcher, a look-up that did not confirm
 * it, a majority that was required; and ?stale=1, which asks for the last known address all the
 * same.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "answers.h"
#include "bellwether/base/clock.h"
#include "bellwether/http/master_json.h"
#include "http/server/poll_params.h"
#include "master.h"
#include "table.h"

/* ---- which master ---- */

void masters_answer_unknown(struct request *request, const char *name)
{
    const struct snapshot *snapshot = request->worker->cache->snapshot;
    char detail[ROUTE_ARGUMENT_SIZE + 80];
    json_t *problem;

    if (snapshot_knows_no_names(snapshot)) {
        problem = answer_no_master(snapshot, NULL, snapshot->reason, snapshot->detail);
        json_object_set_new(problem, "name", render_text(name));
        request_answer_problem(request, PROBLEM_NO_MASTER, problem, NULL);
        return;
    }
    snprintf(detail, sizeof(detail),
             "no master of the name %s is watched; GET /masters lists those that are", name);
    problem = problem_new(PROBLEM_UNKNOWN_MASTER, detail);
    json_object_set_new(problem, "name", render_text(name));
    json_object_set_new(problem, "sentinels_know", answer_names_known(snapshot));
    request_answer_problem(request, PROBLEM_UNKNOWN_MASTER, problem, NULL);
}

static void answer_several(struct request *request)
{
    json_t *problem =
        problem_new(PROBLEM_SEVERAL_MASTERS,
                    "say which with /masters/{name}, or start the daemon with --default-master");

    json_object_set_new(problem, "names", answer_names_watched(request->worker->cache->snapshot));
    request_answer_problem(request, PROBLEM_SEVERAL_MASTERS, problem, NULL);
}

static void answer_none(struct request *request, const struct snapshot *snapshot)
{
    if (!snapshot) {
        masters_refuse(request, NULL, REASON_STARTING,
                       "the daemon has just started; no Sentinel was asked yet");
    } else if (cache_stalled(request->worker->cache)) {
        masters_refuse_stalled(request, NULL);
    } else if (snapshot->n_masters == 0 && snapshot->reason != REASON_NONE) {
        masters_refuse(request, NULL, snapshot->reason, snapshot->detail);
    } else if (snapshot->any_sentinel_reachable) {
        masters_refuse(request, NULL, REASON_UNKNOWN_NAME,
                       "the Sentinels monitor no master that is to be watched");
    } else {
        masters_refuse(request, NULL, REASON_NO_SENTINEL_REACHABLE, "no Sentinel has answered yet");
    }
}

struct cached_master *masters_find(struct request *request)
{
    struct cache *cache = request->worker->cache;
    const char *name = request->fresh ? request->fresh->master : request->argument;
    struct cached_master *found;

    if (!cache->snapshot) {
        answer_none(request, NULL);
        return NULL;
    }
    found = *name ? cache_find(cache, name) : cache->default_master;
    if (found) {
        return found;
    }
    if (*name) {
        masters_answer_unknown(request, name);
    } else if (cache->snapshot->ambiguous_default) {
        answer_several(request);
    } else {
        answer_none(request, cache->snapshot);
    }
    return NULL;
}

/* ---- refusing ---- */

void masters_refuse(struct request *request, const struct snapshot_master *master,
                    enum reason reason, const char *detail)
{
    if (master && reason == REASON_NONE) {
        reason = master->reason;
    }
    if (master && !detail) {
        detail = master->detail;
    }
    request_answer_problem(
        request, PROBLEM_NO_MASTER,
        answer_no_master(request->worker->cache->snapshot, master, reason, detail), master);
}

/* How long the watcher has been silent, in words for people. */
static const char *stalled_detail(const struct request *request, char *out, size_t size)
{
    const struct pulse *pulse = request->worker->cache->snapshot->pulse;
    int64_t at_ms = pulse ? atomic_load_explicit(&pulse->at_boot_ms, memory_order_relaxed) : 0;

    snprintf(out, size,
             "the thread that watches gave no sign of life for %" PRId64
             " ms; what it said may be old",
             clock_boot_ms() - at_ms);
    return out;
}

void masters_refuse_stalled(struct request *request, const struct snapshot_master *master)
{
    char detail[160];

    masters_refuse(request, master, REASON_WATCHER_STALLED,
                   stalled_detail(request, detail, sizeof(detail)));
}

/* ---- one master ---- */

/* Why what the snapshot says may not be given out. */
struct doubt {
    bool any;
    bool unverified; /* it is about the truth of the address, not about who agrees */
    enum reason reason;
    char words[DETAIL_SIZE];
    const char *detail; /* in `words`, or borrowed of the request */
};

static void doubt_fresh(const struct request *request, struct doubt *doubt)
{
    doubt->any = doubt->unverified = true;
    if (request->fresh && request->fresh->outcome == FRESH_UNCONFIRMED) {
        doubt->reason = request->fresh->reason;
        doubt->detail = request->fresh->detail;
        return;
    }
    doubt->reason = REASON_WATCHER_STALLED;
    if (request->worker->stopping) {
        snprintf(doubt->words, sizeof(doubt->words),
                 "the daemon is shutting down and looks nothing up any more");
    } else {
        snprintf(doubt->words, sizeof(doubt->words),
                 "a fresh look-up got no answer within %" PRId64 " ms",
                 request->worker->config->poll_wait_ms);
    }
}

static void doubt_majority(const struct snapshot_master *master, struct doubt *doubt)
{
    char text[ADDRESS_TEXT_SIZE];

    doubt->any = true;
    doubt->reason = REASON_NO_MAJORITY;
    snprintf(doubt->words, sizeof(doubt->words),
             "%zu of %zu known Sentinels named %s lately, %zu would be a majority",
             master->agreeing, master->known, address_format(&master->address, text),
             master->known / 2 + 1);
}

static struct doubt doubt_of(const struct request *request, const struct snapshot_master *master)
{
    struct doubt doubt = {0};
    bool asked = request->fresh && request->fresh->outcome == FRESH_CONFIRMED;

    if (cache_stalled(request->worker->cache)) {
        doubt.any = doubt.unverified = true;
        doubt.reason = REASON_WATCHER_STALLED;
        stalled_detail(request, doubt.words, sizeof(doubt.words));
    } else if (snapshot_master_serves(master) && request->query.fresh && !asked) {
        doubt_fresh(request, &doubt);
    } else if (snapshot_master_serves(master) && request->query.require_majority &&
               !master->majority) {
        doubt_majority(master, &doubt);
    }
    return doubt;
}

/* The last known address, said to be that. */
static void answer_stale(struct request *request, const struct snapshot_master *master,
                         const struct doubt *doubt)
{
    json_t *json;

    if (request->form == FORM_TEXT || request->form == FORM_URL) {
        request_answer_text(
            request, MHD_HTTP_OK,
            answer_address_line(&master->address, master->tls, request->form == FORM_URL), master);
        return;
    }
    json = render_master(master, true);
    if (doubt->any) {
        json_object_set_new(json, "reason", render_text(reason_text(doubt->reason)));
    }
    if (doubt->unverified) {
        json_object_set_new(json, "verified", json_false());
    }
    request_answer_json(request, MHD_HTTP_OK, json, master);
}

void masters_handle_one(struct request *request)
{
    struct cached_master *cached;
    const struct snapshot_master *master;
    struct doubt doubt;

    if (poll_waits(request)) {
        return;
    }
    cached = masters_find(request);
    if (!cached) {
        return;
    }
    master = cached->master;
    if (request->query.fresh && !request->fresh && !request->worker->stopping) {
        request_ask(request, FRESH_LOOK_UP, master->name);
        return;
    }
    doubt = doubt_of(request, master);
    if (request->query.stale && (doubt.any || !snapshot_master_serves(master)) &&
        master->has_address && master->state != MASTER_UNKNOWN &&
        (!request->query.require_majority || master->majority)) {
        answer_stale(request, master, &doubt);
    } else if (doubt.any) {
        masters_refuse(request, master, doubt.reason, doubt.detail ? doubt.detail : doubt.words);
    } else {
        request_answer(request,
                       cache_answer(request->worker->cache, cached,
                                    *request->argument ? ANSWER_NAMED_MASTER : ANSWER_MASTER,
                                    answer_form_of(request->form, request->query.pretty)));
    }
}

/* ---- all masters ---- */

void masters_handle_list(struct request *request)
{
    struct cache *cache = request->worker->cache;

    if (!cache->snapshot) {
        answer_none(request, NULL);
    } else if (cache_stalled(cache)) {
        masters_refuse_stalled(request,
                               cache->default_master ? cache->default_master->master : NULL);
    } else {
        request_answer(request,
                       cache_list(cache, answer_form_of(request->form, request->query.pretty)));
    }
}
