/*
 * The failover log's own objects. failover_log_ring.c keeps entries, failover_log_story.c the story
 * of one master, failover_log_feed.c what is heard, failover_log.c the whole.
 */
#ifndef BELLWETHER_TOPOLOGY_FAILOVER_LOG_INTERNAL_H
#define BELLWETHER_TOPOLOGY_FAILOVER_LOG_INTERNAL_H

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
    bool tilted;    /* a Sentinel of the site was in TILT meanwhile */
    bool failed;    /* the node failed meanwhile */
    bool restarted; /* and came back as another process */
    int64_t gap_ms; /* it came back after so long; -1 unknown */
    /* after it: the entry that ended while the outage goes on; a reference */
    struct failover *unresolved;
    struct {
        bool set;
        struct failover_log_time at;
    } later[PHASES_COUNT]; /* sdown and odown heard since, for the next attempt */
    /*
     * before it: switched, and its leader is still at it though another entry has begun; a
     * reference
     */
    struct failover *tail;
    int64_t tail_first_boot_ms, tail_news_boot_ms, tail_published_wall_ms;
    bool undone; /* an adoption was undone: the way back is no failover */
    struct address undone_to;
};

/* What one Sentinel says that is about no master. */
struct teller {
    char sentinel[ADDRESS_TEXT_SIZE];
    size_t deployment;
    int64_t epoch; /* its last +new-epoch */
    bool tilt;
};

struct failover_log {
    size_t capacity;
    struct failover **ring; /* oldest first from `start`; a reference each */
    size_t start, n;
    struct failover_queue {
        struct failover **entries; /* not yet taken; a reference each */
        size_t n;
    } ended, resolved;
    struct list records; /* the youngest first */
    struct teller *tellers;
    size_t n_tellers;
    size_t n_open; /* entries */
    uint64_t last_id, revision;
};

/* ---- failover_log_ring.c ---- */

struct failover *failover_ref(struct failover *entry);
/** A new entry at the ring's end. @return a reference of the caller's. */
struct failover *failover_log_add(struct failover_log *failover_log, const char *name);
/** A copy that may be changed until the next call, in the place of `*entry` in the ring, too. */
struct failover *failover_log_edit(struct failover_log *failover_log, struct failover **entry);
/** The youngest entry of that master. @return its place in the ring; NULL: there is none. */
struct failover **failover_log_last(const struct failover_log *failover_log, const char *name);
/** For failover_log_take_ended() or failover_log_take_resolved(). */
void failover_log_queue(struct failover_queue *queue, struct failover *entry);
void failover_log_queue_release(struct failover_queue *queue);
void failover_log_ring_release(struct failover_log *failover_log);
bool failover_has_phase(const struct failover *entry, enum failover_phase phase);

/* ---- failover_log_story.c ---- */

/** The record's record of that Sentinel; NULL when there are too many. */
struct failover_record_vote *failover_record_vote(struct failover_record *record,
                                                  const char *sentinel);
bool failover_record_any_down(const struct failover_record *record);
bool failover_record_any_trying(const struct failover_record *record);
bool failover_record_any_leading(const struct failover_record *record);
bool failover_record_has_switched(const struct failover_record *record);
/** The Sentinels that lead what is open are out of reach, all of them. */
bool failover_record_lead_is_lost(const struct failover_record *record);
/**
 * @param of  the master that it is about, as a Sentinel says; counts where none is published. NULL:
 * unknown.
 */
void failover_record_open(struct failover_log *failover_log, struct failover_record *record,
                          const struct address *of, struct failover_log_time now);
/** A Sentinel does something about what was `unattended`. */
void failover_record_attend(struct failover_log *failover_log, struct failover_record *record);
void failover_record_phase(struct failover_log *failover_log, struct failover_record *record,
                           enum failover_phase phase, struct failover_log_time at);
void failover_record_close(struct failover_log *failover_log, struct failover_record *record,
                           enum failover_outcome outcome, const char *reason,
                           int64_t ended_wall_ms);
/** Something else begins: close what is open, or set it aside until its leader says the end. */
void failover_record_make_way(struct failover_log *failover_log, struct failover_record *record,
                              struct failover_log_time now);
/** The leader of what was set aside has ended it. */
void failover_record_finish_tail(struct failover_log *failover_log, struct failover_record *record,
                                 struct failover_log_time now);
/** ... or will not say so any more. */
void failover_record_drop_tail(struct failover_log *failover_log, struct failover_record *record);
/** Close what is open by what is known of it. */
void failover_record_cut(struct failover_log *failover_log, struct failover_record *record,
                         struct failover_log_time now);
/** A role check failed, or the state says so. */
void failover_record_fail(struct failover_log *failover_log, struct failover_record *record,
                          struct failover_log_time at);
/** Whatever can be closed now is. */
void failover_record_review(struct failover_log *failover_log, struct failover_record *record,
                            struct failover_log_time now);
/** When what is open has waited too long, boot clock; -1 never. */
int64_t failover_record_deadline_ms(const struct failover_record *record);
/** When there is something to review. */
int64_t failover_record_next_ms(const struct failover_record *record);
void failover_record_free(struct failover_record *record);

#endif
