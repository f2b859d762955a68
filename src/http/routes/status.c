/*
 * /status: everything that the daemon knows, rendered now. Ages change by the second, so the
 * watcher is asked for a report while the request waits; where it does not answer in time the
 * snapshot has to do, which is said.
 */
#include "status.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "answers.h"
#include "bellwether/base/budget.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/forward/forward.h"
#include "bellwether/http/master_json.h"
#include "bellwether/metrics/counters.h"
#include "bellwether/topology/write_fence.h"
#include "http/render/status_text.h"
#include "http/server/request.h"
#include "redis_worker.h"
#include "self.h"
#include "table.h"
#include "version.h"

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

static json_t *known_number(int64_t number)
{
    return number < 0 ? json_null() : json_integer(number);
}

static json_t *text_or_null(const char *text)
{
    return render_text(text && *text ? text : NULL);
}

static json_t *address_or_null(const struct address *address)
{
    char text[ADDRESS_TEXT_SIZE];

    return address_is_set(address) ? render_text(address_format(address, text)) : json_null();
}

/* ---- a master ---- */

static json_t *candidate_of(const struct status_master *master)
{
    const struct decision *decision = &master->decision;
    json_t *json;

    if (!master->has_decision || !decision->has_candidate) {
        return json_null();
    }
    json = json_object();
    set(json, "address", address_or_null(&decision->candidate.name));
    set(json, "config_epoch", known_number(decision->epoch));
    set(json, "voices", json_integer((json_int_t)decision->candidate_votes));
    set(json, "majority", json_boolean(decision->candidate_majority));
    return json;
}

static json_t *verification_of(const struct status_master *master)
{
    const struct status_verification *verification = &master->verification;
    json_t *json;

    if (!verification->known) {
        return json_null();
    }
    json = json_object();
    set(json, "enabled", json_boolean(verification->enabled));
    set(json, "connected", json_boolean(verification->connected));
    set(json, "answer",
        verification->answered ? json_string(role_answer_text(verification->answer)) : json_null());
    set(json, "words", text_or_null(verification->words));
    set(json, "age_ms", known_number(verification->age_ms));
    set(json, "master_age_ms", known_number(verification->master_age_ms));
    return json;
}

/* As /sentinels has them, each with what only this moment knows. */
static void set_sentinels(json_t *json, const struct status_master *master)
{
    json_t *all = render_sentinels(master->shown), *list = json_object_get(all, "sentinels");
    static const char *const counts[] = {"quorum", "known", "reachable", "agreeing",
                                         "voters_needed"};

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        json_object_set(json, counts[i], json_object_get(all, counts[i]));
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const struct status_vote *voice = &master->voices[i];
        json_t *sentinel = json_array_get(list, i);

        set(sentinel, "counts", json_boolean(voice->counts));
        set(sentinel, "age_ms", known_number(voice->age_ms));
        set(sentinel, "poll_interval_ms", known_number(voice->interval_ms));
        set(sentinel, "failover_under_way", json_boolean(voice->failover_under_way));
    }
    json_object_set(json, "sentinels", list);
    json_decref(all);
}

/* Null where no command was meant for that master yet. */
static json_t *pool_of(const struct status_view *view, const char *name)
{
    struct pool_view pool;
    json_t *json;

    if (!pool_look(view->pool, name, &pool)) {
        return json_null();
    }
    json = json_object();
    set(json, "connecting", json_integer((json_int_t)pool.connecting));
    set(json, "idle", json_integer((json_int_t)pool.idle));
    set(json, "busy", json_integer((json_int_t)pool.busy));
    set(json, "waiting", json_integer((json_int_t)pool.waiting));
    set(json, "in_flight", json_integer((json_int_t)pool.in_flight));
    set(json, "subscribers", json_integer((json_int_t)pool.subscribers));
    set(json, "channels", json_integer((json_int_t)pool.channels));
    set(json, "command_table", json_boolean(pool.has_table));
    set(json, "closed", pool.closed ? render_text(pool.closed) : json_null());
    return json;
}

