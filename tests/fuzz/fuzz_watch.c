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
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "bellwether/topology/report.h"
#include "outside.h"
#include "watcher/watcher.h"

enum {
    SENTINELS = 4,
    SEEDS = 3,
    NODES = 3,
    WIRES = 64,
    WORDS = 8,
    LONGEST = 600, /* of a program, each step of which is a turn of the loop */
    /* a Sentinel that is no more is believed in for a minute, its epochs for some polls */
    TRUTH_MS = 150000,
    SHORT_MS = 1500
};

/* One connection's far end. */
struct wire {
    int fd; /* -1: free */
    unsigned who;
    bool resp2, subscribed, ends;
    char in[2048];
    size_t n;
    char held[2048]; /* to be sent later */
    size_t n_held;
    int64_t held_until_ms;
};

struct player {
    struct address address;
    char id[RUN_ID_SIZE];
    bool away;
    bool said_master, closed_mouthed; /* ever, of a node */
};

static struct world {
    struct outside_input input;
    struct player players[SENTINELS + NODES]; /* nodes behind Sentinels */
    struct wire wires[WIRES];
    unsigned master; /* which node */
    int64_t epoch;
    char out[2048]; /* the reply that is being made */
    size_t n_out;
    bool resp2; /* it is for a connection without RESP3 */
    struct watcher *watcher;
    struct mailbox *worker;
    uint64_t asked, answered, index;
    int64_t truth_ms; /* all have told the truth since; 0: not yet */
    bool long_truth, stopped;
} world;

static uint8_t next(void)
{
    return outside_next(&world.input);
}

static bool is_node(unsigned who)
{
    return who >= SENTINELS;
}

/* ---- replies ---- */

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    size_t room = sizeof(world.out) - world.n_out;
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(world.out + world.n_out, room, format, arguments);
    va_end(arguments);
    world.n_out += (size_t)n < room ? (size_t)n : room - 1;
}

static void say_word(const char *word)
{
    say("$%zu\r\n%s\r\n", strlen(word), word);
}

static void say_pair(const char *key, const char *value)
{
    say_word(key);
    say_word(value);
}

static void say_number(const char *key, long long value)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%lld", value);
    say_pair(key, text);
}

static void say_map(unsigned pairs)
{
    if (world.resp2) {
        say("*%u\r\n", 2 * pairs);
    } else {
        say("%%%u\r\n", pairs);
    }
}

static void say_at(const struct player *player)
{
    say_pair("ip", player->address.host);
    say_number("port", player->address.port);
    say_pair("runid", player->id);
}

static void say_master_row(const struct player *node)
{
    say_map(9);
    say_pair("name", "mymaster");
    say_at(node);
    say_pair("flags", "master");
    say_number("config-epoch", world.epoch);
    say_number("num-other-sentinels", SENTINELS - 1);
    say_pair("quorum", "2");
    say_pair("failover-timeout", "5000");
}

static void say_others(unsigned who)
{
    say("*%u\r\n", SENTINELS - 1);
    for (unsigned i = 0; i < SENTINELS; i++) {
        if (i != who) {
            say_map(5);
            say_pair("name", world.players[i].id);
            say_at(&world.players[i]);
            say_pair("flags", "sentinel");
        }
    }
}

static void say_replicas(void)
{
    say("*%u\r\n", NODES - 1);
    for (unsigned i = 0; i < NODES; i++) {
        if (i != world.master) {
            say_map(6);
            say_pair("name", world.players[SENTINELS + i].address.host);
            say_at(&world.players[SENTINELS + i]);
            say_pair("flags", "slave");
            say_pair("master-link-status", "ok");
        }
    }
}

static void say_sentinel(unsigned who, const char *what, const struct player *node)
{
    if (strcasecmp(what, "MYID") == 0) {
        say_word(world.players[who].id);
    } else if (strcasecmp(what, "GET-MASTER-ADDR-BY-NAME") == 0) {
        say("*2\r\n");
        say_word(node->address.host);
        say("$4\r\n%u\r\n", (unsigned)node->address.port);
    } else if (strcasecmp(what, "MASTER") == 0) {
        say_master_row(node);
    } else if (strcasecmp(what, "MASTERS") == 0) {
        say("*1\r\n");
        say_master_row(node);
    } else if (strcasecmp(what, "SENTINELS") == 0) {
        say_others(who);
    } else if (strcasecmp(what, "REPLICAS") == 0) {
        say_replicas();
    } else {
        say("+OK 4 usable Sentinels. Quorum and failover authorization can be reached\r\n");
    }
}

