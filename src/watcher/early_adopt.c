/*
 * --adopt promoted (rule 11): a leader's own events go to the judge, which may have the replica
 * that it chose asked for its role (chosen_replica.c).
 */
#include "early_adopt.h"

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "sentinel_node.h"
#include "sentinel_signals.h"
#include "turn.h"

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
