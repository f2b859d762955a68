/*
 * The fence: when it is up. One table of leads, one entry a Sentinel that runs a failover:
 *
 *   fence_hear()    its events make the entry, re-arm it, drop it
 *   fence_step()    what is late: a replica that was not chosen, an answer that did not come, a
 *                   failover that takes too long
 *   lead_deny()     the replica is no master: the entry holds the fence no longer, and stays
 *   settle()        the fence is up where one of them holds it
 *
 * Which way to be wrong: a fence that is up for nothing makes writers wait for as long as
 * fence-timeout; one that is down when it should be up loses what they write. So doubt raises it,
 * and every hold has an end.
 */
#include "bellwether/topology/write_fence.h"

#include <stdio.h>
#include <string.h>

#include "bellwether/base/clock.h"

enum {
    ASK_AGAIN_MS = 500,
    /* a replica hangs up on its clients as it is promoted: ask it over another connection */
    ASK_CLOSED_MS = 20,
    ANSWER_GRACE_MS = 250,  /* past verify-timeout: nobody reported on the question */
    LEADER_GRACE_MS = 2000, /* past failover-timeout: then its leader would have said so */
};

/* ---- leads ---- */

static bool is_used(const struct fence_lead *lead)
{
    return lead->id[0] != '\0';
}

static struct fence_lead *find_lead(struct write_fence *guard, const char *leader)
{
    for (size_t i = 0; i < FENCE_LEADS_MAX; i++) {
        if (is_used(&guard->leads[i]) &&
            strncmp(guard->leads[i].id, leader, RUN_ID_SIZE - 1) == 0) {
            return &guard->leads[i];
        }
    }
    return NULL;
}

static void lead_drop(struct fence_lead *lead)
{
    *lead = (struct fence_lead){.asked_ms = -1};
}

static struct fence_lead *make_lead(struct write_fence *guard, const char *leader, int64_t now_ms)
{
    struct fence_lead *lead = &guard->leads[0];

    /* Where all are taken, the one that was heard of first is the most likely to be over. */
    for (size_t i = 0; i < FENCE_LEADS_MAX && is_used(lead); i++) {
        if (!is_used(&guard->leads[i]) || guard->leads[i].first_ms < lead->first_ms) {
            lead = &guard->leads[i];
        }
    }
    lead_drop(lead);
    lead->first_ms = now_ms;
    snprintf(lead->id, sizeof(lead->id), "%s", leader);
    return lead;
}

/* The question that decides came to nothing that would keep the fence up. */
static void lead_deny(struct fence_lead *lead, int64_t now_ms)
{
    /* the master takes no writes either */
    lead->holds = lead->holds && lead->coordinated && lead->promoting;
    lead->out = false;
    lead->asked_ms = -1;
    lead->due_ms = now_ms + ASK_AGAIN_MS;
}

/* ---- the state ---- */

static const struct fence_lead *holder(const struct write_fence *guard)
{
    const struct fence_lead *best = NULL;

    for (size_t i = 0; i < FENCE_LEADS_MAX; i++) {
        const struct fence_lead *lead = &guard->leads[i];

        if (is_used(lead) && lead->holds && (!best || (lead->promoting && !best->promoting))) {
            best = lead;
        }
    }
    return best;
}

/* @param why the reason, should it go up or down by what was just done. */
static void settle(struct write_fence *guard, const char *why, int64_t now_ms)
{
    const struct fence_lead *lead = holder(guard);
    enum fence was = guard->state;

    guard->state = !lead ? FENCE_DOWN : lead->promoting ? FENCE_PROMOTING : FENCE_UP;
    if (was != FENCE_PROMOTING && guard->state == FENCE_PROMOTING) {
        guard->promoting_ms = now_ms;
    }
    if ((was == FENCE_DOWN) == (guard->state == FENCE_DOWN)) {
        return;
    }
    guard->why = why;
    if (was == FENCE_DOWN) {
        guard->since_ms = now_ms;
    }
}

/* ---- what Sentinels say ---- */

