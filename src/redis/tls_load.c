/*
 * From files to an SSL_CTX. Everything is read before anything is used, so that a certificate whose
 * key is not written yet changes nothing; what is wrong is told in one line.
 */
#include "tls_load.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"
#include "tls_ciphers.h"
#include "tls_words.h"

/* Two records, and what is around them. */
#define READ_BYTES ((size_t)34 * 1024)
#define FILE_BYTES_MAX ((size_t)8 * 1024 * 1024)

/* What is made anew of the files. */
struct load {
    const struct redis_tls_settings *settings;
    struct redis_tls_error *error;
    SSL_CTX *ctx;
    EVP_MD_CTX *digest;
    int64_t expires_s;
    size_t n_trusted, n_expired; /* of those that we trust */
    char expired[TLS_DATE_SIZE]; /* when the first of them did */
};

/* ---- files ---- */

static int fail(struct load *load, enum redis_tls_part part, const char *what, const char *words)
{
    load->error->part = part;
    (void)snprintf(load->error->words, sizeof(load->error->words), "\"%.200s\" %.250s", what,
                   words);
    return -BW_EINVAL;
}

/* @return its bytes, *size of them; NULL with errno set, EINVAL: no regular file. */
static char *read_all(int fd, size_t *size)
{
    struct stat found;
    size_t used = 0;

    if (fstat(fd, &found) != 0) {
        return NULL;
    }
    if (!S_ISREG(found.st_mode) || (size_t)found.st_size > FILE_BYTES_MAX) {
        errno = S_ISREG(found.st_mode) ? EFBIG : EINVAL;
        return NULL;
    }
    size_t room = (size_t)found.st_size;
    char *bytes = mem_new(room + 1, 1);
    while (used < room) {
        ssize_t n = read(fd, bytes + used, room - used);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        used += (size_t)n;
    }
    *size = used;
    return bytes;
}

/*
 * The file's contents as a BIO over *bytes, which the caller wipes and frees.
 * @return NULL with errno set.
 */
static BIO *open_file(struct load *load, const char *path, char **bytes, size_t *size)
{
    /* without O_NONBLOCK a path that became a pipe would hang the thread that looks */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    *bytes = fd < 0 ? NULL : read_all(fd, size);
    int error = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    errno = error;
    if (!*bytes) {
        return NULL;
    }
    (void)EVP_DigestUpdate(load->digest, *bytes, *size);
    BIO *bio = BIO_new_mem_buf(*bytes, (int)*size);
    if (!bio) {
        mem_exhausted();
    }
    return bio;
}

static void close_file(BIO *bio, char *bytes, size_t size)
{
    BIO_free(bio);
    explicit_bzero(bytes, size);
    free(bytes);
}

static int fail_to_open(struct load *load, enum redis_tls_part part, const char *path)
{
    char words[160];

    (void)snprintf(words, sizeof(words), "cannot be read: %s",
                   errno == EINVAL ? "it is not a regular file" : strerror(errno));
    return fail(load, part, path, words);
}

/* Nobody is there to be asked; without this OpenSSL asks at the terminal. */
static int refuse_to_ask(char *buffer, int size, int writing, void *asked)
{
    (void)writing;
    if (size > 0) {
        buffer[0] = '\0';
    }
    *(bool *)asked = true;
    return -1;
}

/* Why OpenSSL refused; empties its queue. */
static const char *last_error(void)
{
    const char *words = ERR_reason_error_string(ERR_peek_last_error());

    ERR_clear_error();
    return words ? words : "unknown error";
}

/*
 * The next certificate. @return NULL at the end, with *damaged set where it is not the end but
 * something that can't be read.
 */
static X509 *next_certificate(BIO *bio, bool *damaged)
{
    bool asked = false;
    X509 *cert = PEM_read_bio_X509(bio, NULL, refuse_to_ask, &asked);

    *damaged = !cert && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE;
    ERR_clear_error();
    return cert;
}

/* ---- our own certificate and its key ---- */

