/* Why a handshake failed, in words that say what to do about it. */
#include "tls_words.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bellwether/base/address.h"

#define NAMES_SIZE 200

/* ---- of a certificate ---- */

const char *tls_date(const ASN1_TIME *time, char *out)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(time, &tm) != 1 ||
        strftime(out, TLS_DATE_SIZE, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0) {
        (void)snprintf(out, TLS_DATE_SIZE, "a date that can't be read");
    }
    return out;
}

int64_t tls_seconds(const ASN1_TIME *time)
{
    struct tm tm;

    return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static void make_printable(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || (unsigned char)*text >= 0x7f) {
            *text = '?';
        }
    }
}

/* @return false: it is neither a DNS name nor an address. */
static bool name_text(const GENERAL_NAME *name, char *out, size_t size)
{
    if (name->type == GEN_DNS) {
        const ASN1_IA5STRING *dns = name->d.dNSName;

        (void)snprintf(out, size, "%.*s", ASN1_STRING_length(dns),
                       (const char *)ASN1_STRING_get0_data(dns));
    } else if (name->type == GEN_IPADD) {
        const ASN1_OCTET_STRING *ip = name->d.iPAddress;
        int length = ASN1_STRING_length(ip);

        if ((length != 4 && length != 16) ||
            !inet_ntop(length == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(ip), out,
                       (socklen_t)size)) {
            return false;
        }
    } else {
        return false;
    }
    make_printable(out);
    return true;
}

/* As many as there is room for, and how many more there are. */
static void add_name(char *out, size_t size, const char *name, size_t *n_left_out)
{
    size_t used = strlen(out), room = sizeof(" and 9999 more");

    if (*n_left_out > 0 || used + strlen(name) + 2 + room > size) {
        ++*n_left_out;
        return;
    }
    (void)snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", name);
}

static bool add_alternatives(const X509 *cert, char *out, size_t size, size_t *n_left_out)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    bool any = false;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        char text[256];

        if (name_text(sk_GENERAL_NAME_value(names, i), text, sizeof(text))) {
            add_name(out, size, text, n_left_out);
            any = true;
        }
    }
    GENERAL_NAMES_free(names);
    return any;
}

static void common_name(const X509_NAME *name, char *out, size_t size)
{
    if (X509_NAME_get_text_by_NID((X509_NAME *)name, NID_commonName, out, (int)size) < 0) {
        out[0] = '\0';
    }
    make_printable(out);
}

const char *tls_names(const X509 *cert, char *out, size_t size)
{
    size_t n_left_out = 0;

    out[0] = '\0';
    if (!add_alternatives(cert, out, size, &n_left_out)) {
        common_name(X509_get_subject_name(cert), out, size);
    }
    if (n_left_out > 0) {
        size_t used = strlen(out);

        (void)snprintf(out + used, size - used, " and %zu more", n_left_out);
    }
    return out;
}

static bool has_address(const X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    bool found = false;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        found = found || sk_GENERAL_NAME_value(names, i)->type == GEN_IPADD;
    }
    GENERAL_NAMES_free(names);
    return found;
}

/* ---- a certificate that was refused ---- */

/*
 * What people meet is a Sentinel that gives addresses where certificates have names: the two ways
 * out are said.
 */
static void say_wrong_name(const struct tls_facts *facts, char *out, size_t size)
{
    struct address host = {0};
    char names[NAMES_SIZE] = "";

    (void)snprintf(host.host, sizeof(host.host), "%s", facts->host);
    if (facts->cert) {
        (void)tls_names(facts->cert, names, sizeof(names));
    }
    if (names[0] == '\0') {
        (void)snprintf(
            out, size,
            "its certificate is not for %s: it has no name at all; the name to check may "
            "not be set here, so it needs another certificate",
            facts->host);
    } else if (address_is_ip(&host) && !has_address(facts->cert)) {
        (void)snprintf(
            out, size,
            "its certificate is not for %s: it has names only (%s); let the Sentinels give "
            "names (resolve-hostnames yes, announce-hostnames yes), or set tls-server-name",
            facts->host, names);
    } else {
        (void)snprintf(
            out, size,
            "its certificate is not for %s but for %s; dial it by one of these (Sentinels "
            "give names with resolve-hostnames and announce-hostnames), or set "
            "tls-server-name",
            facts->host, names);
    }
}

