/* The options of TLS towards callers: listeners, files, and what is said of them. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "../../support/certificates.h"
#include "bellwether/config/options.h"
#include "options_fixture.h"

static char *folder, *cert, *key, *ca;

static void set_up(void)
{
    folder = certificates_usual();
    cert = strdup(certificates_path(folder, "good.crt"));
    key = strdup(certificates_path(folder, "good.key"));
    ca = strdup(certificates_path(folder, "ca.crt"));
}

static void tear_down(void)
{
    if (outcome == OPTIONS_RUN) {
        options_release(&options);
    }
    free(cert);
    free(key);
    free(ca);
    certificates_remove(folder);
}

TestSuite(options_https, .init = set_up, .fini = tear_down, .timeout = 30);

#define TRY(...) RUN(A("--sentinel=a:1"), __VA_ARGS__)
#define PAIR A("--http-cert"), cert, A("--http-key"), key

static bool notes(const char *message, const char *value)
{
    for (size_t i = 0; i < options.n_notes; i++) {
        if (strstr(options.notes[i].message, message) && strstr(options.notes[i].value, value)) {
            return true;
        }
    }
    return false;
}

Test(options_https, listeners)
{
    TRY(A("--listen=0.0.0.0:8443,tls,unix:/nowhere/x,mode=0600,[::1]:8444,scope=probe,tls"), PAIR);
    options_expect_run();
    cr_assert_eq(options.n_listens, 3);
    cr_expect(options.listens[0].place.tls);
    cr_expect_not(options.listens[1].place.tls);
    cr_expect(options.listens[2].place.tls);
    cr_expect_eq(options.listens[0].place.client_ca, CLIENT_CA_OFF);
    cr_expect_not_null(options.tls);
    cr_expect_eq(options.n_notes, 0);
}

Test(options_https, whose_certificates)
{
    TRY(A("--listen=0.0.0.0:1,tls"), A("--listen=0.0.0.0:2,tls,client-ca=optional"),
        A("--listen=0.0.0.0:3,tls,scope=probe"), A("--listen=0.0.0.0:4,tls,client-ca=off"),
        A("--listen=0.0.0.0:5"), A("--listen=0.0.0.0:6,client-ca=required,tls,scope=discovery"),
        PAIR, A("--http-client-ca"), ca);
    options_expect_run();
    cr_expect_eq(options.listens[0].place.client_ca, CLIENT_CA_REQUIRED);
    cr_expect_eq(options.listens[1].place.client_ca, CLIENT_CA_OPTIONAL);
    cr_expect_eq(options.listens[2].place.client_ca, CLIENT_CA_OFF);
    cr_expect_eq(options.listens[3].place.client_ca, CLIENT_CA_OFF);
    cr_expect_eq(options.listens[4].place.client_ca, CLIENT_CA_OFF);
    cr_expect_eq(options.listens[5].place.client_ca, CLIENT_CA_REQUIRED);
}

Test(options_https, what_makes_no_sense)
{
    TRY(A("--listen=0.0.0.0:1,tls"));
    options_expect_refused("0.0.0.0:1", "tls without a certificate", "--http-cert", NULL);
    TRY(A("--listen=0.0.0.0:1,tls"), A("--http-cert"), cert);
    options_expect_refused("tls without a certificate", "--http-key", NULL);
    TRY(A("--listen=unix:/nowhere/x,tls"), PAIR);
    options_expect_refused("--listen unix:/nowhere/x,tls: ", "has no TLS", "takes it without ,tls",
                           NULL);
    TRY(A("--listen=0.0.0.0:1,tls=on"), PAIR);
    options_expect_refused("tls=on", NULL);
    TRY(A("--listen=0.0.0.0:1,tls,client-ca=maybe"), PAIR);
    options_expect_refused("client-ca=maybe", "required|optional|off", NULL);
    TRY(A("--listen=0.0.0.0:1,tls,client-ca=optional"), PAIR);
    options_expect_refused("0.0.0.0:1", "--http-client-ca", NULL);
    TRY(A("--listen=0.0.0.0:1,client-ca=optional"), A("--http-client-ca"), ca);
    options_expect_refused("client-ca without tls", NULL);
    TRY(A("--listen=0.0.0.0:1,tls,scope=probe,client-ca=required"), PAIR, A("--http-client-ca"),
        ca);
    options_expect_refused("probes show no certificate", NULL);
}

/* ---- forwards ---- */

