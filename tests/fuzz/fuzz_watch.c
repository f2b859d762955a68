/*
 * Sentinels and Redis nodes that say what the input says, to a whole watcher: three Sentinels, one
 * more that they list, three nodes. The input is a program: a byte for each reply (as it should be,
 * RESP2, broken, cut, somebody else's, none ...), and one for each moment in which nothing goes on
 * (a failover, an event, a connection lost, time, what workers post). When it is over all tell the
 * truth again.
 *
 * Held: no fault, no leak, no busy loop; what is published as verified is a node that said
 * `master`, without that at least one that would not let itself be asked; snapshots get no older;
 * every question of a worker is answered once; and where all told the truth for long enough, it is
 * the answer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/log.h"
#include "bellwether/topology/report.h"
#include "watch_world.h"

enum {
    SEEDS = 3,
    LONGEST = 600, /* of a program, each step of which is a turn of the loop */
    /* a Sentinel that is no more is believed in for a minute, its epochs for some polls */
    TRUTH_MS = 150000,
    SHORT_MS = 1500
};

static void serve(struct speaker *speaker)
{
    char words[WIRE_WORDS][WIRE_WORD];

    if (!wire_hear(&speaker->wire) || world.players[speaker->who].away) {
        wire_close(&speaker->wire);
        return;
    }
    while (!speaker->ends && wire_take(&speaker->wire, words)) {
        answer(speaker, words);
    }
    if (speaker->n_held > 0 && outside_now_ms() >= speaker->held_until_ms) {
        memcpy(world.out, speaker->held, speaker->n_held);
        world.n_out = speaker->n_held;
        speaker->n_held = 0;
        send_out(speaker);
    }
    if (speaker->ends && speaker->n_held == 0) {
        wire_close(&speaker->wire);
    }
}

/* ---- what happens meanwhile ---- */

static void publish_event(uint8_t what)
{
    static const char *const kinds[] = {"+switch-master",
                                        "+elected-leader",
                                        "+failover-state-send-slaveof-noone",
                                        "+promoted-slave",
                                        "+failover-end",
                                        "+odown",
                                        "+sdown",
                                        "-sdown",
                                        "+try-failover",
                                        "+new-epoch",
                                        "+sentinel",
                                        "+slave",
                                        "-failover-abort-master-timeout",
                                        "+reset-master",
                                        "-monitor",
                                        "+config-update-from"};
    const char *kind = kinds[what % 16];
    uint8_t whom = next();
    const struct address *to = &world.players[SENTINELS + (whom & 3) % NODES].address;
    const struct address *of = &world.players[SENTINELS + (whom >> 2 & 3) % NODES].address;
    char text[512];

    switch (what % 16) {
    case 0:
        (void)snprintf(text, sizeof(text), "mymaster %s %u %s %u", of->host, of->port, to->host,
                       to->port);
        break;
    case 9: (void)snprintf(text, sizeof(text), "%lld", (long long)world.epoch + (whom >> 6)); break;
    case 10:
    case 15:
        (void)snprintf(text, sizeof(text), "sentinel %s 10.0.0.%u 26379 @ mymaster %s %u",
                       world.players[whom % SENTINELS].id, 1 + whom % SENTINELS, of->host,
                       of->port);
        break;
    case 2:
    case 3:
    case 11:
        (void)snprintf(text, sizeof(text), "slave %s:%u %s %u @ mymaster %s %u", to->host, to->port,
                       to->host, to->port, of->host, of->port);
        break;
    default: (void)snprintf(text, sizeof(text), "master mymaster %s %u", of->host, of->port); break;
    }
    if (what & 128) {
        size_t at = next() % strlen(text);

        text[at] = (char)(next() | 1);
    }
    world.n_out = 0;
    say(">4\r\n$8\r\npmessage\r\n$1\r\n*\r\n");
    say_word(kind);
    say_word(text);
}

static void send_to(unsigned whom)
{
    size_t n = world.n_out;

    for (size_t i = 0; i < WIRES; i++) {
        if (world.speakers[i].wire.fd >= 0 && world.speakers[i].who == whom &&
            world.speakers[i].subscribed) {
            world.n_out = n;
            send_out(&world.speakers[i]);
        }
    }
    world.n_out = 0;
}

static void event(void)
{
    uint8_t what = next();

    if ((what & 64) != 0) {
        say_raw();
    } else {
        publish_event(what);
    }
    send_to((what >> 4 & 3) % SENTINELS);
}

static void lose_connections(void)
{
    uint8_t which = next();

    for (unsigned i = 0; i < WIRES; i++) {
        if (world.speakers[i].wire.fd >= 0 &&
            (world.speakers[i].who == which % (SENTINELS + NODES) || i == which >> 3)) {
            wire_close(&world.speakers[i].wire);
        }
    }
}

