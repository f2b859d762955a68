/*
 * Sentinel's pub/sub events: a channel and a payload in, a struct out. Pure. Source: redis and
 * valkey src/sentinel.c sentinelEvent().
 */
#ifndef BELLWETHER_SENTINEL_EVENT_H
#define BELLWETHER_SENTINEL_EVENT_H

#include <stddef.h>

#include "bellwether/base/address.h"
#include "bellwether/sentinel/reply.h"

/* ABORT_OTHER is every -failover-abort-... that has no line of its own. */
#define SENTINEL_EVENTS(X) \
    X(SWITCH_MASTER, "+switch-master") \
    X(SDOWN, "+sdown") \
    X(SDOWN_END, "-sdown") \
    X(ODOWN, "+odown") \
    X(ODOWN_END, "-odown") \
    X(SLAVE, "+slave") \
    X(SENTINEL, "+sentinel") \
    X(REBOOT, "+reboot") \
    X(CONVERT_TO_SLAVE, "+convert-to-slave") \
    X(FIX_SLAVE_CONFIG, "+fix-slave-config") \
    X(PROMOTED_SLAVE, "+promoted-slave") \
    X(SLAVE_RECONF_SENT, "+slave-reconf-sent") \
    X(SLAVE_RECONF_INPROG, "+slave-reconf-inprog") \
    X(SLAVE_RECONF_DONE, "+slave-reconf-done") \
    X(SLAVE_RECONF_SENT_BE, "+slave-reconf-sent-be") \
    X(SLAVE_RECONF_TIMEOUT, "-slave-reconf-sent-timeout") \
    X(RESET_MASTER, "+reset-master") \
    X(MONITOR, "+monitor") \
    X(MONITOR_END, "-monitor") \
    X(TRY_FAILOVER, "+try-failover") \
    X(ELECTED_LEADER, "+elected-leader") \
    X(SELECT_SLAVE, "+failover-state-select-slave") \
    X(SELECTED_SLAVE, "+selected-slave") \
    X(SEND_SLAVEOF_NOONE, "+failover-state-send-slaveof-noone") \
    X(WAIT_PROMOTION, "+failover-state-wait-promotion") \
    X(RECONF_SLAVES, "+failover-state-reconf-slaves") \
    X(FAILOVER_END, "+failover-end") \
    X(FAILOVER_END_FOR_TIMEOUT, "+failover-end-for-timeout") \
    X(ABORT_NOT_ELECTED, "-failover-abort-not-elected") \
    X(ABORT_NO_GOOD_SLAVE, "-failover-abort-no-good-slave") \
    X(ABORT_SLAVE_TIMEOUT, "-failover-abort-slave-timeout") \
    X(ABORT_MASTER_TIMEOUT, "-failover-abort-master-timeout") \
    X(ABORT_OTHER, "-failover-abort-") \
    X(CONFIG_UPDATE_FROM, "+config-update-from") \
    X(SENTINEL_ADDRESS_SWITCH, "+sentinel-address-switch") \
    X(SENTINEL_ADDRESS_UPDATE, "+sentinel-address-update") \
    X(SENTINEL_INVALID_ADDR, "+sentinel-invalid-addr") \
    X(ROLE_CHANGE, "+role-change") \
    X(ROLE_CHANGE_END, "-role-change") \
    X(TILT, "+tilt") \
    X(TILT_END, "-tilt") \
    X(NEW_EPOCH, "+new-epoch") \
    X(VOTE_FOR_LEADER, "+vote-for-leader") \
    X(SET, "+set")

enum sentinel_event_kind {
    SENTINEL_EVENT_OTHER, /* a channel that is not in the list */
#define X(name, channel) SENTINEL_EVENT_##name,
    SENTINEL_EVENTS(X)
#undef X
};

enum sentinel_instance {
    SENTINEL_INSTANCE_NONE,
    SENTINEL_INSTANCE_MASTER,
    SENTINEL_INSTANCE_SLAVE,
    SENTINEL_INSTANCE_SENTINEL
};

#define SENTINEL_CHANNEL_SIZE 64
#define SENTINEL_PAYLOAD_SIZE 256

struct sentinel_event {
    enum sentinel_event_kind kind;
    /* As they came, for people: cut, valid UTF-8, without control characters. */
    char channel[SENTINEL_CHANNEL_SIZE], payload[SENTINEL_PAYLOAD_SIZE];
    char master[SENTINEL_NAME_SIZE]; /* the master it is about; "" when it names none */
    enum sentinel_instance instance; /* what the payload is about */
    struct address address;          /* of that instance; +switch-master: the new address */
    /* the master's as the payload says; +switch-master: the old address */
    struct address master_address;
    int64_t epoch; /* +new-epoch, +vote-for-leader; else -1 */
    /*
     * what follows the instance: "#quorum 2/2", cut, all but printable ASCII replaced;
     * +vote-for-leader: the run id
     */
    char detail[160];
};

/**
 * @param channel,payload  borrowed, not terminated.
 * @param out  set on success, untouched on failure.
 * @return 0; -BW_EPROTO: the payload does not fit a known channel. An unknown channel gives
 *         SENTINEL_EVENT_OTHER with whatever instance its payload shows.
 */
int sentinel_parse_event(const char *channel, size_t channel_len, const char *payload,
                         size_t payload_len, struct sentinel_event *out);
/** The channel's name, "+sdown"; "" for OTHER. */
const char *sentinel_event_channel(enum sentinel_event_kind kind);

#endif
