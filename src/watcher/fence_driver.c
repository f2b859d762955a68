/*
 * The fence at work: Sentinels' events go to the guard (topology/fence.h), the replica that it
 * wants asked is asked for its role over a connection of its own, what comes of it is in the
 * snapshot that goes out with the same turn.
 */
#include <stdio.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "watcher_internal.h"

static void fencing_follow(struct master *master);

const char *fencing_why(const struct master *master)
{
    if (master->fencing.guard.state == FENCE_DOWN && master->contradicted) {
        return "contradicted";
    }
    return master->fencing.contradicted ? "contradicted no longer" : master->fencing.guard.why;
}

enum fence fencing_state(const struct master *master)
{
    enum fence state = master->fencing.guard.state;

    return state == FENCE_DOWN && master->contradicted ? FENCE_UP : state;
}

static void log_fence(const struct master *master, const char *text, enum log_level level)
{
    const struct fence_guard *guard = &master->fencing.guard;
    const struct endpoint *chosen = fence_chosen(guard);
    char replica[ADDRESS_TEXT_SIZE];
    struct log_field fields[4];
    size_t n = 0;

    if (!master->watcher->config->runs_commands) {
        return; /* nobody's writes are held back */
    }
    fields[n++] = LOG_STR("master", master->name);
    fields[n++] = LOG_STR("why", fencing_why(master));
    if (chosen) {
        fields[n++] = LOG_STR("replica", address_format(&chosen->name, replica));
    }
    if (master->fencing.shown == FENCE_DOWN) {
        fields[n++] = LOG_INT("up_ms", clock_boot_ms() - master->fencing.since_ms);
    }
    log_write(level, text, fields, n);
}

static void show_change(struct master *master)
{
    struct fencing *fencing = &master->fencing;
    enum fence was = fencing->shown;
    enum fence now = fencing_state(master);

    if (now == was) {
        return;
    }
    fencing->shown = now;
    if (now > was) {
        atomic_fetch_add_explicit(&master->watcher->pulse->fences, 1, memory_order_release);
    }
    if (fencing->shown == FENCE_DOWN) {
        log_fence(master, "fence down: writes go on", LOG_LEVEL_INFO);
    } else if (was == FENCE_DOWN) {
        fencing->since_wall_ms = clock_wall_ms();
        fencing->since_ms = clock_boot_ms();
        fencing->contradicted = fencing->guard.state == FENCE_DOWN;
        log_fence(master, "fence up: writes are held back", LOG_LEVEL_INFO);
    } else {
        log_fence(master, "fence stays up", LOG_LEVEL_DEBUG);
    }
    master_touch(master);
}

/* ---- the chosen replica ---- */

static void fencing_answered(void *data, struct probe *probe, enum role_answer answer,
                             int64_t asked_us, const char *words)
{
    struct master *master = data;
    char text[ADDRESS_TEXT_SIZE];

    (void)asked_us;
    if (watcher_turn(master->watcher) || master->fencing.probe != probe) {
        return;
    }
    if (master->watcher->config->runs_commands) {
        log_debug("chosen replica asked for its role", LOG_STR("master", master->name),
                  LOG_STR("replica", address_format(&probe_node(probe)->name, text)),
                  LOG_STR("words", words));
    }
    fence_answer(&master->fencing.guard, probe_node(probe), answer, clock_boot_ms());
    fencing_follow(master); /* may free the probe */
}

/* Over a connection made for this question: an answer to an older one proves nothing. */
static void ask(struct master *master, const struct endpoint *node)
{
    struct fencing *fencing = &master->fencing;
    const struct watcher *watcher = master->watcher;

    if (!fencing->probe) {
        fencing->probe = probe_new(watcher->loop, master->site->number, master->redis_username,
                                   master->redis_password, watcher->config->verify_timeout_ms,
                                   fencing_answered, master);
    }
    probe_open(fencing->probe, node);
}

static void fencing_due(void *data)
{
    struct master *master = data;

    (void)watcher_turn(master->watcher);
    fencing_follow(master);
}

/* Whatever the guard was told: see to what it wants now. */
static void fencing_follow(struct master *master)
{
    struct fencing *fencing = &master->fencing;
    int64_t now_ms = clock_boot_ms();

    fence_step(&fencing->guard, now_ms);
    show_change(master);
    const struct endpoint *node = fence_wants_role(&fencing->guard, now_ms);
    if (node) {
        ask(master, node);
    } else if (fence_is_idle(&fencing->guard)) {
        probe_free(fencing->probe);
        fencing->probe = NULL;
        fencing->waiting[0] = '\0';
    }
    int64_t next_ms = fence_next_ms(&fencing->guard);
    if (next_ms >= 0 && !fencing->timer) {
        fencing->timer = loop_timer_new(master->watcher->loop, fencing_due, master);
    }
    if (next_ms >= 0) {
        loop_timer_start(fencing->timer, next_ms > now_ms ? next_ms - now_ms : 0);
    } else if (fencing->timer) {
        loop_timer_stop(fencing->timer);
    }
}

