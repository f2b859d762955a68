/*
 * --adopt promoted (rule 11): a leader's own events go to the judge; the replica that it chose is
 * asked for its role every few milliseconds, over a connection of its own, for as long as the judge
 * wants.
 *
 * A node closes its clients' connections in the moment in which it is promoted: so the end of a
 * connection that has answered is followed by another at once.
 */
#include "early_adopt.h"

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "sentinel_node.h"
#include "sentinel_signals.h"
#include "turn.h"

/* How often it is asked: a promotion takes 0.1 s, unless the leader can't reach the replica. */
static const struct {
    int64_t until_ms, every_ms;
} paces[] = {{3000, 4}, {10000, 20}};

enum { SLOWEST_MS = 100 };

static int64_t pace_ms(const struct early_adopt *adopt)
{
    int64_t asked_for_ms = clock_boot_ms() - adopt->began_ms;

    for (size_t i = 0; i < sizeof(paces) / sizeof(*paces); i++) {
        if (asked_for_ms < paces[i].until_ms) {
            return paces[i].every_ms;
        }
    }
    return SLOWEST_MS;
}

/* ---- asking ---- */

static void adopt_stop(struct early_adopt *adopt)
{
    role_check_free(adopt->role_check);
    adopt->role_check = NULL;
    loop_timer_free(adopt->timer);
    adopt->timer = NULL;
}

static void adopt_due(void *data)
{
    struct master *master = data;

    turn_begin(master->watcher);
    if (master->adopt.role_check) {
        role_check_ask(master->adopt.role_check);
    }
}

static void adopt_answered(void *data, struct role_check *role_check, enum role_answer answer,
                           int64_t asked_us, const char *words)
{
    struct master *master = data;
    struct early_adopt *adopt = &master->adopt;

    (void)words;
    if (turn_begin(master->watcher) || adopt->role_check != role_check) {
        return;
    }
    bool cut_off = answer == ROLE_CLOSED && adopt->answered;
    adopt->answered = role_check_is_connected(role_check);
    adopt->asked_us = asked_us;
    judge_promotion_role(master->judge, role_check_node(role_check), answer, clock_boot_ms());
    if (answer == ROLE_MASTER) {
        turn_step_later(master); /* which may make it the standing one */
    }
    if (adopt->role_check == role_check) {
        loop_timer_start(adopt->timer, cut_off ? 0 : pace_ms(adopt));
    }
}

void adopt_follow(struct master *master, const struct endpoint *node)
{
    struct early_adopt *adopt = &master->adopt;
    const struct watcher *watcher = master->watcher;

    if (!node || (adopt->role_check && !endpoint_equal(role_check_node(adopt->role_check), node))) {
        adopt_stop(adopt);
    }
    if (!node || adopt->role_check) {
        return;
    }
    char text[ADDRESS_TEXT_SIZE];
    log_debug("a replica is about to be promoted", LOG_STR("master", master->name),
              LOG_STR("replica", address_format(&node->name, text)));
    adopt->began_ms = clock_boot_ms();
    adopt->answered = false;
    adopt->timer = loop_timer_new(watcher->loop, adopt_due, master);
    adopt->role_check = role_check_new(
        watcher->loop, master->deployment->number, master->redis_username, master->redis_password,
        master->redis_tls, watcher->config->verify_timeout_ms, adopt_answered, master);
    role_check_open(adopt->role_check, node);
}

struct role_check *adopt_take_role_check(struct master *master, int64_t *asked_us)
{
    struct early_adopt *adopt = &master->adopt;
    struct role_check *role_check = adopt->role_check;

    if (!role_check || !endpoint_equal(role_check_node(role_check), &master->published.master)) {
        return NULL;
    }
    *asked_us = adopt->asked_us;
    adopt->role_check = NULL;
    adopt_stop(adopt);
    return role_check;
}

/* ---- what leaders say ---- */

static void adopt_tell(struct master *master, const struct sentinel_node *sentinel,
                       enum promotion_step step, const struct endpoint *node)
{
    judge_promotion(master->judge, sentinel_client_run_id(sentinel->link), step,
                    sentinel->new_epoch, node, clock_boot_ms());
}

/* Tell the judge what was chosen, once its name was looked up. @return whether it was told. */
static bool adopt_tell_chosen(struct master *master)
{
    struct early_adopt *adopt = &master->adopt;
    struct endpoint node;
    struct sentinel_node *sentinel = adopt->chooser;

    if (!sentinel || !resolver_get(master->deployment->resolver, &adopt->chosen, &node)) {
        return false;
    }
    adopt->chooser = NULL;
    const struct refusal *refusal = sentinel_node_refusal(sentinel, &node);
    if (refusal) {
        char text[ADDRESS_TEXT_SIZE], from[ADDRESS_TEXT_SIZE];

        log_warn("chosen replica ignored", LOG_STR("master", master->name),
                 LOG_STR("replica", address_format(&node.name, text)),
                 LOG_STR("sentinel", sentinel_node_text(sentinel, from)),
                 LOG_STR("code", refusal->code), LOG_STR("words", refusal->words));
        return false;
    }
    adopt_tell(master, sentinel, PROMOTION_CHOSEN, &node);
    return true;
}

static void adopt_hear_chosen(struct master *master, struct sentinel_node *sentinel,
                              const struct address *replica)
{
    struct early_adopt *adopt = &master->adopt;

    if (!address_is_set(replica)) {
        return;
    }
    adopt->chosen = address_map_apply(&master->watcher->config->map, replica);
    adopt->chooser = sentinel;
    (void)adopt_tell_chosen(master);
}

void adopt_hear_event(struct master *master, struct sentinel_node *sentinel,
                      const struct sentinel_event *event)
{
    int step = sentinel_signal(event->kind)->adopt;

    if (master->watcher->config->adopt != WATCH_ADOPT_PROMOTED || step == SIGNAL_NONE) {
        return;
    }
    if (step == PROMOTION_CHOSEN) {
        adopt_hear_chosen(master, sentinel, &event->address);
    } else {
        adopt_tell(master, sentinel, (enum promotion_step)step, NULL);
    }
}

void adopt_note_epoch(struct sentinel_node *sentinel, const struct sentinel_event *event)
{
    sentinel->new_epoch = event->kind == SENTINEL_EVENT_NEW_EPOCH ? event->epoch : EPOCH_UNKNOWN;
}

void adopt_resume(struct master *master)
{
    if (adopt_tell_chosen(master)) {
        turn_step_later(master);
    }
}

void adopt_forget_sentinel_node(struct master *master, const struct sentinel_node *sentinel)
{
    if (master->adopt.chooser == sentinel) {
        master->adopt.chooser = NULL;
    }
}

void adopt_release(struct master *master)
{
    adopt_stop(&master->adopt);
}
