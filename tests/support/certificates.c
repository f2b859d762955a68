#include "certificates.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HOUR_S = 3600, DAY_S = 24 * HOUR_S };

static void __attribute__((format(printf, 1, 2))) run(const char *format, ...)
{
    char command[8192];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(command, sizeof(command), format, arguments);
    va_end(arguments);
    cr_assert_lt(length, (int)sizeof(command));
    cr_assert_eq(system(command), 0, "%s", command);
}

char *certificates_folder(void)
{
    char *folder = strdup("/tmp/bw-certificates-XXXXXX");

    cr_assert_not_null(mkdtemp(folder));
    return folder;
}

void certificates_remove(char *folder)
{
    run("rm -rf %s", folder);
    free(folder);
}

const char *certificates_path(const char *folder, const char *name)
{
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

void certificates_write(const char *folder, const char *name, const char *text)
{
    FILE *file = fopen(certificates_path(folder, name), "we");

    cr_assert_not_null(file);
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
}

void certificates_replace(const char *folder, const char *from, const char *to)
{
    run("cd %s && cp %s %s.new && mv %s.new %s", folder, from, to, to, to);
}

void certificates_join(const char *folder, const char *a, const char *b, const char *to)
{
    run("cd %s && cat %s %s >%s", folder, a, b, to);
}

void certificates_mount(const char *folder, const char *name)
{
    run("cd %s && mkdir -p mount mount/..%s && cp %s.crt mount/..%s/tls.crt &&"
        " cp %s.key mount/..%s/tls.key && cd mount && ln -sfn ..%s swap && mv -T swap ..data &&"
        " ln -sf ..data/tls.crt ..data/tls.key .",
        folder, name, name, name, name, name, name);
}

static const char *date(int64_t from_now_s, char out[32])
{
    time_t at = time(NULL) + (time_t)from_now_s;
    struct tm tm;

    gmtime_r(&at, &tm);
    strftime(out, 32, "%Y%m%d%H%M%SZ", &tm);
    return out;
}

static void write_config(const char *folder, const struct certificate *wish)
{
    char text[2048], names[600] = "", usage[200] = "";

    if (wish->names) {
        snprintf(names, sizeof(names), "subjectAltName=%s\n", wish->names);
    }
    if (wish->usage) {
        snprintf(usage, sizeof(usage), "extendedKeyUsage=%s\n", wish->usage);
    }
    snprintf(text, sizeof(text),
             "[ca]\ndefault_ca=d\n[d]\nnew_certs_dir=%s/all\ndatabase=%s/index\nrand_serial=yes\n"
             "default_md=sha256\npolicy=p\nunique_subject=no\nx509_extensions=x\n"
             "[p]\ncommonName=optional\n[req]\ndistinguished_name=n\n[n]\n"
             "[x]\nbasicConstraints=critical,CA:%s\nsubjectKeyIdentifier=hash\n"
             "authorityKeyIdentifier=keyid\n%s%s%s",
             folder, folder, wish->authority ? "TRUE" : "FALSE",
             wish->authority ? "keyUsage=critical,keyCertSign,cRLSign\n" : "", names, usage);
    certificates_write(folder, "config", text);
}

void certificates_make(const char *folder, const struct certificate *wish)
{
    char begins[32], ends[32], encrypt[300] = "", pass[300] = "";
    bool usual = wish->begins_s == 0 && wish->ends_s == 0;
    const char *issuer = wish->issuer ? wish->issuer : wish->name;

    if (wish->pass_phrase) {
        snprintf(encrypt, sizeof(encrypt), "-aes128 -pass pass:%s", wish->pass_phrase);
        snprintf(pass, sizeof(pass), "-passin pass:%s", wish->pass_phrase);
    }
    date(usual ? -HOUR_S : wish->begins_s, begins);
    date(usual ? DAY_S : wish->ends_s, ends);
    write_config(folder, wish);
    run("cd %s && exec 2>log && mkdir -p all && touch index index.attr &&"
        " openssl genpkey %s %s -out %s.key &&"
        " openssl req -new -config config -key %s.key %s -subj '/CN=%s' -out request &&"
        " openssl ca -batch -config config -notext -in request -out %s.crt -startdate %s -enddate %s"
        " %s %s %s -cert %s.crt -keyfile %s.key >>log || { cat log >/dev/tty; exit 1; }",
        folder, wish->rsa ? "-algorithm RSA" : "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
        encrypt, wish->name, wish->name, pass, wish->common_name ? wish->common_name : wish->name,
        wish->name, begins, ends, wish->issuer ? "" : "-selfsign", wish->issuer ? "" : pass, "",
        issuer, issuer);
}

void certificates_make_usual(const char *folder)
{
    const struct certificate ca = {.name = "ca", .authority = true, .common_name = "Test CA"};
    const struct certificate good = {
        .name = "good", .issuer = "ca", .names = "DNS:localhost,IP:127.0.0.1,IP:::1"};

    certificates_make(folder, &ca);
    certificates_make(folder, &good);
}

char *certificates_usual(void)
{
    char *folder = certificates_folder();

    certificates_make_usual(folder);
    return folder;
}

const struct wrong_certificate wrong_certificates[] = {
    {{.name = "names", .issuer = "ca", .names = "DNS:a.example,DNS:b.example"},
     "not for 127.0.0.1: it has names only (a.example, b.example); let the Sentinels give names"},
    {{.name = "wild", .issuer = "ca", .names = "DNS:*.db.example"}, "*.db.example"},
    {{.name = "elsewhere", .issuer = "ca", .names = "IP:192.0.2.1"},
     "not for 127.0.0.1 but for 192.0.2.1"},
    {{.name = "common", .issuer = "ca", .common_name = "c.example"}, "c.example"},
    {{.name = "old", .issuer = "ca", .names = "IP:127.0.0.1", .begins_s = -7200, .ends_s = -3600},
     "has expired: it was valid until 20"},
    {{.name = "early", .issuer = "ca", .names = "IP:127.0.0.1", .begins_s = 3600, .ends_s = 7200},
     "is not valid before 20"},
    {{.name = "self", .names = "IP:127.0.0.1"}, "signed by itself"},
    {{.name = "other", .issuer = "other-ca", .names = "IP:127.0.0.1"},
     "issuer not trusted here: Other CA"},
    {{.name = "client", .issuer = "ca", .names = "IP:127.0.0.1", .usage = "clientAuth"}, "purpose"},
    {.words = NULL},
};

void wrong_certificate_make(const char *folder, const struct wrong_certificate *wrong)
{
    const char *issuer = wrong->made.issuer;

    if (issuer && strcmp(issuer, "other-ca") == 0) {
        const struct certificate other = {
            .name = issuer, .authority = true, .common_name = "Other CA"};

        certificates_make(folder, &other);
    }
    certificates_make(folder, &wrong->made);
}
