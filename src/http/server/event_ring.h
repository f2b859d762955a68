/*
 * The last events of /events, each rendered once and shared by all streams of a worker: a stream
 * has nothing but a position in here. Pure.
 */
#ifndef BELLWETHER_HTTP_SERVER_EVENT_RING_H
#define BELLWETHER_HTTP_SERVER_EVENT_RING_H

#include <stddef.h>
#include <stdint.h>

struct ring_entry {
    char *text;
    size_t size;
    char *about; /* the master's name; NULL: it concerns all */
};

struct ring;

/** @param capacity how many events it holds; at least 1. */
struct ring *ring_new(size_t capacity);
/** From now on it holds so many; less than before is ignored. */
void ring_widen(struct ring *ring, size_t capacity);
size_t ring_capacity(const struct ring *ring);
/** Append; the oldest one goes where there is no room. It gets the number ring_next().
 * @param about borrowed, NULL: all. @param text taken. */
void ring_add(struct ring *ring, const char *about, char *text, size_t size);
/**
 * The number of the oldest event that it holds; ring_next() while it is empty. Numbers begin at 1.
 */
uint64_t ring_first(const struct ring *ring);
/** The number of the next event. */
uint64_t ring_next(const struct ring *ring);
/**
 * The event of that number, NULL when it is gone or not there yet. Borrowed until the next
 * ring_add().
 */
const struct ring_entry *ring_at(const struct ring *ring, uint64_t number);
void ring_free(struct ring *ring);

#endif
