/* Lists of ciphers as OpenSSL takes them: of a name that it does not know it says nothing. */
#ifndef BELLWETHER_REDIS_TLS_CIPHERS_H
#define BELLWETHER_REDIS_TLS_CIPHERS_H

#include <openssl/ssl.h>
#include <stdbool.h>

#define TLS_CIPHER_NAME_SIZE 96

/**
 * Whether each name in a list for TLS 1.2 stands for something. One that is left out by `!` or `-`
 * may be of a cipher that this OpenSSL was built without.
 * @param scratch  its list is another afterwards.
 * @param unknown  set where one does not, cut at its size; untouched otherwise.
 */
bool tls_ciphers_known(SSL_CTX *scratch, const char *list, char unknown[TLS_CIPHER_NAME_SIZE]);
/** The same for suites of TLS 1.3, which have no operators. */
bool tls_ciphersuites_known(SSL_CTX *scratch, const char *list, char unknown[TLS_CIPHER_NAME_SIZE]);

#endif
