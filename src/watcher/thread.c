/*
 * The watcher thread: makes the deployments and masters, keeps its pulse, reads its mailbox.
 *
 * A gap in the clock (the container was frozen, the machine slept, the loop was starved) voids all
 * that was believed. It must be noticed before anything that waited in a socket buffer is believed
 * again, and after a thaw descriptors come before timers: so every callback begins with
 * turn_begin().
 */
#include "bellwether/watcher/thread.h"

#include <errno.h>
#include <stdlib.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/error.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "deployment.h"
#include "master_list.h"
#include "self_node.h"
#include "sentinel_node.h"
#include "snapshot_builder.h"
#include "status_report.h"
#include "tls_files.h"
#include "turn.h"
#include "watch_counters.h"
#include "watched_master.h"

enum {
    TICK_MS = 500, /* nothing is silent for WATCHER_SILENT_MS that ticks */
    SLOW_MS = 10000,
    FILES_MS = 2000,
};

static void watcher_hear_gap(struct watcher *watcher, int64_t gap_ms)
{
    /*
     * What workers hold is old from here on, however alive this is: publish_turn() posts anew in
     * this turn.
     */
    atomic_fetch_add_explicit(&watcher->pulse->generation, 1, memory_order_release);
    log_warn("the clock jumped; asking everybody again", LOG_INT("gap_ms", gap_ms));
    for (size_t i = 0; i < watcher->n_masters; i++) {
        master_void(watcher->masters[i]);
    }
    selves_void(watcher);
    for (struct sentinel_node *node = NULL; (node = watcher_next_sentinel(watcher, node));) {
        sentinel_client_void(node->link);
    }
    for (size_t i = 0; i < watcher->n_masters; i++) {
        master_step(watcher->masters[i]);
        (void)turn_goes_on(watcher);
    }
    watcher->reshaped = true;
}

static void watcher_tick(void *data)
{
    (void)turn_begin(data);
}

static void watcher_step_masters(struct watcher *watcher)
{
    for (struct master *master; (master = turn_take(watcher, TURN_STEP));) {
        master_step(master);
        (void)turn_goes_on(watcher);
    }
}

static void end_of_turn(void *data)
{
    struct watcher *watcher = data;

    turn_begin(watcher); /* a freeze in the middle of a turn */
    watcher_step_masters(watcher);
    for (size_t i = 0; i < watcher->n_deployments; i++) {
        deployment_turn(&watcher->deployments[i]);
    }
    watcher_step_masters(watcher);
    publish_turn(watcher);
    watcher->looked_ms = clock_boot_ms();
    /* fires only where nothing else turns the loop, or somebody waits for it to be looked again */
    const bool at_once = !turn_goes_on(watcher) || watcher->n_outbox > 0;
    loop_timer_start(watcher->tick, at_once ? 0 : TICK_MS);
}

static bool refresh_secret(struct secret *secret, struct secret_complaint *complaint, bool force,
                           struct count_reload *reload)
{
    char error[256] = "";
    int changed = secret_refresh(secret, force, error, sizeof(error));
    enum secret_say say = secret_complain(complaint, changed < 0, clock_boot_ms());

    if (say == SECRET_SAY_FAILING || (force && changed < 0)) {
        log_warn("password file can't be read; the old password stays", LOG_STR("error", error));
    } else if (say == SECRET_SAY_BACK) {
        log_warn("password file can be read again", LOG_STR("changed", changed > 0 ? "yes" : "no"));
    }
    const char *exposed = secret_exposed(secret);
    if (exposed) {
        log_warn("others can get at a file with a secret", LOG_STR("file", secret_path(secret)),
                 LOG_STR("why", exposed));
    }
    reload->failed = reload->failed || changed < 0;
    if (reload->changed_ms < secret_taken_ms(secret)) {
        /* by whoever was refused with the old one, too */
        reload->changed_ms = secret_taken_ms(secret);
    }
    return changed > 0;
}

