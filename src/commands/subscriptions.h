/* One master's channels and patterns, and who listens to them: see subscriber.h. */
#ifndef BELLWETHER_COMMANDS_SUBSCRIPTIONS_H
#define BELLWETHER_COMMANDS_SUBSCRIPTIONS_H

#include "bellwether/commands/subscriber.h"
#include "master_pool.h"

struct subscriptions;

/** As pool_subscribe(), on this master. */
const char *subscriptions_join(struct master_pool *master_pool, struct subscriber *subscriber,
                               enum subscriber_kind kind, const char *const *names, size_t n,
                               int64_t began_ms);
/* All of these take NULL as well: nobody has subscribed. */
/** At the end of the turn it is looked at what is to be done: the master may be another one. */
void subscriptions_review(struct subscriptions *subscriptions);
/** Whether anybody listens, or is to. */
bool subscriptions_are_wanted(const struct subscriptions *subscriptions);
/** How many listen, and to what. */
void subscriptions_look(const struct subscriptions *subscriptions, struct pool_view *out);
/** Whoever joins is told that the daemon ends. */
void subscriptions_drain(struct subscriptions *subscriptions);
/** Nobody may listen any more. */
void subscriptions_free(struct subscriptions *subscriptions);

#endif
