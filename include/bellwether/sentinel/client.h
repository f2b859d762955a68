/*
 * The link to one Sentinel: two connections, one that asks and one that only listens, kept up for
 * ever.
 *
 * It owns when to ask (steady questions with jitter and a ceiling, hot questions at once and
 * coalesced), deadlines, reconnects and identification; it knows nothing of what the answers mean.
 * Everything belongs to the loop's thread.
 */
#ifndef BELLWETHER_SENTINEL_CLIENT_H
#define BELLWETHER_SENTINEL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/address.h"
#include "bellwether/base/loop.h"
#include "bellwether/base/secret.h"
#include "bellwether/redis/connection.h"
#include "bellwether/sentinel/event.h"
#include "bellwether/sentinel/reply.h"

#define SENTINEL_LINK_QUESTIONS_PER_SECOND 200 /* the ceiling of steady questions */
#define SENTINEL_LINK_SLOW_MS 10000            /* SENTINELS, REPLICAS, CKQUORUM, INFO */
#define SENTINEL_LINK_WORDS_SIZE \
    1280 /* what it says when it refuses us, whole: Redis' words on its protected mode are 1000 */

/* Why a link is not of use. */
enum sentinel_trouble {
    SENTINEL_TROUBLE_NONE,
    SENTINEL_TROUBLE_LOST,   /* can't be reached, closed, timed out */
    SENTINEL_TROUBLE_AUTH,   /* NOAUTH, WRONGPASS */
    SENTINEL_TROUBLE_DENIED, /* protected mode */
    SENTINEL_TROUBLE_TLS,    /* it answers TLS */
    SENTINEL_TROUBLE_NOT_SENTINEL,
    SENTINEL_TROUBLE_TOO_OLD, /* Redis before 6.2: it has no MYID */
};

/* Something that an ACL may deny and that can be done without. */
enum sentinel_extra {
    SENTINEL_EXTRA_PSUBSCRIBE = 1,
    SENTINEL_EXTRA_MASTERS = 2,
    SENTINEL_EXTRA_CKQUORUM = 4,
    /* then its address stands for its run id, unless somebody else knows that */
    SENTINEL_EXTRA_MYID = 8,
    SENTINEL_EXTRA_MASTER = 16,
    SENTINEL_EXTRA_LAST = SENTINEL_EXTRA_MASTER
};

/* GET-MASTER-ADDR-BY-NAME and MASTER, asked in one write. */
struct sentinel_answer {
    /* 0; -BW_ENIL unknown name; -BW_EINVAL unusable; -BW_EDENIED; -BW_EPROTO */
    int address_error;
    struct address address; /* valid when address_error is 0; as the Sentinel gives it */
    int row_error;          /* 0; -BW_ENOENT unknown name; -BW_EDENIED; -BW_EPROTO */
    struct sentinel_master_row row;
    const char *words; /* the error reply's text, or "" */
};

struct sentinel_link;
struct sentinel_seat; /* one watched master on one link */

struct sentinel_link_hooks {
    void (*up)(void *data, struct sentinel_link *link); /* identified: its run id is known */
    void (*down)(void *data,
                 /* was up, or an attempt failed; trouble and words tell */
                 struct sentinel_link *link);
    void (*answer)(void *data, struct sentinel_link *link, void *tag,
                   const struct sentinel_answer *answer);
    void (*event)(void *data, struct sentinel_link *link, const struct sentinel_event *event);
    void (*names)(void *data, struct sentinel_link *link, const struct sentinel_master_row *rows,
                  size_t n);
    void (*peers)(void *data, struct sentinel_link *link, void *tag,
                  const struct sentinel_peer_row *rows, size_t n);
    void (*replicas)(void *data, struct sentinel_link *link, void *tag,
                     const struct sentinel_replica_row *rows, size_t n);
    void (*ckquorum)(void *data, struct sentinel_link *link, void *tag, bool ok, const char *text);
    /* once a connection */
    void (*denied)(void *data, struct sentinel_link *link, enum sentinel_extra what);
};

