/* The files of TLS: what can be used, what is said of what can't, and when they are read again. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../support/certificates.h"
#include "bellwether/redis/redis_tls.h"

static struct redis_tls *make(const char *folder, const char *ca, const char *cert, const char *key,
                              struct redis_tls_error *error)
{
    const struct redis_tls_settings settings = {
        .ca = ca ? certificates_path(folder, ca) : NULL,
        .cert = cert ? certificates_path(folder, cert) : NULL,
        .key = key ? certificates_path(folder, key) : NULL,
    };

    error->words[0] = '\0';
    return redis_tls_new(&settings, error);
}

static void expect_refused(const char *folder, const char *ca, const char *cert, const char *key,
                           enum redis_tls_part part, const char *words)
{
    struct redis_tls_error error;
    struct redis_tls *tls = make(folder, ca, cert, key, &error);

    cr_expect_null(tls, "%s", words);
    cr_expect_not_null(strstr(error.words, words), "\"%s\" in: %s", words, error.words);
    cr_expect_null(strchr(error.words, '\n'));
    cr_expect_eq(error.part, part, "%s", words);
    redis_tls_free(tls);
}

Test(redis_tls, files_that_can_be_used)
{
    char *folder = certificates_usual();
    struct redis_tls_error error;
    struct redis_tls *tls = make(folder, "ca.crt", "good.crt", "good.key", &error);

    cr_assert_not_null(tls, "%s", error.words);
    cr_expect_gt(redis_tls_expiry(tls).own_s, 0);
    cr_expect_eq(redis_tls_expiry(tls).peer_s, 0);
    redis_tls_free(tls);
    tls = make(folder, "", NULL, NULL, &error); /* the folder, without hashes, keys in it */
    cr_expect_not_null(tls, "%s", error.words);
    redis_tls_free(tls);
    tls = make(folder, NULL, NULL, NULL, &error); /* what the system trusts */
    cr_expect_not_null(tls, "%s", error.words);
    redis_tls_free(tls);
    certificates_remove(folder);
}

Test(redis_tls, each_file_that_can_not_be_used_is_named)
{
    char *folder = certificates_usual();
    const struct certificate expired = {
        .name = "expired", .issuer = "ca", .begins_s = -7200, .ends_s = -3600};
    const struct certificate early = {
        .name = "early", .issuer = "ca", .begins_s = 3600, .ends_s = 7200};
    const struct certificate locked = {.name = "locked", .issuer = "ca", .pass_phrase = "sesame"};

    certificates_make(folder, &expired);
    certificates_make(folder, &early);
    certificates_make(folder, &locked);
    certificates_write(folder, "empty", "");
    certificates_write(folder, "garbage", "\x01\x02 no certificate\n");
    certificates_write(folder, "half",
                       "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    certificates_write(folder, "half.key",
                       "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n");
    expect_refused(folder, "none", NULL, NULL, REDIS_TLS_PART_CA, "cannot be read: No such file");
    expect_refused(folder, "empty", NULL, NULL, REDIS_TLS_PART_CA, "holds no certificate");
    expect_refused(folder, "garbage", NULL, NULL, REDIS_TLS_PART_CA, "holds no certificate");
    expect_refused(folder, "half", NULL, NULL, REDIS_TLS_PART_CA, "is damaged");
    expect_refused(folder, "ca.crt", "none", "good.key", REDIS_TLS_PART_CERT, "cannot be read");
    expect_refused(folder, "ca.crt", "", "good.key", REDIS_TLS_PART_CERT, "not a regular file");
    expect_refused(folder, "ca.crt", "empty", "good.key", REDIS_TLS_PART_CERT, "no certificate");
    expect_refused(folder, "ca.crt", "half", "good.key", REDIS_TLS_PART_CERT, "is damaged");
    expect_refused(folder, "ca.crt", "good.crt", "empty", REDIS_TLS_PART_KEY, "no private key");
    expect_refused(folder, "ca.crt", "good.crt", "half.key", REDIS_TLS_PART_KEY, "is damaged");
    expect_refused(folder, "ca.crt", "good.crt", "ca.key", REDIS_TLS_PART_KEY,
                   "does not belong to the certificate");
    expect_refused(folder, "ca.crt", "locked.crt", "locked.key", REDIS_TLS_PART_KEY, "pass phrase");
    expect_refused(folder, "ca.crt", "expired.crt", "expired.key", REDIS_TLS_PART_CERT,
                   "has expired: it was valid until 20");
    expect_refused(folder, "ca.crt", "early.crt", "early.key", REDIS_TLS_PART_CERT,
                   "is not valid before 20");
    certificates_remove(folder);
}