/* Whoever was refused is asked again at once, with what is now in the files. */
static void watcher_refresh_secrets(struct watcher *watcher, bool force)
{
    bool redis = force;
    struct count_reload reload = {.asked = force};

    for (size_t i = 0; i < watcher->n_secrets; i++) {
        redis = refresh_secret(watcher->secrets[i].password, &watcher->secrets[i].complaint, force,
                               &reload) ||
                redis;
    }
    for (size_t i = 0; i < watcher->n_deployments; i++) {
        if (refresh_secret(watcher->deployments[i].password, &watcher->deployments[i].complaint,
                           force, &reload) ||
            force) {
            deployment_redial(&watcher->deployments[i]);
        }
    }
    struct tls_files_changed tls = tls_files_refresh(watcher, force, &reload);
    redis = redis || tls.redis;
    for (size_t i = 0; tls.sentinels && i < watcher->n_deployments; i++) {
        deployment_redial(&watcher->deployments[i]);
    }
    count_reload(watcher, &reload);
    for (size_t i = 0; redis && i < watcher->n_masters; i++) {
        verify_check_published(watcher->masters[i]);
    }
    if (redis) {
        selves_check(watcher);
    }
}

static void watcher_slow(void *data)
{
    struct watcher *watcher = data;

    (void)turn_begin(watcher);
    for (size_t i = 0; i < watcher->n_deployments; i++) {
        deployment_look_for_gone(&watcher->deployments[i]);
    }
    loop_timer_start(watcher->slow, SLOW_MS);
}

static void watcher_look_at_files(void *data)
{
    struct watcher *watcher = data;

    (void)turn_begin(watcher);
    watcher_refresh_secrets(watcher, false);
    loop_timer_start(watcher->files, FILES_MS);
}

static void watcher_deliver(void *data, struct message *message)
{
    struct watcher *watcher = data;
    bool gap = turn_begin(watcher);

    switch (message->kind) {
    case MESSAGE_ASK_FRESH: {
        struct message_ask_fresh *ask = (struct message_ask_fresh *)(void *)message;
        struct master *master = watcher_find_master(watcher, ask->master);
        if (master) {
            lookup_ask(master, ask->ticket, ask->reply_to);
        } else {
            turn_post_later(watcher, ask->reply_to,
                            message_fresh_new(ask->ticket, false, REASON_UNKNOWN_NAME,
                                              "it is not watched any more"));
        }
        break;
    }
    case MESSAGE_ASK_STATUS: {
        struct message_ask_status *ask = (struct message_ask_status *)(void *)message;
        turn_post_later(watcher, ask->reply_to,
                        message_status_new(ask->ticket, report_make(watcher)));
        break;
    }
    case MESSAGE_ASK_LAG: {
        const struct message_ask_lag *ask = (struct message_ask_lag *)(void *)message;
        struct master *master = watcher_find_master(watcher, ask->master);
        for (size_t i = 0; ask->master[0] == '\0' && i < watcher->n_masters; i++) {
            lag_read(watcher->masters[i]);
        }
        if (master && ask->reply_to) {
            lag_ask(master, ask->ticket, ask->reply_to);
        } else if (master) {
            lag_read(master);
        } else if (ask->reply_to) {
            turn_post_later(watcher, ask->reply_to,
                            message_fresh_new(ask->ticket, false, REASON_UNKNOWN_NAME, ""));
        }
        break;
    }
    case MESSAGE_ASK_HEARD: {
        const struct message_ask_heard *ask = (struct message_ask_heard *)(void *)message;
        turn_post_when_heard(watcher, ask->reply_to, message_plain_new(MESSAGE_HEARD));
        break;
    }
    case MESSAGE_SUSPECT: {
        const struct message_suspect *suspect = (struct message_suspect *)(void *)message;
        struct master *master = gap ? NULL : watcher_find_master(watcher, suspect->master);
        if (master) {
            /* what comes first after a gap may be from before it, and all is asked anew */
            verify_hear_suspicion(master, suspect->what, &suspect->address);
        }
        break;
    }
    case MESSAGE_RELOAD: watcher_refresh_secrets(watcher, true); break;
    case MESSAGE_STOP: loop_stop(watcher->loop); break;
    default: break;
    }
    message->drop(message);
}

void *watcher_run(void *data)
{
    struct watcher *watcher = data;

    watcher->seen_ms = clock_boot_ms();
    loop_on_turn(watcher->loop, end_of_turn, watcher);
    for (size_t i = 0; i < watcher->n_deployments; i++) {
        deployment_redial(&watcher->deployments[i]);
    }
    selves_check(watcher);
    tls_files_look_at_ends(watcher);
    loop_timer_start(watcher->slow, SLOW_MS);
    loop_timer_start(watcher->files, FILES_MS);
    watcher->reshaped = true;
    loop_run(watcher->loop);
    return NULL;
}

struct watcher *watcher_new(const struct watch_config *config, struct pulse *pulse,
                            struct metrics *metrics)
{
    struct watcher *watcher = mem_new(1, sizeof(*watcher));

