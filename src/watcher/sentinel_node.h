/* What everybody asks about a Sentinel. */
#ifndef BELLWETHER_WATCHER_SENTINEL_NODE_H
#define BELLWETHER_WATCHER_SENTINEL_NODE_H

#include "watcher.h"

/* The next one of all deployments' Sentinels, NULL being before the first and behind the last. */
struct sentinel_node *watcher_next_sentinel(const struct watcher *watcher,
                                            const struct sentinel_node *after);
/* The run id by its own word, or by that of who listed it; "" unknown. */
const char *sentinel_node_run_id(const struct sentinel_node *sentinel);
/* The address that is dialled, as text. @return text. */
const char *sentinel_node_text(const struct sentinel_node *sentinel, char text[ADDRESS_TEXT_SIZE]);
/* A trouble as `error.code` in /sentinels has it. */
const char *trouble_code(enum sentinel_trouble trouble);
/*
 * Why a mapped address, or what it resolves to, must not be believed (rule 10); NULL: nothing
 * speaks against it.
 */
struct refusal {
    const char *code, *words;
};
const struct refusal *sentinel_node_refusal(const struct sentinel_node *sentinel,
                                            const struct endpoint *node);
/*
 * An address that a Sentinel gave, mapped; false when it must not be believed:
 * sentinel_node_refusal() tells why.
 */
bool sentinel_node_map_address(const struct sentinel_node *sentinel, const struct address *given,
                               struct address *out);
/* What this Sentinel says about that master; NULL: it is not asked about it. */
struct sentinel_view *master_sentinel_view(struct master *master,
                                           const struct sentinel_node *sentinel);
/* Whether the Sentinel's word counts for this master (rule 12). */
bool sentinel_view_counts(const struct sentinel_view *view);
/* Whether another link to the same Sentinel is shown instead of this one. */
bool sentinel_view_is_shadowed(const struct master *master, const struct sentinel_view *view);
/* Have all Sentinels of a master asked for its address now. */
void master_ask_sentinels(struct master *master);

#endif
