/* What TLS towards callers is made of: files that fit, files that do not, and files that change. */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "../../support/certificates.h"
#include "http/server/server_tls.h"
#include "http/server/tls_session.h"

#define DAY_S 86400

static char *folder;
static struct server_tls *tls;
static struct server_tls_error error;

static void set_up(void)
{
    folder = certificates_usual();
}

static void tear_down(void)
{
    server_tls_free(tls);
    certificates_remove(folder);
}

TestSuite(http_server_tls, .init = set_up, .fini = tear_down, .timeout = 30);

static const char *at(const char *name)
{
    return certificates_path(folder, name);
}

static void load(const char *cert, const char *key, const char *client_ca)
{
    server_tls_free(tls);
    tls = server_tls_new(at(cert), at(key), client_ca ? at(client_ca) : NULL, &error);
}

static void expect_loaded(const char *cert, const char *key, const char *client_ca)
{
    load(cert, key, client_ca);
    cr_assert_not_null(tls, "%s", error.words);
}

static void expect_refused(const char *cert, const char *key, const char *client_ca,
                           enum server_tls_part part, const char *words)
{
    load(cert, key, client_ca);
    cr_assert_null(tls, "%s and %s are taken", cert, key);
    cr_expect_eq(error.part, part, "%s", error.words);
    cr_expect_not_null(strstr(error.words, words), "no \"%s\" in: %s", words, error.words);
    cr_expect_not_null(strstr(error.words, folder), "the file is named: %s", error.words);
}

Test(http_server_tls, a_pair)
{
    time_t now = time(NULL);

    expect_loaded("good.crt", "good.key", NULL);
    cr_expect_geq(server_tls_expires_s(tls, SERVER_TLS_CERT), now + DAY_S - 60);
    cr_expect_leq(server_tls_expires_s(tls, SERVER_TLS_CERT), now + DAY_S + 60);
    cr_expect_eq(server_tls_expires_s(tls, SERVER_TLS_CLIENT_CA), 0);
    cr_expect_str_eq(server_tls_path(tls, SERVER_TLS_CERT), at("good.crt"));
    cr_expect_null(server_tls_path(tls, SERVER_TLS_CLIENT_CA));
    expect_loaded("good.crt", "good.key", "ca.crt");
    cr_expect_geq(server_tls_expires_s(tls, SERVER_TLS_CLIENT_CA), now + DAY_S - 60);
}

Test(http_server_tls, chains_and_rsa)
{
    certificates_make(folder,
                      &(struct certificate){.name = "middle", .issuer = "ca", .authority = true});
    certificates_make(folder, &(struct certificate){.name = "leaf",
                                                    .issuer = "middle",
                                                    .names = "DNS:localhost",
                                                    .ends_s = 3 * DAY_S,
                                                    .begins_s = -60,
                                                    .rsa = true});
    certificates_join(folder, "leaf.crt", "middle.crt", "chain.crt");
    expect_loaded("chain.crt", "leaf.key", NULL);
    cr_expect_geq(server_tls_expires_s(tls, SERVER_TLS_CERT), time(NULL) + 2 * DAY_S);
    certificates_join(folder, "ca.crt", "leaf.crt", "bundle.crt");
    expect_loaded("good.crt", "good.key", "bundle.crt");
    cr_expect_leq(server_tls_expires_s(tls, SERVER_TLS_CLIENT_CA), time(NULL) + 2 * DAY_S,
                  "the one that ends first");
    certificates_join(folder, "leaf.crt", "leaf.key", "both.pem");
    expect_loaded("both.pem", "both.pem", NULL);
}

Test(http_server_tls, what_does_not_fit)
{
    certificates_make(folder, &(struct certificate){.name = "other", .issuer = "ca"});
    certificates_make(
        folder, &(struct certificate){.name = "locked", .issuer = "ca", .pass_phrase = "secret"});
    certificates_make(folder, &(struct certificate){
                                  .name = "over", .issuer = "ca", .begins_s = -100, .ends_s = -10});
    certificates_make(folder,
                      &(struct certificate){
                          .name = "early", .issuer = "ca", .begins_s = 3600, .ends_s = 2 * DAY_S});
    certificates_write(folder, "empty", "");
    certificates_write(folder, "garbage", "-----BEGIN CERTIFICATE-----\nnonsense\n");
    expect_refused("good.crt", "other.key", NULL, SERVER_TLS_KEY, "is not the key of");
    expect_refused("locked.crt", "locked.key", NULL, SERVER_TLS_KEY, "is encrypted");
    expect_refused("over.crt", "over.key", NULL, SERVER_TLS_CERT, "has expired at 20");
    expect_refused("early.crt", "early.key", NULL, SERVER_TLS_CERT, "is not valid before 20");
    expect_refused("nowhere", "good.key", NULL, SERVER_TLS_CERT, "No such file");
    expect_refused("good.crt", "nowhere", NULL, SERVER_TLS_KEY, "No such file");
    expect_refused("good.crt", "good.key", "nowhere", SERVER_TLS_CLIENT_CA, "No such file");
    expect_refused("empty", "good.key", NULL, SERVER_TLS_CERT, "is empty");
    expect_refused("garbage", "good.key", NULL, SERVER_TLS_CERT, "holds no certificate");
    expect_refused("good.key", "good.key", NULL, SERVER_TLS_CERT, "holds no certificate");
    expect_refused("good.crt", "garbage", NULL, SERVER_TLS_KEY, "holds no private key");
    expect_refused("good.crt", "good.crt", NULL, SERVER_TLS_KEY, "holds no private key");
    expect_refused("good.crt", "good.key", "garbage", SERVER_TLS_CLIENT_CA, "holds no certificate");
}

