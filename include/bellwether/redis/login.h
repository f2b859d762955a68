/*
 * Who to be on which masters and their replicas. Each owner has copies of its own: passwords are
 * read again from their files.
 */
#ifndef BELLWETHER_REDIS_LOGIN_H
#define BELLWETHER_REDIS_LOGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/secret.h"
#include "bellwether/redis/redis_tls.h"

struct redis_login {
    const char *master;      /* NULL: everybody else's */
    const char *username;    /* NULL: default */
    struct secret *password; /* one without a value: none */
    struct redis_tls *tls;   /* borrowed; NULL: plain */
};

struct redis_logins;

/** @param from the first one, without a name, is for all others; at least that one. Copied. */
struct redis_logins *redis_logins_copy(const struct redis_login *from, size_t n);
/** That master's, or everybody's. Borrowed. */
const struct redis_login *redis_logins_of(const struct redis_logins *logins, const char *master);
/**
 * Credential files: read again what changed, or all with `force`. @param taken_ms raised to when
 * the youngest password was taken, wall clock. @return whether all could be read.
 */
bool redis_logins_refresh(struct redis_logins *logins, bool force, int64_t *taken_ms);
/** NULL is fine. */
void redis_logins_free(struct redis_logins *logins);

#endif
