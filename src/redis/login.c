/* Copies of what there is to log in with. */
#include "bellwether/redis/login.h"

#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"

struct redis_logins {
    struct redis_login *rows; /* whose texts and passwords are ours */
    size_t n;
};

struct redis_logins *redis_logins_copy(const struct redis_login *from, size_t n)
{
    struct redis_logins *logins = mem_new(1, sizeof(*logins));

    logins->n = n;
    logins->rows = mem_new(n, sizeof(*logins->rows));
    for (size_t i = 0; i < n; i++) {
        logins->rows[i] = (struct redis_login){.master = mem_strdup(from[i].master),
                                               .username = mem_strdup(from[i].username),
                                               .password = secret_copy(from[i].password),
                                               .tls = from[i].tls};
    }
    return logins;
}

const struct redis_login *redis_logins_of(const struct redis_logins *logins, const char *master)
{
    for (size_t i = 1; i < logins->n; i++) {
        if (strcmp(logins->rows[i].master, master) == 0) {
            return &logins->rows[i];
        }
    }
    return &logins->rows[0];
}

const char *redis_login_refusal(const struct redis_login *login, const char *words)
{
    static const char *const known[] = {"WRONGPASS ", "NOAUTH ", "NOPERM ", "LOADING "};
    const char *password = secret_value(login->password);

    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (strncmp(words, known[i], strlen(known[i])) == 0) {
            return words; /* Redis' own, which repeat nothing */
        }
    }
    if (strncmp(words, "ERR", 3) == 0 && strstr(words, "unknown command")) {
        return "it does not know AUTH";
    }
    return password && *password != '\0' && strstr(words, password) ? "it refuses the login"
                                                                    : words;
}

bool redis_logins_refresh(struct redis_logins *logins, bool force, int64_t *taken_ms)
{
    char error[256];
    bool ok = true;

    for (size_t i = 0; i < logins->n; i++) {
        /* the watcher says why */
        ok = secret_refresh(logins->rows[i].password, force, error, sizeof(error)) >= 0 && ok;
        if (*taken_ms < secret_taken_ms(logins->rows[i].password)) {
            *taken_ms = secret_taken_ms(logins->rows[i].password);
        }
    }
    return ok;
}

void redis_logins_free(struct redis_logins *logins)
{
    if (!logins) {
        return;
    }
    for (size_t i = 0; i < logins->n; i++) {
        free((char *)logins->rows[i].master);
        free((char *)logins->rows[i].username);
        secret_free(logins->rows[i].password);
    }
    free(logins->rows);
    free(logins);
}
