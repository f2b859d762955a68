/* What everybody asks about a Sentinel. */
#ifndef BELLWETHER_WATCHER_SENTINEL_NODE_H
#define BELLWETHER_WATCHER_SENTINEL_NODE_H

#include "watcher.h"

/* Those of all deployments, from 0; NULL: there are no more. */
struct sentinel_node *watcher_sentinel_node(const struct watcher *watcher, size_t at);
/* Its own word, or that of who listed it; "" unknown. */
const char *sentinel_node_run_id(const struct sentinel_node *sentinel);
const char *sentinel_node_text(const struct sentinel_node *sentinel, char text[ADDRESS_TEXT_SIZE]);
/* as `error.code` in /sentinels has it */
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
/* NULL: it says nothing about that master. */
struct sentinel_view *master_sentinel_view(struct master *master,
                                           const struct sentinel_node *sentinel);
/* Whether its word counts for this master (rule 12). */
bool sentinel_view_counts(const struct sentinel_view *view);
bool sentinel_view_is_shadowed(const struct master *master, const struct sentinel_view *view);
void master_ask_sentinels(struct master *master);

#endif
