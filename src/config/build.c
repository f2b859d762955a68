/*
 * From settings to struct options: the numbers by the table, the rest by hand, then the checks of
 * options that depend on each other.
 */
#include "build.h"

#include <stdlib.h>
#include <string.h>

#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"
#include "build_commands.h"
#include "build_https.h"
#include "build_places.h"
#include "build_tls.h"
#include "http/server/server_tls.h"
#include "shown.h"

/* ---- small helpers ---- */

static void add_master(struct watch_deployment *deployment, const char *name)
{
    if (!options_has_name(deployment->masters, deployment->n_masters, name)) {
        *MEM_APPEND(deployment->masters, deployment->n_masters) = mem_strdup(name);
    }
}

/* An item, which was checked when it was given. @return false: its address is there already. */
static bool add_address(struct address **addresses, size_t *n, int id, const char *item)
{
    struct option_value value = {0};
    char words[256];

    (void)option_read_value(&option_table[id], item, &value, words, sizeof(words));
    for (size_t i = 0; i < *n; i++) {
        if (address_equal(&(*addresses)[i], &value.address)) {
            return false;
        }
    }
    *MEM_APPEND(*addresses, *n) = value.address;
    return true;
}

/* ---- numbers ---- */

static void store_number(struct options *out, const struct option_entry *entry, int64_t number)
{
    unsigned char *field = (unsigned char *)out + entry->field;
    bool on = number != 0;
    unsigned place = (unsigned)number; /* enums are of int's size */

    if (entry->type == OPTION_SWITCH) {
        memcpy(field, &on, sizeof(on));
    } else if (entry->type == OPTION_CHOICE) {
        memcpy(field, &place, sizeof(place));
    } else {
        memcpy(field, &number, sizeof(number));
    }
}

static int build_numbers(const struct builder *builder)
{
    char words[512];

    for (int id = 0; id < OPTION_COUNT; id++) {
        const struct option_entry *entry = &option_table[id];
        const char *text = settings_item(builder->settings, id);
        struct option_value value = {.number = -1};

        if (entry->field == OPTION_NOWHERE) {
            continue;
        }
        text = text ? text : entry->fallback;
        if (text && option_read_value(entry, text, &value, words, sizeof(words)) != 0) {
            return options_fail(builder->error, "--%s: %s", entry->name, words);
        }
        store_number(builder->out, entry, value.number);
    }
    builder->out->watch.lag_matters = builder->out->replica_max_lag_bytes >= 0;
    return 0;
}

/* ---- credentials ---- */

static char *make_text(const struct builder *builder, const struct setting *own, int id)
{
    return mem_strdup(own && own->where ? setting_item(own) : settings_item(builder->settings, id));
}

static int make_tls(const struct builder *builder, const struct option_section *section,
                    enum tls_side side, struct redis_tls **tls)
{
    *tls = NULL;
    return options_tls_is_on(builder->settings, section, side)
               ? options_build_tls(builder, section, side, tls)
               : 0;
}

static int add_override(const struct builder *builder, const struct option_section *section)
{
    const struct setting *user = &section->settings[OPTION_ID_REDIS_USERNAME];
    const struct setting *file = &section->settings[OPTION_ID_REDIS_PASSWORD_FILE];
    struct watch_config *watch = &builder->out->watch;

    bool has_tls = options_has_own_tls(builder->settings, section, TLS_SIDE_REDIS);
    struct redis_tls *tls = watch->redis_tls;

    if (!user->where && !file->where && !has_tls) {
        return 0;
    }
    if (has_tls && make_tls(builder, section, TLS_SIDE_REDIS, &tls) != 0) {
        return -BW_EINVAL;
    }
    struct secret *password =
        options_secret(builder, file, OPTION_ID_REDIS_PASSWORD_FILE, OPTION_ID_REDIS_PASSWORD);
    if (!password) {
        return -BW_EINVAL;
    }
    *MEM_APPEND(watch->overrides, watch->n_overrides) = (struct watch_override){
        .master = mem_strdup(section->master),
        .redis_username = make_text(builder, user, OPTION_ID_REDIS_USERNAME),
        .redis_password = password,
        .redis_tls = tls,
    };
    return 0;
}

/* ---- deployments ---- */

