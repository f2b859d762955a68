/*
 * One watched master: feeds its judge, does what the judge asks for. While something is wrong the
 * Sentinels are asked every 100 ms for 2 s, then ever less often.
 */
#include "watched_master.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/backoff.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "self_node.h"
#include "sentinel_node.h"
#include "sentinel_signals.h"
#include "sentinel_view.h"
#include "turn.h"
#include "watch_counters.h"

enum {
    SUSPECT_FAST_MS = 100,
    SUSPECT_FAST_FOR_MS = 2000,
    SUSPECT_SLOW_MS = 1000,
    DEAF_MS = 20, /* while writes wait for the others' word and no event would bring it */
    DEAF_FOR_MS = 500,
    SUSPECT_CROWD = 16, /* that many suspects at once share the rate of one */
    BRIEF_MS = 3000,    /* a dispute that ends sooner is part of a switch */
};

/* ---- asking the Sentinels fast ---- */

/* Whether a Sentinel can change its mind without an event that is heard here. */
static bool is_deaf(const struct master *master)
{
    LIST_EACH(const struct sentinel_view, view, &master->views, in_master) {
        const struct sentinel_client *link = view->sentinel->link;

        if (sentinel_view_counts(view) && sentinel_client_is_up(link) &&
            !sentinel_client_listens(link)) {
            return true;
        }
    }
    return false;
}

static void suspect_due(void *data)
{
    struct master *master = data;
    struct watcher *watcher = master->watcher;

    turn_begin(watcher);
    if (!master->suspect) {
        return;
    }
    master_ask_sentinels(master);
    int64_t for_ms = clock_boot_ms() - master->suspect_since_ms;
    bool held = master->contradicted && for_ms < DEAF_FOR_MS;
    int64_t delay_ms = held && is_deaf(master) ? DEAF_MS : SUSPECT_FAST_MS;
    for (int64_t at_ms = SUSPECT_FAST_FOR_MS; at_ms < for_ms && delay_ms < SUSPECT_SLOW_MS;
         at_ms += delay_ms * 4) {
        delay_ms *= 2;
    }
    if (delay_ms > SUSPECT_SLOW_MS) {
        delay_ms = SUSPECT_SLOW_MS;
    }
    delay_ms *= 1 + (int64_t)(watcher->n_suspect / SUSPECT_CROWD);
    if (delay_ms > SUSPECT_FAST_MS) {
        delay_ms = jittered_ms(delay_ms, 3);
    }
    loop_timer_start(master->suspect_timer, delay_ms);
}

static void master_set_suspect(struct master *master, bool suspect)
{
    if (suspect == master->suspect) {
        return;
    }
    master->suspect = suspect;
    if (suspect) {
        master->watcher->n_suspect++;
        master->suspect_since_ms = clock_boot_ms();
        loop_timer_start(master->suspect_timer, 0);
    } else {
        master->watcher->n_suspect--;
        loop_timer_stop(master->suspect_timer);
    }
}

/* Ask the Sentinels as fast as at first: a failover may have been under way for long. */
static void master_suspect_anew(struct master *master)
{
    if (!master->suspect) {
        return;
    }
    master->suspect_since_ms = clock_boot_ms();
    loop_timer_start(master->suspect_timer, 0);
}

/* ---- the step ---- */

static void master_count_links(const struct master *master, struct judge_links *links)
{
    LIST_EACH(const struct sentinel_view, view, &master->views, in_master) {
        const struct sentinel_client *link = view->sentinel->link;
        enum sentinel_trouble trouble = sentinel_client_trouble(link);
        bool denied = trouble == SENTINEL_TROUBLE_DENIED || view->denied;

        if (view->foreign) {
            continue;
        }
        links->dialled++;
        /* Until it has listed the others nobody knows how many a majority is. */
        links->pending += !view->settled || (sentinel_client_is_up(link) && !view->has_listed);
        links->reachable += sentinel_client_is_up(link);
        links->auth_failed += trouble == SENTINEL_TROUBLE_AUTH;
        links->tls += trouble == SENTINEL_TROUBLE_TLS;
        links->denied += denied;
        links->denied_extra += !denied && sentinel_client_denied_extras(link) != 0;
        links->unknown_name += view->unknown_name;
    }
}

static const char *rule_text(enum decide_rule rule)
{
    switch (rule) {
    case DECIDE_HIGHER_EPOCH: return "higher epoch";
    case DECIDE_EQUAL_MAJORITY: return "majority at the same epoch";
    case DECIDE_BELOW_MAJORITY: return "majority at a lower epoch, unchanged over three polls";
    case DECIDE_NO_EPOCH: return "majority, no epoch given";
    case DECIDE_ADOPTED: return "promoted by an elected leader, adopted before its announcement";
    case DECIDE_UNDONE: return "adoption undone";
    default: return "confirmed";
    }
}

