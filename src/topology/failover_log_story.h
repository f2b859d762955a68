/* The story of one master. */
#ifndef BELLWETHER_TOPOLOGY_FAILOVER_LOG_STORY_H
#define BELLWETHER_TOPOLOGY_FAILOVER_LOG_STORY_H

#include "bellwether/base/list.h"
#include "bellwether/topology/failover_log.h"

/* What one Sentinel has said about one master. */
struct failover_record_vote {
    char sentinel[ADDRESS_TEXT_SIZE];
    bool sdown, odown;    /* stands */
    bool trying, leading; /* in the open entry */
    bool lost;            /* its link was, and nothing was heard since */
};

/* One watched master. */
struct failover_record {
    struct list_link link;
    struct failover_log *log;
    char *name;
    size_t deployment;
    /* what is known of the published node */
    bool has_published;
    struct address published;
    int64_t published_epoch, published_boot_ms;
    bool serving; /* its state, as last told */
    bool failing; /* no good role check since: */
    struct failover_log_time failing_since;
    bool has_good;
    struct failover_log_time good; /* the last good role check */
    struct failover_record_vote *votes;
    size_t n_votes;
    int64_t failover_timeout_ms, down_after_ms;
    /* the open entry */
    struct failover *entry; /* a reference; NULL: none */
    int64_t first_boot_ms;  /* of its first phase */
    int64_t attempt_boot_ms;
    int64_t published_wall_ms;
    int64_t message_boot_ms; /* the last progress: deadlines count from here */
    bool attempted;          /* a Sentinel tries */
    bool finished;           /* the leader has, and nothing was published yet */
    bool adopted;
    bool tilted;    /* a Sentinel of its deployment was in TILT meanwhile */
    bool failed;    /* the node failed meanwhile */
    bool restarted; /* and came back as another process */
    int64_t gap_ms; /* it came back after so long; -1 unknown */
    /* ended, and the outage goes on; a reference; NULL: none */
    struct failover *unresolved;
    struct {
        bool set;
        struct failover_log_time at;
    } later[PHASES_COUNT]; /* sdown and odown heard since, for the next attempt */
    /* switched, and its leader is still at it though another entry has begun; NULL: none */
    struct failover *tail;
    int64_t tail_first_boot_ms, tail_news_boot_ms, tail_published_wall_ms;
    bool undone; /* an adoption was undone: the way back is no failover */
    struct address undone_to;
};

/* What the Sentinels of one master say, all together. */
struct failover_record_says {
    bool down, trying, leading; /* one of them at least */
    bool lead_is_lost;          /* those that lead what is open are out of reach, all of them */
};

struct failover_record_says failover_record_says(const struct failover_record *record);
/** What that Sentinel has said; NULL when there are too many. */
struct failover_record_vote *failover_record_vote(struct failover_record *record,
                                                  const char *sentinel);
bool failover_record_has_switched(const struct failover_record *record);
/**
 * Open an entry. @param of the master that it is about, as a Sentinel says; counts where none is
 * published. NULL: unknown.
 */
void failover_record_open(struct failover_record *record, const struct address *of,
                          struct failover_log_time now);
/** A Sentinel does something about what was `unattended`. */
void failover_record_attend(struct failover_record *record);
void failover_record_phase(struct failover_record *record, enum failover_phase phase,
                           struct failover_log_time at);
void failover_record_close(struct failover_record *record, enum failover_outcome outcome,
                           const char *reason, int64_t ended_wall_ms);
/** Something else begins: close what is open, or set it aside until its leader says the end. */
void failover_record_make_way(struct failover_record *record, struct failover_log_time now);
/** The leader of what was set aside has ended it. */
void failover_record_finish_tail(struct failover_record *record, struct failover_log_time now);
/** The leader of what was set aside, if anything was, will not say its end any more. */
void failover_record_drop_tail(struct failover_record *record);
/** Close what is open by what is known of it. */
void failover_record_cut(struct failover_record *record, struct failover_log_time now);
/** Whatever can be closed now is. */
void failover_record_review(struct failover_record *record, struct failover_log_time now);
/** When there is something to review, boot clock; -1 never. */
int64_t failover_record_next_ms(const struct failover_record *record);
void failover_record_free(struct failover_record *record);

#endif
