/*
 * The story of every failover: pure code, fed with Sentinel events, role checks, state changes and
 * publications, that keeps a ring of entries. No I/O, no clock. HTTP.md, `/failovers`.
 *
 *   quiet ──sdown, a state that does not serve──► trouble ──recovered, not_started──► quiet
 *     └───────────try, elected ...──► attempt ◄──┘   └─► attempt ──aborted──► quiet
 *                                        └──the answer moved──► switched ──finished──► quiet
 *
 * Trouble that goes on while no Sentinel does anything about it is `unattended` until one does, or
 * the master is back.
 *
 * One entry is open per master at the most, but for one that has switched and waits for its leader
 * to say the end while the next has begun. An attempt that ended without a new master ends its
 * entry; the next one for the same outage is an entry of its own, which begins with its own try.
 * Where an entry ended and the outage went on until the old master came back, its `unavailable_ms`
 * is filled in then.
 */
#ifndef BELLWETHER_TOPOLOGY_FAILOVER_LOG_H
#define BELLWETHER_TOPOLOGY_FAILOVER_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/address.h"
#include "bellwether/topology/decide.h"

#define FAILOVER_PHASES(X) \
    X(SUSPECTED, "suspected") \
    X(SDOWN, "sdown") \
    X(ODOWN, "odown") \
    X(ELECTED, "elected") \
    X(SELECTED, "selected") \
    X(PROMOTING, "promoting") \
    X(PROMOTED, "promoted") \
    X(ADOPTED, "adopted") \
    X(PUBLISHED, "published") \
    X(FINISHED, "finished")

enum failover_phase {
#define X(name, text) PHASE_##name,
    FAILOVER_PHASES(X)
#undef X
        PHASES_COUNT
};

enum failover_kind { FAILOVER_UNKNOWN, FAILOVER_CRASH, FAILOVER_MANUAL };
enum failover_outcome {
    FAILOVER_RUNNING,
    /* there is no master, and no Sentinel does anything about it; not an end */
    FAILOVER_UNATTENDED,
    FAILOVER_SWITCHED, /* from the publication on; it has ended when ended_wall_ms is set */
    FAILOVER_ABORTED,
    FAILOVER_NOT_STARTED,
    FAILOVER_RECOVERED
};

/* Immutable once shared. */
struct failover {
    _Atomic unsigned references;
    uint64_t id; /* grows by one with each entry of this process */
    char *name;
    bool has_from, has_to;
    /* `to`: the chosen replica while it runs, the new master once it switched */
    struct address from, to;
    int64_t config_epoch;           /* EPOCH_UNKNOWN */
    char leader[ADDRESS_TEXT_SIZE]; /* the Sentinel that led it, "" unknown */
    enum failover_kind kind;
    enum failover_outcome outcome;
    /*
     * static word: no_quorum, not_elected, no_good_slave, slave_timeout, master_timeout,
     * leader_lost, tilt, restarted; NULL
     */
    const char *reason;
    int64_t began_wall_ms;
    int64_t ended_wall_ms; /* 0: running, unattended, or switched and the Sentinels still at it */
    struct {
        enum failover_phase phase;
        int64_t at_wall_ms;
        int64_t ms;         /* since the first */
    } phases[PHASES_COUNT]; /* each at most once, in the order in which they came */
    size_t n_phases;
    /*
     * From the last good role check of the old master to publication, or to its return; 0 where it
     * answered all the while; -1: not (yet) known.
     */
    int64_t unavailable_ms;
};

/*
 * What the failover log is told of Sentinel events; what the watcher's parser says, mapped by the
 * watcher.
 */
enum failover_log_signal {
    FAILOVER_SIGNAL_SDOWN,
    FAILOVER_SIGNAL_SDOWN_END,
    FAILOVER_SIGNAL_ODOWN,
    FAILOVER_SIGNAL_ODOWN_END,
    FAILOVER_SIGNAL_TRY,
    FAILOVER_SIGNAL_ELECTED,
    FAILOVER_SIGNAL_SELECTED,
    FAILOVER_SIGNAL_PROMOTING,
    FAILOVER_SIGNAL_WAIT_PROMOTION,
    FAILOVER_SIGNAL_PROMOTED,
    FAILOVER_SIGNAL_SWITCHED,
    FAILOVER_SIGNAL_FINISHED,
    FAILOVER_SIGNAL_FINISHED_BY_TIMEOUT,
    FAILOVER_SIGNAL_NOT_ELECTED,
    FAILOVER_SIGNAL_NO_GOOD_SLAVE,
    FAILOVER_SIGNAL_SLAVE_TIMEOUT,
    FAILOVER_SIGNAL_MASTER_TIMEOUT,
    FAILOVER_SIGNAL_ABORTED,   /* for a reason that is not known here */
    FAILOVER_SIGNAL_FORGOTTEN, /* +reset-master, -monitor: whatever that Sentinel was at is over */
    /* no event: its row has force_failover or coordinated_failover, so an operator asked for it */
    FAILOVER_SIGNAL_FORCED,
    FAILOVER_SIGNAL_BUSY, /* no event: its row has a failover under way */
    FAILOVER_SIGNAL_LOST, /* no event: its link is down */
    FAILOVER_SIGNAL_TILT,
    FAILOVER_SIGNAL_TILT_END,
    FAILOVER_SIGNAL_NEW_EPOCH,
    FAILOVER_SIGNAL_SIGNALS_COUNT
};