/* A good line is as loud as the bad one that it ends: who reads warnings learns of both. */
static enum log_level level_of(const struct master *master, bool bad)
{
    return bad || master->logged.bad ? LOG_LEVEL_WARN : LOG_LEVEL_INFO;
}

static void log_switch(const struct master *master, const struct judgement *said)
{
    char from[ADDRESS_TEXT_SIZE] = "", to[ADDRESS_TEXT_SIZE];

    if (master->has_published) {
        address_format(&master->published.master.name, from);
    }
    const struct log_field fields[] = {
        LOG_STR("master", master->name),
        LOG_STR("from", from),
        LOG_STR("to", address_format(&said->published->master.name, to)),
        LOG_INT("epoch", said->published->epoch),
        LOG_STR("rule", rule_text(said->switched_by)),
        /* who names it at this moment, at whatever epoch: those late with the news count, too */
        LOG_INT("voices", said->decision.published_votes),
        LOG_INT("known", said->decision.known),
    };
    log_write(level_of(master, false), master->has_published ? "master changed" : "master found",
              fields, sizeof(fields) / sizeof(*fields));
}

/*
 * Until when what is wrong may be what every switch brings with it for a moment; -1: it is
 * something else, or stays.
 */
static int64_t brief_until_ms(struct master *master, const struct judgement *said, int64_t now_ms)
{
    bool brief = master_state_serves(said->state) &&
                 (said->reason == REASON_DISPUTED || said->reason == REASON_NO_MAJORITY);

    if (!brief) {
        master->brief_since_ms = -1;
    } else if (master->brief_since_ms < 0) {
        master->brief_since_ms = now_ms;
    }
    return brief && now_ms - master->brief_since_ms < BRIEF_MS ? master->brief_since_ms + BRIEF_MS
                                                               : -1;
}

int64_t master_log_state(struct master *master, const struct judgement *said, int64_t now_ms)
{
    if (said->reason == REASON_WATCHER_STALLED) {
        return -1; /* the gap has a line of its own */
    }
    int64_t until_ms = brief_until_ms(master, said, now_ms);
    enum reason reason = until_ms >= 0 ? REASON_NONE : said->reason;
    bool asked = master->watcher->config->verify;
    bool bad = (said->state != MASTER_OK && (asked || said->state != MASTER_UNVERIFIED)) ||
               (reason != REASON_NONE && reason != REASON_SENTINEL_DENIED);

    if (master->logged.state == said->state && (master->logged.reason == reason || until_ms >= 0)) {
        return until_ms;
    }
    const struct log_field fields[] = {
        LOG_STR("master", master->name),
        LOG_STR("state", master_state_text(said->state)),
        LOG_STR("was", master_state_text(master->logged.state)),
        LOG_STR("reason", reason != REASON_NONE ? reason_text(reason) : "none"),
        /* what is wrong with each Sentinel has a line of its own */
        LOG_STR("detail", said->detail),
    };
    log_write(level_of(master, bad),
              said->state == MASTER_CONFLICT ? "sentinels in conflict" : "master state", fields,
              sizeof(fields) / sizeof(*fields));
    master->logged.state = said->state;
    master->logged.reason = reason;
    master->logged.bad = bad;
    return until_ms;
}

static bool same_published(const struct master *master, const struct judgement *said)
{
    if (master->has_published != (said->published != NULL) ||
        master->has_previous != (said->previous != NULL)) {
        return false;
    }
    return !said->published ||
           (address_equal(&said->published->master.name, &master->published.master.name) &&
            said->published->epoch == master->published.epoch &&
            strcmp(said->run_id, master->run_id) == 0);
}

/* Whether its part of the snapshot has to be made anew; most answers say what was known. */
static bool master_differs(const struct master *master, const struct judgement *said)
{
    return !master->shown || said->switched || said->state != master->state ||
           said->reason != master->reason || said->majority != master->majority ||
           said->contradicted != master->contradicted || !same_published(master, said) ||
           said->decision.known != master->decision.known ||
           said->decision.published_votes != master->decision.published_votes ||
           said->decision.counting != master->decision.counting ||
           strcmp(said->detail, master->detail) != 0;
}

