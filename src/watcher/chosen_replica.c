/*
 * From the moment in which a leader has chosen a replica there is a connection to it, with its
 * handshakes done: the announcement then costs one question (verify.c takes the connection over).
 * With --adopt promoted it is asked for its role every few milliseconds as well, for as long as
 * the judge wants (rule 11).
 *
 * Who is dialled is what rule 12 lets be dialled: a node that a majority vouches for. One
 * connection a master, whoever is named how often; without a failover under way there is none.
 *
 * A node closes its clients' connections in the moment in which it is promoted: so the first end
 * of a connection that has answered is followed by another at once.
 */
#include "chosen_replica.h"

#include "bellwether/base/backoff.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "turn.h"

/* How often it is asked: a promotion takes 0.1 s, unless the leader can't reach the replica. */
static const struct {
    int64_t until_ms, every_ms;
} paces[] = {{3000, 4}, {10000, 20}};

enum {
    SLOWEST_MS = 100,
    DIAL_MS = 20, /* no closer than this where one node after the other is chosen, */
    REDIAL_MOST_MS = 500,
};

static int64_t pace_ms(const struct chosen_replica *chosen)
{
    int64_t asked_for_ms = clock_boot_ms() - chosen->began_ms;

    for (size_t i = 0; i < sizeof(paces) / sizeof(*paces); i++) {
        if (asked_for_ms < paces[i].until_ms) {
            return paces[i].every_ms;
        }
    }
    return SLOWEST_MS;
}

/* ---- the connection ---- */

static void chosen_hang_up(struct chosen_replica *chosen)
{
    role_check_free(chosen->role_check);
    chosen->role_check = NULL;
    loop_timer_free(chosen->timer);
    chosen->timer = NULL;
}

static void chosen_answered(void *data, struct role_check *role_check, enum role_answer answer,
                            int64_t asked_us, const char *words)
{
    struct master *master = data;
    struct chosen_replica *chosen = &master->chosen;

    if (turn_begin(master->watcher) || chosen->role_check != role_check) {
        return;
    }
    bool stood = chosen->stands;
    chosen->stands = role_check_is_connected(role_check);
    chosen->says_master = answer == ROLE_MASTER;
    if (chosen->stands != stood) {
        log_debug(chosen->stands ? "connection to the chosen replica is ready"
                                 : "connection to the chosen replica ended",
                  LOG_STR("master", master->name), LOG_STR("words", words));
    }
    chosen->ends += chosen->stands ? 0 : 1;
    bool at_once = answer == ROLE_CLOSED && stood && chosen->ends == 1;
    chosen->asked_us = asked_us;
    if (chosen->asked) {
        judge_promotion_role(master->judge, &chosen->node, answer, clock_boot_ms());
        if (answer == ROLE_MASTER) {
            turn_step_later(master); /* which may make it the standing one */
        }
        loop_timer_start(chosen->timer, at_once ? 0 : pace_ms(chosen));
    } else if (!chosen->stands) {
        loop_timer_start(chosen->timer,
                         at_once ? 0 : backoff_ms(chosen->ends, DIAL_MS, REDIAL_MOST_MS));
    }
}

static void chosen_dial(struct master *master)
{
    struct chosen_replica *chosen = &master->chosen;
    const struct watcher *watcher = master->watcher;

    chosen->dialled_ms = clock_boot_ms();
    chosen->role_check = role_check_new(
        watcher->loop, master->deployment->number, master->redis_username, master->redis_password,
        master->redis_tls, watcher->config->verify_timeout_ms, chosen_answered, master);
    role_check_open(chosen->role_check, &chosen->node);
}

/* Not dialled yet, lost, or its next question is due. */
static void chosen_due(void *data)
{
    struct master *master = data;

    turn_begin(master->watcher);
    if (!master->chosen.timer) {
        return; /* hung up because of a gap in the clock */
    }
    if (!master->chosen.role_check) {
        chosen_dial(master);
    } else {
        role_check_ask(master->chosen.role_check);
    }
}

static void chosen_begin(struct master *master, const struct endpoint *node)
{
    struct chosen_replica *chosen = &master->chosen;
    int64_t now_ms = clock_boot_ms();
    int64_t wait_ms = chosen->dialled_ms + DIAL_MS - now_ms;
    char text[ADDRESS_TEXT_SIZE];

    log_debug("a replica is about to be promoted", LOG_STR("master", master->name),
              LOG_STR("replica", address_format(&node->name, text)));
    chosen->node = *node;
    chosen->began_ms = now_ms;
    chosen->stands = chosen->says_master = false;
    chosen->ends = 0;
    chosen->timer = loop_timer_new(master->watcher->loop, chosen_due, master);
    if (chosen->dialled_ms == 0 || wait_ms <= 0) {
        chosen_dial(master);
    } else {
        loop_timer_start(chosen->timer, wait_ms);
    }
}

/* ---- to whom ---- */

/* Whom the failover under way is to promote, unless it is connected to as the candidate. */
static const struct endpoint *node_to_have_ready(const struct master *master)
{
    const struct endpoint *node = fence_chosen(&master->fence_driver.guard);

    if (!node || !master->watcher->config->verify || !judge_vouches(master->judge, node) ||
        (master->candidate && endpoint_equal(role_check_node(master->candidate), node))) {
        return NULL;
    }
    return node;
}

void chosen_follow(struct master *master, const struct endpoint *promoting)
{
    struct chosen_replica *chosen = &master->chosen;
    const struct endpoint *node = promoting ? promoting : node_to_have_ready(master);
    bool asked = promoting != NULL, was_asked = chosen->asked;

    chosen->asked = asked;
    if (chosen->timer && (!node || !endpoint_equal(&chosen->node, node))) {
        chosen_hang_up(chosen);
    }
    if (node && !chosen->timer) {
        chosen_begin(master, node);
    } else if (asked && !was_asked && chosen->role_check) {
        chosen->began_ms = clock_boot_ms();
        loop_timer_start(chosen->timer, 0);
    }
}

struct role_check *chosen_take_role_check(struct master *master, const struct endpoint *node)
{
    struct chosen_replica *chosen = &master->chosen;
    struct role_check *role_check = chosen->role_check;

    /* under another name of the same node its certificate was checked for that one */
    if (!role_check || !endpoint_equal(&chosen->node, node) ||
        !address_equal(&chosen->node.name, &node->name)) {
        return NULL;
    }
    chosen->role_check = NULL;
    chosen_hang_up(chosen);
    return role_check;
}

void chosen_release(struct master *master)
{
    chosen_hang_up(&master->chosen);
}
