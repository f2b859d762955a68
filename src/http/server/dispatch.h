/* From libmicrohttpd's calls to the handlers of the routes. */
#ifndef BELLWETHER_HTTP_SERVER_DISPATCH_H
#define BELLWETHER_HTTP_SERVER_DISPATCH_H

#include <microhttpd.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/http/router.h"
#include "listener.h"

/*
 * A body this much over max-body is still read and dropped, so that a caller who sends first and
 * reads afterwards sees the 413; beyond it the connection closes.
 */
#define BODY_EXCESS_READ (4 << 20)

/** MHD's access handler. @param data the listener. */
enum MHD_Result dispatch_handle(void *data, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *upload,
                                size_t *upload_size, void **state);
/** An answer was given: count it. @param route NULL: none. @param began_us boot clock. */
void dispatch_count(struct worker *worker, const struct route *route, const char *method,
                    unsigned status, int64_t began_us);
/** MHD's completion callback: frees what the request kept. */
void dispatch_completed(void *data, struct MHD_Connection *connection, void **state,
                        enum MHD_RequestTerminationCode why);

#endif