static void master_keep(struct master *master, const struct judgement *said, int64_t now_ms)
{
    master->state = said->state;
    master->reason = said->reason;
    snprintf(master->detail, sizeof(master->detail), "%s", said->detail ? said->detail : "");
    master->majority = said->majority;
    master->adopted = said->adopted;
    master->contradicted = said->contradicted;
    master->has_published = said->published != NULL;
    if (said->published) {
        master->published = *said->published;
    }
    master->has_previous = said->previous != NULL;
    if (said->previous) {
        master->previous = *said->previous;
    }
    master->since_wall_ms = said->published_wall_ms;
    snprintf(master->run_id, sizeof(master->run_id), "%s", said->run_id ? said->run_id : "");
    master->decision = said->decision;
    master->stepped_ms = now_ms;
}

/* What the log (which may have to be told again later) and the counters are told of a step. */
static void master_tell(struct master *master, struct judgement *said, int64_t now_ms)
{
    if (said->switched) {
        log_switch(master, said);
        count_switch(master);
        master->restarted_wall_ms = 0;
    }
    count_adoption(master, said);
    if (said->undone) {
        log_warn("adoption undone: back to the master before it", LOG_STR("master", master->name),
                 LOG_STR("why", said->undone));
    }
    if (said->restarted) {
        master->restarted_wall_ms = clock_wall_ms();
        count_restart(master);
        log_warn("master restarted: another run id at the same address",
                 LOG_STR("master", master->name), LOG_STR("run_id", said->run_id));
    }
    int64_t log_ms = master_log_state(master, said, now_ms);
    if (log_ms >= 0 && (said->next_ms < 0 || log_ms < said->next_ms)) {
        said->next_ms = log_ms;
    }
}

void master_step(struct master *master)
{
    struct judge_links links = {0};
    struct judgement said;
    struct endpoint check;
    int64_t now_ms = clock_boot_ms();

    master_count_links(master, &links);
    judge_set_links(master->judge, &links);
    judge_step(master->judge, now_ms, clock_wall_ms(), &said);
    master_tell(master, &said, now_ms);
    bool wants_check = said.check && master->watcher->config->verify;
    if (wants_check) {
        check = *said.check;
    }
    failover_recorder_step(master, &said);
    if (said.restarted) {
        failover_recorder_restart(master);
    }
    if (master_differs(master, &said)) {
        turn_show_later(master);
    }
    if (said.switched && master->has_published) {
        master->switches++;
    }
    bool was_contradicted = master->contradicted;
    master_keep(master, &said, now_ms);
    if (said.switched) {
        judge_failover(master->judge, false, now_ms, 0); /* that one has led to this */
        verify_follow(master);
        fence_driver_publish(master);
    }
    if (was_contradicted != master->contradicted) {
        fence_driver_contradict(master);
    }
    if (wants_check) {
        verify_check_candidate(master, &check);
    } else if (said.decision.rule == DECIDE_STANDS) {
        verify_drop_candidate(master);
    }
    if (said.check_published) {
        verify_check_published(master);
    }
    if (said.switched) {
        master->switched_us = clock_boot_us();
        selves_check(master->watcher);
        LIST_EACH(struct sentinel_view, view, &master->views, in_master) {
            sentinel_client_ask_all(view->sentinel->link, view->monitored);
        }
    }
    chosen_follow(master, said.promoting);
    master_set_suspect(master, said.suspect);
    if (said.contradicted && !was_contradicted) {
        master_suspect_anew(master);
    }
    if (said.next_ms >= 0) {
        loop_timer_start(master->step_timer, said.next_ms - now_ms);
    } else {
        loop_timer_stop(master->step_timer);
    }
    lookup_review(master);
}

static void step_due(void *data)
{
    struct master *master = data;

    turn_begin(master->watcher);
    turn_step_later(master);
}

/* ---- news ---- */

/* Whether the event is about another master than the published one: late, or somebody else's. */
static bool is_elsewhere(const struct master *master, const struct sentinel_node *sentinel,
                         const struct sentinel_event *event)
{
    struct address mapped;
    struct endpoint of;

    if (!master->has_published || !address_is_set(&event->master_address)) {
        return false;
    }
    if (!sentinel_node_map_address(sentinel, &event->master_address, &mapped)) {
        return true;
    }
    return resolver_get(master->deployment->resolver, &mapped, &of) &&
           !endpoint_equal(&of, &master->published.master);
}

/* Tell the judge whether a failover of ours is under way. */
static void hear_progress(struct master *master, const struct sentinel_node *sentinel,
                          const struct sentinel_view *view, const struct sentinel_event *event)
{
    int64_t timeout_ms = view->has_row ? view->row.failover_timeout_ms : -1;
    enum failover_course course = sentinel_signal(event->kind)->course;

    if (!is_elsewhere(master, sentinel, event) && course != FAILOVER_NO_WORD) {
        judge_failover(master->judge, course == FAILOVER_GOES_ON, clock_boot_ms(), timeout_ms);
    }
}