static void say_untrusted(const struct tls_facts *facts, char *out, size_t size)
{
    char subject[100] = "", issuer[100] = "";

    if (facts->cert) {
        common_name(X509_get_subject_name(facts->cert), subject, sizeof(subject));
    }
    if (facts->culprit) {
        common_name(X509_get_issuer_name(facts->culprit), issuer, sizeof(issuer));
    }
    if (facts->verify_error == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT) {
        (void)snprintf(out, size,
                       "its certificate (%s) is signed by itself and not among those of tls-ca",
                       subject);
    } else {
        (void)snprintf(out, size,
                       "its certificate (%s) is of an issuer not trusted here: %s is not "
                       "among those of tls-ca",
                       subject, issuer[0] != '\0' ? issuer : "it");
    }
}

static void say_refused(const struct tls_facts *facts, char *out, size_t size)
{
    const X509 *culprit = facts->culprit ? facts->culprit : facts->cert;
    const char *whose = culprit == facts->cert ? "its certificate" : "its certificate's issuer";
    char date[TLS_DATE_SIZE];

    switch (facts->verify_error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: say_wrong_name(facts, out, size); return;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_UNTRUSTED:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE: say_untrusted(facts, out, size); return;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        (void)snprintf(out, size, "%s has expired: it was valid until %s", whose,
                       culprit ? tls_date(X509_get0_notAfter(culprit), date) : "?");
        return;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        (void)snprintf(out, size, "%s is not valid before %s", whose,
                       culprit ? tls_date(X509_get0_notBefore(culprit), date) : "?");
        return;
    default:
        (void)snprintf(out, size, "%s is refused: %s", whose,
                       X509_verify_cert_error_string(facts->verify_error));
    }
}

/* ---- what the peer said ---- */

static bool is_about_our_certificate(int reason)
{
    switch (reason) {
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED: return true;
    default: return false;
    }
}

static bool is_about_versions(int reason)
{
    switch (reason) {
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_VERSION_TOO_HIGH: return true;
    default: return false;
    }
}

static void say_error(const struct tls_facts *facts, char *out, size_t size)
{
    int reason = ERR_GET_REASON(facts->error);
    const char *text = ERR_reason_error_string(facts->error);

    if (is_about_versions(reason)) {
        (void)snprintf(out, size, "no version of TLS in common: see tls-min-version (%s)",
                       text ? text : "refused");
    } else if (reason == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE) {
        (void)snprintf(out, size,
                       "it refuses the handshake: no cipher in common, see tls-ciphers and "
                       "tls-ciphersuites");
    } else {
        (void)snprintf(out, size, "the handshake failed: %s", text ? text : "unknown error");
    }
}

/* After the handshake of TLS 1.3 a server may close before anybody read what it minded. */
static bool minds_our_certificate(const struct tls_facts *facts)
{
    int reason = ERR_GET_REASON(facts->error);

    return reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED ||
           (facts->asked_for_cert &&
            ((facts->error == 0 && facts->shaken) ||
             (reason == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE && !facts->showed_cert) ||
             is_about_our_certificate(reason)));
}

static void say_what_it_minds(const struct tls_facts *facts, char *out, size_t size)
{
    const char *text = facts->error != 0 ? ERR_reason_error_string(facts->error) : NULL;

    if (!facts->showed_cert) {
        (void)snprintf(out, size, "it asks for a client certificate: set tls-cert and tls-key");
    } else {
        (void)snprintf(out, size, "it refuses our certificate (tls-cert): %s",
                       text ? text : "it closed when it was shown");
    }
}

enum redis_fail tls_words(const struct tls_facts *facts, char *out, size_t size)
{
    if (facts->verify_error != X509_V_OK) {
        say_refused(facts, out, size);
        return REDIS_FAIL_TLS;
    }
    if (facts->said[0] != '\0' && !facts->said_tls) {
        bool plain = strchr("+-*$%:", facts->said[0]) != NULL;

        (void)snprintf(out, size, "%s: %.60s",
                       plain ? "it speaks plain, without TLS" : "it answers neither TLS nor Redis",
                       facts->said);
        return REDIS_FAIL_TLS;
    }
    if (minds_our_certificate(facts)) {
        say_what_it_minds(facts, out, size);
        return REDIS_FAIL_TLS;
    }
    if (facts->error != 0) {
        say_error(facts, out, size);
        return REDIS_FAIL_TLS;
    }
    (void)snprintf(out, size, "%s%s",
                   facts->system_error == 0 ? "end of file" : strerror(facts->system_error),
                   facts->shaken ? "" : " in the TLS handshake");
    return REDIS_FAIL_CLOSED;
}
