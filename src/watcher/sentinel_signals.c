/*
 * The table of what Sentinels' events mean. What an event's fields are is with its parser
 * (sentinel/event.c), what is done about a meaning with those who are told: failover_recorder.c,
 * fence_driver.c, early_adopt.c, watched_master.c.
 */
#include "sentinel_signals.h"

#include <stddef.h>

#include "bellwether/topology/decide.h"
#include "bellwether/topology/failover_log.h"
#include "bellwether/topology/write_fence.h"

#define EVENT(name) .kind = SENTINEL_EVENT_##name
#define LOG(signal) .log = FAILOVER_SIGNAL_##signal
#define NO_LOG .log = SIGNAL_NONE
#define FENCE(signal) .fence = FENCE_SAYS_##signal
#define NO_FENCE .fence = SIGNAL_NONE
#define ADOPT(step) .adopt = PROMOTION_##step
#define NO_ADOPT .adopt = SIGNAL_NONE
#define OF_MASTER .log_of_master = true
#define GOES_ON .course = FAILOVER_GOES_ON
#define IS_OVER .course = FAILOVER_IS_OVER
#define ASK_ALL .ask_all = true

/* clang-format off */
static const struct sentinel_signal signals[] = {
    /* somebody is down, or back */
    {EVENT(SDOWN), LOG(SDOWN), OF_MASTER, NO_FENCE, NO_ADOPT, ASK_ALL},
    {EVENT(SDOWN_END), LOG(SDOWN_END), OF_MASTER, NO_FENCE, NO_ADOPT, ASK_ALL},
    {EVENT(ODOWN), LOG(ODOWN), OF_MASTER, NO_FENCE, NO_ADOPT},
    {EVENT(ODOWN_END), LOG(ODOWN_END), OF_MASTER, NO_FENCE, NO_ADOPT},
    /* a leader's failover, in the order in which it says it */
    {EVENT(NEW_EPOCH), LOG(NEW_EPOCH), NO_FENCE, NO_ADOPT},
    {EVENT(TRY_FAILOVER), LOG(TRY), NO_FENCE, ADOPT(TRY), GOES_ON},
    {EVENT(ELECTED_LEADER), LOG(ELECTED), FENCE(ELECTED), ADOPT(ELECTED), GOES_ON},
    {EVENT(SELECT_SLAVE), NO_LOG, NO_FENCE, NO_ADOPT, GOES_ON},
    {EVENT(SELECTED_SLAVE), LOG(SELECTED), FENCE(CHOSEN), ADOPT(CHOSEN), GOES_ON},
    {EVENT(SEND_SLAVEOF_NOONE), LOG(PROMOTING), FENCE(CHOSEN), ADOPT(CHOSEN), GOES_ON},
    {EVENT(WAIT_PROMOTION), LOG(WAIT_PROMOTION), FENCE(PROMOTING), NO_ADOPT, GOES_ON},
    {EVENT(PROMOTED_SLAVE), LOG(PROMOTED), NO_FENCE, NO_ADOPT, GOES_ON},
    {EVENT(RECONF_SLAVES), NO_LOG, NO_FENCE, NO_ADOPT, GOES_ON},
    {EVENT(FAILOVER_END), LOG(FINISHED), NO_FENCE, ADOPT(ENDED), IS_OVER},
    {EVENT(FAILOVER_END_FOR_TIMEOUT), LOG(FINISHED_BY_TIMEOUT), NO_FENCE, ADOPT(ENDED), IS_OVER},
    {EVENT(SWITCH_MASTER), LOG(SWITCHED), NO_FENCE, ADOPT(ENDED), IS_OVER, ASK_ALL},
    /* it gives up */
    {EVENT(ABORT_NOT_ELECTED), LOG(NOT_ELECTED), FENCE(ABORTED), ADOPT(ABORTED), IS_OVER},
    {EVENT(ABORT_NO_GOOD_SLAVE), LOG(NO_GOOD_SLAVE), FENCE(ABORTED), ADOPT(ABORTED), IS_OVER},
    {EVENT(ABORT_SLAVE_TIMEOUT), LOG(SLAVE_TIMEOUT), FENCE(ABORTED), ADOPT(ABORTED), IS_OVER},
    {EVENT(ABORT_MASTER_TIMEOUT), LOG(MASTER_TIMEOUT), FENCE(ABORTED), ADOPT(ABORTED), IS_OVER},
    {EVENT(ABORT_OTHER), LOG(ABORTED), FENCE(ABORTED), ADOPT(ABORTED), IS_OVER},
    /* what it watches */
    {EVENT(RESET_MASTER), LOG(FORGOTTEN), FENCE(ABORTED), NO_ADOPT, ASK_ALL},
    {EVENT(MONITOR), NO_LOG, NO_FENCE, NO_ADOPT, ASK_ALL},
    {EVENT(MONITOR_END), LOG(FORGOTTEN), FENCE(ABORTED), NO_ADOPT},
    {EVENT(SLAVE), NO_LOG, NO_FENCE, NO_ADOPT, ASK_ALL},
    {EVENT(SENTINEL), NO_LOG, NO_FENCE, NO_ADOPT, ASK_ALL},
    {EVENT(SENTINEL_ADDRESS_SWITCH), NO_LOG, NO_FENCE, NO_ADOPT, ASK_ALL},
    {EVENT(SENTINEL_ADDRESS_UPDATE), NO_LOG, NO_FENCE, NO_ADOPT, ASK_ALL},
    {EVENT(SET), NO_LOG, NO_FENCE, NO_ADOPT, ASK_ALL},
    /* itself */
    {EVENT(TILT), LOG(TILT), NO_FENCE, NO_ADOPT},
    {EVENT(TILT_END), LOG(TILT_END), NO_FENCE, NO_ADOPT},
};
/* clang-format on */

const struct sentinel_signal *sentinel_signal(enum sentinel_event_kind kind)
{
    static const struct sentinel_signal nothing = {NO_LOG, NO_FENCE, NO_ADOPT};

    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
        if (signals[i].kind == kind) {
            return &signals[i];
        }
    }
    return &nothing;
}
