/*
 * The fence at work: Sentinels' events go to the guard (topology/write_fence.c); the replica that
 * the guard wants asked is asked for its role over a connection of its own; what comes of it is in
 * the snapshot that goes out with the same turn.
 */
#include "fence_driver.h"

#include <stdio.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "sentinel_node.h"
#include "sentinel_signals.h"
#include "turn.h"

static void fence_driver_follow(struct master *master);

const char *fence_driver_why(const struct master *master)
{
    if (master->fence_driver.guard.state == FENCE_DOWN && master->contradicted) {
        return "contradicted";
    }
    return master->fence_driver.contradicted ? "contradicted no longer"
                                             : master->fence_driver.guard.why;
}

enum fence fence_driver_state(const struct master *master)
{
    enum fence state = master->fence_driver.guard.state;

    return state == FENCE_DOWN && master->contradicted ? FENCE_UP : state;
}

static void log_fence(const struct master *master, const char *text, enum log_level level)
{
    const struct write_fence *guard = &master->fence_driver.guard;
    const struct endpoint *chosen = fence_chosen(guard);
    char replica[ADDRESS_TEXT_SIZE];
    struct log_field fields[4];
    size_t n = 0;

    if (!master->watcher->config->fence_matters) {
        return; /* nobody's writes are held back */
    }
    fields[n++] = LOG_STR("master", master->name);
    fields[n++] = LOG_STR("why", fence_driver_why(master));
    if (chosen) {
        fields[n++] = LOG_STR("replica", address_format(&chosen->name, replica));
    }
    if (master->fence_driver.shown == FENCE_DOWN) {
        fields[n++] = LOG_INT("up_ms", clock_boot_ms() - master->fence_driver.since_ms);
    }
    log_write(level, text, fields, n);
}

/* A watcher that is late hears of it late: it may have begun as soon as all before was heard. */
static void note_promotion(struct master *master)
{
    struct fence_driver *fence_driver = &master->fence_driver;
    int64_t now_ms = fence_driver->guard.promoting_ms;
    int64_t heard_ms =
        atomic_load_explicit(&master->watcher->pulse->heard_boot_ms, memory_order_relaxed);

    if (fence_driver->heard_promoting_ms != now_ms) {
        fence_driver->heard_promoting_ms = now_ms;
        fence_driver->promoting_ms = heard_ms != 0 && heard_ms < now_ms ? heard_ms : now_ms;
    }
}

static void show_change(struct master *master)
{
    struct fence_driver *fence_driver = &master->fence_driver;
    enum fence was = fence_driver->shown;
    enum fence now = fence_driver_state(master);

    note_promotion(master);
    if (now == was) {
        return;
    }
    fence_driver->shown = now;
    if (now > was) {
        atomic_fetch_add_explicit(&master->watcher->pulse->fences, 1, memory_order_release);
    }
    if (fence_driver->shown == FENCE_DOWN) {
        log_fence(master, "fence down: writes go on", LOG_LEVEL_INFO);
    } else if (was == FENCE_DOWN) {
        fence_driver->since_wall_ms = clock_wall_ms();
        fence_driver->since_ms = clock_boot_ms();
        fence_driver->contradicted = fence_driver->guard.state == FENCE_DOWN;
        log_fence(master, "fence up: writes are held back", LOG_LEVEL_INFO);
    } else {
        log_fence(master, "fence stays up", LOG_LEVEL_DEBUG);
    }
    turn_show_later(master);
}

/* ---- the chosen replica ---- */

static void fence_driver_answered(void *data, struct role_check *role_check,
                                  enum role_answer answer, int64_t asked_us, const char *words)
{
    struct master *master = data;
    char text[ADDRESS_TEXT_SIZE];

    (void)asked_us;
    if (turn_begin(master->watcher) || master->fence_driver.role_check != role_check) {
        return;
    }
    if (master->watcher->config->fence_matters) {
        log_debug("chosen replica asked for its role", LOG_STR("master", master->name),
                  LOG_STR("replica", address_format(&role_check_node(role_check)->name, text)),
                  LOG_STR("words", words));
    }
    fence_answer(&master->fence_driver.guard, role_check_node(role_check), answer, clock_boot_ms());
    fence_driver_follow(master); /* may free the role check */
    turn_step_later(master);
}

/* Ask over a connection made for this question: an answer to an older one proves nothing. */
static void ask(struct master *master, const struct endpoint *node)
{
    struct fence_driver *fence_driver = &master->fence_driver;
    const struct watcher *watcher = master->watcher;

    if (!fence_driver->role_check) {
        fence_driver->role_check =
            role_check_new(watcher->loop, master->deployment->number, master->redis_username,
                           master->redis_password, master->redis_tls,
                           watcher->config->verify_timeout_ms, fence_driver_answered, master);
    }
    role_check_open(fence_driver->role_check, node);
}

static void fence_driver_due(void *data)
{
    struct master *master = data;

    (void)turn_begin(master->watcher);
    fence_driver_follow(master);
    turn_step_later(master); /* whom it waits for is connected to */
}

