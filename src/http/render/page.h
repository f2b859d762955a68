/*
 * The parts of the status page that page.c puts together. Pure: JSON as the other routes give it
 * in, markup out.
 */
#ifndef BELLWETHER_HTTP_RENDER_PAGE_H
#define BELLWETHER_HTTP_RENDER_PAGE_H

#include <jansson.h>
#include <stdbool.h>

#include "bellwether/topology/snapshot.h"
#include "html.h"

/* More masters than these: their tables start closed; their tables are left to the script. */
#define PAGE_CARDS_OPEN 4
#define PAGE_CARDS_FULL 64
/* The latest ones; /failovers has them all. */
#define PAGE_FAILOVERS 20

/**
 * The whole page. @param snapshot NULL before the first. @param alarm why what is known may be old;
 * NULL: it is not. free() it.
 */
char *page_render(const struct snapshot *snapshot, const char *alarm, size_t *size);
/** How a master's state looks: "good", "warn" or "bad". Static. */
const char *page_mood(const json_t *master);
/** 200 on /master. */
bool page_serves(const json_t *master);
/** A string member; NULL where it is null or missing. Borrowed. */
const char *page_string(const json_t *object, const char *key);
/** An address: it may break before its port. */
void page_address(struct html *html, const char *address);
/** A time as the other routes give it, for people. */
void page_time(struct html *html, const char *iso);
/** A word of the interface without its underscores. */
void page_plain(struct html *html, const char *word);
/** "702 ms", "2.31 s", "1 min 5 s". */
void page_duration(struct html *html, json_int_t ms);

/**
 * One master's card.
 * @param master               the `<master>` object.
 * @param detail               its reason in words, "" or NULL: none.
 * @param sentinels            the answer of the route of that name; NULL: no tables at all.
 * @param replicas             the same; NULL: not known.
 * @param is_default           marked as such.
 * @param open                 its tables are in sight from the start.
 */
void page_card(struct html *html, const json_t *master, const char *detail, const json_t *sentinels,
               const json_t *replicas, bool is_default, bool open);

/**
 * One entry of /failovers: its story and the bar. @param took_ms from its first phase to its end,
 * or to now.
 */
void page_failover(struct html *html, const json_t *entry, json_int_t took_ms);

#endif
