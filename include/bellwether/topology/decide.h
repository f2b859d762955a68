/*
 * Which address is the master: the rule of DESIGN section 3, in two layers, both pure (observations
 * and the time in, a decision out; no I/O, no clock, no log):
 *
 *   decide()  what the Sentinels say at this instant: candidate, rule, majority. No memory.
 *   judge     one master's memory: known Sentinels, observations, high-water epoch H, what is
 *             published, what its role checks said, its state.
 *
 * The owner feeds a judge with whatever happens, calls judge_step(), and does what the judgement
 * asks: keep one verification connection to `published`, ask `check` for its role, ask the
 * Sentinels again.
 */
#ifndef BELLWETHER_TOPOLOGY_DECIDE_H
#define BELLWETHER_TOPOLOGY_DECIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/address.h"
#include "bellwether/topology/state.h"

#define RUN_ID_SIZE 48
#define EPOCH_UNKNOWN (-1)
#define DETAIL_SIZE 768
#define FAILOVER_TIMEOUT_MS 180000 /* Sentinel's default, for where it tells none */

/* What one known Sentinel last said about one master. Addresses after --map. */
struct observation {
    char sentinel[RUN_ID_SIZE]; /* its run id */
    struct address sentinel_at; /* for words only */
    int64_t at_ms;              /* boot clock, when it answered */
    int64_t interval_ms;        /* its own poll interval at that time */
    bool link_up;
    struct endpoint master; /* GET-MASTER-ADDR-BY-NAME */
    int64_t epoch;          /* EPOCH_UNKNOWN where it gives none */
    /* the node's, from the row; "" unknown; only meaningful when the row's address is `master` */
    char run_id[RUN_ID_SIZE];
    bool failover_under_way;     /* the row has failover-state */
    int64_t failover_timeout_ms; /* -1 unknown */
    /*
     * kept by the judge: polls in a row with this address and epoch, counted anew from the loss of
     * the last vote at or above H
     */
    unsigned repeats;
    /* kept by the judge: this Sentinel is not known, so its word does not count */
    bool unknown;
    bool unvouched; /* kept by the judge: its word alone does not make `master` the candidate */
};

/* What a role check came to. */
enum role_answer {
    ROLE_MASTER,  /* it says master */
    ROLE_OTHER,   /* it says another role */
    ROLE_NOPERM,  /* it answers, its role may not be asked (NOPERM): unknowable */
    ROLE_NOAUTH,  /* it answers NOAUTH or WRONGPASS: unknowable */
    ROLE_LOADING, /* it refuses with LOADING */
    ROLE_REFUSED, /* connection refused, unreachable, unresolvable */
    ROLE_CLOSED,  /* a standing connection ended or was reset */
    ROLE_TIMEOUT, /* no answer within verify-timeout */
    ROLE_TLS,     /* the handshake failed, or one side speaks TLS and the other does not */
    ROLE_ERROR,   /* answered something else (max number of clients, garbage, not a Redis) */
};

/** Whether the node answers and does not let its role be asked. Thread: any. */
bool role_unknowable(enum role_answer answer);
/** The reason that an answer other than `master` gives. Thread: any. */
enum reason role_reason(enum role_answer answer);

struct published {
    struct endpoint master;
    int64_t epoch; /* the epoch it was published under; EPOCH_UNKNOWN possible */
};

enum decide_rule {
    DECIDE_NOTHING,        /* no counting observation: what is published stands (rule 5) */
    DECIDE_STANDS,         /* the candidate is what is published */
    DECIDE_HIGHER_EPOCH,   /* rule 2 */
    DECIDE_EQUAL_MAJORITY, /* rule 3 */
    DECIDE_BELOW_MAJORITY, /* rule 4 */
    DECIDE_NO_EPOCH,       /* rule 7: no epoch given, a majority */
    DECIDE_CONFLICT,       /* same highest epoch, different addresses, no majority */
    DECIDE_NO_MAJORITY,    /* a majority would be needed and is not there */
    /* rule 11: what is published was adopted; nobody has announced it, or any higher epoch */
    DECIDE_ADOPTED,
    /* rule 11, `switched_by` only: an adoption was undone, the address before it is back */
    DECIDE_UNDONE,
    DECIDE_WAIT, /* rule 8: the first decision waits for more answers */
};

struct decision {
    enum decide_rule rule;
    bool has_candidate;
    /*
     * with DECIDE_NO_MAJORITY and no candidate: whom the votes that do not suffice name, for words
     */
    struct endpoint candidate;
    int64_t epoch;          /* the candidate's; with DECIDE_CONFLICT the epoch of the quarrel */
    size_t known;           /* known Sentinels */
    size_t counting;        /* whose observation counts now (rule 1) */
    size_t candidate_votes; /* that name the candidate */
    size_t published_votes; /* that name what is published */
    bool candidate_majority;
    bool published_majority;
    /* a counting observation names another address than the published one */
    bool disputed;
    int64_t published_epoch; /* the highest epoch at which a counting one names what is published;
                                EPOCH_UNKNOWN */
    int64_t majority_epoch;  /* the highest at or above which a majority does; EPOCH_UNKNOWN */
};