    watcher->config = config;
    watcher->pulse = pulse;
    watcher->hear_gap = watcher_hear_gap;
    count_init(watcher, metrics);
    watcher->loop = loop_new();
    watcher->inbox = mailbox_new(watcher->loop, watcher_deliver, watcher);
    watcher->tick = loop_timer_new(watcher->loop, watcher_tick, watcher);
    watcher->slow = loop_timer_new(watcher->loop, watcher_slow, watcher);
    watcher->files = loop_timer_new(watcher->loop, watcher_look_at_files, watcher);
    tls_files_init(watcher);
    failover_recorder_init(watcher);
    watcher->resolver =
        resolver_new(watcher->loop, 0, config->sentinel_timeout_ms, deployment_found_name, watcher);
    watcher->index = (uint64_t)clock_wall_ms();
    watcher->n_secrets = config->n_overrides + 1;
    watcher->secrets = mem_new(watcher->n_secrets, sizeof(*watcher->secrets));
    watcher->secrets[0].username = config->redis_username;
    watcher->secrets[0].password = secret_copy(config->redis_password);
    watcher->secrets[0].tls = config->redis_tls;
    for (size_t i = 0; i < config->n_overrides; i++) {
        watcher->secrets[i + 1].master = config->overrides[i].master;
        watcher->secrets[i + 1].username = config->overrides[i].redis_username;
        watcher->secrets[i + 1].password = secret_copy(config->overrides[i].redis_password);
        watcher->secrets[i + 1].tls = config->overrides[i].redis_tls;
    }
    watcher->n_deployments = config->n_deployments;
    watcher->deployments = mem_new(watcher->n_deployments, sizeof(*watcher->deployments));
    for (size_t i = 0; i < watcher->n_deployments; i++) {
        deployment_init(&watcher->deployments[i], watcher, &config->deployments[i]);
    }
    selves_init(watcher);
    /* Valid before it runs, so that a first answer says `starting`, not `watcher_stalled`. */
    watcher->seen_ms = clock_boot_ms();
    (void)turn_goes_on(watcher);
    return watcher;
}

void watcher_subscribe(struct watcher *watcher, struct mailbox *subscriber)
{
    watcher->subscribers =
        mem_resize(watcher->subscribers, watcher->n_subscribers + 1, sizeof(*watcher->subscribers));
    watcher->subscribers[watcher->n_subscribers++] = subscriber;
}

struct mailbox *watcher_mailbox(struct watcher *watcher)
{
    return watcher->inbox;
}

int watcher_start(struct watcher *watcher)
{
    int failure = pthread_create(&watcher->thread, NULL, watcher_run, watcher);

    if (failure) {
        errno = failure;
        return -BW_EIO;
    }
    (void)pthread_setname_np(watcher->thread, "watcher");
    watcher->running = true;
    return 0;
}

void watcher_stop(struct watcher *watcher)
{
    if (!watcher->running) {
        return;
    }
    mailbox_post(watcher->inbox, message_plain_new(MESSAGE_STOP));
    pthread_join(watcher->thread, NULL);
    watcher->running = false;
}

void watcher_free(struct watcher *watcher)
{
    if (!watcher) {
        return;
    }
    watcher_stop(watcher);
    loop_on_turn(watcher->loop, NULL, NULL);
    while (watcher->n_masters > 0) {
        struct master *last = watcher->masters[watcher->n_masters - 1];

        watcher_remove_master(watcher, last);
        master_free(last);
    }
    for (size_t i = 0; i < watcher->n_deployments; i++) {
        deployment_release(&watcher->deployments[i]);
    }
    for (size_t i = 0; i < watcher->n_outbox; i++) {
        watcher->outbox[i].message->drop(watcher->outbox[i].message);
    }
    selves_release(watcher);
    for (size_t i = 0; i < watcher->n_secrets; i++) {
        secret_free(watcher->secrets[i].password);
    }
    tls_files_release(watcher);
    failover_recorder_release(watcher);
    resolver_free(watcher->resolver);
    loop_timer_free(watcher->tick);
    loop_timer_free(watcher->slow);
    loop_timer_free(watcher->files);
    mailbox_free(watcher->inbox);
    loop_free(watcher->loop);
    snapshot_unref(watcher->current);
    count_release(watcher);
    free(watcher->outbox);
    free(watcher->secrets);
    free(watcher->deployments);
    free(watcher->masters);
    free(watcher->subscribers);
    free(watcher->default_name);
    free(watcher);
}
