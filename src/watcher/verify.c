/*
 * Verification: is what is published a master, and is the candidate one?
 *
 *   standing   one connection to the published node, asked for its role every verify-interval; its
 *              end is news
 *   candidate  one connection to the node that may become the answer, which may be there already
 *              (chosen_replica.c); it becomes the standing one
 *
 * What workers' own connections meet at the published node has it asked at once.
 */
#include "verify.h"

#include <stdio.h>

#include "bellwether/base/backoff.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "sentinel_node.h"
#include "turn.h"
#include "watch_counters.h"

enum {
    REOPEN_FIRST_MS = 50,
    REOPEN_LAST_MS = 1000,
    /* rounds of questions because of what workers met: no closer than this */
    SUSPICION_MS = 100,
    SUSPICION_FOR_MS = 2000,  /* where it goes on for longer than this, */
    SUSPICION_SLOW_MS = 1000, /* no closer than this */
    SHARED_TURN = 32,         /* a question may come earlier by that part of its interval */
    SPREAD = 10, /* the same at random; never later: suspect-after is reckoned from it */
};

/* A restart always ends the connection, so once on each is enough. */
static void run_id_heard(void *data, struct role_check *role_check, const char *run_id)
{
    struct master *master = data;

    if (turn_begin(master->watcher) || master->standing != role_check) {
        return;
    }
    judge_run_id(master->judge, role_check_node(role_check), run_id);
    turn_step_later(master);
}

static void standing_schedule(struct master *master, enum role_answer answer)
{
    const struct watch_config *config = master->watcher->config;
    int64_t delay_ms = jittered_ms(config->verify_interval_ms, SPREAD);
    bool connected = role_check_is_connected(master->standing);

    if (connected) {
        master->standing_failures = 0;
    } else {
        master->standing_failures++;
    }
    if (!connected) {
        int64_t most_ms = delay_ms < REOPEN_LAST_MS ? delay_ms : REOPEN_LAST_MS;

        delay_ms = backoff_ms(master->standing_failures, REOPEN_FIRST_MS, most_ms);
        /* a time-out has been waited for already */
        delay_ms = answer == ROLE_TIMEOUT ? 0 : jittered_ms(delay_ms, SPREAD);
    } else if (answer != ROLE_MASTER && delay_ms > REOPEN_LAST_MS) {
        delay_ms = REOPEN_LAST_MS;
    }
    /* With a thousand masters a turn of the loop for each would cost more than the questions. */
    loop_timer_start_within(master->verify_timer, delay_ms - delay_ms / SHARED_TURN, delay_ms);
}

static void role_heard(struct master *master, struct role_check *role_check,
                       enum role_answer answer, const char *words)
{
    if (answer == ROLE_TLS) {
        judge_tls_words(master->judge, words);
    }
    if (answer == ROLE_NOAUTH) {
        char error[256];

        (void)secret_refresh(master->redis_password, true, error, sizeof(error));
    }
    judge_role(master->judge, role_check_node(role_check), answer, clock_boot_ms());
}

static void standing_answered(void *data, struct role_check *role_check, enum role_answer answer,
                              int64_t asked_us, const char *words)
{
    struct master *master = data;

    /* What comes first after a gap may have waited in the socket since before it. */
    if (turn_begin(master->watcher) || master->standing != role_check) {
        return;
    }
    master->role = answer;
    master->role_asked_us = asked_us;
    count_role(master, answer, asked_us);
    if (answer == ROLE_MASTER) {
        master->role_master_us = asked_us;
        count_verified(master);
    }
    snprintf(master->role_words, sizeof(master->role_words), "%s", words);
    standing_schedule(master, answer);
    failover_recorder_role(master, answer, asked_us);
    role_heard(master, role_check, answer, words);
    if (answer == ROLE_MASTER) {
        role_check_ask_run_id(role_check, run_id_heard);
    }
    lag_role(master, answer);
    turn_step_later(master);
}

