/*
 * /nodes/{host:port}/master and /replica: what one of the known nodes is, for load balancers with
 * one daemon for all of Redis. Answered from what is known: nobody is dialled, and no name is
 * looked up, because a caller asked.
 *
 * Stricter than /self, which has a connection to its node: a replica has to be healthy, as for
 * /replica. A master that is about to lose what it takes (a replica was told to become the master,
 * or most Sentinels name another one) is none any more: a balancer's writes are refused rather than
 * lost. A node that several masters know has to be the same to all of them, or the caller says to
 * which (`?master=`).
 */
#include <stdio.h>
#include <string.h>

#include "bellwether/http/master_json.h"
#include "http/server/request.h"
#include "master.h"
#include "self.h"
#include "table.h"

/* ---- what it is ---- */

static void say(struct snapshot_self *out, const char *reason)
{
    snprintf(out->reason, sizeof(out->reason), "%s", reason);
}

static void say_unknown(struct snapshot_self *out, const char *reason)
{
    out->role = SELF_UNKNOWN;
    out->majority = out->ready = false;
    say(out, reason);
}

static void show_master(const struct snapshot_master *master, struct snapshot_self *out)
{
    const char *reason = reason_text(master->reason);

    out->address = master->address;
    out->role = SELF_MASTER;
    out->majority = master->majority;
    out->ready = true;
    if (!snapshot_master_serves(master)) {
        say_unknown(out, reason ? reason : master_state_text(master->state));
    } else if (master->contradicted) {
        say_unknown(out, "contradicted");
    } else if (master->fence == FENCE_PROMOTING) {
        say_unknown(out, "failing_over");
    }
}

static void show_replica(const struct snapshot_replica *replica, struct snapshot_self *out)
{
    out->address = replica->address;
    out->role = SELF_REPLICA;
    out->majority = replica->majority;
    out->ready = replica->healthy;
    out->lag_bytes = replica->lag_bytes;
    out->lag_at_ms = replica->lag_at_ms;
    if (!replica->healthy) {
        say(out, replica->link_up ? "unhealthy" : "link_down");
    }
}

static bool replica_is_at(const struct snapshot_replica *replica, const struct address *asked)
{
    return replica->vouched &&
           (address_equal(&replica->address, asked) || address_equal(&replica->ip, asked));
}

/* What that master's deployment says of the node. @return whether it knows it. */
static bool node_show(const struct snapshot_master *master, const struct address *asked,
                      struct snapshot_self *out)
{
    *out = (struct snapshot_self){.address = *asked, .lag_bytes = -1, .lag_at_ms = -1};
    snprintf(out->name, sizeof(out->name), "%s", master->name);
    if (master->has_address && snapshot_master_is_at(master, asked)) {
        show_master(master, out);
    } else {
        size_t i = 0;

        while (i < master->n_replicas && !replica_is_at(&master->replicas[i], asked)) {
            i++;
        }
        if (i < master->n_replicas) {
            show_replica(&master->replicas[i], out);
        } else if (master->has_previous && address_equal(&master->previous, asked)) {
            say_unknown(out, "was_master");
        } else {
            return false;
        }
    }
    out->matched_by = address_equal(&out->address, asked) ? SELF_BY_TEXT : SELF_BY_RESOLUTION;
    return true;
}

/* NULL: the answer is yes. */
static const char *node_why_not(const struct request *request, const struct snapshot_self *node,
                                enum self_question question)
{
    bool majority = request->worker->config->self_requires == SELF_REQUIRES_MAJORITY;

    if (question == SELF_ASK_REPLICA && node->role == SELF_REPLICA && !node->ready) {
        return node->reason;
    }
    return self_why_not(node, question, majority,
                        request->query.has_max_lag ? request->query.max_lag_bytes : SELF_ANY_LAG);
}

/* ---- the answers ---- */

static void answer_unknown(struct request *request, const struct address *asked)
{
    char text[ADDRESS_TEXT_SIZE], detail[ADDRESS_TEXT_SIZE + 160];
    json_t *problem;

    snprintf(detail, sizeof(detail),
             "the Sentinels know no node at %s%s; /master and /replicas tell how nodes are called",
             address_format(asked, text), *request->query.master ? " for that master" : "");
    problem = problem_new(PROBLEM_UNKNOWN_NODE, detail);
    json_object_set_new(problem, "address", render_text(text));
    request_answer_problem(request, PROBLEM_UNKNOWN_NODE, problem, NULL);
}

/* Nothing is known yet, or nothing any more. */
static void refuse_all(struct request *request, const struct address *asked, const char *reason)
{
    struct snapshot_self blank = {.address = *asked};

    self_refuse(request, &blank, reason);
}

/*
 * Ask every master, or the one of the query. @param node what the first of them knows that says no,
 * else the last. @param why NULL: all that know the node say yes. @return whether one knows it.
 */
static bool ask_all(const struct request *request, const struct address *asked,
                    enum self_question question, struct snapshot_self *node, const char **why)
{
    const struct snapshot *snapshot = request->worker->cache->snapshot;
    const char *only = request->query.master;
    bool known = false;

    *why = NULL;
    for (size_t i = 0; i < snapshot->n_masters && !*why; i++) {
        const struct snapshot_master *master = snapshot->masters[i];
        struct snapshot_self shown;

        if ((!*only || strcmp(master->name, only) == 0) && node_show(master, asked, &shown)) {
            known = true;
            *node = shown;
            *why = node_why_not(request, node, question);
        }
    }
    return known;
}

static void handle_question(struct request *request, enum self_question question)
{
    struct cache *cache = request->worker->cache;
    struct snapshot_self node;
    struct address asked;
    char error[ADDRESS_TEXT_SIZE + 100];
    const char *why;

    if (address_parse(request->argument, 0, &asked, error, sizeof(error))) {
        request_refuse(request, PROBLEM_BAD_ADDRESS, error);
    } else if (!cache->snapshot) {
        refuse_all(request, &asked, "starting");
    } else if (cache_stalled(cache)) {
        refuse_all(request, &asked, "watcher_stalled");
    } else if (*request->query.master && !cache_find(cache, request->query.master)) {
        masters_answer_unknown(request, request->query.master);
    } else if (!ask_all(request, &asked, question, &node, &why)) {
        if (cache->snapshot->all_resolved) {
            answer_unknown(request, &asked);
        } else {
            refuse_all(request, &asked, "starting");
        }
    } else {
        if (request->query.has_max_lag) {
            request_reads_lag(request, cache_find(cache, node.name));
        }
        request->keep = true; /* of the snapshot alone, without max_lag */
        if (!why) {
            self_confirm(request, &node);
        } else if (strcmp(why, "lag_unknown") == 0 && !request->fresh &&
                   !request->worker->stopping) {
            request_ask(request, FRESH_LAG, node.name);
        } else {
            self_refuse(request, &node, why);
        }
    }
}

void nodes_handle_master(struct request *request)
{
    handle_question(request, SELF_ASK_MASTER);
}

void nodes_handle_replica(struct request *request)
{
    handle_question(request, SELF_ASK_REPLICA);
}
