/* The versions of the libraries that run (of hiredis, which tells none: that was built in). */
#include "bellwether/http/versions.h"

#include <gnutls/gnutls.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <microhttpd.h>
#include <openssl/crypto.h>

#include "bellwether/base/loop.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

void library_versions(struct library_version out[LIBRARY_VERSIONS])
{
    out[0] = (struct library_version){"libmicrohttpd", MHD_get_version()};
    out[1] = (struct library_version){
        "hiredis", TEXT(HIREDIS_MAJOR) "." TEXT(HIREDIS_MINOR) "." TEXT(HIREDIS_PATCH)};
    out[2] = (struct library_version){"jansson", jansson_version_str()};
    out[3] = (struct library_version){"libuv", loop_library_version()};
    out[4] = (struct library_version){"OpenSSL", OpenSSL_version(OPENSSL_VERSION_STRING)};
    out[5] = (struct library_version){"GnuTLS", gnutls_check_version(NULL)};
    out[6] = (struct library_version){NULL, NULL};
}
