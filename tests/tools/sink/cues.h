/* What the sink is told to do wrong: by flags, by a file, by a port. */
#ifndef FP_SINK_CUES_H
#define FP_SINK_CUES_H

#include <stdbool.h>
#include <stdint.h>

struct cue {
    int code;
    double percent;
};

struct cues {
    int64_t delay_ms;
    struct cue rcpt, mail, data;
    double close_after, close_before; /* percent */
    int greeting;
    int64_t max_per_connection;
    bool accepting;
};
extern struct cues cues_now;

void cues_seed(int64_t seed);
bool cues_dice(double percent); /* true so many times of a hundred */
/* False when it is not a command, or its value is wrong. */
bool cues_command(const char *name, const char *value);
bool cues_line(const char *line); /* "name value"; empty lines and # lines are fine */
/* Carries out the file's lines when it has changed. NULL is fine. */
void cues_read_file(const char *path);

#endif