static void say_info(unsigned who, const char *section)
{
    char text[512];

    if (!is_node(who)) {
        (void)snprintf(text, sizeof(text),
                       "# Sentinel\r\nsentinel_masters:1\r\nsentinel_tilt:0\r\n");
    } else if (strcasecmp(section, "replication") == 0 && who == SENTINELS + world.master) {
        (void)snprintf(text, sizeof(text),
                       "# Replication\r\nrole:master\r\nconnected_slaves:1\r\n"
                       "slave0:ip=10.0.1.2,port=6379,state=online,offset=90,lag=0\r\n"
                       "master_repl_offset:100\r\n");
    } else if (strcasecmp(section, "replication") == 0) {
        (void)snprintf(
            text, sizeof(text),
            "# Replication\r\nrole:slave\r\nmaster_host:10.0.1.1\r\nmaster_link_status:up\r\n"
            "slave_repl_offset:100\r\n");
    } else {
        (void)snprintf(text, sizeof(text), "# Server\r\nrun_id:%s\r\n", world.players[who].id);
    }
    say_word(text);
}

/* What it would say if it told the truth. @param node the master, as the Sentinel has it. */
static void say_truth(struct wire *wire, unsigned who, char words[WORDS][64],
                      const struct player *node)
{
    bool master = who == SENTINELS + world.master;

    world.resp2 = wire->resp2;
    if (strcasecmp(words[0], "HELLO") == 0) {
        say_map(4);
        say_pair("server", "redis");
        say_pair("version", "7.0.15");
        say_pair("mode", is_node(who) ? "standalone" : "sentinel");
        say_pair("role", !is_node(who) ? "sentinel" : master ? "master" : "replica");
    } else if (strcasecmp(words[0], "PING") == 0) {
        say("+PONG\r\n");
    } else if (strcasecmp(words[0], "ROLE") == 0) {
        say(master ? "*3\r\n$6\r\nmaster\r\n:100\r\n*0\r\n"
                   : "*5\r\n$5\r\nslave\r\n$8\r\n10.0.1.1\r\n:6379\r\n$9\r\nconnected\r\n:100\r\n");
    } else if (strcasecmp(words[0], "INFO") == 0) {
        say_info(who, words[1]);
    } else if (strcasecmp(words[0], "PSUBSCRIBE") == 0) {
        wire->subscribed = true;
        say(world.resp2 ? "*3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:1\r\n"
                        : ">3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:1\r\n");
    } else if (strcasecmp(words[0], "SENTINEL") == 0) {
        say_sentinel(who, words[1], node);
    } else {
        say("+OK\r\n");
    }
}

/* ---- and what it says ---- */

static void hang_up(struct wire *wire)
{
    close(wire->fd);
    wire->fd = -1;
}

/*
 * Of a node's bytes: whether any of them could be taken for the role, or for a refusal to tell it.
 */
static void note_said(unsigned who, bool truth)
{
    struct player *player = &world.players[who];

    if (is_node(who)) {
        player->said_master =
            player->said_master || (truth ? who == SENTINELS + world.master
                                          : memmem(world.out, world.n_out, "master", 6) != NULL);
        player->closed_mouthed = player->closed_mouthed ||
                                 memmem(world.out, world.n_out, "NO", 2) ||
                                 memmem(world.out, world.n_out, "WRONGPASS", 9);
    }
}

static void send_out(struct wire *wire)
{
    if (world.n_out > 0 && send(wire->fd, world.out, world.n_out, MSG_NOSIGNAL) < 0) {
        wire->ends = true;
    }
    world.n_out = 0;
}

static void say_raw(void)
{
    size_t n = next() % 128;

    world.n_out = 0;
    while (n-- > 0 && world.input.size > 0) {
        world.out[world.n_out++] = (char)next();
    }
}

static void say_error(void)
{
    static const char *const errors[] = {
        "NOAUTH Authentication required.",
        "NOPERM this user has no permissions to run the 'x' command",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "ERR unknown command 'HELLO', with args beginning with: ",
        "ERR No such master with that name",
        "LOADING Redis is loading the dataset in memory",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "NOQUORUM 1 usable Sentinels. Not enough available Sentinels to reach the majority",
        "DENIED Redis is running in protected mode",
        "BUSY Redis is busy running a script.",
        "IDONTKNOW I have no idea",
        "ERR Unknown sentinel subcommand 'MYID'",
        "NOPROTO unsupported protocol version",
        "NOGOODSLAVE No suitable replica to promote",
        "ERR max number of clients reached",
        "",
    };

    world.n_out = 0;
    say("-%s\r\n", errors[next() % (sizeof(errors) / sizeof(*errors))]);
}

static void change_bytes(void)
{
    for (unsigned n = 1 + next() % 3; n > 0 && world.n_out > 0; n--) {
        size_t at = (next() + 256U * (next() & 7)) % world.n_out;

        world.out[at] = (char)next();
    }
}

static void say_nil(void)
{
    static const char *const nothing[] = {"_\r\n",  "*-1\r\n",           "$-1\r\n", "*0\r\n",
                                          "%0\r\n", "$0\r\n\r\n",        "+\r\n",   ":0\r\n",
                                          "~0\r\n", "*1\r\n*1\r\n*0\r\n"};

    world.n_out = 0;
    say("%s", nothing[next() % (sizeof(nothing) / sizeof(*nothing))]);
}

