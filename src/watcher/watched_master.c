/*
 * One watched master: feeds its judge, does what the judge asks for.
 *
 *   standing   one connection to the published node, asked for its role every verify-interval; its
 *              end is
 * news candidate  one connection to the node that may become the answer; it becomes the standing
 *                 one suspect
 * while something is wrong the Sentinels are asked every 100 ms for 2 s, then ever less often
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "watcher_internal.h"

enum {
    SUSPECT_FAST_MS = 100,
    SUSPECT_FAST_FOR_MS = 2000,
    SUSPECT_SLOW_MS = 1000,
    DEAF_MS = 20, /* while writes wait for the others' word and no event would bring it */
    DEAF_FOR_MS = 500,
    SUSPECT_CROWD = 16, /* that many suspects at once share the rate of one */
    BRIEF_MS = 3000,    /* a dispute that ends sooner is part of a switch */
};

void master_touch(struct master *master)
{
    if (master->dirty) {
        return;
    }
    master->dirty = true;
    master->next_dirty = master->watcher->dirty;
    master->watcher->dirty = master;
}

struct chair *master_chair(struct master *master, const struct peer *peer)
{
    for (size_t i = 0; i < master->n_chairs; i++) {
        if (master->chairs[i]->peer == peer) {
            return master->chairs[i];
        }
    }
    return NULL;
}

/* ---- asking the Sentinels fast ---- */

void master_ask_sentinels(struct master *master)
{
    for (size_t i = 0; i < master->n_chairs; i++) {
        sentinel_link_ask(master->chairs[i]->peer->link, master->chairs[i]->seat);
    }
}

/* Whether a Sentinel can change its mind without an event that is heard here. */
static bool is_deaf(const struct master *master)
{
    for (size_t i = 0; i < master->n_chairs; i++) {
        const struct sentinel_link *link = master->chairs[i]->peer->link;

        if (chair_counts(master->chairs[i]) && sentinel_link_is_up(link) &&
            !sentinel_link_listens(link)) {
            return true;
        }
    }
    return false;
}

