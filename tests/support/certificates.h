/* Certificates for a test, made by the openssl command in a folder of the test's. */
#ifndef BELLWETHER_TESTS_SUPPORT_CERTIFICATES_H
#define BELLWETHER_TESTS_SUPPORT_CERTIFICATES_H

#include <stdbool.h>
#include <stdint.h>

struct certificate {
    const char *name;        /* its files are NAME.crt and NAME.key */
    const char *issuer;      /* another's name; NULL: it signs itself */
    bool authority;          /* it may sign others */
    const char *common_name; /* NULL: its name */
    const char *names;       /* "DNS:a.example,IP:127.0.0.1"; NULL: none */
    const char *usage;       /* "serverAuth"; NULL: any */
    const char *pass_phrase; /* of its key; NULL: none */
    bool rsa;                /* its key; else of an elliptic curve */
    int64_t begins_s;        /* from now; 0 and 0: an hour ago until tomorrow */
    int64_t ends_s;
};

/** A new folder under /tmp. @return its path; certificates_remove() frees it. */
char *certificates_folder(void);
void certificates_remove(char *folder);
void certificates_make(const char *folder, const struct certificate *wish);
/** Make there an authority `ca`, and `good` of it, for 127.0.0.1, ::1 and localhost. */
void certificates_make_usual(const char *folder);
/** The same in a new folder. */
char *certificates_usual(void);
/** FOLDER/NAME. @return one of some static texts. */
const char *certificates_path(const char *folder, const char *name);
/** Put a copy of one file in another's place, as one step. */
void certificates_replace(const char *folder, const char *from, const char *to);
/** Write FOLDER/NAME. */
void certificates_write(const char *folder, const char *name, const char *text);
/** FOLDER/A, then FOLDER/B, as FOLDER/TO. */
void certificates_join(const char *folder, const char *a, const char *b, const char *to);

/* One that is no good for a server at 127.0.0.1, and words of why. */
struct wrong_certificate {
    struct certificate made;
    const char *words;
};
/** NULL for the last one's words. */
extern const struct wrong_certificate wrong_certificates[];
/** Make it there, and who has signed it. */
void wrong_certificate_make(const char *folder, const struct wrong_certificate *wrong);

/**
 * As a mounted Secret has it: FOLDER/NAME.crt and .key as FOLDER/mount/tls.crt and tls.key, links
 * into a folder that a link names, which is put in the last one's place as one step.
 */
void certificates_mount(const char *folder, const char *name);

#endif
