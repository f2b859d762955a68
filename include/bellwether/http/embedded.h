/* openapi.yaml, put into the program by the Makefile. */
#ifndef BELLWETHER_HTTP_EMBEDDED_H
#define BELLWETHER_HTTP_EMBEDDED_H

#include <stddef.h>

extern const char embedded_openapi[];
extern const size_t embedded_openapi_size;

#endif
