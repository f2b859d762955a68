/* One request on its way. */
#ifndef BELLWETHER_COMMANDS_REQUEST_SEND_H
#define BELLWETHER_COMMANDS_REQUEST_SEND_H

#include "request_run.h"

/** Write what can be written, or refuse it. @return false: it has to wait. */
bool request_run_send(struct request_run *run);
/** Its time is over. */
void request_run_expire(struct request_run *run);

#endif
