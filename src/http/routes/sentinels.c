/*
 * /sentinels and /masters/{name}/sentinels: what each one says. 200 in every state, since it is
 * what explains them.
 */
#include "master.h"
#include "table.h"

void sentinels_handle(struct request *request)
{
    struct cached_master *cached = masters_find(request);

    if (!cached) {
        return;
    }
    if (cache_stalled(request->worker->cache)) {
        masters_refuse_stalled(request, cached->master);
        return;
    }
    request_answer(request, cache_answer(request->worker->cache, cached, ANSWER_SENTINELS,
                                         answer_form_of(request->form, request->query.pretty)));
}
