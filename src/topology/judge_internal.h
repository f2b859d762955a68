/*
 * What the judge's files share: its memory. judge_feed.c takes in what happens and judge_known.c
 * who is known, judge_votes.c keeps it; judge.c steps, judge_check.c weighs role answers,
 * judge_published.c moves what is published, judge_adopt.c adopts (rule 11), judge_state.c names
 * the state and its reason, judge_words.c says it in words.
 */
#ifndef BELLWETHER_TOPOLOGY_JUDGE_INTERNAL_H
#define BELLWETHER_TOPOLOGY_JUDGE_INTERNAL_H

#include "bellwether/topology/decide.h"

#define REPEATS_SETTLED 3u /* polls in a row that make a vote settled (rule 4) */
#define REPEAT_MIN_MS \
    50 /* answers closer together than this are one poll: callers can ask for fresh ones */
#define RETRY_FIRST_MS 50
#define RETRY_MOST_MS 500
/*
 * How long what is published must not have served before a settled majority may overrule a vote at
 * H. One and a half of the periods in which Sentinels tell each other: by then whoever was late is
 * not.
 */
#define OVERRULE_AFTER_MS 3000
#define ANSWER_GRACE_MS \
    250 /* past verify-timeout: then a question that nobody reported on counts as timed out */
#define FAILOVER_TIMEOUT_MS 180000 /* Sentinel's default, where a row or event gives none */
#define RUN_IDS_KEPT 8

#define UNCONFIRMED_HOLD_MS \
    0 /* rule 13: what one vote announced and a majority contradicts is held at once, */
#define CONTRADICTED_HOLD_MS 3000  /* what a majority had named is held after this, */
#define CONTRADICTED_MOVE_MS 15000 /* and either gives way to what the majority names after this */
#define DEPOSED_ASK_MS \
    1000 /* how often the former master is asked whether it is a replica by now, */
#define DEPOSED_ASK_MOST_MS 10000 /* and where it does not answer */
#define STRANGE_MS 10000          /* that long a known one may look like another deployment's */
/* The same where half of them are there, list each other, and none lists it any more. */
#define GONE_UNLISTED_MS 10000
#define GONE_MS \
    60000 /* a known Sentinel that was not there for so long may have been replaced by others */

