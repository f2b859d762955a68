/*
 * Peers that lie, stall or are garbage: a thread that accepts connections and answers as the test
 * says.
 */
#ifndef BELLWETHER_TESTS_SUPPORT_FAKE_H
#define BELLWETHER_TESTS_SUPPORT_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fake_kind {
    FAKE_SILENT,   /* accepts, reads, never answers */
    FAKE_HTTP,     /* answers every connection like a web server */
    FAKE_GARBAGE,  /* random bytes at once */
    FAKE_CLOSER,   /* closes every connection at once */
    FAKE_SENTINEL, /* speaks RESP as a Sentinel with the answers below */
    FAKE_NODE,     /* speaks RESP as a Redis server with the role below */
};

/* What a fake Sentinel says of another one. */
struct fake_other {
    const char *run_id;
    const char *port; /* on 127.0.0.1 */
};

/* What a fake Sentinel or node says; change it with fake_say(). */
struct fake_words {
    char run_id[41];
    const char *master_name; /* the one name that it knows */
    const char *master_host; /* NULL: nil for every name */
    const char *master_port; /* text, so that it may be garbage */
    long long epoch;
    /* a command (upper case, "SENTINEL CKQUORUM") that it answers NOPERM; NULL: none */
    const char *deny;
    const char *flags;          /* of the row of a Sentinel; NULL: "master" */
    const char *failover_state; /* of that row; NULL: it leads none */
    const char *role;           /* of a node: "master", "replica" */
    const char *hello_error;    /* HELLO answers this error; NULL: a map */
    const char *greeting;       /* bytes that each connection gets, and then its end; NULL: none */
    const char *hello_bytes;    /* what HELLO is answered with, byte for byte; NULL: RESP */
    const char *myid_error;     /* SENTINEL MYID answers this error; NULL: the run id */
    bool loading;               /* a node: LOADING to all but HELLO */
    bool stall;                 /* answer nothing from now on */
    bool hold;                  /* answer later: once it is false again */
    bool away;                  /* connections end, and new ones at once */
    /* what every command but HELLO is answered with, byte for byte; NULL: RESP */
    const char *flood;
    /* a whole command: a connection that hears it is answered nothing more */
    const char *mute;
    /*
     * Of a Sentinel: more masters at the same address, the others that it lists for each, and one
     * master that is elsewhere, one epoch further.
     */
    const char *const *names;
    size_t n_names;
    const struct fake_other *others;
    size_t n_others;
    const char *moved_name, *moved_port;
    /* of master_name: that many more replicas, each on a host of its own */
    const char *const *replicas;
    size_t n_replicas;
    const char *replica_port;  /* of the one replica that it lists, on 127.0.0.1; NULL: none */
    const char *replica_flags; /* of each; NULL: slave */
};

struct fake;

/** Listens on a port of its own on 127.0.0.1; stopped when the test ends. */
struct fake *fake_start(enum fake_kind kind, const struct fake_words *words);
/** A Sentinel that names 127.0.0.1:`port` as `mymaster`, and knows of nobody else. */
struct fake *fake_start_sentinel(uint16_t port);
uint16_t fake_port(const struct fake *fake);
/** "127.0.0.1:port" */
const char *fake_address(const struct fake *fake);
/** Replace what it says. Strings are borrowed until the test ends. */
void fake_say(struct fake *fake, const struct fake_words *words);
/** Publish to every connection that subscribes. */
void fake_publish(struct fake *fake, const char *channel, const char *payload);
/** How many connections have a question that `hold` keeps from being answered. */
unsigned fake_held(struct fake *fake);
/** The most bytes that waited at a connection when it was read: asked while it was busy. */
size_t fake_backlog(struct fake *fake);
/** Connections accepted so far. */
unsigned fake_accepted(struct fake *fake);
/** Commands whose upper-case text begins with `command`. */
unsigned fake_heard(struct fake *fake, const char *command);

#endif
