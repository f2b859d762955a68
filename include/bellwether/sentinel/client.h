/*
 * The client to one Sentinel: two connections, one that asks and one that only listens, kept up for
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

/* Why a client is not of use. */
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

struct sentinel_client;
struct monitored_master; /* one watched master on one client */

struct sentinel_client_hooks {
    /* It is identified: its run id is known. */
    void (*up)(void *data, struct sentinel_client *client);
    /* It was up, or an attempt failed: sentinel_client_trouble() and _words() tell why. */
    void (*down)(void *data, struct sentinel_client *client);
    void (*answer)(void *data, struct sentinel_client *client, void *tag,
                   const struct sentinel_answer *answer);
    void (*event)(void *data, struct sentinel_client *client, const struct sentinel_event *event);
    void (*names)(void *data, struct sentinel_client *client,
                  const struct sentinel_master_row *rows, size_t n);
    void (*sentinels)(void *data, struct sentinel_client *client, void *tag,
                      const struct sentinel_peer_row *rows, size_t n);
    void (*replicas)(void *data, struct sentinel_client *client, void *tag,
                     const struct sentinel_replica_row *rows, size_t n);
    void (*ckquorum)(void *data, struct sentinel_client *client, void *tag, bool ok,
                     const char *text);
    /* Once a connection for each. */
    void (*denied)(void *data, struct sentinel_client *client, enum sentinel_extra what);
};

/** The command. Static. */
const char *sentinel_extra_text(enum sentinel_extra what);

struct sentinel_client_config {
    struct address address;  /* what to dial (mapped) */
    const char *username;    /* borrowed; NULL: none */
    struct secret *password; /* borrowed; re-read after WRONGPASS */
    struct redis_tls *tls;   /* borrowed; NULL: plain */
    /* borrowed; spoken to one that answers TLS where plain was spoken; NULL: it is not */
    struct redis_tls *tls_otherwise;
    unsigned group; /* of name look-ups: redis_conn_group() */
    int64_t poll_interval_ms;
    int64_t timeout_ms;
    bool discover; /* ask MASTERS every 10 s */
};

struct sentinel_client *sentinel_client_new(struct loop *loop,
                                            const struct sentinel_client_config *config,
                                            const struct sentinel_client_hooks *hooks, void *data);
/** May be called from a hook. No hook comes after it. Its monitored masters are freed too. */
void sentinel_client_free(struct sentinel_client *client);
/** Begin to dial, at once; no-op while dialling or up. Hooks never come from inside it. */
void sentinel_client_start(struct sentinel_client *client);
/** Hang up and stay so until sentinel_client_start(); no hook comes. */
void sentinel_client_pause(struct sentinel_client *client);
/**
 * Dial another address from now on; a connection that is up stays, and so does TLS, once it was
 * answered.
 */
void sentinel_client_redirect(struct sentinel_client *client, const struct address *address);

/** Whether TLS is spoken to it, and whether only because it answered so. */
bool sentinel_client_is_secure(const struct sentinel_client *client);
bool sentinel_client_is_secure_otherwise(const struct sentinel_client *client);
bool sentinel_client_is_up(const struct sentinel_client *client);
/** Whether its events come. */
bool sentinel_client_listens(const struct sentinel_client *client);
const struct address *sentinel_client_address(const struct sentinel_client *client);
/** The IP address it is connected to; meaningful while it is up. Borrowed. */
const struct address *sentinel_link_peer(const struct sentinel_client *client);
/** Connected on loopback: its loopback addresses mean something to us. */
bool sentinel_client_is_local(const struct sentinel_client *client);
/** "" before it was identified; kept while it is down. */
const char *sentinel_client_run_id(const struct sentinel_client *client);
/** Its ACL denies MYID, so what sentinel_client_run_id() gives is not its own word. */
bool sentinel_client_hides_id(const struct sentinel_client *client);
/** It hides its run id, and nobody else has told it: what stands for it is made of its address. */
bool sentinel_client_is_nameless(const struct sentinel_client *client);
/** It hides its run id, and others tell this one. */
void sentinel_client_name(struct sentinel_client *client, const char *run_id);
bool sentinel_client_tilt(const struct sentinel_client *client);
enum sentinel_trouble sentinel_client_trouble(const struct sentinel_client *client);
/** The words and the wall time of the last trouble; "" and 0 when there was none. */
const char *sentinel_client_words(const struct sentinel_client *client, int64_t *wall_ms);
/** How many times in a row it could not be reached or identified. */
unsigned sentinel_client_failures(const struct sentinel_client *client);
/** What its ACL denies: a set of enum sentinel_extra. */
unsigned sentinel_client_denied_extras(const struct sentinel_client *client);
/**
 * The interval at which a monitored master is asked in steady state, stretched when there are many,
 * jitter included.
 */
int64_t sentinel_client_interval_ms(const struct sentinel_client *client);

/**
 * Watch a master: it is asked at once when the client is up, then steadily. @param name copied.
 * @param tag given to hooks.
 */
struct monitored_master *sentinel_client_watch(struct sentinel_client *client, const char *name,
                                               void *tag);
void sentinel_client_unwatch(struct sentinel_client *client, struct monitored_master *monitored);
/**
 * Ask for the master's address now; while a question is in flight: once more when it is answered.
 */
void sentinel_client_ask(struct sentinel_client *client, struct monitored_master *monitored);
/** Ask for Sentinels, replicas and quorum now, too. */
void sentinel_client_ask_all(struct sentinel_client *client, struct monitored_master *monitored);
/** Ask MASTERS now. */
void sentinel_client_ask_names(struct sentinel_client *client);
/**
 * Answers to questions asked before now are not to be believed: they are dropped, and all is asked
 * anew.
 */
void sentinel_client_void(struct sentinel_client *client);
/**
 * Boot clock, microseconds: when the last question about the address that was answered had been
 * asked; 0: none yet.
 */
int64_t sentinel_monitored_master_answered_us(const struct monitored_master *monitored);

#endif