/**
 * Decide which address the Sentinels make the candidate.
 *
 * Pure: reads its arguments, allocates nothing, keeps nothing. Roles are not its business.
 *
 * @param seen        borrowed; at most one entry per Sentinel, any order.
 * @param known       number of known Sentinels, not below the entries of known ones.
 * @param published   borrowed; what callers are told now, or NULL before the first decision.
 * @param high_water  H, or EPOCH_UNKNOWN.
 * @param now_ms      boot clock.
 * @param out         set on success, untouched on failure.
 * @return 0; -BW_EINVAL when two entries name the same Sentinel or more are of known ones than
 *         `known`.
 * Thread:  any.
 * Source:  DESIGN section 3; Sentinel's config epochs, redis src/sentinel.c.
 */
int decide(const struct observation *seen, size_t n_seen, size_t known,
           const struct published *published, int64_t high_water, int64_t now_ms,
           struct decision *out);
/**
 * The address that a majority of the known names, at whatever epoch, for `repeats` polls in a row.
 *
 * @param out its candidate and rule are set where there is one; else untouched. @return whether
 * there is one. Thread: any.
 */
bool decide_majority(const struct observation *seen, size_t n_seen, size_t known, int64_t now_ms,
                     unsigned repeats, struct decision *out);

#define REPEATS_SETTLED 3u /* polls in a row that make a vote settled (rule 4) */

struct judge_config {
    bool verify; /* false: --verify off */
    bool adopt;  /* --adopt promoted; nothing without verify */
    int64_t verify_interval_ms;
    int64_t verify_timeout_ms;
    int64_t suspect_after_ms;
    int64_t sentinel_timeout_ms;
};

/*
 * What the owner can tell of one Sentinel in respect of this master. Everything borrowed for the
 * call.
 */
struct elector {
    const char *id; /* its run id, "" while it was never identified */
    /* what answers under `id` now answered under this run id before; "" or NULL: nothing */
    const char *former;
    bool configured;
    bool pending;              /* configured, and has neither answered nor failed since the start */
    bool live;                 /* its link is up and it answers for this master */
    bool has_list;             /* it has said whom it lists; kept while it is down */
    const char *const *listed; /* those run ids, its own left out */
    size_t n_listed;
    const struct endpoint *master; /* whom it names, now or when last heard; NULL: nobody */
    bool foreign;                  /* out: of another deployment that has a master of this name */
};

#define KNOWN_MAX 64 /* Sentinels of one master; more are not taken in */

/*
 * How the links of this master fare, for reasons and for rule 8; the owner sets it before a step.
 */
struct judge_links {
    size_t dialled;     /* links in all (seeds and learned) */
    size_t pending;     /* have neither answered for this master nor failed since the start */
    size_t reachable;   /* up and answering */
    size_t auth_failed; /* NOAUTH, WRONGPASS */
    size_t tls;         /* answer TLS, which is not spoken to them */
    size_t denied;      /* refuse what they are needed for (an ACL, protected mode) */
    /* of the others: answer NOPERM to what can be done without (PSUBSCRIBE, MYID, ...) */
    size_t denied_extra;
    size_t unknown_name; /* say "No such master" or nil */
};

/* What has become of a master; borrowed pointers into the judge, valid until its next call. */
struct judgement {
    enum master_state state;
    enum reason reason;
    const char *detail; /* the state and its reason in words, true as of this step */
    bool verified;      /* state ok, and that is no memory (master_serves()) */
    bool majority;
    const struct published *published; /* NULL before the first publication */
    const struct endpoint *previous;   /* NULL before the first switch */
    const char *run_id;                /* of the published node, "" unknown */
    int64_t published_wall_ms;         /* since */
    struct decision decision;          /* the last decide(), against what is published now */
    /* what the owner is to do */
    /* the published address moved in this step (also the first publication) */
    bool switched;
    /* with `switched`: the rule that moved it; DECIDE_NOTHING otherwise */
    enum decide_rule switched_by;
    /*
     * rule 11: what is published was adopted and nobody has announced it yet. With `switched` in
     * the step that adopts it; an undoing is a switch by DECIDE_UNDONE.
     */
    bool adopted;
    /* rule 13: a majority names another node that says master: writes are to be held */
    bool contradicted;
    const char *undone;   /* in a step that undoes an adoption: why, a static word; else NULL */
    bool restarted;       /* the run id changed at the same address in this step: a restart */
    bool check_published; /* ask the published node now (an immediate retry) */
    const struct endpoint
        *check; /* ask this node for its role now; NULL: nobody. Asked for once per attempt */
    /*
     * rule 11: as long as this is set, ask it for its role every few milliseconds, over a
     * connection of its own: judge_promotion_role()
     */
    const struct endpoint *promoting;
    bool suspect; /* ask the Sentinels fast (100 ms for 2 s, then less) */
    /* boot clock: call judge_step() again then, -1: only on news */
    int64_t next_ms;
};

struct judge;

struct judge *judge_new(const char *name, const struct judge_config *config, int64_t now_ms);
void judge_free(struct judge *judge);

