/* A worker's TLS: its files are looked at every now and then, and its certificates' ends told. */
#ifndef BELLWETHER_HTTP_SERVER_CERTIFICATES_H
#define BELLWETHER_HTTP_SERVER_CERTIFICATES_H

#include "worker.h"

struct certificates;

/** @return NULL where no listener and no forward has TLS. */
struct certificates *certificates_new(struct worker *worker);
void certificates_free(struct certificates *certificates);
/** Look at the files now, and then every 2 s. NULL is fine, as for the next. */
void certificates_start(struct certificates *certificates);
/** Read them again. */
void certificates_reload(struct certificates *certificates);

#endif
