/*
 * The judge's memory, which its files share. judge_feed.c takes in what happens and judge_known.c
 * who is known, judge_votes.c keeps it; judge.c steps, judge_check.c weighs role answers,
 * judge_published.c moves what is published, judge_adopt.c adopts (rule 11), judge_state.c names
 * the state and its reason, judge_words.c says it in words.
 */
#ifndef BELLWETHER_TOPOLOGY_JUDGE_MEMORY_H
#define BELLWETHER_TOPOLOGY_JUDGE_MEMORY_H

#include "judge_check.h"

#define RUN_IDS_KEPT 8

/* A Sentinel that was heard of. Its observation, if any, is in judge->seen. */
struct vote {
    char id[RUN_ID_SIZE];
    bool known;             /* rule 12: it counts */
    bool provisional;       /* known by the word of the only one that had a list */
    int64_t gone_ms;        /* not live since then, -1: it is live */
    int64_t strange_ms;     /* has nothing to do with the others since then, -1: it has */
    struct endpoint *nodes; /* the replicas that it lists */
    size_t n_nodes;
    bool has_named;            /* ever: a master */
    struct endpoint named;     /* the last one */
    bool heard;                /* answered, refused or lost since the start or the last gap */
    int64_t polled_ms;         /* the last answer that counted as a poll */
    int64_t failover_since_ms; /* its row has failover-state since then, -1: no */
    /* by its own events it runs a failover at this epoch; EPOCH_UNKNOWN: none */
    int64_t leads_epoch;
    bool elected; /* and was elected to */
};

/*
 * The run ids that were seen at the published address, oldest first: one that comes back is a
 * Sentinel that lags, not another restart. What the node says itself is worth more: as long as it
 * tells, rows are not looked at.
 */
struct run_ids {
    char seen[RUN_IDS_KEPT][RUN_ID_SIZE];
    size_t n;
    char current[RUN_ID_SIZE];
    bool own;       /* `current` is the node's own word */
    bool restarted; /* it told another one, and no step has said so yet */
};

/* The replica that a leader chose (rule 11): it is asked for its role until it says master. */
struct promotion {
    bool wanted;
    char leader[RUN_ID_SIZE];
    int64_t epoch;
    struct endpoint node;
    int64_t until_ms;
    bool says_master;
    int64_t answered_ms;
};

/* What is published was adopted, and nobody has announced it yet. */
struct adoption {
    bool stands;
    char leader[RUN_ID_SIZE];
    int64_t epoch;
    struct published back;  /* what was published before: the undoing goes there */
    int64_t until_ms;       /* no failover takes longer */
    int64_t leader_lost_ms; /* its link is down since then; -1: it is up */
    unsigned idle_rows;     /* answers in a row by which the leader runs no failover any more */
    const char *undo;       /* why it has to be undone, NULL: it has not */
    bool at_once;           /* and without asking who is gone back to */
};

/*
 * A time that the words name, and what the wall clock said then: worked out anew it would differ by
 * a millisecond now and then.
 */
struct stamp {
    int64_t at_ms, wall_ms;
};

/*
 * The master before this one. One vote does not bring it back as long as it has not been seen as a
 * replica: it may not have noticed yet that it was deposed.
 */
struct deposed {
    bool suspect;
    struct endpoint node;
};

struct judge {
    char *name;
    struct judge_config config;
    struct vote *votes;
    size_t n_votes, room_votes;
    struct observation *seen; /* at most one a Sentinel */
    size_t n_seen, room_seen;
    size_t n_known;
    uint64_t known_revision;
    bool recount_due; /* who is vouched for changed in or since the last count */
    struct judge_links links;

    int64_t began_ms;  /* the start, or the last gap */
    int64_t void_ms;   /* the last gap; what is older is not taken any more */
    bool first;        /* no decision since then (rule 8) */
    bool gap;          /* there was a gap and what is published was not confirmed since */
    bool vote_at_high; /* in the last step a vote at or above H counted */

    int64_t high_water;
    bool has_published, has_previous;
    struct published published;
    struct endpoint previous;
    int64_t published_wall_ms, published_ms;
    bool confirmed; /* a majority has named it since its publication, or it was adopted */
    struct deposed deposed;
    int64_t contradicted_ms; /* a majority names another node that says master since then, -1: no */
    struct verification verification;
    struct check checks[CHECKS];
    struct run_ids run_ids;
    struct promotion promotion;
    struct adoption adoption;
    /* an epoch is adopted once: the highest that was */
    int64_t last_adopted;
    int64_t failover_since_ms, failover_until_ms; /* by events; until -1: none */

    struct decision decision;
    enum master_state state;
    int64_t not_serving_since_ms;
    enum reason reason;
    char *tls_words; /* of the last node that failed in TLS; NULL: none has */
    char detail[DETAIL_SIZE];
    struct stamp answer_stamp, alive_stamp, check_stamp;
};

/* ---- judge_published.c, judge_words.c ---- */

/* Another address is published from now on. */
void judge_move_to(struct judge *judge, const struct published *to, int64_t now_ms,
                   int64_t wall_ms);
/*
 * Look for a new run id at the published address. @return whether there is one: it was restarted.
 */
bool judge_follow_run_id(struct judge *judge, int64_t now_ms);
/* Say the state and its reason in `judge->detail`. */
void judge_say(struct judge *judge, int64_t now_ms, int64_t wall_ms);

#endif