static void suspect_due(void *data)
{
    struct master *master = data;
    struct watcher *watcher = master->watcher;

    watcher_turn(watcher);
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
        delay_ms -= (int64_t)jitter_below((uint32_t)(delay_ms / 3));
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

/* It is asked as fast as at first: a failover may have been under way for long. */
static void master_suspect_anew(struct master *master)
{
    if (!master->suspect) {
        return;
    }
    master->suspect_since_ms = clock_boot_ms();
    loop_timer_start(master->suspect_timer, 0);
}

/* ---- the step ---- */

static bool chair_is_live(const struct chair *chair)
{
    return sentinel_link_is_up(chair->peer->link);
}

static void master_count_links(const struct master *master, struct judge_links *links)
{
    for (size_t i = 0; i < master->n_chairs; i++) {
        const struct chair *chair = master->chairs[i];
        enum sentinel_trouble trouble = sentinel_link_trouble(chair->peer->link);

        if (chair->foreign) {
            continue;
        }
        links->dialled++;
        /* Until it has listed the others nobody knows how many a majority is. */
        links->pending += !chair->settled || (chair_is_live(chair) && !chair->has_listed);
        links->reachable += sentinel_link_is_up(chair->peer->link);
        links->auth_failed += trouble == SENTINEL_TROUBLE_AUTH;
        bool denied = trouble == SENTINEL_TROUBLE_DENIED || chair->denied;
        links->tls += trouble == SENTINEL_TROUBLE_TLS;
        links->denied += denied;
        links->denied_extra += !denied && sentinel_link_denied_extras(chair->peer->link) != 0;
        links->unknown_name += chair->unknown_name;
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

/* As loud as what it ends: who reads warnings only learns of both ends of an outage. */
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
        LOG_INT("voices", said->decision.published_voices),
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
    return !master->stepped || said->switched || said->state != master->state ||
           said->reason != master->reason || said->majority != master->majority ||
           said->contradicted != master->contradicted || !same_published(master, said) ||
           said->decision.known != master->decision.known ||
           said->decision.published_voices != master->decision.published_voices ||
           said->decision.counting != master->decision.counting ||
           strcmp(said->detail, master->detail) != 0;
}

static void master_keep(struct master *master, const struct judgement *said, int64_t now_ms)
{
    master->stepped = true;
    master->state = said->state;
    master->reason = said->reason;
    snprintf(master->detail, sizeof(master->detail), "%s", said->detail ? said->detail : "");
    master->verified = said->verified;
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

void master_step(struct master *master)
{
    struct judge_links links = {0};
    struct judgement said;
    struct endpoint check;
    int64_t now_ms = clock_boot_ms();

    master_count_links(master, &links);
    judge_set_links(master->judge, &links);
    judge_step(master->judge, now_ms, clock_wall_ms(), &said);
    if (said.switched) {
        log_switch(master, &said);
    }
    if (said.switched) {
        count_switch(master);
    }
    count_adoption(master, &said);
    if (said.undone) {
        log_warn("adoption undone: back to the master before it", LOG_STR("master", master->name),
                 LOG_STR("why", said.undone));
    }
    if (said.switched) {
        master->restarted_wall_ms = 0;
    }
    if (said.restarted) {
        master->restarted_wall_ms = clock_wall_ms();
        count_restart(master);
        log_warn("master restarted: another run id at the same address",
                 LOG_STR("master", master->name), LOG_STR("run_id", said.run_id));
    }
    int64_t log_ms = master_log_state(master, &said, now_ms);
    if (log_ms >= 0 && (said.next_ms < 0 || log_ms < said.next_ms)) {
        said.next_ms = log_ms;
    }
    bool wants_check = said.check && master->watcher->config->verify;
    if (wants_check) {
        check = *said.check;
    }
    story_step(master, &said);
    if (said.restarted) {
        story_restart(master);
    }
    if (master_differs(master, &said)) {
        master_touch(master);
    }
    if (said.switched && master->has_published) {
        master->switches++;
    }
    bool was_contradicted = master->contradicted;
    master_keep(master, &said, now_ms);
    if (said.switched) {
        judge_failover(master->judge, false, now_ms, 0); /* that one has led to this */
        verify_follow(master);
        fencing_publish(master);
    }
    if (was_contradicted != master->contradicted) {
        fencing_contradict(master);
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
    }
    adopt_follow(master, said.promoting);
    master_set_suspect(master, said.suspect);
    if (said.contradicted && !was_contradicted) {
        master_suspect_anew(master);
    }
    if (said.switched) {
        for (size_t i = 0; i < master->n_chairs; i++) {
            sentinel_link_ask_all(master->chairs[i]->peer->link, master->chairs[i]->seat);
        }
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

    watcher_turn(master->watcher);
    master_step(master);
}

/* ---- news ---- */

/* Away from another address than what is published: late news, or a failover of somebody else's. */
static bool is_elsewhere(const struct master *master, const struct peer *peer,
                         const struct sentinel_event *event)
{
    struct address mapped;
    struct endpoint of;

    if (!master->has_published || !address_is_set(&event->master_address)) {
        return false;
    }
    if (!peer_map_address(peer, &event->master_address, &mapped)) {
        return true;
    }
    return resolver_get(master->site->resolver, &mapped, &of) &&
           !endpoint_equal(&of, &master->published.master);
}

/* Whether a failover of ours is under way. */
static void hear_progress(struct master *master, const struct peer *peer, const struct chair *chair,
                          const struct sentinel_event *event)
{
    int64_t timeout_ms = chair->has_row ? chair->row.failover_timeout_ms : -1;

    if (is_elsewhere(master, peer, event)) {
        return;
    }
    switch (event->kind) {
    case SENTINEL_EVENT_TRY_FAILOVER:
    case SENTINEL_EVENT_ELECTED_LEADER:
    case SENTINEL_EVENT_SELECT_SLAVE:
    case SENTINEL_EVENT_SELECTED_SLAVE:
    case SENTINEL_EVENT_SEND_SLAVEOF_NOONE:
    case SENTINEL_EVENT_WAIT_PROMOTION:
    case SENTINEL_EVENT_PROMOTED_SLAVE:
    case SENTINEL_EVENT_RECONF_SLAVES:
        judge_failover(master->judge, true, clock_boot_ms(), timeout_ms);
        break;
    case SENTINEL_EVENT_FAILOVER_END:
    case SENTINEL_EVENT_FAILOVER_END_FOR_TIMEOUT:
    case SENTINEL_EVENT_SWITCH_MASTER:
        judge_failover(master->judge, false, clock_boot_ms(), timeout_ms);
        break;
    default:
        if (sentinel_event_is_abort(event->kind)) {
            judge_failover(master->judge, false, clock_boot_ms(), timeout_ms);
        }
        break;
    }
}

void master_hear_event(struct master *master, struct peer *peer, const struct sentinel_event *event)
{
    struct chair *chair = master_chair(master, peer);

    if (!chair) {
        return;
    }
    hear_progress(master, peer, chair, event);
    fencing_hear_event(master, peer, event);
    adopt_hear_event(master, peer, event);
    switch (event->kind) {
    case SENTINEL_EVENT_SLAVE:
    case SENTINEL_EVENT_SENTINEL:
    case SENTINEL_EVENT_SENTINEL_ADDRESS_SWITCH:
    case SENTINEL_EVENT_SENTINEL_ADDRESS_UPDATE:
    case SENTINEL_EVENT_RESET_MASTER:
    case SENTINEL_EVENT_MONITOR:
    case SENTINEL_EVENT_SDOWN:
    case SENTINEL_EVENT_SDOWN_END:
    case SENTINEL_EVENT_SWITCH_MASTER:
    case SENTINEL_EVENT_SET: sentinel_link_ask_all(peer->link, chair->seat); break;
    default: sentinel_link_ask(peer->link, chair->seat); break;
    }
    master_step(master);
}

static void recount_chair(const struct chair *chair, const char **listed, struct elector *out)
{
    const struct peer *peer = chair->peer;

    *out = (struct elector){
        .id = sentinel_link_run_id(peer->link),
        .former = peer->former,
        .configured = peer->configured,
        .pending = peer->configured && !chair->settled,
        .live = chair_is_live(chair) && chair->settled && !chair->unknown_name,
        .has_list = chair->has_listed,
        .listed = listed,
        .master = chair->has_named && !chair->unknown_name ? &chair->named : NULL,
    };
    /* A row without an address is of one that its Sentinel has seen replaced. */
    for (size_t i = 0; i < chair->n_listed; i++) {
        if (chair->listed[i].run_id[0] != '\0' && address_is_set(&chair->listed[i].address)) {
            listed[out->n_listed++] = chair->listed[i].run_id;
        }
    }
}

static void chair_set_foreign(struct chair *chair, bool foreign)
{
    if (chair->foreign != foreign) {
        master_touch(chair->master);
    }
    chair->foreign = foreign;
}

/*
 * A Sentinel of another deployment came, or is no longer one: said once that has lasted, since at a
 * start lists come one by one.
 */
static void chair_log_foreign(struct chair *chair)
{
    char text[ADDRESS_TEXT_SIZE], says[ADDRESS_TEXT_SIZE];

    if (chair->foreign == chair->logged_foreign) {
        return;
    }
    chair->logged_foreign = chair->foreign;
    address_format(sentinel_link_address(chair->peer->link), text);
    if (chair->foreign) {
        log_warn(
            "sentinel of another deployment: it lists none of ours, none of ours lists it, and it names "
            "another master; it is not counted",
            LOG_STR("master", chair->master->name), LOG_STR("sentinel", text),
            LOG_STR("run_id", sentinel_link_run_id(chair->peer->link)),
            LOG_STR("names", address_format(&chair->named.name, says)));
    } else {
        log_warn("sentinel is counted among ours again", LOG_STR("master", chair->master->name),
                 LOG_STR("sentinel", text));
    }
}

void master_log_foreign(struct master *master)
{
    for (size_t i = 0; i < master->n_chairs; i++) {
        chair_log_foreign(master->chairs[i]);
    }
}

void master_recount(struct master *master)
{
    size_t room = 0;
    uint64_t revision = judge_known_revision(master->judge);
    int64_t quorum = -1;
    struct elector *electors = mem_new(master->n_chairs + 1, sizeof(*electors));

    for (size_t i = 0; i < master->n_chairs; i++) {
        room += master->chairs[i]->n_listed;
    }
    const char **listed = mem_new(room + 1, sizeof(*listed));
    room = 0;
    for (size_t i = 0; i < master->n_chairs; i++) {
        const struct chair *chair = master->chairs[i];

        recount_chair(chair, listed + room, &electors[i]);
        room += chair->n_listed;
        if (electors[i].live && chair_counts(chair) && chair->has_row && chair->row.quorum > 0 &&
            (quorum < 0 || chair->row.quorum < quorum)) {
            quorum = chair->row.quorum;
        }
    }
    bool full = judge_recount(master->judge, electors, master->n_chairs, quorum, clock_boot_ms());
    if (full && !master->logged_full_sentinels) {
        log_warn("more sentinels are listed than are taken in", LOG_STR("master", master->name),
                 LOG_INT("most", KNOWN_MAX));
    }
    master->logged_full_sentinels = master->logged_full_sentinels || full;
    for (size_t i = 0; i < master->n_chairs; i++) {
        chair_set_foreign(master->chairs[i], electors[i].foreign);
        chair_tell_nodes(master->chairs[i]);
    }
    free(listed);
    free(electors);
    if (revision != judge_known_revision(master->judge)) {
        master_touch(master);
        site_review_links(master);
    }
}

void master_void(struct master *master)
{
    judge_void(master->judge, clock_boot_ms());
    for (size_t i = 0; i < master->n_chairs; i++) {
        master->chairs[i]->settled = !chair_is_live(master->chairs[i]);
        master->chairs[i]->waiting = false;
    }
    /* Their sockets may hold answers from before: hang up and ask anew. */
    verify_void(master);
    fencing_void(master);
    master_touch(master);
}

/* ---- life ---- */

void master_add_peer(struct master *master, struct peer *peer)
{
    if (master_chair(master, peer)) {
        return;
    }
    struct chair *chair = chair_new(master, peer);
    master->chairs = mem_resize(master->chairs, master->n_chairs + 1, sizeof(*master->chairs));
    master->chairs[master->n_chairs++] = chair;
    master_touch(master);
}

void master_remove_peer(struct master *master, struct peer *peer)
{
    for (size_t i = 0; i < master->n_chairs; i++) {
        if (master->chairs[i]->peer != peer) {
            continue;
        }
        adopt_forget_peer(master, peer);
        story_lose(master->chairs[i]);
        chair_free(master->chairs[i]);
        memmove(master->chairs + i, master->chairs + i + 1,
                (master->n_chairs - i - 1) * sizeof(*master->chairs));
        master->n_chairs--;
        master_touch(master);
        return;
    }
}

struct master *master_new(struct watcher *watcher, struct site *site, const char *name,
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
    master->site = site;
    master->name = mem_strdup(name);
    master->configured = configured;
    master->counts = metrics_master_add(watcher->metrics, name);
    master->judge = judge_new(name, &rules, clock_boot_ms());
    master->brief_since_ms = -1;
    master->logged.reason = REASON_STARTING; /* of which nothing is said */
    master->lag.master_offset = master->lag.at_ms = -1;
    master->redis_username = watcher->secrets[0].username;
    master->redis_password = watcher->secrets[0].password;
    for (size_t i = 1; i < watcher->n_secrets; i++) {
        if (strcmp(watcher->secrets[i].master, name) != 0) {
            continue;
        }
        master->redis_username = watcher->secrets[i].username;
        master->redis_password = watcher->secrets[i].password;
    }
    master->step_timer = loop_timer_new(watcher->loop, step_due, master);
    master->verify_timer = loop_timer_new(watcher->loop, verify_due, master);
    master->suspect_timer = loop_timer_new(watcher->loop, suspect_due, master);
    fencing_init(master);
    story_watch(master);
    master_step(master);
    return master;
}

void master_free(struct master *master)
{
    master_set_suspect(master, false);
    lookup_release(master);
    verify_release(master);
    adopt_release(master);
    fencing_release(master);
    loop_timer_free(master->step_timer);
    loop_timer_free(master->verify_timer);
    loop_timer_free(master->suspect_timer);
    while (master->n_chairs > 0) {
        master_remove_peer(master, master->chairs[0]->peer);
    }
    publish_forget(master); /* after all that could touch it */
    free(master->chairs);
    story_forget(master);
    judge_free(master->judge);
    metrics_master_remove(master->watcher->metrics, master->counts);
    snapshot_master_unref(master->shown);
    free(master->name);
    free(master);
}