/* @param slept its leader names another master than the one that is published. */
static void raise_fence(struct write_fence *guard, const struct fence_event *event, int64_t now_ms,
                        bool slept)
{
    int64_t failover_ms =
        (event->failover_timeout_ms > 0 ? event->failover_timeout_ms : FAILOVER_TIMEOUT_MS) +
        LEADER_GRACE_MS;
    struct fence_lead *lead = find_lead(guard, event->leader);

    if (!lead) {
        lead = make_lead(guard, event->leader, now_ms);
    } else if (lead->spent) {
        return;
    }
    lead->holds = true;
    lead->promoting = event->signal == FENCE_SAYS_PROMOTING;
    lead->out = false;
    lead->asked_ms = -1;
    lead->due_ms =
        now_ms + (slept && guard->config.timeout_ms > ASK_AGAIN_MS ? ASK_AGAIN_MS
                                                                   : guard->config.timeout_ms);
    /* A failover may wait twice: for the replica's link, and for the promotion. */
    lead->until_ms = now_ms + failover_ms;
    lead->capped = lead->until_ms >= lead->first_ms + 2 * failover_ms;
    if (lead->capped) {
        lead->until_ms = lead->first_ms + 2 * failover_ms;
    }
    if (event->node) {
        lead->chosen = *event->node;
    }
    lead->has_chosen = event->node || (lead->promoting && lead->has_chosen);
}

static const char *why_up(enum fence_signal signal)
{
    switch (signal) {
    case FENCE_SAYS_ELECTED: return "a leader was elected";
    case FENCE_SAYS_CHOSEN: return "a replica was chosen";
    default: return "a replica is being promoted";
    }
}

void fence_hear(struct write_fence *guard, const struct fence_event *event, int64_t now_ms)
{
    struct fence_lead *lead = find_lead(guard, event->leader);
    bool slept;

    if (event->signal == FENCE_SAYS_ABORTED) {
        if (lead) {
            lead_drop(lead);
        }
        settle(guard, "the failover was aborted", now_ms);
        return;
    }
    if (!guard->has_published || *event->leader == '\0' ||
        (event->node && endpoint_equal(event->node, &guard->published))) {
        return;
    }
    /*
     * A failover away from another node is news from before the last one, or is run by a Sentinel
     * that slept through it: then what it promotes takes the writes' place all the same. What the
     * node says is asked soon.
     */
    slept = event->master && !endpoint_equal(event->master, &guard->published);
    if (slept && !event->node) {
        return;
    }
    raise_fence(guard, event, now_ms, slept);
    settle(guard, why_up(event->signal), now_ms);
}

void fence_name(struct write_fence *guard, const char *leader, const struct endpoint *node,
                int64_t now_ms)
{
    struct fence_lead *lead = find_lead(guard, leader);

    if (!lead || lead->has_chosen || lead->spent) {
        return;
    }
    if (endpoint_equal(node, &guard->published)) {
        lead_drop(lead);
        settle(guard, "what was chosen is the master", now_ms);
        return;
    }
    lead->chosen = *node;
    lead->has_chosen = true;
}

void fence_coordinate(struct write_fence *guard, const char *leader)
{
    struct fence_lead *lead = find_lead(guard, leader);

    if (lead) {
        lead->coordinated = true;
    }
}

void fence_publish(struct write_fence *guard, const struct endpoint *published, int64_t now_ms)
{
    if (guard->has_published && endpoint_equal(&guard->published, published)) {
        return;
    }
    guard->has_published = true;
    guard->published = *published;
    for (size_t i = 0; i < FENCE_LEADS_MAX; i++) {
        lead_drop(&guard->leads[i]);
    }
    settle(guard, "a new master was published", now_ms);
}

/* ---- what the chosen replica says ---- */

static const char *why_answered(enum role_answer answer)
{
    switch (answer) {
    case ROLE_MASTER: return "the chosen replica says master";
    case ROLE_REFUSED:
    case ROLE_CLOSED:
    case ROLE_TIMEOUT: return "time-out, and the chosen replica does not answer";
    default: return "time-out, and the chosen replica does not say master";
    }
}

void fence_answer(struct write_fence *guard, const struct endpoint *node, enum role_answer answer,
                  int64_t now_ms)
{
    for (size_t i = 0; i < FENCE_LEADS_MAX; i++) {
        struct fence_lead *lead = &guard->leads[i];

        if (!lead->out || !endpoint_equal(&lead->chosen, node)) {
            continue;
        }
        lead->out = false;
        if (answer == ROLE_MASTER) {
            lead->holds = lead->promoting = true;
            lead->asked_ms = -1;
            lead->due_ms = now_ms + ASK_AGAIN_MS;
        } else if (answer == ROLE_CLOSED &&
                   now_ms < lead->asked_ms + guard->config.verify_timeout_ms) {
            lead->due_ms = now_ms + ASK_CLOSED_MS;
        } else {
            lead_deny(lead, now_ms);
        }
    }
    settle(guard, why_answered(answer), now_ms);
}