static void answer(struct wire *wire, char words[WORDS][64])
{
    uint8_t how = world.truth_ms > 0 ? 0 : next();
    unsigned who = wire->who;
    const struct player *node = &world.players[SENTINELS + world.master];
    bool truth = false;

    if ((how & 15) == 13) { /* in another's name */
        uint8_t whose = next();

        node = &world.players[SENTINELS + whose % NODES];
        who = is_node(who) ? SENTINELS + (whose >> 2) % NODES : (whose >> 2) % SENTINELS;
    }
    wire->resp2 = (how & 16) != 0;
    say_truth(wire, who, words, node);
    switch (how & 15) {
    case 8: change_bytes(); break;
    case 9: say_raw(); break;
    case 10: say_error(); break;
    case 11: say_nil(); break;
    case 12:
        world.n_out = next() % (world.n_out + 1);
        wire->ends = true;
        break;
    case 13: break;
    case 14:
        world.n_out = 0;
        wire->ends = (next() & 1) != 0; /* else: never an answer */
        break;
    default: truth = true; break;
    }
    note_said(wire->who, truth);
    if ((how & 32) != 0 && wire->n_held + world.n_out <= sizeof(wire->held)) {
        /* later, in its order */
        wire->held_until_ms = outside_now_ms() + 8 * (int64_t)next();
        memcpy(wire->held + wire->n_held, world.out, world.n_out);
        wire->n_held += world.n_out;
        world.n_out = 0;
    } else if (wire->n_held > 0 && wire->n_held + world.n_out <= sizeof(wire->held)) {
        memcpy(wire->held + wire->n_held, world.out, world.n_out);
        wire->n_held += world.n_out;
        world.n_out = 0;
    }
    send_out(wire);
}

/* One command out of the buffer. @return bytes used, 0: not whole yet. */
static size_t take_command(struct wire *wire, char words[WORDS][64])
{
    char *at = wire->in, *end = wire->in + wire->n;
    long n;

    wire->in[wire->n] = '\0';
    if (*at != '*' || !memchr(at, '\n', wire->n)) {
        return 0;
    }
    n = strtol(at + 1, &at, 10);
    for (long i = 0; i < n; i++) {
        size_t size;

        at += 2;
        if (at >= end || *at != '$') {
            return 0;
        }
        size = strtoul(at + 1, &at, 10);
        if (at + 4 + size > end) {
            return 0;
        }
        if (i < WORDS) {
            (void)snprintf(words[i], sizeof(words[i]), "%.*s", (int)size, at + 2);
        }
        at += 2 + size;
    }
    return (size_t)(at + 2 - wire->in);
}

static void serve(struct wire *wire)
{
    ssize_t got = recv(wire->fd, wire->in + wire->n, sizeof(wire->in) - 1 - wire->n, MSG_DONTWAIT);

    if (got == 0 || (got < 0 && errno != EAGAIN) || world.players[wire->who].away) {
        hang_up(wire);
        return;
    }
    wire->n += got > 0 ? (size_t)got : 0;
    for (;;) {
        char words[WORDS][64] = {{0}};
        size_t used = wire->ends || wire->n == 0 ? 0 : take_command(wire, words);

        if (used == 0) {
            break;
        }
        wire->n -= used;
        memmove(wire->in, wire->in + used, wire->n);
        answer(wire, words);
    }
    if (wire->n_held > 0 && outside_now_ms() >= wire->held_until_ms) {
        memcpy(world.out, wire->held, wire->n_held);
        world.n_out = wire->n_held;
        wire->n_held = 0;
        send_out(wire);
    }
    if (wire->ends && wire->n_held == 0) {
        hang_up(wire);
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
        if (world.wires[i].fd >= 0 && world.wires[i].who == whom && world.wires[i].subscribed) {
            world.n_out = n;
            send_out(&world.wires[i]);
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
        if (world.wires[i].fd >= 0 &&
            (world.wires[i].who == which % (SENTINELS + NODES) || i == which >> 3)) {
            hang_up(&world.wires[i]);
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
        if (world.wires[i].fd >= 0) {
            hang_up(&world.wires[i]);
        }
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
        if (world.wires[i].fd >= 0) {
            serve(&world.wires[i]);
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
        const struct wire *wire = &world.wires[i];

        if (wire->fd >= 0 && wire->n_held > 0 && wire->held_until_ms < until_ms) {
            until_ms = wire->held_until_ms;
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
            if (world.wires[i].fd < 0) {
                memset(&world.wires[i], 0, sizeof(world.wires[i]));
                world.wires[i].fd = fd;
                world.wires[i].who = who;
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
        world.wires[i].fd = -1;
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
        if (world.wires[i].fd >= 0) {
            hang_up(&world.wires[i]);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct outside_hooks hooks = {turn, idle, dialled};
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
    config.runs_commands = (options & 8) != 0;
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
