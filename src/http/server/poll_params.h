/* ?wait=, and Prefer: wait with If-None-Match. */
#ifndef BELLWETHER_HTTP_SERVER_POLL_PARAMS_H
#define BELLWETHER_HTTP_SERVER_POLL_PARAMS_H

#include <stdbool.h>

#include "request.h"

/** Whether the request says that it would wait. */
bool poll_asks(const struct request *request);
/**
 * Whether the request is to wait for its master before it is answered; then nothing is left to do
 * now.
 */
bool poll_waits(struct request *request);

#endif