static json_t *master_of(const struct status_view *view, const struct status_master *master)
{
    json_t *json = json_object(), *body = render_master(master->shown, false),
           *replicas = render_replicas(master->shown, clock_boot_ms());
    const struct failover *failover = status_failover(view->snapshot, master->shown->name);
    char words[STATUS_WORDS_SIZE];

    json_object_set(json, "name", json_object_get(body, "name"));
    json_object_set(json, "state", json_object_get(body, "state"));
    json_object_set(json, "reason", json_object_get(body, "reason"));
    set(json, "decision", render_text(status_say_decision(master, words)));
    set(json, "detail", text_or_null(master->shown->detail));
    json_object_update(json, body);
    set(json, "run_id", text_or_null(master->shown->run_id));
    set(json, "rule",
        master->has_decision ? json_string(decide_rule_text(master->decision.rule)) : json_null());
    set(json, "candidate", candidate_of(master));
    set(json, "high_water_epoch", known_number(master->high_water));
    set(json, "suspect", json_boolean(master->suspect));
    set(json, "verification", verification_of(master));
    set_sentinels(json, master);
    json_object_set(json, "replicas", json_object_get(replicas, "replicas"));
    set(json, "fence", json_string(fence_text(master->shown->fence)));
    set(json, "fence_since",
        master->fence_since_wall_ms ? render_time(master->fence_since_wall_ms) : json_null());
    set(json, "fence_reason", text_or_null(master->fence_why));
    set(json, "failover", failover ? render_failover(failover) : json_null());
    if (view->pool) {
        set(json, "pool", pool_of(view, master->shown->name));
    }
    json_decref(body);
    json_decref(replicas);
    return json;
}

static json_t *masters_of(const struct status_view *view)
{
    json_t *list = json_array();

    for (size_t i = 0; i < view->report->n_masters; i++) {
        json_array_append_new(list, master_of(view, &view->report->masters[i]));
    }
    return list;
}

/* ---- forwards ---- */

/* What all have in common is taken together. @return how many; `out` is to be freed. */
static size_t look_at_forwards(const struct http_config *config, const struct snapshot *snapshot,
                               struct status_forward **out)
{
    size_t n = config->forwards ? forward_shared_config(config->forwards)->n_listens : 0;
    const struct snapshot_master *preset = snapshot ? snapshot_default(snapshot) : NULL;

    *out = mem_new(n + 1, sizeof(**out));
    for (size_t i = 0; i < n; i++) {
        struct status_forward *forward = &(*out)[i];

        forward->listen = &forward_shared_config(config->forwards)->listens[i];
        forward->address = forward_shared_address(config->forwards, i);
        forward->master = forward->listen->master ? forward->listen->master
                          : preset                ? preset->name
                                                  : NULL;
        forward->lacks = forward->master && snapshot_lacks(snapshot, forward->master);
        metrics_sum_forward(config->metrics, i, &forward->counts);
    }
    return n;
}

static json_t *forward_of(const struct status_forward *forward)
{
    const struct metrics_forward_totals *counts = &forward->counts;
    json_t *json = json_object(), *connections = json_object(), *closed = json_object();
    json_int_t accepted = counts->waiting + counts->handshakes;
    char place[STATUS_PLACE_SIZE];

    for (int i = 0; i < METRIC_FORWARD_TO_COUNT; i++) {
        accepted += counts->connections[i];
        set(connections, metric_forward_to_text((enum metric_forward_to)i),
            json_integer(counts->connections[i]));
    }
    for (int i = 0; i < METRIC_FORWARD_END_COUNT; i++) {
        accepted += (json_int_t)counts->closed[i];
        set(closed, metric_forward_end_text((enum metric_forward_end)i),
            json_integer((json_int_t)counts->closed[i]));
    }
    set(json, "listen", render_text(status_say_place(forward, place)));
    set(json, "to",
        json_string(metric_forward_to_text((enum metric_forward_to)forward->listen->to)));
    set(json, "master", render_text(forward->master));
    set(json, "known", json_boolean(!forward->lacks));
    set(json, "tls", json_boolean(forward->listen->place.tls));
    set(json, "auth", json_boolean(forward->listen->auth));
    set(json, "connections", connections);
    set(json, "waiting", json_integer(counts->waiting));
    set(json, "handshakes", json_integer(counts->handshakes));
    set(json, "accepted", json_integer(accepted));
    set(json, "bytes_in", json_integer((json_int_t)counts->bytes[METRIC_FORWARD_WAY_IN]));
    set(json, "bytes_out", json_integer((json_int_t)counts->bytes[METRIC_FORWARD_WAY_OUT]));
    set(json, "closed", closed);
    return json;
}

