/*
 * Bytes and replies of a peer, made fit for logs and JSON: it can neither break a line nor make
 * invalid UTF-8 of a document. Pure. Thread: any.
 *
 * A row is a map (RESP3) or a flat array (RESP2) of names and values. Its fields are found by name,
 * so what comes and goes between versions does not matter; one of the wrong form counts as absent.
 */
#ifndef BELLWETHER_REDIS_REPLY_FIELDS_H
#define BELLWETHER_REDIS_REPLY_FIELDS_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Whether these bytes can be a name: 1 to `size` - 1 bytes of UTF-8 without blanks and control
 * characters.
 */
bool text_is_name(const char *bytes, size_t length, size_t size);
/** Copy, cut to `size`, all but printable ASCII replaced by '?'. @param size at least 1. */
void text_copy(const char *bytes, size_t length, char *out, size_t size);
/** Whole decimal digits, no sign. @return false (also over INT64_MAX), `out` untouched. */
bool text_number(const char *bytes, size_t length, int64_t *out);
bool text_is(const char *bytes, size_t length, const char *word);

/** A bulk, simple or verbatim string; NULL is none. */
bool reply_is_text(const redisReply *reply);
bool reply_is_row(const redisReply *reply);
/** @return 0; -BW_ENIL; -BW_EPROTO for all that is no text, NULL too. */
int reply_check_text(const redisReply *reply);
/** @return 0; -BW_ENIL; -BW_EPROTO for all that is no array or set (a map is none), NULL too. */
int reply_check_list(const redisReply *reply);
/** Copy what identifies: whole or not at all. @return 0; -BW_EPROTO: no name of that size. */
int reply_copy_name(const char *bytes, size_t length, char *out, size_t size);

/** A field of a row. Borrowed; NULL: it has none of that name. */
const redisReply *reply_field(const redisReply *row, const char *name);
/** @return a number that is not negative; -1: absent. */
int64_t reply_number_field(const redisReply *row, const char *name);
/** For people and for comparing with known words: text_copy(); "": absent. */
void reply_text_field(const redisReply *row, const char *name, char *out, size_t size);

#endif