Test(redis_tls, ciphers_that_are_not_known)
{
    struct redis_tls_settings settings = {.verify = REDIS_TLS_VERIFY_OFF, .ciphers = "NO-SUCH"};
    struct redis_tls_error error;

    cr_expect_null(redis_tls_new(&settings, &error));
    cr_expect_eq(error.part, REDIS_TLS_PART_CIPHERS);
    settings.ciphers = "ECDHE-RSA-AES128-GCM-SHA256";
    settings.ciphersuites = "TLS_NO_SUCH";
    cr_expect_null(redis_tls_new(&settings, &error));
    cr_expect_eq(error.part, REDIS_TLS_PART_CIPHERSUITES);
    settings.ciphersuites = "TLS_AES_128_GCM_SHA256";
    struct redis_tls *tls = redis_tls_new(&settings, &error);
    cr_expect_not_null(tls);
    redis_tls_free(tls);
}

static void try_ciphers(const char *ciphers, const char *suites, const char *unknown)
{
    const struct redis_tls_settings settings = {
        .verify = REDIS_TLS_VERIFY_OFF, .ciphers = ciphers, .ciphersuites = suites};
    struct redis_tls_error error = {.words = ""};
    struct redis_tls *tls = redis_tls_new(&settings, &error);

    cr_expect_eq(!tls, unknown != NULL, "%s: %s", ciphers ? ciphers : suites, error.words);
    if (unknown) {
        char quoted[64];

        snprintf(quoted, sizeof(quoted), "\"%s\" ", unknown);
        cr_expect_eq(strncmp(error.words, quoted, strlen(quoted)), 0, "%s", error.words);
        cr_expect_eq(error.part, ciphers ? REDIS_TLS_PART_CIPHERS : REDIS_TLS_PART_CIPHERSUITES);
    }
    redis_tls_free(tls);
}

