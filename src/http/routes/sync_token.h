/* Tokens that say: whoever holds this has written. */
#ifndef BELLWETHER_HTTP_ROUTES_SYNC_TOKEN_H
#define BELLWETHER_HTTP_ROUTES_SYNC_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYNC_TOKEN_SIZE 18

/** @param write another number for each write of this worker. @return out. */
const char *sync_token_make(uint64_t write, size_t worker, char out[SYNC_TOKEN_SIZE]);
/** Whether it is one of ours, of this daemon or another one; NULL and "" are not. */
bool sync_token_is(const char *text);

#endif