static int check_dates(struct load *load, const X509 *cert)
{
    char words[160], date[TLS_DATE_SIZE];

    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0) {
        (void)snprintf(words, sizeof(words), "has expired: it was valid until %s",
                       tls_date(X509_get0_notAfter(cert), date));
        return fail(load, REDIS_TLS_PART_CERT, load->settings->cert, words);
    }
    if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0) {
        (void)snprintf(words, sizeof(words), "is not valid before %s",
                       tls_date(X509_get0_notBefore(cert), date));
        return fail(load, REDIS_TLS_PART_CERT, load->settings->cert, words);
    }
    load->expires_s = tls_seconds(X509_get0_notAfter(cert));
    return 0;
}

/* The certificate, and behind it those of its issuers that are to be shown with it. */
static int use_certificates(struct load *load, BIO *bio)
{
    const char *path = load->settings->cert;
    bool damaged;
    X509 *cert = next_certificate(bio, &damaged);

    if (!cert) {
        return fail(load, REDIS_TLS_PART_CERT, path,
                    damaged ? "is damaged: its certificate can't be read"
                            : "holds no certificate in PEM form");
    }
    int failed = check_dates(load, cert);
    if (failed == 0 && SSL_CTX_use_certificate(load->ctx, cert) != 1) {
        failed = fail(load, REDIS_TLS_PART_CERT, path, last_error());
    }
    X509_free(cert);
    while (failed == 0 && (cert = next_certificate(bio, &damaged))) {
        if (SSL_CTX_add0_chain_cert(load->ctx, cert) != 1) {
            X509_free(cert);
            failed = fail(load, REDIS_TLS_PART_CERT, path, last_error());
        }
    }
    if (failed == 0 && damaged) {
        failed = fail(load, REDIS_TLS_PART_CERT, path,
                      "is damaged: a certificate behind the first can't be read");
    }
    return failed;
}

static int use_key(struct load *load, BIO *bio)
{
    const char *path = load->settings->key;
    char *text;
    long size = BIO_get_mem_data(bio, &text);
    bool none = !memmem(text, (size_t)size, "PRIVATE KEY-----", 16), asked = false;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, refuse_to_ask, &asked);
    int failed = 0;

    if (!key) {
        ERR_clear_error();
        return fail(load, REDIS_TLS_PART_KEY, path,
                    asked  ? "is encrypted with a pass phrase"
                    : none ? "holds no private key in PEM form"
                           : "is damaged: its private key can't be read");
    }
    if (X509_check_private_key(SSL_CTX_get0_certificate(load->ctx), key) != 1) {
        char words[250];

        ERR_clear_error();
        (void)snprintf(words, sizeof(words), "does not belong to the certificate in \"%.180s\"",
                       load->settings->cert);
        failed = fail(load, REDIS_TLS_PART_KEY, path, words);
    } else if (SSL_CTX_use_PrivateKey(load->ctx, key) != 1) {
        failed = fail(load, REDIS_TLS_PART_KEY, path, last_error());
    }
    EVP_PKEY_free(key);
    return failed;
}

static int with_file(struct load *load, enum redis_tls_part part, const char *path,
                     int (*use)(struct load *, BIO *))
{
    char *bytes;
    size_t size = 0;
    BIO *bio = open_file(load, path, &bytes, &size);

    if (!bio) {
        return fail_to_open(load, part, path);
    }
    int failed = use(load, bio);
    close_file(bio, bytes, size);
    return failed;
}

/* ---- whom we trust ---- */

static void trust(struct load *load, X509 *cert)
{
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0 && load->n_expired++ == 0) {
        (void)tls_date(X509_get0_notAfter(cert), load->expired);
    }
    load->n_trusted++;
    (void)X509_STORE_add_cert(SSL_CTX_get_cert_store(load->ctx), cert); /* it may be there twice */
}

/* @return false: one of them is damaged. */
static bool trust_all(struct load *load, BIO *bio)
{
    bool damaged;

    for (X509 *cert; (cert = next_certificate(bio, &damaged));) {
        trust(load, cert);
        X509_free(cert);
    }
    ERR_clear_error();
    return !damaged;
}