static void post(void)
{
    struct mailbox *inbox = watcher_mailbox(world.watcher);
    uint8_t what = next();

    switch (what & 7) {
    case 0:
    case 1:
        mailbox_post(inbox, message_ask_fresh_new(++world.asked, world.worker, "mymaster"));
        break;
    case 2: mailbox_post(inbox, message_ask_status_new(++world.asked, world.worker)); break;
    case 3:
        mailbox_post(inbox, message_ask_lag_new(++world.asked, world.worker, "mymaster"));
        break;
    case 4: mailbox_post(inbox, message_plain_new(MESSAGE_RELOAD)); break;
    case 5:
        mailbox_post(inbox, message_ask_fresh_new(++world.asked, world.worker, "nobody"));
        break;
    default:
        mailbox_post(inbox,
                     message_suspect_new((enum suspicion)((what >> 3) % 5), "mymaster",
                                         &world.players[SENTINELS + (what >> 6) % NODES].address));
        break;
    }
}

static void step(void)
{
    uint8_t op = next();

    switch (op & 15) {
    case 0:
    case 1:
    case 2: event(); break;
    case 3:
    case 4: /* a failover */
        world.master = (op >> 4) % NODES;
        world.epoch += op >> 6;
        break;
    case 5: world.epoch = next(); break;
    case 6: lose_connections(); break;
    case 7: world.players[(op >> 4) % (SENTINELS + NODES)].away ^= true; break;
    case 8: /* starts anew */
        world.players[(op >> 4) % (SENTINELS + NODES)].id[39] = (char)('0' + next() % 10);
        break;
    case 9: outside_pass(op < 128 ? 100 : 1500); break;
    case 10:
    case 11: post(); break;
    default: break;
    }
}

static void tell_the_truth(void)
{
    world.truth_ms = outside_now_ms();
    for (unsigned i = 0; i < SENTINELS + NODES; i++) {
        world.players[i].away = false;
    }
    for (unsigned i = 0; i < WIRES; i++) {
        wire_close(&world.speakers[i].wire);
    }
}

/* ---- what is held ---- */

static const struct player *node_at(const struct address *address)
{
    for (unsigned i = SENTINELS; i < SENTINELS + NODES; i++) {
        if (address_equal(&world.players[i].address, address)) {
            return &world.players[i];
        }
    }
    return NULL;
}

static void hold_master(const struct snapshot_master *master)
{
    char text[ADDRESS_TEXT_SIZE];
    const struct player *node;

    if (!master->has_address) {
        return;
    }
    node = node_at(address_is_set(&master->ip) ? &master->ip : &master->address);
    if (!node || !(node->said_master || (!master->verified && node->closed_mouthed))) {
        outside_broken("published, and never said master", address_format(&master->address, text));
    }
}

static void hold_snapshot(const struct snapshot *snapshot)
{
    if (snapshot->index < world.index) {
        outside_broken("an older snapshot", "");
    }
    world.index = snapshot->index;
    for (size_t i = 0; i < snapshot->n_masters; i++) {
        hold_master(snapshot->masters[i]);
    }
}

static void delivered(void *data, struct message *message)
{
    (void)data;
    switch (message->kind) {
    case MESSAGE_SNAPSHOT:
        hold_snapshot(((struct message_snapshot *)(void *)message)->snapshot);
        break;
    case MESSAGE_FRESH:
    case MESSAGE_STATUS: world.answered++; break;
    default: break;
    }
    message->drop(message);
}

static void hold_truth(void)
{
    const struct snapshot *snapshot = world.watcher->current;
    const struct snapshot_master *master = snapshot ? snapshot_find(snapshot, "mymaster") : NULL;

    if (world.asked != world.answered) {
        outside_broken("questions without an answer", "");
    }
    if (!master || master->state != MASTER_OK) {
        outside_broken("all tell the truth, and it is not the answer",
                       master ? master->detail : "nothing");
    }
    if (!address_equal(&master->address, &world.players[SENTINELS + world.master].address)) {
        outside_broken("all tell the truth, and the answer is another", master->address.host);
    }
}

/* ---- the outside ---- */

static void turn(void *data)
{
    (void)data;
    for (size_t i = 0; i < WIRES; i++) {
        if (world.speakers[i].wire.fd >= 0) {
            serve(&world.speakers[i]);
        }
    }
}

