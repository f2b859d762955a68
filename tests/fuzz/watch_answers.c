/* See watch_world.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "watch_world.h"

struct world world;

uint8_t next(void)
{
    return outside_next(&world.input);
}

bool is_node(unsigned who)
{
    return who >= SENTINELS;
}

/* ---- replies ---- */

void say(const char *format, ...)
{
    size_t room = sizeof(world.out) - world.n_out;
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(world.out + world.n_out, room, format, arguments);
    va_end(arguments);
    world.n_out += (size_t)n < room ? (size_t)n : room - 1;
}

void say_word(const char *word)
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
static void say_truth(struct speaker *speaker, unsigned who, char words[WIRE_WORDS][WIRE_WORD],
                      const struct player *node)
{
    bool master = who == SENTINELS + world.master;

    world.resp2 = speaker->resp2;
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
        speaker->subscribed = true;
        say(world.resp2 ? "*3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:1\r\n"
                        : ">3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:1\r\n");
    } else if (strcasecmp(words[0], "SENTINEL") == 0) {
        say_sentinel(who, words[1], node);
    } else {
        say("+OK\r\n");
    }
}

/* ---- and what it says ---- */

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

void send_out(struct speaker *speaker)
{
    if (world.n_out > 0 && send(speaker->wire.fd, world.out, world.n_out, MSG_NOSIGNAL) < 0) {
        speaker->ends = true;
    }
    world.n_out = 0;
}

void say_raw(void)
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

void answer(struct speaker *speaker, char words[WIRE_WORDS][WIRE_WORD])
{
    uint8_t how = world.truth_ms > 0 ? 0 : next();
    unsigned who = speaker->who;
    const struct player *node = &world.players[SENTINELS + world.master];
    bool truth = false;

    if ((how & 15) == 13) { /* in another's name */
        uint8_t whose = next();

        node = &world.players[SENTINELS + whose % NODES];
        who = is_node(who) ? SENTINELS + (whose >> 2) % NODES : (whose >> 2) % SENTINELS;
    }
    speaker->resp2 = (how & 16) != 0;
    say_truth(speaker, who, words, node);
    switch (how & 15) {
    case 8: change_bytes(); break;
    case 9: say_raw(); break;
    case 10: say_error(); break;
    case 11: say_nil(); break;
    case 12:
        world.n_out = next() % (world.n_out + 1);
        speaker->ends = true;
        break;
    case 13: break;
    case 14:
        world.n_out = 0;
        speaker->ends = (next() & 1) != 0; /* else: never an answer */
        break;
    default: truth = true; break;
    }
    note_said(speaker->who, truth);
    if ((how & 32) != 0 && speaker->n_held + world.n_out <= sizeof(speaker->held)) {
        /* later, in its order */
        speaker->held_until_ms = outside_now_ms() + 8 * (int64_t)next();
        memcpy(speaker->held + speaker->n_held, world.out, world.n_out);
        speaker->n_held += world.n_out;
        world.n_out = 0;
    } else if (speaker->n_held > 0 && speaker->n_held + world.n_out <= sizeof(speaker->held)) {
        memcpy(speaker->held + speaker->n_held, world.out, world.n_out);
        speaker->n_held += world.n_out;
        world.n_out = 0;
    }
    send_out(speaker);
}
