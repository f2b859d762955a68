/* The versions of the libraries, for /version and --version. */
#ifndef BELLWETHER_HTTP_VERSIONS_H
#define BELLWETHER_HTTP_VERSIONS_H

struct library_version {
    const char *name;
    const char *version;
};

/**
 * @param out static contents, ends with a NULL name; room for LIBRARY_VERSIONS entries. Thread:
 * any.
 */
#define LIBRARY_VERSIONS 7
void library_versions(struct library_version out[LIBRARY_VERSIONS]);

#endif