static int use_authorities(struct load *load, BIO *bio)
{
    const char *path = load->settings->ca;

    if (!trust_all(load, bio)) {
        return fail(load, REDIS_TLS_PART_CA, path, "is damaged: a certificate in it can't be read");
    }
    return load->n_trusted > 0
               ? 0
               : fail(load, REDIS_TLS_PART_CA, path, "holds no certificate in PEM form");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/*
 * Each file in the folder, in the order of their names, so that what is in them is told from what
 * was. Names are free: no hashes, as a mounted Secret has none.
 */
static int each_file(const char *folder, void (*visit)(void *, const char *), void *data)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, is_visible, by_name);

    for (int i = 0; i < n; i++) {
        char path[4096];

        if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name) <
            sizeof(path)) {
            visit(data, path);
        }
        free(entries[i]);
    }
    if (n >= 0) {
        free(entries);
    }
    return n;
}

static void trust_file(void *data, const char *path)
{
    struct load *load = data;
    char *bytes;
    size_t size = 0;
    BIO *bio = open_file(load, path, &bytes, &size);

    if (bio) { /* a folder within, or what others keep there */
        (void)trust_all(load, bio);
        close_file(bio, bytes, size);
    }
}

static bool is_folder(const char *path)
{
    struct stat found;

    return stat(path, &found) == 0 && S_ISDIR(found.st_mode);
}

/* Where the system has those that it trusts in one file: it is read again like a file of ours. */
static const char *system_file(void)
{
    const char *path = getenv(X509_get_default_cert_file_env());

    return path ? path : X509_get_default_cert_file();
}

/* And the folders in which it has them by hashes of their names: OpenSSL looks when it has to. */
static void each_system_folder(void (*visit)(void *, const char *), void *data)
{
    const char *at = getenv(X509_get_default_cert_dir_env());
    char path[4096];

    at = at ? at : X509_get_default_cert_dir();
    while (*at != '\0') {
        size_t length = strcspn(at, ":");

        (void)snprintf(path, sizeof(path), "%.*s", (int)length, at);
        visit(data, path);
        at += length + (at[length] == ':' ? 1 : 0);
    }
}

static void look(void *data, const char *path)
{
    struct stat found;

    memset(&found, 0, sizeof(found));
    if (stat(path, &found) == 0) {
        (void)EVP_DigestUpdate(data, &found.st_dev, sizeof(found.st_dev));
        (void)EVP_DigestUpdate(data, &found.st_ino, sizeof(found.st_ino));
        (void)EVP_DigestUpdate(data, &found.st_size, sizeof(found.st_size));
        (void)EVP_DigestUpdate(data, &found.st_mtim, sizeof(found.st_mtim));
        (void)EVP_DigestUpdate(data, &found.st_ctim, sizeof(found.st_ctim));
    }
    (void)EVP_DigestUpdate(data, path, strlen(path) + 1);
}

static void look_within(void *data, const char *folder)
{
    (void)each_file(folder, look, data);
}

/*
 * What OpenSSL once found in a folder it goes on trusting: so what is there is a part of the
 * digest, and another SSL_CTX finds it no more.
 */
static void trust_system(struct load *load)
{
    char *bytes;
    size_t size = 0;
    BIO *bio = open_file(load, system_file(), &bytes, &size);

    if (bio) { /* for the digest */
        close_file(bio, bytes, size);
    }
    each_system_folder(look_within, load->digest);
    (void)SSL_CTX_set_default_verify_paths(load->ctx);
    ERR_clear_error();
}

static int load_folder(struct load *load, const char *path)
{
    if (each_file(path, trust_file, load) < 0) {
        return fail_to_open(load, REDIS_TLS_PART_CA, path);
    }
    return load->n_trusted > 0 ? 0
                               : fail(load, REDIS_TLS_PART_CA, path,
                                      "is a folder that holds no certificate in PEM form");
}

/* Among many some may have expired; where all have, nobody could be trusted. */
static int check_expired(struct load *load)
{
    char words[160];

    if (load->n_trusted == 0 || load->n_expired < load->n_trusted) {
        return 0;
    }
    (void)snprintf(words, sizeof(words), "%s has expired: it was valid until %s",
                   load->n_trusted == 1 ? "holds one certificate, which"
                                        : "holds no certificate that is valid: the first",
                   load->expired);
    return fail(load, REDIS_TLS_PART_CA, load->settings->ca, words);
}

