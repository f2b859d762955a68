/*
 * The timeline's own objects. failover_log.c keeps entries, failover_log_story.c the story of one
 * master, failover_log_feed.c what is heard.
 */
#ifndef BELLWETHER_TOPOLOGY_FAILOVER_LOG_INTERNAL_H
#define BELLWETHER_TOPOLOGY_FAILOVER_LOG_INTERNAL_H

#include "bellwether/topology/failover_log.h"

/* What one Sentinel has said about one master. */
struct track_voice {
    char sentinel[ADDRESS_TEXT_SIZE];
    bool sdown, odown;    /* stands */
    bool trying, leading; /* in the open entry */
    bool lost;            /* its link was, and nothing was heard since */
};

/* One watched master. */
struct timeline_master {
    struct timeline_master *next;
    char *name;
    size_t site;
    /* what is known of the published node */
    bool has_published;
    struct address published;
    int64_t published_epoch, published_boot_ms;
    bool serving; /* its state, as last told */
    bool failing; /* no good role check since: */
    struct timeline_time failing_since;
    bool has_good;
    struct timeline_time good; /* the last good role check */
    struct track_voice *voices;
    size_t n_voices;
    int64_t failover_timeout_ms, down_after_ms;
    /* the open entry */
    struct failover *entry; /* a reference; NULL: none */
    int64_t first_boot_ms;  /* of its first phase */
    int64_t attempt_boot_ms;
    int64_t published_wall_ms;
    int64_t news_boot_ms; /* the last progress: deadlines count from here */
    bool attempted;       /* a Sentinel tries */
    bool finished;        /* the leader has, and nothing was published yet */
    bool adopted;
    bool tilted;    /* a Sentinel of the site was in TILT meanwhile */
    bool failed;    /* the node failed meanwhile */
    bool restarted; /* and came back as another process */
    int64_t gap_ms; /* it came back after so long; -1 unknown */
    /* after it: the entry that ended while the outage goes on; a reference */
    struct failover *unresolved;
    struct {
        bool set;
        struct timeline_time at;
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
    size_t site;
    int64_t epoch; /* its last +new-epoch */
    bool tilt;
};

struct timeline {
    size_t capacity;
    struct failover **ring; /* oldest first from `start`; a reference each */
    size_t start, n;
    struct failover_queue {
        struct failover **entries; /* not yet taken; a reference each */
        size_t n;
    } ended, resolved;
    struct timeline_master *tracks;
    struct teller *tellers;
    size_t n_tellers;
    size_t n_open; /* entries */
    uint64_t last_id, revision;
};

/* ---- failover_log.c ---- */

struct failover *failover_ref(struct failover *entry);
/** A new entry at the ring's end. @return a reference of the caller's. */
struct failover *timeline_add(struct timeline *timeline, const char *name);
/** A copy that may be changed until the next call, in the place of `*entry` in the ring, too. */
struct failover *timeline_edit(struct timeline *timeline, struct failover **entry);
/** The youngest entry of that master. @return its place in the ring; NULL: there is none. */
struct failover **timeline_last(const struct timeline *timeline, const char *name);
/** For timeline_take_ended() or timeline_take_resolved(). */
void timeline_queue(struct failover_queue *queue, struct failover *entry);
bool failover_has_phase(const struct failover *entry, enum failover_phase phase);

/* ---- failover_log_story.c ---- */

/** The track's record of that Sentinel; NULL when there are too many. */
struct track_voice *track_voice(struct timeline_master *track, const char *sentinel);
bool track_any_down(const struct timeline_master *track);
bool track_any_trying(const struct timeline_master *track);
bool track_any_leading(const struct timeline_master *track);
bool track_has_switched(const struct timeline_master *track);
/** The Sentinels that lead what is open are out of reach, all of them. */
bool track_lead_is_lost(const struct timeline_master *track);
/**
 * @param of  the master that it is about, as a Sentinel says; counts where none is published. NULL:
 * unknown.
 */
void track_open(struct timeline *timeline, struct timeline_master *track, const struct address *of,
                struct timeline_time now);
/** A Sentinel does something about what was `unattended`. */
void track_attend(struct timeline *timeline, struct timeline_master *track);
void track_phase(struct timeline *timeline, struct timeline_master *track,
                 enum failover_phase phase, struct timeline_time at);
void track_close(struct timeline *timeline, struct timeline_master *track,
                 enum failover_outcome outcome, const char *reason, int64_t ended_wall_ms);
/** Something else begins: close what is open, or set it aside until its leader says the end. */
void track_make_way(struct timeline *timeline, struct timeline_master *track,
                    struct timeline_time now);
/** The leader of what was set aside has ended it. */
void track_finish_tail(struct timeline *timeline, struct timeline_master *track,
                       struct timeline_time now);
/** ... or will not say so any more. */
void track_drop_tail(struct timeline *timeline, struct timeline_master *track);
/** Close what is open by what is known of it. */
void track_cut(struct timeline *timeline, struct timeline_master *track, struct timeline_time now);
/** A role check failed, or the state says so. */
void track_fail(struct timeline *timeline, struct timeline_master *track, struct timeline_time at);
/** Whatever can be closed now is. */
void track_review(struct timeline *timeline, struct timeline_master *track,
                  struct timeline_time now);
/** When what is open has waited too long, boot clock; -1 never. */
int64_t track_deadline_ms(const struct timeline_master *track);
/** When there is something to review. */
int64_t track_next_ms(const struct timeline_master *track);
void track_free(struct timeline_master *track);

#endif
