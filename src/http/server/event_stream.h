/*
 * The streams of /events (live_stream.h). Each reads from the ring what is new to it; when the ring
 * has run past its position it is cut off, and may come back with Last-Event-ID.
 */
#ifndef BELLWETHER_HTTP_SERVER_EVENT_STREAM_H
#define BELLWETHER_HTTP_SERVER_EVENT_STREAM_H

#include <stdbool.h>

#include "bellwether/topology/messages.h"
#include "bellwether/topology/snapshot.h"
#include "listener.h"

struct streams;

struct streams *streams_new(struct worker *worker);
/** No stream may be left. */
void streams_free(struct streams *streams);

/** Every master whose index grew is an event. @param before NULL: `now` is the first snapshot. */
void streams_hear_snapshot(struct streams *streams, const struct snapshot *before,
                           const struct snapshot *now);
void streams_hear_event(struct streams *streams, const struct message_event *message);
/** So much is untold that no more news may come before the next turn. */
bool streams_are_behind(const struct streams *streams);
/** Call those that have something to read, cut those that the ring ran past. In each turn. */
void streams_turn(struct streams *streams);

/**
 * A response that streams from now on.
 *
 * @param master    "" : all masters; else only what is about this one.
 * @param last_id   the caller's Last-Event-ID, or NULL.
 * @param present   borrowed: what the stream begins with where nothing is replayed; NULL: nothing
 * is known yet.
 * @param stalled   the watcher is silent: what is known may be old.
 * @return NULL: as many wait as may. Else its owner lets go with MHD_destroy_response().
 */
struct MHD_Response *streams_open(struct streams *streams, struct listener *listener,
                                  struct MHD_Connection *connection, const char *master,
                                  const char *last_id, struct snapshot *present, bool stalled);

#endif
