/* A password that comes from a file, read again when the file changes, or from a fixed value. */
#ifndef BELLWETHER_BASE_SECRET_H
#define BELLWETHER_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct secret;

/**
 * @param path   a file (one line break at its end is stripped), or NULL.
 * @param value  used when path is NULL; NULL: there is no secret.
 * @return the secret; NULL with a message that names the file in `error` when it can't be read.
 * Thread: any.
 */
struct secret *secret_new(const char *path, const char *value, char *error, size_t error_size);
/** Another owner's own copy. */
struct secret *secret_copy(const struct secret *secret);
/** The present value, or NULL; borrowed until the next refresh. */
const char *secret_value(const struct secret *secret);
/**
 * Read the file again, if it changed (device, inode, size or time; links followed) or `force`.
 * @return 1 the value changed; 0 not; -BW_EIO it can't be read now, the old value stays (message in
 * `error`).
 * Thread: the owner's.
 */
int secret_refresh(struct secret *secret, bool force, char *error, size_t error_size);
/** The file, or NULL; borrowed. */
const char *secret_path(const struct secret *secret);
/**
 * Who can get at the file that should not; asked for once after the start and once after each
 * change of the file. That its group reads it is all right: fsGroup does that in Kubernetes.
 * @return static words, or NULL. Thread: the owner's.
 */
const char *secret_exposed(struct secret *secret);
/**
 * When its value was taken, at first or because the file's contents had changed; wall clock.
 * Thread: the owner's.
 */
int64_t secret_taken_ms(const struct secret *secret);

/*
 * Saying that files can't be read: at once, then once a minute, and when they can be again. Zero at
 * first.
 */
struct secret_complaint {
    bool failing;
    int64_t said_ms;
};
enum secret_say { SECRET_SAY_NOTHING, SECRET_SAY_FAILING, SECRET_SAY_BACK };
/** What is to be said after an attempt. @param now_ms boot clock. */
enum secret_say secret_complain(struct secret_complaint *complaint, bool failed, int64_t now_ms);

/** Wipes the value. */
void secret_free(struct secret *secret);

#endif
