/*
 * The commands, one place for all three ways they come. The dice are seeded,
 * so that the same mails in the same order meet the same fate.
 */
#include "tests/tools/sink/cues.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/text.h"

struct cues cues_now = {.greeting = 220, .accepting = true};
static unsigned short dice[3];

void cues_seed(int64_t seed)
{
    dice[0] = (unsigned short)seed;
    dice[1] = (unsigned short)(seed >> 16);
    dice[2] = 0x330e;
}

bool cues_dice(double percent)
{
    return percent > 0 && erand48(dice) * 100 < percent;
}

static bool parse_percent(const char *text, double *out)
{
    char number[32];
    (void)snprintf(number, sizeof(number), "%.*s", (int)strcspn(text, "%"), text);
    return text_parse_double(number, out) && *out >= 0 && *out <= 100;
}

/* "450:10%", "450 10%" or "450" for all. */
static bool parse_cue(const char *text, struct cue *out)
{
    char *end;
    long code = strtol(text, &end, 10);
    out->code = (int)code;
    out->percent = 100;
    if (code == 0)
        out->percent = 0;
    else if (code < 400 || code > 599)
        return false;
    if (*end == '\0')
        return true;
    return (*end == ':' || *end == ' ') && parse_percent(end + 1, &out->percent);
}

static bool parse_count(const char *text, int64_t *out)
{
    return text_parse_i64(text, out) && *out >= 0;
}

static bool parse_greeting(const char *text)
{
    int64_t code;
    if (!text_parse_i64(text, &code) || code < 200 || code > 599)
        return false;
    cues_now.greeting = (int)code;
    return true;
}

bool cues_command(const char *name, const char *value)
{
    if (strcmp(name, "delay-ms") == 0)
        return parse_count(value, &cues_now.delay_ms);
    if (strcmp(name, "refuse-rcpt") == 0)
        return parse_cue(value, &cues_now.rcpt);
    if (strcmp(name, "refuse-mail") == 0)
        return parse_cue(value, &cues_now.mail);
    if (strcmp(name, "reply-data") == 0)
        return parse_cue(value, &cues_now.data);
    if (strcmp(name, "close-after-data") == 0)
        return parse_percent(value, &cues_now.close_after);
    if (strcmp(name, "close-before-data") == 0)
        return parse_percent(value, &cues_now.close_before);
    if (strcmp(name, "greeting") == 0)
        return parse_greeting(value);
    if (strcmp(name, "max-per-connection") == 0)
        return parse_count(value, &cues_now.max_per_connection);
    if (strcmp(name, "normal") == 0)
        cues_now = (struct cues){.greeting = 220};
    else if (strcmp(name, "stop-accepting") != 0 && strcmp(name, "start-accepting") != 0)
        return false;
    cues_now.accepting = strcmp(name, "stop-accepting") != 0;
    return true;
}

bool cues_line(const char *line)
{
    char text[256];
    size_t len = strcspn(line, "\r\n");
    if (len >= sizeof(text))
        return false;
    (void)snprintf(text, sizeof(text), "%.*s", (int)len, line);
    if (text[0] == '\0' || text[0] == '#')
        return true;
    char *value = strchr(text, ' ');
    if (value)
        *value++ = '\0';
    return cues_command(text, value ? value : "");
}

void cues_read_file(const char *path)
{
    static struct timespec seen;
    struct stat st;
    char line[256];
    if (!path || stat(path, &st) < 0)
        return;
    if (st.st_mtim.tv_sec == seen.tv_sec && st.st_mtim.tv_nsec == seen.tv_nsec)
        return;
    seen = st.st_mtim;
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f))
        if (!cues_line(line))
            (void)fprintf(stderr, "sink: %s: not a command: %s", path, line);
    if (f)
        (void)fclose(f);
}
