/*
 * OpenSSL drops a name that it does not know from among those that it does. So each is tried by
 * itself here: where a list of it alone is empty, it stands for nothing.
 *
 * Of a group's name that is no proof: what was in it may not be built in any more.
 */
#include "tls_ciphers.h"

#include <stdio.h>
#include <string.h>

/* Groups that are or were there, and have nobody in them in OpenSSL 3 as it is mostly built. */
static const char *const emptied[] = {
    "LOW",    "MEDIUM",    "EXP",   "EXPORT",  "EXPORT40", "EXPORT56", "SSLv2",   "RC2",
    "RC4",    "DES",       "3DES",  "IDEA",    "SEED",     "GOST",     "GOST89",  "GOST94",
    "GOST12", "GOST89MAC", "kGOST", "kGOST18", "aGOST",    "aGOST01",  "aGOST12", "kDH",
    "kDHr",   "kDHd",      "aDH",   "kECDH",   "kECDHr",   "kECDHe",   "aECDH",
};

static bool is_emptied_group(const char *name)
{
    for (size_t i = 0; i < sizeof(emptied) / sizeof(*emptied); i++) {
        if (strcmp(emptied[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* The next piece between separators; false at the end. */
static bool next_piece(const char **at, const char *separators, char out[TLS_CIPHER_NAME_SIZE])
{
    *at += strspn(*at, separators);
    size_t length = strcspn(*at, separators);
    (void)snprintf(out, TLS_CIPHER_NAME_SIZE, "%.*s", (int)length, *at);
    *at += length;
    return length > 0;
}

/* One of a list for TLS 1.2, its operator included. */
static bool element_is_known(SSL_CTX *scratch, const char *element,
                             char unknown[TLS_CIPHER_NAME_SIZE])
{
    bool left_out = *element == '!' || *element == '-';
    char name[TLS_CIPHER_NAME_SIZE];

    if (*element == '@') {
        return true; /* a command: OpenSSL refuses a wrong one */
    }
    element += left_out || *element == '+' ? 1 : 0;
    while (next_piece(&element, "+", name)) {
        if (SSL_CTX_set_cipher_list(scratch, name) != 1 && !is_emptied_group(name) &&
            !(left_out && strchr(name, '-'))) {
            memcpy(unknown, name, sizeof(name));
            return false;
        }
    }
    return true;
}

bool tls_ciphers_known(SSL_CTX *scratch, const char *list, char unknown[TLS_CIPHER_NAME_SIZE])
{
    char element[TLS_CIPHER_NAME_SIZE];

    while (next_piece(&list, ": ;,", element)) {
        if (!element_is_known(scratch, element, unknown)) {
            return false;
        }
    }
    return true;
}

bool tls_ciphersuites_known(SSL_CTX *scratch, const char *list, char unknown[TLS_CIPHER_NAME_SIZE])
{
    char name[TLS_CIPHER_NAME_SIZE];

    while (next_piece(&list, ": ", name)) {
        if (SSL_CTX_set_ciphersuites(scratch, name) != 1) {
            memcpy(unknown, name, sizeof(name));
            return false;
        }
    }
    return true;
}