/* ---- what leaders say ---- */

bool fencing_signal(const struct sentinel_event *event, enum fence_signal *signal)
{
    switch (event->kind) {
    case SENTINEL_EVENT_ELECTED_LEADER: *signal = FENCE_SAYS_ELECTED; return true;
    case SENTINEL_EVENT_SELECTED_SLAVE:
    case SENTINEL_EVENT_SEND_SLAVEOF_NOONE: *signal = FENCE_SAYS_CHOSEN; return true;
    case SENTINEL_EVENT_WAIT_PROMOTION: *signal = FENCE_SAYS_PROMOTING; return true;
    case SENTINEL_EVENT_RESET_MASTER:
    case SENTINEL_EVENT_MONITOR_END: *signal = FENCE_SAYS_ABORTED; return true;
    default: *signal = FENCE_SAYS_ABORTED; return sentinel_event_is_abort(event->kind);
    }
}

/* What was chosen; where its name has to be looked up first, the fence goes up all the same. */
static const struct endpoint *locate_chosen(struct master *master, const struct peer *peer,
                                            const struct address *given, struct endpoint *out)
{
    struct fencing *fencing = &master->fencing;
    struct address mapped;

    if (!address_is_set(given) || !peer_map_address(peer, given, &mapped)) {
        return NULL;
    }
    if (resolver_get(master->site->resolver, &mapped, out)) {
        return !peer_refusal(peer, out) ? out : NULL;
    }
    fencing->chosen = mapped;
    snprintf(fencing->waiting, sizeof(fencing->waiting), "%s", sentinel_link_run_id(peer->link));
    return NULL;
}

void fencing_hear_event(struct master *master, const struct peer *peer,
                        const struct sentinel_event *event)
{
    const struct chair *chair = master_chair(master, peer);
    struct fence_event said = {.leader = sentinel_link_run_id(peer->link),
                               .failover_timeout_ms = -1};
    struct address mapped;
    struct endpoint old, node;

    if (!chair || !fencing_signal(event, &said.signal)) {
        return;
    }
    if (address_is_set(&event->master_address)) {
        if (!peer_map_address(peer, &event->master_address, &mapped)) {
            return; /* nor is its answer believed (rule 10) */
        }
        if (resolver_get(master->site->resolver, &mapped, &old)) {
            said.master = &old;
        }
    }
    if (chair->has_row) {
        said.failover_timeout_ms = chair->row.failover_timeout_ms;
    }
    if (said.signal == FENCE_SAYS_CHOSEN || said.signal == FENCE_SAYS_PROMOTING) {
        said.node = locate_chosen(master, peer, &event->address, &node);
    }
    if (said.node && !judge_vouches(master->judge, said.node)) {
        said.node = NULL; /* nor is it dialled */
    }
    fence_hear(&master->fencing.guard, &said, clock_boot_ms());
    fencing_follow(master);
}

void fencing_row(const struct chair *chair)
{
    if (chair->has_row && (chair->row.flags & SENTINEL_COORDINATED_FAILOVER) != 0) {
        fence_coordinate(&chair->master->fencing.guard, sentinel_link_run_id(chair->peer->link));
    }
}

void fencing_resume(struct master *master)
{
    struct fencing *fencing = &master->fencing;
    struct endpoint node;

    if (fencing->waiting[0] == '\0' ||
        !resolver_get(master->site->resolver, &fencing->chosen, &node)) {
        return;
    }
    if (judge_vouches(master->judge, &node)) {
        fence_name(&fencing->guard, fencing->waiting, &node, clock_boot_ms());
    }
    fencing->waiting[0] = '\0';
    fencing_follow(master);
}

/* ---- the rest ---- */

void fencing_publish(struct master *master)
{
    fence_publish(&master->fencing.guard, &master->published.master, clock_boot_ms());
    fencing_follow(master);
}

void fencing_contradict(struct master *master)
{
    show_change(master);
}

void fencing_void(struct master *master)
{
    fence_void(&master->fencing.guard, clock_boot_ms());
    fencing_follow(master);
}

void fencing_init(struct master *master)
{
    const struct watch_config *config = master->watcher->config;
    struct fence_config rules = {.timeout_ms = config->fence_timeout_ms,
                                 .verify_timeout_ms = config->verify_timeout_ms};

    fence_init(&master->fencing.guard, &rules);
}

void fencing_release(struct master *master)
{
    probe_free(master->fencing.probe);
    loop_timer_free(master->fencing.timer);
}