static int load_authorities(struct load *load)
{
    const char *path = load->settings->ca;

    if (load->settings->verify == REDIS_TLS_VERIFY_OFF) {
        return 0;
    }
    if (!path) {
        trust_system(load);
        return 0;
    }
    int failed = is_folder(path) ? load_folder(load, path)
                                 : with_file(load, REDIS_TLS_PART_CA, path, use_authorities);
    return failed != 0 ? failed : check_expired(load);
}

/* ---- the context ---- */

static int set_ciphers(struct load *load)
{
    const struct redis_tls_settings *settings = load->settings;

    char unknown[TLS_CIPHER_NAME_SIZE];

    if (settings->ciphers && !tls_ciphers_known(load->ctx, settings->ciphers, unknown)) {
        return fail(load, REDIS_TLS_PART_CIPHERS, unknown,
                    "names no cipher of TLS 1.2 that is known here");
    }
    if (settings->ciphers && SSL_CTX_set_cipher_list(load->ctx, settings->ciphers) != 1) {
        return fail(load, REDIS_TLS_PART_CIPHERS, settings->ciphers,
                    "leaves no cipher of TLS 1.2 that is known here");
    }
    if (settings->ciphersuites &&
        !tls_ciphersuites_known(load->ctx, settings->ciphersuites, unknown)) {
        return fail(load, REDIS_TLS_PART_CIPHERSUITES, unknown,
                    "names no cipher suite of TLS 1.3 that is known here");
    }
    if (settings->ciphersuites &&
        SSL_CTX_set_ciphersuites(load->ctx, settings->ciphersuites) != 1) {
        return fail(load, REDIS_TLS_PART_CIPHERSUITES, settings->ciphersuites,
                    "is no list of cipher suites of TLS 1.3");
    }
    return 0;
}

static EVP_MD_CTX *new_digest(void)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();

    if (!digest || EVP_DigestInit_ex(digest, EVP_sha256(), NULL) != 1) {
        mem_exhausted();
    }
    return digest;
}

static SSL_CTX *make_context(const struct redis_tls_settings *settings)
{
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (!ctx) {
        mem_exhausted();
    }
    (void)SSL_CTX_set_min_proto_version(
        ctx, settings->min_version == REDIS_TLS_VERSION_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
    /* RESP tells by itself whether a reply is whole; a server that dies says no goodbye */
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    /* else each record takes two reads */
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_default_read_buffer_len(ctx, READ_BYTES);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    return ctx;
}

int tls_load(const struct redis_tls_settings *settings, struct tls_loaded *out,
             struct redis_tls_error *error)
{
    struct load load = {.settings = settings, .error = error, .ctx = make_context(settings)};

    load.digest = new_digest();
    int failed = set_ciphers(&load);
    if (failed == 0) {
        failed = load_authorities(&load);
    }
    if (failed == 0 && settings->cert) {
        failed = with_file(&load, REDIS_TLS_PART_CERT, settings->cert, use_certificates);
    }
    if (failed == 0 && settings->key) {
        failed = with_file(&load, REDIS_TLS_PART_KEY, settings->key, use_key);
    }
    ERR_clear_error();
    if (failed == 0) {
        out->ctx = load.ctx;
        out->expires_s = load.expires_s;
        out->n_expired = load.n_expired;
        (void)EVP_DigestFinal_ex(load.digest, out->digest, NULL);
    } else {
        SSL_CTX_free(load.ctx);
    }
    EVP_MD_CTX_free(load.digest);
    return failed;
}

/* ---- whether a file changed ---- */

void tls_look(const struct redis_tls_settings *settings, unsigned char out[TLS_DIGEST_SIZE])
{
    const char *paths[] = {settings->cert, settings->key,
                           settings->ca ? settings->ca : system_file()};
    EVP_MD_CTX *digest = new_digest();

    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        if (paths[i]) {
            look(digest, paths[i]);
        }
    }
    if (!settings->ca) {
        each_system_folder(look, digest);
    } else if (is_folder(settings->ca)) {
        look_within(digest, settings->ca);
    }
    (void)EVP_DigestFinal_ex(digest, out, NULL);
    EVP_MD_CTX_free(digest);
}
