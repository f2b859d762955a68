/*
 * Passwords. A file's password follows the file: rotated Kubernetes secrets arrive as a swapped
 * symlink, so the file is looked at through its links and known by device, inode, size and times.
 */
#include "bellwether/base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"

#define SECRET_MAX_BYTES 65536
#define COMPLAIN_MS 60000

struct secret {
    char *path; /* NULL: the value is fixed */
    char *value;
    bool look_at_mode; /* the file is new, and nobody asked yet who can get at it */
    bool regular;      /* a pipe (`<(pass show redis)`) can be read only once */
    struct stat seen;
    int64_t taken_ms; /* wall clock */
};

static void wipe(char *text)
{
    if (text) {
        explicit_bzero(text, strlen(text));
        free(text);
    }
}

/* Never NULL. */
static const char *system_words(void)
{
    const char *words = strerror(errno);

    return words ? words : "unknown error";
}

/*
 * -1 with errno set; else the number of bytes. Reads one byte over the limit to notice what is too
 * long.
 */
static ssize_t read_all(int fd, char *buffer, size_t size)
{
    size_t used = 0;

    while (used < size) {
        ssize_t n = read(fd, buffer + used, size - used);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        if (n == 0) {
            break;
        }
        used += (size_t)n;
    }
    return (ssize_t)used;
}

/* Words when the contents are no password, else NULL; strips the one newline. */
static const char *check_contents(char *text, size_t length)
{
    if (length > SECRET_MAX_BYTES) {
        return "is larger than 64 KiB";
    }
    if (memchr(text, '\0', length)) {
        return "contains a zero byte";
    }
    text[length] = '\0';
    if (length > 0 && text[length - 1] == '\n') {
        text[--length] = '\0';
        if (length > 0 && text[length - 1] == '\r') {
            text[--length] = '\0';
        }
    }
    /* a file caught between truncation and writing must not become "no password" */
    return length == 0 ? "is empty" : NULL;
}

static const char *read_open_file(int fd, bool may_be_pipe, struct stat *seen, char **value)
{
    if (fstat(fd, seen) != 0) {
        return system_words();
    }
    if (!S_ISREG(seen->st_mode)) {
        if (S_ISDIR(seen->st_mode) || !may_be_pipe) {
            return "is not a regular file";
        }
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0) {
            return system_words();
        }
    }
    char *text = mem_new(SECRET_MAX_BYTES + 2, 1);
    ssize_t length = read_all(fd, text, SECRET_MAX_BYTES + 1);
    const char *words = length < 0 ? system_words() : check_contents(text, (size_t)length);
    if (!words) {
        *value = mem_strdup(text);
    }
    explicit_bzero(text, SECRET_MAX_BYTES + 2);
    free(text);
    return words;
}

static int read_file(const char *path, bool may_be_pipe, struct stat *seen, char **value,
                     char *error, size_t error_size)
{
    struct stat found;
    /* without O_NONBLOCK a path that became a pipe would hang the thread that looks */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const char *words = fd < 0 ? system_words() : read_open_file(fd, may_be_pipe, &found, value);

    if (fd >= 0) {
        (void)close(fd);
    }
    if (words) {
        (void)snprintf(error, error_size, "%s: %s", path, words);
        return -BW_EIO;
    }
    *seen = found;
    return 0;
}

struct secret *secret_new(const char *path, const char *value, char *error, size_t error_size)
{
    struct secret *secret = mem_new(1, sizeof(*secret));

    secret->taken_ms = clock_wall_ms();
    if (!path) {
        secret->value = mem_strdup(value);
        return secret;
    }
    if (read_file(path, true, &secret->seen, &secret->value, error, error_size) != 0) {
        free(secret);
        return NULL;
    }
    secret->path = mem_strdup(path);
    secret->regular = S_ISREG(secret->seen.st_mode);
    secret->look_at_mode = secret->regular;
    return secret;
}

struct secret *secret_copy(const struct secret *secret)
{
    struct secret *copy = mem_new(1, sizeof(*copy));

    *copy = *secret;
    copy->path = mem_strdup(secret->path);
    copy->value = mem_strdup(secret->value);
    return copy;
}

const char *secret_value(const struct secret *secret)
{
    return secret->value;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int refresh(struct secret *secret, bool force, char *error, size_t error_size)
{
    struct stat now;
    char *value = NULL;

    if (!secret->path || !secret->regular) {
        return 0;
    }
    if (stat(secret->path, &now) != 0) {
        (void)snprintf(error, error_size, "%s: %s", secret->path, system_words());
        return -BW_EIO;
    }
    bool same = same_file(&now, &secret->seen);
    if (!force && same) {
        return 0;
    }
    int failed = read_file(secret->path, false, &secret->seen, &value, error, error_size);
    if (failed != 0) {
        return failed;
    }
    int changed = strcmp(value, secret->value) != 0 ? 1 : 0;
    secret->look_at_mode = secret->look_at_mode || !same;
    wipe(secret->value);
    secret->value = value;
    return changed;
}

int secret_refresh(struct secret *secret, bool force, char *error, size_t error_size)
{
    int changed = refresh(secret, force, error, error_size);

    secret->taken_ms = changed > 0 ? clock_wall_ms() : secret->taken_ms;
    return changed;
}

const char *secret_path(const struct secret *secret)
{
    return secret->path;
}

const char *secret_exposed(struct secret *secret)
{
    mode_t mode = secret->look_at_mode ? secret->seen.st_mode : 0;

    secret->look_at_mode = false;
    if ((mode & (S_IWGRP | S_IWOTH)) != 0) {
        return "others than its owner may write it";
    }
    return (mode & S_IRWXO) != 0 ? "everybody on its host may read it" : NULL;
}

int64_t secret_taken_ms(const struct secret *secret)
{
    return secret->taken_ms;
}

enum secret_say secret_complain(struct secret_complaint *complaint, bool failed, int64_t now_ms)
{
    bool was = complaint->failing;

    complaint->failing = failed;
    if (!failed) {
        return was ? SECRET_SAY_BACK : SECRET_SAY_NOTHING;
    }
    if (was && now_ms - complaint->said_ms < COMPLAIN_MS) {
        return SECRET_SAY_NOTHING;
    }
    complaint->said_ms = now_ms;
    return SECRET_SAY_FAILING;
}

void secret_free(struct secret *secret)
{
    if (secret) {
        wipe(secret->value);
        free(secret->path);
        free(secret);
    }
}
