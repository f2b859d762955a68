/* A request for a stream of channels or patterns: /redis/subscribe/…, /redis/psubscribe/…. */
#ifndef BELLWETHER_HTTP_ROUTES_SUBSCRIBE_H
#define BELLWETHER_HTTP_ROUTES_SUBSCRIBE_H

#include "redis.h"

/** Its master is known and it is welcome: it is answered, or waits. @param url the raw path. */
enum MHD_Result subscribe_begin(struct command_request *command, const char *url);
/** It has waited. */
enum MHD_Result subscribe_go_on(struct command_request *command);

#endif