static void add_seeds(const struct builder *builder, struct watch_deployment *deployment,
                      const struct setting *setting)
{
    for (size_t i = 0; setting && i < setting->n_items; i++) {
        if (!add_address(&deployment->seeds, &deployment->n_seeds, OPTION_ID_SENTINEL,
                         setting->items[i])) {
            options_note(builder->out, LOG_LEVEL_WARN, "sentinel given twice, used once",
                         "sentinel", setting->items[i]);
        }
    }
}

static bool has_own_sentinels(const struct settings *settings, const struct option_section *section)
{
    return options_has_own_tls(settings, section, TLS_SIDE_SENTINEL) ||
           section->settings[OPTION_ID_SENTINEL].where ||
           section->settings[OPTION_ID_SENTINEL_USERNAME].where ||
           section->settings[OPTION_ID_SENTINEL_PASSWORD_FILE].where;
}

/* Whether TLS is spoken to a master of the section's Sentinels; NULL: of those that are shared. */
static bool has_tls_master(const struct settings *settings, const struct option_section *section)
{
    bool has = options_tls_is_on(settings, section, TLS_SIDE_REDIS);

    for (size_t i = 0; !section && !has && i < settings->n_sections; i++) {
        const struct option_section *sharing = &settings->sections[i];

        has = !has_own_sentinels(settings, sharing) &&
              options_tls_is_on(settings, sharing, TLS_SIDE_REDIS);
    }
    return has;
}

/*
 * Where only Redis speaks TLS, Sentinels list each other by ports that speak it as well: learned
 * ones are dialled so once they have answered so. What is checked of Sentinels is what is said for
 * all that they are shared by, whichever master has them speak TLS.
 */
static int make_sentinel_tls(const struct builder *builder, const struct option_section *section,
                             struct redis_tls **tls, struct redis_tls **tls_learned)
{
    const struct watch_config *watch = &builder->out->watch;

    if (section && !options_has_own_tls(builder->settings, section, TLS_SIDE_SENTINEL) &&
        !options_has_own_tls(builder->settings, section, TLS_SIDE_REDIS)) {
        *tls = watch->deployments[0].tls;
        *tls_learned =
            has_tls_master(builder->settings, section) ? watch->deployments[0].tls_learned : NULL;
        return 0;
    }
    if (make_tls(builder, section, TLS_SIDE_SENTINEL, tls) != 0) {
        return -BW_EINVAL;
    }
    if (*tls || !watch->learn_sentinels || !has_tls_master(builder->settings, section)) {
        return 0;
    }
    return options_build_tls(builder, section, TLS_SIDE_SENTINEL, tls_learned);
}

/* A deployment's seeds and credentials: a section's own where it has them, else the global ones. */
static int add_deployment(const struct builder *builder, const struct option_section *section)
{
    const struct setting *own = !section ? NULL : section->settings;
    const struct setting *seeds = settings_winner(builder->settings, OPTION_ID_SENTINEL, NULL);
    struct watch_config *watch = &builder->out->watch;
    struct secret *password =
        options_secret(builder, !own ? NULL : &own[OPTION_ID_SENTINEL_PASSWORD_FILE],
                       OPTION_ID_SENTINEL_PASSWORD_FILE, OPTION_ID_SENTINEL_PASSWORD);

    if (!password) {
        return -BW_EINVAL;
    }
    struct redis_tls *tls = NULL, *tls_learned = NULL;
    if (make_sentinel_tls(builder, section, &tls, &tls_learned) != 0) {
        secret_free(password);
        return -BW_EINVAL;
    }
    struct watch_deployment *deployment = MEM_APPEND(watch->deployments, watch->n_deployments);
    *deployment = (struct watch_deployment){
        .username = make_text(builder, !own ? NULL : &own[OPTION_ID_SENTINEL_USERNAME],
                              OPTION_ID_SENTINEL_USERNAME),
        .password = password,
        .tls = tls,
        .tls_learned = tls_learned,
    };
    if (own && own[OPTION_ID_SENTINEL].where) {
        seeds = &own[OPTION_ID_SENTINEL];
    }
    add_seeds(builder, deployment, seeds);
    if (section) {
        add_master(deployment, section->master);
        if (deployment->n_seeds == 0) {
            return options_fail(
                builder->error,
                "[master %.100s]: no Sentinel; takes sentinel = host:port, here or for all",
                section->master);
        }
    }
    return 0;
}

static const struct option_section *own_section(const struct settings *settings, const char *master)
{
    for (size_t i = 0; i < settings->n_sections; i++) {
        if (strcmp(settings->sections[i].master, master) == 0 &&
            has_own_sentinels(settings, &settings->sections[i])) {
            return &settings->sections[i];
        }
    }
    return NULL;
}

