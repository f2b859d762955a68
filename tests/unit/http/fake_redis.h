/*
 * A Redis server of few words for the worker's tests, on a free loopback port, in a thread of its
 * own.
 *
 *   GET k         "value of k"; of "none": nil; of "number": 9007199254740993
 *   SET …         OK
 *   ARGS …        a list of its arguments, a read
 *   BIG n         a string of n bytes, a read
 *   SCAN n        of 0: cursor 5 and a key; else 0 and the cursor that it was sent, a read
 *   FAIL …        -ERR it failed
 *   HANG …        nothing, until fake_redis_release(); then OK
 *   DROP …        it closes the connection
 *   SUBSCRIBE c   as Redis does, of one channel
 *   CONFIG …      OK; category @admin
 *   MULTI, EXEC   as Redis does; EXECABORT where a member is FAIL
 */
#ifndef BELLWETHER_TESTS_UNIT_HTTP_FAKE_REDIS_H
#define BELLWETHER_TESTS_UNIT_HTTP_FAKE_REDIS_H

#include <stddef.h>

#include "bellwether/base/address.h"

struct fake_redis;

struct fake_redis *fake_redis_start(void);
struct address fake_redis_address(const struct fake_redis *fake);
/** How many commands hang now. */
size_t fake_redis_hanging(struct fake_redis *fake);
/** Answer all that hang, and whatever would. */
void fake_redis_release(struct fake_redis *fake);
void fake_redis_stop(struct fake_redis *fake);

#endif
