/*
 * A failover that is adopted: a leader, its steps, the replica that says master. The suite
 * `sim_adopt` begins each test with OLD published and --adopt promoted.
 */
#ifndef BELLWETHER_TESTS_SIM_ADOPT_FIXTURE_H
#define BELLWETHER_TESTS_SIM_ADOPT_FIXTURE_H

#include "suite_stage.h"

#define OLD 7200
#define NEW 7201
#define THIRD 7202
#define LEADER 0
#define EPOCH 5 /* of the failover; what is published has 4 */

/** Three Sentinels that agree on OLD, the epoch before EPOCH. */
void adopt_open_with(bool adopt);
/** A Sentinel runs a failover. */
void adopt_begin(int leader, int64_t epoch);
/** It is elected and chooses that replica. */
void adopt_choose(int leader, int64_t epoch, int port);
/** The replica says master. */
void adopt_promote(int port);
void adopt_expect_adopted(int port, int64_t epoch);
/** NEW is adopted. */
void adopt_new(void);
/** Which replica the judge wants asked, 0: none. */
void adopt_expect_asks(int port);

#endif
