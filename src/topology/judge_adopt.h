/* Adopting the replica that a leader promotes (rule 11). */
#ifndef BELLWETHER_TOPOLOGY_JUDGE_ADOPT_H
#define BELLWETHER_TOPOLOGY_JUDGE_ADOPT_H

#include "judge_memory.h"

/* A Sentinel's answer: the leader's may show that it runs no failover any more. */
void adoption_hear(struct judge *judge, const struct observation *seen);
/*
 * Observations at the adoption's epoch and below are outranked: change what decide() made of them.
 */
void adoption_outrank(const struct judge *judge, struct decision *decision);
/* What is published is an adoption no longer: it was announced, or another node was published. */
void adoption_over(struct judge *judge);
/* The clock jumped: no promotion is waited for, and what stands adopted is to be undone. */
void adoption_void(struct judge *judge);
/*
 * Undo or adopt, whatever is due. @param why set where it is undone. @return DECIDE_ADOPTED,
 * DECIDE_UNDONE or DECIDE_NOTHING.
 */
enum decide_rule adoption_step(struct judge *judge, int64_t now_ms, int64_t wall_ms,
                               const char **why);
/* When time alone changes a promotion or an adoption; -1: never. */
int64_t adoption_next_ms(const struct judge *judge);

#endif
