/*
 * --once: the watcher as always, its snapshots delivered to the main thread instead of workers. The
 * first one in which the default master is in service is printed; when time is up the last one
 * tells the reason.
 */
#include "once.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/buffer.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "bellwether/http/master_json.h"
#include "bellwether/topology/messages.h"

/* What comes on top of the two time-outs: the resolver, a second attempt, the start itself. */
#define ONCE_MARGIN_MS 1000

struct once {
    const struct options *options;
    struct loop *loop;
    struct snapshot *latest; /* NULL until the first one */
    int exit_code;           /* -1: not decided */
};

static char *text_of(const struct options *options, const struct snapshot_master *master)
{
    char text[RENDER_URL_SIZE + 1];
    size_t size;

    switch (options->format) {
    case ONCE_JSON: return render_dump(render_master(master, false), false, &size);
    case ONCE_TEXT: (void)address_format(&master->address, text); break;
    case ONCE_URL: (void)render_url(&master->address, master->tls, text); break;
    }
    size = strlen(text);
    memcpy(text + size, "\n", 2);
    return mem_strdup(text);
}

static void print_master(struct once *once, const struct snapshot_master *master)
{
    char *text = text_of(once->options, master);

    once->exit_code = fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? 0 : 1;
    if (once->exit_code != 0) {
        log_plain("bellwether: standard output cannot be written");
    }
    free(text);
}

/* Several masters and none chosen: waiting changes nothing. */
static void refuse_several(struct once *once)
{
    struct buffer names = {0};

    for (size_t i = 0; i < once->latest->n_masters; i++) {
        const char *name = once->latest->masters[i]->name;

        buffer_add(&names, ", ", i == 0 ? 0 : 2);
        buffer_add(&names, name, strlen(name));
    }
    log_plain("bellwether: several masters (%.*s); choose one with --master or --default-master",
              (int)names.size, names.bytes);
    buffer_release(&names);
    once->exit_code = 3;
}

static void say_why_not(const struct once *once)
{
    const struct snapshot *snapshot = once->latest;
    const struct snapshot_master *master = !snapshot ? NULL : snapshot_default(snapshot);

    if (!snapshot) {
        log_plain("bellwether: no master: starting: nothing is known yet");
    } else if (master) {
        const char *reason = reason_text(master->reason);

        log_plain("bellwether: no master: %s is %s: %s%s%s", master->name,
                  master_state_text(master->state), !reason ? "no reason" : reason,
                  !master->detail ? "" : ": ", !master->detail ? "" : master->detail);
    } else if (snapshot->default_name &&
               (snapshot->n_masters > 0 || snapshot->reason == REASON_UNKNOWN_NAME)) {
        log_plain("bellwether: no master: unknown_name: the Sentinels do not know \"%s\"",
                  snapshot->default_name);
    } else {
        const char *reason = reason_text(snapshot->reason);

        log_plain("bellwether: no master: %s: %s", !reason ? "no_sentinel_reachable" : reason,
                  !snapshot->detail ? "no Sentinel answered in time" : snapshot->detail);
    }
}

static void look(struct once *once)
{
    const struct snapshot_master *master = snapshot_default(once->latest);

    if (master && snapshot_master_serves(master)) {
        print_master(once, master);
    } else if (once->latest->ambiguous_default) {
        refuse_several(once);
    }
}

static void deliver(void *data, struct message *message)
{
    struct once *once = data;

    if (message->kind == MESSAGE_SNAPSHOT && once->exit_code < 0) {
        snapshot_unref(once->latest);
        once->latest = snapshot_ref(((struct message_snapshot *)(void *)message)->snapshot);
        look(once);
    }
    message->drop(message);
    if (once->exit_code >= 0) {
        loop_stop(once->loop);
    }
}

static void time_is_up(void *data)
{
    struct once *once = data;

    if (once->exit_code < 0) {
        say_why_not(once);
        once->exit_code = 3;
    }
    loop_stop(once->loop);
}

static int64_t patience_ms(const struct options *options)
{
    int64_t least_ms =
        options->watch.sentinel_timeout_ms + options->watch.verify_timeout_ms + ONCE_MARGIN_MS;

    return options->wait_ms > least_ms ? options->wait_ms : least_ms;
}

int once_run(const struct options *options)
{
    struct once once = {.options = options, .loop = loop_new(), .exit_code = -1};
    struct pulse pulse = {0};
    struct mailbox *mailbox = mailbox_new(once.loop, deliver, &once);
    struct loop_timer *timer = loop_timer_new(once.loop, time_is_up, &once);
    struct watcher *watcher = watcher_new(&options->watch, &pulse, NULL);

    watcher_subscribe(watcher, mailbox);
    if (watcher_start(watcher) != 0) {
        log_plain("bellwether: cannot start a thread");
        once.exit_code = 1;
    } else {
        loop_timer_start(timer, patience_ms(options));
        loop_run(once.loop);
        watcher_stop(watcher);
    }
    watcher_free(watcher);
    snapshot_unref(once.latest);
    mailbox_free(mailbox);
    loop_timer_free(timer);
    loop_free(once.loop);
    return once.exit_code;
}
