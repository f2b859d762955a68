/*
 * The options of TLS to Sentinels and to Redis. Of four that could say the same thing the nearest
 * one does: a section's for the side, the section's for both, the side's for all, that for both.
 */
#include "build_tls.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bellwether/base/address.h"
#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"

/* The options of one thing, by side, and for both. */
struct tls_option {
    enum option_id of_side[2], of_both;
};
#define TLS_OPTION(id) \
    { \
        {OPTION_ID_SENTINEL_TLS_##id, OPTION_ID_REDIS_TLS_##id}, OPTION_ID_TLS_##id \
    }

enum tls_thing {
    TLS_CA,
    TLS_CERT,
    TLS_KEY,
    TLS_VERIFY,
    TLS_SERVER_NAME,
    TLS_MIN_VERSION,
    TLS_CIPHERS,
    TLS_CIPHERSUITES,
    TLS_THINGS
};
static const struct tls_option tls_options[TLS_THINGS] = {
    [TLS_CA] = TLS_OPTION(CA),
    [TLS_CERT] = TLS_OPTION(CERT),
    [TLS_KEY] = TLS_OPTION(KEY),
    [TLS_VERIFY] = TLS_OPTION(VERIFY),
    [TLS_SERVER_NAME] = TLS_OPTION(SERVER_NAME),
    [TLS_MIN_VERSION] = TLS_OPTION(MIN_VERSION),
    [TLS_CIPHERS] = TLS_OPTION(CIPHERS),
    [TLS_CIPHERSUITES] = TLS_OPTION(CIPHERSUITES),
};
static const enum option_id switches[2] = {OPTION_ID_SENTINEL_TLS, OPTION_ID_REDIS_TLS};

/* What is wrong is said of the option that was given. */
struct tls_choice {
    const struct setting *setting; /* NULL: none was given */
    enum option_id id;
};

static struct tls_choice choose(const struct settings *settings,
                                const struct option_section *section, enum option_id of_side,
                                enum option_id of_both)
{
    const enum option_id ids[2] = {of_side, of_both};

    for (size_t i = 0; section && i < 2; i++) {
        if (section->settings[ids[i]].where) {
            return (struct tls_choice){&section->settings[ids[i]], ids[i]};
        }
    }
    for (size_t i = 0; i < 2; i++) {
        const struct setting *setting = settings_winner(settings, (int)ids[i], NULL);

        if (setting) {
            return (struct tls_choice){setting, ids[i]};
        }
    }
    return (struct tls_choice){NULL, of_both};
}

static struct tls_choice choose_thing(const struct settings *settings,
                                      const struct option_section *section, enum tls_side side,
                                      enum tls_thing thing)
{
    return choose(settings, section, tls_options[thing].of_side[side], tls_options[thing].of_both);
}

static int64_t number_of(const struct tls_choice *choice)
{
    const struct option_entry *entry = &option_table[choice->id];
    const char *text = setting_item(choice->setting);
    struct option_value value = {0};
    char words[8];

    /* checked when it was given */
    (void)option_read_value(entry, text ? text : entry->fallback, &value, words, sizeof(words));
    return value.number;
}

bool options_tls_is_on(const struct settings *settings, const struct option_section *section,
                       enum tls_side side)
{
    const struct tls_choice choice = choose(settings, section, switches[side], switches[side]);

    return number_of(&choice) != 0;
}

bool options_has_own_tls(const struct settings *settings, const struct option_section *section,
                         enum tls_side side)
{
    if (section->settings[switches[side]].where) {
        return true;
    }
    bool on = options_tls_is_on(settings, section, side);
    /* learned Sentinels may speak it where Redis does */
    bool learned =
        side == TLS_SIDE_SENTINEL && options_tls_is_on(settings, section, TLS_SIDE_REDIS);

    for (size_t i = 0; i < TLS_THINGS; i++) {
        if (((on || learned) && section->settings[tls_options[i].of_side[side]].where) ||
            (on && section->settings[tls_options[i].of_both].where)) {
            return true;
        }
    }
    return false;
}

static int fail(const struct tls_choice *choice, const char *words, const char *takes,
                struct options_error *error)
{
    return options_fail(error, "%s (%.200s): %s; takes %s", option_table[choice->id].name,
                        choice->setting ? choice->setting->where : "default", words, takes);
}

/* Of a certificate and its key only one is given: its mate is asked for, of the same side. */
static int fail_alone(const struct tls_choice *given, enum tls_thing thing, enum tls_thing mate,
                      enum tls_side side, struct options_error *error)
{
    const bool both = given->id == tls_options[thing].of_both;
    char words[256], takes[64];

    (void)snprintf(words, sizeof(words), "\"%.200s\" without its %s", setting_item(given->setting),
                   mate == TLS_KEY ? "private key" : "certificate");
    (void)snprintf(
        takes, sizeof(takes), "%s with it",
        option_table[both ? tls_options[mate].of_both : tls_options[mate].of_side[side]].name);
    return fail(given, words, takes, error);
}

/* A warning, as for files with passwords. */
static void note_exposed(struct options *out, const char *path)
{
    struct stat found;
    char text[512];

    if (path && stat(path, &found) == 0 && (found.st_mode & (S_IWGRP | S_IRWXO)) != 0) {
        (void)snprintf(text, sizeof(text), "%.400s: %s", path,
                       (found.st_mode & (S_IWGRP | S_IWOTH)) != 0
                           ? "others than its owner may write it"
                           : "everybody on its host may read it");
        options_note(out, LOG_LEVEL_WARN, "others can get at a file with a secret", "file", text);
    }
}

static int check_together(const struct redis_tls_settings *tls, const struct tls_choice *choices,
                          enum tls_side side, struct options_error *error)
{
    if (tls->cert && !tls->key) {
        return fail_alone(&choices[TLS_CERT], TLS_CERT, TLS_KEY, side, error);
    }
    if (tls->key && !tls->cert) {
        return fail_alone(&choices[TLS_KEY], TLS_KEY, TLS_CERT, side, error);
    }
    return 0;
}

/*
 * The name as it is written everywhere else. OpenSSL takes an empty one for "any", and one that
 * begins with a dot for a whole domain.
 */
static int read_server_name(struct redis_tls_settings *tls, const struct tls_choice *choice,
                            struct address *out, struct options_error *error)
{
    const char *name = tls->server_name;
    char words[256];

    if (name && address_from_parts(name, strlen(name), "1", 1, out) != 0) {
        (void)snprintf(words, sizeof(words), "\"%.200s\" is not valid", name);
        return fail(choice, words, "a host name or an IP address, no port", error);
    }
    tls->server_name = name ? out->host : NULL;
    return 0;
}

int options_build_tls(const struct builder *builder, const struct option_section *section,
                      enum tls_side side, struct redis_tls **tls)
{
    static const struct {
        enum tls_thing thing;
        const char *takes;
    } parts[] = {
        [REDIS_TLS_PART_CA] = {TLS_CA, "a file, or a folder of files, of certificates in PEM"},
        [REDIS_TLS_PART_CERT] = {TLS_CERT, "certificates in PEM that are valid now"},
        [REDIS_TLS_PART_KEY] = {TLS_KEY, "the key of tls-cert, in PEM and without a pass phrase"},
        [REDIS_TLS_PART_CIPHERS] = {TLS_CIPHERS, "what `openssl ciphers -tls1_2` takes"},
        [REDIS_TLS_PART_CIPHERSUITES] = {TLS_CIPHERSUITES,
                                         "names such as TLS_AES_256_GCM_SHA384, with colons"},
    };
    struct watch_config *watch = &builder->out->watch;
    struct tls_choice choices[TLS_THINGS];
    struct redis_tls_error why;
    struct address server;

    for (size_t i = 0; i < TLS_THINGS; i++) {
        choices[i] = choose_thing(builder->settings, section, side, (enum tls_thing)i);
    }
    struct redis_tls_settings wanted = {
        .ca = setting_item(choices[TLS_CA].setting),
        .cert = setting_item(choices[TLS_CERT].setting),
        .key = setting_item(choices[TLS_KEY].setting),
        .server_name = setting_item(choices[TLS_SERVER_NAME].setting),
        .ciphers = setting_item(choices[TLS_CIPHERS].setting),
        .ciphersuites = setting_item(choices[TLS_CIPHERSUITES].setting),
        .verify = (enum redis_tls_verify)number_of(&choices[TLS_VERIFY]),
        .min_version = (enum redis_tls_version)number_of(&choices[TLS_MIN_VERSION]),
    };
    if (check_together(&wanted, choices, side, builder->error) != 0 ||
        read_server_name(&wanted, &choices[TLS_SERVER_NAME], &server, builder->error) != 0) {
        return -BW_EINVAL;
    }
    *tls = redis_tls_new(&wanted, &why);
    if (!*tls) {
        return fail(&choices[parts[why.part].thing], why.words, parts[why.part].takes,
                    builder->error);
    }
    note_exposed(builder->out, wanted.key);
    if (redis_tls_expiry(*tls).n_trusted_expired > 0) {
        options_note(builder->out, LOG_LEVEL_WARN,
                     "some of the certificates that are trusted have expired", "file", wanted.ca);
    }
    if (wanted.verify == REDIS_TLS_VERIFY_OFF) {
        options_note(builder->out, LOG_LEVEL_WARN,
                     "nobody's certificate is checked: anyone in between can read and change all",
                     "option", option_table[choices[TLS_VERIFY].id].name);
    }
    *MEM_APPEND(watch->tls, watch->n_tls) =
        (struct watch_tls){.tls = *tls,
                           .side = side == TLS_SIDE_REDIS ? "redis" : "sentinel",
                           .master = section ? mem_strdup(section->master) : NULL};
    return 0;
}

void options_note_unused_tls(const struct builder *builder)
{
    for (size_t i = 0; i < TLS_THINGS && builder->out->watch.n_tls == 0; i++) {
        if (settings_item(builder->settings, (int)tls_options[i].of_both)) {
            options_note(builder->out, LOG_LEVEL_WARN,
                         "nothing speaks TLS: neither sentinel-tls nor redis-tls is on", "option",
                         option_table[tls_options[i].of_both].name);
            return;
        }
    }
}