static void expect_refresh(int wanted)
{
    int outcome = server_tls_refresh(tls, false, &error);

    cr_assert_eq(outcome < 0 ? -1 : outcome, wanted, "%d: %s", outcome, error.words);
}

Test(http_server_tls, half_a_pair_waits_for_the_other)
{
    struct tls_credentials *before, *after;

    certificates_make(folder, &(struct certificate){.name = "next", .issuer = "ca"});
    expect_loaded("good.crt", "good.key", NULL);
    before = server_tls_credentials(tls);
    expect_refresh(0);
    certificates_replace(folder, "next.crt", "good.crt");
    expect_refresh(-1);
    cr_expect_eq(error.part, SERVER_TLS_KEY);
    expect_refresh(-1);
    after = server_tls_credentials(tls);
    cr_expect_eq(before, after, "the old pair stays");
    tls_credentials_release(after);
    certificates_replace(folder, "next.key", "good.key");
    expect_refresh(1);
    after = server_tls_credentials(tls);
    cr_expect_neq(before, after);
    cr_expect_eq(before->users, 1, "who began with it keeps it");
    cr_expect_eq(memcmp(before->tickets.data, after->tickets.data, before->tickets.size), 0,
                 "sessions of before can be taken up again");
    tls_credentials_release(before);
    tls_credentials_release(after);
    expect_refresh(0);
}

Test(http_server_tls, a_mounted_secret_is_swapped_as_one)
{
    certificates_make(folder,
                      &(struct certificate){.name = "next", .issuer = "ca", .ends_s = 9 * DAY_S});
    certificates_mount(folder, "good");
    expect_loaded("mount/tls.crt", "mount/tls.key", NULL);
    expect_refresh(0);
    certificates_mount(folder, "next");
    expect_refresh(1);
    cr_expect_gt(server_tls_expires_s(tls, SERVER_TLS_CERT), time(NULL) + 8 * DAY_S);
}

Test(http_server_tls, what_can_not_be_used_waits)
{
    int64_t ends_s;

    certificates_make(folder, &(struct certificate){
                                  .name = "over", .issuer = "ca", .begins_s = -100, .ends_s = -10});
    certificates_replace(folder, "good.crt", "kept.crt");
    expect_loaded("good.crt", "good.key", "ca.crt");
    ends_s = server_tls_expires_s(tls, SERVER_TLS_CERT);
    certificates_replace(folder, "over.crt", "good.crt");
    expect_refresh(-1);
    certificates_write(folder, "good.crt", "");
    expect_refresh(-1);
    certificates_write(folder, "ca.crt", "nonsense");
    certificates_replace(folder, "kept.crt", "good.crt");
    expect_refresh(-1);
    cr_expect_eq(error.part, SERVER_TLS_CLIENT_CA);
    cr_expect_eq(server_tls_expires_s(tls, SERVER_TLS_CERT), ends_s);
    certificates_replace(folder, "kept.crt", "ca.crt");
    expect_refresh(1);
}

Test(http_server_tls, a_copy_of_its_own)
{
    struct server_tls *copy;
    struct tls_credentials *of_copy, *of_first;

    expect_loaded("good.crt", "good.key", "ca.crt");
    copy = server_tls_copy(tls);
    of_copy = server_tls_credentials(copy);
    of_first = server_tls_credentials(tls);
    cr_assert_not_null(of_copy);
    cr_expect_neq(of_copy, of_first);
    cr_expect_eq(memcmp(of_copy->tickets.data, of_first->tickets.data, of_first->tickets.size), 0,
                 "any worker takes up what another began");
    cr_expect_eq(server_tls_expires_s(copy, SERVER_TLS_CLIENT_CA),
                 server_tls_expires_s(tls, SERVER_TLS_CLIENT_CA));
    tls_credentials_release(of_first);
    tls_credentials_release(of_copy);
    server_tls_free(copy);
}

Test(http_server_tls, who_may_read_the_key)
{
    expect_loaded("good.crt", "good.key", NULL);
    cr_assert_eq(chmod(at("good.key"), 0644), 0);
    expect_refresh(0);
    cr_expect_not_null(server_tls_exposed(tls));
    cr_expect_null(server_tls_exposed(tls), "said once");
}
