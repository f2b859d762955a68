/* What /self says of the node named by --self, and /nodes of any other. */
#ifndef BELLWETHER_HTTP_ROUTES_SELF_H
#define BELLWETHER_HTTP_ROUTES_SELF_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "bellwether/topology/snapshot.h"

struct request;

/* What is asked of the node. */
enum self_question { SELF_ASK_MASTER, SELF_ASK_REPLICA, SELF_ASK_READY };

#define SELF_ANY_LAG (-1)

/**
 * Whether the answer is yes.
 *
 * @param needs_majority  --self-requires majority.
 * @param max_lag_bytes  for replicas; SELF_ANY_LAG: whatever it is.
 * @return NULL: yes; else why not, a word that lives as long as `self`. Thread: any.
 */
const char *self_why_not(const struct snapshot_self *self, enum self_question question,
                         bool needs_majority, int64_t max_lag_bytes);
/** The object of /self, a new reference. Thread: any. */
json_t *self_render(const struct snapshot_self *self);

/** Answer 200 with what the node is. */
void self_confirm(struct request *request, const struct snapshot_self *self);
/** Answer 503, slug not-in-role. @param reason the word that says why. */
void self_refuse(struct request *request, const struct snapshot_self *self, const char *reason);

#endif
