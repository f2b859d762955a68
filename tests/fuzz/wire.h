/*
 * The far end of a connection to a Redis server or a Sentinel, for targets that play one.
 */
#ifndef BELLWETHER_TESTS_FUZZ_WIRE_H
#define BELLWETHER_TESTS_FUZZ_WIRE_H

#include <stdbool.h>

#include "bellwether/base/buffer.h"

enum { WIRE_WORDS = 8, WIRE_WORD = 64 };

struct wire {
    int fd; /* -1: there is none */
    struct buffer in;
};

/** What has come is taken in. @return false: the other side is gone. */
bool wire_hear(struct wire *wire);
/**
 * Take the next command.
 * @param words  its first words, cut where they are long; "" where there are none.
 * @return       false: there is none that is whole.
 */
bool wire_take(struct wire *wire, char words[WIRE_WORDS][WIRE_WORD]);
/** Also of one that is closed. */
void wire_close(struct wire *wire);

#endif