static void candidate_answered(void *data, struct role_check *role_check, enum role_answer answer,
                               int64_t asked_us, const char *words)
{
    struct master *master = data;

    if (turn_begin(master->watcher) || master->candidate != role_check) {
        return;
    }
    bool stood = master->candidate_stood;
    char text[ADDRESS_TEXT_SIZE];

    master->candidate_stood = false;
    if (stood && answer == ROLE_CLOSED) { /* that end may be of long ago */
        verify_check_candidate(master, role_check_node(role_check));
        return;
    }
    if (answer != ROLE_MASTER) {
        log_debug("candidate does not say master", LOG_STR("master", master->name),
                  LOG_STR("candidate", address_format(&role_check_node(role_check)->name, text)),
                  LOG_STR("words", words));
    }
    master->candidate_asked_us = asked_us;
    count_role(master, answer, asked_us);
    master->candidate_role = answer;
    role_heard(master, role_check, answer, words);
    turn_step_later(master);
}

static struct role_check *master_role_check(struct master *master, role_check_fn *answered)
{
    return role_check_new(master->watcher->loop, master->deployment->number, master->redis_username,
                          master->redis_password, master->redis_tls,
                          master->watcher->config->verify_timeout_ms, answered, master);
}

void verify_due(void *data)
{
    struct master *master = data;

    (void)turn_begin(master->watcher);
    if (master->standing) {
        role_check_ask(master->standing);
    }
}

/*
 * A connection to what is published that is there already: the candidate's, or that to a replica
 * that was promoted. Where its answer is not there yet, or is from before the promotion, it is
 * asked.
 */
static struct role_check *take_role_check(struct master *master)
{
    struct role_check *role_check = master->candidate;

    if (role_check && endpoint_equal(role_check_node(role_check), &master->published.master)) {
        master->candidate = NULL;
        master->role = master->candidate_role;
        master->role_asked_us = master->candidate_asked_us;
    } else {
        role_check = chosen_take_role_check(master, &master->published.master);
        if (role_check && master->chosen.says_master) {
            master->role = ROLE_MASTER;
            master->role_asked_us = master->chosen.asked_us;
        }
    }
    return role_check;
}

void verify_follow(struct master *master)
{
    role_check_free(master->standing);
    master->standing = NULL;
    master->suspicions.wanted = false; /* it was about another node */
    master->suspicions.began_ms = master->suspicions.acted_ms = 0;
    master->standing_failures = 0;
    master->role_asked_us = master->role_master_us = 0;
    master->role_words[0] = '\0';
    lag_follow(master);
    if (!master->watcher->config->verify) {
        return;
    }
    master->standing = take_role_check(master);
    if (master->standing && master->role_asked_us == 0) {
        role_check_retarget(master->standing, standing_answered, master);
        role_check_ask(master->standing);
    } else if (master->standing) {
        role_check_retarget(master->standing, standing_answered, master);
        if (master->role == ROLE_MASTER) {
            master->role_master_us = master->role_asked_us;
            count_verified(master);
            role_check_ask_run_id(master->standing, run_id_heard);
        }
        standing_schedule(master, master->role);
        lag_role(master, master->role);
    } else {
        master->standing = master_role_check(master, standing_answered);
        role_check_open(master->standing, &master->published.master);
    }
}

void verify_check_candidate(struct master *master, const struct endpoint *node)
{
    bool other = !master->candidate || !endpoint_equal(role_check_node(master->candidate), node);
    /* one that is asked as it is goes on being asked */
    struct role_check *ready =
        other && !master->chosen.asked ? chosen_take_role_check(master, node) : NULL;

    if (ready) {
        role_check_free(master->candidate);
        master->candidate = ready;
        role_check_retarget(ready, candidate_answered, master);
    }
    if (other) {
        char text[ADDRESS_TEXT_SIZE];

        master->candidate_asked_us = 0;
        master->candidate_stood = ready && role_check_is_connected(ready);
        log_debug("candidate is asked for its role", LOG_STR("master", master->name),
                  LOG_STR("candidate", address_format(&node->name, text)),
                  LOG_STR("connection", master->candidate_stood ? "ready" : "new"));
    }
    if (!master->candidate) {
        master->candidate = master_role_check(master, candidate_answered);
    } else if (endpoint_equal(role_check_node(master->candidate), node)) {
        role_check_ask(master->candidate);
        return;
    }
    role_check_open(master->candidate, node);
}