/** A Sentinel is known for this master, whatever judge_recount() would say. Twice is fine. */
void judge_know(struct judge *judge, const char *sentinel_run_id);
/**
 * Who is known now (rule 12): whoever is configured and answers for this master, whoever a majority
 * of the known lists, whoever took the place of a known one; strangers are not, nor whoever is of
 * another deployment.
 * @param electors borrowed, any order; at most one link a Sentinel should be `live`. `foreign` is
 * set in each.
 * @param quorum   as Sentinels have it, <= 0 unknown: fewer than that never declare the others
 * gone.
 * @return whether some could not be taken in because KNOWN_MAX are known.
 */
bool judge_recount(struct judge *judge, struct elector *electors, size_t n, int64_t quorum,
                   int64_t now_ms);
/**
 * Whether another count may come to another end without new electors: time passes for those that
 * are gone or strange, or what is vouched for changed in or since the last count.
 */
bool judge_wants_recount(const struct judge *judge);
/** Whether that Sentinel is known. */
bool judge_knows(const struct judge *judge, const char *sentinel_run_id);
/**
 * The nodes that this Sentinel lists as replicas, copied; they stay until it lists others or is
 * forgotten. Of a Sentinel that the judge has not heard of: ignored.
 */
void judge_hear_nodes(struct judge *judge, const char *sentinel_run_id,
                      const struct endpoint *nodes, size_t n);
/**
 * Rule 12: whether a majority of the known that were ever heard names it, as master or as a
 * replica; what is published always is. Only such a node is dialled.
 */
bool judge_vouches(const struct judge *judge, const struct endpoint *node);
/** That Sentinel is known no longer; its observation goes, too. */
void judge_forget(struct judge *judge, const char *sentinel_run_id);
/** How many Sentinels are known. */
size_t judge_known(const struct judge *judge);
/** Grows whenever somebody becomes known or is known no longer. */
uint64_t judge_known_revision(const struct judge *judge);
/** A new answer (copied); it counts while the Sentinel is known. */
void judge_observe(struct judge *judge, const struct observation *seen);
/** The link to that Sentinel went down: its observation counts no longer. */
void judge_lose(struct judge *judge, const char *sentinel_run_id);
/** That Sentinel answered, but with nothing that counts (rule 10): it has no observation. */
void judge_refuse(struct judge *judge, const char *sentinel_run_id);
void judge_set_links(struct judge *judge, const struct judge_links *links);
/** What the node said when asked for its role (published node or candidate). */
void judge_role(struct judge *judge, const struct endpoint *node, enum role_answer answer,
                int64_t now_ms);
/** Why TLS with the node that is asked fails, for the detail. @param words copied. */
void judge_tls_words(struct judge *judge, const char *words);
/**
 * The published node's own word for its run id; "": it may not be asked, so what Sentinels' rows
 * say counts (again).
 */
void judge_run_id(struct judge *judge, const struct endpoint *node, const char *run_id);
/**
 * A Sentinel's event says a failover is under way (true; holds `timeout_ms` at the most) or over
 * (false).
 */
void judge_failover(struct judge *judge, bool under_way, int64_t now_ms, int64_t timeout_ms);
/*
 * Rule 11: what a Sentinel says of the failover that it runs itself, in the order in which it says
 * it.
 */
enum promotion_step {
    /* +try-failover; `epoch` from the +new-epoch right before it, else EPOCH_UNKNOWN */
    PROMOTION_TRY,
    PROMOTION_ELECTED, /* +elected-leader */
    PROMOTION_CHOSEN,  /* +selected-slave, +failover-state-send-slaveof-noone: `node` */
    PROMOTION_ABORTED, /* -failover-abort-... */
    PROMOTION_ENDED,   /* +failover-end, +failover-end-for-timeout, its own +switch-master */
};
/**
 * Tell that. @param leader the run id of the Sentinel whose own event it is. @param epoch for
 * PROMOTION_TRY.
 * @param node for PROMOTION_CHOSEN, after --map and the loopback rule; else NULL.
 */
void judge_promotion(struct judge *judge, const char *leader, enum promotion_step step,
                     int64_t epoch, const struct endpoint *node, int64_t now_ms);
/** What the node that `promoting` asked for answered. */
void judge_promotion_role(struct judge *judge, const struct endpoint *node, enum role_answer answer,
                          int64_t now_ms);
/** The clock jumped: every observation and verification is void. */
void judge_void(struct judge *judge, int64_t now_ms);
/** Decide anew. @param wall_ms for `since` and words. @param out overwritten. */
void judge_step(struct judge *judge, int64_t now_ms, int64_t wall_ms, struct judgement *out);
/** H, the highest epoch that was ever published. */
int64_t judge_high_water(const struct judge *judge);
/** The observation of a Sentinel, or NULL; borrowed until the next call. */
const struct observation *judge_observation(const struct judge *judge, const char *sentinel_run_id);
/** Whether that observation counts now (rule 1). */
bool observation_counts(const struct observation *seen, int64_t now_ms);

#endif
