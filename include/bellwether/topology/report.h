/*
 * What the watcher knows at one moment, with the ages that a snapshot can't carry because they
 * change by the second; and the decision in words. Made by the watcher when it is asked
 * (MESSAGE_ASK_STATUS), or, without ages, from a snapshot when the watcher does not answer.
 */
#ifndef BELLWETHER_TOPOLOGY_REPORT_H
#define BELLWETHER_TOPOLOGY_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/address.h"
#include "bellwether/topology/decide.h"
#include "bellwether/topology/snapshot.h"

#define STATUS_WORDS_SIZE 3072
#define STATUS_AGE_UNKNOWN (-1)

/* One Sentinel's observation of one master. */
struct status_vote {
    bool counts; /* it counts in the decision now */
    bool failover_under_way;
    int64_t age_ms;      /* since it last answered for this master; STATUS_AGE_UNKNOWN */
    int64_t interval_ms; /* how often it is asked now; -1 unknown */
};

/* The role checks of what is published. */
struct status_verification {
    bool known;     /* false: the report was made from a snapshot, and what follows is not known */
    bool enabled;   /* --verify */
    bool connected; /* the standing connection is up */
    bool answered;  /* something came of a question since the publication */
    enum role_answer answer;
    int64_t age_ms; /* since that question was put */
    /* since the last question that was answered with `master`; STATUS_AGE_UNKNOWN */
    int64_t master_age_ms;
    char words[384]; /* the node's own, or the network's */
};

struct status_master {
    struct snapshot_master *shown; /* one reference */
    struct status_vote *voices;    /* as many as shown->n_sentinels, in their order */
    bool has_decision;             /* false: made from a snapshot */
    struct decision decision;
    int64_t high_water; /* EPOCH_UNKNOWN */
    bool suspect;       /* the Sentinels are asked fast */
    struct status_verification verification;
    /* shown->fence is up; both only known to the watcher */
    int64_t fence_since_wall_ms; /* 0: it is down, or not known */
    const char *fence_why;       /* what last moved it, static; NULL: it is down, or not known */
};

/* A link to one Sentinel, whatever masters it is asked about. */
struct status_link {
    struct address address;
    struct address sentinel; /* the IP address it is connected to; unset while down */
    char run_id[RUN_ID_SIZE];
    bool configured, up;
    bool spare;            /* a second way to a Sentinel that is linked already: not dialled */
    unsigned failures;     /* in a row */
    const char *denied[8]; /* static words: what its ACL denies and is done without */
    size_t n_denied;
    char trouble[32]; /* the last one; "" none */
    char words[SENTINEL_TEXT_SIZE];
    int64_t trouble_wall_ms;
};

struct status_report {
    int64_t wall_ms;               /* of this moment */
    bool live;                     /* the watcher made it; false: from a snapshot */
    struct status_master *masters; /* by name */
    size_t n_masters;
    struct status_link *links;
    size_t n_links;
};

/** A report with room for that many masters and links; the caller fills them. Thread: any. */
struct status_report *status_report_new(size_t n_masters, size_t n_links);
/** What a snapshot alone can tell: no ages, no links. @param snapshot borrowed. Thread: any. */
struct status_report *status_report_of_snapshot(const struct snapshot *snapshot, int64_t wall_ms);
/** NULL is fine. Thread: any. */
void status_report_free(struct status_report *report);

/**
 * The decision in words, for a tired operator:
 * "10.0.0.12:6379: epoch 4 from 2 of 3 Sentinels, ROLE master 180 ms ago; 10.0.0.3:26379 still says
 * 10.0.0.11:6379 at epoch 3".
 * @return out. Thread: any.
 */
const char *status_say_decision(const struct status_master *master, char out[STATUS_WORDS_SIZE]);
/** The same of the role check alone: "ROLE master 180 ms ago". @return out. */
const char *status_say_verification(const struct status_master *master, char *out, size_t size);
/** "180 ms", "4.2 s", "3 min", "2 h"; "never" for a negative one. @return out, of 32 bytes. */
const char *status_say_age(int64_t age_ms, char out[32]);
/** Whether a Sentinel's word differs from what is published (or it can't be heard). */
bool status_disagrees(const struct status_master *master, size_t sentinel);
/** A rule's name: "higher_epoch", ... Static. */
const char *decide_rule_text(enum decide_rule rule);
/** A role check's outcome: "master", "other_role", "noperm", ... Static. */
const char *role_answer_text(enum role_answer answer);

#endif
