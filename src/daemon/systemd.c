/* Messages to the service manager, and the watchdog's timer. */
#include "systemd.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/systemd_notify.h"

#define STATUS_SIZE 512

struct manager {
    const struct pulse *pulses;
    size_t n_pulses;
    struct loop_timer *watchdog;
    int64_t watchdog_ms;
    char status[STATUS_SIZE];
};

static bool all_turn(const struct manager *manager)
{
    int64_t now_ms = clock_boot_ms();

    for (size_t i = 0; i < manager->n_pulses; i++) {
        if (now_ms - atomic_load_explicit(&manager->pulses[i].at_boot_ms, memory_order_relaxed) >
            PULSE_MAX_AGE_MS) {
            return false;
        }
    }
    return true;
}

/* While a thread hangs the watchdog is told nothing, and systemd restarts the daemon. */
static void feed(void *data)
{
    struct manager *manager = data;

    if (all_turn(manager)) {
        notify_send("WATCHDOG=1");
    }
    loop_timer_start(manager->watchdog, manager->watchdog_ms);
}

struct manager *manager_new(struct loop *loop, const struct pulse *pulses, size_t n_pulses)
{
    struct manager *manager = mem_new(1, sizeof(*manager));

    manager->pulses = pulses;
    manager->n_pulses = n_pulses;
    manager->watchdog_ms = notify_watchdog_interval_ms();
    manager->watchdog = loop_timer_new(loop, feed, manager);
    if (manager->watchdog_ms > 0) {
        loop_timer_start(manager->watchdog, manager->watchdog_ms);
    }
    return manager;
}

void manager_ready(struct manager *manager)
{
    char message[STATUS_SIZE + 32];

    (void)snprintf(message, sizeof(message), "READY=1\nSTATUS=%s",
                   *manager->status != '\0' ? manager->status : "starting");
    notify_send(message);
}

void manager_reloading(void)
{
    char message[64];
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    (void)snprintf(message, sizeof(message), "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
                   (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    notify_send(message);
}

void manager_stopping(void)
{
    notify_send("STOPPING=1\nSTATUS=shutting down");
}

static size_t count_serving(const struct snapshot *snapshot)
{
    size_t n = 0;

    for (size_t i = 0; i < snapshot->n_masters; i++) {
        n += snapshot_master_serves(snapshot->masters[i]) ? 1 : 0;
    }
    return n;
}

const char *manager_verdict(const struct snapshot *snapshot, char *out, size_t size)
{
    const struct snapshot_master *master = snapshot_default(snapshot);
    char address[ADDRESS_TEXT_SIZE];
    char others[64] = "";

    if (!master && snapshot->n_masters == 0) {
        (void)snprintf(out, size, "%s",
                       snapshot->any_sentinel_reachable ? "no master known"
                                                        : "no Sentinel reachable");
        return out;
    }
    if (snapshot->n_masters > 1) {
        (void)snprintf(others, sizeof(others), "; %zu of %zu masters in service",
                       count_serving(snapshot), snapshot->n_masters);
    }
    if (!master) {
        (void)snprintf(out, size, "%s", others + 2);
    } else if (snapshot_master_serves(master)) {
        (void)snprintf(out, size, "%s is %s at %s%s", master->name,
                       master_state_text(master->state), address_format(&master->address, address),
                       others);
    } else {
        const char *reason = reason_text(master->reason);

        (void)snprintf(out, size, "%s is %s%s%s%s", master->name, master_state_text(master->state),
                       !reason ? "" : ": ", !reason ? "" : reason, others);
    }
    return out;
}

void manager_look(struct manager *manager, const struct snapshot *snapshot)
{
    char verdict[STATUS_SIZE];
    char message[STATUS_SIZE + 16];

    manager_verdict(snapshot, verdict, sizeof(verdict));
    if (strcmp(verdict, manager->status) == 0) {
        return;
    }
    memcpy(manager->status, verdict, sizeof(verdict));
    (void)snprintf(message, sizeof(message), "STATUS=%s", verdict);
    notify_send(message);
}

void manager_free(struct manager *manager)
{
    if (manager) {
        loop_timer_free(manager->watchdog);
        free(manager);
    }
}
