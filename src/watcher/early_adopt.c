/*
 * --adopt promoted (rule 11): a leader's own events go to the judge; the replica that it chose is
 * asked for its role every few milliseconds, over a connection of its own, for as long as the judge
 * wants.
 *
 * A node closes its clients' connections in the moment in which it is promoted: so the end of a
 * connection that has answered is followed by another at once.
 */
#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "watcher_internal.h"

/* How often it is asked: a promotion takes 0.1 s, unless the leader can't reach the replica. */
static const struct {
    int64_t until_ms, every_ms;
} paces[] = {{3000, 4}, {10000, 20}};

enum { SLOWEST_MS = 100 };

static int64_t pace_ms(const struct adopt *adopt)
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

static void adopt_stop(struct adopt *adopt)
{
    probe_free(adopt->probe);
    adopt->probe = NULL;
    loop_timer_free(adopt->timer);
    adopt->timer = NULL;
}

static void adopt_due(void *data)
{
    struct master *master = data;

    watcher_turn(master->watcher);
    if (master->adopt.probe) {
        probe_ask(master->adopt.probe);
    }
}

static void adopt_answered(void *data, struct probe *probe, enum role_answer answer,
                           int64_t asked_us, const char *words)
{
    struct master *master = data;
    struct adopt *adopt = &master->adopt;

    (void)words;
    if (watcher_turn(master->watcher) || adopt->probe != probe) {
        return;
    }
    bool cut_off = answer == ROLE_CLOSED && adopt->answered;
    adopt->answered = probe_is_connected(probe);
    adopt->asked_us = asked_us;
    judge_promotion_role(master->judge, probe_node(probe), answer, clock_boot_ms());
    if (answer == ROLE_MASTER) {
        master_step(master); /* may free the probe, or make it the standing one */
    }
    if (adopt->probe == probe) {
        loop_timer_start(adopt->timer, cut_off ? 0 : pace_ms(adopt));
    }
}

void adopt_follow(struct master *master, const struct endpoint *node)
{
    struct adopt *adopt = &master->adopt;
    const struct watcher *watcher = master->watcher;

    if (!node || (adopt->probe && !endpoint_equal(probe_node(adopt->probe), node))) {
        adopt_stop(adopt);
    }
    if (!node || adopt->probe) {
        return;
    }
    char text[ADDRESS_TEXT_SIZE];
    log_debug("a replica is about to be promoted", LOG_STR("master", master->name),
              LOG_STR("replica", address_format(&node->name, text)));
    adopt->began_ms = clock_boot_ms();
    adopt->answered = false;
    adopt->timer = loop_timer_new(watcher->loop, adopt_due, master);
    adopt->probe = probe_new(watcher->loop, master->site->number, master->redis_username,
                             master->redis_password, watcher->config->verify_timeout_ms,
                             adopt_answered, master);
    probe_open(adopt->probe, node);
}

struct probe *adopt_take_probe(struct master *master, int64_t *asked_us)
{
    struct adopt *adopt = &master->adopt;
    struct probe *probe = adopt->probe;

    if (!probe || !endpoint_equal(probe_node(probe), &master->published.master)) {
        return NULL;
    }
    *asked_us = adopt->asked_us;
    adopt->probe = NULL;
    adopt_stop(adopt);
    return probe;
}

/* ---- what leaders say ---- */

static void adopt_tell(struct master *master, const struct peer *peer, enum promotion_step step,
                       const struct endpoint *node)
{
    judge_promotion(master->judge, sentinel_link_run_id(peer->link), step, peer->new_epoch, node,
                    clock_boot_ms());
}

/* Its name may have to be looked up first. @return whether the judge was told. */
static bool adopt_tell_chosen(struct master *master)
{
    struct adopt *adopt = &master->adopt;
    struct endpoint node;
    struct peer *peer = adopt->chooser;

    if (!peer || !resolver_get(master->site->resolver, &adopt->chosen, &node)) {
        return false;
    }
    adopt->chooser = NULL;
    const struct refusal *refusal = peer_refusal(peer, &node);
    if (refusal) {
        char text[ADDRESS_TEXT_SIZE], from[ADDRESS_TEXT_SIZE];

        log_warn("chosen replica ignored", LOG_STR("master", master->name),
                 LOG_STR("replica", address_format(&node.name, text)),
                 LOG_STR("sentinel", address_format(sentinel_link_address(peer->link), from)),
                 LOG_STR("code", refusal->code), LOG_STR("words", refusal->words));
        return false;
    }
    adopt_tell(master, peer, PROMOTION_CHOSEN, &node);
    return true;
}

static void adopt_hear_chosen(struct master *master, struct peer *peer,
                              const struct address *replica)
{
    struct adopt *adopt = &master->adopt;

    if (!address_is_set(replica)) {
        return;
    }
    adopt->chosen = address_map_apply(&master->watcher->config->map, replica);
    adopt->chooser = peer;
    (void)adopt_tell_chosen(master);
}

void adopt_hear_event(struct master *master, struct peer *peer, const struct sentinel_event *event)
{
    if (master->watcher->config->adopt != WATCH_ADOPT_PROMOTED) {
        return;
    }
    switch (event->kind) {
    case SENTINEL_EVENT_TRY_FAILOVER: adopt_tell(master, peer, PROMOTION_TRY, NULL); break;
    case SENTINEL_EVENT_ELECTED_LEADER: adopt_tell(master, peer, PROMOTION_ELECTED, NULL); break;
    case SENTINEL_EVENT_SELECTED_SLAVE:
    case SENTINEL_EVENT_SEND_SLAVEOF_NOONE: adopt_hear_chosen(master, peer, &event->address); break;
    case SENTINEL_EVENT_FAILOVER_END:
    case SENTINEL_EVENT_FAILOVER_END_FOR_TIMEOUT:
    case SENTINEL_EVENT_SWITCH_MASTER: adopt_tell(master, peer, PROMOTION_ENDED, NULL); break;
    default:
        if (sentinel_event_is_abort(event->kind)) {
            adopt_tell(master, peer, PROMOTION_ABORTED, NULL);
        }
        break;
    }
}

void adopt_note_epoch(struct peer *peer, const struct sentinel_event *event)
{
    peer->new_epoch = event->kind == SENTINEL_EVENT_NEW_EPOCH ? event->epoch : EPOCH_UNKNOWN;
}

void adopt_resume(struct master *master)
{
    if (adopt_tell_chosen(master)) {
        master_step(master);
    }
}

void adopt_forget_peer(struct master *master, const struct peer *peer)
{
    if (master->adopt.chooser == peer) {
        master->adopt.chooser = NULL;
    }
}

void adopt_release(struct master *master)
{
    adopt_stop(&master->adopt);
}