/* OpenSSL itself drops them without a word. */
Test(redis_tls, one_that_is_not_known_among_ciphers_that_are)
{
    static const char *const good[] = {
        "DEFAULT",
        "HIGH:MEDIUM:!aNULL:!eNULL:!EXPORT:!DES:!RC4:!MD5:!PSK:!SRP:!CAMELLIA@STRENGTH",
        "HIGH:!aNULL:@STRENGTH",
        "ALL:!aNULL:-SHA1:+CHACHA20:@SECLEVEL=1",
        "ECDHE+AESGCM:ECDHE+CHACHA20 ECDHE-RSA-AES128-GCM-SHA256,AES256-SHA;kRSA",
        ":HIGH:",
        "HIGH:!DES-CBC3-SHA",
        "SUITEB128",
    };
    static const struct {
        const char *list, *unknown;
    } bad[] = {
        {"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA385", "ECDHE-RSA-AES256-GCM-SHA385"},
        {"HIGH:HIHG", "HIHG"},
        {"HIGH:!aNUL", "aNUL"},
        {"ECDHE+AESGMC:HIGH", "AESGMC"},
        {"HIGH:TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"},
        {"HIGH:+LOWW", "LOWW"},
        {"HIGH:@STRENGHT", "HIGH:@STRENGHT"},
        {"HIGH:!ALL", "HIGH:!ALL"},
        {"RC4", "RC4"},
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        try_ciphers(good[i], NULL, NULL);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        try_ciphers(bad[i].list, NULL, bad[i].unknown);
    }
    try_ciphers(NULL, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256", NULL);
    try_ciphers(NULL, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA348", "TLS_AES_256_GCM_SHA348");
    try_ciphers(NULL, "TLS_AES_128_GCM_SHA256:HIGH", "HIGH");
}

Test(redis_tls, authorities_that_have_expired)
{
    char *folder = certificates_usual();
    const struct certificate old = {
        .name = "old", .authority = true, .begins_s = -7200, .ends_s = -3600};
    struct redis_tls_error error;

    certificates_make(folder, &old);
    expect_refused(folder, "old.crt", NULL, NULL, REDIS_TLS_PART_CA,
                   "has expired: it was valid until 20");
    certificates_join(folder, "old.crt", "old.crt", "all-old.crt");
    expect_refused(folder, "all-old.crt", NULL, NULL, REDIS_TLS_PART_CA,
                   "holds no certificate that is valid: the first has expired");
    certificates_join(folder, "old.crt", "ca.crt", "both.crt");
    struct redis_tls *tls = make(folder, "both.crt", NULL, NULL, &error);
    cr_assert_not_null(tls, "one of many: %s", error.words);
    cr_expect_eq(redis_tls_expiry(tls).n_trusted_expired, 1);
    certificates_replace(folder, "old.crt", "both.crt");
    cr_expect_lt(redis_tls_refresh(tls, false, &error), 0, "those of before stay");
    redis_tls_free(tls);
    tls = make(folder, "ca.crt", NULL, NULL, &error);
    cr_assert_not_null(tls);
    cr_expect_eq(redis_tls_expiry(tls).n_trusted_expired, 0);
    redis_tls_free(tls);
    certificates_remove(folder);
}

Test(redis_tls, a_pair_is_taken_when_both_halves_are_there)
{
    char *folder = certificates_usual();
    const struct certificate next = {.name = "next", .issuer = "ca", .ends_s = 7200};
    struct redis_tls_error error;

    certificates_make(folder, &next);
    struct redis_tls *tls = make(folder, "ca.crt", "good.crt", "good.key", &error);
    cr_assert_not_null(tls, "%s", error.words);
    int64_t before_s = redis_tls_expiry(tls).own_s;
    cr_expect_eq(redis_tls_refresh(tls, false, &error), 0);
    cr_expect_eq(redis_tls_refresh(tls, true, &error), 0, "the same is no change");
    certificates_replace(folder, "next.crt", "good.crt");
    for (int i = 0; i < 2; i++) {
        cr_expect_lt(redis_tls_refresh(tls, false, &error), 0, "each time until it can be used");
        cr_expect_eq(error.part, REDIS_TLS_PART_KEY);
    }
    cr_expect_eq(redis_tls_expiry(tls).own_s, before_s, "the old one stays");
    certificates_replace(folder, "next.key", "good.key");
    cr_expect_eq(redis_tls_refresh(tls, false, &error), 1);
    cr_expect_neq(redis_tls_expiry(tls).own_s, before_s);
    cr_expect_eq(redis_tls_refresh(tls, false, &error), 0);
    redis_tls_free(tls);
    certificates_remove(folder);
}

Test(redis_tls, a_mounted_secret_is_swapped_as_one)
{
    char *folder = certificates_usual();
    const struct certificate next = {.name = "next", .issuer = "ca", .ends_s = 7200};
    struct redis_tls_error error;

    certificates_make(folder, &next);
    certificates_mount(folder, "good");
    struct redis_tls *tls = make(folder, "ca.crt", "mount/tls.crt", "mount/tls.key", &error);
    cr_assert_not_null(tls, "%s", error.words);
    const int64_t before_s = redis_tls_expiry(tls).own_s;
    cr_expect_eq(redis_tls_refresh(tls, false, &error), 0);
    certificates_mount(folder, "next");
    cr_expect_eq(redis_tls_refresh(tls, false, &error), 1, "%s", error.words);
    cr_expect_lt(redis_tls_expiry(tls).own_s, before_s);
    redis_tls_free(tls);
    certificates_remove(folder);
}

Test(redis_tls, a_swapped_link_is_a_change)
{
    char *folder = certificates_usual();
    const struct certificate other = {.name = "other", .authority = true};
    struct redis_tls_error error;

    certificates_make(folder, &other);
    cr_assert_eq(symlink("ca.crt", certificates_path(folder, "trusted")), 0);
    struct redis_tls *tls = make(folder, "trusted", NULL, NULL, &error);
    cr_assert_not_null(tls, "%s", error.words);
    cr_assert_eq(symlink("other.crt", certificates_path(folder, "new")), 0);
    cr_assert_eq(rename(certificates_path(folder, "new"), certificates_path(folder, "trusted")), 0);
    cr_expect_eq(redis_tls_refresh(tls, false, &error), 1);
    redis_tls_free(tls);
    certificates_remove(folder);
}

Test(redis_tls, what_the_system_trusts_is_read_again)
{
    char *folder = certificates_usual();
    const struct certificate other = {.name = "other", .authority = true};
    const struct redis_tls_settings settings = {0};
    struct redis_tls_error error;

    certificates_make(folder, &other);
    certificates_replace(folder, "ca.crt", "trusted");
    setenv("SSL_CERT_FILE", certificates_path(folder, "trusted"), 1);
    struct redis_tls *tls = redis_tls_new(&settings, &error);
    cr_assert_not_null(tls);
    cr_expect_eq(redis_tls_refresh(tls, true, &error), 0, "the same is no change");
    certificates_replace(folder, "other.crt", "trusted");
    cr_expect_eq(redis_tls_refresh(tls, false, &error), 1);
    redis_tls_free(tls);
    certificates_remove(folder);
}
