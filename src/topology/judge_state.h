/* The state of a master and its reason. */
#ifndef BELLWETHER_TOPOLOGY_JUDGE_STATE_H
#define BELLWETHER_TOPOLOGY_JUDGE_STATE_H

#include "judge_memory.h"

/* Rule 8: whether the first decision still waits for more answers. */
bool judge_waits(const struct judge *judge, int64_t now_ms);
/* When the failover that is under way stops being believed; -1: none is. */
int64_t judge_failover_ends(const struct judge *judge, int64_t now_ms);
/* Whether the state that fits now lets what is published be served. */
bool judge_serves(const struct judge *judge, int64_t now_ms);
/* Move to the state that fits now, and find its reason. */
void judge_move_state(struct judge *judge, int64_t now_ms);

#endif
