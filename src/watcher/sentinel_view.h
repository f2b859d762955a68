/* What one Sentinel says about one master. */
#ifndef BELLWETHER_WATCHER_SENTINEL_VIEW_H
#define BELLWETHER_WATCHER_SENTINEL_VIEW_H

#include "watcher.h"

struct sentinel_view *sentinel_view_new(struct master *master, struct sentinel_node *sentinel);
void sentinel_view_free(struct sentinel_view *view);
/* Another Sentinel answers at that address: what the one before it said is forgotten. */
void sentinel_view_begin(struct sentinel_view *view);
/* The Sentinel's answer to the question for the address and the row. */
void sentinel_view_hear_answer(struct sentinel_view *view, const struct sentinel_answer *answer);
/* The other Sentinels that it lists. */
void sentinel_view_hear_sentinels(struct sentinel_view *view, const struct sentinel_peer_row *rows,
                                  size_t n);
/* The replicas that it lists. */
void sentinel_view_hear_replicas(struct sentinel_view *view,
                                 const struct sentinel_replica_row *rows, size_t n);
/* Whether it could reach a quorum, in its words. */
void sentinel_view_hear_ckquorum(struct sentinel_view *view, bool ok, const char *text);
/* The link to the Sentinel went down. */
void sentinel_view_lose(struct sentinel_view *view);
/* A name look-up ended: the answer that waited for it, if any, goes on. */
void sentinel_view_resume(struct sentinel_view *view);

#endif