/*
 * Which masters the global Sentinels are asked for: those named for them, or all when none is. A
 * section says what differs for its master; it does not keep the others from being watched.
 */
static void name_global_masters(const struct builder *builder)
{
    const struct settings *settings = builder->settings;
    const struct setting *named = settings_winner(settings, OPTION_ID_MASTER, NULL);
    struct watch_deployment *global = &builder->out->watch.deployments[0];

    global->all_masters = !named && global->n_seeds > 0;
    for (size_t i = 0; named && i < named->n_items; i++) {
        if (!own_section(settings, named->items[i])) {
            add_master(global, named->items[i]);
        }
    }
    for (size_t i = 0; !global->all_masters && i < settings->n_sections; i++) {
        if (!has_own_sentinels(settings, &settings->sections[i])) {
            add_master(global, settings->sections[i].master);
        }
    }
}

static int build_deployments(const struct builder *builder)
{
    const struct settings *settings = builder->settings;
    struct watch_config *watch = &builder->out->watch;

    if (add_deployment(builder, NULL) != 0) {
        return -BW_EINVAL;
    }
    name_global_masters(builder);
    for (size_t i = 0; i < settings->n_sections; i++) {
        const struct option_section *section = &settings->sections[i];

        if ((has_own_sentinels(settings, section) && add_deployment(builder, section) != 0) ||
            add_override(builder, section) != 0) {
            return -BW_EINVAL;
        }
    }
    const struct watch_deployment *global = &watch->deployments[0];
    if (global->n_seeds == 0 && (global->n_masters > 0 || watch->n_deployments == 1)) {
        return options_fail(
            builder->error,
            "--sentinel: none given; takes host:port of one Sentinel at least, or %s",
            "BELLWETHER_SENTINEL, or sentinel = in the file");
    }
    return 0;
}

/* ---- the default master ---- */

static int build_default_master(const struct builder *builder)
{
    const struct setting *setting =
        settings_winner(builder->settings, OPTION_ID_DEFAULT_MASTER, NULL);
    const struct setting *named = settings_winner(builder->settings, OPTION_ID_MASTER, NULL);
    struct watch_config *watch = &builder->out->watch;

    if (setting_item(setting)) {
        watch->default_master = mem_strdup(setting->items[0]);
        if (!options_is_watched(watch, watch->default_master)) {
            return options_fail(
                builder->error,
                "default-master (%.200s): \"%.200s\" is not watched; takes one of the masters named",
                setting->where, watch->default_master);
        }
    } else if (named && own_section(builder->settings, named->items[0])) {
        /* the first configured one, whose deployment of its own is not the first */
        watch->default_master = mem_strdup(named->items[0]);
    }
    return 0;
}

/* ---- all of it ---- */

static int build_map(const struct builder *builder)
{
    const struct setting *setting = settings_winner(builder->settings, OPTION_ID_MAP, NULL);
    char words[512];

    for (size_t i = 0; setting && i < setting->n_items; i++) {
        if (address_map_add(&builder->out->watch.map, setting->items[i], words, sizeof(words)) !=
            0) {
            return options_fail(builder->error, "map (%.200s): %s", setting->where, words);
        }
    }
    return 0;
}

/* To adopt a promoted node its role has to be asked for. */
static int check_adopt(const struct builder *builder)
{
    const struct watch_config *watch = &builder->out->watch;

    if (watch->adopt == WATCH_ADOPT_PROMOTED && !watch->verify) {
        return options_fail(
            builder->error,
            "adopt (%.200s): \"promoted\" needs --verify on; takes announced with it off",
            settings_winner(builder->settings, OPTION_ID_ADOPT, NULL)->where);
    }
    return 0;
}

static int build_redis_credentials(const struct builder *builder)
{
    struct watch_config *watch = &builder->out->watch;

    watch->redis_username = make_text(builder, NULL, OPTION_ID_REDIS_USERNAME);
    watch->redis_password =
        options_secret(builder, NULL, OPTION_ID_REDIS_PASSWORD_FILE, OPTION_ID_REDIS_PASSWORD);
    return !watch->redis_password ? -BW_EINVAL
                                  : make_tls(builder, NULL, TLS_SIDE_REDIS, &watch->redis_tls);
}