void verify_check_published(struct master *master)
{
    if (master->standing) {
        role_check_ask(master->standing);
    }
}

/* ---- what workers meet ---- */

static int64_t suspicion_pace_ms(const struct suspicions *suspicions, int64_t now_ms)
{
    return now_ms - suspicions->began_ms < SUSPICION_FOR_MS ? SUSPICION_MS : SUSPICION_SLOW_MS;
}

/*
 * Ask the node and the Sentinels. What a worker met decides nothing: their answers do. @param anew
 * it comes right from a worker: an answer that is on its way may be from before it.
 */
static void suspicion_act(struct master *master, bool anew, int64_t now_ms)
{
    struct suspicions *suspicions = &master->suspicions;

    suspicions->acted_ms = now_ms;
    suspicions->wanted = anew && master->standing && role_check_is_asking(master->standing);
    if (suspicions->wanted) {
        loop_timer_start(suspicions->timer, suspicion_pace_ms(suspicions, now_ms));
    }
    if (master->standing) {
        role_check_doubt(master->standing);
    }
    verify_check_published(master);
    if (!master->suspect) { /* else they are asked fast as it is */
        master_ask_sentinels(master);
    }
}

static void suspicion_due(void *data)
{
    struct master *master = data;

    if (!turn_begin(master->watcher) && master->suspicions.wanted) {
        suspicion_act(master, false, clock_boot_ms());
    }
}

static const char *suspicion_text(enum suspicion what)
{
    switch (what) {
    case SUSPICION_READ_ONLY: return "it refused a write: read-only";
    case SUSPICION_LOST: return "a connection was lost";
    case SUSPICION_SILENT: return "a command was not answered in time";
    case SUSPICION_ROLE: return "it says another role than master";
    case SUSPICION_LOADING: return "it is loading, or has lost its own master";
    }
    return "unknown";
}

void verify_hear_suspicion(struct master *master, enum suspicion what,
                           const struct address *address)
{
    struct suspicions *suspicions = &master->suspicions;
    int64_t now_ms = clock_boot_ms();
    char text[ADDRESS_TEXT_SIZE];

    if (!master->has_published || !address_equal(address, &master->published.master.name)) {
        return; /* of a node that is not the answer any more */
    }
    log_debug("a command met trouble at the master", LOG_STR("master", master->name),
              LOG_STR("address", address_format(address, text)),
              LOG_STR("what", suspicion_text(what)));
    if (!suspicions->timer) {
        suspicions->timer = loop_timer_new(master->watcher->loop, suspicion_due, master);
    }
    if (suspicions->wanted) {
        return;
    }
    if (now_ms - suspicions->acted_ms > 2 * (int64_t)SUSPICION_SLOW_MS) {
        suspicions->began_ms = now_ms;
    }
    int64_t wait_ms = suspicions->acted_ms + suspicion_pace_ms(suspicions, now_ms) - now_ms;
    if (suspicions->acted_ms == 0 || wait_ms <= 0) {
        suspicion_act(master, true, now_ms);
        return;
    }
    suspicions->wanted = true;
    loop_timer_start(suspicions->timer, wait_ms);
}

void verify_drop_candidate(struct master *master)
{
    if (!master->candidate || role_check_is_asking(master->candidate)) {
        return;
    }
    role_check_free(master->candidate);
    master->candidate = NULL;
}

void verify_void(struct master *master)
{
    if (master->standing) {
        role_check_open(master->standing, &master->published.master);
    }
    master->lag.asking = false;
    role_check_free(master->candidate);
    master->candidate = NULL;
    chosen_release(master);
}

void verify_release(struct master *master)
{
    role_check_free(master->standing);
    role_check_free(master->candidate);
    loop_timer_free(master->suspicions.timer);
    lag_release(master);
}