/** The command. Static. */
const char *sentinel_extra_text(enum sentinel_extra what);

struct sentinel_link_config {
    struct address address;  /* what to dial (mapped) */
    const char *username;    /* borrowed; NULL: none */
    struct secret *password; /* borrowed; re-read after WRONGPASS */
    unsigned group;          /* of name look-ups: redis_conn_group() */
    int64_t poll_interval_ms;
    int64_t timeout_ms;
    bool discover; /* ask MASTERS every 10 s */
};

struct sentinel_link *sentinel_link_new(struct loop *loop,
                                        const struct sentinel_link_config *config,
                                        const struct sentinel_link_hooks *hooks, void *data);
/** May be called from a hook. No hook comes after it. Its seats are freed too. */
void sentinel_link_free(struct sentinel_link *link);
/** Begin to dial, at once; no-op while dialling or up. Hooks never come from inside it. */
void sentinel_link_start(struct sentinel_link *link);
/** Hang up and stay so until sentinel_link_start(); no hook comes. */
void sentinel_link_pause(struct sentinel_link *link);
/** Dial another address from now on; a connection that is up stays. */
void sentinel_link_redirect(struct sentinel_link *link, const struct address *address);

bool sentinel_link_is_up(const struct sentinel_link *link);
/** Whether its events come. */
bool sentinel_link_listens(const struct sentinel_link *link);
const struct address *sentinel_link_address(const struct sentinel_link *link);
/** The IP address it is connected to; meaningful while it is up. Borrowed. */
const struct address *sentinel_link_peer(const struct sentinel_link *link);
/** Connected on loopback: its loopback addresses mean something to us. */
bool sentinel_link_is_local(const struct sentinel_link *link);
const char *sentinel_link_run_id(
    const struct sentinel_link *link); /* "" before it was identified; kept while down */
/** Its ACL denies MYID, so what sentinel_link_run_id() gives is not its own word. */
bool sentinel_link_hides_id(const struct sentinel_link *link);
/** And nobody else has told it either: it is made of its address. */
bool sentinel_link_is_nameless(const struct sentinel_link *link);
/** Who it is that hides its run id, as others tell. */
void sentinel_link_name(struct sentinel_link *link, const char *run_id);
bool sentinel_link_tilt(const struct sentinel_link *link);
enum sentinel_trouble sentinel_link_trouble(const struct sentinel_link *link);
/** The words and the wall time of the last trouble; "" and 0 when there was none. */
const char *sentinel_link_words(const struct sentinel_link *link, int64_t *wall_ms);
/** How many times in a row it could not be reached or identified. */
unsigned sentinel_link_failures(const struct sentinel_link *link);
/* a set of enum sentinel_extra */
unsigned sentinel_link_denied_extras(const struct sentinel_link *link);
/**
 * The interval at which a seat is asked in steady state, stretched when there are many, jitter
 * included.
 */
int64_t sentinel_link_interval_ms(const struct sentinel_link *link);

/**
 * Watch a master: it is asked at once when the link is up, then steadily. @param name copied.
 * @param tag given to hooks.
 */
struct sentinel_seat *sentinel_link_watch(struct sentinel_link *link, const char *name, void *tag);
void sentinel_link_unwatch(struct sentinel_link *link, struct sentinel_seat *seat);
/**
 * Ask for the master's address now; while a question is in flight: once more when it is answered.
 */
void sentinel_link_ask(struct sentinel_link *link, struct sentinel_seat *seat);
/** Ask for Sentinels, replicas and quorum now, too. */
void sentinel_link_ask_all(struct sentinel_link *link, struct sentinel_seat *seat);
/** Ask MASTERS now. */
void sentinel_link_ask_names(struct sentinel_link *link);
/**
 * Answers to questions asked before now are not to be believed: they are dropped, and all is asked
 * anew.
 */
void sentinel_link_void(struct sentinel_link *link);
/**
 * Boot clock, microseconds: when the last question about the address that was answered had been
 * asked; 0: none yet.
 */
int64_t sentinel_seat_answered_us(const struct sentinel_seat *seat);

#endif
