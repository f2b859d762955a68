/*
 * The settlement table of DESIGN section 5: what is done about a command that was not simply
 * answered. Pure.
 */
#ifndef BELLWETHER_COMMANDS_SETTLE_H
#define BELLWETHER_COMMANDS_SETTLE_H

#include <stdbool.h>

#include "bellwether/metrics/metric_list.h"

/* What happened to it. */
enum mishap {
    /* its connection ended, or the fence came up, before any of it was written */
    MISHAP_UNSENT,
    MISHAP_UNWRITTEN,  /* its connection ended before all of it was written */
    MISHAP_LOST,       /* all of it was written, then the connection ended */
    MISHAP_READONLY,   /* the server refused it: READONLY */
    MISHAP_LOADING,    /* LOADING, BUSY loading */
    MISHAP_MASTERDOWN, /* MASTERDOWN */
    /* a transaction was discarded because a member was refused with one of these three */
    MISHAP_EXECABORT,
    MISHAP_FENCED,     /* answered by the old master after the promotion had begun */
    MISHAP_DEADLINE,   /* its time is over and it was written */
    MISHAP_NEVER_SENT, /* its time is over and it was not */
    MISHAPS
};

/* What it is. */
struct settle_facts {
    bool read_only;    /* by the server's COMMAND; a transaction: all its members */
    bool script;       /* may forge the words of a refusal */
    bool retry_always; /* the caller says it may run twice */
};

enum settlement {
    SETTLE_RUN_AGAIN, /* on the published master, now */
    SETTLE_REST,      /* the same, after a while */
    SETTLE_TAKE,      /* the answer stands as it is */
    SETTLE_UNKNOWN,   /* answered as unknown; it never runs again */
    SETTLE_NOT_SENT,  /* answered as not sent */
};

/** @param reason  set to the metric's reason where it is to run again; else untouched. */
enum settlement settle(enum mishap mishap, const struct settle_facts *facts,
                       enum metric_retry *reason);

/** Which refusal an error's first word is. @return MISHAPS: none of them. */
enum mishap settle_refusal(const char *words);

#endif
