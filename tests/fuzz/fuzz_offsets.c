/* Any bytes as INFO replication: offsets are never negative, addresses are set. */
#include <stdlib.h>

#include "bellwether/redis/node_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const redisReply info = {
        .type = REDIS_REPLY_STRING, .str = (char *)(uintptr_t)data, .len = size};
    struct replica_offset *found;
    size_t n;

    if (node_info_offsets(&info, &found, &n) < -1) {
        abort();
    }
    for (size_t i = 0; i < n; i++) {
        if (found[i].offset < 0 || !address_is_set(&found[i].replica)) {
            abort();
        }
    }
    free(found);
    return 0;
}
