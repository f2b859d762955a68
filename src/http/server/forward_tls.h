/* A worker's TLS towards the clients of forwards: with the certificate that listeners show. */
#ifndef BELLWETHER_HTTP_SERVER_FORWARD_TLS_H
#define BELLWETHER_HTTP_SERVER_FORWARD_TLS_H

#include "bellwether/forward/forward.h"
#include "worker.h"

struct forward_sessions;

/** After the certificates. @param out set. @return NULL where the worker has no TLS. */
struct forward_sessions *forward_sessions_new(struct worker *worker, struct forward_tls *out);
/** After the forwards. NULL is fine. */
void forward_sessions_free(struct forward_sessions *sessions);

#endif
