/* Percent-encoding (RFC 3986), as paths and queries have it. */
#ifndef BELLWETHER_BASE_PERCENT_H
#define BELLWETHER_BASE_PERCENT_H

#include <stddef.h>

/**
 * Percent-decode to bytes; `%00` is one like any other.
 *
 * @param out  not terminated; may be `in` itself; undefined on failure.
 * @param out_len  set on success.
 * @return 0; -BW_EINVAL an escape that is none; -BW_ERANGE it does not fit.
 * Thread:  any.
 */
int percent_decode_bytes(const char *in, size_t in_len, char *out, size_t out_size,
                         size_t *out_len);

/**
 * Percent-decode to text.
 *
 * @param out  terminated on success; may be `in` itself.
 * @return 0; -BW_EINVAL an escape that is none, or a NUL; -BW_ERANGE it does not fit.
 * Thread:  any.
 */
int percent_decode(const char *in, size_t in_len, char *out, size_t out_size);

#endif