void master_hear_event(struct master *master, struct sentinel_node *sentinel,
                       const struct sentinel_event *event)
{
    struct sentinel_view *view = master_sentinel_view(master, sentinel);

    if (!view) {
        return;
    }
    hear_progress(master, sentinel, view, event);
    fence_driver_hear_event(master, sentinel, event);
    adopt_hear_event(master, sentinel, event);
    if (sentinel_signal(event->kind)->ask_all) {
        sentinel_client_ask_all(sentinel->link, view->monitored);
    } else {
        sentinel_client_ask(sentinel->link, view->monitored);
    }
    turn_step_later(master);
}

void master_void(struct master *master)
{
    judge_void(master->judge, clock_boot_ms());
    LIST_EACH(struct sentinel_view, view, &master->views, in_master) {
        view->settled = !sentinel_client_is_up(view->sentinel->link);
        view->waiting = false;
    }
    /* Their sockets may hold answers from before: hang up and ask anew. */
    verify_void(master);
    fence_driver_void(master);
    turn_show_later(master);
}

/* ---- life ---- */

void master_add_sentinel_node(struct master *master, struct sentinel_node *sentinel)
{
    if (master_sentinel_view(master, sentinel)) {
        return;
    }
    list_append(&master->views, &sentinel_view_new(master, sentinel)->in_master);
    master->n_views++;
    turn_show_later(master);
}

void master_remove_sentinel_node(struct master *master, struct sentinel_node *sentinel)
{
    struct sentinel_view *view = master_sentinel_view(master, sentinel);

    if (!view) {
        return;
    }
    adopt_forget_sentinel_node(master, sentinel);
    failover_recorder_lose(view);
    list_remove(&master->views, &view->in_master);
    master->n_views--;
    sentinel_view_free(view);
    turn_show_later(master);
}

struct master *master_new(struct watcher *watcher, struct deployment *deployment, const char *name,
                          bool configured)
{
    const struct watch_config *config = watcher->config;
    struct judge_config rules = {
        .verify = config->verify,
        .adopt = config->adopt == WATCH_ADOPT_PROMOTED,
        .verify_interval_ms = config->verify_interval_ms,
        .verify_timeout_ms = config->verify_timeout_ms,
        /*
         * suspect-after counts from the question that went unanswered, which is put an interval
         * after the last good answer: else a stall of one second would leave `ok` whenever it began
         * just before a question.
         */
        .suspect_after_ms = config->suspect_after_ms + config->verify_interval_ms,
        .sentinel_timeout_ms = config->sentinel_timeout_ms,
    };
    struct master *master = mem_new(1, sizeof(*master));

    master->watcher = watcher;
    master->deployment = deployment;
    master->name = mem_strdup(name);
    master->configured = configured;
    master->counts = metrics_master_add(watcher->metrics, name);
    master->judge = judge_new(name, &rules, clock_boot_ms());
    master->brief_since_ms = -1;
    master->logged.reason = REASON_STARTING; /* of which nothing is said */
    master->lag.master_offset = master->lag.at_ms = -1;
    master->redis_username = watcher->secrets[0].username;
    master->redis_password = watcher->secrets[0].password;
    master->redis_tls = watcher->secrets[0].tls;
    for (size_t i = 1; i < watcher->n_secrets; i++) {
        if (strcmp(watcher->secrets[i].master, name) != 0) {
            continue;
        }
        master->redis_username = watcher->secrets[i].username;
        master->redis_password = watcher->secrets[i].password;
        master->redis_tls = watcher->secrets[i].tls;
    }
    master->step_timer = loop_timer_new(watcher->loop, step_due, master);
    master->verify_timer = loop_timer_new(watcher->loop, verify_due, master);
    master->suspect_timer = loop_timer_new(watcher->loop, suspect_due, master);
    fence_driver_init(master);
    failover_recorder_watch(master);
    master_step(master);
    return master;
}

void master_free(struct master *master)
{
    master_set_suspect(master, false);
    lookup_release(master);
    verify_release(master);
    chosen_release(master);
    fence_driver_release(master);
    loop_timer_free(master->step_timer);
    loop_timer_free(master->verify_timer);
    loop_timer_free(master->suspect_timer);
    while (master->views.first) {
        master_remove_sentinel_node(
            master, LIST_OWNER(master->views.first, struct sentinel_view, in_master)->sentinel);
    }
    turn_forget(master); /* after all that could mark it */
    failover_recorder_forget(master);
    judge_free(master->judge);
    metrics_master_remove(master->watcher->metrics, master->counts);
    snapshot_master_unref(master->shown);
    free(master->name);
    free(master);
}
