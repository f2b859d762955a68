/* Durations (`500ms`, `1s`, `5m`, `1h`, `0`) and sizes (`512`, `10kb`, `1MiB`, `64mb`) in text. */
#ifndef BELLWETHER_BASE_UNITS_H
#define BELLWETHER_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

#define UNITS_TEXT_SIZE 32

/**
 * A duration is the whole text, without sign or blanks; a bare number is refused except `0`.
 * @return 0; -BW_EINVAL; -BW_ERANGE (over 2^53 ms). Thread: any.
 */
int duration_parse(const char *text, int64_t *out_ms);
/** The shortest exact form: `1s`, `1500ms`, `5m`. */
void duration_format(int64_t ms, char out[UNITS_TEXT_SIZE]);
/**
 * A number of bytes; units b, k/kb/kib (1024), m/mb/mib, g/gb/gib, any case (as Redis' config has
 * it: kb = 1024).
 * @return 0; -BW_EINVAL; -BW_ERANGE.
 */
int bytes_parse(const char *text, int64_t *out_bytes);
void bytes_format(int64_t bytes, char out[UNITS_TEXT_SIZE]);
/** A whole decimal number in [min, max]. @return 0; -BW_EINVAL; -BW_ERANGE. */
int integer_parse(const char *text, int64_t min, int64_t max, int64_t *out);

#endif
