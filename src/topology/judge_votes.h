/* Every Sentinel that was heard of, and what it said last. */
#ifndef BELLWETHER_TOPOLOGY_JUDGE_VOTES_H
#define BELLWETHER_TOPOLOGY_JUDGE_VOTES_H

#include "judge_memory.h"

/* Copy a run id, cut where it is too long. */
void judge_copy_id(char out[RUN_ID_SIZE], const char *id);
/* The vote of that Sentinel; NULL: it was never heard of. */
struct vote *judge_vote(const struct judge *judge, const char *id);
/* The vote of that Sentinel; a new one where it was never heard of. */
struct vote *judge_need_vote(struct judge *judge, const char *id);
/* The observation of that Sentinel; NULL: there is none. */
struct observation *judge_seen(const struct judge *judge, const char *id);
/* The observation of that Sentinel; an empty one where there was none. */
struct observation *judge_need_seen(struct judge *judge, const char *id);
void judge_drop_seen(struct judge *judge, const char *id);
/* The polls in a row of all observations are counted anew (rule 4). */
void judge_restart_repeats(struct judge *judge);

#endif