Test(options_https, forwards)
{
    TRY(A("--forward=0.0.0.0:1,tls"), A("--forward=0.0.0.0:2,tls,client-ca=optional,to=replica"),
        A("--forward=127.0.0.1:3,client-ca=off,tls,auth"), A("--forward=0.0.0.0:4"),
        A("--forward=unix:/nowhere/x"), PAIR, A("--http-client-ca"), ca, A("--redis-password-file"),
        key);
    options_expect_run();
    cr_assert_eq(options.n_forwards, 5);
    cr_expect(options.forwards[0].place.tls);
    cr_expect_eq(options.forwards[0].place.client_ca, CLIENT_CA_REQUIRED);
    cr_expect(options.forwards[1].place.tls);
    cr_expect_eq(options.forwards[1].place.client_ca, CLIENT_CA_OPTIONAL);
    cr_expect(options.forwards[2].place.tls && options.forwards[2].auth);
    cr_expect_eq(options.forwards[2].place.client_ca, CLIENT_CA_OFF);
    cr_expect_not(options.forwards[3].place.tls);
    cr_expect_eq(options.forwards[3].place.client_ca, CLIENT_CA_OFF);
    cr_expect_not_null(options.tls, "no listener has TLS, but forwards have");
    cr_expect_not(notes("a certificate that nobody uses", ""));
}

Test(options_https, forwards_that_make_no_sense)
{
    TRY(A("--forward=0.0.0.0:1,tls"));
    options_expect_refused("--forward 0.0.0.0:1: tls without a certificate",
                           "takes --http-cert and --http-key", NULL);
    TRY(A("--forward=0.0.0.0:1,tls"), A("--http-key"), key);
    options_expect_refused("--forward 0.0.0.0:1: tls without a certificate", NULL);
    TRY(A("--forward=unix:/nowhere/x,tls"), PAIR);
    options_expect_refused("--forward unix:/nowhere/x,tls: ", "has no TLS", "takes it without ,tls",
                           NULL);
    TRY(A("--forward=0.0.0.0:1,tls=on"), PAIR);
    options_expect_refused("tls=on", NULL);
    TRY(A("--forward=0.0.0.0:1,tls,client-ca=maybe"), PAIR);
    options_expect_refused("client-ca=maybe", "required|optional|off", NULL);
    TRY(A("--forward=0.0.0.0:1,tls,client-ca=required"), PAIR);
    options_expect_refused("--forward 0.0.0.0:1", "--http-client-ca", NULL);
    TRY(A("--forward=0.0.0.0:1,client-ca=required"), A("--http-client-ca"), ca);
    options_expect_refused("--forward 0.0.0.0:1", "client-ca without tls", NULL);
    TRY(A("--forward=0.0.0.0:1,tls"), A("--http-cert"), cert, A("--http-key"), cert);
    options_expect_refused("http-key (--http-key): ", "holds no private key", NULL);
}

Test(options_https, logins_for_others)
{
    TRY(A("--forward=0.0.0.0:1,auth"), A("--redis-password-file"), key);
    options_expect_refused("--forward 0.0.0.0:1: auth where others may reach it", "127.0.0.1",
                           "[::1]", "Unix socket", NULL);
    TRY(A("--forward=10.0.0.1:1,auth,tls"), PAIR, A("--redis-password-file"), key);
    options_expect_refused("auth where others may reach it", NULL);
    TRY(A("--forward=localhost:1,auth"), A("--redis-password-file"), key);
    options_expect_refused("auth where others may reach it", NULL);
    TRY(A("--forward=127.0.0.1:1,auth"));
    options_expect_refused("auth without a password", "--redis-password-file", NULL);
    TRY(A("--forward=127.9.0.1:1,auth"), A("--forward=[::1]:1,auth"),
        A("--forward=unix:/nowhere/x,auth,mode=0600"), A("--redis-password-file"), key);
    options_expect_run();
    cr_expect(options.forwards[0].auth && options.forwards[1].auth && options.forwards[2].auth);
}

