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
/*
 * Move to the state that fits now, and find its reason. Where a gap made void what was known, and
 * neither the node nor the Sentinels have said yet what is so now, the state stays what it was,
 * with reason watcher_stalled: a pause of this daemon's says nothing about the node.
 */
void judge_move_state(struct judge *judge, int64_t now_ms);

#endif
