/* /status as text, which the status page shows, too. */
#ifndef BELLWETHER_HTTP_ROUTES_STATUS_H
#define BELLWETHER_HTTP_ROUTES_STATUS_H

struct request;

/**
 * What `/status?format=text` answers now. free() it. @return NULL: the request waits for it, and
 * its handler is called again.
 */
char *status_ask_text(struct request *request);

#endif
