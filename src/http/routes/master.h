/* The master that a request is about, and the answers where there is none. */
#ifndef BELLWETHER_HTTP_ROUTES_MASTER_H
#define BELLWETHER_HTTP_ROUTES_MASTER_H

#include "http/server/request.h"

/** The master that the path names, or the default one; NULL: it was answered (404, 409, 503). */
struct cached_master *masters_find(struct request *request);
/**
 * 503, slug no-master. @param reason REASON_NONE: the master's own. @param detail NULL: the
 * master's own.
 */
void masters_refuse(struct request *request, const struct snapshot_master *master,
                    enum reason reason, const char *detail);
/** The same with reason `watcher_stalled` and words for it. */
void masters_refuse_stalled(struct request *request, const struct snapshot_master *master);
/** 404, slug unknown-master, with the names that the Sentinels know. */
void masters_answer_unknown(struct request *request, const char *name);

#endif
