/* /replicas and /replica, and the same of one master: the list, and one healthy replica in turn. */
#include <stdio.h>

#include "answers.h"
#include "bellwether/base/clock.h"
#include "bellwether/http/master_json.h"
#include "master.h"
#include "table.h"

/* The master whose replicas are asked for, if anything may be said of it; NULL: it was answered. */
static struct cached_master *find(struct request *request)
{
    struct cached_master *cached = masters_find(request);

    if (cached && cache_stalled(request->worker->cache)) {
        masters_refuse_stalled(request, cached->master);
        return NULL;
    }
    if (cached && cached->master->state ==
                      MASTER_UNKNOWN) { /* never resolved: an empty list would be a lie */
        masters_refuse(request, cached->master, REASON_NONE, NULL);
        return NULL;
    }
    return cached;
}

void replicas_handle_list(struct request *request)
{
    struct cached_master *cached = find(request);

    if (!cached) {
        return;
    }
    if (request->form != FORM_TEXT && request->form != FORM_URL) {
        request_reads_lag(request, cached);
        request_answer_own(
            request, answer_render(request->worker->cache, cached->master,
                                   *request->argument ? ANSWER_NAMED_REPLICAS : ANSWER_REPLICAS,
                                   answer_form_of(request->form, request->query.pretty)));
    } else {
        request_answer(request,
                       cache_answer(request->worker->cache, cached,
                                    *request->argument ? ANSWER_NAMED_REPLICAS : ANSWER_REPLICAS,
                                    answer_form_of(request->form, request->query.pretty)));
    }
}

/* ---- one of them ---- */

static bool lag_is_fresh(const struct snapshot_replica *replica)
{
    return replica->lag_bytes >= 0 && clock_boot_ms() - replica->lag_at_ms <= LAG_FRESH_MS;
}

static bool fits(const struct request *request, const struct snapshot_replica *replica)
{
    return replica->healthy &&
           (!request->query.has_max_lag ||
            (lag_is_fresh(replica) && replica->lag_bytes <= request->query.max_lag_bytes));
}

/* Whether to ask the master anew: what is known of them is too old. */
static bool wants_fresh_lag(const struct request *request, const struct snapshot_master *master)
{
    bool healthy = false;

    for (size_t i = 0; i < master->n_replicas; i++) {
        if (lag_is_fresh(&master->replicas[i])) {
            return false; /* they are all asked for together */
        }
        healthy |= master->replicas[i].healthy;
    }
    return healthy && request->query.has_max_lag && !request->fresh && !request->worker->stopping;
}

/* The next one that fits, and the turn goes on behind it. */
static const struct snapshot_replica *take_turn(const struct request *request,
                                                struct cached_master *cached)
{
    const struct snapshot_master *master = cached->master;

    for (size_t i = 0; i < master->n_replicas; i++) {
        size_t at = (cached->turn + i) % master->n_replicas;

        if (fits(request, &master->replicas[at])) {
            cached->turn = at + 1;
            return &master->replicas[at];
        }
    }
    return NULL;
}

static json_t *head_of(const struct snapshot_master *master, const char *role)
{
    json_t *json = json_object();

    json_object_set_new(json, "name", render_text(master->name));
    json_object_set_new(json, "index", json_integer((json_int_t)master->index));
    json_object_set_new(json, "role", json_string(role));
    return json;
}

static void answer_replica(struct request *request, const struct snapshot_master *master,
                           const struct snapshot_replica *replica)
{
    json_t *json = head_of(master, "replica"),
           *rest = render_replica(replica, master->tls, clock_boot_ms());

    json_object_update(json, rest);
    json_decref(rest);
    request_answer_json(request, MHD_HTTP_OK, json, master);
}

/* The members that a master and a replica share, and what tells how sure the master is. */
static void answer_master(struct request *request, const struct snapshot_master *master)
{
    static const char *const members[] = {"host", "port", "address", "url"};
    static const char *const more[] = {"state", "reason", "verified", "majority", "config_epoch"};
    json_t *json = head_of(master, "master"), *all = render_master(master, false);

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        json_object_set(json, members[i], json_object_get(all, members[i]));
    }
    json_object_set_new(json, "run_id", render_text(*master->run_id ? master->run_id : NULL));
    for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
        json_object_set(json, more[i], json_object_get(all, more[i]));
    }
    json_decref(all);
    request_answer_json(request, MHD_HTTP_OK, json, master);
}

static void answer_none(struct request *request, const struct snapshot_master *master)
{
    size_t healthy = 0;
    char detail[200];
    json_t *problem;

    for (size_t i = 0; i < master->n_replicas; i++) {
        healthy += master->replicas[i].healthy;
    }
    snprintf(detail, sizeof(detail), "of %zu replicas %zu are healthy%s%s; /replicas tells why not",
             master->n_replicas, healthy,
             request->query.has_max_lag ? " and none is known to lag no more than max_lag" : "",
             request->query.fallback_master ? ", and there is no master to fall back to" : "");
    problem = problem_new(PROBLEM_NO_REPLICA, detail);
    json_object_set_new(problem, "name", render_text(master->name));
    json_object_set_new(problem, "index", json_integer((json_int_t)master->index));
    json_object_set_new(problem, "replicas", json_integer((json_int_t)master->n_replicas));
    json_object_set_new(problem, "healthy", json_integer((json_int_t)healthy));
    request_answer_problem(request, PROBLEM_NO_REPLICA, problem, master);
}

void replicas_handle_one(struct request *request)
{
    struct cached_master *cached = find(request);
    const struct snapshot_replica *replica;
    const struct snapshot_master *master;
    bool text = request->form == FORM_TEXT || request->form == FORM_URL, falls_back;

    if (!cached) {
        return;
    }
    master = cached->master;
    request_reads_lag(request, cached);
    replica = take_turn(request, cached);
    if (!replica && wants_fresh_lag(request, master)) {
        request_ask(request, FRESH_LAG, master->name);
        return;
    }
    falls_back = !replica && request->query.fallback_master && snapshot_master_serves(master);
    if (!replica && !falls_back) {
        answer_none(request, master);
    } else if (text) {
        request_answer_text(request, MHD_HTTP_OK,
                            answer_address_line(replica ? &replica->address : &master->address,
                                                master->tls, request->form == FORM_URL),
                            master);
    } else if (replica) {
        answer_replica(request, master, replica);
    } else {
        answer_master(request, master);
    }
}