static json_t *forwards_of(const struct status_view *view)
{
    json_t *list = json_array();

    for (size_t i = 0; i < view->n_forwards; i++) {
        json_array_append_new(list, forward_of(&view->forwards[i]));
    }
    return list;
}

/* ---- links ---- */

static json_t *link_of(const struct status_link *link)
{
    json_t *json = json_object(), *denied = json_array();

    for (size_t i = 0; i < link->n_denied; i++) {
        json_array_append_new(denied, json_string(link->denied[i]));
    }
    set(json, "sentinel", address_or_null(&link->address));
    set(json, "peer", address_or_null(&link->sentinel));
    set(json, "run_id", text_or_null(link->run_id));
    set(json, "source", json_string(link->configured ? "configured" : "learned"));
    set(json, "up", json_boolean(link->up));
    set(json, "spare", json_boolean(link->spare));
    set(json, "failures", json_integer((json_int_t)link->failures));
    set(json, "denied", denied);
    set(json, "error", render_trouble(link->trouble, link->words, link->trouble_wall_ms));
    return json;
}

static json_t *links_of(const struct status_report *report)
{
    json_t *list;

    if (!report->live) {
        return json_null();
    }
    list = json_array();
    for (size_t i = 0; i < report->n_links; i++) {
        json_array_append_new(list, link_of(&report->links[i]));
    }
    return list;
}

/* ---- options ---- */

static json_t *option_value(const struct http_option *option)
{
    json_t *list;

    if (!option->list) {
        return option->n_values ? render_text(option->values[0]) : json_null();
    }
    list = json_array();
    for (size_t i = 0; i < option->n_values; i++) {
        json_array_append_new(list, render_text(option->values[i]));
    }
    return list;
}

static json_t *options_of(const struct http_config *config)
{
    json_t *list = json_array();

    for (size_t i = 0; i < config->n_options; i++) {
        const struct http_option *option = &config->options[i];
        json_t *json = json_object();

        set(json, "name", json_string(option->name));
        set(json, "master", render_text(option->master));
        set(json, "value", option_value(option));
        set(json, "from", render_text(option->from));
        json_array_append_new(list, json);
    }
    return list;
}

/* ---- the whole ---- */

static json_t *selves_of(const struct snapshot *snapshot)
{
    json_t *list = json_array();

    for (size_t i = 0; snapshot && i < snapshot->n_selves; i++) {
        json_array_append_new(list, self_render(&snapshot->selves[i]));
    }
    return list;
}

static json_t *connections_of(const struct request *request)
{
    json_t *json = json_object();

    set(json, "open",
        json_integer(
            (json_int_t)atomic_load_explicit(request->listener->open, memory_order_relaxed)));
    set(json, "max", json_integer((json_int_t)request->worker->config->max_connections));
    return json;
}

static json_t *memory_of(const struct http_config *config)
{
    json_t *json = json_object();

    set(json, "used_bytes", json_integer((json_int_t)budget_used()));
    set(json, "max_bytes", json_integer(config->max_memory_bytes));
    return json;
}

