/* Reading past the rest of a reply. */
#ifndef BELLWETHER_REDIS_REPLY_SKIP_H
#define BELLWETHER_REDIS_REPLY_SKIP_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is left of a reply that nobody wants. */
struct conn_skip {
    uint64_t items;  /* to come, the one under way included; 0: nothing is skipped */
    uint64_t bytes;  /* of the string under way, its line end included */
    char type;       /* of the item whose line is under way; 0: its first byte is to come */
    uint64_t length; /* that the line says, so far */
    bool negative;
};

/**
 * From where the reader stands to the end of its reply, if one is under way, and so many whole ones
 * behind it.
 */
void conn_skip_begin(struct conn_skip *skip, const redisReader *reader, unsigned more);
/** @return how many of these bytes belong to it; with `ok` false they are no RESP. */
size_t conn_skip(struct conn_skip *skip, const char *bytes, size_t size, bool *ok);

#endif