/* Whatever the guard was told: see to what it wants now. */
static void fence_driver_follow(struct master *master)
{
    struct fence_driver *fence_driver = &master->fence_driver;
    int64_t now_ms = clock_boot_ms();

    fence_step(&fence_driver->guard, now_ms);
    show_change(master);
    const struct endpoint *node = fence_wants_role(&fence_driver->guard, now_ms);
    if (node) {
        ask(master, node);
    } else if (fence_is_idle(&fence_driver->guard)) {
        role_check_free(fence_driver->role_check);
        fence_driver->role_check = NULL;
        fence_driver->waiting[0] = '\0';
    }
    int64_t next_ms = fence_next_ms(&fence_driver->guard);
    if (next_ms >= 0 && !fence_driver->timer) {
        fence_driver->timer = loop_timer_new(master->watcher->loop, fence_driver_due, master);
    }
    if (next_ms >= 0) {
        loop_timer_start(fence_driver->timer, next_ms > now_ms ? next_ms - now_ms : 0);
    } else if (fence_driver->timer) {
        loop_timer_stop(fence_driver->timer);
    }
}

/* ---- what leaders say ---- */

bool fence_driver_signal(const struct sentinel_event *event, enum fence_signal *signal)
{
    int meant = sentinel_signal(event->kind)->fence;

    if (meant == SIGNAL_NONE) {
        return false;
    }
    *signal = (enum fence_signal)meant;
    return true;
}

/* Where the chosen replica is. NULL: not known yet; the fence goes up all the same. */
static const struct endpoint *locate_chosen(struct master *master,
                                            const struct sentinel_node *sentinel,
                                            const struct address *given, struct endpoint *out)
{
    struct fence_driver *fence_driver = &master->fence_driver;
    struct address mapped;

    if (!address_is_set(given) || !sentinel_node_map_address(sentinel, given, &mapped)) {
        return NULL;
    }
    if (resolver_get(master->deployment->resolver, &mapped, out)) {
        return !sentinel_node_refusal(sentinel, out) ? out : NULL;
    }
    fence_driver->chosen = mapped;
    snprintf(fence_driver->waiting, sizeof(fence_driver->waiting), "%s",
             sentinel_client_run_id(sentinel->link));
    return NULL;
}

void fence_driver_hear_event(struct master *master, const struct sentinel_node *sentinel,
                             const struct sentinel_event *event)
{
    const struct sentinel_view *view = master_sentinel_view(master, sentinel);
    struct fence_event said = {.leader = sentinel_client_run_id(sentinel->link),
                               .failover_timeout_ms = -1};
    struct address mapped;
    struct endpoint old, node;

    if (!view || !fence_driver_signal(event, &said.signal)) {
        return;
    }
    if (address_is_set(&event->master_address)) {
        if (!sentinel_node_map_address(sentinel, &event->master_address, &mapped)) {
            return; /* nor is its answer believed (rule 10) */
        }
        if (resolver_get(master->deployment->resolver, &mapped, &old)) {
            said.master = &old;
        }
    }
    if (view->has_row) {
        said.failover_timeout_ms = view->row.failover_timeout_ms;
    }
    if (said.signal == FENCE_SAYS_CHOSEN || said.signal == FENCE_SAYS_PROMOTING) {
        said.node = locate_chosen(master, sentinel, &event->address, &node);
    }
    if (said.node && !judge_vouches(master->judge, said.node)) {
        said.node = NULL; /* nor is it dialled */
    }
    fence_hear(&master->fence_driver.guard, &said, clock_boot_ms());
    fence_driver_follow(master);
}

void fence_driver_row(const struct sentinel_view *view)
{
    if (view->has_row && (view->row.flags & SENTINEL_COORDINATED_FAILOVER) != 0) {
        fence_coordinate(&view->master->fence_driver.guard,
                         sentinel_client_run_id(view->sentinel->link));
    }
}

void fence_driver_resume(struct master *master)
{
    struct fence_driver *fence_driver = &master->fence_driver;
    struct endpoint node;

    if (fence_driver->waiting[0] == '\0' ||
        !resolver_get(master->deployment->resolver, &fence_driver->chosen, &node)) {
        return;
    }
    if (judge_vouches(master->judge, &node)) {
        fence_name(&fence_driver->guard, fence_driver->waiting, &node, clock_boot_ms());
    }
    fence_driver->waiting[0] = '\0';
    fence_driver_follow(master);
    turn_step_later(master);
}

/* ---- the rest ---- */

void fence_driver_publish(struct master *master)
{
    fence_publish(&master->fence_driver.guard, &master->published.master, clock_boot_ms());
    fence_driver_follow(master);
}

void fence_driver_contradict(struct master *master)
{
    show_change(master);
}

void fence_driver_void(struct master *master)
{
    fence_void(&master->fence_driver.guard, clock_boot_ms());
    fence_driver_follow(master);
}

void fence_driver_init(struct master *master)
{
    const struct watch_config *config = master->watcher->config;
    struct fence_config rules = {.timeout_ms = config->fence_timeout_ms,
                                 .verify_timeout_ms = config->verify_timeout_ms};

    fence_init(&master->fence_driver.guard, &rules);
}

void fence_driver_release(struct master *master)
{
    role_check_free(master->fence_driver.role_check);
    loop_timer_free(master->fence_driver.timer);
}
