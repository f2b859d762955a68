/*
 * /self, /self/master, /self/replica, /self/ready: what the node named by --self is, for load
 * balancers and for the readiness of Redis pods. The watcher decides (watcher/self_node.c); here is
 * what makes a 200 of it.
 *
 * Several --self are several names of one node: the first of them with which the answer is yes
 * counts, so naming two nodes would make either's role that of both.
 */
#include "self.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/http/master_json.h"
#include "http/server/request.h"
#include "table.h"

static const char *const role_names[] = {
    [SELF_UNKNOWN] = "unknown", [SELF_MASTER] = "master", [SELF_REPLICA] = "replica"};

static const char *const match_names[] = {[SELF_UNMATCHED] = NULL,
                                          [SELF_BY_TEXT] = "text",
                                          [SELF_BY_RESOLUTION] = "resolved",
                                          [SELF_BY_RUN_ID] = "run_id"};

json_t *self_render(const struct snapshot_self *self)
{
    json_t *json = json_object();
    char text[ADDRESS_TEXT_SIZE];

    json_object_set_new(json, "address", render_text(address_format(&self->address, text)));
    json_object_set_new(json, "matched_by", render_text(match_names[self->matched_by]));
    json_object_set_new(json, "role", json_string(role_names[self->role]));
    json_object_set_new(json, "name", render_text(*self->name ? self->name : NULL));
    json_object_set_new(json, "majority", json_boolean(self->majority));
    json_object_set_new(json, "reason", render_text(*self->reason ? self->reason : NULL));
    return json;
}

/* ---- the verdict ---- */

static const char *why_not_in_lag(const struct snapshot_self *self, int64_t max_lag_bytes)
{
    if (self->role != SELF_REPLICA || max_lag_bytes == SELF_ANY_LAG) {
        return NULL;
    }
    return self->lag_bytes < 0 || clock_boot_ms() - self->lag_at_ms > LAG_FRESH_MS ? "lag_unknown"
           : self->lag_bytes > max_lag_bytes                                       ? "lag"
                                                                                   : NULL;
}

const char *self_why_not(const struct snapshot_self *self, enum self_question question,
                         bool needs_majority, int64_t max_lag_bytes)
{
    if (self->role == SELF_UNKNOWN) {
        return self->reason;
    }
    if (question == SELF_ASK_MASTER && self->role != SELF_MASTER) {
        return "is_replica";
    }
    if (question == SELF_ASK_REPLICA && self->role != SELF_REPLICA) {
        return "is_master";
    }
    if (question == SELF_ASK_READY && !self->ready) {
        return self->reason;
    }
    if (needs_majority && !self->majority) {
        return "no_majority";
    }
    return why_not_in_lag(self, max_lag_bytes);
}

/* ---- the answers ---- */

/* The names of one node know it more or less well: the one that knows it best speaks. */
static const struct snapshot_self *best_of(const struct snapshot *snapshot)
{
    const struct snapshot_self *best = &snapshot->selves[0];

    for (size_t i = 1; i < snapshot->n_selves; i++) {
        const struct snapshot_self *self = &snapshot->selves[i];

        if (best->role == SELF_MASTER) {
            break;
        }
        if (self->role == SELF_MASTER ||
            (self->role == SELF_REPLICA && best->role == SELF_UNKNOWN)) {
            best = self;
        }
    }
    return best;
}

static void describe(const struct snapshot_self *self, const char *reason, char *out, size_t size)
{
    static const struct {
        const char *reason, *words;
    } known[] = {
        {"starting", "it was not found among the known nodes yet"},
        {"unknown_node", "no watched deployment knows this node, by address or by run id"},
        {"watcher_stalled",
         "the thread that watches is silent, or stood still, so nothing current is known"},
        {"no_majority", "no majority of the known Sentinels agrees (option self-requires)"},
        {"is_replica", "it is a replica"},
        {"is_master", "it is the master"},
        {"lag", "it lags more than max_lag"},
        {"lag_unknown", "how far it lags is not known"},
        {"link_down", "its link to the master is down"},
        {"redis_loading", "it is loading its data set"},
        {"redis_unreachable", "it can't be connected to"},
        {"redis_timeout", "it does not answer"},
        {"role_mismatch", "it says another role than the Sentinels do"},
        {"unhealthy", "the Sentinels call it down or disconnected"},
        {"was_master", "it was the master before, and is not listed as a replica yet"},
        {"failing_over", "a failover is under way"},
        {"contradicted", "most Sentinels name another node that says master, too"},
    };
    char text[ADDRESS_TEXT_SIZE];
    const char *words = "its deployment has no master now";

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i].reason, reason) == 0) {
            words = known[i].words;
        }
    }
    snprintf(out, size, "%s: %s (%s)", address_format(&self->address, text), words, reason);
}