/* Time goes on to what waits first. */
static int64_t idle(void *data, int64_t wait_ms)
{
    int64_t now_ms = outside_now_ms(), until_ms = now_ms + (wait_ms < 0 ? 1000 : wait_ms);

    (void)data;
    if (world.stopped) {
        return until_ms - now_ms;
    }
    if (world.input.size > 0) {
        step();
        if (world.input.size > 0 && (next() & 3) == 0) {
            return 0; /* something else in the same moment */
        }
    } else if (world.truth_ms == 0) {
        tell_the_truth();
    } else if (now_ms - world.truth_ms > (world.long_truth ? TRUTH_MS : SHORT_MS)) {
        if (world.long_truth) {
            hold_truth();
        }
        world.stopped = true;
        mailbox_post(watcher_mailbox(world.watcher), message_plain_new(MESSAGE_STOP));
    }
    for (size_t i = 0; i < WIRES; i++) {
        const struct speaker *speaker = &world.speakers[i];

        if (speaker->wire.fd >= 0 && speaker->n_held > 0 && speaker->held_until_ms < until_ms) {
            until_ms = speaker->held_until_ms;
        }
    }
    return until_ms > now_ms ? until_ms - now_ms : 0;
}

static int dialled(void *data, const struct address *to, int fd)
{
    (void)data;
    for (unsigned who = 0; who < SENTINELS + NODES; who++) {
        if (world.players[who].away || !address_equal(&world.players[who].address, to)) {
            continue;
        }
        for (size_t i = 0; i < WIRES; i++) {
            if (world.speakers[i].wire.fd < 0) {
                memset(&world.speakers[i], 0, sizeof(world.speakers[i]));
                world.speakers[i].wire.fd = fd;
                world.speakers[i].who = who;
                return 0;
            }
        }
        outside_broken("more connections than there is need for", to->host);
    }
    return ECONNREFUSED;
}

static void world_begin(const uint8_t *data, size_t size)
{
    memset(&world, 0, sizeof(world));
    world.input = (struct outside_input){data, size};
    world.epoch = 1;
    for (unsigned i = 0; i < SENTINELS + NODES; i++) {
        struct player *player = &world.players[i];

        (void)snprintf(player->address.host, sizeof(player->address.host), "10.0.%d.%u", is_node(i),
                       1 + (is_node(i) ? i - SENTINELS : i));
        player->address.port = is_node(i) ? 6379 : 26379;
        (void)snprintf(player->id, sizeof(player->id), "%039u0", 1 + i);
    }
    for (size_t i = 0; i < WIRES; i++) {
        world.speakers[i].wire.fd = -1;
    }
}

static void run(struct watch_config *config, struct pulse *pulse)
{
    world.watcher = watcher_new(config, pulse, NULL);
    world.worker = mailbox_new(world.watcher->loop, delivered, NULL);
    watcher_subscribe(world.watcher, world.worker);
    (void)watcher_run(world.watcher);
    mailbox_free(world.worker);
    watcher_free(world.watcher);
    for (size_t i = 0; i < WIRES; i++) {
        wire_close(&world.speakers[i].wire);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct outside_hooks hooks = {.turn = turn, .idle = idle, .dialled = dialled};
    static char name[] = "mymaster";
    char *names[] = {name}, error[256];
    struct pulse pulse = {0};
    struct address seeds[SEEDS];
    struct watch_deployment deployment = {
        .seeds = seeds, .n_seeds = SEEDS, .masters = names, .n_masters = 1};
    struct watch_config config = {.deployments = &deployment,
                                  .learn_sentinels = true,
                                  .n_deployments = 1,
                                  .poll_interval_ms = 1000,
                                  .sentinel_timeout_ms = 500,
                                  .verify = true,
                                  .verify_interval_ms = 1000,
                                  .verify_timeout_ms = 500,
                                  .suspect_after_ms = 1500,
                                  .history = 4};
    uint8_t options;

    log_configure(getenv("FUZZ_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
    world_begin(data, size < LONGEST ? size : LONGEST);
    for (size_t i = 0; i < SEEDS; i++) {
        seeds[i] = world.players[i].address;
    }
    options = next();
    world.long_truth = (options & 193) == 1; /* takes its time */
    config.adopt = (options & 2) != 0 ? WATCH_ADOPT_PROMOTED : WATCH_ADOPT_ANNOUNCED;
    config.lag_matters = (options & 4) != 0;
    config.fence_matters = (options & 8) != 0;
    deployment.all_masters = (options & 16) != 0;
    config.selves = &world.players[SENTINELS].address;
    config.n_selves = (options & 32) != 0;
    deployment.password = secret_new(NULL, NULL, error, sizeof(error));
    config.redis_password = secret_new(NULL, NULL, error, sizeof(error));
    outside_begin(&hooks, NULL);
    run(&config, &pulse);
    outside_end();
    secret_free(deployment.password);
    secret_free(config.redis_password);
    return 0;
}
