/* Any bytes as INFO replication: offsets are never negative, addresses are set. */
#include <stdlib.h>

#include "watcher/offsets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct replica_offset *found;
    size_t n;

    if (offsets_parse((const char *)data, size, &found, &n) < -1) {
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