/* A Sentinel that was heard of. Its observation, if any, is in judge->seen. */
struct voice {
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

/* The role checks of a node that is not published yet. */
struct check {
    bool wanted;
    struct endpoint node;
    int64_t epoch;
    bool outstanding; /* asked, not answered */
    int64_t asked_ms;
    int64_t next_ms; /* when to ask (again), unless outstanding */
    unsigned failures;
    unsigned misses; /* questions in a row that came to nothing */
    bool answered;
    enum role_answer answer;
    int64_t answered_ms;
    int64_t since_ms; /* it has answered the same ever since */
};

/* The role checks of what is published. */
struct verification {
    bool answered; /* since the publication or the last gap */
    enum role_answer answer;
    int64_t answered_ms;
    int64_t since_ms; /* it has answered the same ever since */
    /* it said master, or that its role may not be asked, and nothing since that takes it back */
    bool alive;
    enum role_answer alive_answer;
    int64_t alive_ms;
    unsigned refusals; /* since then */
    unsigned failures;
    int64_t retry_ms; /* ask it then without waiting for the next interval, -1: no */
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
 * CHECK_MAJORITY: a majority names it, and it is neither published nor the candidate. CHECK_RETURN:
 * an adoption is to be undone. CHECK_DEPOSED: the former master, until it says that it is none.
 */
enum { CHECK_CANDIDATE, CHECK_MAJORITY, CHECK_RETURN, CHECK_DEPOSED, CHECKS };

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
    struct voice *voices;
    size_t n_votes, room_votes;
    struct observation *seen; /* at most one a vote */
    size_t n_seen, room_seen;
    size_t n_known;
    uint64_t known_revision;
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

/*
 * decide.c: the address that a majority of the known names, at whatever epoch, for so many polls in
 * a row.
 */
bool decide_majority(const struct observation *seen, size_t n_seen, size_t known, int64_t now_ms,
                     unsigned repeats, struct decision *out);

/* judge_check.c */
bool role_unknowable(enum role_answer answer);
void check_want(struct check *check, const struct endpoint *node, int64_t epoch, int64_t now_ms);
void check_drop(struct check *check);
/* A question that the owner never reported on has timed out. */
void check_expire(struct check *check, const struct judge_config *config, int64_t now_ms);
void check_answer(struct check *check, const struct judge_config *config, enum role_answer answer,
                  int64_t now_ms);
/* The former master need not be asked as often as one that may become the answer. */
void check_rest(struct check *check, int64_t now_ms);
/*
 * Whether the check lets its node be published: it says master, or a majority names it and its role
 * is unknowable.
 */
bool check_allows(const struct check *check, const struct judge_config *config, bool majority,
                  int64_t now_ms);
/* It said last that it is a master, or that its role may not be asked. */
bool check_is_good(const struct check *check);
/*
 * Whatever it said before is worth nothing any more: it says otherwise, or two questions in a row
 * came to nothing. One can for harmless reasons.
 */
bool check_takes_back(const struct check *check);
/* The node to ask now, marked as asked, or NULL. */
const struct endpoint *checks_ask(struct check checks[CHECKS], int64_t now_ms);
int64_t checks_next_ms(const struct check checks[CHECKS], const struct judge_config *config,
                       int64_t now_ms);
void verification_answer(struct verification *verification, enum role_answer answer,
                         int64_t now_ms);
void verification_reset(struct verification *verification);
/* It said so recently enough. */
bool verification_alive(const struct verification *verification, const struct judge_config *config,
                        int64_t now_ms);

/* judge_adopt.c */
/* A Sentinel answered. */
void adoption_hear(struct judge *judge, const struct observation *seen);
/*
 * Observations at the adoption's epoch and below are outranked: change what decide() made of them.
 */
void adoption_outrank(const struct judge *judge, struct decision *decision);
/* It was announced, or something else was published: what is published is an adoption no longer. */
void adoption_over(struct judge *judge);
/* The clock jumped. */
void adoption_void(struct judge *judge);
/* Undo or adopt, whatever is due. @return DECIDE_ADOPTED, DECIDE_UNDONE or DECIDE_NOTHING.
 * @param why set where it is undone. */
enum decide_rule adoption_step(struct judge *judge, int64_t now_ms, int64_t wall_ms,
                               const char **why);
int64_t adoption_next_ms(const struct judge *judge);

/* judge_votes.c */
void judge_copy_id(char out[RUN_ID_SIZE], const char *id);
/* NULL: never heard of. */
struct voice *judge_vote(const struct judge *judge, const char *id);
struct voice *judge_need_vote(struct judge *judge, const char *id);
struct observation *judge_seen(const struct judge *judge, const char *id);
struct observation *judge_need_seen(struct judge *judge, const char *id);
void judge_drop_seen(struct judge *judge, const char *id);
void judge_restart_repeats(struct judge *judge);

/* judge_published.c */
/* Another address is published from now on. */
void judge_move_to(struct judge *judge, const struct published *to, int64_t now_ms,
                   int64_t wall_ms);
/*
 * Look for a new run id at the published address. @return whether there is one: it was restarted.
 */
bool judge_follow_run_id(struct judge *judge, int64_t now_ms);

/* judge_state.c */
bool judge_waits(const struct judge *judge, int64_t now_ms);
/* The end of the failover that is under way, as far as is known; -1: none is. */
int64_t judge_failover_ends(const struct judge *judge, int64_t now_ms);
bool judge_serves(const struct judge *judge, int64_t now_ms);
void judge_move_state(struct judge *judge, int64_t now_ms);

/* judge_words.c */
void judge_say(struct judge *judge, int64_t now_ms, int64_t wall_ms);

/* The earlier of two times of which -1 is never. */
static inline int64_t earlier(int64_t a, int64_t b)
{
    if (a < 0 || b < 0) {
        return a < 0 ? b : a;
    }
    return a < b ? a : b;
}

#endif
