/*
 * What is the same for every handle of libuv's: a failure that nobody can handle, and the end.
 */
#include <stdlib.h>

#include "bellwether/base/log.h"
#include "loop_internal.h"

void loop_must(int result, const char *what)
{
    if (result < 0) {
        log_error("event loop failed", LOG_STR("call", what),
                  LOG_STR("error", uv_strerror(result)));
        (void)log_flush(LOG_LAST_PATIENCE_MS);
        abort();
    }
}

void loop_handle_closed(uv_handle_t *handle)
{
    free(handle->data);
}
