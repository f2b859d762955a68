#ifndef BELLWETHER_HTTP_ROUTES_PAGE_H
#define BELLWETHER_HTTP_ROUTES_PAGE_H

struct request;

/** Answer with the status page. Thread: the worker. */
void page_handle(struct request *request);

#endif