const struct endpoint *fence_wants_role(struct write_fence *guard, int64_t now_ms)
{
    struct fence_lead *next = NULL;

    for (size_t i = 0; i < FENCE_LEADS_MAX; i++) {
        struct fence_lead *lead = &guard->leads[i];

        if (lead->out) {
            return NULL;
        }
        if (is_used(lead) && !lead->spent && lead->has_chosen && now_ms >= lead->due_ms &&
            (!next || lead->due_ms < next->due_ms)) {
            next = lead;
        }
    }
    if (!next) {
        return NULL;
    }
    next->out = true;
    if (next->asked_ms < 0) {
        next->asked_ms = now_ms;
    }
    return &next->chosen;
}

/* ---- time ---- */

void fence_void(struct write_fence *guard, int64_t now_ms)
{
    for (size_t i = 0; i < FENCE_LEADS_MAX; i++) {
        struct fence_lead *lead = &guard->leads[i];

        if (is_used(lead) && !lead->spent) {
            lead->out = false;
            lead->asked_ms = -1;
            lead->due_ms = now_ms;
        }
    }
}

static int64_t answer_late_ms(const struct write_fence *guard, const struct fence_lead *lead)
{
    return lead->asked_ms + guard->config.verify_timeout_ms + ANSWER_GRACE_MS;
}

/*
 * No failover takes that long. Whose events hold the fence all the same has run out of credit, for
 * as long as one may take.
 */
static void lead_expire(struct fence_lead *lead)
{
    struct fence_lead was = *lead;

    lead_drop(lead);
    if (was.holds && was.capped) {
        memcpy(lead->id, was.id, sizeof(lead->id));
        lead->spent = true;
        lead->first_ms = was.first_ms;
        lead->until_ms = was.until_ms + (was.until_ms - was.first_ms) / 2;
    }
}

/* @return why the fence goes down, if this was what held it; NULL: nothing was due. */
static const char *lead_step(const struct write_fence *guard, struct fence_lead *lead,
                             int64_t now_ms)
{
    if (now_ms >= lead->until_ms) {
        lead_expire(lead);
        return "the failover takes too long";
    }
    if (lead->spent) {
        return NULL;
    }
    if (!lead->has_chosen && now_ms >= lead->due_ms) {
        lead_drop(lead);
        return "time-out, and no replica was chosen";
    }
    if (lead->asked_ms >= 0 && now_ms >= answer_late_ms(guard, lead)) {
        lead_deny(lead, now_ms);
        return "time-out, and the chosen replica does not answer";
    }
    return NULL;
}

void fence_step(struct write_fence *guard, int64_t now_ms)
{
    const char *why = NULL;

    for (size_t i = 0; i < FENCE_LEADS_MAX; i++) {
        bool held = guard->leads[i].holds;
        const char *late =
            is_used(&guard->leads[i]) ? lead_step(guard, &guard->leads[i], now_ms) : NULL;

        if (late && held) {
            why = late;
        }
    }
    settle(guard, why, now_ms);
}

int64_t fence_next_ms(const struct write_fence *guard)
{
    int64_t next_ms = -1;
    bool out = false;

    for (size_t i = 0; i < FENCE_LEADS_MAX; i++) {
        out = out || guard->leads[i].out;
    }
    for (size_t i = 0; i < FENCE_LEADS_MAX; i++) {
        const struct fence_lead *lead = &guard->leads[i];

        if (!is_used(lead)) {
            continue;
        }
        next_ms = earlier(next_ms, lead->until_ms);
        if (lead->spent) {
            continue;
        }
        if (lead->asked_ms >= 0) {
            next_ms = earlier(next_ms, answer_late_ms(guard, lead));
        }
        if (!lead->has_chosen || !out) { /* one question at a time */
            next_ms = earlier(next_ms, lead->due_ms);
        }
    }
    return next_ms;
}

/* ---- life ---- */

void fence_init(struct write_fence *guard, const struct fence_config *config)
{
    *guard = (struct write_fence){.config = *config, .why = "nothing was heard"};
    if (guard->config.timeout_ms <= 0) {
        guard->config.timeout_ms = FENCE_TIMEOUT_MS;
    }
    for (size_t i = 0; i < FENCE_LEADS_MAX; i++) {
        lead_drop(&guard->leads[i]);
    }
}

bool fence_is_idle(const struct write_fence *guard)
{
    for (size_t i = 0; i < FENCE_LEADS_MAX; i++) {
        if (is_used(&guard->leads[i]) && !guard->leads[i].spent) {
            return false;
        }
    }
    return true;
}

const struct endpoint *fence_chosen(const struct write_fence *guard)
{
    const struct fence_lead *lead = holder(guard);

    return lead && lead->has_chosen ? &lead->chosen : NULL;
}

const char *fence_text(enum fence fence)
{
    static const char *const texts[] = {
        [FENCE_DOWN] = "down", [FENCE_UP] = "up", [FENCE_PROMOTING] = "promoting"};

    return texts[fence];
}