void self_refuse(struct request *request, const struct snapshot_self *self, const char *reason)
{
    const struct snapshot *snapshot = request->worker->cache->snapshot;
    char words[ADDRESS_TEXT_SIZE + 200], *detail;
    json_t *problem, *members = self_render(self);

    describe(self, reason, words, sizeof(words));
    detail = snapshot_say_causes(words, snapshot ? snapshot->sentinels : NULL,
                                 snapshot ? snapshot->n_sentinels : 0);
    json_object_set_new(members, "reason", render_text(reason));
    problem = problem_new(PROBLEM_NOT_IN_ROLE, detail);
    free(detail);
    json_object_update(problem, members);
    json_decref(members);
    problem_help_with(problem, reason);
    request_answer_problem(request, PROBLEM_NOT_IN_ROLE, problem, NULL);
}

void self_confirm(struct request *request, const struct snapshot_self *self)
{
    char line[16];

    if (request->form == FORM_TEXT || request->form == FORM_URL) {
        snprintf(line, sizeof(line), "%s\n", role_names[self->role]);
        request_answer_text(request, MHD_HTTP_OK, mem_strdup(line), NULL);
        return;
    }
    request_answer_json(request, MHD_HTTP_OK, self_render(self), NULL);
}

/* The snapshot, when it may be believed; NULL: it was answered. */
static const struct snapshot *believed(struct request *request)
{
    const struct snapshot *snapshot = request->worker->cache->snapshot;

    if (request->worker->config->n_selves == 0) {
        request_refuse(request, PROBLEM_NO_SELF,
                       "start the daemon with --self HOST:PORT of the node beside it");
        return NULL;
    }
    if (!snapshot || snapshot->n_selves == 0 || cache_stalled(request->worker->cache)) {
        struct snapshot_self blank = {.address = request->worker->config->selves[0],
                                      .lag_bytes = -1};

        self_refuse(request, &blank,
                    snapshot && snapshot->n_selves ? "watcher_stalled" : "starting");
        return NULL;
    }
    return snapshot;
}

void self_handle(struct request *request)
{
    const struct snapshot *snapshot = believed(request);
    const struct snapshot_self *self;

    if (!snapshot) {
        return;
    }
    self = best_of(snapshot);
    if (self->role == SELF_UNKNOWN) {
        self_refuse(request, self, self->reason);
    } else {
        self_confirm(request, self);
    }
}

static void handle_question(struct request *request, enum self_question question)
{
    const struct snapshot *snapshot = believed(request);
    bool majority = request->worker->config->self_requires == SELF_REQUIRES_MAJORITY;
    int64_t max_lag = request->query.has_max_lag ? request->query.max_lag_bytes : SELF_ANY_LAG;
    const struct snapshot_self *best;

    if (!snapshot) {
        return;
    }
    for (size_t i = 0; i < snapshot->n_selves; i++) {
        if (!self_why_not(&snapshot->selves[i], question, majority, max_lag)) {
            self_confirm(request, &snapshot->selves[i]);
            return;
        }
    }
    best = best_of(snapshot);
    if (!request->fresh && !request->worker->stopping && best->role == SELF_REPLICA &&
        strcmp(self_why_not(best, question, majority, max_lag), "lag_unknown") == 0) {
        request_ask(request, FRESH_LAG, best->name);
        return;
    }
    self_refuse(request, best, self_why_not(best, question, majority, max_lag));
}

void self_handle_master(struct request *request)
{
    handle_question(request, SELF_ASK_MASTER);
}

void self_handle_replica(struct request *request)
{
    handle_question(request, SELF_ASK_REPLICA);
}

void self_handle_ready(struct request *request)
{
    handle_question(request, SELF_ASK_READY);
}
