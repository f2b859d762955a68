/* What the ways to a batch (batch_json.c, batch_path.c) share. */
#ifndef BELLWETHER_COMMANDS_BATCH_BUILD_H
#define BELLWETHER_COMMANDS_BATCH_BUILD_H

#include "bellwether/commands/batch.h"

/** `n` commands, of which nothing is known yet. */
struct batch *batch_new(size_t n);
/** The same with room for `n`, elsewhere in memory. */
struct batch *batch_grow(struct batch *batch, size_t n);
/** One more argument in RESP. @param bytes copied. */
void batch_put(struct batch *batch, struct command *command, const char *bytes, size_t size);
/** The same in two steps. @return where `size` bytes go. */
char *batch_begin_put(struct batch *batch, size_t size);
void batch_end_put(struct batch *batch, struct command *command, size_t size);

#endif
