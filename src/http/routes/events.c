/* /events: what a stream begins with, and whether it may begin. */
#include "http/server/event_stream.h"
#include "http/server/live_stream.h"
#include "http/server/response.h"
#include "master.h"
#include "table.h"

void events_handle(struct request *request)
{
    struct worker *worker = request->worker;
    const char *name = request->query.master;
    struct snapshot *snapshot = worker->cache->snapshot;
    struct MHD_Response *response;

    if (*name && snapshot && !snapshot_find(snapshot, name) &&
        !snapshot_knows_no_names(worker->cache->snapshot)) {
        masters_answer_unknown(request, name);
        return;
    }
    if (request->head) {
        response = live_stream_show_head();
    } else {
        response = streams_open(
            worker->streams, request->listener, request->connection, name,
            MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Last-Event-ID"),
            snapshot, cache_stalled(worker->cache));
    }
    if (!response) {
        request_answer_too_many_long_polls(request);
        return;
    }
    if (request->origin) {
        response_open(response, request->origin);
    }
    request->status = MHD_HTTP_OK;
    request->result = MHD_queue_response(request->connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
}