static void build_selves(const struct builder *builder)
{
    const struct setting *setting = settings_winner(builder->settings, OPTION_ID_SELF, NULL);
    struct watch_config *watch = &builder->out->watch;

    for (size_t i = 0; setting && i < setting->n_items; i++) {
        (void)add_address(&watch->selves, &watch->n_selves, OPTION_ID_SELF, setting->items[i]);
    }
}

static void build_names(const struct builder *builder, enum option_id id, char ***names, size_t *n)
{
    const struct setting *setting = settings_winner(builder->settings, (int)id, NULL);

    for (size_t i = 0; setting && i < setting->n_items; i++) {
        *MEM_APPEND(*names, *n) = mem_strdup(setting->items[i]);
    }
}

static void note_unknown_variables(const struct builder *builder)
{
    for (size_t i = 0; i < builder->settings->n_unknown_variables; i++) {
        options_note(builder->out, LOG_LEVEL_DEBUG, "unknown variable ignored", "variable",
                     builder->settings->unknown_variables[i]);
    }
}

/* Nothing is asked for but its URL and its time limit. */
static int build_probe(const struct builder *builder, struct options *out)
{
    const char *url = settings_item(builder->settings, OPTION_ID_PROBE);

    if (build_numbers(builder) != 0) {
        return -BW_EINVAL;
    }
    *out = *builder->out;
    out->probe = mem_strdup(url ? url : "");
    return 0;
}

int options_build(const struct settings *settings, struct options *out, struct options_error *error)
{
    struct options built = {0};
    struct builder builder = {settings, &built, error};

    if (settings_winner(settings, OPTION_ID_PROBE, NULL)) {
        return build_probe(&builder, out);
    }
    if (build_numbers(&builder) != 0 || options_build_listens(&builder) != 0 ||
        build_map(&builder) != 0 || build_redis_credentials(&builder) != 0 ||
        build_deployments(&builder) != 0 || build_default_master(&builder) != 0 ||
        check_adopt(&builder) != 0 || options_build_commands(&builder) != 0 ||
        options_build_forwards(&builder) != 0 || options_build_https(&builder) != 0) {
        options_release(&built);
        return -BW_EINVAL;
    }
    build_selves(&builder);
    build_names(&builder, OPTION_ID_ALLOW_HOST, &built.allow_hosts, &built.n_allow_hosts);
    build_names(&builder, OPTION_ID_ALLOW_ORIGIN, &built.allow_origins, &built.n_allow_origins);
    options_note_unused_tls(&builder);
    options_show(settings, &built);
    note_unknown_variables(&builder);
    *out = built;
    return 0;
}

static void free_names(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(names[i]);
    }
    free(names);
}

static void release_watch(struct watch_config *watch)
{
    for (size_t i = 0; i < watch->n_deployments; i++) {
        struct watch_deployment *deployment = &watch->deployments[i];

        free_names(deployment->masters, deployment->n_masters);
        free(deployment->seeds);
        free(deployment->username);
        secret_free(deployment->password);
    }
    for (size_t i = 0; i < watch->n_overrides; i++) {
        free(watch->overrides[i].master);
        free(watch->overrides[i].redis_username);
        secret_free(watch->overrides[i].redis_password);
    }
    for (size_t i = 0; i < watch->n_tls; i++) {
        redis_tls_free(watch->tls[i].tls);
        free(watch->tls[i].master);
    }
    free(watch->tls);
    free(watch->deployments);
    free(watch->overrides);
    free(watch->redis_username);
    secret_free(watch->redis_password);
    free(watch->default_master);
    free(watch->selves);
    address_map_release(&watch->map);
}

void options_release(struct options *options)
{
    release_watch(&options->watch);
    free_names(options->allow_hosts, options->n_allow_hosts);
    free_names(options->allow_origins, options->n_allow_origins);
    secret_free(options->tokens);
    secret_free(options->read_only_tokens);
    server_tls_free(options->tls);
    policy_free(options->policy);
    options_shown_release(options);
    free(options->probe);
    for (size_t i = 0; i < options->n_listens; i++) {
        free(options->listens[i].place.unix_path);
    }
    free(options->listens);
    for (size_t i = 0; i < options->n_forwards; i++) {
        free(options->forwards[i].place.unix_path);
        free(options->forwards[i].master);
    }
    free(options->forwards);
    for (size_t i = 0; i < options->n_notes; i++) {
        free(options->notes[i].value);
    }
    free(options->notes);
    *options = (struct options){0};
}