struct failover_log_time {
    int64_t boot_ms;
    int64_t wall_ms;
};

/* Everything borrowed. */
struct failover_log_event {
    enum failover_log_signal signal;
    /* whom it is about; not looked at for TILT, TILT_END and NEW_EPOCH */
    struct failover_record *master;
    size_t deployment;    /* the deployment to which the Sentinel belongs */
    const char *sentinel; /* who says so, "host:port" */
    const struct address
        *of; /* mapped; the master that it is about, SWITCHED: the old one; NULL: not known */
    /*
     * mapped; the master for SDOWN and ODOWN, the replica for SELECTED to PROMOTED, the new master
     * for SWITCHED; may be NULL
     */
    const struct address *about;
    int64_t epoch;               /* NEW_EPOCH's; else EPOCH_UNKNOWN */
    int64_t failover_timeout_ms; /* as that Sentinel has it; <= 0 unknown */
};

/* What a role check of the published node came to. */
enum failover_log_check {
    FAILOVER_CHECK_GOOD,  /* it says master */
    FAILOVER_CHECK_ALIVE, /* it answers, its role may not be asked */
    FAILOVER_CHECK_BAD,   /* anything else; the end of the connection, too */
};

struct failover_log;
struct failover_record;

/** @param capacity entries kept, 1 at least. */
struct failover_log *failover_log_new(size_t capacity);
void failover_log_free(struct failover_log *failover_log);
/**
 * A master is watched from now on. @param name copied. @return its record, the failover log's own.
 */
struct failover_record *failover_log_watch(struct failover_log *failover_log, const char *name,
                                           size_t deployment);
/** How long Sentinels wait before they call it down, as far as they say. */
void failover_log_down_after(struct failover_record *record, int64_t down_after_ms);
/** That master is watched no longer: its open entry ends. */
void failover_log_forget(struct failover_record *record, struct failover_log_time now);
void failover_log_hear(struct failover_log *failover_log, const struct failover_log_event *event,
                       struct failover_log_time now);
/**
 * The published node was asked for its role; before failover_log_state() hears what came of it.
 * @param at a good answer proves nothing about later than its question; a bad one is news as of
 * now.
 */
void failover_log_checked(struct failover_record *record, enum failover_log_check check,
                          struct failover_log_time at);
/** A master's state. @param published NULL: none yet. */
void failover_log_state(struct failover_record *record, const struct address *published,
                        enum master_state state, struct failover_log_time now);
/**
 * The answer moved; before failover_log_state() hears what became of it. @param from NULL: the
 * first publication.
 * @param verified the new node itself said master. @param adopted by --adopt promoted.
 */
void failover_log_published(struct failover_record *record, const struct address *from,
                            const struct address *to, int64_t epoch, bool verified, bool adopted,
                            struct failover_log_time now);
/** The published node was restarted and is back: told by its entry, else by one of its own. */
void failover_log_restarted(struct failover_record *record, struct failover_log_time now);
/** Entries that waited too long for something are closed. @return whether anything changed. */
bool failover_log_tick(struct failover_log *failover_log, struct failover_log_time now);
/** The next time at which failover_log_tick() has something to do, boot clock; -1 never. */
int64_t failover_log_next_ms(const struct failover_log *failover_log);
/** Grows with every change. */
uint64_t failover_log_revision(const struct failover_log *failover_log);
/**
 * Entries that ended since the last call, oldest first, each once: for the log and the metrics.
 * @return NULL when there is none; a reference.
 */
struct failover *failover_log_take_ended(struct failover_log *failover_log);
/**
 * Entries that ended without an `unavailable_ms` and have one now, each once; to be asked after the
 * other. @return NULL when there is none; a reference.
 */
struct failover *failover_log_take_resolved(struct failover_log *failover_log);

/* A list for snapshots: newest first, immutable, shared. */
struct failovers {
    _Atomic unsigned references;
    size_t n;
    struct failover *entries[];
};
struct failovers *failover_log_list(const struct failover_log *failover_log);
/** NULL gives NULL. Thread: any. */
struct failovers *failovers_ref(struct failovers *list);
void failovers_unref(struct failovers *list);
void failover_unref(struct failover *entry);

const char *failover_phase_text(enum failover_phase phase);
const char *failover_kind_text(enum failover_kind kind);
const char *failover_outcome_text(enum failover_outcome outcome);

#endif
