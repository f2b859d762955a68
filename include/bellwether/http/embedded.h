/* openapi.yaml and the status page, put into the program by the Makefile. */
#ifndef BELLWETHER_HTTP_EMBEDDED_H
#define BELLWETHER_HTTP_EMBEDDED_H

#include <stddef.h>

extern const char embedded_openapi[];
extern const size_t embedded_openapi_size;

/*
 * The status page in two pieces, between which the text of /status goes, and the
 * Content-Security-Policy that names the hashes of its style and script.
 */
extern const char embedded_page_head[];
extern const size_t embedded_page_head_size;
extern const char embedded_page_tail[];
extern const size_t embedded_page_tail_size;
extern const char embedded_page_policy[];
extern const size_t embedded_page_policy_size;

#endif
