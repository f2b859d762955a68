/* See recording.h. */
#include "recording.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

struct address recording_address(const char *text)
{
    struct address address;
    char error[160], full[300];

    snprintf(full, sizeof(full), "%s%s", strchr(text, ':') ? "" : "127.0.0.1:", text);
    cr_assert_eq(address_parse(full, 0, &address, error, sizeof(error)), 0, "%s", error);
    return address;
}

void recording_event(const char *what, struct sentinel_event *event)
{
    size_t channel = strcspn(what, " ");
    const char *payload = what + channel + (what[channel] == ' ');

    cr_assert_eq(sentinel_parse_event(what, channel, payload, strlen(payload), event), 0, "%s",
                 what);
}

void recording_play(const char *lines, recording_line_fn *play, void *player)
{
    while (*lines) {
        char line[512], who[32];
        size_t len = strcspn(lines, "\n");
        long long ms;
        int used = 0;

        snprintf(line, sizeof(line), "%.*s", (int)len, lines);
        lines += len + (lines[len] == '\n');
        if (*line != '#' && *line != '\0') {
            cr_assert_eq(sscanf(line, "%lld %31s %n", &ms, who, &used), 2, "%s", line);
            play(player, ms, who, line + used);
        }
    }
}

void recording_play_file(const char *name, recording_line_fn *play, void *player)
{
    char path[160], line[512];
    FILE *file;

    snprintf(path, sizeof(path), "tests/sim/recordings/%s.txt", name);
    file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    while (fgets(line, sizeof(line), file)) {
        recording_play(line, play, player);
    }
    (void)fclose(file);
}
