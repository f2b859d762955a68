/*
 * The world of the target `watch`, and what its Sentinels and Redis nodes say: the truth, or what
 * the input makes of it.
 */
#ifndef BELLWETHER_TESTS_FUZZ_WATCH_WORLD_H
#define BELLWETHER_TESTS_FUZZ_WATCH_WORLD_H

#include "outside.h"
#include "watcher/watcher.h"
#include "wire.h"

enum { SENTINELS = 4, NODES = 3, WIRES = 64 };

/* One connection's far end. */
struct speaker {
    struct wire wire;
    unsigned who;
    bool resp2, subscribed, ends;
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

struct world {
    struct outside_input input;
    struct player players[SENTINELS + NODES]; /* nodes behind Sentinels */
    struct speaker speakers[WIRES];
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
};

extern struct world world;

/** The next byte of the input. */
uint8_t next(void);
bool is_node(unsigned who);

/** Add to the reply that is being made. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_word(const char *word);
/** Nothing but bytes from the input. */
void say_raw(void);
void send_out(struct speaker *speaker);
/** A reply to a command, as the input has it. */
void answer(struct speaker *speaker, char words[WIRE_WORDS][WIRE_WORD]);

#endif