static json_t *status_json(const struct request *request, const struct status_view *view)
{
    const struct http_config *config = request->worker->config;
    json_t *json = json_object(), *watcher = json_object();
    char *verdict = status_verdict(view);

    set(json, "verdict", render_text(verdict));
    free(verdict);
    set(json, "reason",
        view->stalled ? json_string(reason_text(REASON_WATCHER_STALLED)) : json_null());
    set(json, "at", render_time(view->report->wall_ms));
    set(json, "version", json_string(BELLWETHER_VERSION));
    set(json, "commit", json_string(BELLWETHER_COMMIT));
    set(json, "instance", json_string(view->instance));
    set(json, "started", render_time(view->started_wall_ms));
    set(json, "uptime_ms", json_integer(view->uptime_ms));
    set(json, "draining", json_boolean(view->draining));
    set(watcher, "stalled", json_boolean(view->stalled));
    set(watcher, "silent_ms", json_integer(view->silent_ms));
    set(json, "watcher", watcher);
    set(json, "index", json_integer(view->snapshot ? (json_int_t)view->snapshot->index : 0));
    set(json, "default", render_text(view->snapshot ? view->snapshot->default_name : NULL));
    set(json, "masters", masters_of(view));
    set(json, "sentinels_know", answer_names_known(view->snapshot));
    set(json, "self", selves_of(view->snapshot));
    set(json, "forwards", forwards_of(view));
    set(json, "links", links_of(view->report));
    set(json, "connections", connections_of(request));
    set(json, "memory", memory_of(config));
    set(json, "options", options_of(config));
    return json;
}

/* What is to be shown, and what of it is to be freed. */
struct shown {
    struct status_view view;
    struct status_report *report; /* where the watcher gave none */
    struct status_forward *forwards;
};

static struct status_view view_of(const struct request *request, const struct status_report *report)
{
    const struct worker *worker = request->worker;
    const struct http_config *config = worker->config;
    int64_t now_ms = clock_boot_ms(),
            beat_ms = atomic_load_explicit(&config->pulses[0].at_boot_ms, memory_order_relaxed);

    return (struct status_view){
        .report = report,
        .snapshot = worker->cache->snapshot,
        .instance = worker->instance,
        .uptime_ms = now_ms - config->started_boot_ms,
        .started_wall_ms = config->started_wall_ms,
        .silent_ms = now_ms > beat_ms ? now_ms - beat_ms : 0,
        .stalled = !report->live && !worker->stopping,
        .draining = worker->draining,
        .pool = worker->commands ? worker->commands->pool : NULL,
    };
}

/* @return false: the request waits for the watcher's report, and its handler is called again. */
static bool look(struct request *request, struct shown *out)
{
    struct worker *worker = request->worker;
    const struct status_report *report = request->fresh ? request->fresh->report : NULL;

    *out = (struct shown){0};
    request_reads_lag(request, NULL);
    if (!request->fresh && !worker->stopping) {
        request_ask(request, FRESH_STATUS, "");
        return false;
    }
    if (!report) {
        out->report = status_report_of_snapshot(worker->cache->snapshot, clock_wall_ms());
        report = out->report;
    }
    out->view = view_of(request, report);
    out->view.n_forwards =
        look_at_forwards(worker->config, worker->cache->snapshot, &out->forwards);
    out->view.forwards = out->forwards;
    return true;
}

static void shown_release(struct shown *shown)
{
    status_report_free(shown->report);
    free(shown->forwards);
}

char *status_ask_text(struct request *request)
{
    struct shown shown;
    char *text;

    if (!look(request, &shown)) {
        return NULL;
    }
    text = status_text(&shown.view);
    shown_release(&shown);
    return text;
}

void status_handle(struct request *request)
{
    struct shown shown;

    if (request->form == FORM_TEXT || request->form == FORM_URL) {
        char *text = status_ask_text(request);

        if (text) {
            request_answer_text(request, MHD_HTTP_OK, text, NULL);
        }
    } else if (look(request, &shown)) {
        request_answer_json(request, MHD_HTTP_OK, status_json(request, &shown.view), NULL);
        shown_release(&shown);
    }
}