Test(options_https, files_that_can_not_be_used)
{
    certificates_make(folder, &(struct certificate){
                                  .name = "over", .issuer = "ca", .begins_s = -100, .ends_s = -10});
    TRY(A("--listen=0.0.0.0:1,tls"), A("--http-cert"), cert, A("--http-key"), cert);
    options_expect_refused("http-key (--http-key): ", "good.crt", "holds no private key",
                           "takes the key of http-cert", NULL);
    TRY(A("--listen=0.0.0.0:1,tls"), A("--http-cert"), key, A("--http-key"), key);
    options_expect_refused("http-cert (--http-cert): ", "holds no certificate",
                           "takes certificates", NULL);
    TRY(A("--listen=0.0.0.0:1,tls"), A("--http-cert=/nowhere"), A("--http-key"), key);
    options_expect_refused("http-cert (--http-cert): /nowhere: No such file", NULL);
    TRY(A("--listen=0.0.0.0:1,tls"), PAIR, A("--http-client-ca"), key);
    options_expect_refused("http-client-ca (--http-client-ca): ", "holds no certificate", NULL);
    TRY(A("--listen=0.0.0.0:1,tls"), A("--http-cert"),
        (char *)(uintptr_t)certificates_path(folder, "over.crt"), A("--http-key"),
        (char *)(uintptr_t)certificates_path(folder, "over.key"));
    options_expect_refused("over.crt: has expired at 20", NULL);
    TRY(A("--listen=0.0.0.0:1,tls"), PAIR, A("--http-client-ca"),
        (char *)(uintptr_t)certificates_path(folder, "over.crt"));
    options_expect_refused("http-client-ca (--http-client-ca): ", "over.crt: has expired at 20",
                           "takes certificates in PEM of which one is valid", NULL);
    certificates_join(folder, "over.crt", "ca.crt", "some.crt");
    TRY(A("--listen=0.0.0.0:1,tls"), PAIR, A("--http-client-ca"),
        (char *)(uintptr_t)certificates_path(folder, "some.crt"));
    options_expect_run();
}

Test(options_https, what_is_of_no_use)
{
    TRY(PAIR, A("--http-client-ca"), ca);
    options_expect_run();
    cr_expect_null(options.tls, "nobody looks at them");
    cr_expect(notes("a certificate that nobody uses (listen = ...,tls or forward = ...,tls)",
                    "--http-cert"));
    cr_expect(notes("a certificate that nobody uses", "--http-key"));
    cr_expect(notes("a certificate that nobody uses", "--http-client-ca"));
}

/* Where Redis speaks TLS: else all that comes in plain goes on in plain, too. */
Test(options_https, forwards_in_plain)
{
    static const char about[] = "what is TLS to Redis comes in plain there";

    TRY(A("--forward=0.0.0.0:1"));
    options_expect_run();
    cr_expect_not(notes(about, ""));
    options_release(&options);
    TRY(A("--forward=127.0.0.1:1"), A("--forward=unix:/nowhere/x"), A("--forward=0.0.0.0:2,tls"),
        PAIR, A("--redis-tls=on"));
    options_expect_run();
    cr_expect_not(notes(about, ""));
    options_release(&options);
    TRY(A("--forward=0.0.0.0:1"), A("--redis-tls=on"));
    options_expect_run();
    cr_expect(notes(about, "0.0.0.0:1"));
}

Test(options_https, tokens_in_plain)
{
    static const char token[] = "BELLWETHER_TOKEN=0123456789abcdef0123";
    char *variable = strdup(token);

    options_set_variable(variable);
    TRY(A("--redis-api=token"), A("--listen=127.0.0.1:1"), A("--listen=unix:/nowhere/x"),
        A("--listen=0.0.0.0:2,tls"), A("--listen=0.0.0.0:3,scope=discovery"), PAIR);
    options_expect_run();
    cr_expect_not(notes("tokens come in plain", ""));
    options_release(&options);
    TRY(A("--redis-api=token"), A("--listen=0.0.0.0:1"));
    options_expect_run();
    cr_expect(notes("tokens come in plain", "0.0.0.0:1"));
    options_release(&options);
    TRY(A("--listen=0.0.0.0:1"));
    options_expect_run();
    cr_expect_not(notes("tokens come in plain", ""), "there are none");
    free(variable);
}
